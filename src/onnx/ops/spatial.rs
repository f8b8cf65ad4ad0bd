//! What convolutions and poolings say of their windows, in attributes with a number for each axis.

use super::Call;
use crate::error::Result;
use crate::ops::Padding;

/// An attribute with a number for each axis.
pub(super) fn per_axis<const D: usize>(call: &Call<'_, '_, '_>, name: &str, default: usize) -> Result<[usize; D]> {
    Ok(numbers(call, name)?.unwrap_or([default; D]))
}

/// So many natural numbers, if the attribute is there.
pub(super) fn numbers<const N: usize>(call: &Call<'_, '_, '_>, name: &str) -> Result<Option<[usize; N]>> {
    let Some(values) = call.node.ints(name)? else { return Ok(None) };
    let wrong = || call.node.wrong(format_args!("attribute `{name}`: expected {N} natural numbers, got {values:?}"));
    let numbers: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).map(Some).ok_or_else(wrong)
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

/// The attributes `auto_pad` and, where that says nothing, `pads`.
pub(super) fn padding<const D: usize>(call: &Call<'_, '_, '_>) -> Result<Padding<D>> {
    let [begin, end] = pads::<D>(call)?;
    match call.node.text("auto_pad")?.unwrap_or("NOTSET") {
        "NOTSET" => Ok(Padding::Sides(begin, end)),
        "VALID" => Ok(Padding::VALID),
        "SAME_UPPER" => Ok(Padding::SameUpper),
        "SAME_LOWER" => Ok(Padding::SameLower),
        other => Err(call.node.wrong(format_args!("attribute `auto_pad`: `{other}`"))),
    }
}

/// How many windows of so many taps an axis has with its padding, where it has one.
pub(super) fn windows(extent: usize, pads: [usize; 2], taps: usize, stride: usize, dilation: usize) -> Option<usize> {
    let reach = taps.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
    let padded = extent.checked_add(pads[0])?.checked_add(pads[1]).filter(|&padded| padded <= 1 << 30)?;
    padded.checked_sub(reach)?.checked_div(stride)?.checked_add(1)
}
