//! Sparse linear maps along one axis: y[o, i, r] = Σ over row i of weight·x[o, column, r], and dx the same of dy with rows and
//! columns exchanged. The rows are built on the host, once. Neighbouring axes are mapped as one where that is less work.
//!
//! Whatever resamples, reflects, repeats, picks or averages along axes is such a map: this file has the operation, the
//! others what it is used for.

mod pad;
mod resize;
mod table;
mod windows;

use std::sync::Arc;

pub use pad::PadMode;
#[cfg_attr(not(feature = "onnx"), allow(unused_imports, reason = "its one user elsewhere is a feature"))]
pub(crate) use resize::Resized;
pub use resize::{Coordinates, Resize, Rounding};
use table::Table;
pub(super) use windows::shared_out;

use super::strided::{choose_form, reads_texture};
use super::{MAX_ITERATIONS, around};
use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Op, Reach, Tensor, TensorType};
use crate::plan::{Format, Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, axis_map as reference};
use crate::selftest::OpCase;

const NAME: &str = "axis_map";

params! {
    AxisMapParams { count: u32, inner: u32, rows: u32, columns: u32 }
}
pub(crate) static SHADER: Shader = shader!("axis_map", AxisMapParams, ["grid", "divide", "texture", "read", "values"]);

/// `x` mapped along each of these axes; the tensor itself where that changes nothing.
fn map<'g>(x: Tensor<'g>, name: &'static str, mut tables: Vec<(usize, Table)>) -> Result<Tensor<'g>> {
    let ty = x.ty();
    super::float(name, &ty)?;
    for (axis, table) in &tables {
        check_length(name, table.columns(), table.rows() + table.entries())?;
        if table.rows() == 0 {
            return Err(Error::argument(name, format!("nothing is left of axis {axis} of {ty}")));
        }
    }
    tables.retain(|(_, table)| !table.is_identity());
    tables.sort_by_key(|&(axis, _)| axis);
    let mut maps: Vec<AxisMap> = Vec::new();
    for (axis, table) in tables {
        let extents = [table.columns(), table.rows()];
        match maps.last_mut() {
            Some(last) if last.first + last.axes.len() == axis && joins(&last.table, &table, ty.elements()) => {
                let joined = Arc::new(last.table.with_inner(&table));
                let first = std::mem::replace(&mut last.table, joined);
                if last.parts.is_empty() {
                    last.parts.push(first);
                }
                last.parts.push(Arc::new(table));
                last.axes.push(extents);
            }
            _ => {
                let (axes, parts) = (vec![extents], Vec::new());
                maps.push(AxisMap { name, first: axis, axes, table: Arc::new(table), parts });
            }
        }
    }
    // What becomes smaller does so first: the others then have less to move.
    let growth = |map: &AxisMap| map.table.rows() as f64 / map.table.columns() as f64;
    maps.sort_by(|a, b| growth(a).total_cmp(&growth(b)));
    maps.into_iter().try_fold(x, |x, map| x.graph().apply_one(map, "", &[x]))
}

/// Whether two neighbouring axes are better mapped as one: what is between would be written and read again, but an element
/// of the result has as many entries as both tables together.
fn joins(outer: &Table, inner: &Table, elements: usize) -> bool {
    /// Entries of a row, as bilinear interpolation has.
    const FEW: usize = 4;
    /// How often a table of both is used at least, so that it is small beside the tensors.
    const OFTEN: usize = 16;
    /// Entries of a table that caches hold.
    const SMALL: usize = 1 << 18;
    let both = |of: fn(&Table) -> usize| of(outer).saturating_mul(of(inner));
    both(Table::longest) <= FEW
        && both(Table::rows).saturating_mul(FEW) <= SMALL
        && both(Table::columns) <= SMALL
        && elements / both(Table::columns) >= OFTEN
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
    /// The first of the neighbouring axes that are mapped as one.
    first: usize,
    /// What each has in x and in y.
    axes: Vec<[usize; 2]>,
    table: Arc<Table>,
    /// The table of each axis, where there are several: what other runtimes are told.
    parts: Vec<Arc<Table>>,
}

