//! Memory in what the user writes and reads: `--memory SIZE`, and what a plan needs.

use omma::{Error, MemoryReport};

const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];

/// The bytes of `512MiB`, `1.5GiB` or `1048576`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected bytes, or a number of KiB, MiB or GiB as in 512MiB, got `{text}`");
    // Every text ends with the last one.
    let unit = |(name, _): &&(&str, u32)| text.len() >= name.len() && text.ends_with(name);
    let &(name, shift) = UNITS.iter().find(unit).ok_or_else(wrong)?;
    let number = text[..text.len() - name.len()].trim_end();
    if shift == 0 {
        return number.parse().map_err(|_| wrong());
    }
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * (1_u64 << shift) as f64;
    // No device has that much; beyond it a double would count no single bytes.
    const MOST: f64 = (1_u64 << 53) as f64;
    if plain && bytes <= MOST { Ok(bytes as u64) } else { Err(wrong()) }
}

/// Bytes as people read them.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What a step needs beside its variables: how much in all, and of which parts.
pub(crate) fn parts(memory: &MemoryReport) -> String {
    let all = [
        ("activations", memory.slabs),
        ("textures", memory.textures),
        ("gradients", memory.gradients),
        ("inputs and small buffers", memory.small + memory.staging),
    ];
    let parts = all.into_iter().filter(|(_, bytes)| *bytes > 0);
    let parts: Vec<String> = parts.map(|(what, bytes)| format!("{what} {}", mebibytes(bytes))).collect();
    format!("{}, of which {}", mebibytes(memory.total()), parts.join(", "))
}

/// Whether a plan needs more than `--memory` allows.
pub(crate) fn exceeded(error: &Error) -> bool {
    matches!(error, Error::Limit { limit: "memory_budget", .. })
}

/// The error in the terms of the command.
pub(crate) fn explained(error: Error) -> Error {
    match error {
        Error::Limit { needed, limit: "memory_budget", allowed, .. } => {
            let (needed, allowed) = (mebibytes(needed), mebibytes(allowed));
            let message = format!("a step needs at least {needed} beside its variables, allowed are {allowed}");
            Error::Argument { op: "--memory".into(), message }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units_of_powers_of_two() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("1KiB", 1 << 10),
            ("512MiB", 512 << 20),
            ("2 GiB", 2 << 30),
            ("1.5GiB", 3 << 29),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_named() {
        for text in ["", "MiB", "-1", "-1MiB", "1.5", "12MB", "12mib", "1e3KiB", "infGiB", "nanMiB", "99999999GiB", "ö"]
        {
            assert!(size(text).is_err_and(|error| error.ends_with(&format!("got `{text}`"))), "{text}");
        }
    }
}
