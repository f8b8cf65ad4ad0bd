//! The handle that models are written with. Operations add their own methods to it, each in its own file.

use super::types::{DType, Shape, TensorType};
use super::{Graph, Init, Role, Source, TensorId};

/// A symbolic tensor: a place in a [`Graph`] with a known shape. Copy it freely.
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    graph: &'g Graph,
    id: TensorId,
}

impl<'g> Tensor<'g> {
    pub(crate) fn new(graph: &'g Graph, id: TensorId) -> Self {
        Self { graph, id }
    }

    /// The graph it belongs to.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// Its number, which outlives the borrow of the graph.
    pub fn id(&self) -> TensorId {
        self.id
    }

    /// Element type and shape.
    pub fn ty(&self) -> TensorType {
        self.graph.data().value(self.id).ty.clone()
    }

    /// Whether every element is this number, known beforehand.
    pub(crate) fn is_constant(&self, number: f32) -> bool {
        let data = self.graph.data();
        let source = &data.value(self.id).source;
        matches!(source, Source::Variable { role: Role::Constant, init: Init::Constant(fill) } if *fill == number)
    }

    /// The extents.
    pub fn shape(&self) -> Shape {
        self.ty().shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.ty().dtype
    }

    /// The name of an input or variable, or the one given by [`Graph::name`].
    pub fn name(&self) -> Option<String> {
        self.graph.data().value(self.id).name.clone()
    }
}

impl From<Tensor<'_>> for TensorId {
    fn from(tensor: Tensor<'_>) -> Self {
        tensor.id
    }
}

impl std::fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "%{}: {}", self.id.index, self.ty())
    }
}
