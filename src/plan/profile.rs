//! Where the time of a step goes: every dispatch timed by itself.

use std::collections::HashMap;

use futures_channel::oneshot;

use super::host::HostTensor;
use super::prepare::Ready;
use super::readback::Region;
use super::session::Session;
use super::{Plan, Step};
use crate::error::Result;
use crate::gpu::Gpu;

/// What a [`Profile`] was timed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The device's own timestamps, written around each dispatch of one submission.
    Timestamps,
    /// The host's clock: each dispatch was submitted alone and waited for, so that every time has a submission in it.
    Wall,
}

/// The times of one step.
#[derive(Debug, Clone)]
pub struct Profile {
    /// What was timed with.
    pub clock: Clock,
    /// In order of execution.
    pub dispatches: Vec<DispatchProfile>,
}

/// One dispatch: what it is, how much work it does and how long it took.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DispatchProfile {
    /// The node that it computes or helps to compute, as in the graph's dump: ``conv2d `conv1` ``.
    pub node: String,
    /// That node's number in the plan: the dispatches of one node have it in common.
    pub number: usize,
    /// That node's layer, or empty.
    pub layer: String,
    /// The kernel: `conv2d.forward[naive]`.
    pub kernel: String,
    /// The grid.
    pub workgroups: [u32; 3],
    /// Nanoseconds from the start of the step's first dispatch to the start of this one.
    pub start: f64,
    /// Nanoseconds that it took, the copies into textures that it reads included.
    pub nanoseconds: f64,
    /// Floating-point operations of the node, two for a multiply-add: those that the formula needs, given to the node's
    /// longest dispatch that converts no format. 0 for operations that memory bounds.
    pub flops: u64,
    /// Bytes of everything that it binds, each once.
    pub bytes: u64,
}

impl Profile {
    /// Nanoseconds of all dispatches together.
    pub fn nanoseconds(&self) -> f64 {
        self.dispatches.iter().map(|dispatch| dispatch.nanoseconds).sum()
    }

    /// Several profiles of one session as one: of every dispatch the median start and the median time, each for itself.
    /// `None` where there is no profile, or where they are of different plans.
    pub fn median(profiles: &[Self]) -> Option<Self> {
        let mut all = profiles.first()?.clone();
        let kernels = |profile: &Self| profile.dispatches.iter().map(|d| d.kernel.clone()).collect::<Vec<_>>();
        if profiles.iter().any(|profile| kernels(profile) != kernels(&all)) {
            return None;
        }
        let mut flops: HashMap<usize, u64> = HashMap::new();
        for (index, dispatch) in all.dispatches.iter_mut().enumerate() {
            let of = |time: fn(&DispatchProfile) -> f64| middle(profiles.iter().map(|p| time(&p.dispatches[index])));
            (dispatch.start, dispatch.nanoseconds) = (of(|d| d.start), of(|d| d.nanoseconds));
            *flops.entry(dispatch.number).or_default() += dispatch.flops;
        }
        all.give_work(&flops);
        Some(all)
    }

    /// Puts times, as (start, end) in nanoseconds, to the steps of a plan.
    fn new(clock: Clock, plan: &Plan, times: &[(f64, f64)]) -> Self {
        let origin = times.first().map_or(0.0, |&(start, _)| start);
        let dispatches = plan
            .every_step()
            .iter()
            .zip(times)
            .map(|(step, &(start, end))| DispatchProfile {
                node: step.node.clone(),
                number: step.number,
                layer: step.layer.clone(),
                kernel: step.kernel.label(),
                workgroups: step.workgroups,
                start: start - origin,
                // A device may write a coarse end before a fine start.
                nanoseconds: (end - start).max(0.0),
                flops: 0,
                bytes: step.bytes(),
            })
            .collect();
        let mut profile = Self { clock, dispatches };
        profile.give_work(&plan.every_step().iter().map(|step| (step.number, step.flops)).collect());
        profile
    }

