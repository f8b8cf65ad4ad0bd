//! The element types of ONNX's tensors.

use std::fmt;

use half::{bf16, f16};
use ndarray::ArrayD;

use super::Array;

/// The type of a tensor's elements, of those that ONNX names. On the device floats are f32 and truth values f32 masks of ones
/// and zeros. Integers are whole numbers in f32 there, as long as their range tells that all of them are exact, places that
/// something has found are u32, and all other integers are computed on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// `float`: 32-bit floats.
    F32,
    /// `double`: 64-bit floats.
    F64,
    /// `float16`: IEEE 754 half precision.
    F16,
    /// `bfloat16`: the upper half of a 32-bit float.
    Bf16,
    /// `int8`
    I8,
    /// `int16`
    I16,
    /// `int32`
    I32,
    /// `int64`
    I64,
    /// `uint8`
    U8,
    /// `uint16`
    U16,
    /// `uint32`
    U32,
    /// `uint64`
    U64,
    /// `bool`
    Bool,
    /// `string`
    String,
}

/// Every type with its number in `TensorProto.DataType` and its name.
const TYPES: [(ElementType, i32, &str); 14] = [
    (ElementType::F32, 1, "float"),
    (ElementType::U8, 2, "uint8"),
    (ElementType::I8, 3, "int8"),
    (ElementType::U16, 4, "uint16"),
    (ElementType::I16, 5, "int16"),
    (ElementType::I32, 6, "int32"),
    (ElementType::I64, 7, "int64"),
    (ElementType::String, 8, "string"),
    (ElementType::Bool, 9, "bool"),
    (ElementType::F16, 10, "float16"),
    (ElementType::F64, 11, "double"),
    (ElementType::U32, 12, "uint32"),
    (ElementType::U64, 13, "uint64"),
    (ElementType::Bf16, 16, "bfloat16"),
];

impl ElementType {
    /// The type of this number in `TensorProto.DataType`; `None` for complex numbers, types below 8 bits and unknown ones.
    pub fn from_code(code: i32) -> Option<Self> {
        TYPES.iter().find(|(_, number, _)| *number == code).map(|&(ty, ..)| ty)
    }

    /// The type that is displayed as this.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        TYPES.iter().find(|(.., known)| *known == name).map(|&(ty, ..)| ty)
    }

    /// Its number in `TensorProto.DataType`.
    pub fn code(self) -> i32 {
        TYPES.iter().find(|(ty, ..)| *ty == self).map_or(0, |&(_, code, _)| code)
    }

    /// The least and the greatest of an integer type, and of truth values as numbers.
    pub(super) fn range(self) -> Option<[i128; 2]> {
        match self {
            Self::Bool => Some([0, 1]),
            Self::I8 => Some([i8::MIN.into(), i8::MAX.into()]),
            Self::I16 => Some([i16::MIN.into(), i16::MAX.into()]),
            Self::I32 => Some([i32::MIN.into(), i32::MAX.into()]),
            Self::I64 => Some([i64::MIN.into(), i64::MAX.into()]),
            Self::U8 => Some([0, u8::MAX.into()]),
            Self::U16 => Some([0, u16::MAX.into()]),
            Self::U32 => Some([0, u32::MAX.into()]),
            Self::U64 => Some([0, u64::MAX.into()]),
            Self::F32 | Self::F64 | Self::F16 | Self::Bf16 | Self::String => None,
        }
    }

    /// The range of an integer type of 8 or 16 bits, which are those that floats are quantised to.
    pub(super) fn quantised_range(self) -> Option<[i128; 2]> {
        self.range().filter(|_| matches!(self, Self::I8 | Self::I16 | Self::U8 | Self::U16))
    }

    /// Whether it is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::Bf16)
    }

    /// Whether it is an integer type.
    pub fn is_integer(self) -> bool {
        !self.is_float() && !matches!(self, Self::Bool | Self::String)
    }
}

/// ONNX's name of it: `float`, `int64`.
impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TYPES.iter().find(|(ty, ..)| ty == self).map_or("", |&(.., name)| name))
    }
}

/// A type of elements, with the arrays of it.
pub(super) trait Element: Clone + Default + PartialEq {
    /// The array of this type inside, where it is of this type.
    fn of(array: &Array) -> Option<&ArrayD<Self>>;

    /// Without its type on the outside.
    fn wrap(array: ArrayD<Self>) -> Array;
}

macro_rules! element {
    ($($ty:ty => $variant:ident),*) => { $(
        impl From<ArrayD<$ty>> for Array {
            fn from(array: ArrayD<$ty>) -> Self {
                Self::$variant(array)
            }
        }
        impl Element for $ty {
            fn of(array: &Array) -> Option<&ArrayD<Self>> {
                match array {
                    Array::$variant(array) => Some(array),
                    _ => None,
                }
            }
            fn wrap(array: ArrayD<Self>) -> Array {
                Array::$variant(array)
            }
        }
    )* };
}
element!(
    f32 => F32, f64 => F64, f16 => F16, bf16 => Bf16, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64, bool => Bool, String => String
);

/// A number that holds every value of every numeric type: what the host computes with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Float(f64),
    Integer(i128),
}

/// A type of numbers, which are computed wide and come back by rounding, or by their low bits.
pub(super) trait Numeric: Element + Copy + PartialOrd + Into<Number> + From<Number> {}

impl<T: Element + Copy + PartialOrd + Into<Number> + From<Number>> Numeric for T {}

impl Number {
    /// As a float, rounded where it has to be.
    pub(super) fn float(self) -> f64 {
        match self {
            Self::Float(value) => value,
            Self::Integer(value) => value as f64,
        }
    }
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
    f16: |v| f16::from_f32(odd_single(v)), |v| f16::from_f32(odd_single(odd_double(v)));
    bf16: |v| bf16::from_f32(odd_single(v)), |v| bf16::from_f32(odd_single(odd_double(v)));
);

/// Rounds to odd: where the float is not exact, it is the odd one of the two beside the value, so that rounding it again to
/// far fewer digits gives what the value itself would (Boldo and Melquiond 2008). The crate `half` rounds doubles by their
/// upper words alone.
macro_rules! odd {
    ($name:ident: $from:ty => $to:ty) => {
        fn $name(value: $from) -> $to {
            let near = value as $to;
            let back = near as $from;
            // The bits of a float count its magnitude.
            match near.to_bits() & 1 == 1 || back == value || !near.is_finite() {
                true => near,
                false if near != 0.0 && (back > value) == (near > 0.0) => <$to>::from_bits(near.to_bits() - 1),
                false => <$to>::from_bits(near.to_bits() + 1),
            }
        }
    };
}
odd!(odd_single: f64 => f32);
odd!(odd_double: i128 => f64);

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
