//! The window rule: PyTorch's output sizes in floor and ceil mode, and which cells a window holds. Poolings by hand, and
//! their gradients.

use std::ops::Range;

use omma::reference::Checked;
use omma::reference::dropout::philox;
use omma::reference::pool::{self, Axis, Geometry, adaptive};

use super::{Random, check_gradient, check_single, single};

fn axis(input: usize, kernel: usize, stride: usize, begin: usize, end: usize, ceil_mode: bool) -> Axis {
    Axis { input, kernel, stride, dilation: 1, begin, end, ceil_mode }
}

/// The input cells of a window without gaps.
fn cells(axis: &Axis, window: usize) -> Range<usize> {
    let cells = &axis.lines()[window].cells;
    assert!(cells.is_sorted_by(|one, next| next.0 == one.0 + 1 && next.1 == one.1 + 1), "{cells:?}");
    cells[0].1..cells[cells.len() - 1].1 + 1
}

/// The number of its taps in the padded input.
fn taps(axis: &Axis, window: usize) -> usize {
    axis.lines()[window].padded
}

#[test]
fn floor_mode_drops_what_does_not_fill_a_window() {
    assert_eq!(axis(28, 2, 2, 0, 0, false).windows(), 14);
    assert_eq!(axis(7, 2, 2, 0, 0, false).windows(), 3);
    assert_eq!(axis(112, 3, 2, 1, 1, false).windows(), 56);
    assert_eq!(axis(1, 1, 1, 0, 0, false).windows(), 1);
}

#[test]
fn ceil_mode_keeps_a_cut_off_window() {
    let seven = axis(7, 2, 2, 0, 0, true);
    assert_eq!(seven.windows(), 4);
    assert_eq!(cells(&seven, 3), 6..7);
    // The window has 2 cells, but the padded input ends after one.
    assert_eq!(taps(&seven, 3), 1);
    assert_eq!(taps(&seven, 2), 2);
}

#[test]
fn ceil_mode_drops_a_window_that_starts_in_the_end_padding() {
    // Padded length 6, windows at 0, 2, 4, of which the last begins on the padding after the input's 3 cells.
    let late = axis(3, 2, 2, 1, 1, true);
    assert_eq!(late.windows(), 2);
    // Without the rule 1 + ceil((5 + 2 - 2) / 3) = 3 windows, the last at 6 - 1 = 5, beyond the input.
    assert_eq!(axis(5, 2, 3, 1, 1, true).windows(), 2);
    // One more cell, and it stays.
    assert_eq!(axis(6, 2, 3, 1, 1, true).windows(), 3);
    assert_eq!(cells(&axis(6, 2, 3, 1, 1, true), 2), 5..6);
}

#[test]
fn padding_holds_no_cells() {
    let padded = axis(5, 3, 2, 1, 1, false);
    assert_eq!(padded.windows(), 3);
    assert_eq!([0, 1, 2].map(|window| cells(&padded, window)), [0..2, 1..4, 3..5]);
    assert_eq!([0, 1, 2].map(|window| taps(&padded, window)), [3, 3, 3]);
    let lopsided = axis(4, 3, 1, 2, 0, false);
    assert_eq!(lopsided.windows(), 4);
    assert_eq!([cells(&lopsided, 0), cells(&lopsided, 3)], [0..1, 1..4]);
}

/// Over every small axis: windows are never empty, and a cell lies in no more of them than fit.
#[test]
fn every_small_axis() {
    for input in 1..8 {
        for kernel in 1..5 {
            for (stride, begin, end) in
                (1..5).flat_map(|s| (0..kernel).flat_map(move |b| (0..kernel).map(move |e| (s, b, e))))
            {
                for ceil_mode in [false, true] {
                    let axis = axis(input, kernel, stride, begin, end, ceil_mode);
                    if kernel > input + begin + end {
                        continue;
                    }
                    let mut covers = vec![0; input];
                    for window in 0..axis.windows() {
                        assert!(!cells(&axis, window).is_empty(), "{axis:?} window {window}");
                        assert!(cells(&axis, window).len() <= taps(&axis, window), "{axis:?} window {window}");
                        cells(&axis, window).for_each(|cell| covers[cell] += 1);
                    }
                    assert!(covers.iter().all(|&count| count <= kernel.div_ceil(stride)), "{axis:?}: {covers:?}");
                }
            }
        }
    }
}

