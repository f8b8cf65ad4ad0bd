//! Variables in files: safetensors with PyTorch's names and shapes, whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::VariableLayout;
use super::layout::Entry;
use super::variables::{NamedArrays, Store, Variables};
use crate::error::{Error, Result};

/// PyTorch counts the batches that a batch norm has seen in an integer of this name, beside the running mean; nothing
/// here depends on it.
const BATCH_COUNTER: &str = "num_batches_tracked";
const RUNNING_MEAN: &str = "running_mean";

/// The metadata that counts the steps of a file of an optimizer's memory.
const STEPS: &str = "steps";

impl Variables {
    /// A text to be saved beside the tensors, such as the network's name.
    pub fn set_metadata(&self, key: &str, text: &str) {
        self.store().metadata.insert(key.to_string(), text.to_string());
    }

    /// The texts beside the tensors of a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be read or is no safetensors file.
    pub fn read_metadata(path: impl AsRef<Path>) -> Result<HashMap<String, String>> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let (_, header) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| Error::data(path, format!("not a safetensors file: {error}")))?;
        Ok(header.metadata().clone().unwrap_or_default())
    }

    /// All variables in the safetensors format, under PyTorch's names and shapes.
    ///
    /// # Errors
    /// When the device fails, or the metadata makes the header longer than the format allows.
    pub async fn to_safetensors(&self) -> Result<Vec<u8>> {
        let arrays = self.read_all()?.await?;
        let metadata = self.store().metadata.clone();
        serialized(&arrays, &metadata)
    }

    /// Writes [`Variables::to_safetensors`] to a file: beside it first, then renamed, so that a crash leaves either the
    /// old file or the new one.
    ///
    /// # Errors
    /// When [`Variables::to_safetensors`] fails or the file cannot be written.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save_blocking(&self, path: impl AsRef<Path>) -> Result<()> {
        crate::files::write_atomically(path.as_ref(), &pollster::block_on(self.to_safetensors())?)
    }

    /// Reads a safetensors file into the declared variables; averages begin anew with them.
    ///
    /// # Errors
    /// When the file is damaged, or a tensor is missing, left over, misshapen or not f32; then nothing is changed.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        self.load_safetensors(&bytes).map_err(|error| Error::data(path, error))
    }

    /// [`Variables::load`] of a file that may hold more: the names, sorted, of the tensors that belong to no variable, such as
    /// the auxiliary classifiers of a network that is declared without them.
    ///
    /// # Errors
    /// When the file is damaged, or a tensor of a variable is missing, misshapen or not f32; then nothing is changed.
    pub fn load_matching(&self, path: impl AsRef<Path>) -> Result<Vec<String>> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        self.load_safetensors_matching(&bytes).map_err(|error| Error::data(path, error))
    }

    /// [`Variables::load_matching`] from memory.
    ///
    /// # Errors
    /// See [`Variables::load_matching`].
    pub fn load_safetensors_matching(&self, bytes: &[u8]) -> Result<Vec<String>> {
        let store = self.store();
        let layout = &store.layout;
        let (tensors, others) = tensors(bytes, layout.expected(), |name| layout.knows(name))?;
        self.write(&store, tensors)?;
        Ok(others)
    }

    /// Writes what a file has of the variables.
    fn write(&self, store: &Store, tensors: Vec<(&Entry, &[u8])>) -> Result<()> {
        for (entry, data) in tensors {
            entry.write(&self.gpu, &store.buffers, "checkpoint", bytemuck::pod_collect_to_vec(data))?;
        }
        self.version.changed();
        Ok(())
    }

    /// [`Variables::load`] from memory.
    ///
    /// # Errors
    /// See [`Variables::load`].
    pub fn load_safetensors(&self, bytes: &[u8]) -> Result<()> {
        let store = self.store();
        self.write(&store, store.layout.tensors(bytes)?)
    }

    /// What optimizers keep beside the variables, in the safetensors format: velocities, moments and averages under the
    /// parameter's name and PyTorch's for the kind, as `conv1.weight.exp_avg`, and the number of steps as metadata. With the
    /// variables' own file a training goes on from there, bit for bit. Nothing of it is in the variables' file.
    ///
    /// # Errors
    /// When the device fails.
    pub async fn optimizer_to_safetensors(&self) -> Result<Vec<u8>> {
        let steps = BTreeMap::from([(STEPS.to_string(), self.steps().to_string())]);
        let all =
            |layout: &VariableLayout| layout.memory().map(|(name, entry)| (name.clone(), entry.clone())).collect();
        let arrays = self.read(all)?.await?;
        serialized(&arrays, &steps)
    }

    /// Writes [`Variables::optimizer_to_safetensors`] to a file, as [`Variables::save_blocking`] does.
    ///
    /// # Errors
    /// When [`Variables::optimizer_to_safetensors`] fails or the file cannot be written.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save_optimizer_blocking(&self, path: impl AsRef<Path>) -> Result<()> {
        crate::files::write_atomically(path.as_ref(), &pollster::block_on(self.optimizer_to_safetensors())?)
    }

    /// Reads back what [`Variables::save_optimizer_blocking`] wrote, once a session with the same optimizer was made and the
    /// variables' own file was loaded, with which averages begin anew.
    ///
    /// # Errors
    /// When the file is damaged, or a tensor is missing, left over, misshapen or not f32; then nothing is changed.
    pub fn load_optimizer(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        self.load_optimizer_safetensors(&bytes).map_err(|error| Error::data(path, error))
    }

    /// [`Variables::load_optimizer`] from memory.
    ///
    /// # Errors
    /// See [`Variables::load_optimizer`].
    pub fn load_optimizer_safetensors(&self, bytes: &[u8]) -> Result<()> {
        let store = self.store();
        let memory: HashMap<&str, &Entry> = store.layout.memory().map(|(name, entry)| (name.as_str(), entry)).collect();
        let known = |name: &str| memory.contains_key(name);
        let expected = store.layout.memory().map(|(name, entry)| (name.as_str(), entry));
        let (tensors, others) = tensors(bytes, expected, known)?;
        none_left(&others, "no optimizer of these variables")?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| Error::Checkpoint(error.to_string()))?;
        let steps = header.metadata().as_ref().and_then(|texts| texts.get(STEPS)?.parse().ok());
        let steps = steps.ok_or_else(|| Error::Checkpoint(format!("the metadata `{STEPS}` is no number")))?;
        self.write(&store, tensors)?;
        self.set_steps(steps);
        Ok(())
    }
}

