//! Poolings over up to three axes: windows, one axis at a time, and what is made of the values that they hold.
//!
//! The reading of a window is brute force on purpose: every tap is placed and kept where it stands in the input.

use super::Checked;
use super::dropout::philox;

/// One axis of a pooling: where its windows lie. Padding is smaller than the window on both sides, and every window holds
/// at least one cell of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// The input's length.
    pub input: usize,
    /// The number of a window's taps.
    pub kernel: usize,
    /// The distance between windows.
    pub stride: usize,
    /// The distance between taps.
    pub dilation: usize,
    /// Padding before the input.
    pub begin: usize,
    /// Padding after the input.
    pub end: usize,
    /// Whether a last, cut-off window counts.
    pub ceil_mode: bool,
}

impl Axis {
    /// The number of windows.
    #[must_use]
    pub fn windows(&self) -> usize {
        let reach = (self.kernel - 1) * self.dilation + 1;
        debug_assert!(self.begin < reach && self.end < reach, "a window of nothing but padding has no value");
        debug_assert!(reach <= self.padded(), "the caller's shape rule refuses windows larger than the padded input");
        let room = self.padded() - reach;
        if !self.ceil_mode {
            return room / self.stride + 1;
        }
        let windows = room.div_ceil(self.stride) + 1;
        // A last window that starts in the end padding sees no input: it is dropped, as PyTorch and ONNX do.
        if (windows - 1) * self.stride >= self.input + self.begin { windows - 1 } else { windows }
    }

    /// Every window.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let line = |window: usize| {
            let place = |tap: usize| window * self.stride + tap * self.dilation;
            let taps = || (0..self.kernel).filter(|&tap| place(tap) < self.padded());
            let inside = |tap: usize| Some((tap, place(tap).checked_sub(self.begin)?));
            let cells = taps().filter_map(inside).filter(|(_, cell)| *cell < self.input).collect();
            Line { cells, padded: taps().count() }
        };
        (0..self.windows()).map(line).collect()
    }

    fn padded(&self) -> usize {
        self.begin + self.input + self.end
    }
}

/// One axis of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The number of each tap in the input, and the cell that it stands on.
    pub cells: Vec<(usize, usize)>,
    /// The number of taps in the padded input.
    pub padded: usize,
}

/// The windows of an adaptive pooling, PyTorch's: window i from floor(i·in/out) up to ceil((i + 1)·in/out).
#[must_use]
pub fn adaptive(input: usize, output: usize) -> Vec<Line> {
    let line = |window: usize| {
        let (start, end) = (window * input / output, ((window + 1) * input).div_ceil(output));
        Line { cells: (start..end).enumerate().collect(), padded: end - start }
    };
    (0..output).map(line).collect()
}

/// The sizes of a pooling of `[planes, depth, height, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// Batch times channels.
    pub planes: usize,
    /// Depth, height, width.
    pub input: [usize; 3],
    /// Taps of the largest window.
    pub kernel: [usize; 3],
    /// The windows of each axis.
    pub lines: [Vec<Line>; 3],
}

impl Geometry {
    /// Windows without gaps over images, with padding as top, left, bottom, right.
    #[must_use]
    pub fn of_images(
        planes: usize,
        [height, width]: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 4],
        ceil_mode: bool,
    ) -> Self {
        let one = Axis { input: 1, kernel: 1, stride: 1, dilation: 1, begin: 0, end: 0, ceil_mode };
        let axis = |axis: usize, input: usize| Axis {
            input,
            kernel: kernel[axis],
            stride: stride[axis],
            begin: padding[axis],
            end: padding[axis + 2],
            ..one
        };
        Self {
            planes,
            input: [1, height, width],
            kernel: [1, kernel[0], kernel[1]],
            lines: [one.lines(), axis(0, height).lines(), axis(1, width).lines()],
        }
    }

    /// The number of windows along each axis.
    #[must_use]
    pub fn windows(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.lines[axis].len())
    }

    /// Elements of the input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.planes * self.input.iter().product::<usize>()
    }

    /// Elements of the output.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.planes * self.windows().iter().product::<usize>()
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// The largest number of windows that one cell lies in.
    fn overlap(&self) -> usize {
        let most = |(lines, input): (&Vec<Line>, &usize)| {
            let mut covers = vec![0; *input];
            lines.iter().flat_map(|line| &line.cells).for_each(|&(_, cell)| covers[cell] += 1);
            covers.into_iter().max().unwrap_or(0)
        };
        self.lines.iter().zip(&self.input).map(most).product()
    }

    /// Calls `visit` with every window in row-major order: its number, its cells with their places, (d·KH + h)·KW + w for
    /// tap (d, h, w), and the number of its taps in the padded input.
    pub(super) fn for_each(&self, mut visit: impl FnMut(usize, &[(usize, usize)], usize)) {
        let ([depth, height, width], [_, kernel_height, kernel_width]) = (self.input, self.kernel);
        let [layers, rows, columns] = &self.lines;
        let (mut number, mut cells) = (0, Vec::new());
        for plane in 0..self.planes {
            for layer in layers {
                for row in rows {
                    for column in columns {
                        cells.clear();
                        for (i, d) in &layer.cells {
                            for (j, h) in &row.cells {
                                for (k, w) in &column.cells {
                                    let place = (i * kernel_height + j) * kernel_width + k;
                                    cells.push((place, ((plane * depth + d) * height + h) * width + w));
                                }
                            }
                        }
                        visit(number, &cells, layer.padded * row.padded * column.padded);
                        number += 1;
                    }
                }
            }
        }
    }
}

