//! Tensors on the host with any of ONNX's element types, exact: what files hold, and what is computed at load.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use super::ElementType;
use super::element::Number;
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

/// Evaluates an expression with the typed array inside where it is of one of these types, else another one.
macro_rules! with_variants {
    ([$($variant:ident)*] $array:expr, $name:ident => $body:expr, _ => $other:expr) => {
        match $array {
            $( $crate::onnx::Array::$variant($name) => $body, )*
            _ => $other,
        }
    };
}
pub(super) use with_variants;

/// [`with_variants`] of all numbers: no truth values, no texts.
macro_rules! with_numbers {
    ($($rest:tt)*) => {
        $crate::onnx::array::with_variants!([F32 F64 F16 Bf16 I8 I16 I32 I64 U8 U16 U32 U64] $($rest)*)
    };
}
pub(super) use with_numbers;

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
        with_numbers!(self, array => Some(array.iter().map(|&v| v.into()).collect()), _ => match self {
            Self::Bool(array) => Some(array.iter().map(|&v| v.into()).collect()),
            _ => None,
        })
    }

    /// The elements in row-major order where they are integers that 64 bits with a sign hold.
    pub(super) fn to_i64(&self) -> Option<Vec<i64>> {
        let whole = |number: Number| match number {
            Number::Integer(value) => i64::try_from(value).ok(),
            Number::Float(_) => None,
        };
        match self {
            Self::I64(array) => Some(array.iter().copied().collect()),
            _ => self.numbers()?.into_iter().map(whole).collect(),
        }
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
    /// beyond their range becomes the nearest of them; integers keep their low bits; numbers are written as texts in
    /// decimal, and read from them. `None` where a text is no number of the type.
    pub fn cast(&self, to: ElementType) -> Option<Self> {
        if self.element_type() == to {
            return Some(self.clone());
        }
        match (self, to) {
            (Self::String(texts), _) => parsed(texts, to),
            (_, ElementType::String) => Some(Self::String(self.texts()?)),
            (Self::Bool(array), _) => converted(array, to),
            _ => with_numbers!(self, array => converted(array, to), _ => None),
        }
    }

    /// Numbers as texts: floats in the fewest digits that mean them, with an exponent where there would be many zeros.
    fn texts(&self) -> Option<ArrayD<String>> {
        macro_rules! texts {
            ($($variant:ident),*) => {
                match self {
                    $( Self::$variant(array) => Some(array.mapv(|v| v.to_string())), )*
                    Self::F32(array) => Some(array.mapv(|v| decimal(v, v.abs().into()))),
                    Self::F64(array) => Some(array.mapv(|v| decimal(v, v.abs()))),
                    Self::F16(array) => Some(array.mapv(|v| decimal(v, v.to_f64().abs()))),
                    Self::Bf16(array) => Some(array.mapv(|v| decimal(v, v.to_f64().abs()))),
                    Self::Bool(array) => Some(array.mapv(|v| if v { "True" } else { "False" }.into())),
                    Self::String(_) => None,
                }
            };
        }
        texts!(I8, I16, I32, I64, U8, U16, U32, U64)
    }
}

/// A float as NumPy writes it, but for the zero behind a whole number's point.
fn decimal<T: std::fmt::Display + std::fmt::LowerExp>(value: T, magnitude: f64) -> String {
    match magnitude {
        _ if magnitude.is_nan() => "NaN".into(),
        _ if magnitude.is_infinite() => if format!("{value}").starts_with('-') { "-INF" } else { "INF" }.into(),
        _ if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) => format!("{value:e}"),
        _ => value.to_string(),
    }
}

/// Numbers under another type.
fn converted<T: Copy + Into<Number>>(array: &ArrayD<T>, to: ElementType) -> Option<Array> {
    macro_rules! converted {
        ($($variant:ident),*) => {
            match to {
                $( ElementType::$variant => Some(Array::$variant(array.mapv(|v| v.into().into()))), )*
                ElementType::String => None,
            }
        };
    }
    converted!(F32, F64, F16, Bf16, I8, I16, I32, I64, U8, U16, U32, U64, Bool)
}

/// Numbers of texts.
fn parsed(texts: &ArrayD<String>, to: ElementType) -> Option<Array> {
    let shape = IxDyn(texts.shape());
    macro_rules! parsed {
        ($($variant:ident: $parse:expr),*) => {
            match to {
                $( ElementType::$variant => {
                    let numbers: Option<Vec<_>> = texts.iter().map(|text| $parse(text.trim())).collect();
                    ArrayD::from_shape_vec(shape, numbers?).ok().map(Array::$variant)
                } )*
                ElementType::String => Some(Array::String(texts.clone())),
            }
        };
    }
    // Integers exactly where they are written as such; a fraction goes the way that floats go.
    fn number(text: &str) -> Option<Number> {
        match text.parse::<i128>() {
            Ok(integer) => Some(Number::Integer(integer)),
            Err(_) => text.parse().ok().map(Number::Float),
        }
    }
    fn of<T: std::convert::From<Number>>(text: &str) -> Option<T> {
        number(text).map(T::from)
    }
    /// An integer that the type holds, or a float whose whole part is such.
    fn whole<T: Copy + Into<Number> + std::convert::From<Number>>(text: &str) -> Option<T> {
        let number = number(text)?;
        let value = T::from(number);
        let held = match (number, value.into()) {
            (Number::Float(number), value) => number.trunc() == value.float(),
            (number, value) => number == value,
        };
        held.then_some(value)
    }
    parsed!(
        // Read at once, not by way of 64 bits.
        F32: |text: &str| text.parse().ok(), F64: |text: &str| text.parse().ok(),
        F16: of, Bf16: of, Bool: of,
        I8: whole, I16: whole, I32: whole, I64: whole, U8: whole, U16: whole, U32: whole, U64: whole
    )
}

/// Type and shape, as `float[1, 3, 224, 224]`.
impl std::fmt::Display for Array {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.element_type(), self.shape())
    }
}
