//! Dense layers whose weight is larger than what the device lets a kernel bind. Each of the three products is computed in
//! parts, one for each run of the weight's rows as they lie in memory, with the kernels of a whole one.
//!
//! A row of the weight, as it lies, belongs to one column of x or of y: to an output, or, where the taps come first, to an
//! input. That tensor is cut with the weight. Where it is an operand, its columns are copied out; where it is the result,
//! they are copied into it; where the result is the third tensor, the parts are summands of it.

use super::geometry::Geometry;
use super::product::{Of, Product};
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::ops::chain::{finish_sum, finish_with, with_bias};
use crate::ops::strided::{Axis, Moves};
use crate::plan::{Format, Lowering, Operand, Span};

/// Rows after which the place of a row is one where a binding may begin: 256 bytes of single columns.
const ROWS: usize = 64;

/// Whether a product must be computed in parts.
pub(super) fn necessary(cx: &Lowering<'_>, product: &Product) -> bool {
    product.of == Of::Rows && product.types[1].bytes() > cx.capabilities.limits.max_storage_buffer_binding_size
}

/// Part of a dense layer.
struct Part {
    /// The first row, and rows.
    first: usize,
    rows: usize,
    product: Product,
    /// Where its rows lie.
    span: Span,
}

/// The matrix whose columns are cut with the weight, as it lies, and one of so many of them.
struct Columns {
    batch: usize,
    length: usize,
}

impl Columns {
    /// Copies those of a part from the whole into a matrix of their own, or back.
    fn copy(&self, cx: &mut Lowering<'_>, part: &Part, out: bool, [from, to]: [Operand; 2]) -> Result<()> {
        let (whole, own) = (self.length as i64, part.rows as i64);
        let (sources, targets) = if out { (whole, own) } else { (own, whole) };
        let rows = Axis { extent: self.batch, from: sources, to: targets, bounds: None };
        let columns = Axis { extent: part.rows, from: 1, to: 1, bounds: None };
        let (begin, name) = (part.first as i64, if out { "dense.columns" } else { "dense.join" });
        let [first, into] = if out { [begin, 0] } else { [0, begin] };
        Moves { axes: vec![rows, columns], from: first, to: into, fill: 0.0 }.lower(cx, name, [from, to])
    }
}

