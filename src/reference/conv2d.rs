//! 2-d convolution (cross-correlation, as in every deep-learning library) with zero padding, stride, dilation, groups.
//!
//! y\[n, o, i, j\] = bias\[o\] + sum over c, p, q of x\[n, g·C/G + c, i·s - top + p·d, j·s - left + q·d\] · w\[o, c, p, q\],
//! where g = o / (O/G) is the group of output channel o, and x is 0 outside the image.
//! x: \[N, C, H, W\], w: \[O, C/G, KH, KW\], y: \[N, O, OH, OW\]. The bias gradient is [`channel_sum`](super::reduce::channel_sum).

use super::{Checked, each};

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// N.
    pub batch: usize,
    /// C, a multiple of `groups`.
    pub in_channels: usize,
    /// H.
    pub in_height: usize,
    /// W.
    pub in_width: usize,
    /// O, a multiple of `groups`.
    pub out_channels: usize,
    /// G: each group of output channels sees only its own C/G input channels.
    pub groups: usize,
    /// KH, KW.
    pub kernel: [usize; 2],
    /// Down, right.
    pub stride: [usize; 2],
    /// Zeros around the image: top, left, bottom, right.
    pub padding: [usize; 4],
    /// The distance between kernel taps: down, right.
    pub dilation: [usize; 2],
}

impl Geometry {
    /// OH, OW: the positions at which the dilated kernel lies within the padded image.
    #[must_use]
    pub fn out_size(&self) -> [usize; 2] {
        let [top, left, bottom, right] = self.padding;
        let padded = [self.in_height + top + bottom, self.in_width + left + right];
        [0, 1].map(|axis| {
            let extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            debug_assert!(
                extent <= padded[axis],
                "the caller's shape rule refuses kernels larger than the padded image"
            );
            (padded[axis] - extent) / self.stride[axis] + 1
        })
    }

    fn input_length(&self) -> usize {
        self.batch * self.in_channels * self.in_height * self.in_width
    }

    fn weight_length(&self) -> usize {
        self.out_channels * (self.in_channels / self.groups) * self.kernel[0] * self.kernel[1]
    }

    fn output_length(&self) -> usize {
        let [out_height, out_width] = self.out_size();
        self.batch * self.out_channels * out_height * out_width
    }

