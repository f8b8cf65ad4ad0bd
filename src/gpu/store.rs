//! Compiled pipelines in a file, so that the next process need not compile them: `wgpu::PipelineCache`, which Vulkan has.
//!
//! wgpu hands the bytes of such a file to the driver and trusts them. The file therefore begins with a header of our own:
//!
//! | bytes | |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 8 | hash of adapter, driver and omma's version ([`identity`]) |
//! | 8 | hash of what follows |
//! | rest | the data as wgpu gave them |
//!
//! Anything else than an intact file of this adapter is left aside with a warning and written anew.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::failure::{Failures, guard, lock};
use crate::error::{Error, Result};
#[cfg(not(target_arch = "wasm32"))]
use crate::files::write_atomically as write_file;

/// The format's name and version.
const MAGIC: &[u8; 8] = b"ommapip1";
const HEADER: usize = 24;

/// The pipelines of one device, in memory and in its file.
#[derive(Debug)]
pub(super) struct Store {
    cache: wgpu::PipelineCache,
    path: PathBuf,
    identity: u64,
    /// The hash of the data in the file; `None` while there is no good file.
    saved: Mutex<Option<u64>>,
}

/// Data that this program wrote for this adapter, unchanged since.
#[derive(Debug, Clone, Copy)]
struct Intact<'a>(&'a [u8]);

impl<'a> Intact<'a> {
    fn of(file: &'a [u8], identity: u64) -> Result<Self, &'static str> {
        let word = |at: usize| file.get(at..at + 8);
        if word(0) != Some(MAGIC) {
            return Err("it is none of omma's");
        }
        if word(8) != Some(&identity.to_le_bytes()) {
            return Err("it is of another adapter, driver or version of omma");
        }
        match (word(16), file.get(HEADER..)) {
            (Some(sum), Some(data)) if sum == hash(data).to_le_bytes() => Ok(Self(data)),
            _ => Err("it is damaged"),
        }
    }
}

/// The file's text for `data`.
fn pack(data: &[u8], identity: u64) -> Vec<u8> {
    [MAGIC, &identity.to_le_bytes()[..], &hash(data).to_le_bytes()[..], data].concat()
}

/// With fixed keys. Another release of Rust may compute other hashes, and then the file starts anew.
fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What data must be of to be of use. With every version the kernels change, and old ones would only fill the file.
fn identity(key: &str, info: &wgpu::AdapterInfo) -> u64 {
    hash((key, &info.name, &info.driver, &info.driver_info, env!("CARGO_PKG_VERSION")))
}

impl Store {
    /// The pipelines that `folder` has for this adapter. `None` where the device has no pipeline cache.
    pub(super) fn open(
        device: &wgpu::Device,
        failures: &Failures,
        info: &wgpu::AdapterInfo,
        folder: &Path,
    ) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = wgpu::util::pipeline_cache_key(info)?;
        let (identity, path) = (identity(&key, info), folder.join(key));
        let file = match fs::read(&path) {
            Ok(file) => Some(file),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    log::warn!("{}: {error}; kernels are compiled anew", path.display());
                }
                None
            }
        };
        let data = file.as_deref().and_then(|file| match Intact::of(file, identity) {
            Ok(data) => Some(data),
            Err(reason) => {
                log::warn!("{}: {reason}; kernels are compiled anew", path.display());
                None
            }
        });
        let create = |data| guard(device, failures, "pipeline cache", || create(device, data));
        // wgpu has checks of its own, of its version and the driver's.
        let cache = create(data).or_else(|_| create(None)).ok()?;
        let saved = Mutex::new(data.map(|Intact(data)| hash(data)));
        Some(Self { cache, path, identity, saved })
    }

    pub(super) fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the file, if there is anything new. One that cannot be written costs time at the next start and no more.
    pub(super) fn save(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let mut saved = lock(&self.saved);
        let sum = hash(data.as_slice());
        if *saved == Some(sum) {
            return;
        }
        match self.write(&data) {
            Ok(()) => *saved = Some(sum),
            Err(error) => log::warn!("compiled kernels are not kept: {error}"),
        }
    }

    fn write(&self, data: &[u8]) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        write_file(&self.path, &pack(data, self.identity))
    }
}

/// A browser's page has no files, nor a pipeline cache that might be written: this is never called.
#[cfg(target_arch = "wasm32")]
fn write_file(path: &Path, file: &[u8]) -> Result<()> {
    fs::write(path, file).map_err(Error::io(path))
}

/// An unsafe call: wgpu cannot know where data are from.
#[allow(unsafe_code, reason = "there is no other way to hand compiled pipelines to the driver")]
fn create(device: &wgpu::Device, data: Option<Intact<'_>>) -> wgpu::PipelineCache {
    let data = data.map(|Intact(data)| data);
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("omma"), data, fallback: true };
    // SAFETY: the data must come from `PipelineCache::get_data` of an adapter with the same `pipeline_cache_key`. `Intact`
    // are only bytes that follow our own header, which names that key and the driver, and whose hash is the one that
    // `save` wrote for what `get_data` returned. Who can forge that in the user's own folder can change this program too.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

#[cfg(test)]
mod tests {
    use super::{HEADER, Intact, pack};

    #[test]
    fn only_an_intact_file_of_the_adapter_is_taken() {
        let file = pack(b"data", 7);
        assert!(matches!(Intact::of(&file, 7), Ok(Intact(b"data"))));
        assert!(Intact::of(&file, 8).is_err());
        for length in 0..file.len() {
            assert!(Intact::of(&file[..length], 7).is_err(), "{length} bytes of {}", file.len());
        }
        for byte in 0..file.len() {
            let mut changed = file.clone();
            changed[byte] ^= 1;
            assert!(Intact::of(&changed, 7).is_err(), "byte {byte}");
        }
        assert!(Intact::of(&[&file[..], b"x"].concat(), 7).is_err());
        assert!(matches!(Intact::of(&pack(b"", 7)[..HEADER], 7), Ok(Intact(b""))));
    }
}
