//! What a network's layers are, how large, and how far they see: known from the graph alone.

use std::collections::HashMap;
use std::fmt;

use super::{Graph, Role, Source, TensorId, TensorType};

/// What one result of an operation sees of its argument's height and width (of a sequence, of the last axis alone).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The same place.
    Place,
    /// A window with so many places from its first to its last, the windows so far apart.
    Window { extent: [usize; 2], stride: [usize; 2] },
    /// A window of a result that has been spread out: the window counted in places of the result.
    Spread { extent: [usize; 2], stride: [usize; 2] },
    /// Everything.
    Whole,
}

/// The part of the network's input that one result of a layer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceptiveField {
    /// Height and width of a window, which may reach beyond the image; of a sequence, 1 and a length.
    Window([usize; 2]),
    /// All of it.
    Whole,
}

impl fmt::Display for ReceptiveField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window([height, width]) => write!(f, "{height}x{width}"),
            Self::Whole => f.write_str("all"),
        }
    }
}

/// One operation of a network.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LayerSummary {
    /// The layer's name, or empty.
    pub name: String,
    /// What it does: `conv2d`.
    pub operation: &'static str,
    /// Its parameters as a person reads them: `stride [2, 2]`; may be empty.
    pub attributes: String,
    /// What it makes.
    pub output: TensorType,
    /// Learned values that it uses.
    pub parameters: usize,
    /// Multiplications with an addition that its formula needs, whatever kernel computes it; 0 where memory and not
    /// arithmetic decides how long it takes.
    pub multiply_adds: u64,
    /// Bytes of what it makes.
    pub activation_bytes: u64,
    /// What one of its results depends on.
    pub receptive_field: ReceptiveField,
}

/// How far results see, in places of the input, and how far apart neighbours are there.
#[derive(Debug, Clone, Copy)]
struct Sight {
    extent: [f64; 2],
    step: [f64; 2],
    whole: bool,
}

impl Sight {
    const PLACE: Self = Self { extent: [1.0; 2], step: [1.0; 2], whole: false };

    fn through(self, reach: Reach) -> Self {
        let mut next = self;
        match reach {
            Reach::Place => {}
            Reach::Whole => next.whole = true,
            Reach::Window { extent, stride } => {
                for axis in 0..2 {
                    next.extent[axis] += (extent[axis] as f64 - 1.0) * self.step[axis];
                    next.step[axis] *= stride[axis] as f64;
                }
            }
            Reach::Spread { extent, stride } => {
                for axis in 0..2 {
                    // A window meets so many of the places that were spread out.
                    next.extent[axis] += (extent[axis].div_ceil(stride[axis]) as f64 - 1.0) * self.step[axis];
                    next.step[axis] /= stride[axis] as f64;
                }
            }
        }
        next
    }

    /// What sees as much as both.
    fn with(self, other: Self) -> Self {
        let larger = |a: [f64; 2], b: [f64; 2]| [a[0].max(b[0]), a[1].max(b[1])];
        Self {
            extent: larger(self.extent, other.extent),
            step: larger(self.step, other.step),
            whole: self.whole || other.whole,
        }
    }

    fn field(self) -> ReceptiveField {
        match self.whole {
            true => ReceptiveField::Whole,
            false => ReceptiveField::Window(self.extent.map(|extent| extent.round() as usize)),
        }
    }
}

impl Graph {
    /// Every operation in order, but those that only look at memory under another shape.
    ///
    /// The receptive field is that of Araujo et al. 2019, "Computing Receptive Fields of Convolutional Neural Networks":
    /// windows widen it by (extent - 1) times the distance of neighbours, strides widen the distance.
    pub fn layers(&self) -> Vec<LayerSummary> {
        let data = self.data();
        let mut sights: HashMap<TensorId, Sight> = HashMap::new();
        let mut layers = Vec::new();
        for node in &data.nodes {
            let types = |ids: &[TensorId]| ids.iter().map(|&id| data.value(id).ty.clone()).collect::<Vec<_>>();
            let (inputs, outputs) = (types(&node.inputs), types(&node.outputs));
            // Parameters are the same wherever one looks.
            let seen = node.inputs.iter().filter_map(|&id| match data.value(id).source {
                Source::Input => Some(Sight::PLACE),
                _ => sights.get(&id).copied(),
            });
            let sight = seen.reduce(Sight::with).unwrap_or(Sight::PLACE).through(node.op.reach(&inputs));
            sights.extend(node.outputs.iter().map(|&id| (id, sight)));
            if node.op.is_view() {
                continue;
            }
            let learned =
                |id: &&TensorId| matches!(data.value(**id).source, Source::Variable { role: Role::Parameter, .. });
            let parameters = node.inputs.iter().filter(learned).map(|&id| data.value(id).ty.elements()).sum();
            let Some(output) = outputs.first() else { continue };
            layers.push(LayerSummary {
                name: node.layer.clone(),
                operation: node.op.name(),
                attributes: node.op.attributes(),
                output: output.clone(),
                parameters,
                multiply_adds: node.op.flops(&inputs, &outputs) / 2,
                activation_bytes: outputs.iter().map(|ty| ty.elements() as u64 * ty.dtype.size() as u64).sum(),
                receptive_field: sight.field(),
            });
        }
        layers
    }
}
