//! What a plan says of itself: memory before allocation, kernels, dispatches.

use std::fmt;

use super::{Choice, Plan};

/// Bytes that a session of a plan allocates, known before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryReport {
    /// Activations, their gradients and scratch, shared by lifetime.
    pub slabs: u64,
    /// Gradients of parameters.
    pub gradients: u64,
    /// Inputs, constants, metrics and kernel parameters.
    pub small: u64,
}

impl MemoryReport {
    /// All device memory of the session; the variables, which sessions share, come on top.
    pub fn total(&self) -> u64 {
        self.slabs + self.gradients + self.small
    }
}

impl Plan {
    /// The session's device memory.
    pub fn memory(&self) -> MemoryReport {
        let metrics = super::memory::ALIGNMENT * self.metrics.len() as u64;
        MemoryReport {
            slabs: self.slabs.iter().sum(),
            gradients: self.gradients.iter().map(|(_, bytes)| bytes).sum(),
            small: self.input_bytes + self.constant_bytes + metrics + self.uniforms.len() as u64,
        }
    }

    /// Number of dispatches of one step.
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// Which kernel variants were chosen, and what else there was.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// The kernels in order of execution, for printing their source or checking it.
    pub fn kernels(&self) -> impl Iterator<Item = &super::Kernel> {
        self.steps.iter().map(|step| &step.kernel)
    }

    /// How each kernel binds its buffers, in order of execution: `false` for read-only, from binding 1 on.
    pub fn bindings(&self) -> impl Iterator<Item = Vec<bool>> {
        let writable = |kind| kind == crate::gpu::BindingKind::ReadWrite;
        self.steps.iter().map(move |step| step.bindings.iter().map(|&(_, kind)| writable(kind)).collect())
    }
}

/// One line a dispatch, then the memory.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let kernel = step.kernel.label();
            writeln!(f, "{index:4} {:32} {kernel:40} {:?}", step.node, step.workgroups)?;
        }
        let memory = self.memory();
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "{} dispatches; {:.2} MiB: {:.2} in {} slabs, {:.2} gradients, {:.2} inputs and small buffers",
            self.steps.len(),
            mib(memory.total()),
            mib(memory.slabs),
            self.slabs.len(),
            mib(memory.gradients),
            mib(memory.small)
        )
    }
}
