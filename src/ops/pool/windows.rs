//! Which cells the windows of a pooling hold: a window that slides, or an axis cut into so many parts.

use super::window::{LONGEST, Pool, iterations, spatial, widened};
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::ops::MAX_ITERATIONS;
use crate::plan::{Candidate, Format, Kernel, Lowering, params, word};
use crate::reference::pool as reference;

params! {
    /// The `Params` of the poolings over up to three axes.
    VolumeParams {
        outer: u32, inner: u32, in_depth: u32, in_height: u32, in_width: u32, out_depth: u32, out_height: u32,
        out_width: u32, kernel_depth: u32, kernel_height: u32, kernel_width: u32, stride_depth: u32,
        stride_height: u32, stride_width: u32, dilation_depth: u32, dilation_height: u32, dilation_width: u32,
        begin_depth: u32, begin_height: u32, begin_width: u32, end_depth: u32, end_height: u32, end_width: u32,
        seed: u32, stream: u32,
    }
}

/// The windows of a pooling over the last D axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Windows<const D: usize> {
    Sliding(Pool<D>),
    /// So many windows along each axis, PyTorch's rule.
    Adaptive([usize; D]),
}

impl<const D: usize> Windows<D> {
    /// The number of windows along each axis of `x`, where one invocation can go over each of them so many times.
    pub(in crate::ops) fn count(&self, op: &str, x: &TensorType, times: usize) -> Result<[usize; D]> {
        let (_, input) = spatial::<D>(op, x)?;
        match self {
            Self::Sliding(pool) => {
                pool.check_loops(op, times)?;
                pool.windows(op, x)
            }
            Self::Adaptive(output) => {
                if output.contains(&0) {
                    return Err(Error::argument(op, format!("expected sizes of at least 1, got {output:?}")));
                }
                for (axis, (input, output)) in input.iter().zip(output).enumerate() {
                    // The kernels' divisions are exact so far.
                    if input.saturating_add(1).saturating_mul(output.saturating_add(1)) >= LONGEST {
                        let message = format!("{input} cells on axis {} are too many for {output} windows", axis + 2);
                        return Err(Error::argument(op, message));
                    }
                }
                let covers: [usize; D] = std::array::from_fn(|axis| output[axis].div_ceil(input[axis]) + 1);
                let most = iterations(self.kernel(input)).saturating_mul(times).max(iterations(covers));
                if most > MAX_ITERATIONS {
                    let message = format!("the windows that make {output:?} of {input:?} are too large");
                    return Err(Error::argument(op, message));
                }
                Ok(*output)
            }
        }
    }

    /// [`Pool::over`].
    pub(in crate::ops) fn over(self, x: &TensorType) -> Self {
        match self {
            Self::Sliding(pool) => Self::Sliding(pool.over(x)),
            adaptive => adaptive,
        }
    }

    /// The output's type.
    pub(super) fn output(&self, op: &str, x: &TensorType, times: usize) -> Result<TensorType> {
        Ok(TensorType::f32([&x.shape[..2], &self.count(op, x, times)?].concat()))
    }

    /// The taps of the largest window, or a few more.
    fn kernel(&self, input: [usize; D]) -> [usize; D] {
        match self {
            Self::Sliding(pool) => pool.kernel,
            Self::Adaptive(output) => std::array::from_fn(|axis| match input[axis] % output[axis] {
                0 => input[axis] / output[axis],
                _ => input[axis] / output[axis] + 2,
            }),
        }
    }

    /// The window that slides over three axes, with the taps of the largest one.
    fn volume(&self, input: [usize; D]) -> Pool<3> {
        match self {
            Self::Sliding(pool) => pool.widened(),
            Self::Adaptive(_) => Pool::<D>::new(self.kernel(input)).widened(),
        }
    }