/// Where nothing won.
const NOWHERE: f64 = -1.0;

/// Whether a later cell replaces the best: greater, or the first that is not a number.
fn is_better(value: f64, best: f64) -> bool {
    !best.is_nan() && (value > best || value.is_nan())
}

/// max(x, 0); a NaN stays.
fn positive(value: f64) -> f64 {
    if value <= 0.0 { 0.0 } else { value }
}

/// The first of the largest cells, and its place.
fn largest(cells: &[(usize, usize)], x: &[f64]) -> (f64, f64) {
    let mut best = (f64::NAN, NOWHERE);
    for &(place, cell) in cells {
        if best.1 < 0.0 || is_better(x[cell], best.0) {
            best = (x[cell], place as f64);
        }
    }
    best
}

/// The maxima, and for each the place of its cell within the window.
#[must_use]
pub fn max(g: &Geometry, x: &[f64]) -> (Checked, Vec<f64>) {
    let (mut values, mut places) = (Vec::new(), Vec::new());
    g.for_each(|_, cells, _| {
        let (value, place) = largest(cells, x);
        values.push(value);
        places.push(place);
    });
    (Checked::exact(values), places)
}

/// dx: each dy goes to the cell at this place of its window, or to none.
#[must_use]
pub fn grad_places(g: &Geometry, places: &[f64], dy: &[f64]) -> Checked {
    let mut dx = Checked::zeros(g.inputs(), g.overlap());
    g.for_each(|window, cells, _| {
        for &(place, cell) in cells {
            if place as f64 == places[window] {
                dx.add(cell, dy[window]);
            }
        }
    });
    dx
}

/// The numbers of these places' cells in their planes, or in the whole tensor; rows first, or columns first within planes.
#[must_use]
pub fn indices(g: &Geometry, places: &[f64], whole: bool, column_major: bool) -> Vec<f64> {
    let plane = g.input.iter().product::<usize>();
    let [depth, height, width] = g.input;
    let number = |cell: usize| {
        let (own, before) = (cell % plane, cell - cell % plane);
        let [i, j, k] = [own / width / height, own / width % height, own % width];
        let own = if column_major { (k * height + j) * depth + i } else { own };
        (if whole { before + own } else { own }) as f64
    };
    let mut indices = Vec::new();
    g.for_each(|window, cells, _| {
        let here = cells.iter().find(|(place, _)| *place as f64 == places[window]);
        indices.push(here.map_or(f64::NAN, |&(_, cell)| number(cell)));
    });
    indices
}

/// The sum of a window's cells by the number of its taps in the padded input, or of its cells.
#[must_use]
pub fn average(g: &Geometry, x: &[f64], count_include_pad: bool) -> Checked {
    let mut y = Checked::zeros(g.outputs(), g.taps());
    g.for_each(|window, cells, padded| {
        let divisor = if count_include_pad { padded } else { cells.len() };
        cells.iter().for_each(|&(_, cell)| y.add(window, x[cell] / divisor as f64));
    });
    y
}

/// dx of [`average`].
#[must_use]
pub fn grad_average(g: &Geometry, dy: &[f64], count_include_pad: bool) -> Checked {
    let mut dx = Checked::zeros(g.inputs(), g.overlap());
    g.for_each(|window, cells, padded| {
        let divisor = if count_include_pad { padded } else { cells.len() };
        cells.iter().for_each(|&(_, cell)| dx.add(cell, dy[window] / divisor as f64));
    });
    dx
}

/// By how many relative roundings a power of a positive base may be off, which GPUs compute as 2^(exponent · log2 base):
/// the logarithm is off by 2^-21, or 3 units in its last place, and the power of 2 by 3 + 2·|exponent · log2 base| units
/// (WGSL's "Accuracy of concrete floating point expressions"); and so is the base, a quotient, by 2.5. All of it is a
/// quarter of that in units of the bound, which has 4 for each.
fn power_error(base: f64, exponent: f64) -> f64 {
    1.0 + 1.5 * exponent.abs() * (1.0 + base.ln().abs())
}

