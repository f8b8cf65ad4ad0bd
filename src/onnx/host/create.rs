//! Arrays out of attributes, shapes and types.

use ndarray::{ArrayD, IxDyn};

use super::{Call, MOST_EQUAL, Operator, one};
use crate::error::Result;
use crate::onnx::array::{with_array, with_numbers};
use crate::onnx::element::{Element, Number, Numeric};
use crate::onnx::shapes;
use crate::onnx::tensor_proto::Folder;
use crate::onnx::{Array, ElementType};

pub(super) const OPERATORS: &[Operator] = &[
    ("Cast", cast),
    ("CastLike", |call| converted(call, call.input(1)?.element_type())),
    ("Constant", constant),
    ("ConstantOfShape", constant_of_shape),
    ("EyeLike", eye_like),
    ("Identity", |call| Ok(vec![call.input(0)?.clone()])),
    ("OneHot", one_hot),
    ("Range", range),
    ("Shape", shape),
    ("Size", |call| Ok(vec![scalar(call.input(0)?.len() as i64)])),
];

fn scalar<T: Element>(value: T) -> Array {
    T::wrap(ArrayD::from_elem(IxDyn(&[]), value))
}

fn vector<T: Element>(values: impl IntoIterator<Item = T>) -> Array {
    T::wrap(values.into_iter().collect::<ndarray::Array1<T>>().into_dyn())
}

fn cast(call: &Call<'_>) -> Result<Vec<Array>> {
    converted(call, call.node.required("to", call.node.element("to")?)?)
}

fn converted(call: &Call<'_>, to: ElementType) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    let wrong = || call.node.wrong(format_args!("{x} has a text that is no {to}"));
    Ok(vec![x.cast(to).ok_or_else(wrong)?])
}

fn constant(call: &Call<'_>) -> Result<Vec<Array>> {
    let node = call.node;
    let constant = if let Some(tensor) = node.tensor("value")? {
        Folder::default().read(tensor)?
    } else if let Some(value) = node.int("value_int")? {
        scalar(value)
    } else if let Some(values) = node.ints("value_ints")? {
        vector(values.iter().copied())
    } else if let Some(value) = node.float("value_float")? {
        scalar(value)
    } else if let Some(values) = node.floats("value_floats")? {
        vector(values.iter().copied())
    } else if let Some(text) = node.text("value_string")? {
        scalar(text.to_string())
    } else if let Some(texts) = node.texts("value_strings")? {
        vector(texts.into_iter().map(String::from))
    } else if node.has("sparse_value") {
        return Err(node.unsupported("a sparse constant"));
    } else {
        return Err(node.wrong("none of the attributes that give it a value is there"));
    };
    Ok(vec![constant])
}

/// Extents that an input holds, of an array of so many elements at most.
pub(super) fn extents(call: &Call<'_>, index: usize, most: usize) -> Result<Vec<usize>> {
    let extents = call.ints(index)?;
    let wrong = |_| call.node.wrong(format_args!("{extents:?} is no shape"));
    let shape: Vec<usize> =
        extents.iter().map(|&extent| usize::try_from(extent)).collect::<Result<_, _>>().map_err(wrong)?;
    call.limit_to(most, &shape)?;
    Ok(shape)
}

fn constant_of_shape(call: &Call<'_>) -> Result<Vec<Array>> {
    let shape = extents(call, 0, MOST_EQUAL)?;
    let value = match call.node.tensor("value")? {
        Some(tensor) => Folder::default().read(tensor)?,
        None => scalar(0.0_f32),
    };
    fn filled<T: Element>(call: &Call<'_>, value: &ArrayD<T>, shape: &[usize]) -> Result<Vec<Array>> {
        match value.first() {
            // One text, many times over, has no use.
            Some(_) if String::of(&T::wrap(value.clone())).is_some() => Err(call.node.unsupported("texts")),
            Some(element) if value.len() == 1 => one(ArrayD::from_elem(IxDyn(shape), element.clone())),
            _ => Err(call.node.wrong("attribute `value`: expected one element")),
        }
    }
    with_array!(&value, value => filled(call, value, &shape))
}

