//! Normalisation within single examples: layer, group and instance norm, and the local response normalisation across
//! channels. They are made of what batch norm and pooling are made of.

use super::{Padding, Pool2d};
use crate::error::{Error, Result};
use crate::graph::{DType, Init, Reach, Tensor};
use crate::selftest::OpCase;

/// Settings of [`Tensor::layer_norm`], [`Tensor::group_norm`] and [`Tensor::instance_norm`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    epsilon: f32,
    affine: bool,
}

impl Default for Norm {
    /// An epsilon of 1e-5, with learned factors and terms.
    fn default() -> Self {
        Self { epsilon: 1e-5, affine: true }
    }
}

impl Norm {
    /// What is added to the variance before the root.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Leaves the learned factors and terms out.
    pub fn without_affine(mut self) -> Self {
        self.affine = false;
        self
    }
}

impl<'g> Tensor<'g> {
    /// Brings each example to mean 0 and variance 1 over `axis` and all axes behind it, times `NAME.weight` plus
    /// `NAME.bias`, which have the shape of those axes (Ba et al. 2016, "Layer Normalization"). The variance is biased.
    /// PyTorch's `LayerNorm`, ONNX's `LayerNormalization`.
    ///
    /// # Errors
    /// When the tensor is not f32, has no such axis, a single element would be normalised by itself, epsilon is not
    /// positive, or a name is taken.
    pub fn layer_norm(self, name: &str, axis: usize, settings: Norm) -> Result<Self> {
        let shape = self.shape();
        if axis >= shape.len() {
            return Err(Error::shape(titled("layer_norm", name), format!("more than {axis} axes"), shape));
        }
        let rows = shape[..axis].iter().product();
        self.normalized("layer_norm", name, rows, axis, &shape[axis..], settings)
    }

    /// Brings groups of channels of `[N, C, ...]` to mean 0 and variance 1, example by example, times a factor
    /// `NAME.weight` plus a term `NAME.bias` a channel (Wu and He 2018, "Group Normalization"). PyTorch's `GroupNorm`,
    /// ONNX's `GroupNormalization`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 2 or more, the groups do not divide its channels, a single element would be
    /// normalised by itself, epsilon is not positive, or a name is taken.
    pub fn group_norm(self, name: &str, groups: usize, settings: Norm) -> Result<Self> {
        self.by_groups("group_norm", name, groups, settings)
    }

    /// Brings each channel of `[N, C, ...]` to mean 0 and variance 1, example by example, times a factor `NAME.weight` plus
    /// a term `NAME.bias` (Ulyanov et al. 2016, "Instance Normalization"). ONNX's `InstanceNormalization`; PyTorch's
    /// `InstanceNorm` has no factors and terms unless asked.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3 or more, a plane has a single element, epsilon is not positive, or a name is
    /// taken.
    pub fn instance_norm(self, name: &str, settings: Norm) -> Result<Self> {
        let groups = self.shape().get(1).copied().unwrap_or(1);
        self.by_groups("instance_norm", name, groups, settings)
    }

    fn by_groups(self, op: &'static str, name: &str, groups: usize, settings: Norm) -> Result<Self> {
        let shape = self.shape();
        let [n, channels, rest @ ..] = &shape[..] else {
            return Err(Error::shape(titled(op, name), "[N, C, ...]", shape));
        };
        if groups == 0 || !channels.is_multiple_of(groups) {
            let message = format!("{groups} groups do not divide {channels} channels");
            return Err(Error::argument(titled(op, name), message));
        }
        let affine = [&[*channels][..], &vec![1; rest.len()]].concat();
        self.normalized(op, name, n * groups, 1, &affine, settings)
    }

