//! What a plan says of itself: memory before allocation, kernels, dispatches.

use std::fmt;

use super::{Choice, Plan, TEXTURE_WIDTH};
use crate::gpu::BindingKind;

/// Bytes that a session of a plan allocates, known before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryReport {
    /// Activations, their gradients and scratch, shared by lifetime.
    pub slabs: u64,
    /// Scratch in textures.
    pub textures: u64,
    /// Gradients of parameters.
    pub gradients: u64,
    /// Inputs, constants, metrics and kernel parameters.
    pub small: u64,
    /// Host-visible buffers through which the inputs go.
    pub staging: u64,
}

impl MemoryReport {
    /// All memory that a session allocates for its steps. The variables, which sessions share, come on top
    /// ([`VariableLayout::bytes`](crate::VariableLayout::bytes)), and so do buffers for what is read back.
    pub fn total(&self) -> u64 {
        self.slabs + self.textures + self.gradients + self.small + self.staging
    }
}

/// How often a step lets everything before end before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Barriers {
    /// What wgpu records between the dispatches, which tracks whole buffers.
    pub recorded: usize,
    /// What the dispatches need in their order: each where one uses what another since the last barrier has written, or
    /// writes what it has read.
    pub needed: usize,
}

impl Plan {
    /// The barriers of a step.
    pub fn barriers(&self) -> Barriers {
        self.barriers
    }

    /// The number of compute passes that a step is recorded in.
    pub fn passes(&self) -> usize {
        self.every_step().iter().filter(|step| step.begins_pass).count()
    }

    /// The session's device memory.
    pub fn memory(&self) -> MemoryReport {
        let metrics = super::memory::ALIGNMENT * self.metrics.len() as u64;
        MemoryReport {
            slabs: self.slabs.iter().sum(),
            textures: self.texture_rows().map(|rows| u64::from(rows) * TEXTURE_WIDTH as u64 * 16).sum(),
            gradients: self.gradients.iter().map(|(_, bytes)| bytes).sum(),
            staging: super::staging::DEPTH as u64 * self.input_bytes,
            small: self.input_bytes + self.constants.bytes + metrics + self.uniforms.len() as u64,
        }
    }

    /// Rows of each texture.
    pub(super) fn texture_rows(&self) -> impl Iterator<Item = u32> {
        // What a texture cannot hold was refused, so that its rows fit a u32.
        self.textures.iter().map(|texels| texels.div_ceil(TEXTURE_WIDTH) as u32)
    }

    /// Number of dispatches of one step. What is done once for many steps, such as packing the filters of an
    /// inference, does not count.
    pub fn dispatches(&self) -> usize {
        self.every_step().len()
    }

    /// The dispatches of every step.
    pub(super) fn every_step(&self) -> &[super::Step] {
        &self.steps[self.kept_steps..]
    }

    /// Which kernel variants were chosen, and what else there was.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// The kernels in order of execution, for printing their source or checking it.
    pub fn kernels(&self) -> impl Iterator<Item = &super::Kernel> {
        self.steps.iter().map(|step| &step.kernel)
    }

    /// How each kernel binds its buffers and textures, in order of execution, from binding 1 on.
    pub fn bindings(&self) -> impl Iterator<Item = Vec<BindingKind>> {
        self.steps.iter().map(|step| step.bindings.iter().map(|&(_, kind)| kind).collect())
    }
}

/// One line a dispatch, then the chosen variants, under the names by which [`PlanOptions::exclude`] knows them, then the
/// memory.
///
/// [`PlanOptions::exclude`]: crate::PlanOptions::exclude
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let kernel = step.kernel.label();
            let once = if index < self.kept_steps { " once" } else { "" };
            writeln!(f, "{index:4} {:32} {kernel:40} {:?}{once}", step.node, step.workgroups)?;
        }
        for Choice { node, kernel, chosen, .. } in &self.choices {
            writeln!(f, "     {node:32} {kernel}[{chosen}]")?;
        }
        let (memory, Barriers { recorded, needed }) = (self.memory(), self.barriers);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "{} dispatches, {recorded} barriers ({needed} needed); {:.2} MiB: {:.2} in {} slabs, {:.2} in {} textures, {:.2} gradients, {:.2} inputs and small buffers, {:.2} staging",
            self.dispatches(),
            mib(memory.total()),
            mib(memory.slabs),
            self.slabs.len(),
            mib(memory.textures),
            self.textures.len(),
            mib(memory.gradients),
            mib(memory.small),
            mib(memory.staging)
        )
    }
}