fn shape(call: &Call<'_>) -> Result<Vec<Array>> {
    Ok(vec![Array::integers(shapes::shown(call.node, call.input(0)?.shape())?)])
}

fn range(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Numeric>(call: &Call<'_>, start: &ArrayD<T>) -> Result<Vec<Array>> {
        let single = |array: &ArrayD<T>| match array.first() {
            Some(&value) if array.len() == 1 => Ok(value.into()),
            _ => Err(call.node.wrong("expected scalars")),
        };
        let (start, limit, delta) = (single(start)?, single(call.like(start, 1)?)?, single(call.like(start, 2)?)?);
        let endless = || call.node.wrong(format_args!("{start:?} to {limit:?} by {delta:?} does not end"));
        let count = match (start, limit, delta) {
            (Number::Integer(start), Number::Integer(limit), Number::Integer(delta)) => {
                // Away from zero, that an end which is not met counts.
                let (distance, delta) = if delta < 0 { (start - limit, -delta) } else { (limit - start, delta) };
                let steps = distance.max(0).checked_add(delta - 1).and_then(|all| all.checked_div(delta));
                usize::try_from(steps.ok_or_else(endless)?).unwrap_or(usize::MAX)
            }
            _ => {
                let steps = ((limit.float() - start.float()) / delta.float()).ceil();
                if !steps.is_finite() {
                    return Err(endless());
                }
                steps as usize
            }
        };
        call.limit(&[count])?;
        let element = |index: usize| match (start, delta) {
            (Number::Integer(start), Number::Integer(delta)) => Number::Integer(start + delta * index as i128),
            _ => Number::Float(start.float() + delta.float() * index as f64),
        };
        Ok(vec![vector((0..count).map(|index| T::from(element(index))))])
    }
    let start = call.input(0)?;
    with_numbers!(start, array => of(call, array), _ => call.refuse(start))
}

fn eye_like(call: &Call<'_>) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    let &[rows, columns] = x.shape() else {
        return Err(call.node.wrong(format_args!("expected a matrix, got {x}")));
    };
    call.limit(&[rows, columns])?;
    let k = i128::from(call.node.int("k")?.unwrap_or(0));
    let eye = ArrayD::from_shape_fn(IxDyn(&[rows, columns]), |at| at[1] as i128 - at[0] as i128 == k);
    let ty = call.node.element("dtype")?.unwrap_or(x.element_type());
    match ty {
        ElementType::String => Err(call.node.wrong("ones and zeros of texts")),
        ty => Ok(Array::Bool(eye).cast(ty).into_iter().collect()),
    }
}

fn one_hot(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Element>(call: &Call<'_>, values: &ArrayD<T>) -> Result<Vec<Array>> {
        let [off, on] = values.as_slice().unwrap_or_default() else {
            return Err(call.node.wrong("expected two values"));
        };
        let depths: Vec<i64> = call.numbers(1)?.into_iter().map(i64::from).collect();
        let depth = match *depths {
            [depth] => usize::try_from(depth).ok(),
            _ => None,
        };
        let depth = depth.ok_or_else(|| call.node.wrong(format_args!("a depth of {depths:?}")))?;
        let mut shape = call.input(0)?.shape().to_vec();
        let axis = call.axis(-1, shape.len() + 1)?;
        let indices: Vec<i64> = call.numbers(0)?.into_iter().map(i64::from).collect();
        let indices = ArrayD::from_shape_vec(IxDyn(&shape), indices).map_err(|error| call.node.wrong(error))?;
        shape.insert(axis, depth);
        call.limit(&shape)?;
        // Off where the index is outside.
        let indices = indices.insert_axis(ndarray::Axis(axis));
        let indices = call.spread(&indices, &shape)?;
        let places = ArrayD::from_shape_fn(IxDyn(&shape), |at| at[axis] as i64);
        let depth = depth as i64;
        let hot = |&index: &i64, &place: &i64| index == place || index.checked_add(depth) == Some(place);
        let pick = |index: &i64, place: &i64| if hot(index, place) { on.clone() } else { off.clone() };
        one(ndarray::Zip::from(indices).and(&places).map_collect(pick))
    }
    let values = call.input(2)?;
    with_array!(values, array => of(call, array))
}
