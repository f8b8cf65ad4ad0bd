//! From the device to the host: a copy into a mapped buffer, awaited without stopping the queue.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_channel::oneshot;

use crate::error::{Error, Result};
use crate::gpu::Gpu;

/// A range of a buffer.
#[derive(Debug, Clone)]
pub(super) struct Region {
    pub(super) buffer: wgpu::Buffer,
    pub(super) offset: u64,
    /// A multiple of 4.
    pub(super) bytes: u64,
}

/// Buffers that the host can map, kept for the next readback.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadbackPool(Arc<Mutex<Vec<wgpu::Buffer>>>);

impl ReadbackPool {
    fn buffers(&self) -> std::sync::MutexGuard<'_, Vec<wgpu::Buffer>> {
        // A panic elsewhere leaves the list intact.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The smallest free buffer of at least `bytes`, or a new one.
    fn take(&self, gpu: &Gpu, bytes: u64) -> Result<wgpu::Buffer> {
        let mut buffers = self.buffers();
        let best = (0..buffers.len()).filter(|&i| buffers[i].size() >= bytes).min_by_key(|&i| buffers[i].size());
        match best {
            Some(index) => Ok(buffers.swap_remove(index)),
            None => gpu.create_buffer("readback", bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
        }
    }

    /// Submits copies of the regions, then zeros for the buffer `clear`, and returns the bytes, one after the other, when
    /// they have come.
    pub(super) fn read(
        &self,
        gpu: &Gpu,
        regions: &[Region],
        clear: Option<&wgpu::Buffer>,
    ) -> Result<Readback<Vec<u8>>> {
        let total: u64 = regions.iter().map(|region| region.bytes).sum();
        let size = total.max(4);
        let buffer = self.take(gpu, size)?;
        let (sender, receiver) = oneshot::channel();
        let commands = gpu.guard("readback", || {
            let mut encoder =
                gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("readback") });
            let mut offset = 0;
            for region in regions {
                encoder.copy_buffer_to_buffer(&region.buffer, region.offset, &buffer, offset, Some(region.bytes));
                offset += region.bytes;
            }
            if let Some(buffer) = clear {
                encoder.clear_buffer(buffer, 0, None);
            }
            encoder.map_buffer_on_submit(&buffer, wgpu::MapMode::Read, 0..size, move |result| {
                // Nobody may be waiting any more.
                let _ = sender.send(result);
            });
            encoder.finish()
        })?;
        gpu.submit("readback", commands)?;
        let (gpu, pool) = (gpu.clone(), self.clone());
        Ok(Readback::new(async move {
            if let Err(error) = gpu.receive(receiver).await? {
                return Err(gpu.report_lost(format!("readback: {error}")));
            }
            let view = buffer.get_mapped_range(0..size);
            let view = view.map_err(|error| Error::Validation(format!("readback: {error}")))?;
            let bytes = view[..total as usize].to_vec();
            drop(view);
            buffer.unmap();
            pool.buffers().push(buffer);
            Ok(bytes)
        }))
    }
}

#[cfg(not(target_arch = "wasm32"))]
type Pending<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;
/// A browser's objects stay on their thread.
#[cfg(target_arch = "wasm32")]
type Pending<T> = Pin<Box<dyn Future<Output = Result<T>>>>;

/// A value on its way from the device. It borrows nothing: steps may go on while it is awaited.
#[must_use = "the value comes by awaiting it"]
pub struct Readback<T>(Pending<T>);

impl<T> Readback<T> {
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn new(future: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }

    #[cfg(target_arch = "wasm32")]
    pub(super) fn new(future: impl Future<Output = Result<T>> + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl<T> Future for Readback<T> {
    type Output = Result<T>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> std::fmt::Debug for Readback<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readback").finish_non_exhaustive()
    }
}
