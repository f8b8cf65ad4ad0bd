//! The one error type of the crate: every failure a caller can cause or meet, by name and place.

use std::path::{Path, PathBuf};

/// What went wrong, where, and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation was given tensors whose shapes or element types it does not accept.
    #[error("{op}: expected {expected}, got {actual}")]
    Shape {
        /// The operation, with its layer name where it has one.
        op: String,
        /// What the operation accepts.
        expected: String,
        /// What it was given.
        actual: String,
    },
    /// An operation's parameter is out of its range.
    #[error("{op}: {message}")]
    Argument {
        /// The operation or function.
        op: String,
        /// What is wrong and what was expected.
        message: String,
    },
    /// The graph was used in a way that it does not support.
    #[error("graph: {0}")]
    Graph(String),
    /// A session was given a wrong set of inputs, or asked for a tensor that it does not keep.
    #[error("session: {0}")]
    Session(String),
    /// A tensor or dispatch is larger than the device allows.
    #[error("{what} needs {needed}, but the device's limit `{limit}` is {allowed}")]
    Limit {
        /// The tensor or dispatch.
        what: String,
        /// The amount needed.
        needed: u64,
        /// The limit's name, as wgpu spells it.
        limit: &'static str,
        /// The device's value.
        allowed: u64,
    },
    /// No kernel variant of an operation may run on this device.
    #[error("{op}: no kernel variant is legal here ({reason})")]
    NoKernel {
        /// The operation.
        op: String,
        /// Why each variant was refused.
        reason: String,
    },
    /// No adapter fits the request.
    #[error("{0}")]
    NoAdapter(String),
    /// The device is gone (driver reset, removal, or destroyed by the host). Sessions on it are dead.
    #[error("the GPU device was lost: {0}")]
    DeviceLost(String),
    /// The device has no memory left for a buffer.
    #[error("out of GPU memory: {0}")]
    OutOfMemory(String),
    /// wgpu or the driver refused a call or a shader.
    #[error("GPU validation: {0}")]
    Validation(String),
    /// Every staging buffer is still in flight; wait for the GPU and try again.
    #[error("all {0} staging buffers are in flight: await `Session::ready` before the next step")]
    Busy(usize),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file is there, but its content is not what its format says.
    #[error("{}: {message}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the offset or field where it helps.
        message: String,
    },
    /// An ONNX model or tensor is not what its format says, or is used in a way that it does not allow.
    #[error("ONNX: {0}")]
    Onnx(String),
    /// Something that is valid is not supported: the nodes of an ONNX model that are not, each by name.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// A checkpoint does not fit the network: a tensor is missing, left over or has another shape.
    #[error("checkpoint: {0}")]
    Checkpoint(String),
}

impl Error {
    /// A [`Error::Shape`] from anything that prints.
    pub(crate) fn shape(op: impl ToString, expected: impl ToString, actual: impl ToString) -> Self {
        Self::Shape { op: op.to_string(), expected: expected.to_string(), actual: actual.to_string() }
    }

    /// A [`Error::Argument`] from anything that prints.
    pub(crate) fn argument(op: impl ToString, message: impl ToString) -> Self {
        Self::Argument { op: op.to_string(), message: message.to_string() }
    }

    /// Attaches the file's path to an I/O error, for `map_err`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// A [`Error::Data`] from anything that prints.
    pub fn data(path: impl AsRef<Path>, message: impl ToString) -> Self {
        Self::Data { path: path.as_ref().to_path_buf(), message: message.to_string() }
    }
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
