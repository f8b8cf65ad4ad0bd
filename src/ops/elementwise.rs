//! Functions of single elements of one or several tensors: what the families of such functions share.
//!
//! A [`Function`] is a row: its WGSL function, its reference and its derivatives, each of them a row again. Tensors of
//! different shapes are brought to one by NumPy's rules
//! (<https://numpy.org/doc/stable/user/basics.broadcasting.html>), which are ONNX's too: shapes are aligned at their last
//! axes, a missing axis counts as 1, and axes of extent 1 are repeated. What has one value, or one for each index of axis 1,
//! is not copied for that: kernels know such operands.

use std::fmt;

use crate::error::{Error, Result};
use crate::graph::chain::{Extent, Pointwise};
use crate::graph::gradients::no_gradient;
use crate::graph::{DType, Evaluation, GradientContext, Op, Shape, Tensor, TensorType};
use crate::reference::{Checked, expand};

/// What arithmetic takes beside its tensor: another tensor, or a number that all elements share. A number is part of a
/// kernel's text, so that each makes a kernel of its own: what changes from step to step is a tensor of one element.
///
/// ```
/// let graph = omma::Graph::new(omma::Mode::Evaluation);
/// let (x, bias) = (graph.input("x", [2, 3])?, graph.input("bias", 3)?);
/// let y = x.multiply(2.0)?.add(bias)?;
/// assert_eq!(y.shape().to_string(), "[2, 3]");
/// # Ok::<(), omma::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Term<'g> {
    /// A tensor of the same graph.
    Tensor(Tensor<'g>),
    /// A finite number.
    Number(f32),
}

impl<'g> From<Tensor<'g>> for Term<'g> {
    fn from(tensor: Tensor<'g>) -> Self {
        Self::Tensor(tensor)
    }
}

impl From<f32> for Term<'_> {
    fn from(number: f32) -> Self {
        Self::Number(number)
    }
}

/// A row of a family's table.
pub(super) struct Function {
    name: &'static str,
    /// Its name in `shaders/common/functions.wgsl` or one of the files beside it.
    kernel: &'static str,
    /// Its twin, of arguments that have as many elements as the result.
    reference: fn(&[&[f64]]) -> Checked,
    /// The derivative by each argument that may be a tensor. A derivative itself has none.
    slopes: &'static [Slope],
    /// What the arguments that are numbers alone are called.
    settings: &'static [&'static str],
}

/// The cotangent of an argument.
pub(super) enum Slope {
    /// There is none: the derivative is zero where there is one.
    Zero,
    /// That of the result.
    One,
    /// This function of these.
    Of(&'static Function, &'static [Factor]),
}

/// What a derivative is computed of.
#[derive(Clone, Copy)]
pub(super) enum Factor {
    /// The argument of this number.
    X(usize),
    /// The result.
    Y,
    /// The cotangent of the result.
    Dy,
}

/// Tuning files know a problem by the text of its operation.
impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Function {
    /// A function without derivatives.
    pub(super) const fn new(name: &'static str, kernel: &'static str, reference: fn(&[&[f64]]) -> Checked) -> Self {
        Self { name, kernel, reference, slopes: &[], settings: &[] }
    }

    pub(super) const fn slopes(mut self, slopes: &'static [Slope]) -> Self {
        self.slopes = slopes;
        self
    }

    pub(super) const fn settings(mut self, settings: &'static [&'static str]) -> Self {
        self.settings = settings;
        self
    }

    /// The operation's name.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Adds the function of these terms to their graph. The first is a tensor.
    pub(super) fn of<'g>(&'static self, layer: &str, terms: &[Term<'g>]) -> Result<Tensor<'g>> {
        let tensor = |term: &Term<'g>| match term {
            Term::Tensor(tensor) => Some(*tensor),
            Term::Number(_) => None,
        };
        let tensors: Vec<Tensor<'g>> = terms.iter().filter_map(tensor).collect();
        let Some(first) = tensors.first() else {
            return Err(Error::argument(self.name, "expected a tensor among the terms"));
        };
        let graph = first.graph();
        graph.owns(self.name, &tensors)?;
        let shape = common_shape(self.name, &tensors.iter().map(Tensor::ty).collect::<Vec<_>>())?;
        // Numbers behind the last tensor stand in the kernel's text, those before it are tensors of one element.
        let behind = terms.iter().rposition(|term| tensor(term).is_some()).map_or(0, |last| last + 1);
        let (mut inputs, mut extents, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (index, &term) in terms.iter().enumerate() {
            let tensor = match term {
                Term::Number(number) if !number.is_finite() => {
                    return Err(Error::argument(self.name, format!("expected a finite number, got {number}")));
                }
                Term::Number(number) if index >= behind => {
                    numbers.push(number);
                    continue;
                }
                Term::Number(number) => graph.constant(number, 1)?,
                Term::Tensor(tensor) => tensor,
            };
            let (input, extent) = fit(tensor, &shape)?;
            inputs.push(input);
            extents.push(extent);
        }
        graph.apply_one(Elementwise { function: self, extents, numbers, shape }, layer, &inputs)
    }
}

