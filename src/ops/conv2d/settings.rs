//! What a convolution is asked for, along any number of axes, and what that makes of an image's sizes.

use crate::error::{Error, Result};
use crate::graph::{Init, TensorType};
use crate::ops::axis_map::PadMode;
use crate::ops::{Padding, PerAxis};

/// The settings of a convolution along `D` axes, transposed or not: those of PyTorch's `Conv1d` to `Conv3d` and
/// `ConvTranspose1d` to `ConvTranspose3d`, with ONNX's ways to pad.
///
/// ```
/// use omma::{Conv2d, Graph, Mode, PadMode, Padding};
///
/// let graph = Graph::new(Mode::Evaluation);
/// let x = graph.input("x", [1, 3, 32, 30])?;
/// let half = x.conv2d("down", Conv2d::new(8, 3).stride(2).padding(Padding::SameUpper))?;
/// assert_eq!(half.shape().to_string(), "[1, 8, 16, 15]");
/// let flat = x.conv2d("flat", Conv2d::new(8, [1, 5]).stride([1, 2]).padding([0, 2]))?;
/// assert_eq!(flat.shape().to_string(), "[1, 8, 32, 15]");
/// let whole = half.conv_transpose2d("up", Conv2d::new(3, 3).stride(2).padding(1).output_padding([1, 1]))?;
/// assert_eq!(whole.shape().to_string(), "[1, 3, 32, 30]");
/// let mirrored = x.conv2d("mirrored", Conv2d::new(8, 7).padding(3).padding_mode(PadMode::Reflect))?;
/// assert_eq!(mirrored.shape().to_string(), "[1, 8, 32, 30]");
/// let one_sided = x.conv2d("one sided", Conv2d::new(8, 2).padding(Padding::Sides([1, 1], [0, 0])))?;
/// assert_eq!(one_sided.shape().to_string(), "[1, 8, 32, 30]");
/// # Ok::<(), omma::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv<const D: usize> {
    pub(super) out_channels: usize,
    kernel: [usize; D],
    pub(super) stride: [usize; D],
    padding: Padding<D>,
    padding_mode: PadMode,
    pub(super) dilation: [usize; D],
    output_padding: [usize; D],
    pub(super) groups: usize,
    pub(super) bias: bool,
    pub(super) init: Init,
}

/// The settings of [`Tensor::conv1d`](crate::Tensor::conv1d) and
/// [`Tensor::conv_transpose1d`](crate::Tensor::conv_transpose1d).
pub type Conv1d = Conv<1>;
/// The settings of [`Tensor::conv2d`](crate::Tensor::conv2d) and
/// [`Tensor::conv_transpose2d`](crate::Tensor::conv_transpose2d).
pub type Conv2d = Conv<2>;
/// The settings of [`Tensor::conv3d`](crate::Tensor::conv3d) and
/// [`Tensor::conv_transpose3d`](crate::Tensor::conv_transpose3d).
pub type Conv3d = Conv<3>;

const ZEROS: PadMode = PadMode::Constant(0.0);

impl<const D: usize> Conv<D> {
    /// `out_channels` filters with a kernel of so many taps along each axis, stride 1, no padding, with bias, He-normal
    /// weights.
    pub fn new(out_channels: usize, kernel: impl Into<PerAxis<D>>) -> Self {
        Self {
            out_channels,
            kernel: kernel.into().0,
            stride: [1; D],
            padding: Padding::VALID,
            padding_mode: ZEROS,
            dilation: [1; D],
            output_padding: [0; D],
            groups: 1,
            bias: true,
            init: Init::HeNormal,
        }
    }

    /// The step of the kernel along each axis.
    pub fn stride(mut self, stride: impl Into<PerAxis<D>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// Zeros around the image, which a transposed convolution takes away from its output.
    pub fn padding(mut self, padding: impl Into<Padding<D>>) -> Self {
        self.padding = padding.into();
        self
    }

    /// What the padding is instead of zeros, as PyTorch's `padding_mode`: its `reflect` is [`PadMode::Reflect`], `replicate`
    /// [`PadMode::Edge`] and `circular` [`PadMode::Wrap`]. The padded image is a copy. A transposed convolution has none.
    pub fn padding_mode(mut self, mode: PadMode) -> Self {
        self.padding_mode = mode;
        self
    }

    /// The distance between a kernel's taps along each axis.
    pub fn dilation(mut self, dilation: impl Into<PerAxis<D>>) -> Self {
        self.dilation = dilation.into().0;
        self
    }

    /// What is added to the end of a transposed convolution's output, less than its stride: of the sizes that a
    /// convolution makes the same of, it says which is wanted.
    pub fn output_padding(mut self, more: impl Into<PerAxis<D>>) -> Self {
        self.output_padding = more.into().0;
        self
    }

    /// Splits channels into groups that do not mix; as many groups as input channels make it depthwise.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Leaves the bias out, as before a batch norm.
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// How the weights start.
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }
}

