//! The one integration-test binary. Tests that compute run on the adapter that `Gpu::new` chooses, real or software;
//! where there is none they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "train")]
mod data;
mod ops;
mod reference;

/// One device for all tests: opening one takes longer than most of them.
fn gpu() -> &'static omma::Gpu {
    static GPU: std::sync::OnceLock<omma::Gpu> = std::sync::OnceLock::new();
    GPU.get_or_init(|| omma::Gpu::new_blocking(&omma::GpuOptions::default()).unwrap())
}
