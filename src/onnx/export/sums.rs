//! Reductions as ONNX's operators.

use super::Exporting;
use super::attribute::Value;
use crate::error::Result;

/// Adds the node of a sum or mean over outer and inner of a view `[groups, outer, channels, inner]` of input 0.
pub(crate) fn sum(cx: &mut Exporting<'_, '_>, name: &str, view: [usize; 4], mean: bool) -> Result<()> {
    if name.starts_with("global_avg_pool") {
        cx.keeps_examples(true)?;
        let x = cx.input(0)?;
        return cx.finish("GlobalAveragePool", &[&x], &[]);
    }
    reduce(cx, if mean { "ReduceMean" } else { "ReduceSum" }, view)
}

/// Adds the node that reduces a view `[groups, outer, channels, inner]` of input 0 over outer and inner, which go.
pub(crate) fn reduce(cx: &mut Exporting<'_, '_>, operator: &str, view: [usize; 4]) -> Result<()> {
    let held = cx.held(0)?;
    let graph = cx.inputs[0].shape.to_vec();
    let (shape, axes) = match (summed(&held.shape, view), summed(&graph, view)) {
        (Some(axes), _) => (held.shape, axes),
        (None, Some(axes)) => (graph, axes),
        (None, None) => (view.to_vec(), vec![1, 3]),
    };
    let x = cx.input_as(0, &shape)?;
    cx.keeps_examples(!axes.contains(&0))?;
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect();
    if axes.is_empty() {
        // To ONNX that means all of them.
        return cx.finish_as(&kept, "Identity", &[&x], &[]);
    }
    let (inputs, attributes) = reduction(cx, operator, x, &axes)?;
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    cx.finish_as(&kept, operator, &inputs, &attributes)
}

/// The inputs and attributes of a node that reduces.
type Reduction = (Vec<String>, Vec<(&'static str, Value)>);

/// Those of a reduction of `x` over some axes, which go.
pub(super) fn reduction(cx: &mut Exporting<'_, '_>, operator: &str, x: String, axes: &[usize]) -> Result<Reduction> {
    let gone = ("keepdims", 0_usize.into());
    // Where the axes became an input.
    let since = if operator == "ReduceSum" { 13 } else { 18 };
    if cx.opset() < since {
        return Ok((vec![x], vec![("axes", axes.into()), gone]));
    }
    let axes = cx.integers(axes.iter().map(|&axis| axis as i64))?;
    Ok((vec![x, axes], vec![gone]))
}

/// The axes of a shape that are outer and inner of a view `[groups, outer, channels, inner]`, where none of them is part of
/// two.
fn summed(shape: &[usize], view: [usize; 4]) -> Option<Vec<usize>> {
    let mut axes = Vec::new();
    let mut next = 0;
    for (part, extent) in view.into_iter().enumerate() {
        let mut product = 1;
        while product < extent {
            product *= shape.get(next)?;
            // What has one element needs no sum.
            if part % 2 == 1 && shape[next] > 1 {
                axes.push(next);
            }
            next += 1;
        }
        if product != extent {
            return None;
        }
    }
    shape[next..].iter().all(|&extent| extent == 1).then_some(axes)
}

#[cfg(test)]
mod tests {
    use super::summed;

    #[test]
    fn a_view_is_of_whole_axes_or_of_none() {
        assert_eq!(summed(&[2, 3, 5, 7], [1, 1, 6, 35]), Some(vec![2, 3]));
        assert_eq!(summed(&[2, 3, 5, 7], [1, 2, 3, 35]), Some(vec![0, 2, 3]));
        assert_eq!(summed(&[2, 3, 5, 7], [2, 3, 35, 1]), Some(vec![1]));
        assert_eq!(summed(&[2, 3, 1, 1], [1, 1, 2, 3]), Some(vec![1]));
        assert_eq!(summed(&[4, 9], [2, 2, 9, 1]), None);
        assert_eq!(summed(&[4, 9], [1, 1, 4, 3]), None);
    }
}
