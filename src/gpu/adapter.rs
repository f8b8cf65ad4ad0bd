//! Which adapter: listed, ranked, filtered by what the user asked for, opened with all it has.

use std::cmp::Reverse;
use std::path::PathBuf;

use super::capabilities::COOPERATIVE;
use crate::error::{Error, Result};

/// What the user wants of the adapter. The environment variables `OMMA_BACKEND` (such as `vulkan` or `metal,dx12`) and
/// `OMMA_ADAPTER` (a part of the name) fill in what is not set here.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// Back ends to look at; by default Vulkan, Metal, DX12 and the browser's WebGPU. GLES only where asked for.
    pub backends: Option<wgpu::Backends>,
    /// A part of the adapter's name, in any case.
    pub adapter: Option<String>,
    /// A folder in which compiled pipelines are kept for the next process ([`GpuOptions::pipeline_cache`]).
    pub pipeline_cache: Option<PathBuf>,
    /// Whether to open the device with cooperative matrices ([`GpuOptions::cooperative_matrices`]).
    pub cooperative: bool,
}

impl GpuOptions {
    /// Takes the adapter whose name contains `name`.
    pub fn adapter(name: impl Into<String>) -> Self {
        Self { adapter: Some(name.into()), ..Self::default() }
    }

    /// Keeps compiled pipelines in this folder, in a file for each adapter and driver, where the driver has something to
    /// keep (Vulkan's do). The file is written when sessions have compiled something new. A folder that cannot be read or
    /// written, and a file that is damaged or foreign, cost a warning in the log and the time to compile.
    pub fn pipeline_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.pipeline_cache = Some(folder.into());
        self
    }

    /// Opens the device with cooperative matrices (tensor cores) of f16 into f32 where the adapter has them: kernels use them
    /// in sessions with [`PlanOptions::half_precision`](crate::PlanOptions::half_precision). wgpu calls the feature
    /// experimental, and says that a mistake in its implementation may be undefined behaviour: hence nothing asks for it but
    /// this. The first such session of a device waits for a small product that is computed with them; where that is not
    /// exact, they are not used, and the log has a warning.
    pub fn cooperative_matrices(mut self) -> Self {
        self.cooperative = true;
        self
    }

    fn resolved(&self) -> Result<(wgpu::Backends, Option<String>)> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let backends = match (self.backends, variable("OMMA_BACKEND")) {
            (Some(backends), _) => backends,
            (None, Some(names)) => parse_backends(&names)?,
            (None, None) => wgpu::Backends::PRIMARY,
        };
        Ok((backends, self.adapter.clone().or_else(|| variable("OMMA_ADAPTER"))))
    }
}

fn parse_backends(names: &str) -> Result<wgpu::Backends> {
    names.split(',').map(|name| name.trim().to_ascii_lowercase()).try_fold(wgpu::Backends::empty(), |all, name| {
        let one = match name.as_str() {
            "vulkan" | "vk" => wgpu::Backends::VULKAN,
            "metal" | "mtl" => wgpu::Backends::METAL,
            "dx12" | "d3d12" => wgpu::Backends::DX12,
            "gl" | "gles" | "opengl" => wgpu::Backends::GL,
            "webgpu" => wgpu::Backends::BROWSER_WEBGPU,
            _ => {
                let message = format!("unknown back end `{name}`; known are vulkan, metal, dx12, gl and webgpu");
                return Err(Error::argument("OMMA_BACKEND", message));
            }
        };
        Ok(all | one)
    })
}

/// Features that kernels and tools use where the adapter has them; none is needed.
const USEFUL: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::PIPELINE_CACHE);

/// One adapter as `omma devices` lists it.
#[derive(Debug, Clone)]
pub struct AdapterSummary {
    /// Name, type, driver, back end.
    pub info: wgpu::AdapterInfo,
    /// The most that a device on it may ask for.
    pub limits: wgpu::Limits,
    /// The features it offers.
    pub features: wgpu::Features,
    /// Whether [`Gpu::new`](crate::Gpu::new) with the same options would open it.
    pub chosen: bool,
    /// Why it is chosen or not.
    pub reason: String,
}