/// Adds the dispatches of all parts, then the bias and the epilogue.
pub(super) fn lower(cx: &mut Lowering<'_>, product: &Product) -> Result<()> {
    let Geometry { batch, channels: [inputs, outputs], .. } = product.geometry;
    let format = Format::of_filters(&product.types[1], cx.capabilities);
    // Of x, weight and y: which is cut with the weight, and the length of that axis and of the other.
    let (cut, length, other) = if format == Format::TapsFirst { (0, inputs, outputs) } else { (2, outputs, inputs) };
    let limit = cx.capabilities.limits.max_storage_buffer_binding_size;
    let row = 4 * other as u64;
    let most = (limit / row) as usize / ROWS * ROWS;
    if most == 0 {
        return Err(too_large(cx, row * ROWS as u64));
    }
    let result = product.result();
    let weight = product.operands().iter().position(|&role| role == 1);
    let columns = Columns { batch, length };
    let elements = product.types[result].elements();
    let count = length.div_ceil(most);
    let partial = (result != 1 && result != cut).then(|| cx.scratch(count * elements));

    // What comes after it is computed of the whole.
    let own = cx.own_inputs();
    let (epilogue, observed) = (std::mem::take(&mut cx.epilogue), std::mem::take(&mut cx.observed));
    let whole = (cx.inputs.clone(), cx.outputs.clone());
    cx.partial = Some(format);
    for number in 0..count {
        let first = number * most;
        let rows = most.min(length - first);
        let span = Span { offset: first as u64 * row, bytes: rows as u64 * row };
        let part = Part { first, rows, product: of_rows(product, cut, rows), span };
        // Its operand that is cut, or its result where that is not the weight.
        let gathered =
            product.operands().iter().position(|&role| role == cut).map(|input| (input, Operand::Input(input)));
        let gathered = match gathered {
            Some((input, from)) => {
                let scratch = cx.scratch(batch * rows);
                columns.copy(cx, &part, true, [from, Operand::ScratchWrite(scratch)])?;
                Some((input, scratch))
            }
            None => None,
        };
        let computed = (result != 1).then(|| cx.scratch(part.product.types[result].elements()));
        for (input, role) in product.operands().into_iter().enumerate() {
            cx.inputs[input] = part.product.types[role].clone();
        }
        cx.outputs = vec![part.product.types[result].clone()];
        let before = cx.dispatches.len();
        part.product.lower_whole(cx, 2)?;
        (cx.inputs, cx.outputs) = whole.clone();
        if weight.map_or(cx.writes()[0], |weight| cx.reads()[weight]) != format {
            return Err(too_large(cx, product.types[1].bytes()));
        }
        for dispatch in &mut cx.dispatches[before..] {
            for (place, operand) in dispatch.operands.iter_mut().enumerate() {
                match *operand {
                    Operand::Input(n) | Operand::InputTexture(n) if Some(n) == weight => {
                        dispatch.spans.push((place, part.span));
                    }
                    Operand::Output(_) if result == 1 => dispatch.spans.push((place, part.span)),
                    Operand::Output(_) => {
                        if let Some(scratch) = computed {
                            *operand = Operand::ScratchWrite(scratch);
                        }
                    }
                    Operand::Input(n) | Operand::InputTexture(n) => {
                        if let Some((_, scratch)) = gathered.filter(|&(input, _)| input == n) {
                            let texture = *operand == Operand::InputTexture(n);
                            *operand =
                                if texture { Operand::ScratchTexture(scratch) } else { Operand::ScratchRead(scratch) };
                        }
                    }
                    _ => {}
                }
            }
        }
        match (computed, partial) {
            (Some(scratch), Some(partial)) => {
                let line = Axis { extent: elements, from: 1, to: 1, bounds: None };
                let into = (number * elements) as i64;
                let moves = Moves { axes: vec![line], from: 0, to: into, fill: 0.0 };
                moves.lower(cx, "dense.parts", [Operand::ScratchRead(scratch), Operand::ScratchWrite(partial)])?;
            }
            (Some(scratch), None) => {
                columns.copy(cx, &part, false, [Operand::ScratchRead(scratch), Operand::Output(0)])?;
            }
            (None, _) => {}
        }
    }
    (cx.partial, cx.epilogue, cx.observed) = (None, epilogue, observed);
    let bias: Vec<Operand> = (2..own).map(Operand::Input).collect();
    let (chain, values) = with_bias(cx, &bias, Format::Planar);
    match partial {
        Some(partial) => finish_sum(cx, (count, partial), &chain, &values, Format::Planar),
        None => finish_with(cx, &chain, &values, Format::Planar),
    }
}

/// The product of so many rows of the weight, as it lies.
fn of_rows(product: &Product, cut: usize, rows: usize) -> Product {
    let Geometry { batch, channels: [mut inputs, mut outputs], .. } = product.geometry;
    *(if cut == 0 { &mut inputs } else { &mut outputs }) = rows;
    let types = [[batch, inputs], [outputs, inputs], [batch, outputs]].map(TensorType::f32);
    Product { geometry: Geometry::pointwise(batch, inputs, outputs, 1), types, ..product.clone() }
}

fn too_large(cx: &Lowering<'_>, needed: u64) -> Error {
    let allowed = cx.capabilities.limits.max_storage_buffer_binding_size;
    let what = format!("a part of the weight of {}", cx.title);
    Error::Limit { what, needed, limit: "max_storage_buffer_binding_size", allowed }
}