impl VariableLayout {
    /// Whether [`Variables::load_safetensors`] would take these bytes for these variables; it needs no device.
    ///
    /// # Errors
    /// See [`Variables::load`].
    pub fn check_safetensors(&self, bytes: &[u8]) -> Result<()> {
        self.tensors(bytes).map(drop)
    }

    /// The values that these variables have in a safetensors file; it needs no device.
    ///
    /// # Errors
    /// See [`Variables::load`].
    pub fn read_safetensors(&self, bytes: &[u8]) -> Result<NamedArrays> {
        let tensors = self.tensors(bytes)?;
        let array = |(name, (entry, data)): (&String, (&Entry, &[u8]))| {
            let array = ArrayD::from_shape_vec(IxDyn(&entry.ty.shape), bytemuck::pod_collect_to_vec(data));
            Ok((name.clone(), array.map_err(|error| Error::Checkpoint(format!("`{name}`: {error}")))?))
        };
        self.order.iter().zip(tensors).map(array).collect()
    }

    /// What these variables start from under a seed, as [`Variables::new`] has it; it needs no device.
    pub fn initial_values(&self, seed: u64) -> NamedArrays {
        let values = |name: &String| {
            let Entry { ty, init, .. } = &self.entries[name];
            ArrayD::from_shape_vec(IxDyn(&ty.shape), init.values(name, &ty.shape, seed)).ok()
        };
        self.order.iter().filter_map(|name| Some((name.clone(), values(name)?))).collect()
    }