/// (Σ|x|^p)^(1/p), for p >= 1.
#[must_use]
pub fn lp(g: &Geometry, x: &[f64], p: f64) -> Checked {
    let mut y = Checked::zeros(g.outputs(), g.taps());
    g.for_each(|window, cells, _| {
        let sizes: Vec<f64> = cells.iter().map(|&(_, cell)| x[cell].abs()).collect();
        let top = sizes.iter().fold(0.0, |top, &size| if is_better(size, top) { size } else { top });
        if top == 0.0 || !top.is_finite() {
            (y.values[window], y.magnitude[window]) = (top, top);
            return;
        }
        let shares = sizes.iter().map(|size| size / top).filter(|share| *share > 0.0);
        let terms: Vec<(f64, f64)> = shares.map(|share| (share.powf(p), power_error(share, p))).collect();
        let sum: f64 = terms.iter().map(|(term, _)| term).sum();
        let off = terms.iter().map(|(term, error)| term * error).sum::<f64>() / sum;
        y.values[window] = top * sum.powf(1.0 / p);
        y.magnitude[window] = y.values[window] * (off / p + power_error(sum, 1.0 / p));
    });
    y
}

/// dx of [`lp`]: dy · sign(x) · (|x|/y)^(p - 1), 0 where y = 0.
#[must_use]
pub fn grad_lp(g: &Geometry, x: &[f64], y: &Checked, dy: &[f64], p: f64) -> Checked {
    let mut dx = Checked::zeros(g.inputs(), g.overlap().max(y.terms));
    g.for_each(|window, cells, _| {
        for &(_, cell) in cells.iter().filter(|&&(_, cell)| x[cell] != 0.0 && y.values[window] != 0.0) {
            let norm = y.values[window];
            let share = x[cell].abs() / norm;
            let term = dy[window] * x[cell].signum() * share.powf(p - 1.0);
            dx.values[cell] += term;
            let error = power_error(share, p - 1.0) + (p - 1.0) * y.magnitude[window] / norm;
            dx.magnitude[cell] += term.abs() * error;
        }
    });
    dx
}

/// Stochastic pooling in training (Zeiler and Fergus 2013): with a = max(x, 0) one cell of each window, drawn with the
/// probability a / Σa, and its place; 0 and -1 where all a are 0.
///
/// It is the first cell in row-major order at which the running sum of a exceeds u · Σa, where u = floor(r / 2⁸) / 2²⁴ and
/// r is word n % 4 of Philox4x32-10(counter = (n / 4, step, 1, 0), key = (seed, stream)) for window n. The sums are single
/// precision, so that a device draws the same cell. Where Σa is not finite it is the largest cell.
#[must_use]
pub fn draw(g: &Geometry, x: &[f64], seed: u32, stream: u32, step: u32) -> (Checked, Vec<f64>) {
    let (mut values, mut places) = (Vec::new(), Vec::new());
    g.for_each(|window, cells, _| {
        let share = |cell: usize| positive(x[cell]) as f32;
        let total = cells.iter().fold(0.0_f32, |sum, &(_, cell)| sum + share(cell));
        let word = philox([(window / 4) as u32, step, 1, 0], [seed, stream])[window % 4];
        let threshold = (word >> 8) as f32 / (1 << 24) as f32 * total;
        let mut running = 0.0;
        let drawn = cells.iter().find(|&&(_, cell)| {
            running += share(cell);
            running > threshold
        });
        let (value, place) = match drawn {
            _ if !total.is_finite() => largest(cells, x),
            Some(&(place, cell)) => (x[cell], place as f64),
            None => (0.0, NOWHERE),
        };
        values.push(value);
        places.push(place);
    });
    (Checked::exact(values), places)
}

/// Stochastic pooling in evaluation: with a = max(x, 0) the mean that is weighted by the probabilities, Σa² / Σa, and Σa
/// by the number of taps; both 0 where all a are 0.
#[must_use]
pub fn weighted(g: &Geometry, x: &[f64]) -> [Checked; 2] {
    let [mut y, mut mean] = [g.taps(); 2].map(|taps| Checked::zeros(g.outputs(), taps));
    g.for_each(|window, cells, _| {
        let sum: f64 = cells.iter().map(|&(_, cell)| positive(x[cell])).sum();
        let squares: f64 = cells.iter().map(|&(_, cell)| positive(x[cell]).powi(2)).sum();
        if sum != 0.0 {
            // Two quotients of each term, two of the sums, and the products.
            (y.values[window], y.magnitude[window]) = (squares / sum, 3.0 * squares / sum);
            let share = sum / g.taps() as f64;
            (mean.values[window], mean.magnitude[window]) = (share, 2.0 * share);
        }
    });
    [y, mean]
}

/// dx of [`weighted`]: dy · (2x - y) / Σa where x > 0, else 0.
#[must_use]
pub fn grad_weighted(g: &Geometry, x: &[f64], y: &Checked, mean: &Checked, dy: &[f64]) -> Checked {
    let mut dx = Checked::zeros(g.inputs(), g.overlap().max(y.terms));
    g.for_each(|window, cells, _| {
        for &(_, cell) in cells.iter().filter(|&&(_, cell)| x[cell] > 0.0) {
            let sum = mean.values[window] * g.taps() as f64;
            dx.values[cell] += dy[window] * (2.0 * x[cell] - y.values[window]) / sum;
            // The error of the mean, and those of two quotients, tell on all three terms.
            let off = 2.0 + mean.magnitude[window] / mean.values[window];
            dx.magnitude[cell] += (dy[window] / sum).abs() * (2.0 * x[cell] + y.magnitude[window]) * off;
        }
    });
    dx
}
