//! Convolutions.

use super::{Call, Operator, one};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::value::Value;
use crate::ops::conv2d::{Conv, Padding};

pub(super) const OPERATORS: &[Operator] = &[("Conv", conv)];

/// An attribute with a number for each axis.
pub(super) fn per_axis<const D: usize>(call: &Call<'_, '_, '_>, name: &str, default: usize) -> Result<[usize; D]> {
    let Some(values) = call.node.ints(name)? else { return Ok([default; D]) };
    let wrong = || call.node.wrong(format_args!("attribute `{name}`: expected {D} natural numbers, got {values:?}"));
    let numbers: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(wrong)
}

/// The attribute `pads`: numbers before each axis, then behind each.
pub(super) fn pads<const D: usize>(call: &Call<'_, '_, '_>) -> Result<[[usize; D]; 2]> {
    let Some(values) = call.node.ints("pads")? else { return Ok([[0; D]; 2]) };
    let wrong =
        || call.node.wrong(format_args!("attribute `pads`: expected {} natural numbers, got {values:?}", 2 * D));
    let numbers: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
    let numbers = numbers.filter(|numbers| numbers.len() == 2 * D).ok_or_else(wrong)?;
    Ok([std::array::from_fn(|axis| numbers[axis]), std::array::from_fn(|axis| numbers[D + axis])])
}

/// A convolution along so many axes, of an image, a weight and a bias.
type Convolve<'g, const D: usize> = fn(Tensor<'g>, Tensor<'g>, Option<Tensor<'g>>, Conv<D>) -> Result<Tensor<'g>>;

fn conv<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    match call.tensor(0)?.shape().len() {
        3 => along::<1>(call, Tensor::conv1d_with, 0),
        4 => along::<2>(call, Tensor::conv2d_with, 0),
        5 => along::<3>(call, Tensor::conv3d_with, 0),
        rank => Err(call.node.unsupported(format_args!("{rank} axes"))),
    }
}

/// `outputs` is the axis of the weight that has the outputs.
fn along<'g, const D: usize>(
    call: &mut Call<'_, '_, 'g>,
    convolve: Convolve<'g, D>,
    outputs: usize,
) -> Result<Vec<Value<'g>>> {
    let (x, weight, bias) = (call.tensor(0)?, call.tensor(1)?, call.optional(2)?);
    let shape = weight.shape();
    if shape.len() != D + 2 {
        return Err(call.node.wrong(format_args!("expected weights of {} axes, got {shape}", D + 2)));
    }
    let groups = call.node.int("group")?.unwrap_or(1);
    let groups = usize::try_from(groups).ok().filter(|&groups| groups > 0);
    let groups = groups.ok_or_else(|| call.node.wrong("attribute `group`: expected at least 1"))?;
    let kernel: [usize; D] = std::array::from_fn(|axis| shape[2 + axis]);
    let [begin, end] = pads::<D>(call)?;
    let padding = match call.node.text("auto_pad")?.unwrap_or("NOTSET") {
        "NOTSET" => Padding::Zeros { begin, end },
        "VALID" => Padding::VALID,
        "SAME_UPPER" => Padding::SameUpper,
        "SAME_LOWER" => Padding::SameLower,
        other => return Err(call.node.wrong(format_args!("attribute `auto_pad`: `{other}`"))),
    };
    let settings = Conv::<D>::new(shape[outputs], kernel)
        .stride(per_axis(call, "strides", 1)?)
        .dilation(per_axis(call, "dilations", 1)?)
        .groups(groups)
        .padding(padding);
    one(convolve(x, weight, bias, if bias.is_none() { settings.without_bias() } else { settings })?)
}
