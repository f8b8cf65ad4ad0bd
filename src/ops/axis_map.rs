//! Sparse linear maps along one axis: y[o, i, r] = Σ over row i of weight·x[o, column, r], and dx the same of dy with rows and
//! columns exchanged. The rows are built on the host, once.
//!
//! Whatever resamples, reflects, repeats, picks or averages along axes is such a map: this file has the operation, the
//! others what it is used for.

mod pad;
mod resize;
mod table;
mod windows;

use std::sync::Arc;

pub use pad::PadMode;
pub use resize::{Coordinates, Resize, Rounding};
use table::Table;

use super::strided::choose_form;
use super::{MAX_ITERATIONS, around};
use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::plan::{Format, Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, axis_map as reference};
use crate::selftest::OpCase;

const NAME: &str = "axis_map";

params! {
    AxisMapParams { count: u32, inner: u32, rows: u32, columns: u32 }
}
pub(crate) static SHADER: Shader = shader!("axis_map", AxisMapParams, ["grid", "divide", "texture", "read"]);

/// `x` mapped along an axis; the tensor itself where that changes nothing.
fn map<'g>(x: Tensor<'g>, name: &'static str, axis: usize, table: Table) -> Result<Tensor<'g>> {
    super::float(name, &x.ty())?;
    check_length(name, table.columns(), table.rows() + table.entries())?;
    if table.is_identity() {
        return Ok(x);
    }
    x.graph().apply_one(AxisMap { name, axis, table: Arc::new(table) }, "", &[x])
}

/// The extent of each of these axes, or the error that one is missing or named twice.
fn extents(name: &str, ty: &TensorType, axes: &[usize]) -> Result<Vec<usize>> {
    super::float(name, ty)?;
    for (index, axis) in axes.iter().enumerate() {
        if axes[..index].contains(axis) {
            return Err(Error::argument(name, format!("axis {axis} is named twice")));
        }
    }
    axes.iter().map(|&axis| around(name, ty, axis).map(|[_, extent, _]| extent)).collect()
}

/// The error that a table, of an axis of so many elements and with so many rows or entries, would be too large: for before it
/// is built.
fn check_length(name: &str, extent: usize, entries: usize) -> Result<()> {
    match extent.saturating_add(entries) {
        ..=table::MOST => Ok(()),
        size => Err(Error::argument(
            name,
            format!("{size} elements of an axis and their weights are more than {}", table::MOST),
        )),
    }
}

#[derive(Debug)]
struct AxisMap {
    name: &'static str,
    axis: usize,
    table: Arc<Table>,
}

impl AxisMap {
    /// A tensor's type with another extent of the axis.
    fn with(&self, ty: &TensorType, extent: usize) -> TensorType {
        let mut shape = ty.shape.to_vec();
        shape[self.axis] = extent;
        TensorType::f32(shape)
    }
}

impl Op for AxisMap {
    fn name(&self) -> &'static str {
        self.name
    }

    fn attributes(&self) -> String {
        format!("axis {}, {} of {}", self.axis, self.table.rows(), self.table.columns())
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        if self.table.rows() == 0 {
            return Err(Error::argument(self.name, format!("nothing is left of axis {} of {}", self.axis, inputs[0])));
        }
        Ok(vec![self.with(&inputs[0], self.table.rows())])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        Ok(vec![Some(map(dy, "axis_map.grad_input", self.axis, self.table.transposed())?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let view = around(self.name, &cx.input_types[0], self.axis).unwrap_or_default();
        vec![reference::forward(view, self.table.view(), &cx.checked(0))]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let images = Format::refusal(&cx.inputs[0]).is_none() && Format::refusal(&cx.outputs[0]).is_none();
        let format = if images { cx.follow("axis_map.format", 0)? } else { Format::Planar };
        // Around the axis in the order in which they lie in memory.
        let order = format.order(cx.inputs[0].shape.len());
        let at = order.iter().position(|&axis| axis == self.axis).unwrap_or(0);
        let product = |axes: &[usize]| axes.iter().map(|&axis| cx.inputs[0].shape[axis]).product::<usize>();
        let around = [product(&order[..at]), product(&order[at + 1..])];
        let ends = [Operand::Input(0), Operand::Output(0)];
        match long(self.table.longest()) {
            None => dispatch(cx, &self.table, around, ends),
            Some(length) => {
                let [pieces, sums] = self.table.cut(length);
                let scratch = cx.scratch(around[0] * pieces.rows() * around[1]);
                dispatch(cx, &pieces, around, [ends[0], Operand::ScratchWrite(scratch)])?;
                dispatch(cx, &sums, around, [Operand::ScratchRead(scratch), ends[1]])
            }
        }
    }
}

/// Into pieces of which length a sum is to be cut, if it is: so that neither step is long.
fn long(longest: usize) -> Option<usize> {
    /// Up to here a second dispatch costs more than the parallelism gains.
    const SHORT: usize = 1024;
    const { assert!(SHORT < MAX_ITERATIONS) };
    (longest > SHORT).then(|| longest.isqrt())
}

/// Adds the dispatch that maps the axis between these extents around it.
fn dispatch(cx: &mut Lowering<'_>, table: &Table, [outer, inner]: [usize; 2], [x, y]: [Operand; 2]) -> Result<()> {
    let form = choose_form(cx, NAME, inner.is_multiple_of(4), true)?;
    let count = outer * table.rows() * inner;
    let textured = cx.choose_textures(NAME, count.max(outer * table.columns() * inner))?;
    let mut operands = [x, cx.table(table.words()), y];
    let textures = if textured { cx.through_textures(&mut operands[..2], 0) } else { vec![false; 2] };
    let width = if form == "fours" { 4 } else { 1 };
    let params = AxisMapParams {
        count: word(NAME, count / width)?,
        inner: word(NAME, inner / width)?,
        rows: word(NAME, table.rows())?,
        columns: word(NAME, table.columns())?,
    };
    let kernel = Kernel::new(&SHADER, "forward")
        .variant(form)
        .template("form", form)
        .template("picks", u8::from(table.is_picks()))
        .template("texture", u8::from(textures[0]))
        .template("table_texture", u8::from(textures[1]));
    let invocations = if form == "fours" {
        count / 4
    } else if form == "gathered" {
        count.div_ceil(4)
    } else {
        count
    };
    cx.dispatch_flat(kernel, &params, &operands, invocations)
}

pub(crate) fn cases() -> Vec<OpCase> {
    resize::cases().into_iter().chain(pad::cases()).chain(windows::cases()).collect()
}
