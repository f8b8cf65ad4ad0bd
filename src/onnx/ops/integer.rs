//! Products of bytes whose sums are 32-bit integers. On the device they are whole numbers in f32, so they are computed there
//! where no sum can be beyond what f32 has exactly.

use super::conv::convolved;
use super::{Call, Operator};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::value::{EXACT, Value};
use crate::onnx::{Array, ElementType, quantized};

pub(super) const OPERATORS: &[Operator] = &[
    ("ConvInteger", |call| {
        let product = convolution(call, [0, 2], [1, 3], None)?;
        product.exact(call)
    }),
    ("MatMulInteger", |call| {
        let product = matrices(call, [0, 2], [1, 3])?;
        product.exact(call)
    }),
    ("QLinearConv", quantized_conv),
    ("QLinearMatMul", quantized_matmul),
];

/// Bytes without their zero points.
struct Centred<'g> {
    tensor: Tensor<'g>,
    /// None is larger than this, whatever its sign.
    most: i64,
    /// They themselves, where they are known.
    known: Option<Vec<i64>>,
}

/// The bytes of an input without their zero points: one for all, or one for each index of an axis.
fn centred<'g>(call: &mut Call<'_, '_, 'g>, [index, zero]: [usize; 2], axis: usize) -> Result<Centred<'g>> {
    let (shape, element) = (call.shape(index)?, call.element(index)?);
    if !matches!(element, ElementType::U8 | ElementType::I8) {
        return Err(call.node.wrong(format_args!("input {index}: expected bytes, got {element}{shape}")));
    }
    let points = if call.has(zero) { call.ints(zero)? } else { vec![0] };
    let extent = shape.get(axis).copied().unwrap_or(1);
    if points.len() != 1 && (points.len() != extent || call.shape(zero)?.len() != 1) {
        let zeros = call.shape(zero)?;
        return Err(call.node.unsupported(format_args!("input {zero}: zero points {zeros} for {element}{shape}")));
    }
    let inner: usize = shape.iter().skip(axis + 1).product();
    if let Some(values) = call.literal(index).and_then(Array::to_i64) {
        let point = |place: usize| if points.len() == 1 { points[0] } else { points[place / inner.max(1) % extent] };
        let known: Vec<i64> =
            values.iter().enumerate().map(|(place, value)| value.saturating_sub(point(place))).collect();
        let most = known.iter().map(|value| value.saturating_abs()).max().unwrap_or(0);
        return Ok(Centred { tensor: call.constant(floats(&shape, &known)?)?, most, known: Some(known) });
    }
    let x = call.number(index)?;
    let reach = |point: &i64| x.range.map(|end| end.saturating_sub(*point).saturating_abs()).into_iter().max();
    let most = points.iter().filter_map(reach).max().unwrap_or(0);
    let tensor = match points.as_slice() {
        [0] => x.tensor,
        &[point] => x.tensor.subtract(point as f32)?,
        points => {
            let shape: Vec<usize> = [extent].into_iter().chain(shape.iter().skip(axis + 1).map(|_| 1)).collect();
            x.tensor.subtract(call.constant(floats(&shape, points)?)?)?
        }
    };
    Ok(Centred { tensor, most, known: None })
}

/// Integers as constants of the device.
fn floats(shape: &[usize], values: &[i64]) -> Result<Array> {
    Array::new(shape, values.iter().map(|&value| value as f32).collect())
}

/// Sums of products.
struct Product<'g> {
    sums: Tensor<'g>,
    /// None is larger than this, whatever its sign.
    most: i64,
}

impl<'g> Product<'g> {
    fn exact(self, call: &Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
        Ok(vec![call.exact(self.sums, ElementType::I32, [-self.most, self.most])?])
    }

