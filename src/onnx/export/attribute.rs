//! Values of attributes.

use super::super::proto::{AttributeProto, attribute_type};

/// What an attribute may be.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'static str),
}

impl Value {
    pub(super) fn named(&self, name: &str) -> AttributeProto {
        let mut attribute = AttributeProto { name: name.into(), ..AttributeProto::default() };
        attribute.r#type = match self {
            Self::Int(value) => {
                attribute.i = Some(*value);
                attribute_type::INT
            }
            Self::Ints(values) => {
                attribute.ints = values.clone();
                attribute_type::INTS
            }
            Self::Float(value) => {
                attribute.f = Some(*value);
                attribute_type::FLOAT
            }
            Self::Text(text) => {
                attribute.s = Some(text.as_bytes().into());
                attribute_type::STRING
            }
        };
        attribute
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Int(value as i64)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

impl From<&[usize]> for Value {
    fn from(values: &[usize]) -> Self {
        Self::Ints(values.iter().map(|&value| value as i64).collect())
    }
}

impl From<Vec<i64>> for Value {
    fn from(values: Vec<i64>) -> Self {
        Self::Ints(values)
    }
}
