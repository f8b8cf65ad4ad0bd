//! Poolings.

use super::conv::{pads, per_axis};
use super::{Call, Operator, one};
use crate::error::Result;
use crate::onnx::value::Value;
use crate::ops::Pool2d;

pub(super) const OPERATORS: &[Operator] = &[
    ("GlobalAveragePool", |call| {
        let x = call.tensor(0)?;
        let axes: Vec<usize> = (2..x.shape().len()).collect();
        one(x.mean(crate::Axes::from(axes.as_slice()).keep())?)
    }),
    ("MaxPool", max_pool),
];

fn max_pool<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x = call.tensor(0)?;
    let [begin, end] = pads::<2>(call)?;
    let window = Pool2d::new(per_axis::<2>(call, "kernel_shape", 1)?)
        .stride(per_axis::<2>(call, "strides", 1)?)
        .paddings(begin, end);
    one(x.max_pool2d(window)?)
}