#[test]
fn gaps_are_stepped_over() {
    // Taps 0, 3 and 6 apart from -2: at -2, 1, 4 of five cells; then at 0, 3, 6.
    let gaps = Axis { dilation: 3, ..axis(5, 3, 2, 2, 2, false) };
    let lines = gaps.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0].cells, lines[0].padded), (&vec![(1, 1), (2, 4)], 3));
    assert_eq!((&lines[1].cells, lines[1].padded), (&vec![(0, 0), (1, 3)], 3));
}

#[test]
fn adaptive_windows_are_pytorchs() {
    let ranges = |input, output| -> Vec<(usize, usize)> {
        let ends = |line: &pool::Line| (line.cells[0].1, line.cells[line.cells.len() - 1].1 + 1);
        adaptive(input, output).iter().map(ends).collect()
    };
    assert_eq!(ranges(5, 3), [(0, 2), (1, 4), (3, 5)]);
    assert_eq!(ranges(6, 3), [(0, 2), (2, 4), (4, 6)]);
    assert_eq!(ranges(2, 3), [(0, 1), (0, 2), (1, 2)]);
    assert_eq!(ranges(7, 1), [(0, 7)]);
}

/// One plane with windows that slide, padding the same before and after.
pub(super) fn sliding(
    input: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    padding: [usize; 3],
    ceil_mode: bool,
) -> Geometry {
    let lines = std::array::from_fn(|i| {
        let axis = axis(input[i], kernel[i], stride[i], padding[i], padding[i], ceil_mode);
        Axis { dilation: dilation[i], ..axis }.lines()
    });
    Geometry { planes: 1, input, kernel, lines }
}

/// One row of cells.
fn row(input: usize, kernel: usize, stride: usize) -> Geometry {
    sliding([1, 1, input], [1, 1, kernel], [1, 1, stride], [1; 3], [0; 3], false)
}

#[test]
fn places_and_indices() {
    let g = sliding([2, 2, 3], [2, 1, 2], [1; 3], [1; 3], [0, 0, 1], false);
    let x = [1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0, 5.0, 0.0, -1.0, -2.0];
    let (y, places) = pool::max(&g, &x);
    assert_eq!(y.values, [4.0, 9.0, 9.0, 5.0, 8.0, 8.0, 7.0, 7.0]);
    // Layer, then column, in the window: the first one has its left half in the padding.
    assert_eq!(places, [3.0, 1.0, 0.0, 2.0, 1.0, 0.0, 1.0, 0.0]);
    assert_eq!(pool::indices(&g, &places, false, false), [6.0, 1.0, 1.0, 8.0, 3.0, 3.0, 5.0, 5.0]);
    assert_eq!(pool::indices(&g, &places, false, true), [1.0, 4.0, 4.0, 9.0, 2.0, 2.0, 10.0, 10.0]);
    let planes = Geometry { planes: 2, ..row(4, 2, 2) };
    let (_, places) = pool::max(&planes, &[1.0, 2.0, 4.0, 3.0, 9.0, 8.0, 0.0, 1.0]);
    assert_eq!(pool::indices(&planes, &places, false, false), [1.0, 2.0, 0.0, 3.0]);
    assert_eq!(pool::indices(&planes, &places, true, false), [1.0, 2.0, 4.0, 7.0]);
}

#[test]
fn norms() {
    let (g, x) = (row(6, 2, 2), [3.0, -4.0, 0.0, 0.0, 1e200, 1e200]);
    let y = pool::lp(&g, &x, 2.0);
    assert_eq!(y.values[..2], [5.0, 0.0]);
    assert!((y.values[2] / 2f64.sqrt() / 1e200 - 1.0).abs() < 1e-15, "{y:?}");
    let dx = pool::grad_lp(&g, &x, &y, &[1.0; 3], 2.0);
    assert_eq!(dx.values[..4], [0.6, -0.8, 0.0, 0.0]);
    assert_eq!(pool::lp(&g, &x, 1.0).values[0], 7.0);
}

