//! Omma (Greek for *eye*): convolutional networks that train and infer on any GPU that wgpu reaches, inside your
//! application and on its own device.
//!
//! ```
//! use omma::{Gpu, GpuOptions, Graph, Mode, Optimizer, Session, Variables};
//!
//! # fn main() -> omma::Result<()> {
//! let graph = Graph::new(Mode::Training);
//! let points = graph.input("points", [4, 2])?;
//! let labels = graph.label_input("labels", 4)?;
//! let logits = points.dense("hidden", 8)?.tanh()?.dense("out", 2)?;
//! let loss = logits.softmax_cross_entropy(labels)?;
//! graph.minimize(loss, &Optimizer::adam(0.05))?;
//!
//! let gpu = Gpu::new_blocking(&GpuOptions::default())?;
//! let mut session = Session::new(&gpu, &graph, &[loss], &Variables::new(&gpu, 42))?;
//! let (xor, classes) = ([0.0_f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], [0_u32, 1, 1, 0]);
//! for _ in 0..100 {
//!     session.run_blocking(&[("points", xor.as_slice().into()), ("labels", classes.as_slice().into())])?;
//! }
//! assert!(session.read_blocking::<f32>(loss)?.sum() < 0.1);
//! # Ok(())
//! # }
//! ```
//!
//! - A [`Graph`] is the network as data: [`Tensor`] handles whose shapes are known at once, layers with named parameters,
//!   gradients as further nodes. A mistake in a shape is an [`Error`] that says what was expected.
//! - A [`Gpu`] is an adapter that Omma opened, or your application's own device ([`Gpu::from_wgpu`]).
//! - A [`Session`] runs a graph on it. A step is one submission, with nothing compiled or allocated after the first;
//!   [`Session::encode`] records it into your own command encoder, [`Session::read`] is a future.
//! - [`Variables`] hold the parameters on the device, shared by all sessions made with them, saved and loaded as
//!   safetensors under PyTorch's names.
//! - [`models`] has whole networks, [`train`] a classifier with learning-rate schedules, [`data`] data sets, batches and
//!   augmentation.
//! - [`selftest`] compares every kernel on your adapter with its f64 twin in [`mod@reference`].
//!
//! # Features
//!
//! - `backends` (default): wgpu's own back ends. An application whose wgpu has them already leaves this out.
//! - `onnx`: the module [`onnx`], which reads ONNX files.
//! - `train` (default): the modules [`data`] and [`train`].
//! - `cli`: the command `omma`.

#[cfg(feature = "train")]
pub mod data;
mod error;
#[cfg(not(target_arch = "wasm32"))]
pub mod files;
mod gpu;
mod graph;
pub mod models;
#[cfg(feature = "onnx")]
pub mod onnx;
mod ops;
mod plan;
pub mod reference;
pub mod selftest;
#[cfg(feature = "train")]
pub mod train;

pub use error::{Error, Result};
pub use gpu::{
    AdapterSummary, BindingKind, Capabilities, Compiling, Cooperative, DeviceClass, Gpu, GpuOptions, Starting,
    Statistics, adapters,
};
pub use graph::{
    DType, Evaluator, Graph, Init, LayerSummary, Mode, ReceptiveField, Shape, Tensor, TensorId, TensorType,
};
pub use ops::axis_map::{Coordinates, PadMode, Resize, Rounding};
pub use ops::batch_norm::BatchNorm;
pub use ops::conv2d::{Conv, Conv1d, Conv2d, Conv3d};
pub use ops::cross_entropy::CrossEntropy;
pub use ops::dense::Dense;
pub use ops::normalization::Norm;
pub use ops::optimizer::Optimizer;
pub use ops::strided::{DepthOrder, Slice};
pub use ops::{Axes, FAMILIES, Family, Padding, PerAxis, Pool, Pool1d, Pool2d, Pool3d, Reduction, Term};
pub use plan::{
    Barriers, Candidate, Choice, Clock, DispatchProfile, Element, HostTensor, HostValues, Kernel, MemoryReport, Metric,
    NamedArrays, Plan, PlanOptions, Profile, Readback, Session, Shader, VariableLayout, Variables,
};
pub use wgpu;

/// The README's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
