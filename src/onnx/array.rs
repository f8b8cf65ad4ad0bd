//! Tensors on the host with any of ONNX's element types, exact: what files hold, and what is computed at load.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use super::ElementType;
use crate::error::{Error, Result};

/// Elements of one of ONNX's types. 64-bit integers, doubles and strings keep their exact values.
///
/// ```
/// use omma::onnx::Array;
///
/// let array = Array::from(ndarray::arr1(&[1_i64, 1 << 53]).into_dyn());
/// assert_eq!(array.to_string(), "int64[2]");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Array {
    /// 32-bit floats.
    F32(ArrayD<f32>),
    /// 64-bit floats.
    F64(ArrayD<f64>),
    /// IEEE 754 half precision.
    F16(ArrayD<f16>),
    /// The upper half of a 32-bit float.
    Bf16(ArrayD<bf16>),
    /// 8-bit signed integers.
    I8(ArrayD<i8>),
    /// 16-bit signed integers.
    I16(ArrayD<i16>),
    /// 32-bit signed integers.
    I32(ArrayD<i32>),
    /// 64-bit signed integers.
    I64(ArrayD<i64>),
    /// 8-bit unsigned integers.
    U8(ArrayD<u8>),
    /// 16-bit unsigned integers.
    U16(ArrayD<u16>),
    /// 32-bit unsigned integers.
    U32(ArrayD<u32>),
    /// 64-bit unsigned integers.
    U64(ArrayD<u64>),
    /// Truth values.
    Bool(ArrayD<bool>),
    /// Texts.
    String(ArrayD<String>),
}

/// Evaluates an expression with the typed array inside, whatever its type.
macro_rules! with_array {
    ($array:expr, $name:ident => $body:expr) => {{
        use $crate::onnx::Array::*;
        match $array {
            F32($name) => $body,
            F64($name) => $body,
            F16($name) => $body,
            Bf16($name) => $body,
            I8($name) => $body,
            I16($name) => $body,
            I32($name) => $body,
            I64($name) => $body,
            U8($name) => $body,
            U16($name) => $body,
            U32($name) => $body,
            U64($name) => $body,
            Bool($name) => $body,
            String($name) => $body,
        }
    }};
}
pub(super) use with_array;

macro_rules! element {
    ($($ty:ty => $variant:ident),*) => { $(
        impl From<ArrayD<$ty>> for Array {
            fn from(array: ArrayD<$ty>) -> Self {
                Self::$variant(array)
            }
        }
    )* };
}
element!(
    f32 => F32, f64 => F64, f16 => F16, bf16 => Bf16, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64, bool => Bool, String => String
);

impl Array {
    /// An array of these elements in row-major order.
    ///
    /// # Errors
    /// When the shape has another number of elements.
    pub fn new<T>(shape: &[usize], elements: Vec<T>) -> Result<Self>
    where
        Self: From<ArrayD<T>>,
    {
        let count = elements.len();
        let array = ArrayD::from_shape_vec(IxDyn(shape), elements);
        array.map(Self::from).map_err(|_| Error::shape("array", format!("elements for {shape:?}"), count))
    }

    /// One axis of these integers: a shape, axes, or the like.
    pub fn integers(values: impl IntoIterator<Item = i64>) -> Self {
        Self::I64(values.into_iter().collect::<ndarray::Array1<i64>>().into_dyn())
    }

    /// The element type.
    pub fn element_type(&self) -> ElementType {
        match self {
            Self::F32(_) => ElementType::F32,
            Self::F64(_) => ElementType::F64,
            Self::F16(_) => ElementType::F16,
            Self::Bf16(_) => ElementType::Bf16,
            Self::I8(_) => ElementType::I8,
            Self::I16(_) => ElementType::I16,
            Self::I32(_) => ElementType::I32,
            Self::I64(_) => ElementType::I64,
            Self::U8(_) => ElementType::U8,
            Self::U16(_) => ElementType::U16,
            Self::U32(_) => ElementType::U32,
            Self::U64(_) => ElementType::U64,
            Self::Bool(_) => ElementType::Bool,
            Self::String(_) => ElementType::String,
        }
    }

