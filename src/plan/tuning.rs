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

use serde_json::{Map, Value, json};

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

    /// What `path` knows of a device; nothing where there is no good file.
    pub(super) fn load(path: &Path, capabilities: &Capabilities) -> Self {
        let Some(devices) = devices(path) else { return Self::default() };
        let known = devices.get(&device(capabilities)).filter(|entry| entry["kernels"] == kernels());
        let choices = known.and_then(|entry| entry["choices"].as_object());
        let variant = |(problem, variant): (&String, &Value)| Some((problem.clone(), variant.as_str()?.to_string()));
        Self(choices.into_iter().flatten().filter_map(variant).collect())
    }

    /// Adds itself to what is in the file by now: another process may have written meanwhile. A file that cannot be written
    /// costs the time to tune again.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn save(&self, path: &Path, capabilities: &Capabilities) {
        let mut all = Self::load(path, capabilities);
        all.0.extend(self.0.clone());
        let mut devices = devices(path).unwrap_or_default();
        devices.insert(device(capabilities), json!({ "kernels": kernels(), "choices": all.0 }));
        let text = format!("{:#}\n", json!({ "format": FORMAT, "devices": devices }));
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

/// The entries of all devices. `None` where there is no file, or, with a warning, none of this format.
fn devices(path: &Path) -> Option<Map<String, Value>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                log::warn!("{}: {error}; kernels are timed anew", path.display());
            }
            return None;
        }
    };
    let file: Value = serde_json::from_slice(&text).unwrap_or_default();
    let devices = file["devices"].as_object().filter(|_| file["format"] == FORMAT);
    if devices.is_none() {
        log::warn!("{}: it is no file of omma's tuning, or damaged; kernels are timed anew", path.display());
    }
    devices.cloned()
}

/// The device, as the file names it.
fn device(capabilities: &Capabilities) -> String {
    let info = &capabilities.info;
    format!("{} ({}), driver {} {}", info.name, info.backend, info.driver, info.driver_info)
}

/// A hash of all kernels and of the version, with which the code that chooses and dispatches them changes.
fn kernels() -> String {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    for shader in FAMILIES.iter().flat_map(|family| family.shaders) {
        (shader.name, shader.text, shader.common, shader.functions).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
