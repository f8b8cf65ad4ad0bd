//! The device: chosen here or lent by the host, with its limits, its pipelines and its failures as [`Error`]s.

mod adapter;
mod capabilities;
mod compile;
mod failure;
mod parallel;
mod pipelines;
#[cfg(not(target_arch = "wasm32"))]
mod poller;
mod store;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_channel::oneshot;

pub use adapter::{AdapterSummary, GpuOptions, adapters};
pub use capabilities::{Capabilities, Cooperative, DeviceClass};
pub use compile::{Compiling, Starting};
pub use pipelines::BindingKind;
pub(crate) use pipelines::{Pipeline, PipelineSource, TEXEL};

use crate::error::{Error, Result};
use failure::Failures;
use pipelines::Pipelines;
use store::Store;

/// A wgpu device with everything Omma keeps for it. Clones share it; it may be used from several threads.
#[derive(Debug, Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    capabilities: Capabilities,
    /// The same once cooperative matrices were checked.
    checked: OnceLock<Capabilities>,
    pipelines: Pipelines,
    /// Where compiled pipelines are kept for the next process, if anywhere.
    store: Option<Store>,
    failures: Arc<Failures>,
    counters: Counters,
    /// Who hears of what takes long.
    watcher: OnceLock<compile::Watcher>,
    #[cfg(not(target_arch = "wasm32"))]
    poller: poller::Poller,
}

#[derive(Debug, Default)]
struct Counters {
    pipelines: AtomicU64,
    buffers: AtomicU64,
    buffer_bytes: AtomicU64,
    textures: AtomicU64,
    texture_bytes: AtomicU64,
    bind_groups: AtomicU64,
    submissions: AtomicU64,
}

/// How many objects Omma has made on a device so far. A warmed-up step changes none but the submissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Statistics {
    /// Compute pipelines compiled.
    pub pipelines: u64,
    /// Buffers created.
    pub buffers: u64,
    /// Bytes of all buffers created.
    pub buffer_bytes: u64,
    /// Textures created.
    pub textures: u64,
    /// Bytes of all textures created.
    pub texture_bytes: u64,
    /// Bind groups created.
    pub bind_groups: u64,
    /// Command buffers submitted by Omma itself.
    pub submissions: u64,
}

impl Gpu {
    /// Opens the best adapter that fits `options`, with all the limits it has.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with what to install when there is none, or with the list when none fits.
    pub async fn new(options: &GpuOptions) -> Result<Self> {
        let adapter = adapter::choose(options).await?;
        let (device, queue) = adapter::open(&adapter, options.cooperative).await?;
        let failures = Arc::new(Failures::default());
        // The device is ours alone, so its last-resort handlers are ours too.
        let lost = failures.clone();
        device.set_device_lost_callback(move |reason, message| lost.device_lost(format!("{reason:?}: {message}")));
        let stray = failures.clone();
        device.on_uncaptured_error(Arc::new(move |error| stray.stray(error)));
        let folder = options.pipeline_cache.as_deref();
        let store = folder.and_then(|folder| Store::open(&device, &failures, &adapter.get_info(), folder));
        Ok(Self::assemble(&adapter, device, queue, failures, store))
    }

