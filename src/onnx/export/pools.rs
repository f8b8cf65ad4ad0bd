//! Poolings as ONNX's operators.
//!
//! Windows that reach over the end, which ceil mode makes, are written as padding behind: then the number of windows is the
//! same under the rules of every operator set.

use super::Exporting;
use super::attribute::Value;
use super::sums::reduction;
use crate::error::Result;
use crate::ops::Pool;

/// What is made of a window.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pooled {
    Max,
    Average,
    /// The norm with this exponent.
    Lp(f32),
}

/// Adds the node of a pooling over the last D axes of input 0.
pub(crate) fn pool<const D: usize>(cx: &mut Exporting<'_, '_>, what: Pooled, pool: &Pool<D>) -> Result<()> {
    // Of these `max_pool.indices` makes what the graph has: ONNX numbers cells through the whole tensor.
    let numbered = cx.outputs.len() > 1 && cx.needs(1);
    cx.keeps_examples(true)?;
    let (shape, output) = (cx.inputs[0].shape.clone(), cx.outputs[0].shape.clone());
    // A sequence that is an image of one row only here.
    let [begin, end] = pool.sides();
    let plain = pool.kernel[0] == 1 && [begin[0], end[0]] == [0; 2] && shape[2] == 1;
    let short = [&shape[..2], &shape[3..]].concat();
    let skipped = usize::from(D > 1 && plain && cx.held(0)?.shape == short);
    let without = |shape: &[usize]| [&shape[..2], &shape[2 + skipped..]].concat();
    let (from, to) = (without(&shape), without(&output));
    let x = cx.input_as(0, &from)?;
    let of = |values: &[usize; D]| values[skipped..].to_vec();
    let (kernel, stride, dilation) = (of(&pool.kernel), of(&pool.stride), of(&pool.dilation));
    let (begin, mut end) = (of(&begin), of(&end));
    let mut over = false;
    for axis in 0..kernel.len() {
        let reach = (kernel[axis] - 1) * dilation[axis] + 1;
        let last = (to[2 + axis] - 1) * stride[axis] + reach;
        let behind = last.saturating_sub(from[2 + axis] + begin[axis]);
        over |= behind > end[axis];
        end[axis] = end[axis].max(behind);
    }
    let padded = begin.iter().chain(&end).any(|&zeros| zeros > 0);
    let whole = !padded && kernel == from[2..];
    let dilated = dilation.iter().any(|&gap| gap > 1);
    let mut attributes: Vec<(&str, Value)> = vec![("kernel_shape", kernel.as_slice().into())];
    let operator = match what {
        Pooled::Max if whole && !numbered => return cx.finish_as(&to, "GlobalMaxPool", &[&x], &[]),
        Pooled::Max => "MaxPool",
        Pooled::Average => {
            let counted = pool.count_include_pad && pool.sides() != [[0; D]; 2];
            if counted && over {
                return Err(cx.refused("an average that counts padding, of windows that reach beyond it"));
            }
            if padded {
                attributes.push(("count_include_pad", counted.into()));
            }
            if dilated && cx.opset() < 19 {
                return Err(cx.refused("averages over gaps need operator set 19"));
            }
            "AveragePool"
        }
        Pooled::Lp(p) => {
            if p.fract() != 0.0 {
                return Err(cx.refused(format_args!("ONNX has norms of whole exponents, not of {p}")));
            }
            if dilated && cx.opset() < 18 {
                return Err(cx.refused("norms over gaps need operator set 18"));
            }
            attributes.push(("p", (p as i64).into()));
            "LpPool"
        }
    };
    attributes.push(("strides", stride.as_slice().into()));
    if padded {
        attributes.push(("pads", [begin, end].concat().as_slice().into()));
    }
    if dilated {
        attributes.push(("dilations", dilation.as_slice().into()));
    }
    let outputs = (0..1 + usize::from(numbered)).map(|index| cx.output(index, &to)).collect();
    cx.push(operator, &[&x], outputs, &attributes);
    Ok(())
}

/// Adds the nodes of the maxima of so many windows along each of the last axes of input 0, as PyTorch's adaptive pooling cuts
/// them: along each axis the cells of every window are gathered, some twice where windows differ in length.
pub(crate) fn adaptive_max(cx: &mut Exporting<'_, '_>, windows: &[usize]) -> Result<()> {
    if cx.needs(1) {
        return Err(cx.refused("where maxima stand in windows of different lengths"));
    }
    cx.keeps_examples(true)?;
    let shape = cx.inputs[0].shape.to_vec();
    let mut y = cx.input(0)?;
    for (axis, &windows) in (2..).zip(windows) {
        let extent = shape[axis];
        let window = |number: usize| number * extent / windows..((number + 1) * extent).div_ceil(windows);
        let most = (0..windows).map(|number| window(number).len()).max().unwrap_or(1);
        let cells =
            |number: usize| (0..most).map(move |cell| (window(number).start + cell).min(window(number).end - 1));
        let cells: Vec<i64> = (0..windows).flat_map(cells).map(|cell| cell as i64).collect();
        let cells = cx.integers_as(&[windows, most], cells)?;
        let gathered = cx.between("Gather", &[&y, &cells], &[("axis", axis.into())]);
        let (inputs, attributes) = reduction(cx, "ReduceMax", gathered, &[axis + 1])?;
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        if axis + 1 == shape.len() {
            return cx.finish("ReduceMax", &inputs, &attributes);
        }
        y = cx.between("ReduceMax", &inputs, &attributes);
    }
    Ok(())
}
