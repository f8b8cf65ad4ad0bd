//! Convolutions.

use super::spatial::{numbers, padding, per_axis};
use super::{Call, Operator, one};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::value::Value;
use crate::ops::Padding;
use crate::ops::axis_map::PadMode;
use crate::ops::conv2d::Conv;

pub(super) const OPERATORS: &[Operator] = &[("Conv", conv), ("ConvTranspose", conv_transpose)];

/// A convolution along so many axes, of an image, a weight and a bias.
type Convolve<'g, const D: usize> = fn(Tensor<'g>, Tensor<'g>, Option<Tensor<'g>>, Conv<D>) -> Result<Tensor<'g>>;

fn conv<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (x, weight, bias) = (call.tensor(0)?, call.tensor(1)?, call.optional(2)?);
    one(convolved(call, x, weight, bias)?)
}

/// A convolution by the node's attributes.
pub(super) fn convolved<'g>(
    call: &Call<'_, '_, 'g>,
    x: Tensor<'g>,
    weight: Tensor<'g>,
    bias: Option<Tensor<'g>>,
) -> Result<Tensor<'g>> {
    match x.shape().len() {
        3 => along::<1>(call, [x, weight], bias, Tensor::conv1d_with),
        4 => along::<2>(call, [x, weight], bias, Tensor::conv2d_with),
        5 => along::<3>(call, [x, weight], bias, Tensor::conv3d_with),
        rank => Err(call.node.unsupported(format_args!("{rank} axes"))),
    }
}

fn conv_transpose<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    match call.tensor(0)?.shape().len() {
        3 => transposed::<1>(call, Tensor::conv_transpose1d_with),
        4 => transposed::<2>(call, Tensor::conv_transpose2d_with),
        5 => transposed::<3>(call, Tensor::conv_transpose3d_with),
        rank => Err(call.node.unsupported(format_args!("{rank} axes"))),
    }
}

/// The taps along each axis: those of the weight, which `kernel_shape` may repeat.
fn kernel<const D: usize>(call: &Call<'_, '_, '_>, weight: Tensor<'_>) -> Result<[usize; D]> {
    let shape = weight.shape();
    let Some(kernel) = shape.get(2..).and_then(|taps| <[usize; D]>::try_from(taps).ok()) else {
        return Err(call.node.wrong(format_args!("expected weights of {} axes, got {shape}", D + 2)));
    };
    match numbers::<D>(call, "kernel_shape")? {
        Some(said) if said != kernel => {
            Err(call.node.wrong(format_args!("attribute `kernel_shape`: {said:?}, but the weights are {shape}")))
        }
        _ => Ok(kernel),
    }
}

fn groups(call: &Call<'_, '_, '_>) -> Result<usize> {
    let groups = usize::try_from(call.node.int("group")?.unwrap_or(1)).ok().filter(|&groups| groups > 0);
    groups.ok_or_else(|| call.node.wrong("attribute `group`: expected at least 1"))
}

fn along<'g, const D: usize>(
    call: &Call<'_, '_, 'g>,
    [x, weight]: [Tensor<'g>; 2],
    bias: Option<Tensor<'g>>,
    convolve: Convolve<'g, D>,
) -> Result<Tensor<'g>> {
    let kernel = kernel::<D>(call, weight)?;
    let settings = Conv::<D>::new(weight.shape()[0], kernel)
        .stride(per_axis(call, "strides", 1)?)
        .dilation(per_axis(call, "dilations", 1)?)
        .groups(groups(call)?)
        .padding(padding(call)?);
    convolve(x, weight, bias, if bias.is_none() { settings.without_bias() } else { settings })
}