    /// The extents.
    pub fn shape(&self) -> &[usize] {
        with_array!(self, array => array.shape())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        with_array!(self, array => array.len())
    }

    /// Whether it has no element: an axis is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every element as a wide number; `None` of texts.
    pub(super) fn numbers(&self) -> Option<Vec<Number>> {
        macro_rules! numbers {
            ($($variant:ident),*) => {
                match self {
                    $( Self::$variant(array) => Some(array.iter().map(|&v| v.into()).collect()), )*
                    Self::String(_) => None,
                }
            };
        }
        numbers!(F32, F64, F16, Bf16, I8, I16, I32, I64, U8, U16, U32, U64, Bool)
    }

    /// The elements in row-major order where they are integers that 64 bits with a sign hold.
    pub(super) fn to_i64(&self) -> Option<Vec<i64>> {
        let whole = |number: Number| match number {
            Number::Integer(value) => i64::try_from(value).ok(),
            Number::Float(_) => None,
        };
        self.numbers()?.into_iter().map(whole).collect()
    }

    /// The elements in row-major order, rounded to 32-bit floats; `None` of texts.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        match self {
            Self::F32(array) => Some(array.iter().copied().collect()),
            _ => Some(self.numbers()?.into_iter().map(f32::from).collect()),
        }
    }

    /// The elements in row-major order as 64-bit floats, which hold all numbers of the narrower types; `None` of texts.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        Some(self.numbers()?.into_iter().map(f64::from).collect())
    }

    /// The same values under another type, as ONNX's Cast: floats lose their fraction on the way to integers, and what is
    /// beyond their range becomes the nearest of them; integers keep their low bits; `None` from or to texts.
    pub fn cast(&self, to: ElementType) -> Option<Self> {
        if self.element_type() == to {
            return Some(self.clone());
        }
        let (numbers, shape) = (self.numbers()?, IxDyn(self.shape()));
        macro_rules! cast {
            ($($variant:ident),*) => {
                match to {
                    $( ElementType::$variant => {
                        let elements = numbers.into_iter().map(From::from).collect();
                        ArrayD::from_shape_vec(shape, elements).ok().map(Self::$variant)
                    } )*
                    ElementType::String => None,
                }
            };
        }
        cast!(F32, F64, F16, Bf16, I8, I16, I32, I64, U8, U16, U32, U64, Bool)
    }
}

/// Type and shape, as `float[1, 3, 224, 224]`.
impl std::fmt::Display for Array {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.element_type(), self.shape())
    }
}

/// A number that holds every value of every numeric type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Float(f64),
    Integer(i128),
}

macro_rules! integer {
    ($($ty:ty),*) => { $(
        impl From<$ty> for Number {
            fn from(value: $ty) -> Self {
                Self::Integer(value.into())
            }
        }
        impl From<Number> for $ty {
            fn from(number: Number) -> Self {
                match number {
                    Number::Float(value) => value as $ty,
                    Number::Integer(value) => value as $ty,
                }
            }
        }
    )* };
}
integer!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! float {
    ($($ty:ty: $from_float:expr, $from_integer:expr;)*) => { $(
        impl From<$ty> for Number {
            fn from(value: $ty) -> Self {
                Self::Float(value.into())
            }
        }
        impl From<Number> for $ty {
            fn from(number: Number) -> Self {
                match number {
                    Number::Float(value) => $from_float(value),
                    Number::Integer(value) => $from_integer(value),
                }
            }
        }
    )* };
}
float!(
    f64: |v| v, |v| v as f64;
    f32: |v| v as f32, |v| v as f32;
    f16: f16::from_f64, |v| f16::from_f64(v as f64);
    bf16: bf16::from_f64, |v| bf16::from_f64(v as f64);
);

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<Number> for bool {
    fn from(number: Number) -> Self {
        match number {
            Number::Float(value) => value != 0.0,
            Number::Integer(value) => value != 0,
        }
    }
}
