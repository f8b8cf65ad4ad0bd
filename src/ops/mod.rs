//! The operations, one file a family: parameters, shape rule, gradient, lowering, cases.
//!
//! Each family is one stem in four places (`shaders/`, `src/ops/`, `src/reference/`, `tests/ops/`) and one row of
//! [`FAMILIES`].

pub(crate) mod activation;
pub(crate) mod avg_pool2d;
mod axes;
pub use axes::Axes;
pub(crate) mod axis_map;
pub(crate) mod batch_norm;
pub(crate) mod binary;
pub(crate) mod chain;
pub(crate) mod comparison;
pub(crate) mod concat;
pub(crate) mod conv2d;
pub(crate) mod conv3d;
pub(crate) mod conv_transpose;
pub(crate) mod convert;
pub(crate) mod cross_entropy;
pub(crate) mod dense;
pub(crate) mod dropout;
mod elementwise;
pub use elementwise::Term;
pub(crate) mod expand;
pub(crate) mod gather;
pub(crate) mod losses;
pub(crate) mod matmul;
pub(crate) mod max_pool2d;
pub(crate) mod max_unpool;
pub(crate) mod metrics;
pub use losses::Reduction;
pub(crate) mod normalization;
pub(crate) mod normalize;
pub(crate) mod optimizer;
mod padding;
pub use padding::Padding;
mod per_axis;
pub use per_axis::PerAxis;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub use pool::{Pool, Pool1d, Pool2d, Pool3d};
pub(crate) mod product;
pub(crate) mod reduce;
mod reshape;
pub(crate) mod softmax;
pub(crate) mod softmax_cross_entropy;
pub(crate) mod strided;
pub(crate) mod top_k;
pub(crate) mod unfold;

use crate::error::{Error, Result};
use crate::graph::{DType, TensorType};
use crate::plan::{Shader, format};
use crate::selftest::OpCase;

/// A family of operations: where its text lies and what it is tried on.
#[derive(Debug)]
pub struct Family {
    /// The stem that its files share.
    pub stem: &'static str,
    /// Its shader files.
    pub shaders: &'static [&'static Shader],
    /// The problems that the tests and `omma selftest` run it on.
    pub cases: fn() -> Vec<OpCase>,
}

/// Every family, in the order of their names.
pub const FAMILIES: &[Family] = &[
    // Activations, arithmetic and masks are functions of single elements and run the kernel of `pointwise`.
    Family { stem: "activation", shaders: &[], cases: activation::cases },
    Family {
        stem: "avg_pool2d",
        shaders: &[&avg_pool2d::SHADER, &avg_pool2d::CHANNELS_LAST, &avg_pool2d::STRIPS, &avg_pool2d::UNROLLED],
        cases: avg_pool2d::cases,
    },
    Family { stem: "axis_map", shaders: &[&axis_map::SHADER], cases: axis_map::cases },
    Family {
        stem: "batch_norm",
        shaders: &[&batch_norm::SHADER, &batch_norm::CHANNELS_LAST, &batch_norm::TILES],
        cases: batch_norm::cases,
    },
    Family { stem: "binary", shaders: &[], cases: binary::cases },
    Family { stem: "comparison", shaders: &[], cases: comparison::cases },
    // Joining moves elements as they are and runs the kernel for that.
    Family { stem: "concat", shaders: &[], cases: concat::cases },
    Family {
        stem: "conv2d",
        shaders: &[
            &conv2d::NAIVE,
            &conv2d::TILED,
            &conv2d::TILED_WEIGHT,
            &conv2d::POINTWISE,
            &conv2d::STEM,
            &conv2d::BLOCKED,
            &conv2d::PACK,
            &conv2d::PACKED,
            &conv2d::PACKED_WEIGHT,
            &conv2d::CHANNELS_LAST,
            &conv2d::CHANNELS_LAST_WEIGHT,
            &conv2d::WINOGRAD,
            &conv2d::WINOGRAD_PRODUCT,
            &conv2d::WINOGRAD_WEIGHT,
            &conv2d::DEPTHWISE,
            &conv2d::DEPTHWISE_WEIGHT,
            &conv2d::GROUPED,
        ],
        cases: conv2d::cases,
    },
    // They run the kernels of `unfold` and `conv2d`.
    Family { stem: "conv3d", shaders: &[], cases: conv3d::cases },
    // A transposed convolution is a convolution's input gradient.
    Family { stem: "conv_transpose", shaders: &[], cases: conv_transpose::cases },
    Family { stem: "convert", shaders: &[&convert::SHADER], cases: convert::cases },
    Family { stem: "cross_entropy", shaders: &[&cross_entropy::SHADER], cases: cross_entropy::cases },
    // A dense layer is a convolution of 1x1 images and runs its kernels.
    Family { stem: "dense", shaders: &[], cases: dense::cases },
    Family { stem: "dropout", shaders: &[&dropout::SHADER], cases: dropout::cases },
    Family { stem: "expand", shaders: &[&expand::SHADER], cases: expand::cases },
    Family { stem: "gather", shaders: &[&gather::SHADER], cases: gather::cases },
    // Functions of single elements, and batch norm's kernels on other views.
    Family { stem: "losses", shaders: &[], cases: losses::cases },
    // Batches are groups of a 1x1 convolution.
    Family { stem: "matmul", shaders: &[], cases: matmul::cases },
    Family {
        stem: "max_pool2d",
        shaders: &[&max_pool2d::SHADER, &max_pool2d::CHANNELS_LAST, &max_pool2d::STRIPS, &max_pool2d::UNROLLED],
        cases: max_pool2d::cases,
    },
    Family { stem: "max_unpool", shaders: &[&max_unpool::SHADER], cases: max_unpool::cases },
    Family { stem: "metrics", shaders: &[&metrics::SHADER], cases: metrics::cases },
    Family { stem: "normalization", shaders: &[], cases: normalization::cases },
    Family { stem: "normalize", shaders: &[&normalize::SHADER], cases: normalize::cases },
    Family { stem: "optimizer", shaders: &[&optimizer::SHADER, &optimizer::PREPARE], cases: optimizer::cases },
    // With the copies between formats, which its cases run as well.
    Family { stem: "pointwise", shaders: &[&chain::SHADER, &format::SHADER], cases: pointwise::cases },
    Family { stem: "pool", shaders: &[&pool::SHADER, &pool::INDICES], cases: pool::cases },
    Family { stem: "product", shaders: &[&product::SHADER], cases: product::cases },
    Family { stem: "reduce", shaders: &[&reduce::SHADER], cases: reduce::cases },
    Family { stem: "softmax", shaders: &[&softmax::SHADER], cases: softmax::cases },
    Family {
        stem: "softmax_cross_entropy",
        shaders: &[&softmax_cross_entropy::SHADER],
        cases: softmax_cross_entropy::cases,
    },
    Family { stem: "strided", shaders: &[&strided::SHADER], cases: strided::cases },
    Family { stem: "top_k", shaders: &[&top_k::SHADER], cases: top_k::cases },
    Family { stem: "unfold", shaders: &[&unfold::SHADER], cases: unfold::cases },
];

