//! A plan with its buffers: what runs steps.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ndarray::{ArrayD, IxDyn};

use super::host::{Element, HostTensor};
use super::memory::ALIGNMENT;
use super::prepare::{Ready, prepare};
use super::readback::{Readback, ReadbackPool, Region};
use super::staging::Ring;
use super::{BufferRef, Fetch, Location, Plan, PlanOptions, TEXTURE_WIDTH, Variables};
use crate::error::{Error, Result};
use crate::gpu::{Compiling, Gpu, Pipeline};
use crate::graph::{DType, Graph, LEARNING_RATE, MOMENTUM, STEP, Tensor, TensorId};

/// A graph ready to run on a device: everything compiled, allocated and bound.
///
/// A step is one command buffer: the inputs' copy, then every dispatch of forward, backward and optimizer. Nothing waits
/// for the GPU but the functions whose name ends in `_blocking`, and what is awaited.
#[derive(Debug)]
pub struct Session {
    pub(super) gpu: Gpu,
    pub(super) variables: Variables,
    pub(super) plan: Plan,
    pub(super) buffers: HashMap<BufferRef, wgpu::Buffer>,
    pub(super) textures: Vec<wgpu::Texture>,
    pub(super) dispatches: Vec<Ready>,
    ring: Ring,
    pub(super) readbacks: ReadbackPool,
    /// Current values of the settings, as the words the device gets.
    settings: Vec<u32>,
    step: u32,
    /// The version of the variables that is copied and computed with, once the device has done so.
    pub(super) kept: Arc<AtomicU64>,
}

/// What a metric added up ([`Graph::metric`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Σ weight·value.
    pub sum: f64,
    /// Σ weight.
    pub weight: f64,
}

impl Metric {
    /// The mean value; NaN when no step was counted.
    pub fn mean(&self) -> f64 {
        self.sum / self.weight
    }
}

