//! The dispatches of a plan with everything that they are recorded from: made once, before the first step.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::{BufferRef, Plan, Step, TextureCopy};
use crate::error::Result;
use crate::gpu::{BindingKind, Compiling, Gpu, Pipeline, PipelineSource};

/// A dispatch with all that it is recorded from.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    workgroups: [u32; 3],
    pub(super) copies: Vec<TextureCopy>,
    pub(super) begins_pass: bool,
}

impl Ready {
    /// Into a pass whose pipeline is set.
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_bind_group(0, &self.bind_group, &[]);
        let [x, y, z] = self.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
}

/// Compiles every kernel and binds every buffer.
pub(super) fn prepare(
    gpu: &Gpu,
    plan: &Plan,
    buffers: &HashMap<BufferRef, wgpu::Buffer>,
    textures: &[wgpu::Texture],
    progress: &mut dyn FnMut(Compiling<'_>),
) -> Result<Vec<Ready>> {
    if plan.steps.is_empty() {
        return Ok(Vec::new());
    }
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let uniforms = gpu.create_buffer("params", plan.uniforms.len() as u64, usage)?;
    gpu.write_buffer("params", &uniforms, 0, &plan.uniforms)?;
    let views: Vec<wgpu::TextureView> =
        textures.iter().map(|texture| texture.create_view(&Default::default())).collect();
    let pipelines = gpu.pipelines(&sources(plan)?, progress)?;
    let mut dispatches = Vec::with_capacity(plan.steps.len());
    for (step, pipeline) in plan.steps.iter().zip(pipelines) {
        // Kernels may read whole vec4s; a tensor's place is padded for it.
        let size = |bytes: u64| std::num::NonZeroU64::new(bytes.next_multiple_of(16));
        let binding = |buffer, offset, bytes| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: size(bytes) })
        };
        let mut bindings = vec![binding(&uniforms, step.params.0, step.params.1)];
        bindings.extend(step.bindings.iter().map(|(at, _)| match at.buffer {
            BufferRef::Texture(number) => wgpu::BindingResource::TextureView(&views[number]),
            buffer => binding(&buffers[&buffer], at.offset, at.bytes),
        }));
        let label = format!("{} {}", step.kernel.label(), step.node);
        let bind_group = gpu.create_bind_group(&label, &pipeline, bindings)?;
        let Step { workgroups, begins_pass, .. } = *step;
        dispatches.push(Ready { pipeline, bind_group, workgroups, copies: step.copies.clone(), begins_pass });
    }
    Ok(dispatches)
}

/// What the pipeline of each step is made from. A text that several steps share is rendered once.
fn sources(plan: &Plan) -> Result<Vec<PipelineSource>> {
    let mut texts: HashMap<_, Arc<str>> = HashMap::new();
    let mut sources = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let kernel = &step.kernel;
        let text = match texts.entry((kernel.shader.name, &kernel.template)) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => entry.insert(kernel.source()?).clone(),
        };
        let kinds = step.bindings.iter().map(|&(_, kind)| kind);
        sources.push(PipelineSource {
            label: kernel.label(),
            text,
            entry: kernel.entry,
            constants: kernel.constants.clone(),
            bindings: std::iter::once(BindingKind::Uniform).chain(kinds).collect(),
        });
    }
    Ok(sources)
}