    /// Normalises `rows` equal parts, one behind the other, of all axes from `first` on; factors and terms have the shape
    /// `affine`.
    fn normalized(
        self,
        op: &'static str,
        name: &str,
        rows: usize,
        first: usize,
        affine: &[usize],
        settings: Norm,
    ) -> Result<Self> {
        let Norm { epsilon, affine: learned } = settings;
        let (graph, shape) = (self.graph(), self.shape());
        let elements = shape.elements() / rows;
        if self.ty().dtype != DType::F32 || elements < 2 {
            return Err(Error::shape(titled(op, name), "f32 and more than one element to normalise", self.ty()));
        }
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(Error::argument(titled(op, name), format!("expected epsilon > 0, got {epsilon}")));
        }
        let build = || {
            let y = self.reshape([1, rows, elements])?.standardized(epsilon)?.reshape(shape.clone())?;
            if !learned {
                return Ok(y);
            }
            // Of single axes of extent 1, PyTorch's parameters know nothing.
            let stored = match op {
                "layer_norm" => affine,
                _ => &affine[..1],
            };
            let weight = graph.parameter(&format!("{name}.weight"), stored, Init::Ones)?.reshape(affine)?;
            let bias = graph.parameter(&format!("{name}.bias"), stored, Init::Zeros)?.reshape(affine)?;
            y.multiply(weight)?.add(bias)
        };
        let reach = Reach::Along((first..shape.len()).collect());
        let attributes = format!("{rows} of {elements}, epsilon {epsilon}");
        graph.as_one(op, name, attributes, reach, || graph.whole(build))
    }

    /// x / (k + alpha·m)^beta, where m is the mean of the squares of `size` neighbouring channels of `[N, C, ...]`, of
    /// ⌊(size - 1)/2⌋ before and ⌈(size - 1)/2⌉ behind, those beyond the first and the last counted as 0 (Krizhevsky et al.
    /// 2012, section 3.3, whose alpha is that of the sum: n times smaller). ONNX's `LRN`; PyTorch's `LocalResponseNorm` has,
    /// for even sizes, the odd neighbour before.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 2 or more, the size is 0, or alpha, beta or k is not finite or not positive.
    pub fn local_response_norm(self, size: usize, alpha: f32, beta: f32, k: f32) -> Result<Self> {
        const NAME: &str = "local_response_norm";
        let shape = self.shape();
        let (DType::F32, [n, channels, rest @ ..]) = (self.ty().dtype, &shape[..]) else {
            return Err(Error::shape(NAME, "an f32 tensor [N, C, ...]", self.ty()));
        };
        let positive = |value: f32| value > 0.0 && value.is_finite();
        if size == 0 || ![alpha, beta, k].into_iter().all(positive) {
            let message =
                format!("expected a size of at least 1 and alpha, beta, k > 0, got {size}, {alpha}, {beta}, {k}");
            return Err(Error::argument(NAME, message));
        }
        let window = Pool2d::new([size, 1]).stride(1).padding(Padding::Sides([(size - 1) / 2, 0], [size / 2, 0]));
        let attributes = format!("size {size}, alpha {alpha}, beta {beta}, k {k}");
        self.graph().as_one(NAME, "", attributes, Reach::Place, || {
            let squares = self.square()?.reshape([*n, 1, *channels, rest.iter().product()])?;
            let means = squares.avg_pool2d(window)?.reshape(shape.clone())?;
            self.multiply(means.multiply(alpha)?.add(k)?.pow(-beta)?)
        })
    }
}

fn titled(op: &str, name: &str) -> String {
    format!("{op} `{name}`")
}

pub(crate) fn cases() -> Vec<OpCase> {
    let mut cases = Vec::new();
    let layers: [(&[usize], usize); 4] = [(&[5, 7], 1), (&[2, 3, 4, 5], 1), (&[2, 3, 4, 5], 3), (&[3, 260], 1)];
    for (shape, axis) in layers {
        cases.push(OpCase::new(format!("layer_norm {shape:?} from axis {axis}"), move |cx| {
            Ok(vec![cx.normal("x", shape)?.layer_norm("norm", axis, Norm::default())?])
        }));
    }
    let groups: [(&[usize], usize); 4] = [(&[2, 6, 5], 3), (&[3, 8, 5, 7], 2), (&[2, 4, 3, 2, 5], 4), (&[4, 6], 2)];
    for (shape, groups) in groups {
        cases.push(OpCase::new(format!("group_norm {shape:?} in {groups}"), move |cx| {
            Ok(vec![cx.normal("x", shape)?.group_norm("norm", groups, Norm::default().epsilon(1e-3))?])
        }));
    }
    let instances: [&[usize]; 3] = [&[2, 3, 8, 5], &[3, 2, 9], &[2, 4, 3, 2, 5]];
    for shape in instances {
        cases.push(OpCase::new(format!("instance_norm {shape:?}"), move |cx| {
            Ok(vec![cx.normal("x", shape)?.instance_norm("norm", Norm::default())?])
        }));
    }
    cases.push(OpCase::new("instance_norm [2, 3, 8, 5] without factor and term", |cx| {
        Ok(vec![cx.normal("x", [2, 3, 8, 5])?.instance_norm("norm", Norm::default().without_affine())?])
    }));
    // A mean that is large beside the deviation: squares of x alone would lose it.
    cases.push(OpCase::new("layer_norm around 1000", |cx| {
        Ok(vec![cx.shifted("x", [4, 100], 1000.0)?.layer_norm("norm", 1, Norm::default())?])
    }));
    cases.push(OpCase::new("group_norm around 1000", |cx| {
        Ok(vec![cx.shifted("x", [2, 6, 5, 4], 1000.0)?.group_norm("norm", 3, Norm::default())?])
    }));
    cases.push(OpCase::new("instance_norm around 1000", |cx| {
        Ok(vec![cx.shifted("x", [2, 3, 6, 5], 1000.0)?.instance_norm("norm", Norm::default())?])
    }));
    let sizes: [(&[usize], usize); 5] =
        [(&[2, 7, 3, 5], 5), (&[1, 4, 6], 4), (&[3, 6], 3), (&[2, 3, 2, 2, 2], 7), (&[1, 1, 4], 1)];
    for (shape, size) in sizes {
        cases.push(OpCase::new(format!("local_response_norm {shape:?} of {size}"), move |cx| {
            Ok(vec![cx.normal("x", shape)?.local_response_norm(size, 0.5, 0.75, 2.0)?])
        }));
    }
    cases.into_iter().map(OpCase::randomize_parameters).collect()
}
