//! The element types of ONNX's tensors.

use std::fmt;

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

    /// Its number in `TensorProto.DataType`.
    pub fn code(self) -> i32 {
        TYPES.iter().find(|(ty, ..)| *ty == self).map_or(0, |&(_, code, _)| code)
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
