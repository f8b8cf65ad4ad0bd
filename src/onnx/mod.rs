//! Networks that others trained, from ONNX files: run them, differentiate through them, train them further.
//!
//! [`load`] turns a file into a [`Graph`](crate::Graph) whose inputs, parameters and outputs carry the file's names. What
//! depends on constants alone (shapes above all) is computed on the host then, in the file's own integer types; floats are
//! computed on the device, in f32. Integers that are fed or depend on what the device computes are whole numbers in f32 there,
//! as long as the operators tell that all of them are within 2²⁴, up to which f32 has them all; what could be beyond is computed
//! on the host after a step. So fed integers that the device computes with may be 2²² at most, which a step checks.
//! An index that is fed counts from the end where it is negative; one out of range gives not-a-number, as
//! [`Tensor::gather`](crate::Tensor::gather) does, and an error where that would be an integer.
//!
//! ```no_run
//! use omma::onnx::{self, Array, Runner};
//! use omma::{Gpu, GpuOptions};
//!
//! # fn main() -> omma::Result<()> {
//! let model = onnx::Options::default().dim("N", 1).load("squeezenet.onnx")?;
//! let gpu = Gpu::new_blocking(&GpuOptions::default())?;
//! let mut runner = Runner::new(&gpu, &model)?;
//! let image = Array::new(&[1, 3, 224, 224], vec![0.5_f32; 3 * 224 * 224])?;
//! for (name, output) in runner.run_blocking(&[("data", &image)])? {
//!     println!("{name}: {output}");
//! }
//! # Ok(())
//! # }
//! ```

mod array;
mod declared;
mod element;
mod equation;
mod export;
mod fold;
mod host;
mod import;
mod inputs;
mod late;
mod model;
mod names;
mod node;
mod ops;
mod options;
mod proto;
mod quantized;
mod regions;
mod runner;
mod shapes;
mod tensor_proto;
mod value;

pub use array::Array;
pub use declared::{Declared, Extent, inputs};
pub use element::ElementType;
pub use export::Export;
pub(crate) use export::{Exporting, Pooled, adaptive_max, function, map, pool, reduce, sum};
pub use model::{Input, Model, Output};
pub use options::{Options, Source};
pub use runner::Runner;

use crate::error::Result;

/// The model of an ONNX file, or of its bytes, in inference form; see [`Options`] for anything else.
///
/// # Errors
/// When the file cannot be read or is no valid ONNX, an extent has no number, or something in it is not supported: then
/// the error names every such node.
pub fn load<'a>(source: impl Into<Source<'a>>) -> Result<Model> {
    Options::default().load(source)
}

/// The tensor of a `TensorProto` file, as ONNX's test data are (`input_0.pb`).
///
/// # Errors
/// When the bytes are no such tensor.
pub fn read_tensor(bytes: &[u8]) -> Result<Array> {
    use prost::Message;
    let tensor = proto::TensorProto::decode(bytes);
    let tensor = tensor.map_err(|error| crate::Error::Onnx(format!("no tensor: {error}")))?;
    tensor_proto::Folder::default().read(&tensor)
}

/// The bytes of a `TensorProto` file, which [`read_tensor`] reads.
pub fn write_tensor(name: &str, array: &Array) -> Vec<u8> {
    use prost::Message;
    tensor_proto::write(name, array).encode_to_vec()
}

/// The operators that are computed, by their names in ONNX, in order. A function that a file brings along, or that ONNX
/// writes out into such operators, is one more.
pub fn operators() -> Vec<&'static str> {
    // A branch is taken at load.
    let names: std::collections::BTreeSet<&str> = ops::names().chain(host::names()).chain(["If"]).collect();
    names.into_iter().collect()
}
