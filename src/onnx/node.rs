//! A node of an ONNX graph as its operator sees it: attributes with their types checked, errors that say where.

use super::proto::{AttributeProto, NodeProto, TensorProto, attribute_type};
use super::{Array, ElementType};
use crate::error::{Error, Result};

/// A node with the version of its operator's rules.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The operator, with its domain where that is not ONNX's own: `Conv`, `com.example.Scale`.
    pub(super) operator: String,
    /// The version of the operator set that the node's file, or function, imports.
    pub(super) opset: i64,
    pub(super) proto: NodeProto,
}

impl Node {
    /// `Conv "name"`, or by its first output where it has no name.
    pub(super) fn title(&self) -> String {
        format!("{} \"{}\"", self.operator, self.label())
    }

    /// Its name, or that of its first output.
    pub(super) fn label(&self) -> &str {
        let output = self.proto.output.iter().find(|name| !name.is_empty());
        if self.proto.name.is_empty() { output.map_or("", String::as_str) } else { &self.proto.name }
    }

    /// What is wrong with it.
    pub(super) fn wrong(&self, message: impl std::fmt::Display) -> Error {
        Error::Onnx(format!("{}: {message}", self.title()))
    }

    /// What Omma does not do.
    pub(super) fn unsupported(&self, message: impl std::fmt::Display) -> Error {
        Error::Unsupported(format!("{}: {message}", self.title()))
    }

    /// Puts the node's title in front of an operation's error.
    pub(super) fn located(&self, error: Error) -> Error {
        match error {
            Error::Onnx(_) | Error::Unsupported(_) => error,
            other => self.wrong(other),
        }
    }

    /// Whether the output of this number has a name: others are not wanted.
    pub(super) fn has_output(&self, index: usize) -> bool {
        self.proto.output.get(index).is_some_and(|name| !name.is_empty())
    }

    /// How many outputs it has, up to the last with a name.
    pub(super) fn outputs(&self) -> usize {
        self.proto.output.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1)
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// An attribute's value by one of the fields, `None` where there is no such attribute.
    fn typed<'a, T>(
        &'a self,
        name: &str,
        expected: &str,
        field: impl FnOnce(&'a AttributeProto) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(attribute) => match field(attribute) {
                Some(value) => Ok(Some(value)),
                None => Err(self.wrong(format_args!("attribute `{name}`: expected {expected}"))),
            },
        }
    }

    /// Whether the attribute is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// An integer.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>> {
        // A writer of proto3 leaves a zero out.
        self.typed(name, "an integer", |a| a.i.or((a.r#type == attribute_type::INT).then_some(0)))
    }

    /// An integer that is a truth value.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.int(name)?.map_or(default, |value| value != 0))
    }

    /// A float.
    pub(super) fn float(&self, name: &str) -> Result<Option<f32>> {
        self.typed(name, "a float", |a| a.f.or((a.r#type == attribute_type::FLOAT).then_some(0.0)))
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>> {
        self.typed(name, "a text", |a| match (&a.s, a.r#type) {
            (Some(bytes), _) => std::str::from_utf8(bytes).ok(),
            (None, attribute_type::STRING) => Some(""),
            (None, _) => None,
        })
    }

    /// An attribute that is a finite number.
    pub(super) fn number(&self, name: &str, default: f32) -> Result<f32> {
        match self.float(name)?.unwrap_or(default) {
            number if number.is_finite() => Ok(number),
            other => Err(self.wrong(format_args!("attribute `{name}`: {other}"))),
        }
    }

    /// Integers.
    pub(super) fn ints(&self, name: &str) -> Result<Option<&[i64]>> {
        self.typed(name, "integers", |a| {
            (a.r#type == attribute_type::INTS || !a.ints.is_empty()).then_some(a.ints.as_slice())
        })
    }

    /// Floats.
    pub(super) fn floats(&self, name: &str) -> Result<Option<&[f32]>> {
        self.typed(name, "floats", |a| {
            (a.r#type == attribute_type::FLOATS || !a.floats.is_empty()).then_some(a.floats.as_slice())
        })
    }

    /// Texts.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>> {
        self.typed(name, "texts", |a| match a.r#type == attribute_type::STRINGS || !a.strings.is_empty() {
            true => a.strings.iter().map(|bytes| std::str::from_utf8(bytes).ok()).collect(),
            false => None,
        })
    }

    /// A tensor.
    pub(super) fn tensor(&self, name: &str) -> Result<Option<&TensorProto>> {
        self.typed(name, "a tensor", |a| a.t.as_ref())
    }

    /// The integers of an input. Those that count are of the data's type in the first operator sets.
    pub(super) fn integers(&self, index: usize, array: &Array) -> Result<Vec<i64>> {
        let wrong = || self.wrong(format_args!("input {index}: expected integers, got {array}"));
        let counts = match self.opset < 6 && array.element_type().is_float() {
            true => {
                array.cast(ElementType::I64).filter(|counts| counts.cast(array.element_type()).as_ref() == Some(array))
            }
            false => None,
        };
        counts.as_ref().unwrap_or(array).to_i64().ok_or_else(wrong)
    }

    /// The type that an attribute names by its number: 0 is that of no type, and the default where there is one. Before
    /// operator set 6 it is a text, as `FLOAT`.
    pub(super) fn element(&self, name: &str) -> Result<Option<ElementType>> {
        if let (..6, Ok(Some(text))) = (self.opset, self.text(name)) {
            let ty = ElementType::from_name(&text.to_lowercase());
            return ty.map(Some).ok_or_else(|| self.unsupported(format_args!("the element type {text}")));
        }
        let Some(code) = self.int(name)?.filter(|&code| code != 0) else { return Ok(None) };
        let ty = i32::try_from(code).ok().and_then(ElementType::from_code);
        ty.map(Some).ok_or_else(|| self.unsupported(format_args!("the element type {code}")))
    }

    /// A required value, as `kernel_shape`.
    pub(super) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.wrong(format_args!("the attribute `{name}` is missing")))
    }

    /// An axis of a tensor of so many, counted from the end where it is negative.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        let counted = counted.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
        counted.ok_or_else(|| self.wrong(format_args!("there is no axis {axis} among {rank}")))
    }

    /// Axes of a tensor of so many, each at most once.
    pub(super) fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let axes: Vec<usize> = axes.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<_>>()?;
        match (1..axes.len()).find(|&index| axes[..index].contains(&axes[index])) {
            Some(index) => Err(self.wrong(format_args!("axis {} is named twice", axes[index]))),
            None => Ok(axes),
        }
    }
}

/// The node with the attributes that it takes from the function around it.
pub(super) fn resolved(proto: &NodeProto, given: Option<&[AttributeProto]>) -> NodeProto {
    let mut node = proto.clone();
    let Some(given) = given else { return node };
    node.attribute = node
        .attribute
        .into_iter()
        .filter_map(|attribute| match attribute.ref_attr_name.as_str() {
            "" => Some(attribute),
            outer => {
                let value = given.iter().find(|given| given.name == outer)?;
                Some(AttributeProto { name: attribute.name, ..value.clone() })
            }
        })
        .collect();
    node
}
