//! From a graph to dispatches: order, kernel choice, memory plan; then execution.
//!
//! A [`Plan`] is plain data, made and examined without a device; a [`Session`] owns its buffers and runs it.

mod arrange;
mod build;
mod checkpoint;
mod constants;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod cooperative;
mod copies;
mod diagnostics;
mod flat;
pub(crate) mod format;
mod hazards;
mod host;
mod in_place;
mod kept;
mod kernel;
mod layout;
mod limits;
mod lowering;
mod memory;
mod moments;
mod options;
mod prepare;
mod profile;
mod readback;
mod recompute;
mod report;
mod schedule;
mod session;
mod staging;
mod textures;
#[cfg(not(target_arch = "wasm32"))]
mod tune;
mod tuning;
mod variables;

use std::collections::HashMap;

pub(crate) use format::Format;
pub use host::{Element, HostTensor, HostValues};
pub(crate) use kernel::{Access, FlatOperand, Operand, Params, Span, Word, params, shader};
pub use kernel::{Kernel, Shader};
pub use layout::VariableLayout;
pub(crate) use layout::runs;
pub use lowering::Candidate;
pub(crate) use lowering::{Lowering, TEXTURE_WIDTH, word};
pub(crate) use moments::Moments;
pub use options::PlanOptions;
pub use profile::{Clock, DispatchProfile, Profile};
pub use readback::Readback;
pub use report::{Barriers, MemoryReport};
pub use session::{Metric, Session};
pub use variables::{NamedArrays, Variables};

use crate::gpu::BindingKind;
use crate::graph::{TensorId, TensorType};

/// A buffer of a session or of the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum BufferRef {
    /// Activations and scratch.
    Slab(usize),
    /// A texture of scratch.
    Texture(usize),
    /// What the host sends with every step.
    Inputs,
    /// Values written once.
    Constants,
    /// Sums for the host to read now and then.
    Metrics,
    /// Learned values of an arena.
    Parameters(usize),
    /// Running statistics of an arena.
    State(usize),
    /// Gradients, laid out like the parameters of the arena.
    Gradients(usize),
    /// Optimizer memory, laid out like the parameters of the arena.
    Slots(usize, usize),
    /// Moving averages, laid out like the parameters of the arena.
    Averages(usize),
}

/// Part of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    pub(crate) buffer: BufferRef,
    pub(crate) offset: u64,
    /// Without padding.
    pub(crate) bytes: u64,
}

impl Location {
    /// Some of the bytes that are here.
    fn part(self, Span { offset, bytes }: Span) -> Self {
        Self { offset: self.offset + offset, bytes, ..self }
    }

    /// Whether a variable that lasts is here: a parameter, the average that stands for one, or a state.
    fn is_variable(self) -> bool {
        matches!(self.buffer, BufferRef::Parameters(_) | BufferRef::Averages(_) | BufferRef::State(_))
    }

    /// Whether something that never changes is here.
    fn is_constant(self) -> bool {
        self.buffer == BufferRef::Constants
    }

    /// A parameter's place, in another buffer that is laid out like its arena's parameters.
    fn mirrored(self, buffer: impl FnOnce(usize) -> BufferRef) -> Option<Self> {
        match self.buffer {
            BufferRef::Parameters(arena) => Some(Self { buffer: buffer(arena), ..self }),
            _ => None,
        }
    }

    /// Where the gradient of the parameter that is here lies.
    pub(crate) fn gradient(self) -> Option<Self> {
        self.mirrored(BufferRef::Gradients)
    }
}

/// Which variant of a kernel a node got, and what else there was.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The node, as in the graph's dump.
    pub node: String,
    /// The kernel: `conv2d.forward`.
    pub kernel: String,
    /// The variant's name.
    pub chosen: &'static str,
    /// All variants in order of preference, with the reasons against the illegal ones.
    pub candidates: Vec<Candidate>,
    /// What timing may decide, where the plan is tuned and there is more than one candidate.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "a browser's page cannot wait for timings"))]
    pub(crate) problem: Option<String>,
}

/// One dispatch, placed.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) kernel: Kernel,
    /// The node it computes, as in the graph's dump.
    pub(crate) node: String,
    /// That node's layer, or empty.
    pub(crate) layer: String,
    /// That node's number in the plan.
    pub(crate) number: usize,
    /// Operations of the whole node, which may have several steps.
    pub(crate) flops: u64,
    /// Bindings 1, 2, ...; binding 0 is the uniform.
    pub(crate) bindings: Vec<(Location, BindingKind)>,
    /// Offset and bytes of its parameters in the uniform buffer.
    pub(crate) params: (u64, u64),
    pub(crate) workgroups: [u32; 3],
    /// What must be copied into textures before.
    pub(crate) copies: Vec<TextureCopy>,
    /// Whether a compute pass begins with it.
    pub(crate) begins_pass: bool,
}

/// A copy of a tensor in a texture, for kernels that read it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextureCopy {
    pub(crate) from: Location,
    /// The texture's number.
    pub(crate) texture: usize,
}

impl TextureCopy {
    /// Texels, the last of which may be partly filled.
    pub(crate) fn texels(&self) -> usize {
        self.from.bytes.div_ceil(16) as usize
    }
}

/// An input or setting in the input buffer.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) name: String,
    pub(crate) ty: TensorType,
    pub(crate) offset: u64,
    /// A setting's first value; `None` for an input that the host feeds.
    pub(crate) default: Option<f32>,
}

/// A tensor that the host may read.
#[derive(Debug, Clone)]
pub(crate) struct Fetch {
    pub(crate) ty: TensorType,
    pub(crate) location: Location,
}

/// A graph turned into a fixed list of dispatches over planned memory.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) uniforms: Vec<u8>,
    pub(crate) slabs: Vec<u64>,
    /// Texels of each texture.
    pub(crate) textures: Vec<usize>,
    /// How many of the steps, the first ones, depend on nothing but filters that no step changes: they run before the first
    /// one of the others, and again when the host changed a variable.
    pub(crate) kept_steps: usize,
    /// Copies of variables that no step changes, made before these steps, and of what the steps have written, made after.
    pub(crate) kept_copies: [Vec<TextureCopy>; 2],
    /// Whether a step changes parameters or states.
    pub(crate) changes_variables: bool,
    pub(crate) feeds: Vec<Feed>,
    pub(crate) input_bytes: u64,
    pub(crate) constants: constants::Constants,
    /// Names and offsets of `[sum, weight]` pairs.
    pub(crate) metrics: Vec<(String, u64)>,
    /// Arena and bytes of each flat gradient buffer.
    pub(crate) gradients: Vec<(usize, u64)>,
    pub(crate) fetches: HashMap<TensorId, Fetch>,
    pub(crate) names: HashMap<String, TensorId>,
    /// Sentinel words behind every tensor, where the options ask for them.
    pub(crate) guards: Vec<Location>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) barriers: Barriers,
}