/// An axis of a convolution with its sizes; of a transposed one, that of the convolution which it is the transpose of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) struct Axis {
    pub(in crate::ops) input: usize,
    pub(in crate::ops) output: usize,
    pub(in crate::ops) kernel: usize,
    pub(in crate::ops) stride: usize,
    pub(in crate::ops) dilation: usize,
    /// Before and behind.
    pub(in crate::ops) padding: [usize; 2],
}

impl Axis {
    /// An axis that nothing happens along.
    pub(in crate::ops) fn plain(length: usize) -> Self {
        Self { input: length, output: length, kernel: 1, stride: 1, dilation: 1, padding: [0; 2] }
    }

    pub(in crate::ops) fn is_plain(self) -> bool {
        Self { dilation: 1, ..self } == Self::plain(self.input)
    }
}

impl<const D: usize> Conv<D> {
    pub(in crate::ops) fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// The shape of the weight for so many channels of the input: `[O, C/groups, ...]`, or transposed `[C, O/groups, ...]`.
    pub(in crate::ops) fn weight(&self, channels: usize, transposed: bool) -> Vec<usize> {
        let [from, to] = if transposed { [channels, self.out_channels] } else { [self.out_channels, channels] };
        [&[from, to / self.groups][..], &self.kernel].concat()
    }

    /// The axes of a convolution of `x`, `[N, C, ...]`, with a kernel of these sizes.
    pub(super) fn axes(&self, what: &str, x: &TensorType, kernel: [usize; D], transposed: bool) -> Result<[Axis; D]> {
        if self.stride.contains(&0) || self.dilation.contains(&0) || self.groups == 0 {
            return Err(Error::argument(what, "stride, dilation and groups must be at least 1"));
        }
        if !transposed && self.output_padding != [0; D] {
            return Err(Error::argument(what, "only a transposed convolution has an output padding"));
        }
        if transposed && self.padding_mode != ZEROS {
            return Err(Error::argument(what, "only a convolution that is not transposed has a padding mode"));
        }
        if (0..D).any(|axis| self.output_padding[axis] >= self.stride[axis]) {
            let [more, stride] = [self.output_padding, self.stride].map(|numbers| format!("{numbers:?}"));
            return Err(Error::argument(what, format!("output padding {more} must be smaller than stride {stride}")));
        }
        let mut axes = [Axis::plain(1); D];
        for (number, axis) in axes.iter_mut().enumerate() {
            let of = if transposed { Self::transposed_axis } else { Self::axis };
            *axis = of(self, what, x, number, kernel[number])?;
        }
        Ok(axes)
    }

    /// The amounts by which an image is padded beforehand, where it is not by zeros, and what is left to do then.
    pub(super) fn padded(&self, axes: &[Axis; D]) -> Option<(Vec<[i64; 2]>, PadMode, Self)> {
        let amount = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
        let amounts = [[0; 2]; 2].into_iter().chain(axes.iter().map(|axis| axis.padding.map(amount)));
        let padded = self.padding_mode != ZEROS && axes.iter().any(|axis| axis.padding != [0; 2]);
        padded.then(|| (amounts.collect(), self.padding_mode, self.padding(Padding::VALID).padding_mode(ZEROS)))
    }

    /// From the first tap to the last.
    fn reach(&self, number: usize, kernel: usize) -> usize {
        self.dilation[number].saturating_mul(kernel - 1).saturating_add(1)
    }

    /// floor((input + padding - reach) / stride) + 1 positions, where reach = dilation · (kernel - 1) + 1.
    fn axis(&self, what: &str, x: &TensorType, number: usize, kernel: usize) -> Result<Axis> {
        let (input, stride, reach) = (x.shape[number + 2], self.stride[number], self.reach(number, kernel));
        let padding = self.padding.along(number, input, stride, reach);
        let padded = padding.iter().fold(input, |sum, &zeros| sum.saturating_add(zeros));
        let Some(free) = padded.checked_sub(reach) else {
            let [begin, end] = padding;
            let expected = format!("at least {reach} along axis {} with a padding of {begin} and {end}", number + 2);
            return Err(Error::shape(what, expected, x));
        };
        let output = free / stride + 1;
        Ok(Axis { input, output, kernel, stride, dilation: self.dilation[number], padding })
    }

    /// stride · (input - 1) + reach + output padding - padding: what a convolution makes the input of.
    fn transposed_axis(&self, what: &str, x: &TensorType, number: usize, kernel: usize) -> Result<Axis> {
        let (output, stride, reach) = (x.shape[number + 2], self.stride[number], self.reach(number, kernel));
        let whole = (output - 1).saturating_mul(stride).saturating_add(reach);
        let whole = whole.saturating_add(self.output_padding[number]);
        let kept = output.saturating_mul(stride);
        let padding = self.padding.sides(number, whole.saturating_sub(kept));
        let taken = padding[0].saturating_add(padding[1]);
        let input = match self.padding {
            Padding::Sides(..) => whole.saturating_sub(taken),
            _ => kept,
        };
        if input == 0 {
            let expected = format!("an output of more than {taken} along axis {} before that padding", number + 2);
            return Err(Error::shape(what, expected, whole));
        }
        Ok(Axis { input, output, kernel, stride, dilation: self.dilation[number], padding })
    }
}
