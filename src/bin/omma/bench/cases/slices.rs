//! Checking a large convolution by some of its channels, each whole, at the price of a few.
//!
//! One channel of the result is a smaller convolution of its own, so the f64 reference computes it from slices of the
//! operands, with the same bound for every element. The first, the middle and the last channel, of the first, the middle and
//! the last image, lie at the edges of every tile and in between; a kernel that gets only others wrong is the self-test's
//! to find, which runs every variant on whole small problems.

use omma::reference::conv2d::{self as reference, Geometry};
use omma::selftest::Report;

/// One of the three products that a convolution and its gradients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    GradInput,
    GradWeight,
}

impl Direction {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::GradInput => "input gradient",
            Self::GradWeight => "weight gradient",
        }
    }
}

/// Which convolution was computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slices {
    pub(super) geometry: Geometry,
    pub(super) direction: Direction,
}

/// The first, the middle and the last of so many, each once.
fn picks(count: usize) -> Vec<usize> {
    let mut picks = vec![0, count / 2, count - 1];
    picks.dedup();
    picks
}

/// Every pair of picks.
fn pairs(a: usize, b: usize) -> impl Iterator<Item = (usize, usize)> {
    picks(a).into_iter().flat_map(move |a| picks(b).into_iter().map(move |b| (a, b)))
}

/// The planes of `[outer, channels, plane]` in these ranges, as f64.
fn planes(
    values: &[f32],
    channels: usize,
    plane: usize,
    outer: std::ops::Range<usize>,
    inner: std::ops::Range<usize>,
) -> Vec<f64> {
    let rows = outer.map(|n| (n * channels + inner.start) * plane..(n * channels + inner.end) * plane);
    rows.flat_map(|range| &values[range]).copied().map(f64::from).collect()
}

impl Slices {
    /// Compares `result` with the reference. The operands by name are those of the case's graph.
    pub(super) fn compare(&self, report: &mut Report, operand: impl Fn(&str) -> Vec<f32>, result: &[f32]) {
        let g = self.geometry;
        let [oh, ow] = g.out_size();
        let (image, output, taps) = (g.in_height * g.in_width, oh * ow, g.kernel[0] * g.kernel[1]);
        let (group_in, group_out) = (g.in_channels / g.groups, g.out_channels / g.groups);
        let one = Geometry { groups: 1, ..g };
        let (x, weight) = (operand("x"), operand("conv.weight"));
        match self.direction {
            Direction::Forward => {
                let bias = operand("conv.bias");
                let part = Geometry { batch: 1, in_channels: group_in, out_channels: 1, ..one };
                for (n, o) in pairs(g.batch, g.out_channels) {
                    let first = o / group_out * group_in;
                    let x = planes(&x, g.in_channels, image, n..n + 1, first..first + group_in);
                    let weight = planes(&weight, group_in, taps, o..o + 1, 0..group_in);
                    let own = bias.get(o).map(|&bias| [f64::from(bias)]);
                    let mut expected = reference::forward(&part, &x, &weight, own.as_ref().map(<[f64; 1]>::as_slice));
                    // A layer has a ReLU behind its bias; it rounds nothing. A product of matrices has neither.
                    if own.is_some() {
                        expected.values.iter_mut().for_each(|value| *value = value.max(0.0));
                    }
                    let found = planes(result, g.out_channels, output, n..n + 1, o..o + 1);
                    report.compare(&format!("image {n}, channel {o}"), &found, &expected);
                }
            }
            Direction::GradInput => {
                let dy = operand("dy");
                let part = Geometry { batch: 1, in_channels: 1, out_channels: group_out, ..one };
                for (n, c) in pairs(g.batch, g.in_channels) {
                    let first = c / group_in * group_out;
                    let own = c % group_in;
                    let weight = planes(&weight, group_in, taps, first..first + group_out, own..own + 1);
                    let dy = planes(&dy, g.out_channels, output, n..n + 1, first..first + group_out);
                    let expected = reference::grad_input(&part, &weight, &dy);
                    let found = planes(result, g.in_channels, image, n..n + 1, c..c + 1);
                    report.compare(&format!("image {n}, channel {c}"), &found, &expected);
                }
            }
            Direction::GradWeight => {
                let dy = operand("dy");
                let part = Geometry { in_channels: 1, out_channels: 1, ..one };
                for (o, own) in pairs(g.out_channels, group_in) {
                    let c = o / group_out * group_in + own;
                    let x = planes(&x, g.in_channels, image, 0..g.batch, c..c + 1);
                    let dy = planes(&dy, g.out_channels, output, 0..g.batch, o..o + 1);
                    let expected = reference::grad_weight(&part, &x, &dy);
                    let found = planes(result, group_in, taps, o..o + 1, own..own + 1);
                    report.compare(&format!("filter {o}, channel {own}"), &found, &expected);
                }
            }
        }
    }
}
