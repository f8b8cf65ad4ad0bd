//! How a model is to be loaded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::bytes::Bytes;

use super::tensor_proto::Folder;
use super::{Array, Model, import};
use crate::error::{Error, Result};
use crate::graph::Mode;

/// An ONNX model: a file, or its bytes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Source<'a> {
    /// A file, with external data beside it.
    File(PathBuf),
    /// A file whose bytes have been read already.
    Read(PathBuf, Vec<u8>),
    /// The bytes of one without external data.
    Bytes(std::borrow::Cow<'a, [u8]>),
}

impl From<&Path> for Source<'_> {
    fn from(path: &Path) -> Self {
        Self::File(path.to_path_buf())
    }
}

impl From<&PathBuf> for Source<'_> {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<PathBuf> for Source<'_> {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&str> for Source<'_> {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl From<(&Path, Vec<u8>)> for Source<'_> {
    fn from((path, bytes): (&Path, Vec<u8>)) -> Self {
        Self::Read(path.to_path_buf(), bytes)
    }
}

impl From<&String> for Source<'_> {
    fn from(path: &String) -> Self {
        Self::File(path.into())
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Vec<u8>> for Source<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// What a file leaves open, and what is to become of its network.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) dims: HashMap<String, usize>,
    pub(super) rest: Option<usize>,
    pub(super) shapes: HashMap<String, Vec<usize>>,
    pub(super) values: HashMap<String, Arc<Array>>,
    pub(super) outputs: Option<Vec<String>>,
    pub(super) mode: Mode,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dims: HashMap::new(),
            rest: None,
            shapes: HashMap::new(),
            values: HashMap::new(),
            outputs: None,
            mode: Mode::Evaluation,
        }
    }
}

impl Options {
    /// Gives a symbolic extent its number, as `N` a batch of 8.
    pub fn dim(mut self, symbol: &str, extent: usize) -> Self {
        self.dims.insert(symbol.into(), extent);
        self
    }

    /// Gives every extent that is not known otherwise this number.
    pub fn other_dims(mut self, extent: usize) -> Self {
        self.rest = Some(extent);
        self
    }

    /// Gives an input a shape, whatever the file says of its symbolic extents.
    pub fn shape(mut self, input: &str, shape: &[usize]) -> Self {
        self.shapes.insert(input.into(), shape.to_vec());
        self
    }

    /// Tells the value that an input will have. Integers, truth values and texts become constants of the graph, which then
    /// computes with them on the host, exactly; of floats the shape is taken, and the values only where the graph's shapes
    /// depend on them. What has been taken so must be the input's value in every step.
    pub fn value(mut self, input: &str, value: impl Into<Arc<Array>>) -> Self {
        self.values.insert(input.into(), value.into());
        self
    }

    /// Asks for these values instead of the file's outputs: any of its values, as the features before a classifier. The name
    /// of a node, which is what `omma inspect` prints, stands for the first value that it computes. What they do not need is
    /// not loaded.
    pub fn outputs(mut self, names: &[&str]) -> Self {
        self.outputs = Some(names.iter().map(ToString::to_string).collect());
        self
    }

    /// Makes a graph that can be trained: dropout drops. Batch normalisation stays as the file says, which is by running
    /// statistics where it is an inference's.
    pub fn training(mut self) -> Self {
        self.mode = Mode::Training;
        self
    }

    /// The model of a file, or of its bytes.
    ///
    /// # Errors
    /// See [`load`](super::load).
    pub fn load<'a>(&self, source: impl Into<Source<'a>>) -> Result<Model> {
        let (path, bytes) = match source.into() {
            Source::Bytes(bytes) => {
                return import::model(Bytes::from(bytes.into_owned()), Folder::default(), self);
            }
            Source::Read(path, bytes) => (path, bytes),
            Source::File(path) => {
                let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
                (path, bytes)
            }
        };
        let folder = Folder(Some(path.parent().unwrap_or(Path::new("")).to_path_buf()));
        import::model(bytes.into(), folder, self).map_err(|error| match error {
            Error::Onnx(message) => Error::data(&path, message),
            other => other,
        })
    }
}
