//! Which kernels were the fastest, as plain data, and the file that keeps it.
//!
//! The file is JSON: for each device (adapter, back end, driver) a hash of the kernels that were timed, and for each problem
//! the name of the variant. With other kernels a device's entries are out of date and are found anew; those of other
//! devices stay. Such a file cannot make a plan wrong: its names choose among the legal variants, all of which are checked.

#![cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "a browser's page cannot wait for timings"))]

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use crate::gpu::Capabilities;
use crate::ops::FAMILIES;

/// The fastest variant by problem.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tuning(BTreeMap<String, String>);

impl Tuning {
    pub(crate) fn fastest(&self, problem: &str) -> Option<&str> {
        self.0.get(problem).map(String::as_str)
    }

    pub(super) fn insert(&mut self, problem: &str, variant: &str) {
        self.0.insert(problem.into(), variant.into());
    }

    /// Takes over what is known elsewhere.
    pub(super) fn extend(&mut self, other: Option<&Self>) {
        self.0.extend(other.into_iter().flat_map(|other| other.0.clone()));
    }

    /// What `path` knows of a device; nothing where there is no good file, which is said.
    pub(super) fn load(path: &Path, capabilities: &Capabilities) -> Self {
        let known = devices(path).and_then(|devices| Self::of(&devices, capabilities));
        known.unwrap_or_else(|fault| {
            log::warn!("{}: {fault}; kernels are timed anew", path.display());
            Self::default()
        })
    }

    /// What the entries tell of a device, whose kernels must be those of today.
    fn of(devices: &Map<String, Value>, capabilities: &Capabilities) -> Result<Self, Fault> {
        let Some(entry) = devices.get(&device(capabilities)) else { return Ok(Self::default()) };
        let variant = |(problem, variant): (&String, &Value)| Some((problem.clone(), variant.as_str()?.to_string()));
        let choices = entry["choices"].as_object().and_then(|choices| choices.iter().map(variant).collect());
        match (entry["kernels"].as_str(), choices) {
            (Some(hash), Some(_)) if hash != kernels() => Err(Fault::OtherKernels),
            (Some(_), Some(choices)) => Ok(Self(choices)),
            _ => Err(Fault::DamagedEntry),
        }
    }

    /// Adds itself to what is in the file by now: another process may have written meanwhile. A file that cannot be written
    /// costs the time to tune again, and one that is somebody else's stays as it is.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn save(&self, path: &Path, capabilities: &Capabilities) {
        let mut devices = match devices(path) {
            Ok(devices) => devices,
            // That was said when it was loaded.
            Err(Fault::Damaged) => Map::new(),
            Err(fault) => {
                log::warn!("{}: {fault}; it stays as it is, and what tuning found is not kept", path.display());
                return;
            }
        };
        let mut all = Self::of(&devices, capabilities).unwrap_or_default();
        all.0.extend(self.0.clone());
        devices.insert(device(capabilities), serde_json::json!({ "kernels": kernels(), "choices": all.0 }));
        let text = format!("{:#}\n", serde_json::json!({ "format": FORMAT, "devices": devices }));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let written = fs::create_dir_all(folder)
            .map_err(crate::Error::io(folder))
            .and_then(|()| crate::files::write_atomically(path, text.as_bytes()));
        if let Err(error) = written {
            log::warn!("what tuning found is not kept: {error}");
        }
    }
}

/// The format's name and version.
const FORMAT: &str = "omma tuning 1";

/// Why a file, or a device's entry, tells nothing.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Unreadable(std::io::Error),
    #[error("it is no file of omma's tuning")]
    Foreign,
    #[error("it is damaged, or of another version of omma's tuning")]
    Damaged,
    #[error("the entry of this device is damaged")]
    DamagedEntry,
    #[error("the entry of this device is of other kernels")]
    OtherKernels,
}

/// The entries of all devices, none where there is no file.
fn devices(path: &Path) -> Result<Map<String, Value>, Fault> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(Fault::Unreadable(error)),
    };
    let file: Value = serde_json::from_slice(&text).unwrap_or_default();
    let devices = file["devices"].as_object().filter(|_| file["format"] == FORMAT);
    // What was cut off may still show whose it was.
    let name = FORMAT.trim_end_matches(|c: char| c.is_ascii_digit()).as_bytes();
    let own = text.trim_ascii().is_empty() || text.windows(name.len()).any(|words| words == name);
    devices.cloned().ok_or(if own { Fault::Damaged } else { Fault::Foreign })
}

/// The device, as the file names it: where a back end names no driver, with the numbers of its maker and model.
fn device(capabilities: &Capabilities) -> String {
    let info = &capabilities.info;
    let driver = format!("{} {}", info.driver, info.driver_info);
    let driver = match driver.trim() {
        "" => format!("vendor {:#06x}, device {:#06x}", info.vendor, info.device),
        driver => format!("driver {driver}"),
    };
    format!("{} ({}), {driver}", info.name, info.backend)
}

/// A hash of all kernels and of the version: from release to release the code that chooses and dispatches them changes, too.
fn kernels() -> String {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    for shader in FAMILIES.iter().flat_map(|family| family.shaders) {
        (shader.name, shader.text, shader.common, shader.functions).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
