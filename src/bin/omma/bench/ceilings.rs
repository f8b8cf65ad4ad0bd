//! What this adapter can do at most: multiply-adds in registers, and a copy, measured beside everything else.
//!
//! The harness is plain wgpu on the library's device.

use std::time::Instant;

use omma::wgpu;
use omma::wgpu::util::DeviceExt;
use omma::{Error, Gpu, Result};

use super::timing::{Timing, milliseconds};

/// Billions a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ceilings {
    /// Floating-point operations, two for a multiply-add, by the median.
    pub(crate) gflops: f64,
    /// Bytes read and bytes written, together, by the median.
    pub(crate) gbps: f64,
    pub(crate) fma: Timing,
    pub(crate) copy: Timing,
}

/// Accumulators, as groups and as chains of a group, and multiply-adds of each in an iteration.
const GROUPS: u64 = 4;
const WIDTH: u64 = 3;
const ROUNDS: u64 = 8;
const ITERATIONS: u64 = 256;
const WORKGROUP: u64 = 64;
/// A dispatch of the chains: enough for every core of the largest GPU.
const FMA_WORKGROUPS: u64 = 4096;
/// Bytes of each side of the copy: more than the caches of most devices hold.
const COPY_BYTES: u64 = 64 << 20;
/// A submission is to last so long, so that submitting it does not show.
const SUBMISSION_MS: f64 = 10.0;
const MOST_DISPATCHES: u32 = 1024;

impl Ceilings {
    pub(crate) fn measure(gpu: &Gpu) -> Result<Self> {
        let software = gpu.capabilities().class == omma::DeviceClass::Cpu;
        let workgroups = if software { FMA_WORKGROUPS / 64 } else { FMA_WORKGROUPS };
        let invocations = workgroups * WORKGROUP;
        let flops = invocations * ITERATIONS * GROUPS * WIDTH * ROUNDS * 4 * 2;
        let fma = Probe::new(gpu, &fma_source()?, [32, invocations * 16], &[("ITERATIONS", ITERATIONS as f64)])?;
        let fma = fma.time(gpu, [workgroups as u32, 1])?;

        let limits = &gpu.capabilities().limits;
        let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        // Whole rows of workgroups, a power of two of them.
        let bytes = COPY_BYTES.min(1 << most.max(1 << 20).ilog2());
        let text = include_str!("../../../../shaders/bench/copy.wgsl");
        let copy = Probe::new(gpu, text, [bytes, bytes], &[("WORKGROUP", WORKGROUP as f64)])?;
        let rows = (bytes / 16 / WORKGROUP) as u32;
        let copy = copy.time(gpu, [rows / 256, 256])?;
        Ok(Self { gflops: fma.rate(flops), gbps: copy.rate(2 * bytes), fma, copy })
    }

    /// How near work of so many operations and bytes that took so many milliseconds is to what bounds it.
    pub(crate) fn fraction(&self, flops: u64, bytes: u64, milliseconds: f64) -> f64 {
        let least = (flops as f64 / self.gflops).max(bytes as f64 / self.gbps) / 1e6;
        least / milliseconds
    }
}

fn fma_source() -> Result<String> {
    let mut environment = minijinja::Environment::new();
    environment.set_trim_blocks(true);
    let variables = minijinja::context! { groups => GROUPS, width => WIDTH, rounds => ROUNDS };
    let text = environment.render_str(include_str!("../../../../shaders/bench/fma.wgsl"), variables);
    text.map_err(|error| Error::Validation(format!("template of fma.wgsl: {error:#}")))
}

/// A kernel that reads one buffer and writes another.
struct Probe {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
}

impl Probe {
    fn new(gpu: &Gpu, text: &str, [source, result]: [u64; 2], constants: &[(&str, f64)]) -> Result<Self> {
        let device = gpu.device();
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("ceiling"),
            source: wgpu::ShaderSource::Wgsl(text.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("ceiling"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
            cache: None,
        });
        // Halves: chains of them neither grow nor become subnormal, and a copy of them is a copy of numbers.
        let contents = 0.5_f32.to_le_bytes().repeat(source as usize / 4);
        let usage = wgpu::BufferUsages::STORAGE;
        let source = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("ceiling"),
            contents: &contents,
            usage,
        });
        let result = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("ceiling"),
            size: result,
            usage,
            mapped_at_creation: false,
        });
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("ceiling"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[(0, &source), (1, &result)]
                .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }),
        });
        for error in [pollster::block_on(memory.pop()), pollster::block_on(scope.pop())] {
            error.map_or(Ok(()), |error| Err(Error::Validation(format!("ceilings: {error}"))))?;
        }
        Ok(Self { pipeline, bind_group })
    }

    /// The time of one dispatch, of as many in one submission as hide what the submission costs.
    fn time(&self, gpu: &Gpu, [x, y]: [u32; 2]) -> Result<Timing> {
        let submission = |count: u32| -> Result<f64> {
            let start = Instant::now();
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.bind_group, &[]);
            (0..count).for_each(|_| pass.dispatch_workgroups(x, y, 1));
            drop(pass);
            gpu.queue().submit([encoder.finish()]);
            gpu.wait_blocking()?;
            Ok(milliseconds(start.elapsed()) / f64::from(count))
        };
        submission(1)?;
        let mut count = 1;
        while count < MOST_DISPATCHES && submission(count)? * f64::from(count) < SUBMISSION_MS {
            count *= 2;
        }
        Timing::of(|| submission(count))
    }
}