/// What a transposed convolution computes along an axis is `whole` long; of that it gives what is behind the padding, and,
/// where it is to be longer, zeros (with the bias).
fn transposed<'g, const D: usize>(call: &mut Call<'_, '_, 'g>, convolve: Convolve<'g, D>) -> Result<Vec<Value<'g>>> {
    let (x, weight, bias) = (call.tensor(0)?, call.tensor(1)?, call.optional(2)?);
    let (kernel, groups) = (kernel::<D>(call, weight)?, groups(call)?);
    let (stride, dilation) = (per_axis::<D>(call, "strides", 1)?, per_axis::<D>(call, "dilations", 1)?);
    let more = per_axis::<D>(call, "output_padding", 0)?;
    let padding = padding::<D>(call)?;
    // Of a shape that is given, an odd zero goes before unless the rule says otherwise.
    let (same, halves) = match padding {
        Padding::Sides(..) => (false, Padding::SameLower),
        rule => (true, rule),
    };
    let [mut begin, mut end] = [[0; D]; 2];
    let wanted = output_shape::<D>(call)?;
    // Of the convolution itself, and zeros behind it, which are the output padding where that is allowed there.
    let (mut behind, mut beyond) = ([0; D], [0; D]);
    for axis in 0..D {
        let too_large = || call.node.wrong("an axis of the output is too long");
        let (extent, taps) = (x.shape()[2 + axis], kernel[axis]);
        let reach = taps.saturating_sub(1).checked_mul(dilation[axis]).and_then(|reach| reach.checked_add(1));
        let steps = extent.saturating_sub(1).checked_mul(stride[axis]);
        let whole = steps.zip(reach).and_then(|(steps, reach)| steps.checked_add(reach)).ok_or_else(too_large)?;
        let whole_and_more = whole.checked_add(more[axis]).ok_or_else(too_large)?;
        let wanted = match wanted {
            Some(wanted) => Some(wanted[axis]),
            None if same => Some(extent.checked_mul(stride[axis]).ok_or_else(too_large)?),
            None => None,
        };
        [begin[axis], end[axis]] = match wanted {
            Some(wanted) => halves.sides(axis, whole_and_more.saturating_sub(wanted)),
            None => padding.sides(axis, 0),
        };
        let more = wanted.map_or(0, |wanted| wanted.saturating_sub(whole_and_more)) + more[axis];
        let longer = more.saturating_sub(end[axis]);
        end[axis] = end[axis].saturating_sub(more);
        if longer < stride[axis] { behind[axis] = longer } else { beyond[axis] = longer }
    }
    let outputs = weight.shape()[1].checked_mul(groups).ok_or_else(|| call.node.wrong("too many groups"))?;
    let settings = Conv::<D>::new(outputs, kernel)
        .stride(stride)
        .dilation(dilation)
        .groups(groups)
        .padding(Padding::Sides(begin, end))
        .output_padding(behind);
    if beyond == [0; D] {
        return one(convolve(x, weight, bias, if bias.is_none() { settings.without_bias() } else { settings })?);
    }
    let y = convolve(x, weight, None, settings.without_bias())?;
    let amounts: Vec<[i64; 2]> = [0, 0].into_iter().chain(beyond).map(|zeros| [0, zeros as i64]).collect();
    let y = y.pad(&amounts, PadMode::Constant(0.0))?;
    one(match bias {
        None => y,
        Some(bias) => y.add(bias.reshape([&[outputs][..], &[1; D]].concat())?)?,
    })
}

/// `output_shape` of a transposed convolution: the axes behind the channels, in older files all of them.
fn output_shape<const D: usize>(call: &Call<'_, '_, '_>) -> Result<Option<[usize; D]>> {
    let Some(values) = call.node.ints("output_shape")? else { return Ok(None) };
    let wrong = || call.node.wrong(format_args!("attribute `output_shape`: {values:?}"));
    let own = if values.len() == D + 2 { &values[2..] } else { values };
    let own: Option<Vec<usize>> = own.iter().map(|&extent| usize::try_from(extent).ok().filter(|&e| e > 0)).collect();
    own.and_then(|own| own.try_into().ok()).map(Some).ok_or_else(wrong)
}
