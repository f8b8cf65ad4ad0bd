//! Keeps a native device polled while somebody awaits it, so that futures finish under any executor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Between two looks at the device: short against a dispatch with a wait, long against what a look costs.
const INTERVAL: Duration = Duration::from_micros(100);

#[derive(Debug)]
pub(super) struct Poller {
    device: wgpu::Device,
    waiting: Arc<AtomicUsize>,
}

/// While it lives, a thread polls the device.
#[derive(Debug)]
pub(super) struct Polling(Arc<AtomicUsize>);

impl Poller {
    pub(super) fn new(device: wgpu::Device) -> Self {
        Self { device, waiting: Arc::default() }
    }

    pub(super) fn start(&self) -> Polling {
        if self.waiting.fetch_add(1, Ordering::AcqRel) == 0 {
            let (device, waiting) = (self.device.clone(), self.waiting.clone());
            let spawned = std::thread::Builder::new().name("omma-poll".into()).spawn(move || {
                while waiting.load(Ordering::Acquire) > 0 {
                    // The result says only whether the queue is empty; failures reach the callbacks.
                    let _ = device.poll(wgpu::PollType::Poll);
                    std::thread::sleep(INTERVAL);
                }
            });
            if let Err(error) = spawned {
                log::warn!("no thread to poll the GPU ({error}): the host's own polling must finish the wait");
            }
        }
        Polling(self.waiting.clone())
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