/// lavapipe ends an invocation's loops after this many iterations, all of them counted together, without a word: no
/// kernel is planned to run more anywhere.
pub(crate) const MAX_ITERATIONS: usize = 65_535;

/// The extents of an f32 image tensor `[N, C, H, W]`.
pub(crate) fn image(op: &str, ty: &TensorType) -> Result<[usize; 4]> {
    match (ty.dtype, &ty.shape[..]) {
        (DType::F32, &[n, c, h, w]) => Ok([n, c, h, w]),
        _ => Err(Error::shape(op, "an f32 tensor of rank 4 [N, C, H, W]", ty)),
    }
}

/// The extents of an f32 matrix.
pub(crate) fn matrix(op: &str, ty: &TensorType, axes: &str) -> Result<[usize; 2]> {
    match (ty.dtype, &ty.shape[..]) {
        (DType::F32, &[rows, columns]) => Ok([rows, columns]),
        _ => Err(Error::shape(op, format!("an f32 tensor of rank 2 {axes}"), ty)),
    }
}

/// The view `[outer, axis, inner]` of a shape around one axis.
pub(crate) fn around(op: &str, ty: &TensorType, axis: usize) -> Result<[usize; 3]> {
    if axis >= ty.shape.len() {
        return Err(Error::shape(op, format!("more than {axis} axes"), ty));
    }
    Ok([ty.shape[..axis].iter().product(), ty.shape[axis], ty.shape[axis + 1..].iter().product()])
}

/// The types of the inputs must be exactly these.
pub(crate) fn expect(op: &str, what: &str, expected: &TensorType, actual: &TensorType) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error::shape(op, format!("{what} {expected}"), actual)) }
}

/// The tensor must be f32.
pub(crate) fn float(op: &str, ty: &TensorType) -> Result<()> {
    if ty.dtype == DType::F32 { Ok(()) } else { Err(Error::shape(op, "an f32 tensor", ty)) }
}

/// A loop that one invocation must run to its end.
pub(crate) fn within_one_invocation(op: &str, iterations: usize) -> Result<()> {
    if iterations <= MAX_ITERATIONS {
        return Ok(());
    }
    Err(Error::argument(op, format!("{iterations} values in one row are more than {MAX_ITERATIONS}")))
}
