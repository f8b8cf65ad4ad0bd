//! Omma (Greek for *eye*): convolutional networks that train and infer on any GPU that wgpu reaches, inside your
//! application and on its own device.
#![doc = include_str!("../README.md")]

#[cfg(feature = "train")]
pub mod data;
mod error;
#[cfg(not(target_arch = "wasm32"))]
pub mod files;
mod gpu;
mod graph;
pub mod nn;
mod ops;
mod plan;
pub mod reference;
pub mod selftest;
#[cfg(feature = "train")]
pub mod train;

pub use error::{Error, Result};
pub use gpu::{AdapterSummary, BindingKind, Capabilities, DeviceClass, Gpu, GpuOptions, Statistics, adapters};
pub use graph::{DType, Evaluator, Graph, Init, Mode, Shape, Tensor, TensorId, TensorType};
pub use ops::batch_norm::BatchNorm;
pub use ops::conv2d::Conv2d;
pub use ops::dense::Dense;
pub use ops::optimizer::Optimizer;
pub use ops::{FAMILIES, Family, Pool2d};
pub use plan::{
    Candidate, Choice, Element, HostTensor, HostValues, Kernel, MemoryReport, Metric, NamedArrays, Plan, PlanOptions,
    Readback, Session, Shader, VariableLayout, Variables,
};
pub use wgpu;
