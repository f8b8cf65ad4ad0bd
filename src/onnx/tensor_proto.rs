//! `TensorProto`s as arrays and back: the bytes of a tensor in the model's file or in one beside it.

use std::path::{Component, Path, PathBuf};

use half::{bf16, f16};
use prost::bytes::Bytes;

use super::proto::TensorProto;
use super::{Array, ElementType};
use crate::error::{Error, Result};

/// Where the bytes of tensors may lie outside the model: beside its file, and nowhere else.
#[derive(Debug, Clone, Default)]
pub(super) struct Folder(pub(super) Option<PathBuf>);

/// What is wrong with a tensor, under its name.
fn wrong(tensor: &TensorProto, message: impl std::fmt::Display) -> Error {
    Error::Onnx(format!("tensor `{}`: {message}", tensor.name))
}

/// Axes of a tensor, at most: as many as NumPy knows.
const MOST_AXES: usize = 64;

/// The extents of a tensor whose number of elements is small enough to count.
fn shape(tensor: &TensorProto) -> Result<(Vec<usize>, usize)> {
    let extent = |&dim: &i64| {
        usize::try_from(dim).map_err(|_| wrong(tensor, format_args!("an extent of {dim} in {:?}", tensor.dims)))
    };
    if tensor.dims.len() > MOST_AXES {
        return Err(wrong(tensor, format_args!("{} axes are more than {MOST_AXES}", tensor.dims.len())));
    }
    let shape: Vec<usize> = tensor.dims.iter().map(extent).collect::<Result<_>>()?;
    let count = shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
    // An empty axis makes an empty array of any other extents, which ndarray counts too.
    let filled = shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent.max(1)));
    match (count, filled) {
        (Some(count), Some(filled)) if filled <= isize::MAX as usize / 8 => Ok((shape, count)),
        _ => Err(wrong(tensor, format_args!("{:?} has more elements than can be counted", tensor.dims))),
    }
}

impl Folder {
    /// The elements of a tensor.
    ///
    /// # Errors
    /// When it has an element type that is not supported, its data are not as many as its extents say, or they lie where
    /// nothing may be read.
    pub(super) fn read(&self, tensor: &TensorProto) -> Result<Array> {
        let ty = ElementType::from_code(tensor.data_type).ok_or_else(|| {
            let message = format!("tensor `{}` has the element type {}", tensor.name, tensor.data_type);
            Error::Unsupported(message)
        })?;
        let (shape, count) = shape(tensor)?;
        let raw = match tensor.data_location {
            0 => tensor.raw_data.clone(),
            1 => Some(self.external(tensor)?),
            other => return Err(wrong(tensor, format_args!("a data location of {other}, expected 0 or 1"))),
        };
        let array = match raw {
            Some(bytes) => from_raw(tensor, ty, &shape, count, &bytes)?,
            None => from_fields(tensor, ty, &shape)?,
        };
        match array.len() == count {
            true => Ok(array),
            false => Err(wrong(tensor, format_args!("expected {count} elements for {shape:?}, got {}", array.len()))),
        }
    }

    /// The bytes of a tensor in a file beside the model's.
    fn external(&self, tensor: &TensorProto) -> Result<Bytes> {
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|e| e.value.as_str());
        let location = entry("location").ok_or_else(|| wrong(tensor, "external data without a location"))?;
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => match text.parse::<u64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(wrong(tensor, format_args!("external data whose {key} is `{text}`, expected a number"))),
            },
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let folder = self.0.as_deref();
        let folder = folder.ok_or_else(|| wrong(tensor, "external data, but the model was not read from a file"))?;
        let path = inside(folder, location).map_err(|message| wrong(tensor, message))?;
        read_part(&path, offset, length).map_err(|message| wrong(tensor, message))
    }
}

/// The file of this name below the folder.
fn inside(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let relative = Path::new(location);
    let mut depth = 0_i64;
    let plain = relative.components().all(|part| {
        depth = match part {
            Component::Normal(_) => depth + 1,
            Component::CurDir => depth,
            Component::ParentDir => depth - 1,
            Component::Prefix(_) | Component::RootDir => -1,
        };
        depth >= 0
    });
    // A colon or backslash would mean another place on Windows.
    if location.is_empty() || !plain || location.contains(['\\', ':', '\0']) {
        return Err(format!("external data in `{location}`, expected a file beside the model"));
    }
    let read = |path: &Path| path.canonicalize().map_err(|error| format!("external data in `{location}`: {error}"));
    let folder = read(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
    let path = read(&folder.join(relative))?;
    match path.starts_with(&folder) && path.is_file() {
        true => Ok(path),
        false => Err(format!("external data in `{location}`, which leads out of the model's folder or to no file")),
    }
}

/// So many bytes of a file, or what is left of it behind the offset.
fn read_part(path: &Path, offset: u64, length: Option<u64>) -> Result<Bytes, String> {
    use std::io::{Read, Seek, SeekFrom};
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let length = length.unwrap_or(size.saturating_sub(offset));
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(format!("external data at {offset}, {length} bytes long, in {} of {size} bytes", path.display()));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| "external data larger than memory".to_string())?];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes.into())
}

