//! The one integration-test binary. Tests that compute run on the adapter that `Gpu::new` chooses, real or software;
//! where there is none they fail, unless `OMMA_SKIP_GPU_TESTS=1` is set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod checkpoint;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "train")]
mod data;
mod documents;
mod graph;
mod half;
mod harness;
mod mentions;
mod models;
#[cfg(feature = "onnx")]
mod onnx;
mod ops;
mod plan;
mod readme;
mod reference;
#[cfg(feature = "train")]
mod schedules;
mod session;
mod shaders;
mod support;
#[cfg(feature = "train")]
mod training;

use support::gpu;