    /// Calls `tap(x_index, w_index, y_index)` for every product that the convolution adds. The operation is linear in
    /// x and in w, so these triples are all there is to know about it, its gradients included.
    fn for_each_tap(&self, mut tap: impl FnMut(usize, usize, usize)) {
        let [out_height, out_width] = self.out_size();
        let [kernel_height, kernel_width] = self.kernel;
        let (group_in, group_out) = (self.in_channels / self.groups, self.out_channels / self.groups);
        let [top, left, ..] = self.padding;
        // Of each column of the kernel its offset, and where in a row of y its tap lies within the image.
        let inside = |q: usize| {
            let offset = q * self.dilation[1];
            let from = |column: usize| column.saturating_sub(offset).div_ceil(self.stride[1]).min(out_width);
            (offset, from(left)..from(left + self.in_width))
        };
        let columns: Vec<_> = (0..kernel_width).map(inside).collect();
        for n in 0..self.batch {
            for o in 0..self.out_channels {
                for c in 0..group_in {
                    let channel = o / group_out * group_in + c;
                    for (i, p) in pairs(out_height, kernel_height) {
                        // In the padded image, whose origin is `top`, `left` before the image's own.
                        let row = i * self.stride[0] + p * self.dilation[0];
                        if row < top || row >= top + self.in_height {
                            continue;
                        }
                        let x_row = ((n * self.in_channels + channel) * self.in_height + row - top) * self.in_width;
                        let w_row = ((o * group_in + c) * kernel_height + p) * kernel_width;
                        let y_row = ((n * self.out_channels + o) * out_height + i) * out_width;
                        for (q, (offset, inside)) in columns.iter().enumerate() {
                            for j in inside.clone() {
                                tap(x_row + j * self.stride[1] + offset - left, w_row + q, y_row + j);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Every (row, column) of a `height` by `width` grid.
fn pairs(height: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..height).flat_map(move |row| (0..width).map(move |column| (row, column)))
}

/// y from x, w and an optional bias of length O.
#[must_use]
pub fn forward(g: &Geometry, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Checked {
    debug_assert_eq!(x.len(), g.input_length(), "x is [N, C, H, W]");
    debug_assert_eq!(w.len(), g.weight_length(), "w is [O, C/G, KH, KW]");
    // No image has to do with another.
    let (one, length) = (Geometry { batch: 1, ..*g }, g.input_length() / g.batch.max(1));
    let images = each(g.batch, |n| forward_image(&one, &x[n * length..(n + 1) * length], w, bias));
    let mut y = Checked::zeros(0, g.in_channels / g.groups * g.kernel[0] * g.kernel[1] + 1);
    for image in images {
        y.values.extend(image.values);
        y.magnitude.extend(image.magnitude);
    }
    y
}

fn forward_image(g: &Geometry, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Checked {
    let mut y = Checked::zeros(g.output_length(), 0);
    g.for_each_tap(|x_index, w_index, y_index| y.add(y_index, x[x_index] * w[w_index]));
    if let Some(bias) = bias {
        debug_assert_eq!(bias.len(), g.out_channels, "bias is [O]");
        let [out_height, out_width] = g.out_size();
        for y_index in 0..g.output_length() {
            y.add(y_index, bias[y_index / (out_height * out_width)]);
        }
    }
    y
}

/// dx from w and dy.
#[must_use]
pub fn grad_input(g: &Geometry, w: &[f64], dy: &[f64]) -> Checked {
    debug_assert_eq!(w.len(), g.weight_length(), "w is [O, C/G, KH, KW]");
    debug_assert_eq!(dy.len(), g.output_length(), "dy is [N, O, OH, OW]");
    let mut dx = Checked::zeros(g.input_length(), g.out_channels / g.groups * g.kernel[0] * g.kernel[1]);
    g.for_each_tap(|x_index, w_index, y_index| dx.add(x_index, w[w_index] * dy[y_index]));
    dx
}

/// dw from x and dy.
#[must_use]
pub fn grad_weight(g: &Geometry, x: &[f64], dy: &[f64]) -> Checked {
    debug_assert_eq!(x.len(), g.input_length(), "x is [N, C, H, W]");
    debug_assert_eq!(dy.len(), g.output_length(), "dy is [N, O, OH, OW]");
    let [out_height, out_width] = g.out_size();
    let mut dw = Checked::zeros(g.weight_length(), g.batch * out_height * out_width);
    g.for_each_tap(|x_index, w_index, y_index| dw.add(w_index, x[x_index] * dy[y_index]));
    dw
}

/// Widens the magnitudes of a 3x3 convolution of stride 1, or of its gradient of the input, to what Winograd's F(4x4, 3x3)
/// may be off by in single precision. `image` is what the tiles are cut from, x or dy.
///
/// With V = Bt d B and U = G g Gt, a tile of results is At (sum over channels of U * V) A, * element by element. V and U are
/// themselves rounded, relative to |Bt| |d| |B| and |G| |g| |Gt|, so to first order a result is off by some roundings of
/// |At| (sum over channels of |U| * |Bt| |d| |B| + |G| |g| |Gt| * |V|) |A|, where the rounding of the sum itself is covered,
/// since |U| <= |G| |g| |Gt|. Zeros among the pixels of a tile therefore do not make a result exact.
pub fn widen_to_winograd(g: &Geometry, image: &[f64], w: &[f64], to_input: bool, result: &mut Checked) {
    let out = g.out_size();
    let ([channels, outputs], [source, target]) = match to_input {
        true => ([g.out_channels, g.in_channels], [out, [g.in_height, g.in_width]]),
        false => ([g.in_channels, g.out_channels], [[g.in_height, g.in_width], out]),
    };
    // dy is padded by what is left of the kernel.
    let pad = [0, 1].map(|axis| if to_input { 2 - g.padding[axis] as isize } else { g.padding[axis] as isize });
    let filter = |o: usize, c: usize| -> Vec<f64> {
        let tap =
            |tap: usize| if to_input { w[(c * outputs + o) * 9 + 8 - tap] } else { w[(o * channels + c) * 9 + tap] };
        (0..9).map(tap).collect()
    };
    let filters: Vec<[Vec<f64>; 2]> =
        pairs(outputs, channels).map(|(o, c)| winograd::sizes(winograd::G, &filter(o, c))).collect();
    for n in 0..g.batch {
        for (row, column) in pairs(target[0].div_ceil(4), target[1].div_ceil(4)) {
            let first = [4 * row as isize - pad[0], 4 * column as isize - pad[1]];
            let tile = |c: usize| winograd::sizes(winograd::B, &patch(image, n * channels + c, source, first, 6));
            let tiles: Vec<[Vec<f64>; 2]> = (0..channels).map(tile).collect();
            for o in 0..outputs {
                let mut sums = vec![0.0; 36];
                for ([v, v_size], [u, u_size]) in tiles.iter().zip(&filters[o * channels..]) {
                    for (e, sum) in sums.iter_mut().enumerate() {
                        *sum += u[e] * v_size[e] + u_size[e] * v[e];
                    }
                }
                let sizes = winograd::both_sides(winograd::A, &sums, f64::abs);
                for (i, j) in pairs(4, 4) {
                    let [y, x] = [4 * row + i, 4 * column + j];
                    if y < target[0] && x < target[1] {
                        result.magnitude[((n * outputs + o) * target[0] + y) * target[1] + x] += sizes[4 * i + j];
                    }
                }
            }
        }
    }
}

/// [`widen_to_winograd`] of the gradient of the weight.
///
/// The sum of dy * y over a tile is the sum of (A dy At) * U * V, so the gradient by g is Gt (sum over tiles of Z * V) G, where
/// Z = A dy At. As above, a tap of it is off by some roundings of
/// |Gt| (sum over tiles of |Z| * |Bt| |d| |B| + |A| |dy| |At| * |V|) |G|.
pub fn widen_grad_weight_to_winograd(g: &Geometry, x: &[f64], dy: &[f64], result: &mut Checked) {
    let ([inputs, outputs], [source, target]) =
        ([g.in_channels, g.out_channels], [[g.in_height, g.in_width], g.out_size()]);
    let (a, gt) = (winograd::turned(winograd::A), winograd::turned(winograd::G));
    let mut sums = vec![vec![0.0; 36]; outputs * inputs];
    for n in 0..g.batch {
        for (row, column) in pairs(target[0].div_ceil(4), target[1].div_ceil(4)) {
            let first = [4 * row as isize, 4 * column as isize];
            let seen = [first[0] - g.padding[0] as isize, first[1] - g.padding[1] as isize];
            let tile = |c: usize| winograd::sizes(winograd::B, &patch(x, n * inputs + c, source, seen, 6));
            let tiles: Vec<[Vec<f64>; 2]> = (0..inputs).map(tile).collect();
            for o in 0..outputs {
                let [z, z_size] = winograd::sizes(&a, &patch(dy, n * outputs + o, target, first, 4));
                for ([v, v_size], sums) in tiles.iter().zip(&mut sums[o * inputs..]) {
                    for (e, sum) in sums.iter_mut().enumerate() {
                        *sum += z[e] * v_size[e] + z_size[e] * v[e];
                    }
                }
            }
        }
    }
    for (filter, sums) in sums.iter().enumerate() {
        for (tap, size) in winograd::both_sides(&gt, sums, f64::abs).into_iter().enumerate() {
            result.magnitude[9 * filter + tap] += size;
        }
    }
}

/// A square of this side of a plane, whose first pixel is `first`; zeros outside of the plane.
fn patch(planes: &[f64], plane: usize, size: [usize; 2], first: [isize; 2], side: usize) -> Vec<f64> {
    let pixel = |(i, j): (usize, usize)| match [first[0] + i as isize, first[1] + j as isize].map(usize::try_from) {
        [Ok(y), Ok(x)] if y < size[0] && x < size[1] => planes[(plane * size[0] + y) * size[1] + x],
        _ => 0.0,
    };
    pairs(side, side).map(pixel).collect()
}

/// The matrices of F(4x4, 3x3), Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016).
mod winograd {
    pub(super) const B: &[&[f64]] = &[
        &[4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
        &[0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
        &[0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
        &[0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
        &[0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
        &[0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
    ];
    pub(super) const G: &[&[f64]] = &[
        &[1.0 / 4.0, 0.0, 0.0],
        &[-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        &[-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        &[1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        &[1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        &[0.0, 0.0, 1.0],
    ];
    pub(super) const A: &[&[f64]] = &[
        &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        &[0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
        &[0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
        &[0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
    ];

    /// The columns of a matrix.
    pub(super) fn turned(m: &[&[f64]]) -> Vec<Vec<f64>> {
        (0..m[0].len()).map(|column| m.iter().map(|row| row[column]).collect()).collect()
    }

    /// |m x mt| and |m| |x| |mt|.
    pub(super) fn sizes(m: &[impl AsRef<[f64]>], x: &[f64]) -> [Vec<f64>; 2] {
        let transformed = both_sides(m, x, |factor| factor);
        [transformed.iter().map(|value| value.abs()).collect(), both_sides(m, x, f64::abs)]
    }

    /// `m x mt` for a square x, with every factor as `size` makes it.
    pub(super) fn both_sides(m: &[impl AsRef<[f64]>], x: &[f64], size: impl Fn(f64) -> f64) -> Vec<f64> {
        let side = m[0].as_ref().len();
        let size = &size;
        let entry = |r: &[f64], s: &[f64]| -> f64 {
            let terms = super::pairs(side, side).map(|(i, j)| size(r[i]) * size(x[i * side + j]) * size(s[j]));
            terms.sum()
        };
        m.iter().flat_map(|r| m.iter().map(|s| entry(r.as_ref(), s.as_ref())).collect::<Vec<f64>>()).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::{A, B, G, both_sides, turned};

        #[test]
        fn the_matrices_convolve() {
            let d: Vec<f64> = (0..36).map(|i| f64::from(i * i % 23) - 9.0).collect();
            let g: Vec<f64> = (0..9).map(|i| f64::from(i * i % 7) - 2.0).collect();
            let (v, u) = (both_sides(B, &d, |x| x), both_sides(G, &g, |x| x));
            let m: Vec<f64> = v.iter().zip(&u).map(|(v, u)| v * u).collect();
            for (index, y) in both_sides(A, &m, |x| x).into_iter().enumerate() {
                let tap = |t: usize| d[(index / 4 + t / 3) * 6 + index % 4 + t % 3] * g[t];
                let expected: f64 = (0..9).map(tap).sum();
                assert!((y - expected).abs() < 1e-9, "{index}: {y} instead of {expected}");
            }
        }

        #[test]
        fn turned_round_they_make_the_gradient_of_the_filter() {
            let d: Vec<f64> = (0..36).map(|i| f64::from(i * i % 23) - 9.0).collect();
            let dy: Vec<f64> = (0..16).map(|i| f64::from(i * i % 13) - 5.0).collect();
            let (v, z) = (both_sides(B, &d, |x| x), both_sides(&turned(A), &dy, |x| x));
            let s: Vec<f64> = v.iter().zip(&z).map(|(v, z)| v * z).collect();
            for (tap, dw) in both_sides(&turned(G), &s, |x| x).into_iter().enumerate() {
                let term = |y: usize| d[(y / 4 + tap / 3) * 6 + y % 4 + tap % 3] * dy[y];
                let expected: f64 = (0..16).map(term).sum();
                assert!((dw - expected).abs() < 1e-9, "{tap}: {dw} instead of {expected}");
            }
        }
    }
}
