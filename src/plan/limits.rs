//! What a plan must not exceed: the device's limits, and wgpu's rules.

use super::{Plan, Step};
use crate::error::{Error, Result};
use crate::gpu::{BindingKind, Capabilities};

/// Holds the buffers of a session against the device's limit.
pub(super) fn check_buffers(plan: &Plan, capabilities: &Capabilities) -> Result<()> {
    let allowed = capabilities.limits.max_buffer_size;
    let single = [("the inputs together", plan.input_bytes), ("the constants together", plan.constants.bytes)];
    let slabs = plan.slabs.iter().map(|&bytes| ("a tensor", bytes));
    match slabs.chain(single).find(|(_, needed)| *needed > allowed) {
        Some((what, needed)) => Err(Error::Limit { what: what.into(), needed, limit: "max_buffer_size", allowed }),
        None => Ok(()),
    }
}

/// Holds a step against the device's limits and wgpu's rule that no buffer is read-only and writable at once.
pub(super) fn check_step(step: &Step, capabilities: &Capabilities) -> Result<()> {
    let limits = &capabilities.limits;
    let title = || format!("{} ({})", step.node, step.kernel.label());
    let buffers = || step.bindings.iter().filter(|(_, kind)| !kind.is_texture());
    for (location, _) in buffers() {
        if location.bytes > limits.max_storage_buffer_binding_size {
            return Err(Error::Limit {
                what: format!("a tensor of {}", title()),
                needed: location.bytes,
                limit: "max_storage_buffer_binding_size",
                allowed: limits.max_storage_buffer_binding_size,
            });
        }
    }
    let count = buffers().count() as u64;
    if count > u64::from(limits.max_storage_buffers_per_shader_stage) {
        return Err(Error::Limit {
            what: title(),
            needed: count,
            limit: "max_storage_buffers_per_shader_stage",
            allowed: u64::from(limits.max_storage_buffers_per_shader_stage),
        });
    }
    for (read, _) in step.bindings.iter().filter(|(_, kind)| *kind == BindingKind::Read) {
        let clash = step.bindings.iter().any(|(w, kind)| *kind == BindingKind::ReadWrite && w.buffer == read.buffer);
        if clash {
            return Err(Error::Graph(format!("{} reads and writes one buffer ({:?})", title(), read.buffer)));
        }
    }
    Ok(())
}