/// Little-endian elements, row-major.
fn from_raw(tensor: &TensorProto, ty: ElementType, shape: &[usize], count: usize, bytes: &[u8]) -> Result<Array> {
    macro_rules! raw {
        ($($variant:ident: $element:ty => $from:expr;)*) => {
            match ty {
                $( ElementType::$variant => {
                    const SIZE: usize = size_of::<$element>();
                    if Some(bytes.len()) != count.checked_mul(SIZE) {
                        let message = format!("expected {count} elements of {SIZE} bytes for {shape:?}, got {} bytes", bytes.len());
                        return Err(wrong(tensor, message));
                    }
                    let (chunks, _) = bytes.as_chunks::<SIZE>();
                    Array::new(shape, chunks.iter().map($from).collect::<Vec<$element>>())
                } )*
                ElementType::String => Err(wrong(tensor, "texts as raw data, which ONNX does not allow")),
            }
        };
    }
    raw!(
        F32: f32 => |&b| f32::from_le_bytes(b);
        F64: f64 => |&b| f64::from_le_bytes(b);
        F16: f16 => |&b| f16::from_le_bytes(b);
        Bf16: bf16 => |&b| bf16::from_le_bytes(b);
        I8: i8 => |&b| i8::from_le_bytes(b);
        I16: i16 => |&b| i16::from_le_bytes(b);
        I32: i32 => |&b| i32::from_le_bytes(b);
        I64: i64 => |&b| i64::from_le_bytes(b);
        U8: u8 => |&b| u8::from_le_bytes(b);
        U16: u16 => |&b| u16::from_le_bytes(b);
        U32: u32 => |&b| u32::from_le_bytes(b);
        U64: u64 => |&b| u64::from_le_bytes(b);
        Bool: bool => |&[b]| b != 0;
    )
}

/// Elements in the field that ONNX keeps for their type.
fn from_fields(tensor: &TensorProto, ty: ElementType, shape: &[usize]) -> Result<Array> {
    let of = |array: Result<Array>| {
        array.map_err(|_| {
            let Tensors { floats, integers, others } = Tensors::of(tensor);
            wrong(tensor, format_args!("the data of {ty}{shape:?} is not there or not as long: {floats} floats, {integers} integers and {others} others"))
        })
    };
    let narrow = &tensor.int32_data;
    match ty {
        ElementType::F32 => of(Array::new(shape, tensor.float_data.clone())),
        ElementType::F64 => of(Array::new(shape, tensor.double_data.clone())),
        ElementType::I64 => of(Array::new(shape, tensor.int64_data.clone())),
        ElementType::U64 => of(Array::new(shape, tensor.uint64_data.clone())),
        ElementType::U32 => of(Array::new(shape, tensor.uint64_data.iter().map(|&v| v as u32).collect())),
        ElementType::I32 => of(Array::new(shape, narrow.clone())),
        ElementType::I16 => of(Array::new(shape, narrow.iter().map(|&v| v as i16).collect())),
        ElementType::I8 => of(Array::new(shape, narrow.iter().map(|&v| v as i8).collect())),
        ElementType::U16 => of(Array::new(shape, narrow.iter().map(|&v| v as u16).collect())),
        ElementType::U8 => of(Array::new(shape, narrow.iter().map(|&v| v as u8).collect())),
        ElementType::Bool => of(Array::new(shape, narrow.iter().map(|&v| v != 0).collect())),
        ElementType::F16 => of(Array::new(shape, narrow.iter().map(|&v| f16::from_bits(v as u16)).collect())),
        ElementType::Bf16 => of(Array::new(shape, narrow.iter().map(|&v| bf16::from_bits(v as u16)).collect())),
        ElementType::String => {
            let text = |bytes: &Bytes| {
                String::from_utf8(bytes.to_vec()).map_err(|_| wrong(tensor, "a text that is not UTF-8"))
            };
            of(Array::new(shape, tensor.string_data.iter().map(text).collect::<Result<Vec<_>>>()?))
        }
    }
}

/// How many elements lie in which fields of a tensor.
struct Tensors {
    floats: usize,
    integers: usize,
    others: usize,
}

impl Tensors {
    fn of(tensor: &TensorProto) -> Self {
        Self {
            floats: tensor.float_data.len() + tensor.double_data.len(),
            integers: tensor.int32_data.len() + tensor.int64_data.len() + tensor.uint64_data.len(),
            others: tensor.string_data.len(),
        }
    }
}

/// A tensor with its elements as raw data, or as texts.
pub(super) fn write(name: &str, array: &Array) -> TensorProto {
    let mut proto = TensorProto {
        name: name.into(),
        dims: array.shape().iter().map(|&extent| extent as i64).collect(),
        data_type: array.element_type().code(),
        ..TensorProto::default()
    };
    macro_rules! raw {
        ($($variant:ident),*) => {
            match array {
                $( Array::$variant(array) => array.iter().flat_map(|v| v.to_le_bytes()).collect(), )*
                Array::Bool(array) => array.iter().map(|&v| u8::from(v)).collect(),
                Array::String(array) => {
                    proto.string_data = array.iter().map(|text| text.clone().into_bytes().into()).collect();
                    return proto;
                }
            }
        };
    }
    let bytes: Vec<u8> = raw!(F32, F64, F16, Bf16, I8, I16, I32, I64, U8, U16, U32, U64);
    proto.raw_data = Some(bytes.into());
    proto
}