    /// Gives the operations of each node to its longest dispatch, but not to a conversion between formats.
    fn give_work(&mut self, flops: &HashMap<usize, u64>) {
        let mut longest: HashMap<usize, usize> = HashMap::new();
        for (index, dispatch) in self.dispatches.iter().enumerate() {
            let best = longest.entry(dispatch.number).or_insert(index);
            let rank = |dispatch: &DispatchProfile| (!dispatch.kernel.starts_with("format."), dispatch.nanoseconds);
            if rank(dispatch) > rank(&self.dispatches[*best]) {
                *best = index;
            }
        }
        for (index, dispatch) in self.dispatches.iter_mut().enumerate() {
            let given = longest.get(&dispatch.number) == Some(&index);
            dispatch.flops = if given { flops.get(&dispatch.number).copied().unwrap_or(0) } else { 0 };
        }
    }
}

/// The median, the larger one of two.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

impl Step {
    /// Bytes of everything that it binds, each once.
    fn bytes(&self) -> u64 {
        let distinct = |index: usize| !self.bindings[..index].iter().any(|(at, _)| *at == self.bindings[index].0);
        (0..self.bindings.len()).filter(|&index| distinct(index)).map(|index| self.bindings[index].0.bytes).sum()
    }
}

/// How the end of a dispatch is awaited where the host's clock times it.
#[derive(Debug, Clone, Copy)]
enum Wait {
    Future,
    #[cfg(not(target_arch = "wasm32"))]
    Block,
}

impl Wait {
    async fn idle(self, gpu: &Gpu) -> Result<()> {
        match self {
            Self::Future => {
                let (sender, receiver) = oneshot::channel();
                gpu.queue().on_submitted_work_done(move || {
                    let _ = sender.send(());
                });
                gpu.receive(receiver).await
            }
            #[cfg(not(target_arch = "wasm32"))]
            Self::Block => gpu.wait_blocking(),
        }
    }
}

