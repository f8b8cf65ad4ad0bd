//! Resampling, and channels in the place of pixels.

use super::{Call, Operator, one};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::Array;
use crate::onnx::value::Value;
use crate::ops::axis_map::{Coordinates, Resize, Resized, Rounding};
use crate::ops::strided::DepthOrder;

pub(super) const OPERATORS: &[Operator] = &[
    ("DepthToSpace", |call| {
        let order = match call.node.text("mode")?.unwrap_or("DCR") {
            "DCR" => DepthOrder::BlockFirst,
            "CRD" => DepthOrder::ChannelFirst,
            other => return Err(call.node.wrong(format_args!("attribute `mode`: `{other}`"))),
        };
        one(call.tensor(0)?.depth_to_space(block(call)?, order)?)
    }),
    ("Resize", |call| if call.node.opset < 11 { simple(call) } else { resize(call) }),
    ("SpaceToDepth", |call| one(call.tensor(0)?.space_to_depth(block(call)?, DepthOrder::BlockFirst)?)),
    ("Upsample", simple),
];

fn block(call: &Call<'_, '_, '_>) -> Result<usize> {
    let size = call.node.required("blocksize", call.node.int("blocksize")?)?;
    usize::try_from(size).map_err(|_| call.node.wrong(format_args!("attribute `blocksize`: {size}")))
}

/// floor(extent · scale), in single precision as other implementations have it.
fn by_scale(call: &Call<'_, '_, '_>, extent: usize, scale: f32) -> Result<Resized> {
    let size = (extent as f32 * scale).floor();
    match scale > 0.0 && (1.0..1e9).contains(&size) {
        true => Ok(Resized::by(size as usize, scale)),
        false => Err(call.node.wrong(format_args!("a scale of {scale} for an extent of {extent}"))),
    }
}

/// Upsample, and Resize as it was in operator set 10: place i stands for i / scale, and the nearest element is the one before,
/// or, where an axis becomes shorter, the one behind.
fn simple<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x = call.tensor(0)?;
    let shape = x.shape();
    let scales = match (call.node.operator.as_str(), call.node.opset) {
        ("Upsample", ..7) => {
            let scale = |name: &str| call.node.required(name, call.node.float(name)?);
            vec![1.0, 1.0, scale("height_scale")?, scale("width_scale")?]
        }
        ("Upsample", ..9) => call.node.required("scales", call.node.floats("scales")?)?.to_vec(),
        _ => call.floats(1)?,
    };
    if scales.len() != shape.len() {
        return Err(call.node.wrong(format_args!("{} scales for {shape}", scales.len())));
    }
    let linear = match call.node.text("mode")?.unwrap_or("nearest") {
        "nearest" => false,
        "linear" | "bilinear" => true,
        other => return Err(call.node.unsupported(format_args!("the mode `{other}`"))),
    };
    let part = |shorter: bool| -> Result<(Vec<usize>, Vec<Resized>)> {
        let axes: Vec<usize> = (0..shape.len()).filter(|&axis| (scales[axis] < 1.0) == shorter).collect();
        let resized = axes.iter().map(|&axis| by_scale(call, shape[axis], scales[axis])).collect::<Result<_>>()?;
        Ok((axes, resized))
    };
    let how = Resize::linear().coordinates(Coordinates::Asymmetric);
    let [(down, shorter), (up, longer)] = [part(true)?, part(false)?];
    let [below, above] = match linear {
        true => [how, how],
        false => [how.rounding(Rounding::Ceil), how.rounding(Rounding::Floor)],
    };
    one(x.resample(&down, &shorter, below)?.resample(&up, &longer, above)?)
}

/// How the attributes say that it is to be interpolated, but for a crop's coordinates.
fn interpolation(call: &Call<'_, '_, '_>) -> Result<Resize> {
    let node = call.node;
    let coordinates = match node.text("coordinate_transformation_mode")?.unwrap_or("half_pixel") {
        "half_pixel" | "tf_crop_and_resize" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        other => {
            return Err(node.unsupported(format_args!("attribute `coordinate_transformation_mode`: `{other}`")));
        }
    };
    let rounding = match node.text("nearest_mode")?.unwrap_or("round_prefer_floor") {
        "round_prefer_floor" => Rounding::PreferFloor,
        "round_prefer_ceil" => Rounding::PreferCeil,
        "floor" => Rounding::Floor,
        "ceil" => Rounding::Ceil,
        other => return Err(node.wrong(format_args!("attribute `nearest_mode`: `{other}`"))),
    };
    let how = match node.text("mode")?.unwrap_or("nearest") {
        // What follows does not concern the nearest.
        "nearest" => return Ok(Resize::nearest().rounding(rounding).coordinates(coordinates)),
        "linear" => Resize::linear(),
        "cubic" => Resize::cubic().cubic_coefficient(call.node.number("cubic_coeff_a", -0.75)?),
        other => return Err(node.wrong(format_args!("attribute `mode`: `{other}`"))),
    };
    let how = how.coordinates(coordinates);
    let how = if node.flag("exclude_outside", false)? { how.exclude_outside() } else { how };
    Ok(if node.flag("antialias", false)? { how.antialias() } else { how })
}

