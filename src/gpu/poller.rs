//! Keeps a native device polled while somebody awaits it, so that futures finish under any executor.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::failure::lock;

/// Between two looks at the device: short against a dispatch with a wait, long against what a look costs.
const INTERVAL: Duration = Duration::from_micros(100);

#[derive(Debug, Default)]
struct State {
    /// Who awaits something.
    waiting: usize,
    /// Whether the thread is there. It goes only under the lock, so there is never a second one.
    running: bool,
    /// The latest thread, ended or not.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(super) struct Poller {
    device: wgpu::Device,
    state: Arc<Mutex<State>>,
}

/// While it lives, a thread polls the device.
#[derive(Debug)]
pub(super) struct Polling(Arc<Mutex<State>>);

impl Poller {
    pub(super) fn new(device: wgpu::Device) -> Self {
        Self { device, state: Arc::default() }
    }

    pub(super) fn start(&self) -> Polling {
        let mut state = lock(&self.state);
        state.waiting += 1;
        if !state.running {
            let (device, shared) = (self.device.clone(), self.state.clone());
            let spawned = std::thread::Builder::new().name("omma-poll".into()).spawn(move || poll(&device, &shared));
            match spawned {
                Ok(thread) => {
                    state.running = true;
                    state.thread = Some(thread);
                }
                Err(error) => {
                    log::warn!("no thread to poll the GPU ({error}): the host's own polling must finish the wait");
                }
            }
        }
        Polling(self.state.clone())
    }
}

/// The thread holds the device: it must be gone before the last handle is, or the device would be destroyed while the
/// process ends, beside the driver's own clean-up.
impl Drop for Poller {
    fn drop(&mut self) {
        let thread = lock(&self.state).thread.take();
        // A callback may drop the last handle on the thread itself. One that panicked has ended as well.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// A callback of the host's may panic inside a poll: the next wait must not believe that this thread still runs.
struct Unwinding<'a>(&'a Mutex<State>);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(self.0).running = false;
        }
    }
}

fn poll(device: &wgpu::Device, state: &Mutex<State>) {
    let _unwinding = Unwinding(state);
    loop {
        {
            let mut state = lock(state);
            if state.waiting == 0 {
                state.running = false;
                return;
            }
        }
        // The result says only whether the queue is empty; failures reach the callbacks.
        let _ = device.poll(wgpu::PollType::Poll);
        std::thread::sleep(INTERVAL);
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        lock(&self.0).waiting -= 1;
    }
}