    /// Parameters for tensors `x` in this format.
    pub(in crate::ops) fn params(&self, op: &str, x: &TensorType, format: Format) -> Result<VolumeParams> {
        let ([n, c], input) = spatial::<D>(op, x)?;
        let windows = self.count(op, x, 1)?;
        let (outer, inner) = match format {
            Format::ChannelsLast => (n, c),
            _ => (n * c, 1),
        };
        let word = |size: usize| word(op, size);
        let words = |sizes: [usize; 3]| -> Result<[u32; 3]> { Ok([word(sizes[0])?, word(sizes[1])?, word(sizes[2])?]) };
        let pool = self.volume(input);
        let [begin, end] = pool.sides();
        let [in_depth, in_height, in_width] = words(widened(input, 1))?;
        let [out_depth, out_height, out_width] = words(widened(windows, 1))?;
        let [kernel_depth, kernel_height, kernel_width] = words(pool.kernel)?;
        let [stride_depth, stride_height, stride_width] = words(pool.stride)?;
        let [dilation_depth, dilation_height, dilation_width] = words(pool.dilation)?;
        let [begin_depth, begin_height, begin_width] = words(begin)?;
        let [end_depth, end_height, end_width] = words(end)?;
        Ok(VolumeParams {
            outer: word(outer)?,
            inner: word(inner)?,
            in_depth,
            in_height,
            in_width,
            out_depth,
            out_height,
            out_width,
            kernel_depth,
            kernel_height,
            kernel_width,
            stride_depth,
            stride_height,
            stride_width,
            dilation_depth,
            dilation_height,
            dilation_width,
            begin_depth,
            begin_height,
            begin_width,
            end_depth,
            end_height,
            end_width,
            seed: 0,
            stream: 0,
        })
    }

    /// A kernel over such windows.
    pub(in crate::ops) fn specialise(&self, kernel: Kernel) -> Kernel {
        let dilated = matches!(self, Self::Sliding(pool) if pool.is_dilated());
        kernel.flag("ADAPTIVE", matches!(self, Self::Adaptive(_))).flag("DILATED", dilated)
    }

    /// Chooses whether the kernel that goes over the windows which hold a cell is unrolled or loops.
    pub(in crate::ops) fn choose(&self, cx: &mut Lowering<'_>, name: &str, kernel: Kernel) -> Result<Kernel> {
        /// Windows, at most: compiling takes longer with each.
        const MOST: usize = 27;
        let most: Option<[usize; 3]> = match self {
            Self::Sliding(pool) if !pool.is_dilated() => {
                let most = std::array::from_fn(|axis| pool.kernel[axis].div_ceil(pool.stride[axis]));
                Some(widened::<D, 3>(most, 1)).filter(|most| most.iter().product::<usize>() <= MOST)
            }
            _ => None,
        };
        let refusal = most.is_none().then(|| format!("only for at most {MOST} windows, without gaps"));
        let variants = vec![Candidate::unless("unrolled", refusal), Candidate::unless("loops", None)];
        let variant = cx.choose(name, variants)?;
        let [depth, height, width] = most.filter(|_| variant == "unrolled").unwrap_or_default();
        Ok(self
            .specialise(kernel)
            .variant(variant)
            .template("most_depth", depth)
            .template("most_height", height)
            .template("most_width", width))
    }

    pub(in crate::ops) fn describe(&self) -> String {
        match self {
            Self::Sliding(pool) => pool.describe(),
            Self::Adaptive(output) => format!("to {}", output.map(|size| size.to_string()).join("x")),
        }
    }

    /// The same for the reference.
    pub(in crate::ops) fn reference(&self, x: &TensorType) -> reference::Geometry {
        // The shape rule has accepted `x`.
        let ([n, c], input) = spatial::<D>("", x).unwrap_or(([0; 2], [1; D]));
        let pool = self.volume(input);
        let [begin, end] = pool.sides();
        let input = widened(input, 1);
        let lines = std::array::from_fn(|axis| match self {
            Self::Adaptive(output) => reference::adaptive(input[axis], widened::<D, 3>(*output, 1)[axis]),
            Self::Sliding(_) => reference::Axis {
                input: input[axis],
                kernel: pool.kernel[axis],
                stride: pool.stride[axis],
                dilation: pool.dilation[axis],
                begin: begin[axis],
                end: end[axis],
                ceil_mode: pool.ceil_mode,
            }
            .lines(),
        });
        reference::Geometry { planes: n * c, input, kernel: pool.kernel, lines }
    }
}