impl AxisMap {
    /// The view `[outer, columns, inner]` of x, whose axes lie in this order.
    fn view(&self, x: &TensorType, order: &[usize]) -> [usize; 3] {
        let at = order.iter().position(|&axis| axis == self.first).unwrap_or(0);
        let product = |axes: &[usize]| axes.iter().map(|&axis| x.shape[axis]).product::<usize>();
        [product(&order[..at]), self.table.columns(), product(&order[at + self.axes.len()..])]
    }
}

impl Op for AxisMap {
    fn name(&self) -> &'static str {
        self.name
    }

    fn attributes(&self) -> String {
        let axis = |(index, [columns, rows]): (usize, &[usize; 2])| {
            format!("axis {}, {columns} to {rows}", self.first + index)
        };
        self.axes.iter().enumerate().map(axis).collect::<Vec<_>>().join("; ")
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let mut shape = inputs[0].shape.to_vec();
        for (extent, [_, rows]) in shape[self.first..].iter_mut().zip(&self.axes) {
            *extent = *rows;
        }
        Ok(vec![TensorType::f32(shape)])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        let op = Self {
            name: "axis_map.grad_input",
            first: self.first,
            axes: self.axes.iter().map(|&[columns, rows]| [rows, columns]).collect(),
            table: Arc::new(self.table.transposed()),
            parts: Vec::new(),
        };
        Ok(vec![Some(cx.graph().apply_one(op, cx.layer(), &[dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let x = &cx.input_types[0];
        let view = self.view(x, &Format::Planar.order(x.shape.len()));
        vec![reference::forward(view, self.table.view(), &cx.checked(0))]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        // Padding moves whole elements, one to a place.
        if self.name == "pad" { Reach::Place } else { Reach::Whole }
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let x = cx.inputs[0].clone();
        // Channels stand between the images and their rows, or behind their columns.
        let together = self.axes.len() == 1 || self.first >= 2;
        let images = [&x, &cx.outputs[0]].into_iter().all(|ty| Format::refusal(ty).is_none());
        let format = if together && images { cx.follow("axis_map.format", 0)? } else { Format::Planar };
        let [outer, _, inner] = self.view(&x, &format.order(x.shape.len()));
        let around = [outer, inner];
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

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        let parts = if self.parts.is_empty() { std::slice::from_ref(&self.table) } else { &self.parts };
        let axes: Vec<_> = parts.iter().map(|table| (table.columns(), table.view())).collect();
        crate::onnx::map(cx, self.first, &axes)
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
    let along = inner == 1 && table.rows().is_multiple_of(4) && table.taps().is_some();
    let form = choose_form(cx, NAME, &[("fours", inner.is_multiple_of(4)), ("along", along)], true)?;
    let count = outer * table.rows() * inner;
    let textured = reads_texture(cx, NAME, x, count)?;
    let mut operands = [x, cx.table(table.words()), y];
    let textures = if textured { cx.through_textures(&mut operands[..2], 0) } else { vec![false; 2] };
    let width = if form == "fours" { 4 } else { 1 };
    let each = if ["fours", "along"].contains(&form) { 4 } else { 1 };
    let params = AxisMapParams {
        count: word(NAME, count / each)?,
        inner: word(NAME, inner / width)?,
        rows: word(NAME, table.rows())?,
        columns: word(NAME, table.columns())?,
    };
    let kernel = Kernel::new(&SHADER, "forward")
        .variant(form)
        .template("form", form)
        .template("taps", table.taps().unwrap_or(0))
        .template("weighted", u8::from(table.is_weighted()))
        .template("texture", u8::from(textures[0]))
        .template("table_texture", u8::from(textures[1]));
    let invocations = if form == "gathered" { count.div_ceil(4) } else { count / each };
    cx.dispatch_flat(kernel, &params, &operands, invocations)
}

pub(crate) fn cases() -> Vec<OpCase> {
    resize::cases().into_iter().chain(pad::cases()).chain(windows::cases()).collect()
}