/// Every adapter of the machine, best first, and which one `options` chooses.
///
/// # Errors
/// When `OMMA_BACKEND` names no back end. An empty list is no error.
pub async fn adapters(options: &GpuOptions) -> Result<Vec<AdapterSummary>> {
    let (backends, wanted) = options.resolved()?;
    let mut chosen = false;
    let list = enumerate(backends).await.into_iter().map(|adapter| {
        let info = adapter.get_info();
        let fits = fits(&info, wanted.as_deref());
        let reason = match (fits, chosen, &wanted) {
            (false, _, Some(name)) => format!("its name does not contain `{name}`"),
            (true, true, _) => "a better one comes first".to_string(),
            (_, _, Some(name)) => format!("the first whose name contains `{name}`"),
            _ if info.device_type == wgpu::DeviceType::Cpu => "software, as there is no GPU".to_string(),
            _ => "the fastest kind of adapter here".to_string(),
        };
        let this = fits && !chosen;
        chosen |= this;
        AdapterSummary { info, limits: adapter.limits(), features: adapter.features(), chosen: this, reason }
    });
    Ok(list.collect())
}

/// All adapters, best first: discrete, integrated, virtual, unknown, software; wgpu's order among equals.
async fn enumerate(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let instance = wgpu::Instance::new(descriptor);
    #[cfg(not(target_arch = "wasm32"))]
    let mut adapters = instance.enumerate_adapters(backends).await;
    #[cfg(target_arch = "wasm32")]
    let mut adapters: Vec<wgpu::Adapter> = instance
        .request_adapter(&wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        })
        .await
        .into_iter()
        .collect();
    adapters.sort_by_key(|adapter| {
        let info = adapter.get_info();
        let speed = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => 4,
            wgpu::DeviceType::IntegratedGpu => 3,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 1,
            wgpu::DeviceType::Cpu => 0,
        };
        // OpenGL shows the same hardware again, with fewer abilities.
        Reverse((speed, info.backend != wgpu::Backend::Gl))
    });
    adapters
}

fn fits(info: &wgpu::AdapterInfo, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|name| info.name.to_lowercase().contains(&name.to_lowercase()))
}

pub(super) async fn choose(options: &GpuOptions) -> Result<wgpu::Adapter> {
    let (backends, wanted) = options.resolved()?;
    let adapters = enumerate(backends).await;
    if adapters.is_empty() {
        // Another back end may have one.
        let only = if backends == wgpu::Backends::PRIMARY { String::new() } else { format!(" in {backends:?}") };
        return Err(Error::NoAdapter(format!("no GPU adapter found{only}. {INSTALL}")));
    }
    let names: Vec<String> = adapters.iter().map(|adapter| format!("`{}`", adapter.get_info().name)).collect();
    let Some(adapter) = adapters.into_iter().find(|adapter| fits(&adapter.get_info(), wanted.as_deref())) else {
        let wanted = wanted.unwrap_or_default();
        return Err(Error::NoAdapter(format!("no adapter's name contains `{wanted}`; there is {}", names.join(", "))));
    };
    let info = adapter.get_info();
    if info.device_type == wgpu::DeviceType::Cpu {
        log::warn!("no GPU in use: computing on the software adapter {} ({})", info.name, info.driver_info);
    }
    Ok(adapter)
}

const INSTALL: &str = "Install a Vulkan driver: your GPU's own, or a software one \
    (Debian, Ubuntu: mesa-vulkan-drivers; Fedora: mesa-vulkan-drivers; Arch: vulkan-swrast; Alpine: mesa-vulkan-swrast)";

pub(super) async fn open(adapter: &wgpu::Adapter, cooperative: bool) -> Result<(wgpu::Device, wgpu::Queue)> {
    let cooperative = cooperative && adapter.features().contains(COOPERATIVE);
    let (useful, experimental_features) = match cooperative {
        true => (USEFUL | COOPERATIVE, experimental()),
        false => (USEFUL, wgpu::ExperimentalFeatures::disabled()),
    };
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("omma"),
        required_features: adapter.features() & useful,
        experimental_features,
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::Performance,
        ..Default::default()
    };
    adapter
        .request_device(&descriptor)
        .await
        .map_err(|error| Error::NoAdapter(format!("the adapter `{}` gave no device: {error}", adapter.get_info().name)))
}

/// The caller's leave to use what wgpu calls experimental, passed on.
#[allow(unsafe_code, reason = "wgpu has no other way to ask for cooperative matrices")]
fn experimental() -> wgpu::ExperimentalFeatures {
    // SAFETY: wgpu asks that its user knows of undefined behaviour that its implementation may have. Only a caller of
    // `GpuOptions::cooperative_matrices` gets here, whose documentation says so; the kernels stay within bounds, are
    // validated like all others, and compute nothing of the caller's before they were checked on the device.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
