//! Products over axes.

use super::axes::Axes;
use super::{MAX_ITERATIONS, around};
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, product as reference};
use crate::selftest::OpCase;

const NAME: &str = "product";

params! {
    ProductParams { outer: u32, length: u32, inner: u32 }
}
pub(crate) static SHADER: Shader = shader!("product", ProductParams, ["grid", "divide"]);

impl<'g> Tensor<'g> {
    /// The products of the elements over axes. The gradient is right where elements are 0, too.
    ///
    /// # Errors
    /// When the tensor is not f32, has no such axes, or neighbouring axes hold more than 32,000 elements.
    pub fn product(self, axes: impl Into<Axes>) -> Result<Self> {
        super::float(NAME, &self.ty())?;
        let reduced = axes.into().of(NAME, &self.shape())?;
        let mut x = self;
        for view in reduced.views() {
            x = self.graph().apply_one(Product, "", &[x.reshape(view)?])?;
        }
        x.reshape(reduced.output)
    }
}

/// Both kernels' arguments for a view `[outer, length, inner]`.
fn params(x: &TensorType) -> Result<ProductParams> {
    let [outer, length, inner] = around(NAME, x, 1)?;
    Ok(ProductParams { outer: word(NAME, outer)?, length: word(NAME, length)?, inner: word(NAME, inner)? })
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel::new(&SHADER, entry).template("entry", entry)
}

/// x `[outer, length, inner]` -> y `[outer, inner]`
#[derive(Debug)]
struct Product;

impl Op for Product {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let [outer, length, inner] = around(NAME, &inputs[0], 1)?;
        // The gradient goes over a row twice.
        if 2 * (length + 1) > MAX_ITERATIONS {
            return Err(Error::argument(NAME, format!("a row of {length} elements is too long")));
        }
        Ok(vec![TensorType::f32([outer, inner])])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        Ok(vec![Some(cx.graph().apply_one(ProductGradInput, cx.layer(), &[cx.input(0), dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let view = around(NAME, &cx.input_types[0], 1).unwrap_or_default();
        vec![reference::forward(view, cx.inputs[0])]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (params, rows) = (params(&cx.inputs[0])?, cx.outputs[0].elements());
        cx.dispatch_flat(kernel("forward"), &params, &[Operand::Input(0), Operand::Output(0)], rows)
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        let [outer, length, inner] = around(NAME, &cx.inputs[0], 1)?;
        crate::onnx::reduce(cx, "ReduceProd", [outer, length, inner, 1])
    }
}

/// (x, dy) -> dx
#[derive(Debug)]
struct ProductGradInput;

impl Op for ProductGradInput {
    fn name(&self) -> &'static str {
        "product.grad_input"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![inputs[0].clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let view = around(NAME, &cx.input_types[0], 1).unwrap_or_default();
        vec![reference::grad_input(view, cx.inputs[0], cx.inputs[1])]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (params, rows) = (params(&cx.inputs[0])?, cx.inputs[1].elements());
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
        cx.dispatch_flat(kernel("grad_input"), &params, &operands, rows)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let list = [(vec![1], 0), (vec![3, 7], 1), (vec![5, 4, 6], 1), (vec![9, 35], 0), (vec![2, 200], 1)];
    let mut cases: Vec<OpCase> = list
        .into_iter()
        .map(|(shape, axis): (Vec<usize>, usize)| {
            OpCase::new(format!("product of {shape:?} axis {axis}"), move |cx| {
                Ok(vec![cx.normal("x", shape.clone())?.product(axis)?])
            })
        })
        .collect();
    cases.push(OpCase::new("product over axes 0 and 2 of [2, 3, 4]", |cx| {
        Ok(vec![cx.normal("x", [2, 3, 4])?.product([0, 2])?])
    }));
    // One zero a row leaves one derivative, two leave none.
    cases.push(OpCase::new("product with zeros", |cx| {
        let values = vec![2.0, 0.0, -3.0, 0.0, 5.0, 0.0, 1.5, 2.5, -3.5];
        Ok(vec![cx.values("x", [3, 3], values)?.product(1)?])
    }));
    cases
}
