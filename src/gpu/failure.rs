//! Turns wgpu's ways of failing (error scopes, callbacks, lost devices) into [`Error`]s that a caller can act on.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};

/// What went wrong outside any call: kept until somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    lost: Mutex<Option<String>>,
    stray: Mutex<Option<Error>>,
}

impl Failures {
    pub(super) fn device_lost(&self, message: String) {
        log::error!("GPU device lost: {message}");
        lock(&self.lost).get_or_insert(message);
    }

    /// An error that reached no scope: the next call reports it. The first one is the cause, later ones follow from it.
    pub(super) fn stray(&self, error: wgpu::Error) {
        log::error!("GPU error: {error}");
        lock(&self.stray).get_or_insert(convert("device", error));
    }

    pub(super) fn check(&self) -> Result<()> {
        if let Some(message) = lock(&self.lost).clone() {
            return Err(Error::DeviceLost(message));
        }
        lock(&self.stray).take().map_or(Ok(()), Err)
    }
}

/// A panic elsewhere leaves these plain values intact, so a poisoned lock is still good.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn convert(what: &str, error: wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory(what.to_string()),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            Error::Validation(format!("{what}: {}", description.trim()))
        }
    }
}

/// Runs `calls` inside one scope for each kind of error. Scopes belong to the thread, so nothing awaits in between. On
/// native the answer is there at once; a browser answers later, and then it is the uncaptured-error handler's.
pub(super) fn guard<T>(device: &wgpu::Device, failures: &Failures, what: &str, calls: impl FnOnce() -> T) -> Result<T> {
    failures.check()?;
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let value = calls();
    let errors = [now(validation.pop()), now(internal.pop()), now(memory.pop())];
    match errors.into_iter().flatten().next() {
        Some(error) => {
            if is_lost(device) {
                failures.device_lost(format!("{what} found the device destroyed or lost"));
            }
            failures.check().and(Err(convert(what, error)))
        }
        None => failures.check().map(|()| value),
    }
}

/// A lost device takes calls without a word and hands out invalid objects; using one is a validation error that does not
/// tell the cause, and the callback for it may be the host's. A mapping tells: on a lost device it fails at once.
fn is_lost(device: &wgpu::Device) -> bool {
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: Some("probe"), size: 4, usage, mapped_at_creation: false };
    let buffer = device.create_buffer(&descriptor);
    let failed = Arc::new(AtomicBool::new(false));
    let flag = failed.clone();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| flag.store(result.is_err(), Ordering::Release));
    // The error of the probe itself is of no interest.
    drop(now(scope.pop()));
    failed.load(Ordering::Acquire)
}

/// The future's value if it has one already.
fn now(future: impl Future<Output = Option<wgpu::Error>>) -> Option<wgpu::Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(error) => error,
        Poll::Pending => None,
    }
}