impl Session {
    /// Runs one step as [`Session::run`] does, timing every dispatch: by the device's timestamps where it has them, else by
    /// the host's clock, and the result says which. It makes buffers and waits; it is no part of a training loop.
    ///
    /// # Errors
    /// When the inputs are not exactly those of the graph, or the device fails.
    pub async fn profile(&mut self, inputs: &[(&str, HostTensor<'_>)]) -> Result<Profile> {
        self.profile_with(inputs, Wait::Future).await
    }

    /// [`Session::profile`], blocking. Where there are no timestamps this is the more accurate one.
    ///
    /// # Errors
    /// See [`Session::profile`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn profile_blocking(&mut self, inputs: &[(&str, HostTensor<'_>)]) -> Result<Profile> {
        pollster::block_on(self.profile_with(inputs, Wait::Block))
    }

    async fn profile_with(&mut self, inputs: &[(&str, HostTensor<'_>)], wait: Wait) -> Result<Profile> {
        self.ready().await?;
        // What was submitted before must not run into the first time.
        wait.idle(&self.gpu).await?;
        if self.gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            let times = self.timestamps(inputs).await?;
            return Ok(Profile::new(Clock::Timestamps, self.plan(), &times));
        }
        let times = self.wall_times(inputs, wait).await?;
        Ok(Profile::new(Clock::Wall, self.plan(), &times))
    }

    /// Start and end of every dispatch in nanoseconds, one compute pass each.
    async fn timestamps(&mut self, inputs: &[(&str, HostTensor<'_>)]) -> Result<Vec<(f64, f64)>> {
        const TICKS_OF_A_PASS: u32 = 2;
        const PASSES: usize = (wgpu::QUERY_SET_MAX_QUERIES / TICKS_OF_A_PASS) as usize;
        let gpu = self.gpu.clone();
        if self.every_step().is_empty() {
            self.run(inputs).await?;
            return Ok(Vec::new());
        }
        // Before the first dispatch an empty pass: where copies come before a dispatch, it begins when the last pass ends.
        let passes: Vec<Option<usize>> = std::iter::once(None).chain((0..self.every_step().len()).map(Some)).collect();
        let bytes = passes.len() as u64 * u64::from(TICKS_OF_A_PASS * wgpu::QUERY_SIZE);
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let ticks = gpu.create_buffer("timestamps", bytes, usage)?;
        let commands = gpu.guard("profile", || -> Result<wgpu::CommandBuffer> {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            self.encode_inputs(&mut encoder, inputs)?;
            let mut offset = 0;
            for passes in passes.chunks(PASSES) {
                let count = passes.len() as u32 * TICKS_OF_A_PASS;
                let set = gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("timestamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count,
                });
                for (first, dispatch) in (0..).step_by(TICKS_OF_A_PASS as usize).zip(passes) {
                    let dispatch = dispatch.map(|index| &self.every_step()[index]);
                    if let Some(dispatch) = dispatch {
                        self.copy(&mut encoder, &dispatch.copies);
                    }
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                        label: None,
                        timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                            query_set: &set,
                            beginning_of_pass_write_index: Some(first),
                            end_of_pass_write_index: Some(first + 1),
                        }),
                    });
                    if let Some(dispatch) = dispatch {
                        pass.set_pipeline(&dispatch.pipeline.pipeline);
                        dispatch.record(&mut pass);
                    }
                }
                // A full set's ticks are a multiple of the alignment that the next one's offset needs.
                encoder.resolve_query_set(&set, 0..count, &ticks, offset);
                offset += u64::from(count * wgpu::QUERY_SIZE);
            }
            Ok(encoder.finish())
        })??;
        gpu.submit("profile", commands)?;
        let read = self.readbacks.read(&gpu, &[Region { buffer: ticks, offset: 0, bytes }], None)?.await?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&read);
        let period = f64::from(gpu.queue().get_timestamp_period());
        // Counted from the first, so that no digit is lost in a double.
        let origin = ticks.first().copied().unwrap_or(0);
        let since = |tick: u64| tick.wrapping_sub(origin) as i64 as f64 * period;
        let times: Vec<(f64, f64)> = ticks.chunks_exact(2).map(|pair| (since(pair[0]), since(pair[1]))).collect();
        let start = |(index, dispatch): (usize, &Ready)| match dispatch.copies.is_empty() {
            true => times[index + 1],
            false => (times[index].1, times[index + 1].1),
        };
        Ok(self.every_step().iter().enumerate().map(start).collect())
    }

    #[cfg(target_arch = "wasm32")]
    async fn wall_times(&mut self, _: &[(&str, HostTensor<'_>)], _: Wait) -> Result<Vec<(f64, f64)>> {
        Err(crate::error::Error::Session("profile: this device has no timestamps, and a browser no clock".into()))
    }

    /// Start and end of every dispatch in nanoseconds, each submitted alone.
    #[cfg(not(target_arch = "wasm32"))]
    async fn wall_times(&mut self, inputs: &[(&str, HostTensor<'_>)], wait: Wait) -> Result<Vec<(f64, f64)>> {
        let gpu = self.gpu.clone();
        let commands = gpu.guard("profile", || {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            self.encode_inputs(&mut encoder, inputs).map(|()| encoder.finish())
        })??;
        gpu.submit("profile", commands)?;
        wait.idle(&gpu).await?;
        let origin = std::time::Instant::now();
        let now = || origin.elapsed().as_nanos() as f64;
        let mut times = Vec::with_capacity(self.every_step().len());
        for dispatch in self.every_step() {
            let commands = gpu.guard("profile", || {
                let mut encoder = gpu.device().create_command_encoder(&Default::default());
                self.copy(&mut encoder, &dispatch.copies);
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&dispatch.pipeline.pipeline);
                dispatch.record(&mut pass);
                drop(pass);
                encoder.finish()
            })?;
            let start = now();
            gpu.submit("profile", commands)?;
            wait.idle(&gpu).await?;
            times.push((start, now()));
        }
        Ok(times)
    }
}