impl Session {
    /// Plans `graph`, declares its variables in `variables`, and makes everything that a step needs. `fetch` names the
    /// tensors that will be read; anything else may be overwritten within the step.
    ///
    /// # Errors
    /// When the graph does not fit the device, a variable is known with another shape, or the device fails.
    pub fn new(gpu: &Gpu, graph: &Graph, fetch: &[Tensor<'_>], variables: &Variables) -> Result<Self> {
        Self::with_options(gpu, graph, fetch, variables, &PlanOptions::default())
    }

    /// [`Session::new`] with kernel preferences or diagnostics.
    ///
    /// # Errors
    /// See [`Session::new`].
    pub fn with_options(
        gpu: &Gpu,
        graph: &Graph,
        fetch: &[Tensor<'_>],
        variables: &Variables,
        options: &PlanOptions,
    ) -> Result<Self> {
        Self::with_progress(gpu, graph, fetch, variables, options, |_| ())
    }

    /// [`Session::with_options`], telling on the calling thread of each kernel that was compiled.
    ///
    /// ```
    /// # use omma::{Compiling, Gpu, GpuOptions, Graph, Mode, PlanOptions, Session, Variables};
    /// # fn main() -> omma::Result<()> {
    /// # let graph = Graph::new(Mode::Evaluation);
    /// # let y = graph.input("x", 4)?.relu()?;
    /// # let gpu = Gpu::new_blocking(&GpuOptions::default())?;
    /// # let (variables, options) = (Variables::new(&gpu, 0), PlanOptions::default());
    /// Session::with_progress(&gpu, &graph, &[y], &variables, &options, |Compiling { done, total, label, .. }| {
    ///     println!("{done} of {total}: {label}");
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Session::new`].
    pub fn with_progress(
        gpu: &Gpu,
        graph: &Graph,
        fetch: &[Tensor<'_>],
        variables: &Variables,
        options: &PlanOptions,
        mut progress: impl FnMut(Compiling<'_>),
    ) -> Result<Self> {
        #[cfg(not(target_arch = "wasm32"))]
        let options = &options.resolved(gpu, graph, fetch)?;
        let layout = variables.declare(graph)?;
        let plan = Plan::new(graph, fetch, &layout, gpu.capabilities(), options)?;
        let mut buffers = variables.buffers();
        let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let slabs = plan.slabs.iter().enumerate().map(|(i, &bytes)| (BufferRef::Slab(i), bytes));
        let gradients = plan.gradients.iter().map(|&(arena, bytes)| (BufferRef::Gradients(arena), bytes));
        let single = [
            (BufferRef::Inputs, plan.input_bytes),
            (BufferRef::Constants, plan.constants.bytes),
            (BufferRef::Metrics, plan.metrics.len() as u64 * ALIGNMENT),
        ];
        for (key, bytes) in slabs.chain(gradients).chain(single) {
            if bytes > 0 {
                buffers.insert(key, gpu.create_buffer(&format!("{key:?}"), bytes, storage)?);
            }
        }
        if let Some(constants) = buffers.get(&BufferRef::Constants) {
            for (offset, values) in plan.constants.values() {
                gpu.write_buffer("constants", constants, offset, bytemuck::cast_slice(&values))?;
            }
        }
        let rows = plan.texture_rows().enumerate();
        let textures: Vec<wgpu::Texture> = rows
            .map(|(i, rows)| gpu.create_texture(&format!("{:?}", BufferRef::Texture(i)), [TEXTURE_WIDTH as u32, rows]))
            .collect::<Result<_>>()?;
        let dispatches = prepare(gpu, &plan, &buffers, &textures, &mut progress)?;
        let settings = plan.feeds.iter().map(|feed| feed.default.map_or(0, f32::to_bits)).collect();
        let ring = Ring::new(gpu, plan.input_bytes)?;
        let readbacks = ReadbackPool::default();
        let variables = variables.clone();
        Ok(Self {
            gpu: gpu.clone(),
            variables,
            plan,
            buffers,
            textures,
            dispatches,
            ring,
            readbacks,
            settings,
            step: 0,
            kept: Arc::default(),
        })
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Number of steps that this session has recorded.
    pub fn step(&self) -> u32 {
        self.step
    }

    /// The learning rate of the following steps.
    ///
    /// # Errors
    /// When the graph has no optimizer or the rate is not finite.
    pub fn set_learning_rate(&mut self, rate: f32) -> Result<()> {
        if !rate.is_finite() {
            return Err(Error::argument(LEARNING_RATE, format!("expected a finite number, got {rate}")));
        }
        self.set(LEARNING_RATE, rate, "the graph has no optimizer")
    }

    /// The momentum, or the first beta, of all optimizers of the graph in the following steps. Adam corrects its bias by the
    /// beta of the step, as PyTorch does.
    ///
    /// # Errors
    /// When the graph has no optimizer with momentum, or the value is not at least 0 and below 1.
    pub fn set_momentum(&mut self, momentum: f32) -> Result<()> {
        if !(0.0..1.0).contains(&momentum) {
            return Err(Error::argument(MOMENTUM, format!("expected at least 0 and below 1, got {momentum}")));
        }
        self.set(MOMENTUM, momentum, "the graph has no optimizer with momentum")
    }

    fn set(&mut self, setting: &str, value: f32, absent: &str) -> Result<()> {
        let index = self.plan.feeds.iter().position(|feed| feed.default.is_some() && feed.name == setting);
        let index = index.ok_or_else(|| Error::Session(absent.into()))?;
        self.settings[index] = value.to_bits();
        Ok(())
    }

    /// Completes when the next step can be recorded at once.
    ///
    /// # Errors
    /// When the device is lost, or has reported an error that belongs to no call.
    pub async fn ready(&mut self) -> Result<()> {
        self.gpu.check()?;
        self.ring.ready().await
    }

    /// Runs one step: waits for a free staging buffer, sends the inputs, submits. It does not wait for the result.
    ///
    /// # Errors
    /// When the inputs are not exactly those of the graph, or the device fails.
    pub async fn run(&mut self, inputs: &[(&str, HostTensor<'_>)]) -> Result<()> {
        self.check_inputs(inputs)?;
        self.ready().await?;
        self.submit(inputs)
    }

    /// [`Session::run`], blocking for the staging buffer.
    ///
    /// # Errors
    /// See [`Session::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_blocking(&mut self, inputs: &[(&str, HostTensor<'_>)]) -> Result<()> {
        pollster::block_on(self.run(inputs))
    }

    fn submit(&mut self, inputs: &[(&str, HostTensor<'_>)]) -> Result<()> {
        let gpu = self.gpu.clone();
        let commands = gpu.guard("step", || {
            let descriptor = wgpu::CommandEncoderDescriptor { label: Some("step") };
            let mut encoder = gpu.device().create_command_encoder(&descriptor);
            self.encode(&mut encoder, inputs).map(|()| encoder.finish())
        })??;
        gpu.submit("step", commands)
    }

    /// Records one step into the host's encoder: no submission, no wait. The host submits the encoder once; until its
    /// work has run, the step's results are not there. An encoder that is dropped instead gives its staging buffer back.
    /// Variables that are changed between recording and submitting are seen by the next recording.
    ///
    /// # Errors
    /// [`Error::Busy`] when every staging buffer is in flight (await [`Session::ready`]), and those of [`Session::run`].
    pub fn encode(&mut self, encoder: &mut wgpu::CommandEncoder, inputs: &[(&str, HostTensor<'_>)]) -> Result<()> {
        self.encode_inputs(encoder, inputs)?;
        self.record(encoder, self.every_step());
        Ok(())
    }

    /// The dispatches of every step.
    pub(super) fn every_step(&self) -> &[Ready] {
        &self.dispatches[self.plan.kept_steps..]
    }

    /// Dispatches with the copies between them.
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder, dispatches: &[Ready]) {
        let mut rest = dispatches;
        while !rest.is_empty() {
            self.copy(encoder, &rest[0].copies);
            let end = rest.iter().skip(1).position(|dispatch| dispatch.begins_pass);
            let (now, later) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            self.pass(encoder, now);
            rest = later;
        }
    }

    /// Dispatches of one compute pass.
    fn pass(&self, encoder: &mut wgpu::CommandEncoder, dispatches: &[Ready]) {
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("omma"), timestamp_writes: None });
        let mut current: Option<&Arc<Pipeline>> = None;
        for dispatch in dispatches {
            if !current.is_some_and(|pipeline| Arc::ptr_eq(pipeline, &dispatch.pipeline)) {
                pass.set_pipeline(&dispatch.pipeline.pipeline);
                current = Some(&dispatch.pipeline);
            }
            dispatch.record(&mut pass);
        }
    }

    /// What a step begins with: it counts, and its inputs are copied to the device.
    pub(super) fn encode_inputs(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &[(&str, HostTensor<'_>)],
    ) -> Result<()> {
        self.gpu.check()?;
        self.check_inputs(inputs)?;
        let staging = self.ring.take()?;
        self.step = self.step.wrapping_add(1);
        if let Some(staging) = staging {
            self.write_inputs(&staging, inputs)?;
            staging.unmap();
            encoder.copy_buffer_to_buffer(&staging, 0, &self.buffers[&BufferRef::Inputs], 0, None);
            self.ring.recorded(encoder);
        }
        self.renew_kept(encoder);
        Ok(())
    }

    /// Every input given once, with a fitting type and shape, and nothing else.
    fn check_inputs(&self, inputs: &[(&str, HostTensor<'_>)]) -> Result<()> {
        let wanted = || self.plan.feeds.iter().filter(|feed| feed.default.is_none());
        for (index, (name, value)) in inputs.iter().enumerate() {
            let Some(feed) = wanted().find(|feed| feed.name == *name) else {
                let names: Vec<&str> = wanted().map(|feed| feed.name.as_str()).collect();
                return Err(Error::Session(format!("no input `{name}`; the inputs are {}", names.join(", "))));
            };
            if inputs[..index].iter().any(|(other, _)| other == name) {
                return Err(Error::Session(format!("input `{name}` is given twice")));
            }
            let fits = match &value.shape {
                Some(shape) => *shape == feed.ty.shape,
                None => value.values.len() == feed.ty.elements(),
            };
            let (given, wanted) = (value.values.dtype(), feed.ty.dtype);
            if !fits || !(given == wanted || (given, wanted) == (DType::U8, DType::U32)) {
                let shape = value.shape.as_ref().map_or(format!("[{}]", value.values.len()), ToString::to_string);
                return Err(Error::shape(format!("input `{name}`"), &feed.ty, format!("{given}{shape}")));
            }
        }
        match wanted().find(|feed| !inputs.iter().any(|(name, _)| *name == feed.name)) {
            Some(feed) => Err(Error::Session(format!("input `{}` ({}) is missing", feed.name, feed.ty))),
            None => Ok(()),
        }
    }

    fn write_inputs(&self, staging: &wgpu::Buffer, inputs: &[(&str, HostTensor<'_>)]) -> Result<()> {
        let view = staging.get_mapped_range_mut(..);
        let mut view = view.map_err(|error| Error::Validation(format!("staging: {error}")))?;
        let mut put = |offset: u64, bytes: &[u8]| {
            let start = offset as usize;
            view.slice(start..start + bytes.len()).copy_from_slice(bytes);
        };
        for (feed, setting) in self.plan.feeds.iter().zip(&self.settings) {
            if feed.default.is_some() {
                let word = if feed.name == STEP { self.variables.next_step() } else { *setting };
                put(feed.offset, &word.to_le_bytes());
            } else if let Some((_, value)) = inputs.iter().find(|(name, _)| *name == feed.name) {
                // `check_inputs` has seen that the types fit.
                put(feed.offset, &value.values.bytes_as(feed.ty.dtype).unwrap_or_default());
            }
        }
        Ok(())
    }

    fn fetch(&self, tensor: TensorId) -> Result<&Fetch> {
        self.plan.fetches.get(&tensor).ok_or_else(|| {
            Error::Session(format!("%{} was not in the list of tensors to fetch: its memory is reused", tensor.index))
        })
    }

    /// The element type of a fetched tensor.
    ///
    /// # Errors
    /// When the tensor was not in the session's fetch list.
    pub fn dtype(&self, tensor: impl Into<TensorId>) -> Result<DType> {
        self.fetch(tensor.into()).map(|fetch| fetch.ty.dtype)
    }

    pub(super) fn region(&self, location: &Location) -> Region {
        let bytes = location.bytes.next_multiple_of(4);
        Region { buffer: self.buffers[&location.buffer].clone(), offset: location.offset, bytes }
    }

    /// Copies a fetched tensor back. The copy is submitted now, behind the steps before it; the future brings the array
    /// and does not borrow the session, so further steps may run meanwhile.
    ///
    /// # Errors
    /// When the tensor was not in the session's fetch list or has another element type.
    pub fn read<T: Element>(&self, tensor: impl Into<TensorId>) -> Result<Readback<ArrayD<T>>> {
        let Fetch { ty, location } = self.fetch(tensor.into())?;
        if ty.dtype != T::DTYPE {
            return Err(Error::shape("read", ty.dtype, T::DTYPE));
        }
        let bytes = self.readbacks.read(&self.gpu, &[self.region(location)], None)?;
        let (shape, count) = (IxDyn(&ty.shape), ty.elements());
        Ok(Readback::new(async move {
            let bytes = bytes.await?;
            let values: Vec<T> = bytemuck::pod_collect_to_vec(&bytes[..count * size_of::<T>()]);
            ArrayD::from_shape_vec(shape, values).map_err(|error| Error::shape("read", count, error))
        }))
    }

    /// [`Session::read`], blocking until the device has run everything submitted.
    ///
    /// # Errors
    /// When [`Session::read`] refuses the tensor, or the device fails.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_blocking<T: Element>(&self, tensor: impl Into<TensorId>) -> Result<ArrayD<T>> {
        let pending = self.read(tensor)?;
        self.gpu.wait_blocking()?;
        pollster::block_on(pending)
    }

    /// The fetched tensor that [`Graph::name`] or an input's declaration gave this name.
    ///
    /// # Errors
    /// When no fetched tensor has this name.
    pub fn tensor(&self, name: &str) -> Result<TensorId> {
        let id = self.plan.names.get(name).copied();
        id.ok_or_else(|| Error::Session(format!("no fetched tensor is named `{name}`")))
    }

    /// Every metric since the last call, in order of declaration; the sums start anew behind the
    /// steps submitted so far. The queue goes on meanwhile.
    ///
    /// # Errors
    /// When the graph has no metric or the device fails.
    pub fn take_metrics(&self) -> Result<Readback<Vec<Metric>>> {
        let names: Vec<String> = self.plan.metrics.iter().map(|(name, _)| name.clone()).collect();
        let Some(buffer) = self.buffers.get(&BufferRef::Metrics) else {
            return Err(Error::Session("the graph has no metric".into()));
        };
        let region = Region { buffer: buffer.clone(), offset: 0, bytes: names.len() as u64 * ALIGNMENT };
        let bytes = self.readbacks.read(&self.gpu, &[region], Some(buffer))?;
        Ok(Readback::new(async move {
            let words: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes.await?);
            let stride = ALIGNMENT as usize / 4;
            let sums = names.into_iter().zip(words.chunks(stride));
            let metric = |(name, pair): (String, &[f32])| Metric { name, sum: pair[0].into(), weight: pair[1].into() };
            Ok(sums.map(metric).collect())
        }))
    }

    /// [`Session::take_metrics`], blocking.
    ///
    /// # Errors
    /// See [`Session::take_metrics`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn take_metrics_blocking(&self) -> Result<Vec<Metric>> {
        let pending = self.take_metrics()?;
        self.gpu.wait_blocking()?;
        pollster::block_on(pending)
    }
}
