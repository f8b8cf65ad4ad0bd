//! Host values on their way to the device: `ndarray` arrays and views, or slices.

use std::borrow::Cow;

use ndarray::{ArrayBase, ArrayView, Data, Dimension};

use crate::graph::{DType, Shape};

/// Elements of one of the types that the device takes, borrowed where they lie contiguous.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum HostValues<'a> {
    /// Floats.
    F32(Cow<'a, [f32]>),
    /// Labels and indices.
    U32(Cow<'a, [u32]>),
    /// Image bytes; an input of u32 labels takes them too.
    U8(Cow<'a, [u8]>),
}

impl HostValues<'_> {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::U32(_) => DType::U32,
            Self::U8(_) => DType::U8,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes as an input of type `dtype` stores them; `None` where it cannot take these elements.
    pub(crate) fn bytes_as(&self, dtype: DType) -> Option<Cow<'_, [u8]>> {
        match (self, dtype) {
            (Self::U8(values), DType::U32) => {
                let wide: Vec<u32> = values.iter().map(|&v| u32::from(v)).collect();
                Some(bytemuck::cast_slice(&wide).to_vec().into())
            }
            _ if self.dtype() != dtype => None,
            (Self::F32(values), _) => Some(bytemuck::cast_slice(values).into()),
            (Self::U32(values), _) => Some(bytemuck::cast_slice(values).into()),
            (Self::U8(values), _) => Some(values.as_ref().into()),
        }
    }
}

/// Values for an input. A slice has only a length; an array's shape is compared with the input's.
#[derive(Debug, Clone)]
pub struct HostTensor<'a> {
    pub(crate) shape: Option<Shape>,
    pub(crate) values: HostValues<'a>,
}

/// An element type of host arrays.
pub trait Element: bytemuck::Pod + sealed::Sealed {
    /// Its type on the device.
    const DTYPE: DType;
    #[doc(hidden)]
    fn wrap(values: Cow<'_, [Self]>) -> HostValues<'_>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($($ty:ty => $variant:ident),*) => { $(
        impl sealed::Sealed for $ty {}
        impl Element for $ty {
            const DTYPE: DType = DType::$variant;
            fn wrap(values: Cow<'_, [Self]>) -> HostValues<'_> {
                HostValues::$variant(values)
            }
        }
    )* };
}
element!(f32 => F32, u32 => U32, u8 => U8);

impl<'a, T: Element> From<&'a [T]> for HostTensor<'a> {
    fn from(values: &'a [T]) -> Self {
        Self { shape: None, values: T::wrap(values.into()) }
    }
}

impl HostTensor<'_> {
    /// Values that nobody else has.
    #[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "its one caller is a feature"))]
    pub(crate) fn owned<T: Element>(values: Vec<T>) -> Self {
        Self { shape: None, values: T::wrap(Cow::Owned(values)) }
    }
}

impl<'a, T: Element> From<&'a Vec<T>> for HostTensor<'a> {
    fn from(values: &'a Vec<T>) -> Self {
        values.as_slice().into()
    }
}

impl<'a, T: Element, D: Dimension> From<ArrayView<'a, T, D>> for HostTensor<'a> {
    fn from(array: ArrayView<'a, T, D>) -> Self {
        let shape = Some(array.shape().into());
        let values = match array.to_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(array.iter().copied().collect()),
        };
        Self { shape, values: T::wrap(values) }
    }
}

impl<'a, T: Element, S: Data<Elem = T>, D: Dimension> From<&'a ArrayBase<S, D>> for HostTensor<'a> {
    fn from(array: &'a ArrayBase<S, D>) -> Self {
        array.view().into()
    }
}
