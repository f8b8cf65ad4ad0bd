//! From the start of a process to the end of its first step, where nothing has been compiled before and where all has.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use omma::{Error, Result};

use super::timing::{Timing, milliseconds};
use super::{Network, Prepared};
use crate::{Device, Kernels, argument};

/// What the caches hold: of drivers, where a program can tell them where to keep theirs (Mesa, NVIDIA on Linux), and of
/// Omma.
pub(super) const CACHES: [&str; 2] = ["empty caches", "filled caches"];
/// Processes that fill what the first one left: Mesa writes beside the work, and what is not written when a process ends is
/// lost.
const FILLING: usize = 2;
/// Processes that find filled caches; an empty one is found once.
const AGAIN: usize = 3;

/// Takes one step of a network's training: what [`processes`] starts.
pub(super) fn first_step(network: &str, device: &Device, kernels: &Kernels) -> Result<ExitCode> {
    let named = Network::named(network).and_then(|network| Some(network.training(network.training_batch?)));
    let case = named.ok_or_else(|| argument("--first-step", format!("`{network}` is not trained by the bench")))?;
    let gpu = device.open()?;
    Prepared::new(&case, &gpu, &kernels.options())?.step()?;
    Ok(ExitCode::SUCCESS)
}

/// The times of processes with this command's options that take one step, by [`CACHES`].
pub(super) fn processes(network: &str) -> Result<[Timing; CACHES.len()]> {
    let caches = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
    let empty = process(network, caches.path())?;
    for _ in 0..FILLING {
        process(network, caches.path())?;
    }
    let filled = (0..AGAIN).map(|_| process(network, caches.path())).collect::<Result<Vec<_>>>()?;
    Ok([vec![empty], filled].map(Timing::among))
}

/// The milliseconds of one, whose caches lie in this folder.
fn process(network: &str, caches: &Path) -> Result<f64> {
    let failed = |message: String| Error::Session(format!("a process of its own: {message}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(program);
    // Before what may stand behind a `--`.
    command.args(["bench", "--first-step", network]).args(std::env::args_os().skip(2)).stdin(Stdio::null());
    for variable in ["OMMA_CACHE", "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH", "XDG_CACHE_HOME"] {
        command.env(variable, caches.join(variable));
    }
    let start = Instant::now();
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let time = milliseconds(start.elapsed());
    let errors = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(time),
        false => Err(failed(errors.lines().last().unwrap_or("it failed").to_string())),
    }
}