    /// [`Gpu::new`], waiting for it.
    ///
    /// # Errors
    /// See [`Gpu::new`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new_blocking(options: &GpuOptions) -> Result<Self> {
        pollster::block_on(Self::new(options))
    }

    /// Takes the host's device. Nothing more is requested of it: Omma stays within the limits and features that the
    /// device was opened with, sets no callback on it, and only ever polls it for work it waits for.
    pub fn from_wgpu(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::assemble(adapter, device, queue, Arc::default(), None)
    }

    fn assemble(
        adapter: &wgpu::Adapter,
        device: wgpu::Device,
        queue: wgpu::Queue,
        failures: Arc<Failures>,
        store: Option<Store>,
    ) -> Self {
        let downlevel = adapter.get_downlevel_capabilities().flags;
        let capabilities = Capabilities::new(adapter.get_info(), device.limits(), device.features(), downlevel)
            .with_cooperative(&adapter.cooperative_matrix_properties());
        Self {
            inner: Arc::new(Inner {
                #[cfg(not(target_arch = "wasm32"))]
                poller: poller::Poller::new(device.clone()),
                device,
                queue,
                capabilities,
                checked: OnceLock::new(),
                pipelines: Pipelines::default(),
                store,
                failures,
                counters: Counters::default(),
                watcher: OnceLock::new(),
            }),
        }
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// What the device is and what it allows.
    pub fn capabilities(&self) -> &Capabilities {
        self.inner.checked.get().unwrap_or(&self.inner.capabilities)
    }

    /// Records what a check of cooperative matrices has found.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn settle_cooperative(&self, cooperative: Cooperative) {
        self.inner.checked.get_or_init(|| Capabilities { cooperative, ..self.inner.capabilities.clone() });
    }

    /// What Omma has made on this device so far.
    pub fn statistics(&self) -> Statistics {
        let counters = &self.inner.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            pipelines: get(&counters.pipelines),
            buffers: get(&counters.buffers),
            buffer_bytes: get(&counters.buffer_bytes),
            textures: get(&counters.textures),
            texture_bytes: get(&counters.texture_bytes),
            bind_groups: get(&counters.bind_groups),
            submissions: get(&counters.submissions),
        }
    }

    /// An error when the device is lost or reported a failure outside every call.
    pub(crate) fn check(&self) -> Result<()> {
        self.inner.failures.check()
    }

    /// Records that the device is gone, as a failed mapping shows.
    pub(crate) fn report_lost(&self, message: String) -> Error {
        self.inner.failures.device_lost(message);
        self.check().err().unwrap_or_else(|| Error::DeviceLost(String::new()))
    }

    /// Runs wgpu calls inside error scopes and returns what the device said of them.
    pub(crate) fn guard<T>(&self, what: &str, calls: impl FnOnce() -> T) -> Result<T> {
        failure::guard(&self.inner.device, &self.inner.failures, what, calls)
    }

    pub(crate) fn create_buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        self.new_buffer(label, size, usage, false)
    }

    /// [`Gpu::create_buffer`], mapped: the host may write to it at once.
    pub(crate) fn create_mapped(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        self.new_buffer(label, size, usage, true)
    }

    fn new_buffer(
        &self,
        label: &str,
        size: u64,
        usage: wgpu::BufferUsages,
        mapped_at_creation: bool,
    ) -> Result<wgpu::Buffer> {
        let limit = self.inner.capabilities.limits.max_buffer_size;
        if size > limit {
            let what = format!("the buffer `{label}`");
            return Err(Error::Limit { what, needed: size, limit: "max_buffer_size", allowed: limit });
        }
        let buffer = self.guard(label, || {
            let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation };
            self.inner.device.create_buffer(&descriptor)
        })?;
        self.inner.counters.buffers.fetch_add(1, Ordering::Relaxed);
        self.inner.counters.buffer_bytes.fetch_add(size, Ordering::Relaxed);
        Ok(buffer)
    }

    /// A texture that kernels write and read, of [`TEXEL`]s.
    pub(crate) fn create_texture(&self, label: &str, [width, height]: [u32; 2]) -> Result<wgpu::Texture> {
        let descriptor = wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: TEXEL,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        };
        let texture = self.guard(label, || self.inner.device.create_texture(&descriptor))?;
        self.inner.counters.textures.fetch_add(1, Ordering::Relaxed);
        let bytes = u64::from(width) * u64::from(height) * 16;
        self.inner.counters.texture_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(texture)
    }

    pub(crate) fn create_bind_group(
        &self,
        label: &str,
        pipeline: &Pipeline,
        bindings: Vec<wgpu::BindingResource<'_>>,
    ) -> Result<wgpu::BindGroup> {
        let entry = |(binding, resource)| wgpu::BindGroupEntry { binding, resource };
        let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..).zip(bindings).map(entry).collect();
        let layout = &pipeline.layout;
        let descriptor = wgpu::BindGroupDescriptor { label: Some(label), layout, entries: &entries };
        let group = self.guard(label, || self.inner.device.create_bind_group(&descriptor))?;
        self.inner.counters.bind_groups.fetch_add(1, Ordering::Relaxed);
        Ok(group)
    }

    pub(crate) fn write_buffer(&self, what: &str, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        self.guard(what, || self.inner.queue.write_buffer(buffer, offset, bytes))
    }

    /// Writes a whole texture of [`TEXEL`]s.
    pub(crate) fn write_texture(&self, what: &str, texture: &wgpu::Texture, bytes: &[u8]) -> Result<()> {
        let bytes_per_row = Some(texture.width() * 16);
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row, rows_per_image: None };
        self.guard(what, || self.inner.queue.write_texture(texture.as_image_copy(), bytes, layout, texture.size()))
    }

    pub(crate) fn submit(&self, what: &str, commands: wgpu::CommandBuffer) -> Result<()> {
        self.guard(what, || self.inner.queue.submit([commands]))?;
        self.inner.counters.submissions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits for what a wgpu callback sends, keeping the device polled meanwhile (a browser polls by itself).
    pub(crate) async fn receive<T>(&self, mut receiver: oneshot::Receiver<T>) -> Result<T> {
        match self.receive_or_cancelled(&mut receiver).await {
            Some(value) => Ok(value),
            None => Err(self.report_lost("a callback was dropped".into())),
        }
    }

    /// [`Gpu::receive`], with `None` when the callback was dropped uncalled.
    pub(crate) async fn receive_or_cancelled<T>(&self, receiver: &mut oneshot::Receiver<T>) -> Option<T> {
        match receiver.try_recv() {
            Ok(Some(value)) => return Some(value),
            Ok(None) => {}
            Err(oneshot::Canceled) => return None,
        }
        #[cfg(not(target_arch = "wasm32"))]
        let _polling = self.inner.poller.start();
        receiver.await.ok()
    }

    /// Blocks until everything submitted so far has run.
    ///
    /// # Errors
    /// When the device is lost, or has reported an error that belongs to no call.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait_blocking(&self) -> Result<()> {
        match self.inner.device.poll(wgpu::PollType::wait_indefinitely()) {
            Ok(_) => self.check(),
            Err(error) => Err(Error::Validation(error.to_string())),
        }
    }
}
