//! The ring of mapped buffers through which every step's inputs go: no allocation and no wait while one is free.

use std::collections::VecDeque;

use futures_channel::oneshot;

use crate::error::{Error, Result};
use crate::gpu::Gpu;

/// Steps that may be in flight: one running, one queued, one being written.
pub(super) const DEPTH: usize = 3;

type Mapped = oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>;

#[derive(Debug)]
struct Slot {
    buffer: wgpu::Buffer,
    /// Set while the buffer is with the device.
    pending: Option<Mapped>,
}

/// Staging buffers in the order in which they come back.
#[derive(Debug)]
pub(super) struct Ring {
    gpu: Gpu,
    slots: VecDeque<Slot>,
}

impl Ring {
    pub(super) fn new(gpu: &Gpu, bytes: u64) -> Result<Self> {
        let mut ring = Self { gpu: gpu.clone(), slots: VecDeque::new() };
        for _ in 0..if bytes == 0 { 0 } else { DEPTH } {
            let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
            let buffer = gpu.create_mapped("staging", bytes, usage)?;
            ring.slots.push_back(Slot { buffer, pending: None });
        }
        Ok(ring)
    }

    /// Waits until the oldest slot is free.
    pub(super) async fn ready(&mut self) -> Result<()> {
        let Some(slot) = self.slots.front_mut() else { return Ok(()) };
        while let Some(pending) = slot.pending.as_mut() {
            // Borrowed, so that a caller who stops waiting leaves the slot as it is.
            let now = self.gpu.receive_or_cancelled(pending).await;
            slot.settle(now.map_or(Err(oneshot::Canceled), |result| Ok(Some(result))), &self.gpu)?;
        }
        Ok(())
    }

    /// A free, mapped buffer, or [`Error::Busy`].
    pub(super) fn take(&mut self) -> Result<Option<wgpu::Buffer>> {
        let depth = self.slots.len();
        let Some(slot) = self.slots.front_mut() else { return Ok(None) };
        if let Some(pending) = slot.pending.as_mut() {
            let now = pending.try_recv();
            slot.settle(now, &self.gpu)?;
        }
        if slot.pending.is_some() {
            return Err(Error::Busy(depth));
        }
        Ok(Some(slot.buffer.clone()))
    }

    /// The buffer taken last was written, unmapped and recorded: it is mapped again after the host submits, and its slot
    /// goes to the end of the ring.
    pub(super) fn recorded(&mut self, encoder: &wgpu::CommandEncoder) {
        let Some(mut slot) = self.slots.pop_front() else { return };
        let (sender, receiver) = oneshot::channel();
        encoder.map_buffer_on_submit(&slot.buffer, wgpu::MapMode::Write, .., move |result| {
            // The session may be gone by then.
            let _ = sender.send(result);
        });
        slot.pending = Some(receiver);
        self.slots.push_back(slot);
    }
}

impl Slot {
    /// Takes note of what the channel said.
    fn settle(
        &mut self,
        now: Result<Option<Result<(), wgpu::BufferAsyncError>>, oneshot::Canceled>,
        gpu: &Gpu,
    ) -> Result<()> {
        match now {
            Ok(None) => Ok(()),
            Ok(Some(Ok(()))) => {
                self.pending = None;
                Ok(())
            }
            Ok(Some(Err(error))) => Err(gpu.report_lost(format!("staging: {error}"))),
            // The encoder was dropped unsubmitted: the buffer is unmapped and idle.
            Err(oneshot::Canceled) => {
                self.pending = Some(map(&self.buffer));
                Ok(())
            }
        }
    }
}

fn map(buffer: &wgpu::Buffer) -> Mapped {
    let (sender, receiver) = oneshot::channel();
    buffer.map_async(wgpu::MapMode::Write, .., move |result| {
        let _ = sender.send(result);
    });
    receiver
}
