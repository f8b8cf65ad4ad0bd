//! What an operation is: a name, a shape rule, a gradient made of other operations, a reference and a lowering.

use std::fmt::Debug;

use super::chain::Pointwise;
use super::gradients::GradientContext;
use super::types::TensorType;
use super::{Graph, Reach, Tensor};
use crate::error::{Error, Result};
use crate::plan::Lowering;
use crate::reference::Checked;

/// One operation of the graph. An implementor holds the parameters (stride, padding, ...); tensors are its inputs.
pub(crate) trait Op: Debug + Send + Sync + 'static {
    /// The stem that its files share, with a suffix for a gradient: `conv2d`, `conv2d.grad_input`.
    fn name(&self) -> &'static str;

    /// The parameters as a person reads them in a dump: `stride 2, padding 1`.
    fn attributes(&self) -> String {
        String::new()
    }

    /// The shape rule: types of the outputs, or an error that names what was expected and what came.
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>>;

    /// Indices of the inputs (variables only) that the operation changes in place.
    fn mutates(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Pairs (gradient input, parameter input): the gradient is wanted where its parameter lies in the flat buffers, and is
    /// computed right there where a plan can do that.
    fn flat_gradients(&self) -> Vec<(usize, usize)> {
        Vec::new()
    }

    /// The input that is a filter, `[O, C, ...]`, of which every tap joins every channel with every output: the device may
    /// keep it in an order of its own.
    fn filter(&self) -> Option<usize> {
        None
    }

    /// Whether its results are small, and in an inference made of variables alone: they are then computed once for many steps.
    fn prepares(&self) -> bool {
        false
    }

    /// Whether its one output is its first input under another shape: the memory is shared and nothing is computed.
    fn is_view(&self) -> bool {
        false
    }

    /// The function of single elements that it is, if it is one: then a plan lowers it by that, with what follows.
    fn pointwise(&self) -> Option<Pointwise> {
        None
    }

    /// Whether [`Op::lower`] heeds [`Lowering::epilogue`]: what is to become of its first output before it is stored.
    fn takes_epilogue(&self) -> bool {
        false
    }

    /// Whether it takes the statistics of its first input, and does with those that a kernel has left ([`Lowering::moments`]).
    fn takes_moments(&self) -> bool {
        false
    }

    /// Cotangents of the inputs from those of the outputs, as new nodes; `None` where the derivative is zero or undefined.
    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>>;

    /// The f64 reference: one result an output, then one a mutated input.
    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked>;

    /// Floating-point operations that the formula needs, two for a multiply-add, whatever kernel computes it; 0 where memory
    /// and not arithmetic decides how long it takes.
    fn flops(&self, _inputs: &[TensorType], _outputs: &[TensorType]) -> u64 {
        0
    }

    /// How much of its arguments one result sees: the same place if it is a function of single elements, else everything,
    /// unless it says what.
    fn reach(&self, _inputs: &[TensorType]) -> Reach {
        if self.pointwise().is_some() { Reach::Place } else { Reach::Whole }
    }

    /// Adds the dispatches that compute it. Neither a view nor a function of single elements is asked.
    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        Err(Error::NoKernel { op: cx.title.clone(), reason: "it has no lowering".into() })
    }

    /// Adds the ONNX nodes that compute it, where there are some. A view is not asked.
    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        Err(cx.refused("only a training has it, or ONNX has no such operator"))
    }
}

/// What the reference sees of a node.
#[derive(Debug)]
pub(crate) struct Evaluation<'a> {
    /// Values of the inputs, integers too.
    pub(crate) inputs: Vec<&'a [f64]>,
    /// The inputs' magnitudes and terms where they were computed, in the same order.
    pub(crate) computed: Vec<Option<&'a Checked>>,
    /// Types of the inputs.
    pub(crate) input_types: Vec<TensorType>,
    /// Types of the outputs.
    pub(crate) output_types: Vec<TensorType>,
    /// The kernel variants that compute the node on the device, as far as they are known.
    pub(crate) variants: Vec<&'static str>,
}

impl Evaluation<'_> {
    /// Whether the device computes the node by this variant, whose errors are others than those of a plain sum.
    pub(crate) fn computed_by(&self, variant: &str) -> bool {
        self.variants.contains(&variant)
    }

    /// Input `index` with its magnitude and terms; a value that was not computed is exact.
    pub(crate) fn checked(&self, index: usize) -> Checked {
        self.computed[index].cloned().unwrap_or_else(|| Checked::exact(self.inputs[index].to_vec()))
    }

    /// Input `index` as integers (labels, indices).
    pub(crate) fn integers(&self, index: usize) -> Vec<u32> {
        self.inputs[index].iter().map(|&v| v as u32).collect()
    }
}

impl Graph {
    /// Adds a node and returns its outputs; the layer name, where there is one, stands in errors and dumps.
    pub(crate) fn apply<'g>(&'g self, op: impl Op, layer: &str, inputs: &[Tensor<'g>]) -> Result<Vec<Tensor<'g>>> {
        self.push_node(std::sync::Arc::new(op), layer, inputs)
    }

    /// [`Graph::apply`] for an operation of one output.
    pub(crate) fn apply_one<'g>(&'g self, op: impl Op, layer: &str, inputs: &[Tensor<'g>]) -> Result<Tensor<'g>> {
        // Every operation called through here infers exactly one output, so the index is in range.
        self.apply(op, layer, inputs).map(|outputs| outputs[0])
    }
}
