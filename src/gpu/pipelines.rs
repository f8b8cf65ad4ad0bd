//! Compute pipelines: what determines one, and those that a device has.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::failure::lock;

/// The format of every texture: four f32 a texel, so that a texel is read as a `vec4<f32>` of a buffer would be.
pub(crate) const TEXEL: wgpu::TextureFormat = wgpu::TextureFormat::Rgba32Float;

/// How a kernel uses a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BindingKind {
    /// A uniform buffer: the kernel's `Params`.
    Uniform,
    /// A read-only storage buffer.
    Read,
    /// A storage buffer that is written.
    ReadWrite,
    /// A read-only storage texture of four f32 a texel.
    TextureRead,
}

impl BindingKind {
    /// Whether the kernel writes to it.
    pub fn writes(self) -> bool {
        self == Self::ReadWrite
    }

    /// Whether it is a texture.
    pub fn is_texture(self) -> bool {
        self == Self::TextureRead
    }

    fn layout(self) -> wgpu::BindingType {
        let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
        match self {
            Self::Uniform => buffer(wgpu::BufferBindingType::Uniform),
            Self::Read => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
            Self::ReadWrite => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
            Self::TextureRead => wgpu::BindingType::StorageTexture {
                access: wgpu::StorageTextureAccess::ReadOnly,
                format: TEXEL,
                view_dimension: wgpu::TextureViewDimension::D2,
            },
        }
    }
}

/// All that determines a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct PipelineSource {
    /// `conv2d.forward[tiled]`
    pub(crate) label: String,
    /// The whole WGSL text.
    pub(crate) text: Arc<str>,
    pub(crate) entry: &'static str,
    /// Values of the pipeline's `override` constants.
    pub(crate) constants: Vec<(&'static str, f64)>,
    /// Bindings 0, 1, 2, ... of group 0.
    pub(crate) bindings: Vec<BindingKind>,
}

/// A compiled kernel.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

type Key = (Arc<str>, &'static str, Vec<(&'static str, u64)>, Vec<BindingKind>);

impl PipelineSource {
    /// All but the label, which changes nothing.
    fn key(&self) -> Key {
        let constants = self.constants.iter().map(|&(name, value)| (name, value.to_bits())).collect();
        (self.text.clone(), self.entry, constants, self.bindings.clone())
    }
}

/// Every pipeline of the device.
#[derive(Debug, Default)]
pub(super) struct Pipelines(Mutex<HashMap<Key, Arc<Pipeline>>>);

impl Pipelines {
    /// What of `sources` is not there, each once.
    pub(super) fn missing<'a>(&self, sources: &'a [PipelineSource]) -> Vec<&'a PipelineSource> {
        let there = lock(&self.0);
        let mut seen = HashSet::new();
        let missing = sources.iter().filter(|source| {
            let key = source.key();
            !there.contains_key(&key) && seen.insert(key)
        });
        missing.collect()
    }

    pub(super) fn add(&self, source: &PipelineSource, pipeline: Pipeline) {
        lock(&self.0).entry(source.key()).or_insert_with(|| Arc::new(pipeline));
    }

    pub(super) fn get(&self, source: &PipelineSource) -> Option<Arc<Pipeline>> {
        lock(&self.0).get(&source.key()).cloned()
    }
}

pub(super) fn compile(device: &wgpu::Device, source: &PipelineSource, cache: Option<&wgpu::PipelineCache>) -> Pipeline {
    let label = Some(source.label.as_str());
    let entries: Vec<wgpu::BindGroupLayoutEntry> = (0..)
        .zip(&source.bindings)
        .map(|(binding, kind)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: kind.layout(),
            count: None,
        })
        .collect();
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label,
        source: wgpu::ShaderSource::Wgsl(source.text.as_ref().into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(source.entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &source.constants,
            // Every kernel writes its workgroup memory before it reads it.
            zero_initialize_workgroup_memory: false,
        },
        cache,
    });
    Pipeline { pipeline, layout }
}