    /// Each variable with its values in a safetensors file, all of them or an error.
    fn tensors<'a>(&self, bytes: &'a [u8]) -> Result<Vec<(&Entry, &'a [u8])>> {
        let (tensors, others) = tensors(bytes, self.expected(), |name| self.knows(name))?;
        none_left(&others, "no variable of this network")?;
        Ok(tensors)
    }

    fn expected(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.order.iter().map(|name| (name.as_str(), &self.entries[name]))
    }

    /// Whether a tensor of this name is a variable's, or says of one what is not needed.
    fn knows(&self, name: &str) -> bool {
        let counts_batches = name
            .strip_suffix(BATCH_COUNTER)
            .is_some_and(|layer| self.entries.contains_key(&format!("{layer}{RUNNING_MEAN}")));
        counts_batches || self.entries.contains_key(name)
    }
}

/// An error where there is a tensor that belongs to nobody.
fn none_left(others: &[String], owner: &str) -> Result<()> {
    match others.first() {
        Some(name) => Err(Error::Checkpoint(format!("`{name}` belongs to {owner}"))),
        None => Ok(()),
    }
}

/// Entries with their values in a file, and the names in it that belong to none.
type Found<'a, 'e> = (Vec<(&'e Entry, &'a [u8])>, Vec<String>);

/// Each of the expected entries with its values in a safetensors file, and what else is there than is `known`, sorted; or an
/// error.
fn tensors<'a, 'e>(
    bytes: &'a [u8],
    expected: impl Iterator<Item = (&'e str, &'e Entry)>,
    known: impl Fn(&str) -> bool,
) -> Result<Found<'a, 'e>> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::Checkpoint(format!("not a safetensors file: {error}")))?;
    let mut tensors = Vec::new();
    for (name, entry) in expected {
        let tensor =
            file.tensor(name).map_err(|_| Error::Checkpoint(format!("`{name}` {} is missing", entry.ty.shape)))?;
        if tensor.dtype() != Dtype::F32 || *tensor.shape() != *entry.ty.shape {
            let (dtype, shape) = (tensor.dtype(), tensor.shape());
            return Err(Error::Checkpoint(format!("`{name}`: expected {}, got {dtype:?}{shape:?}", entry.ty)));
        }
        tensors.push((entry, tensor.data()));
    }
    let mut others: Vec<String> =
        file.names().into_iter().filter(|name| !known(name)).map(|name| name.to_string()).collect();
    others.sort_unstable();
    Ok((tensors, others))
}

fn serialized(arrays: &NamedArrays, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut views = Vec::with_capacity(arrays.len());
    for (name, array) in arrays {
        let values = array.as_slice().unwrap_or_default();
        let view = TensorView::new(Dtype::F32, array.shape().to_vec(), bytemuck::cast_slice(values));
        views.push((name.as_str(), view.map_err(|error| Error::Checkpoint(format!("`{name}`: {error}")))?));
    }
    let file = safetensors::serialize(views, None).map_err(|error| Error::Checkpoint(error.to_string()))?;
    with_metadata(file, metadata).map_err(|error| Error::Checkpoint(format!("metadata: {error}")))
}

/// Puts metadata into the header of a safetensors file that has none. The crate's own writer takes a hash map and would
/// write it in another order each time.
fn with_metadata(
    file: Vec<u8>,
    metadata: &BTreeMap<String, String>,
) -> std::result::Result<Vec<u8>, Box<dyn std::error::Error>> {
    if metadata.is_empty() {
        return Ok(file);
    }
    let (length, rest) = file.split_first_chunk::<8>().ok_or("no header")?;
    let (header, tensors) =
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length))?).ok_or("a short header")?;
    let entries = header.trim_ascii().strip_prefix(b"{").ok_or("no JSON object")?;
    let mut header = format!("{{\"__metadata__\":{}", serde_json::to_string(metadata)?).into_bytes();
    if entries != b"}" {
        header.push(b',');
    }
    header.extend_from_slice(entries);
    // The tensors begin at a multiple of 8.
    header.resize(header.len().next_multiple_of(8), b' ');
    let file = [&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat();
    // Text that makes the header longer than the format allows must not make a file that cannot be read.
    SafeTensors::read_metadata(&file)?;
    Ok(file)
}