/// The powers as a device computes them, through base 2, stay within the bound that is claimed.
#[test]
fn norms_in_single_precision() {
    for (p, scale) in [(1.0, 1.0), (1.5, 1e30), (3.0, 1e-30), (7.25, 1.0), (40.0, 1e10)] {
        let mut random = Random(31);
        let x: Vec<f64> = random.between(-1.0, 1.0, 5 * 9).iter().map(|x| f64::from((x * scale) as f32)).collect();
        let power = |base: f32, exponent: f32| (exponent * base.log2()).exp2();
        let g = row(x.len(), 9, 9);
        let y: Vec<f32> = single(&x)
            .chunks(9)
            .map(|window| {
                let top = window.iter().fold(0.0_f32, |top, x| top.max(x.abs()));
                top * power(window.iter().map(|x| power(x.abs() / top, p)).sum(), 1.0 / p)
            })
            .collect();
        check_single(&format!("lp {p}"), &pool::lp(&g, &x, f64::from(p)), &y);
    }
}

#[test]
fn drawing_goes_by_the_running_sum() {
    let (g, x) = (row(4, 4, 4), [1.0, -7.0, 2.0, 1.0]);
    for step in 0..64 {
        let (y, places) = pool::draw(&g, &x, 3, 0, step);
        // Eighths of the sum, 4: below 2 the first value, below 6 the third, then the last.
        let (value, place) = match philox([0, step, 1, 0], [3, 0])[0] >> 29 {
            0..2 => (1.0, 0.0),
            2..6 => (2.0, 2.0),
            _ => (1.0, 3.0),
        };
        assert_eq!((y.values[0], places[0]), (value, place), "step {step}");
    }
    let (y, places) = pool::draw(&row(6, 2, 2), &[0.0, 0.0, -1.0, -2.0, f64::INFINITY, f64::NAN], 3, 0, 0);
    assert_eq!((&y.values[..2], &places[..]), (&[0.0, 0.0][..], &[-1.0, -1.0, 1.0][..]));
    assert!(y.values[2].is_nan());
}

#[test]
fn the_weighted_mean() {
    let (g, x) = (row(8, 4, 4), [1.0, 2.0, 3.0, 0.0, 0.0, -1.0, -2.0, 0.0]);
    let [y, mean] = pool::weighted(&g, &x);
    assert_eq!((y.values, mean.values), (vec![14.0 / 6.0, 0.0], vec![1.5, 0.0]));
}

#[test]
fn gradients_of_every_kind() {
    let geometries = [
        row(7, 3, 2),
        sliding([3, 4, 5], [2, 3, 2], [1, 2, 2], [1; 3], [1, 1, 0], true),
        sliding([1, 7, 9], [1, 2, 3], [1, 2, 1], [1, 3, 2], [0, 1, 2], false),
        Geometry {
            planes: 2,
            input: [3, 5, 4],
            kernel: [3, 3, 4],
            lines: [adaptive(3, 2), adaptive(5, 3), adaptive(4, 1)],
        },
    ];
    for g in geometries {
        let mut random = Random(77);
        let (x, dy) = (random.distinct(g.inputs()), random.uniform(g.outputs()));
        let check = |kind: &str, dx: Checked, f: &dyn Fn(&[f64]) -> Checked| {
            check_gradient(&format!("{kind} {g:?}"), &x, &dy, &dx, f);
        };
        let (_, places) = pool::max(&g, &x);
        check("max", pool::grad_places(&g, &places, &dy), &|x| pool::max(&g, x).0);
        for include in [true, false] {
            check("average", pool::grad_average(&g, &dy, include), &|x| pool::average(&g, x, include));
        }
        let (_, places) = pool::draw(&g, &x, 1, 2, 3);
        check("draw", pool::grad_places(&g, &places, &dy), &|x| pool::draw(&g, x, 1, 2, 3).0);
        // Away from the kinks at 0, which make the third derivatives large.
        let x: Vec<f64> = x.iter().map(|x| x.signum() * (0.5 + x.abs())).collect();
        let check = |kind: &str, dx: Checked, f: &dyn Fn(&[f64]) -> Checked| {
            check_gradient(&format!("{kind} {g:?}"), &x, &dy, &dx, f);
        };
        for p in [1.0, 2.0, 3.5] {
            let y = pool::lp(&g, &x, p);
            check("lp", pool::grad_lp(&g, &x, &y, &dy, p), &|x| pool::lp(&g, x, p));
        }
        let [y, mean] = pool::weighted(&g, &x);
        check("weighted", pool::grad_weighted(&g, &x, &y, &mean, &dy), &|x| {
            let [y, _] = pool::weighted(&g, x);
            y
        });
    }
}
