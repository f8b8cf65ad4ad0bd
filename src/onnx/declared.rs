//! What a file says of its inputs, before anything is made of them.

use std::collections::HashSet;
use std::fmt;

use super::ElementType;
use super::proto::{self, DimensionValue, TensorTypeProto, ValueInfoProto};
use crate::error::Result;

/// An input as the file declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Its type, where it is a tensor of a type that there is.
    pub element: Option<ElementType>,
    /// Its extents, where the file says how many axes it has.
    pub shape: Option<Vec<Extent>>,
    /// Whether an initializer gives it a value: then it need not be fed.
    pub has_default: bool,
}

/// An extent as the file declares it.
#[derive(Debug, Clone, PartialEq)]
pub enum Extent {
    /// A number.
    Known(usize),
    /// A name that stands for one, the same wherever it stands; see [`Options::dim`](super::Options::dim).
    Symbol(String),
    /// Nothing.
    Unknown,
}

/// The inputs of a model, in the file's order: `bytes` are the file's. Values beside it are not read.
///
/// # Errors
/// When the bytes are no ONNX model.
pub fn inputs(bytes: &[u8]) -> Result<Vec<Declared>> {
    let graph = proto::decoded::<proto::ModelHead>(bytes)?.graph.unwrap_or_default();
    let initializers: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    Ok(graph.input.iter().map(|info| declared(info, initializers.contains(info.name.as_str()))).collect())
}

fn declared(info: &ValueInfoProto, has_default: bool) -> Declared {
    let tensor = info.tensor();
    let extent = |dim: &super::proto::Dimension| match &dim.value {
        // The importer takes 0 and -1 for one that is not known, and refuses what is less.
        Some(DimensionValue::Extent(extent)) if *extent > 0 => Extent::Known(*extent as usize),
        Some(DimensionValue::Symbol(symbol)) => Extent::Symbol(symbol.clone()),
        _ => Extent::Unknown,
    };
    Declared {
        name: info.name.clone(),
        element: tensor.and_then(TensorTypeProto::element),
        shape: tensor.and_then(|tensor| Some(tensor.shape.as_ref()?.dim.iter().map(extent).collect())),
        has_default,
    }
}

/// As ONNX's tools print an input: `data: float[N, 3, 224, 224]`.
impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, element, shape, .. } = self;
        write!(f, "{name}: ")?;
        match element {
            Some(element) => write!(f, "{element}")?,
            None => f.write_str("?")?,
        }
        match shape {
            None => f.write_str("[...]"),
            Some(shape) => {
                let extents: Vec<String> = shape.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", extents.join(", "))
            }
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(extent) => write!(f, "{extent}"),
            Self::Symbol(symbol) => f.write_str(symbol),
            Self::Unknown => f.write_str("?"),
        }
    }
}