fn resize<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x = call.tensor(0)?;
    let shape = x.shape();
    let axes = match call.node.ints("axes")? {
        Some(axes) => call.node.axes(axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    let extents: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    // Older operator sets have an empty tensor for what is not given.
    let scales = if call.has(2) { call.floats(2)? } else { Vec::new() };
    let mut resized = if scales.is_empty() { to_sizes(call, &extents)? } else { to_scales(call, &extents, &scales)? };
    let how = interpolation(call)?;
    let coordinates = call.node.text("coordinate_transformation_mode")?.unwrap_or_default();
    if coordinates == "align_corners" && !scales.is_empty() {
        // The last corner is that of the whole scaled length, of which the last places are the floor.
        for ((to, &extent), &scale) in resized.iter_mut().zip(&extents).zip(&scales) {
            let length = extent as f64 * f64::from(scale);
            to.crop = Some([0.0, if to.size > 1 { (to.size as f64 - 1.0) / (length - 1.0) } else { 0.0 }]);
        }
    }
    if coordinates != "tf_crop_and_resize" {
        return one(x.resample(&axes, &resized, how)?);
    }
    let region = call.floats(1)?;
    if region.len() != 2 * axes.len() || !region.iter().all(|place| place.is_finite()) {
        return Err(call.node.wrong(format_args!("a region {region:?} for {} axes", axes.len())));
    }
    for (index, axis) in resized.iter_mut().enumerate() {
        axis.crop = Some([region[index], region[axes.len() + index]].map(f64::from));
    }
    let y = x.resample(&axes, &resized, how)?;
    let value = call.node.number("extrapolation_value", 0.0)?;
    let beyond = if value == 0.0 { None } else { outside(call, &shape, &axes, &resized, value)? };
    one(match beyond {
        Some(beyond) => y.add(beyond)?,
        None => y,
    })
}

fn to_scales(call: &Call<'_, '_, '_>, extents: &[usize], scales: &[f32]) -> Result<Vec<Resized>> {
    if scales.len() != extents.len() {
        return Err(call.node.wrong(format_args!("{} scales for {} axes", scales.len(), extents.len())));
    }
    extents.iter().zip(scales).map(|(&extent, &scale)| by_scale(call, extent, scale)).collect()
}

fn to_sizes(call: &Call<'_, '_, '_>, extents: &[usize]) -> Result<Vec<Resized>> {
    let sizes = call.ints(3)?;
    let wrong = || call.node.wrong(format_args!("sizes {sizes:?} for {} axes", extents.len()));
    let natural: Option<Vec<usize>> =
        sizes.iter().map(|&size| usize::try_from(size).ok().filter(|size| (1..1 << 30).contains(size))).collect();
    let natural = natural.filter(|sizes| sizes.len() == extents.len() && !sizes.is_empty()).ok_or_else(wrong)?;
    let scale = |index: usize| natural[index] as f64 / extents[index] as f64;
    let common = match call.node.text("keep_aspect_ratio_policy")?.unwrap_or("stretch") {
        "stretch" => {
            let fraction = |(&size, &extent): (&usize, &usize)| Resized::new(size, [size as f64, extent as f64]);
            return Ok(natural.iter().zip(extents).map(fraction).collect());
        }
        "not_larger" => (0..natural.len()).min_by(|&a, &b| scale(a).total_cmp(&scale(b))),
        "not_smaller" => (0..natural.len()).max_by(|&a, &b| scale(a).total_cmp(&scale(b))),
        other => return Err(call.node.wrong(format_args!("attribute `keep_aspect_ratio_policy`: `{other}`"))),
    };
    // One scale for all axes, as a fraction; halves are rounded up.
    let common = common.ok_or_else(wrong)?;
    let [numerator, denominator] = [natural[common] as f64, extents[common] as f64];
    let kept = |&extent: &usize| match (extent as f64 * numerator / denominator + 0.5).floor() {
        size if (1.0..1e9).contains(&size) => Ok(Resized::new(size as usize, [numerator, denominator])),
        size => Err(call.node.wrong(format_args!("an extent of {size}"))),
    };
    extents.iter().map(kept).collect()
}

/// The value where a crop is outside along one of the axes, else 0.
fn outside<'g>(
    call: &mut Call<'_, '_, 'g>,
    shape: &[usize],
    axes: &[usize],
    resized: &[Resized],
    value: f32,
) -> Result<Option<Tensor<'g>>> {
    // Of each axis, in order, whether a place is within; an axis that is within throughout need not be told apart.
    let mut within: Vec<Vec<bool>> = vec![vec![true]; shape.len()];
    for (&axis, to) in axes.iter().zip(resized) {
        let Resized { size, crop: Some(crop), .. } = *to else { continue };
        let last = shape[axis] as f64 - 1.0;
        let inside = |place| (0.0..=last).contains(&Resized::cropped(crop, shape[axis], size, place));
        let places: Vec<bool> = (0..size).map(inside).collect();
        if places.contains(&false) {
            within[axis] = places;
        }
    }
    let extents: Vec<usize> = within.iter().map(Vec::len).collect();
    if extents.iter().all(|&extent| extent == 1) && within.iter().all(|places| places[0]) {
        return Ok(None);
    }
    /// Elements that are made on the host, at most.
    const MOST: usize = 1 << 26;
    let count = extents.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
    if count.is_none_or(|count| count > MOST) {
        return Err(call.node.unsupported(format_args!("more than {MOST} places outside the region")));
    }
    let mut all = vec![true];
    for places in &within {
        all = all.iter().flat_map(|&before| places.iter().map(move |&inside| before && inside)).collect();
    }
    let values: Vec<f32> = all.into_iter().map(|inside| if inside { 0.0 } else { value }).collect();
    call.constant(Array::new(&extents, values)?).map(Some)
}
