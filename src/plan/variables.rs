//! Parameters and running statistics on the device, shared by sessions, saved and loaded.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::host::HostTensor;
use super::layout::Entry;
use super::readback::{Readback, ReadbackPool, Region};
use super::{BufferRef, Location, VariableLayout};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::graph::{Graph, Init};
use ndarray::{ArrayD, IxDyn};

/// The values that outlive a step. Clones share them; a training and an evaluation session made with the same
/// `Variables` see the same parameters without a copy.
#[derive(Debug, Clone)]
pub struct Variables {
    pub(super) gpu: Gpu,
    seed: u64,
    store: Arc<Mutex<Store>>,
    /// Steps that an optimizer or dropout has counted, in whichever session.
    steps: Arc<AtomicU32>,
    /// Which values the parameters and states have.
    pub(super) version: Version,
    readbacks: ReadbackPool,
}

/// A number for the values that variables have, another after every change. Clones are the same count. It stands by
/// itself because what runs at a submission must be `Send`, which wgpu's buffers are not in a browser.
#[derive(Debug, Clone)]
pub(super) struct Version(Arc<AtomicU64>);

impl Version {
    fn first() -> Self {
        Self(Arc::new(AtomicU64::new(1)))
    }

    pub(super) fn current(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// The values are others from now on; their number.
    pub(super) fn changed(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) layout: VariableLayout,
    pub(super) buffers: HashMap<BufferRef, wgpu::Buffer>,
    /// Text that is saved beside the tensors, sorted, so that the same content makes the same file.
    pub(super) metadata: BTreeMap<String, String>,
}

/// Arrays with their variables' names.
pub type NamedArrays = Vec<(String, ArrayD<f32>)>;

impl Variables {
    /// An empty store; `seed` fixes what every variable starts from.
    pub fn new(gpu: &Gpu, seed: u64) -> Self {
        let (steps, version, readbacks) = (Arc::default(), Version::first(), ReadbackPool::default());
        let layout = VariableLayout::for_device(gpu.capabilities());
        let store = Arc::new(Mutex::new(Store { layout, ..Store::default() }));
        Self { gpu: gpu.clone(), seed, store, steps, version, readbacks }
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        // Every change below leaves the store whole, so a panic elsewhere does no harm.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the variables of `graph` that are not there yet and gives them their initial values. [`Session::new`] does
    /// this by itself; call it to load a checkpoint before the first session.
    ///
    /// # Errors
    /// When a name is known with another shape, or the device has no memory.
    ///
    /// [`Session::new`]: crate::Session::new
    pub fn declare(&self, graph: &Graph) -> Result<VariableLayout> {
        let limit = self.gpu.capabilities().limits.max_buffer_size;
        let mut store = self.store();
        let mut layout = store.layout.clone();
        layout.extend(graph, limit)?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        // Kept aside until all are there: a store whose layout and buffers differ would be of no use.
        let mut buffers = store.buffers.clone();
        for (index, arena) in layout.arenas.iter().enumerate() {
            let slots = (0..arena.slots).map(|slot| (BufferRef::Slots(index, slot), arena.parameter_bytes));
            let main =
                [(BufferRef::Parameters(index), arena.parameter_bytes), (BufferRef::State(index), arena.state_bytes)];
            let averages = arena.averaged.then_some((BufferRef::Averages(index), arena.parameter_bytes));
            for (key, bytes) in slots.chain(main).chain(averages) {
                if bytes > 0 && !buffers.contains_key(&key) {
                    buffers.insert(key, self.gpu.create_buffer(&format!("{key:?}"), bytes, usage)?);
                }
            }
        }
        let known = store.layout.order.len();
        for name in &layout.order[known..] {
            let entry = &layout.entries[name];
            // A new buffer is full of zeros.
            if matches!(entry.init, Init::Zeros) && !store.buffers.contains_key(&entry.location.buffer) {
                continue;
            }
            let values = entry.init.values(name, &entry.ty.shape, self.seed);
            entry.write(&self.gpu, &buffers, name, values)?;
        }
        let new = |key: &BufferRef| !store.buffers.contains_key(key);
        self.start_averages(&buffers, new)?;
        (store.layout, store.buffers) = (layout.clone(), buffers);
        Ok(layout)
    }

    /// Averages begin as their parameters are, behind the steps submitted so far.
    fn start_averages(
        &self,
        buffers: &HashMap<BufferRef, wgpu::Buffer>,
        chosen: impl Fn(&BufferRef) -> bool,
    ) -> Result<()> {
        let averages = buffers.iter().filter(|(key, _)| chosen(key));
        let pairs: Vec<_> = averages
            .filter_map(|(key, average)| match key {
                BufferRef::Averages(arena) => Some((&buffers[&BufferRef::Parameters(*arena)], average)),
                _ => None,
            })
            .collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let commands = self.gpu.guard("averages", || {
            let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
            pairs.iter().for_each(|(from, to)| encoder.copy_buffer_to_buffer(from, 0, to, 0, None));
            encoder.finish()
        })?;
        self.gpu.submit("averages", commands)
    }

    /// The same variables with the parameters' moving averages ([`Optimizer::ema`](crate::Optimizer::ema)) in the place of
    /// the parameters: no copy, but another view of what training goes on to change. Sessions made with it run the averaged
    /// network, and what it saves is that network. Parameters that the last optimizer to learn them does not average, and
    /// states such as running means, are the variables' own. Variables that are declared later are not seen.
    ///
    /// ```
    /// # use omma::{Gpu, GpuOptions, Graph, Mode, Optimizer, Session, Variables};
    /// # fn main() -> omma::Result<()> {
    /// # let gpu = Gpu::new_blocking(&GpuOptions::default())?;
    /// let variables = Variables::new(&gpu, 1);
    /// let graph = Graph::new(Mode::Training);
    /// let loss = graph.input("x", [8, 4])?.dense("layer", 1)?.mean(..)?;
    /// graph.minimize(loss, &Optimizer::sgd(0.1).ema(0.99))?;
    /// let mut training = Session::new(&gpu, &graph, &[], &variables)?;
    /// training.run_blocking(&[("x", (&vec![1.0; 32]).into())])?;
    ///
    /// let graph = Graph::new(Mode::Evaluation);
    /// let y = graph.input("x", [8, 4])?.dense("layer", 1)?;
    /// let averaged = Session::new(&gpu, &graph, &[y], &variables.averaged()?)?;
    /// # let _ = averaged;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When no parameter has an average.
    pub fn averaged(&self) -> Result<Self> {
        let store = self.store();
        let none = || Error::Session("no parameter has an average: give the optimizer `ema`".into());
        let layout = store.layout.averaged().ok_or_else(none)?;
        let lasting =
            |key: &BufferRef| matches!(key, BufferRef::Parameters(_) | BufferRef::State(_) | BufferRef::Averages(_));
        let buffers = store.buffers.iter().filter(|(key, _)| lasting(key));
        let buffers = buffers.map(|(&key, buffer)| (key, buffer.clone())).collect();
        let metadata = store.metadata.clone();
        drop(store);
        let store = Arc::new(Mutex::new(Store { layout, buffers, metadata }));
        let (gpu, version, readbacks) = (self.gpu.clone(), self.version.clone(), self.readbacks.clone());
        Ok(Self { gpu, seed: self.seed, store, steps: Arc::default(), version, readbacks })
    }

    pub(super) fn buffers(&self) -> HashMap<BufferRef, wgpu::Buffer> {
        self.store().buffers.clone()
    }

    /// Steps that sessions have counted for optimizers and dropout, since [`Variables::reset_optimizer`] if that was called.
    pub fn steps(&self) -> u32 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Goes on counting from here.
    pub(super) fn set_steps(&self, steps: u32) {
        self.steps.store(steps, Ordering::Relaxed);
    }

    /// The number of the next step, from 1. Sessions that share the variables share the count, as they share the
    /// optimizer's memory: Adam corrects its bias by it.
    pub(super) fn next_step(&self) -> u32 {
        self.steps.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Forgets what optimizers have gathered (velocities, moments, the number of steps), behind the steps submitted so
    /// far: for training with another optimizer, or anew. Parameters and states stay, and averages begin as the parameters.
    ///
    /// # Errors
    /// When the device fails.
    pub fn reset_optimizer(&self) -> Result<()> {
        let buffers = self.buffers();
        for (key, buffer) in buffers.iter().filter(|(key, _)| matches!(key, BufferRef::Slots(..))) {
            self.gpu.write_buffer(&format!("{key:?}"), buffer, 0, &vec![0; buffer.size() as usize])?;
        }
        self.start_averages(&buffers, |_| true)?;
        self.set_steps(0);
        Ok(())
    }

    /// Names of all parameters and states, in order of declaration.
    pub fn names(&self) -> Vec<String> {
        self.store().layout.order.clone()
    }

    /// Bytes of all variables and optimizer slots on the device.
    pub fn bytes(&self) -> u64 {
        self.store().buffers.values().map(wgpu::Buffer::size).sum()
    }

    /// Replaces one variable's values, behind the steps submitted so far; an average begins anew with them.
    ///
    /// # Errors
    /// When the name is unknown or the shape or type differs.
    pub fn set<'a>(&self, name: &str, values: impl Into<HostTensor<'a>>) -> Result<()> {
        let values: HostTensor<'a> = values.into();
        let store = self.store();
        let entry = store.layout.entries.get(name).ok_or_else(|| unknown(name))?;
        let fits = match &values.shape {
            Some(shape) => *shape == entry.ty.shape,
            None => values.values.len() == entry.ty.elements(),
        };
        let bytes = values.values.bytes_as(entry.ty.dtype).filter(|_| fits);
        let bytes = bytes.ok_or_else(|| {
            let shape = values.shape.clone().unwrap_or_else(|| values.values.len().into());
            Error::shape(format!("variable `{name}`"), &entry.ty, format!("{}{shape}", values.values.dtype()))
        })?;
        entry.write(&self.gpu, &store.buffers, name, bytemuck::pod_collect_to_vec(&bytes))?;
        self.version.changed();
        Ok(())
    }

    /// Copies all variables back, as they are behind the steps submitted so far.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read_all(&self) -> Result<Readback<NamedArrays>> {
        self.read(|layout| {
            let entry = |name: &String| (name.clone(), layout.entries[name].clone());
            layout.order.iter().map(entry).collect()
        })
    }

