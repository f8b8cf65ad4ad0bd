//! Comparisons and logic, whose results are masks, and the choice by a mask. A mask is an f32 tensor of ones and zeros; as a
//! condition whatever is not 0 counts. Shapes broadcast by NumPy's rules. Masks have no gradient.

use super::elementwise::Factor::{Dy, X};
use super::elementwise::Slope::{Of, Zero};
use super::elementwise::{Function, Slope, Term};
use crate::error::Result;
use crate::graph::Tensor;
use crate::reference::{Checked, comparison as reference};
use crate::selftest::OpCase;

static EQUAL: Function = mask_of("equal", |v| reference::equal(v[0], v[1]));
static NOT_EQUAL: Function = mask_of("not_equal", |v| reference::not_equal(v[0], v[1]));
static LESS: Function = mask_of("less", |v| reference::less(v[0], v[1]));
static LESS_OR_EQUAL: Function = mask_of("less_or_equal", |v| reference::less_or_equal(v[0], v[1]));
static GREATER: Function = mask_of("greater", |v| reference::greater(v[0], v[1]));
static GREATER_OR_EQUAL: Function = mask_of("greater_or_equal", |v| reference::greater_or_equal(v[0], v[1]));
static AND: Function = mask_of("logical_and", |v| reference::logical_and(v[0], v[1]));
static OR: Function = mask_of("logical_or", |v| reference::logical_or(v[0], v[1]));
static NOT: Function = mask_of("logical_not", |v| reference::logical_not(v[0]));
static SELECT: Function = Function::new("select", "choose", |v| reference::select(v[0], v[1], v[2])).slopes(&[
    Zero,
    Of(&SELECT_GRAD_FIRST, &[X(0), Dy]),
    Of(&SELECT_GRAD_SECOND, &[X(0), Dy]),
]);
static SELECT_GRAD_FIRST: Function =
    Function::new("select.grad_first", "choose_grad_first", |v| reference::select_grad_first(v[0], v[1]));
static SELECT_GRAD_SECOND: Function =
    Function::new("select.grad_second", "choose_grad_second", |v| reference::select_grad_second(v[0], v[1]));

/// A mask's row; its WGSL function has the same name.
const fn mask_of(name: &'static str, reference: fn(&[&[f64]]) -> Checked) -> Function {
    const NONE: &[Slope] = &[Zero, Zero];
    Function::new(name, name, reference).slopes(NONE)
}

impl<'g> Tensor<'g> {
    /// The mask of a = b: 1 where it holds, else 0. `b` is a tensor, whose shape and the tensor's own broadcast by NumPy's
    /// rules, or a number. It has no gradient.
    ///
    /// # Errors
    /// When a tensor is not f32, the shapes do not broadcast, or the number is not finite.
    pub fn equal(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&EQUAL, b)
    }

    /// The mask of a ≠ b, which holds where either is not-a-number; see [`Tensor::equal`].
    ///
    /// # Errors
    /// See [`Tensor::equal`].
    pub fn not_equal(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&NOT_EQUAL, b)
    }

    /// The mask of a < b; see [`Tensor::equal`].
    ///
    /// # Errors
    /// See [`Tensor::equal`].
    pub fn less(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&LESS, b)
    }

    /// The mask of a ≤ b; see [`Tensor::equal`].
    ///
    /// # Errors
    /// See [`Tensor::equal`].
    pub fn less_or_equal(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&LESS_OR_EQUAL, b)
    }

    /// The mask of a > b; see [`Tensor::equal`].
    ///
    /// # Errors
    /// See [`Tensor::equal`].
    pub fn greater(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&GREATER, b)
    }

    /// The mask of a ≥ b; see [`Tensor::equal`].
    ///
    /// # Errors
    /// See [`Tensor::equal`].
    pub fn greater_or_equal(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&GREATER_OR_EQUAL, b)
    }

    /// The mask of both conditions, each of which holds where it is not 0; see [`Tensor::equal`].
    ///
    /// # Errors
    /// See [`Tensor::equal`].
    pub fn logical_and(self, other: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&AND, other)
    }

    /// The mask of one of two conditions, or both, each of which holds where it is not 0; see [`Tensor::equal`].
    ///
    /// # Errors
    /// See [`Tensor::equal`].
    pub fn logical_or(self, other: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&OR, other)
    }

    /// The mask of where the tensor is 0.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn logical_not(self) -> Result<Self> {
        self.map(&NOT)
    }

    /// a where the tensor, a mask, is not 0, else b: NumPy's and ONNX's `where`. The gradient goes to what is chosen; that
    /// of the other is 0, of which only a function without a derivative there, as √ at 0, makes not-a-number.
    ///
    /// ```
    /// let graph = omma::Graph::new(omma::Mode::Evaluation);
    /// let x = graph.input("x", [2, 3])?;
    /// let y = x.greater(0.0)?.select(x.log()?, 0.0)?;
    /// assert_eq!(y.shape(), x.shape());
    /// # Ok::<(), omma::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Tensor::equal`].
    pub fn select(self, a: impl Into<Term<'g>>, b: impl Into<Term<'g>>) -> Result<Self> {
        SELECT.of("", &[self.into(), a.into(), b.into()])
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let masks: [&'static Function; 8] =
        [&EQUAL, &NOT_EQUAL, &LESS, &LESS_OR_EQUAL, &GREATER, &GREATER_OR_EQUAL, &AND, &OR];
    let small = |shift: usize| move |i: usize| ((i * i + shift) % 3) as f32 - 1.0;
    let of_two = |function: &'static Function| {
        OpCase::new(function.name(), move |cx| {
            let (a, b) = ((0..120).map(small(0)).collect(), (0..8).map(small(1)).collect());
            let (a, b) = (cx.values("a", [3, 8, 5], a)?, cx.values("b", [8, 1], b)?);
            Ok(vec![a.with(function, b)?, a.with(function, 1.0)?])
        })
        .without_differences()
    };
    let mut cases: Vec<OpCase> = masks.map(of_two).into_iter().collect();
    cases.push(
        OpCase::new("logical_not", move |cx| {
            cx.values("a", [3, 7], (0..21).map(small(0)).collect())?.logical_not().map(|y| vec![y])
        })
        .without_differences(),
    );
    cases.push(OpCase::new("select", |cx| {
        let (a, b) = (cx.normal("a", [2, 8, 3, 5])?, cx.normal("b", [2, 8, 3, 5])?);
        let mask = cx.normal("x", [2, 8, 3, 5])?.greater(0.5)?;
        Ok(vec![mask.select(a, b)?, mask.select(a, 3.0)?, mask.select(-2.0, b)?, mask.select(1.0, 2.0)?])
    }));
    cases.push(OpCase::new("select of parts", |cx| {
        let (a, b) = (cx.normal("a", [2, 1, 3, 1])?, cx.normal("b", [8, 1, 1])?);
        let mask = cx.normal("x", [8, 3, 5])?.less(0.0)?.logical_not()?;
        mask.select(a, b).map(|y| vec![y])
    }));
    cases
}
