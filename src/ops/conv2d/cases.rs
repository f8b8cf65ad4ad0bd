//! The convolutions that every kernel variant is tried on.

use super::{Conv1d, Conv2d, winograd, winograd_planar};
use crate::graph::Mode;
use crate::ops::Padding;
use crate::ops::axis_map::PadMode;
use crate::ops::batch_norm::BatchNorm;
use crate::selftest::OpCase;

/// Name, x `[N, C, H, W]`, settings.
type Problem = (&'static str, [usize; 4], Conv2d);

fn problems() -> Vec<Problem> {
    let conv = Conv2d::new;
    vec![
        ("1x1", [2, 3, 5, 7], conv(67, 1)),
        ("3x3", [1, 1, 7, 5], conv(1, 3)),
        ("3x3 padded", [2, 67, 9, 8], conv(5, 3).padding(1)),
        ("5x5 of LeNet", [3, 6, 14, 14], conv(16, 5)),
        ("7x7 stride 2 stem", [1, 3, 23, 19], conv(8, 7).stride(2).padding(3)),
        ("7x7 stride 2 stem, whole and partial tiles", [2, 3, 21, 67], conv(67, 7).stride(2).padding(3)),
        ("3x3 stem of four channels", [1, 4, 9, 18], conv(33, 3).padding(1)),
        ("larger than the tile", [1, 2, 70, 71], conv(2, 67).padding(3)),
        ("as large as the image", [2, 3, 4, 6], Conv2d::new(4, [4, 6])),
        ("one row", [1, 3, 1, 29], Conv2d::new(2, [1, 3]).padding([0, 1])),
        ("stride 3 that leaves a rest", [2, 3, 11, 13], conv(4, 2).stride([3, 2])),
        ("each side's own padding", [1, 2, 6, 5], conv(3, 3).padding(Padding::Sides([2, 0], [1, 3]))),
        ("more padding than kernel", [2, 3, 5, 6], conv(2, 2).padding(3)),
        ("dilation", [2, 3, 13, 11], conv(4, 3).dilation(3).padding(2)),
        ("groups", [2, 6, 7, 7], conv(9, 3).groups(3).padding(1)),
        ("groups of fours", [2, 12, 9, 7], conv(12, 3).groups(3).padding(1)),
        ("groups of fours, more outputs, stride 2", [2, 8, 11, 18], conv(24, 3).groups(2).stride(2).padding(1)),
        (
            "groups of fours, fewer outputs, stride 3 and dilation 2",
            [1, 24, 17, 13],
            conv(8, 3).groups(2).stride(3).dilation(2).padding(Padding::Sides([2, 0], [1, 3])),
        ),
        ("groups of fours, 1x1, many pixels", [3, 16, 31, 29], conv(16, 1).groups(4)),
        ("groups of fours, more padding than kernel", [1, 8, 5, 3], conv(8, 2).groups(2).padding(3)),
        ("depthwise", [2, 67, 9, 7], conv(67, 3).groups(67).padding(1)),
        ("depthwise with a multiplier", [1, 3, 8, 9], conv(6, 5).groups(3).stride(2).padding(2)),
        ("depthwise in fours", [2, 12, 19, 13], conv(12, 3).groups(12).padding(1)),
        ("depthwise in fours, 5x5 and stride 2", [3, 8, 21, 18], conv(8, 5).groups(8).stride(2).padding(2)),
        (
            "depthwise in fours, strides 3 and 2, dilation 2",
            [2, 4, 23, 17],
            Conv2d::new(4, [2, 3]).groups(4).stride([3, 2]).dilation(2).padding(Padding::Sides([3, 0], [1, 4])),
        ),
        ("depthwise in fours, stride beyond the kernel", [1, 36, 9, 8], conv(36, 1).groups(36).stride(2)),
        ("depthwise in fours, more padding than kernel", [1, 4, 40, 3], conv(4, 3).groups(4).padding(4)),
        ("more than 65,535 pixels a channel", [3, 1, 150, 149], conv(2, 3).padding(1)),
        ("wide", [1, 130, 6, 6], conv(131, 3).padding(1)),
        ("beyond the largest tile", [2, 5, 13, 11], conv(130, 3).padding(1)),
        ("a single element", [1, 1, 1, 1], conv(1, 1)),
        ("channels in fours, 1x1", [2, 12, 5, 7], conv(72, 1)),
        ("1x1, planes in fours", [3, 5, 6, 14], conv(70, 1)),
        ("1x1, planes in fours and groups", [2, 6, 2, 6], conv(9, 1).groups(3)),
        ("1x1, many channels of few pixels", [1, 520, 2, 2], conv(5, 1)),
        ("channels in fours, 3x3", [2, 20, 9, 8], conv(36, 3).padding(1)),
        ("channels in fours, stride 2", [2, 8, 11, 14], conv(16, 3).stride(2).padding(1)),
        (
            "channels in fours, stride 3 and dilation 2",
            [1, 68, 17, 13],
            conv(4, 3).stride(3).dilation(2).padding(Padding::Sides([2, 0], [1, 3])),
        ),
        ("channels in fours, more padding than kernel", [1, 8, 9, 7], conv(12, 3).padding(3)),
        (
            "channels in fours, padding of single sides",
            [2, 8, 6, 9],
            conv(8, 3).padding(Padding::Sides([0, 3], [1, 0])),
        ),
        ("channels in fours, 3x3 without padding, tiles in parts", [3, 36, 7, 10], conv(40, 3)),
        ("channels in fours, many pixels", [1, 8, 31, 29], conv(68, 3).padding(1)),
        ("same, one more behind", [1, 3, 8, 7], Conv2d::new(4, [3, 4]).stride([2, 3]).padding(Padding::SameUpper)),
        ("same, one more before", [3, 3, 8, 7], Conv2d::new(4, [3, 4]).stride([2, 1]).padding(Padding::SameLower)),
        ("same with dilation", [1, 4, 9, 8], conv(4, 2).dilation(3).padding(Padding::SameUpper)),
        ("mirrored", [2, 3, 6, 5], conv(4, 3).padding([2, 1]).padding_mode(PadMode::Reflect)),
        ("edges repeated", [1, 4, 3, 5], conv(8, 5).stride(2).padding(4).padding_mode(PadMode::Edge)),
        (
            "around, one more behind",
            [1, 2, 4, 5],
            Conv2d::new(3, [2, 4]).padding(Padding::SameUpper).padding_mode(PadMode::Wrap),
        ),
        ("a constant around", [1, 2, 4, 5], conv(3, 3).padding(1).padding_mode(PadMode::Constant(-0.5))),
        ("a mode and nothing padded", [1, 3, 4, 5], conv(2, 3).padding_mode(PadMode::Reflect)),
    ]
}

fn sequences() -> Vec<(&'static str, [usize; 3], Conv1d)> {
    let conv = Conv1d::new;
    vec![
        ("plain", [1, 1, 7], conv(1, 3)),
        ("channels in fours", [2, 8, 19], conv(12, 3).padding(1)),
        ("stride 3 that leaves a rest", [3, 5, 17], conv(6, 4).stride(3)),
        ("dilation", [1, 3, 23], conv(4, 3).dilation(4).padding(4)),
        ("groups", [2, 6, 11], conv(9, 5).groups(3).padding(2)),
        ("depthwise", [2, 8, 21], conv(8, 5).groups(8).stride(2).padding(2)),
        ("one side padded", [1, 4, 9], conv(4, 3).padding(Padding::Sides([2], [0]))),
        ("same, one more before", [2, 3, 10], conv(4, 4).stride(3).padding(Padding::SameLower)),
        ("around", [2, 3, 10], conv(4, 5).padding(2).padding_mode(PadMode::Wrap)),
        ("of single elements, padded", [3, 4, 1], conv(8, 3).padding(2)),
        ("1", [2, 12, 31], conv(20, 1)),
    ]
}

pub(crate) fn cases() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for (name, shape, settings) in problems() {
        cases.push(OpCase::new(format!("conv2d {name}"), move |cx| {
            let weight = cx.normal("weight", settings.weight(shape[1], false))?;
            let bias = cx.normal("bias", settings.out_channels())?;
            cx.normal("x", shape)?.conv2d_with(weight, Some(bias), settings).map(|y| vec![y])
        }));
    }
    for (name, shape, settings) in sequences() {
        cases.push(OpCase::new(format!("conv1d {name}"), move |cx| {
            let weight = cx.normal("weight", settings.weight(shape[1], false))?;
            let bias = cx.normal("bias", settings.out_channels())?;
            cx.normal("x", shape)?.conv1d_with(weight, Some(bias), settings).map(|y| vec![y])
        }));
    }
    // The gradients of a convolution, whose own gradients the case then checks.
    for (channels, groups) in [(3, 1), (8, 1), (4, 2)] {
        let title = format!("conv2d and its gradients, {channels} channels, {groups} groups");
        let case = OpCase::new(title, move |cx| {
            let settings = Conv2d::new(channels, 3).groups(groups).stride(2).padding(1);
            let weight = cx.normal("weight", settings.weight(channels, false))?;
            let x = cx.normal("x", [2, channels, 7, 6])?;
            let y = x.conv2d_with(weight, None, settings)?;
            let gradients = cx.graph().gradients_of(&[(y, cx.normal("dy", y.shape())?)], &[x, weight])?;
            Ok(gradients.into_iter().flatten().collect())
        });
        cases.push(case);
    }
    cases.push(OpCase::new("conv2d without bias", |cx| {
        let weight = cx.normal("weight", [5, 3, 3, 3])?;
        cx.normal("x", [2, 3, 6, 6])?.conv2d_with(weight, None, Conv2d::new(5, 3)).map(|y| vec![y])
    }));
    // A mask and its gradient leave values that half precision holds as they are.
    cases.push(OpCase::new("conv2d and a relu, 37 channels", |cx| {
        let weight = cx.normal("weight", [37, 5, 3, 3])?;
        let x = cx.normal("x", [2, 5, 7, 9])?;
        Ok(vec![x.conv2d_with(weight, Some(cx.normal("bias", [37])?), Conv2d::new(37, 3).padding(1))?.relu()?])
    }));
    cases.push(
        OpCase::new("conv2d of 1x1 and what follows", |cx| {
            let weight = cx.normal("weight", [6, 6, 1, 1])?;
            let x = cx.normal("x", [2, 6, 4, 7])?;
            Ok(vec![x.conv2d_with(weight, Some(cx.normal("bias", [6])?), Conv2d::new(6, 1))?.add(x)?.relu()?])
        })
        .in_single_precision(),
    );
    for (channels, mode) in [(8, Mode::Evaluation), (8, Mode::Training), (3, Mode::Evaluation)] {
        let title = format!("conv2d and what follows, {channels} channels, {mode:?}");
        let case = OpCase::new(title, move |cx| {
            let settings = Conv2d::new(channels, 3).padding(1);
            let x = cx.normal("x", [2, channels, 7, 9])?.conv2d("first", settings)?.relu()?;
            let y = x.conv2d("second", settings.without_bias())?.batch_norm("bn", BatchNorm::default())?;
            // Its gradient meets that of the block at x.
            Ok(vec![y.add(x)?.leaky_relu(0.1)?])
        });
        cases.push(case.mode(mode).randomize_parameters().in_single_precision());
    }
    // Of elements, of channels, of one value and of a number; the gradient of the first function meets a convolution's.
    for (channels, groups) in [(8, 1), (3, 1), (8, 8)] {
        let title = format!("conv2d and functions, {channels} channels in {groups} groups");
        let case = OpCase::new(title, move |cx| {
            let settings = Conv2d::new(channels, 3).padding(1).groups(groups);
            let x = cx.normal("x", [2, channels, 7, 9])?.conv2d("first", settings)?.silu()?;
            let y = x.conv2d("second", settings)?.multiply(cx.normal("factor", 1)?)?.prelu("act", channels)?;
            Ok(vec![y.add(0.5)?])
        });
        cases.push(case.in_single_precision());
    }
    // Sums that GPUs cut into slices, with what follows: over fours, over single elements, and with values of channels.
    for (channels, bias) in [(8, false), (5, false), (8, true)] {
        let title =
            format!("conv2d of 520 channels to {channels} and what follows, {}", if bias { "biased" } else { "plain" });
        let case = OpCase::new(title, move |cx| {
            let weight = cx.normal("weight", [channels, 520, 1, 1])?;
            let bias = if bias { Some(cx.normal("bias", [channels])?) } else { None };
            let y = cx.normal("x", [1, 520, 3, 3])?.conv2d_with(weight, bias, Conv2d::new(channels, 1))?;
            Ok(vec![y.add(cx.normal("z", y.shape())?)?.multiply(cx.normal("factor", 1)?)?.relu()?])
        });
        cases.push(case.in_single_precision());
    }
    // More tiles than one call takes on a software adapter.
    for variant in [winograd::VARIANT, winograd_planar::VARIANT] {
        let case = OpCase::new(format!("conv2d in several calls of {variant}"), |cx| {
            let weight = cx.normal("weight", [4, 4, 3, 3])?;
            let settings = Conv2d::new(4, 3).padding(1);
            cx.normal("x", [1, 4, 693, 690])?.conv2d_with(weight, None, settings).map(|y| vec![y])
        });
        cases.push(case.only(variant));
    }
    // 4.3 million outputs in workgroups of 64: more of these than a dimension allows.
    cases.push(
        OpCase::new("conv2d past 65,535 workgroups", |cx| {
            let weight = cx.normal("weight", [3, 1, 1, 1])?;
            cx.normal("x", [1, 1, 1201, 1199])?.conv2d_with(weight, None, Conv2d::new(3, 1)).map(|y| vec![y])
        })
        .only("naive"),
    );
    cases
}
