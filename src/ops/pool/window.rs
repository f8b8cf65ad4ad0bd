//! The window of a pooling over the last one to three axes: what it is, which outputs it makes, what it refuses.

use crate::error::{Error, Result};
use crate::graph::{DType, Sliding, TensorType};
use crate::ops::{MAX_ITERATIONS, Padding, PerAxis};

/// What extents, strides and the like must stay below.
pub(super) const LONGEST: usize = 1 << 30;

/// A pooling window over the last D axes: how large, how far apart, over how much padding. Axes are given outermost first
/// (depth, height, width), one number for all or one for each.
///
/// The rules are those of ONNX's `MaxPool`, `AveragePool` and `LpPool` (version 22 of the operators) and of PyTorch, where
/// these agree:
///
/// - Padding before and after each axis may differ, as in ONNX; PyTorch has the same on both sides. [`Padding::SameUpper`]
///   and [`Padding::SameLower`] are ONNX's and TensorFlow's rules, which make ceil(extent / stride) windows.
/// - In ceil mode a last window counts that reaches over the end, but only if it starts inside the image or the padding
///   before it. PyTorch has always done so, ONNX since version 22; earlier ones kept windows of nothing but padding.
/// - An average never counts cells beyond the padding, which such a window has, as in PyTorch and, since version 19 of the
///   operator, in onnxruntime.
/// - Padding must be smaller than the window with its gaps, and every window must hold a cell of the image. PyTorch allows
///   half the window; onnxruntime wants less than the window without gaps; ONNX does not say.
///
/// ```
/// use omma::{Graph, Mode, Padding, Pool2d, Pool3d};
///
/// let graph = Graph::new(Mode::Evaluation);
/// let x = graph.input("images", [8, 3, 33, 28])?;
/// assert_eq!(x.max_pool2d(2)?.shape().to_string(), "[8, 3, 16, 14]");
/// assert_eq!(x.max_pool2d(Pool2d::new([3, 2]).stride(2).ceil_mode(true))?.shape().to_string(), "[8, 3, 16, 14]");
/// assert_eq!(x.avg_pool2d(Pool2d::new(3).stride(1).dilation(2).padding(2))?.shape().to_string(), "[8, 3, 33, 28]");
/// let same = Pool2d::new(3).stride(2).padding(Padding::SameUpper);
/// assert_eq!(x.max_pool2d(same)?.shape().to_string(), "[8, 3, 17, 14]");
///
/// let x = graph.input("volumes", [2, 4, 9, 8, 8])?;
/// let window = Pool3d::new(2).padding(Padding::Sides([0, 0, 0], [1, 0, 0]));
/// assert_eq!(x.max_pool3d(window)?.shape().to_string(), "[2, 4, 5, 4, 4]");
/// # Ok::<(), omma::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool<const D: usize> {
    pub(crate) kernel: [usize; D],
    pub(crate) stride: [usize; D],
    pub(crate) dilation: [usize; D],
    padding: Padding<D>,
    pub(crate) ceil_mode: bool,
    pub(crate) count_include_pad: bool,
}

/// A window over `[N, C, L]`.
pub type Pool1d = Pool<1>;
/// A window over `[N, C, H, W]`.
pub type Pool2d = Pool<2>;
/// A window over `[N, C, D, H, W]`.
pub type Pool3d = Pool<3>;

impl<const D: usize> Pool<D> {
    /// A window of this size, as far apart as it is large.
    pub fn new(kernel: impl Into<PerAxis<D>>) -> Self {
        let PerAxis(kernel) = kernel.into();
        Self {
            kernel,
            stride: kernel,
            dilation: [1; D],
            padding: Padding::VALID,
            ceil_mode: false,
            count_include_pad: true,
        }
    }

