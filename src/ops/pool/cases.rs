//! The problems that the general poolings are tried on.

use super::max::{Numbering, general};
use super::window::{Pool, Pool1d, Pool2d, Pool3d};
use super::windows::Windows;
use super::{Kind, Pooling};
use crate::error::Result;
use crate::graph::{Mode, Tensor, TensorType};
use crate::ops::Padding;
use crate::selftest::OpCase;

/// Every kind over one window, by the general kernel even where there is a faster one.
fn every_kind<const D: usize>(shape: &'static [usize], window: Pool<D>) -> Vec<OpCase> {
    let window = window.over(&TensorType::f32(shape));
    let case = |kind: &str, build: fn(Tensor<'_>, Pool<D>) -> Result<Tensor<'_>>| {
        let name = format!("{kind}, {D}d {shape:?} {}", window.describe());
        OpCase::new(name, move |cx| Ok(vec![build(cx.normal("x", shape.to_vec())?, window)?]))
    };
    vec![
        case("max_pool", |x, window| Ok(general(x, Windows::Sliding(window))?[0])),
        case("avg_pool", |x, window| {
            let kind = Kind::Average { count_include_pad: window.count_include_pad };
            x.graph().apply_one(Pooling { kind, windows: Windows::Sliding(window) }, "", &[x])
        }),
        case("lp_pool", |x, window| super::lp::normed(x, 2.0, window)),
        case("stochastic_pool in evaluation", super::stochastic::stochastic),
        case("stochastic_pool", super::stochastic::stochastic).mode(Mode::Training),
    ]
}

fn windows() -> Vec<OpCase> {
    let cut = |pool: Pool2d| pool.ceil_mode(true).count_include_pad(false);
    [
        every_kind(&[2, 3, 11], Pool1d::new(3).stride(2).dilation(2)),
        every_kind(&[1, 67, 13], Pool1d::new(2).padding(Padding::Sides([0], [1])).ceil_mode(true)),
        every_kind(&[1, 1, 1, 1], Pool2d::new(1)),
        every_kind(&[2, 3, 8, 6], Pool2d::new(2)),
        every_kind(&[2, 4, 9, 7], Pool2d::new(3).stride(1).dilation(2).padding(2)),
        every_kind(
            &[1, 12, 10, 9],
            cut(Pool2d::new([2, 3]).stride([3, 2]).dilation([3, 1]).padding(Padding::Sides([1, 0], [2, 1]))),
        ),
        every_kind(&[1, 2, 7, 9], Pool2d::new([3, 4]).stride([1, 2]).padding(Padding::Sides([2, 1], [0, 3]))),
        every_kind(&[2, 3, 8], Pool1d::new(3).stride(3).padding(Padding::SameLower)),
        every_kind(&[1, 4, 7, 6], Pool2d::new([3, 2]).stride(2).padding(Padding::SameUpper)),
        every_kind(&[1, 2, 7, 6], cut(Pool2d::new([4, 1]).stride([1, 2]).padding(Padding::SameLower))),
        // Large enough to be read through textures, where a device does that.
        every_kind(&[2, 32, 19, 13], Pool2d::new(3).stride(2).padding(1).dilation([1, 2])),
        every_kind(&[2, 3, 5, 7, 4], Pool3d::new(2)),
        every_kind(&[1, 1, 1, 1, 1], Pool3d::new(1)),
        every_kind(
            &[1, 2, 7, 5, 6],
            Pool3d::new([3, 2, 2]).stride([2, 1, 3]).padding(Padding::Sides([1, 0, 1], [0, 1, 1])),
        ),
        every_kind(&[1, 2, 9, 7, 8], Pool3d::new(2).stride(1).dilation([4, 3, 2]).padding(1).count_include_pad(false)),
        every_kind(&[1, 2, 3, 4, 5], Pool3d::new(2).stride([2, 1, 3]).padding(Padding::SameUpper)),
        // Among so many values some lie near a kink.
        every_kind(&[1, 11, 12, 14, 11], Pool3d::new(3).stride(2).padding(1).ceil_mode(true))
            .into_iter()
            .map(OpCase::without_differences)
            .collect(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A case of one function of normal values.
fn of(shape: &'static [usize], what: &str, build: fn(Tensor<'_>) -> Result<Tensor<'_>>) -> OpCase {
    OpCase::new(format!("{what} {shape:?}"), move |cx| Ok(vec![build(cx.normal("x", shape.to_vec())?)?]))
}

/// A case of a pooling with its indices.
fn indexed(shape: &'static [usize], what: &str, build: fn(Tensor<'_>) -> Result<[Tensor<'_>; 2]>) -> OpCase {
    OpCase::new(
        format!("{what} with indices {shape:?}"),
        move |cx| Ok(build(cx.normal("x", shape.to_vec())?)?.to_vec()),
    )
}

/// A case of given values, on kinks or far out.
fn given(
    shape: &'static [usize],
    what: &str,
    values: &'static [f32],
    build: fn(Tensor<'_>) -> Result<Tensor<'_>>,
) -> OpCase {
    let case = OpCase::new(what, move |cx| Ok(vec![build(cx.values("x", shape.to_vec(), values.to_vec())?)?]));
    case.without_differences()
}

pub(crate) fn cases() -> Vec<OpCase> {
    let lines = [
        // Images of one row.
        of(&[2, 3, 11], "max_pool1d 3", |x| x.max_pool1d(Pool1d::new(3).stride(2).padding(1))),
        of(&[2, 3, 11], "avg_pool1d 3", |x| x.avg_pool1d(Pool1d::new(3).stride(2).padding(1))),
        of(&[3, 5, 13], "lp_pool1d p 1", |x| x.lp_pool1d(1.0, Pool1d::new(4).stride(3))),
        of(&[3, 5, 13], "lp_pool1d p 1.5", |x| x.lp_pool1d(1.5, Pool1d::new(4).stride(3))),
        of(&[3, 5, 13], "lp_pool1d p 3", |x| x.lp_pool1d(3.0, Pool1d::new(4).stride(3))),
        of(&[1, 2, 7, 5], "lp_pool2d p 7.25", |x| x.lp_pool2d(7.25, Pool2d::new(3).stride(1).padding(1))),
        indexed(&[2, 3, 11], "max_pool1d", |x| x.max_pool1d_with_indices(Pool1d::new(3).stride(2).padding(1))),
        indexed(&[2, 4, 7, 9], "max_pool2d", |x| x.max_pool2d_with_indices(Pool2d::new(3).stride(2).padding(1))),
        indexed(&[2, 2, 9, 8], "max_pool2d dilated", |x| x.max_pool2d_with_indices(Pool2d::new(2).dilation([3, 2]))),
        indexed(&[1, 3, 5, 7, 4], "max_pool3d", |x| {
            x.max_pool3d_with_indices(
                Pool3d::new([2, 3, 2]).stride([2, 2, 1]).padding(Padding::Sides([1, 0, 0], [0, 1, 1])),
            )
        }),
        indexed(&[2, 3, 5, 7], "max_pool2d of the whole", |x| {
            x.max_pool_numbered(Pool2d::new(2), Numbering { whole: true, column_major: false })
        }),
        indexed(&[2, 3, 5, 7], "max_pool2d columns first", |x| {
            x.max_pool_numbered(Pool2d::new(2), Numbering { whole: true, column_major: true })
        }),
        indexed(&[2, 2, 3, 5, 4], "max_pool3d columns first", |x| {
            x.max_pool_numbered(Pool3d::new(2), Numbering { whole: false, column_major: true })
        }),
        of(&[2, 3, 11], "adaptive_max_pool1d to 4", |x| x.adaptive_max_pool1d(4)),
        of(&[1, 5, 3], "adaptive_max_pool1d to 7", |x| x.adaptive_max_pool1d(7)),
        of(&[2, 4, 13, 10], "adaptive_max_pool2d to 5x4", |x| x.adaptive_max_pool2d([5, 4])),
        of(&[2, 4, 12, 10], "adaptive_max_pool2d to 4x5", |x| x.adaptive_max_pool2d([4, 5])),
        of(&[2, 4, 9, 7], "adaptive_max_pool2d to 1", |x| x.adaptive_max_pool2d(1)),
        of(&[2, 4, 3, 70], "adaptive_max_pool2d to 1x3", |x| x.adaptive_max_pool2d([1, 3])),
        of(&[1, 2, 7, 5, 8], "adaptive_max_pool3d to 3x5x3", |x| x.adaptive_max_pool3d([3, 5, 3])),
        of(&[2, 3, 11], "adaptive_avg_pool1d to 4", |x| x.adaptive_avg_pool1d(4)),
        of(&[2, 4, 12, 10], "adaptive_avg_pool2d to 4x5", |x| x.adaptive_avg_pool2d([4, 5])),
        of(&[2, 4, 9, 7], "adaptive_avg_pool2d to 5x9", |x| x.adaptive_avg_pool2d([5, 9])),
        of(&[1, 2, 7, 5, 8], "adaptive_avg_pool3d to 3x5x3", |x| x.adaptive_avg_pool3d([3, 5, 3])),
        of(&[1, 2, 7, 5, 8], "adaptive_avg_pool3d to 1", |x| x.adaptive_avg_pool3d(1)),
        indexed(&[2, 3, 11], "adaptive_max_pool1d", |x| x.adaptive_max_pool1d_with_indices(4)),
        indexed(&[2, 4, 13, 10], "adaptive_max_pool2d", |x| x.adaptive_max_pool2d_with_indices([5, 4])),
        indexed(&[1, 2, 7, 5, 8], "adaptive_max_pool3d", |x| x.adaptive_max_pool3d_with_indices([3, 2, 8])),
        of(&[2, 3, 701], "global_max_pool1d", |x| x.global_max_pool1d()),
        of(&[2, 4, 31, 23], "global_max_pool2d", |x| x.global_max_pool2d()),
        of(&[1, 3, 1, 1], "global_max_pool2d", |x| x.global_max_pool2d()),
        of(&[2, 2, 5, 9, 11], "global_max_pool3d", |x| x.global_max_pool3d()),
        of(&[2, 3, 701], "global_lp_pool1d", |x| x.global_lp_pool1d(2.0)),
        of(&[2, 4, 31, 23], "global_lp_pool2d", |x| x.global_lp_pool2d(3.0)),
        of(&[1, 3, 1, 1], "global_lp_pool2d", |x| x.global_lp_pool2d(1.0)),
        of(&[2, 2, 5, 9, 11], "global_lp_pool3d", |x| x.global_lp_pool3d(2.0)),
    ];
    /// Each window has a hazard of its own: nothing, ties, what is not finite.
    const HAZARDS: &[f32] = &[
        0.0,
        0.0,
        -1.0,
        -2.0,
        2.0,
        2.0,
        f32::INFINITY,
        1.0,
        f32::NAN,
        f32::INFINITY,
        0.0,
        5.0,
        f32::NEG_INFINITY,
        f32::NEG_INFINITY,
    ];
    const LARGE: &[f32] = &[2e38, 1e38, -3e38, 1e30, 1e-30, -2e-30, 1e-38, 2e-38, 0.0, 0.0, -1.0, 0.0, 1e19, -1e-19];
    let hazards = [
        given(&[1, 1, 14, 1, 1], "max_pool3d of hazards", HAZARDS, |x| x.max_pool3d([2, 1, 1])),
        given(&[1, 1, 14, 1, 1], "stochastic_pool3d of hazards", HAZARDS, |x| x.stochastic_pool3d([2, 1, 1]))
            .mode(Mode::Training),
        given(&[1, 1, 14], "lp_pool1d of large and small values", LARGE, |x| x.lp_pool1d(3.0, 2)),
        given(&[1, 1, 14], "lp_pool1d p 1 of large and small values", LARGE, |x| x.lp_pool1d(1.0, 2)),
        given(&[1, 1, 14], "stochastic_pool1d in evaluation of large and small values", LARGE, |x| {
            x.stochastic_pool1d(2)
        }),
    ];
    windows().into_iter().chain(lines).chain(hazards).collect()
}
