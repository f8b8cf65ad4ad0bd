//! 3-d convolution (cross-correlation) with zero padding, stride, dilation, groups, said directly.
//!
//! y\[n, o, ...i\] = bias\[o\] + sum over c and taps k of x\[n, g·C/G + c, ...(i·stride - begin + k·dilation)\] · w\[o, c, ...k\],
//! where g = o / (O/G). x: \[N, C, D, H, W\], w: \[O, C/G, KD, KH, KW\].

use super::Checked;

/// The sizes of a convolution; depth, height, width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// N.
    pub batch: usize,
    /// C and O, multiples of `groups`.
    pub channels: [usize; 2],
    /// G.
    pub groups: usize,
    /// Of x.
    pub input: [usize; 3],
    /// Of y.
    pub output: [usize; 3],
    /// Of the kernel.
    pub kernel: [usize; 3],
    /// From one position to the next.
    pub stride: [usize; 3],
    /// Zeros before each axis.
    pub begin: [usize; 3],
    /// From one tap to the next.
    pub dilation: [usize; 3],
}

/// Every place of a box.
fn places([depth, height, width]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..depth).flat_map(move |d| (0..height).flat_map(move |h| (0..width).map(move |w| [d, h, w])))
}

impl Geometry {
    /// Calls `tap(x_index, w_index, y_index)` for every product that the convolution adds.
    fn for_each_tap(&self, mut tap: impl FnMut(usize, usize, usize)) {
        let [inputs, outputs] = self.channels.map(|channels| channels / self.groups);
        let flat = |plane: usize, size: [usize; 3], at: [usize; 3]| {
            ((plane * size[0] + at[0]) * size[1] + at[1]) * size[2] + at[2]
        };
        for n in 0..self.batch {
            for (o, c) in (0..self.channels[1]).flat_map(|o| (0..inputs).map(move |c| (o, c))) {
                let channel = o / outputs * inputs + c;
                for i in places(self.output) {
                    for k in places(self.kernel) {
                        let at = [0, 1, 2].map(|axis| {
                            let at = i[axis] * self.stride[axis] + k[axis] * self.dilation[axis];
                            at.checked_sub(self.begin[axis]).filter(|&at| at < self.input[axis])
                        });
                        let [Some(d), Some(h), Some(w)] = at else { continue };
                        tap(
                            flat(n * self.channels[0] + channel, self.input, [d, h, w]),
                            flat(o * inputs + c, self.kernel, k),
                            flat(n * self.channels[1] + o, self.output, i),
                        );
                    }
                }
            }
        }
    }

    fn volume(size: [usize; 3]) -> usize {
        size.into_iter().product()
    }
}

/// y from x, w and a bias of length O.
#[must_use]
pub fn forward(g: &Geometry, x: &[f64], w: &[f64], bias: &[f64]) -> Checked {
    let (taps, pixels) = (g.channels[0] / g.groups * Geometry::volume(g.kernel), Geometry::volume(g.output));
    let mut y = Checked::zeros(g.batch * g.channels[1] * pixels, taps + 1);
    g.for_each_tap(|x_index, w_index, y_index| y.add(y_index, x[x_index] * w[w_index]));
    for index in 0..y.values.len() {
        y.add(index, bias[index / pixels % g.channels[1]]);
    }
    y
}

/// dx from w and dy: also what a transposed convolution makes of dy.
#[must_use]
pub fn grad_input(g: &Geometry, w: &[f64], dy: &[f64]) -> Checked {
    let taps = g.channels[1] / g.groups * Geometry::volume(g.kernel);
    let mut dx = Checked::zeros(g.batch * g.channels[0] * Geometry::volume(g.input), taps);
    g.for_each_tap(|x_index, w_index, y_index| dx.add(x_index, w[w_index] * dy[y_index]));
    dx
}

/// dw from x and dy.
#[must_use]
pub fn grad_weight(g: &Geometry, x: &[f64], dy: &[f64]) -> Checked {
    let filters = g.channels[1] * (g.channels[0] / g.groups) * Geometry::volume(g.kernel);
    let mut dw = Checked::zeros(filters, g.batch * Geometry::volume(g.output));
    g.for_each_tap(|x_index, w_index, y_index| dw.add(w_index, x[x_index] * dy[y_index]));
    dw
}
