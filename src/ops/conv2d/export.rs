//! Convolutions, dense layers and products of matrices as ONNX's operators.

use super::product::{Of, Product};
use super::{Direction, Geometry, Window};
use crate::error::Result;
use crate::onnx::Exporting;

/// Adds the nodes of a product. Its gradients are products as well, but their names tell them apart.
pub(super) fn export(product: &Product, cx: &mut Exporting<'_, '_>) -> Result<()> {
    cx.only_inference()?;
    match product.of {
        Of::Images => convolution(product, cx),
        Of::Rows => {
            cx.keeps_examples(true)?;
            let inputs = cx.all_inputs()?;
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            cx.finish("Gemm", &inputs, &[("transB", true.into())])
        }
        Of::Matrices => matrices(product, cx),
    }
}

fn convolution(product: &Product, cx: &mut Exporting<'_, '_>) -> Result<()> {
    let Geometry { input, output, kernel, window, .. } = product.geometry;
    let Window { stride, padding: [top, left, bottom, right], dilation, groups } = window;
    let transposed = product.direction == Direction::GradInput;
    // A sequence is an image of one row.
    let first = if cx.outputs[0].shape.len() == 3 { 1 } else { 0 };
    let pads = [&[top, left][first..], &[bottom, right][first..]].concat();
    let mut attributes = vec![
        ("kernel_shape", kernel[first..].into()),
        ("strides", stride[first..].into()),
        ("pads", pads.as_slice().into()),
        ("dilations", dilation[first..].into()),
        ("group", groups.into()),
    ];
    cx.keeps_examples(true)?;
    let inputs = cx.all_inputs()?;
    let mut inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    if !transposed {
        return cx.finish("Conv", &inputs, &attributes);
    }
    // Omma computes it of the weight and the image.
    inputs.swap(0, 1);
    let more = |axis: usize, padding: usize| {
        let whole = (output[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
        (input[axis] + padding).saturating_sub(whole)
    };
    let more = [more(0, top + bottom), more(1, left + right)];
    if more[first..].iter().any(|&more| more > 0) {
        attributes.push(("output_padding", more[first..].into()));
    }
    cx.finish("ConvTranspose", &inputs, &attributes)
}

/// y = w·x, x = wᵀ·y or w = y·xᵀ, of groups of images.
fn matrices(product: &Product, cx: &mut Exporting<'_, '_>) -> Result<()> {
    let Geometry { batch: images, window: Window { groups, .. }, .. } = product.geometry;
    cx.keeps_examples(false)?;
    // Of x and y there are as many as images and groups together, of weights as many as groups.
    let parted = images > 1 && groups > 1;
    let split = |shape: &[usize], weight: bool| match (parted, weight, shape) {
        (true, false, [_, rows, columns]) => vec![images, groups, *rows, *columns],
        _ => shape.to_vec(),
    };
    let (weight, other) = if product.direction == Direction::GradInput { (0, 1) } else { (1, 0) };
    let of = |index: usize, cx: &Exporting<'_, '_>| cx.inputs[index].shape.to_vec();
    let turned = |cx: &mut Exporting<'_, '_>, x: &str, rank: usize| {
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 1, rank - 2);
        cx.between("Transpose", &[x], &[("perm", order.as_slice().into())])
    };
    if product.direction == Direction::GradWeight {
        if images > 1 {
            return Err(cx.refused("a sum over images of products"));
        }
        let rank = cx.inputs[0].shape.len();
        let (x, y) = (cx.input(0)?, cx.input(1)?);
        let x = turned(cx, &x, rank);
        return cx.finish("MatMul", &[&y, &x], &[]);
    }
    let shapes = [split(&of(weight, cx), true), split(&of(other, cx), false)];
    let w = cx.input_as(weight, &shapes[0])?;
    let x = cx.input_as(other, &shapes[1])?;
    let w = if product.direction == Direction::GradInput { turned(cx, &w, shapes[0].len()) } else { w };
    let result = split(&cx.outputs[0].shape, false);
    cx.finish_as(&result, "MatMul", &[&w, &x], &[])
}