/// The shape that tensors have together.
pub(super) fn common_shape(op: &str, types: &[TensorType]) -> Result<Shape> {
    let refused = || {
        let expected = if types.len() > 1 { "f32 tensors whose shapes broadcast" } else { "an f32 tensor" };
        let actual: Vec<String> = types.iter().map(TensorType::to_string).collect();
        Error::shape(op, expected, actual.join(" and "))
    };
    if types.iter().any(|ty| ty.dtype != DType::F32) {
        return Err(refused());
    }
    let rank = types.iter().map(|ty| ty.shape.len()).max().unwrap_or(0);
    let mut shape = vec![1; rank];
    for ty in types {
        for (extent, &own) in shape[rank - ty.shape.len()..].iter_mut().zip(ty.shape.iter()) {
            match (*extent, own) {
                (_, 1) => {}
                (1, _) => *extent = own,
                (extent, own) if extent == own => {}
                _ => return Err(refused()),
            }
        }
    }
    Ok(shape.into())
}

/// The tensor as an operand of a result of this shape.
fn fit<'g>(tensor: Tensor<'g>, shape: &Shape) -> Result<(Tensor<'g>, Extent)> {
    let own = tensor.shape();
    if own == *shape {
        return Ok((tensor, Extent::Element));
    }
    let (elements, missing) = (own.elements(), shape.len() - own.len());
    if elements == shape.elements() {
        return Ok((tensor.reshape(shape.clone())?, Extent::Element));
    }
    if elements == 1 {
        return Ok((tensor, Extent::Scalar));
    }
    let of_channels = missing <= 1 && shape.len() > 1 && own[1 - missing] == elements;
    if of_channels {
        return Ok((tensor, Extent::Channel));
    }
    Ok((tensor.expand(shape.clone())?, Extent::Element))
}

#[derive(Debug)]
struct Elementwise {
    function: &'static Function,
    /// What each input is to the result.
    extents: Vec<Extent>,
    /// The arguments behind the inputs.
    numbers: Vec<f32>,
    shape: Shape,
}

impl Op for Elementwise {
    fn name(&self) -> &'static str {
        self.function.name
    }

    fn attributes(&self) -> String {
        let names = self.function.settings.iter().copied().map(|name| format!("{name} "));
        let numbers = self.numbers.iter().zip(names.chain(std::iter::repeat(String::new())));
        numbers.map(|(number, name)| format!("{name}{number}")).collect::<Vec<_>>().join(", ")
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![TensorType::f32(self.shape.clone())])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None; cx.count()]) };
        if self.function.slopes.is_empty() {
            return no_gradient(self.name());
        }
        let argument = |index: usize| match index.checked_sub(cx.count()) {
            Some(number) => Term::Number(self.numbers[number]),
            None => Term::Tensor(cx.input(index)),
        };
        let slope = |index: usize| {
            let whole = match &self.function.slopes[index] {
                Slope::Zero => return Ok(None),
                _ if !cx.wants(index) => return Ok(None),
                Slope::One => dy,
                Slope::Of(function, factors) => {
                    let term = |factor: &Factor| match *factor {
                        Factor::X(index) => argument(index),
                        Factor::Y => cx.output(0).into(),
                        Factor::Dy => dy.into(),
                    };
                    function.of(cx.layer(), &factors.iter().map(term).collect::<Vec<_>>())?
                }
            };
            whole.sum_to(cx.layer(), &cx.input(index).shape()).map(Some)
        };
        (0..cx.count()).map(slope).collect()
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let inputs = self.extents.iter().zip(&cx.inputs).zip(&cx.input_types);
        let inputs = inputs.map(|((extent, values), ty)| match extent {
            Extent::Element => values.to_vec(),
            _ => expand::forward(&ty.shape, &self.shape, values),
        });
        let numbers = self.numbers.iter().map(|&number| vec![f64::from(number); self.shape.elements()]);
        let arguments: Vec<Vec<f64>> = inputs.chain(numbers).collect();
        vec![(self.function.reference)(&arguments.iter().map(Vec::as_slice).collect::<Vec<_>>())]
    }

    fn pointwise(&self) -> Option<Pointwise> {
        let (inputs, constants) = (self.extents.clone(), self.numbers.clone());
        Some(Pointwise { function: self.function.kernel, inputs, constants })
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        crate::onnx::function(cx, self.function.name, &self.numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::common_shape;
    use crate::graph::TensorType;

    #[test]
    fn shapes_broadcast_as_numpys_do() {
        let of = |shapes: &[&[usize]]| {
            let types: Vec<TensorType> = shapes.iter().map(|&shape| TensorType::f32(shape)).collect();
            common_shape("op", &types).map_or_else(|error| error.to_string(), |shape| shape.to_string())
        };
        assert_eq!(of(&[&[8, 1, 6, 1], &[7, 1, 5]]), "[8, 7, 6, 5]");
        assert_eq!(of(&[&[5, 4], &[1], &[]]), "[5, 4]");
        assert_eq!(of(&[&[15, 3, 5], &[3, 1]]), "[15, 3, 5]");
        assert_eq!(of(&[&[], &[]]), "[]");
        let refused = "op: expected f32 tensors whose shapes broadcast, got ";
        assert_eq!(of(&[&[3], &[4]]), format!("{refused}f32[3] and f32[4]"));
        assert_eq!(of(&[&[2, 1], &[8, 4, 3]]), format!("{refused}f32[2, 1] and f32[8, 4, 3]"));
    }
}