    /// The product of two, with what is added to each output; a weight has `[terms, inner]` of them behind its other axes.
    /// Where sums may be too large for f32 and the weight is known, its upper and lower half bytes are multiplied on their
    /// own: 16 times the one sum, which is exact, and the other make a sum that is rounded once, as if an integer were.
    fn of(
        call: &mut Call<'_, '_, 'g>,
        x: &Centred<'g>,
        weight: &Centred<'g>,
        [terms, inner]: [usize; 2],
        bias: Option<(&[i64], &[usize])>,
        multiply: impl Fn(&Call<'_, '_, 'g>, Tensor<'g>, Tensor<'g>) -> Result<Tensor<'g>>,
    ) -> Result<Self> {
        let largest_bias = bias.map_or(0, |(values, _)| values.iter().map(|v| v.saturating_abs()).max().unwrap_or(0));
        let bound = |most: i64, known: Option<&[i64]>| {
            let any = most.saturating_mul(i64::try_from(terms).unwrap_or(i64::MAX));
            known.map_or(any, |known| largest_sum(known, terms, inner)).saturating_mul(x.most)
        };
        let biased = |call: &mut Call<'_, '_, 'g>, sums: Tensor<'g>| match bias {
            Some((values, shape)) => sums.add(call.constant(floats(shape, values)?)?),
            None => Ok(sums),
        };
        let most = bound(weight.most, weight.known.as_deref()).saturating_add(largest_bias);
        if most <= EXACT {
            let sums = multiply(call, x.tensor, weight.tensor)?;
            return Ok(Self { sums: biased(call, sums)?, most });
        }
        let too_large = || call.node.unsupported(format_args!("sums of up to {most} on the device"));
        let known = weight.known.as_deref().ok_or_else(too_large)?;
        let low: Vec<i64> = known.iter().map(|value| (value + 8).rem_euclid(16) - 8).collect();
        let high: Vec<i64> = known.iter().zip(&low).map(|(value, low)| (value - low) / 16).collect();
        if bound(8, Some(&low)).saturating_add(largest_bias) > EXACT || bound(16, Some(&high)) > EXACT {
            return Err(too_large());
        }
        let shape = weight.tensor.shape();
        let (low, high) = (call.constant(floats(&shape, &low)?)?, call.constant(floats(&shape, &high)?)?);
        let (low, high) = (multiply(call, x.tensor, low)?, multiply(call, x.tensor, high)?);
        let low = biased(call, low)?;
        Ok(Self { sums: high.multiply(16.0)?.add(low)?, most })
    }
}

/// The largest of the sums of magnitudes that a product is made of.
fn largest_sum(values: &[i64], terms: usize, inner: usize) -> i64 {
    let mut largest = 0;
    for block in values.chunks(terms.saturating_mul(inner).max(1)) {
        for column in 0..inner {
            let magnitudes = block.iter().skip(column).step_by(inner.max(1)).map(|value| value.saturating_abs());
            largest = largest.max(magnitudes.fold(0, i64::saturating_add));
        }
    }
    largest
}

/// A convolution of images and weights, each with its zero points.
fn convolution<'g>(
    call: &mut Call<'_, '_, 'g>,
    image: [usize; 2],
    weight: [usize; 2],
    bias: Option<&[i64]>,
) -> Result<Product<'g>> {
    let (x, weight) = (centred(call, image, 1)?, centred(call, weight, 0)?);
    let shape = weight.tensor.shape();
    let Some((&outputs, taps)) = shape.split_first() else {
        return Err(call.node.wrong(format_args!("expected weights with axes, got {shape}")));
    };
    if bias.is_some_and(|bias| bias.len() != outputs) {
        return Err(call.node.wrong(format_args!("a bias that does not fit weights {shape}")));
    }
    let terms: usize = taps.iter().product();
    let column = [&[outputs][..], &vec![1; taps.len().saturating_sub(1)]].concat();
    let bias = bias.map(|values| (values, column.as_slice()));
    Product::of(call, &x, &weight, [terms, 1], bias, |call, x, weight| convolved(call, x, weight, None))
}

/// A product of matrices, each with its zero points: of the first one a row, of the second one a column.
fn matrices<'g>(call: &mut Call<'_, '_, 'g>, a: [usize; 2], b: [usize; 2]) -> Result<Product<'g>> {
    let (rows, columns) = (call.shape(a[0])?, call.shape(b[0])?);
    let a = centred(call, a, rows.len().saturating_sub(2))?;
    let b = centred(call, b, columns.len().saturating_sub(1))?;
    let terms = rows.last().copied().unwrap_or(1);
    let inner = if columns.len() < 2 { 1 } else { columns.last().copied().unwrap_or(1) };
    Product::of(call, &a, &b, [terms, inner], None, |_, a, b| a.matmul(b))
}

/// Sums as bytes again: by the scale of the one, that of the other and that of the result, each one for all but one of the
/// first two, which may have one for each index of the axis that has so many more behind it.
fn requantized<'g>(
    call: &mut Call<'_, '_, 'g>,
    product: Product<'g>,
    [scale, zero]: [usize; 2],
    [a, b]: [(usize, usize); 2],
) -> Result<Vec<Value<'g>>> {
    let element = call.element(zero)?;
    let [least, greatest] = quantized::bounds(call.node, element)?;
    let single = |call: &Call<'_, '_, 'g>, index: usize| match call.floats(index)?.as_slice() {
        &[value] => Ok(value),
        _ => Err(call.node.unsupported(format_args!("input {index}: more than one scale of the result"))),
    };
    let scale = single(call, scale)?;
    let (of_a, of_b) = (call.floats(a.0)?, call.floats(b.0)?);
    let (factors, behind) = match (of_a.as_slice(), of_b.as_slice()) {
        (&[one], many) => (many.iter().map(|other| one * other / scale).collect::<Vec<f32>>(), b.1),
        (many, &[one]) => (many.iter().map(|other| other * one / scale).collect(), a.1),
        _ => return Err(call.node.unsupported("scales along two axes")),
    };
    let &[point] = call.ints(zero)?.as_slice() else {
        return Err(call.node.unsupported(format_args!("input {zero}: more than one zero point of the result")));
    };
    let scaled = match factors.as_slice() {
        &[factor] => product.sums.multiply(factor)?,
        factors => {
            let shape = [&[factors.len()][..], &vec![1; behind]].concat();
            product.sums.multiply(call.constant(Array::new(&shape, factors.to_vec())?)?)?
        }
    };
    Ok(vec![Value::of(scaled.round()?.add(point as f32)?.clip(least, greatest)?, element)])
}

fn quantized_conv<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let bias = if call.has(8) { Some(call.ints(8)?) } else { None };
    let product = convolution(call, [0, 2], [3, 5], bias.as_deref())?;
    let behind = product.sums.shape().len().saturating_sub(2);
    requantized(call, product, [6, 7], [(1, 0), (4, behind)])
}

fn quantized_matmul<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let product = matrices(call, [0, 2], [3, 5])?;
    requantized(call, product, [6, 7], [(1, 1), (4, 0)])
}