    /// The distance between windows.
    pub fn stride(mut self, stride: impl Into<PerAxis<D>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// The distance between neighbouring cells of a window: 1 where it has no gaps.
    pub fn dilation(mut self, dilation: impl Into<PerAxis<D>>) -> Self {
        self.dilation = dilation.into().0;
        self
    }

    /// Cells around the image, which never are a maximum and are zeros to an average.
    pub fn padding(mut self, padding: impl Into<Padding<D>>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Rounds the number of windows up: the last may reach over the end, but must start inside the image or the padding
    /// before it.
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// Whether an average counts padded zeros: PyTorch's default, and this one's, but not ONNX's. Other poolings ignore it.
    pub fn count_include_pad(mut self, count: bool) -> Self {
        self.count_include_pad = count;
        self
    }

    /// The least extents of which it makes so many windows: the size of an unpooling, where none is given. Where a rule pads,
    /// the last window begins at the last cell then.
    ///
    /// ```
    /// assert_eq!(omma::Pool2d::new(3).stride(2).padding(1).input_size([4, 7]), [7, 13]);
    /// ```
    pub fn input_size(&self, windows: impl Into<PerAxis<D>>) -> [usize; D] {
        let PerAxis(windows) = windows.into();
        std::array::from_fn(|axis| {
            let last = windows[axis].saturating_sub(1).saturating_mul(self.stride[axis]);
            match self.padding {
                Padding::Sides(begin, end) => {
                    let padding = begin[axis].saturating_add(end[axis]);
                    last.saturating_add(self.reach(axis)).saturating_sub(padding)
                }
                Padding::SameUpper | Padding::SameLower => last.saturating_add(1),
            }
        })
    }

    /// Whether its cells have gaps between them.
    pub(super) fn is_dilated(&self) -> bool {
        self.dilation != [1; D]
    }

    /// The window over an `x`, whose padding then is that of each side. What is wrong with `x` is left to the shape rule.
    pub(in crate::ops) fn over(mut self, x: &TensorType) -> Self {
        if let ([_, _, extents @ ..], false) = (&x.shape[..], self.stride.contains(&0))
            && extents.len() == D
        {
            let sides = |axis| self.padding.along(axis, extents[axis], self.stride[axis], self.reach(axis));
            let sides: [[usize; 2]; D] = std::array::from_fn(sides);
            self.padding = Padding::Sides(sides.map(|[begin, _]| begin), sides.map(|[_, end]| end));
        }
        self
    }

    /// Padding before each axis and after it, of a window that is [`over`](Self::over) something.
    pub(crate) fn sides(&self) -> [[usize; D]; 2] {
        match self.padding {
            Padding::Sides(begin, end) => [begin, end],
            Padding::SameUpper | Padding::SameLower => [[0; D]; 2],
        }
    }

    /// Cells from the first one of a window to its last.
    fn reach(&self, axis: usize) -> usize {
        self.kernel[axis].saturating_sub(1).saturating_mul(self.dilation[axis]).saturating_add(1)
    }

    /// The number of windows along each axis of `x`, or what is wrong.
    pub(super) fn windows(&self, op: &str, x: &TensorType) -> Result<[usize; D]> {
        let (_, input) = spatial::<D>(op, x)?;
        let mut windows = [0; D];
        for (axis, (count, input)) in windows.iter_mut().zip(input).enumerate() {
            *count = self.windows_of(op, axis, input, x)?;
        }
        Ok(windows)
    }

    fn windows_of(&self, op: &str, axis: usize, input: usize, x: &TensorType) -> Result<usize> {
        let (kernel, stride, dilation) = (self.kernel[axis], self.stride[axis], self.dilation[axis]);
        let [begin, end] = self.sides().map(|side| side[axis]);
        if kernel == 0 || stride == 0 || dilation == 0 {
            return Err(Error::argument(op, "kernel, stride and dilation must be at least 1"));
        }
        let reach = self.reach(axis);
        if begin >= reach || end >= reach {
            let message = format!("padding {begin}, {end} must be smaller than the window of {reach}");
            return Err(Error::argument(op, message));
        }
        let padded = input.saturating_add(begin).saturating_add(end);
        // The kernels' divisions are exact so far.
        if [padded, stride, dilation].iter().any(|&size| size >= LONGEST) {
            let message =
                format!("the extent with padding, stride and dilation of axis {} must be below 2^30", axis + 2);
            return Err(Error::argument(op, message));
        }
        if padded < reach {
            let expected = format!("an extent of at least {reach} with padding on axis {}", axis + 2);
            return Err(Error::shape(op, expected, x));
        }
        let free = padded - reach;
        let windows = if self.ceil_mode { free.div_ceil(stride) } else { free / stride } + 1;
        let beyond = self.ceil_mode && (windows - 1).saturating_mul(stride) >= input.saturating_add(begin);
        let windows = if beyond { windows - 1 } else { windows };
        // A window that starts in the image holds its first cell; one that starts before it may step over the image where
        // its gaps are wider. After as many windows as the image has cells one does.
        let empty = |window: &usize| {
            let before = begin - window * stride;
            let first = before.div_ceil(dilation);
            first >= kernel || first * dilation - before >= input
        };
        let before = if dilation > input { begin.div_ceil(stride).min(windows) } else { 0 };
        match (0..before).find(empty) {
            Some(window) => {
                let message = format!("window {window} of axis {} holds nothing but padding", axis + 2);
                Err(Error::argument(op, message))
            }
            None => Ok(windows),
        }
    }

    /// Refuses a window that one invocation cannot go over so many times.
    pub(in crate::ops) fn check_loops(&self, op: &str, times: usize) -> Result<()> {
        if iterations(self.kernel).saturating_mul(times) <= MAX_ITERATIONS {
            return Ok(());
        }
        Err(Error::argument(op, format!("a window of {:?} is too large; use global pooling", self.kernel)))
    }

    /// The output's type.
    pub(in crate::ops) fn output(&self, op: &str, x: &TensorType) -> Result<TensorType> {
        let windows = self.windows(op, x)?;
        Ok(TensorType::f32([&x.shape[..2], &windows].concat()))
    }

    pub(in crate::ops) fn describe(&self) -> String {
        let sizes = |sizes: &[usize; D]| sizes.map(|size| size.to_string()).join("x");
        let dilation = match self.is_dilated() {
            true => format!(", dilation {}", sizes(&self.dilation)),
            false => String::new(),
        };
        let ceil = if self.ceil_mode { ", ceil" } else { "" };
        let (kernel, stride) = (sizes(&self.kernel), sizes(&self.stride));
        format!("window {kernel}, stride {stride}, padding {:?}{dilation}{ceil}", self.sides().concat())
    }

    /// How its windows lie.
    pub(in crate::ops) fn sliding(&self) -> Sliding {
        let [kernel, stride, dilation] = [self.kernel, self.stride, self.dilation].map(Vec::from);
        Sliding { kernel, stride, dilation }
    }

    /// The same window over the last E >= D axes, of one cell along those that it did not have.
    pub(super) fn widened<const E: usize>(&self) -> Pool<E> {
        let [begin, end] = self.sides().map(|side| widened(side, 0));
        Pool {
            kernel: widened(self.kernel, 1),
            stride: widened(self.stride, 1),
            dilation: widened(self.dilation, 1),
            padding: Padding::Sides(begin, end),
            ceil_mode: self.ceil_mode,
            count_include_pad: self.count_include_pad,
        }
    }
}

/// Numbers of the last axes, with one that stands for each missing one in front.
pub(super) fn widened<const D: usize, const E: usize>(numbers: [usize; D], missing: usize) -> [usize; E] {
    std::array::from_fn(|axis| (axis + D).checked_sub(E).map_or(missing, |axis| numbers[axis]))
}

/// Iterations of nested loops over three axes, the last of which are so long, exits of the inner ones counted.
pub(super) fn iterations<const D: usize>(lengths: [usize; D]) -> usize {
    let [depth, height, width] = widened(lengths, 1);
    let row = height.saturating_mul(width.saturating_add(2));
    depth.saturating_mul(row.saturating_add(2))
}

/// Batch and channels, and the extents of the D axes behind them, of an f32 tensor.
pub(in crate::ops) fn spatial<const D: usize>(op: &str, ty: &TensorType) -> Result<([usize; 2], [usize; D])> {
    if let (DType::F32, [n, c, rest @ ..]) = (ty.dtype, &ty.shape[..])
        && let Ok(extents) = <[usize; D]>::try_from(rest)
    {
        return Ok(([*n, *c], extents));
    }
    let axes = match D {
        1 => "[N, C, L]",
        2 => "[N, C, H, W]",
        _ => "[N, C, D, H, W]",
    };
    Err(Error::shape(op, format!("an f32 tensor of rank {} {axes}", D + 2), ty))
}

impl<const D: usize> From<usize> for Pool<D> {
    fn from(kernel: usize) -> Self {
        Self::new(kernel)
    }
}

impl<const D: usize> From<[usize; D]> for Pool<D> {
    fn from(kernel: [usize; D]) -> Self {
        Self::new(kernel)
    }
}