    /// Copies what is chosen of the layout back.
    pub(super) fn read(
        &self,
        chosen: impl FnOnce(&VariableLayout) -> Vec<(String, Entry)>,
    ) -> Result<Readback<NamedArrays>> {
        let store = self.store();
        let entries = chosen(&store.layout);
        let regions: Vec<Region> = entries
            .iter()
            .map(|(_, entry)| Region {
                buffer: store.buffers[&entry.location.buffer].clone(),
                offset: entry.location.offset,
                bytes: entry.location.bytes,
            })
            .collect();
        let bytes = self.readbacks.read(&self.gpu, &regions, None)?;
        Ok(Readback::new(async move {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes.await?);
            let mut rest = values.as_slice();
            let mut arrays = Vec::with_capacity(entries.len());
            for (name, entry) in entries {
                let (mine, others) = rest.split_at(entry.ty.elements());
                rest = others;
                let array =
                    ArrayD::from_shape_vec(IxDyn(&entry.ty.shape), entry.format.restore(&entry.ty, mine.to_vec()));
                arrays.push((name, array.map_err(|error| Error::shape("read_all", &entry.ty, error))?));
            }
            Ok(arrays)
        }))
    }

    /// [`Variables::read_all`], blocking.
    ///
    /// # Errors
    /// When the device fails.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_all_blocking(&self) -> Result<NamedArrays> {
        let pending = self.read_all()?;
        self.gpu.wait_blocking()?;
        pollster::block_on(pending)
    }
}

impl Entry {
    /// Writes row-major values to the device.
    pub(super) fn write(
        &self,
        gpu: &Gpu,
        buffers: &HashMap<BufferRef, wgpu::Buffer>,
        what: &str,
        values: Vec<f32>,
    ) -> Result<()> {
        let values = self.format.arrange(&self.ty, values);
        let Location { buffer, offset, .. } = self.location;
        let average = self.location.mirrored(BufferRef::Averages).and_then(|at| buffers.get(&at.buffer));
        let mut places = std::iter::once(&buffers[&buffer]).chain(average);
        places.try_for_each(|buffer| gpu.write_buffer(what, buffer, offset, bytemuck::cast_slice(&values)))
    }
}

fn unknown(name: &str) -> Error {
    Error::Session(format!("no variable `{name}` is declared"))
}
