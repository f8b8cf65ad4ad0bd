//! Arrays in NumPy's `.npy` files, as version 1.0 of its format and later ones say:
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::path::Path;

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use omma::onnx::{Array, ElementType};
use omma::{Error, Result, files};

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";
/// A header is as long as that the elements begin at a multiple of this.
const ALIGNMENT: usize = 64;
/// Axes of an array at most: NumPy's own bound.
const MOST_AXES: usize = 64;

/// The array of a file's bytes.
///
/// # Errors
/// When the bytes are no such file, or its elements are of a type that ONNX does not have.
pub(crate) fn read(bytes: &[u8]) -> Result<Array, String> {
    let (header, data) = split(bytes)?;
    let Header { kind, swapped, fortran, shape } = Header::parse(header)?;
    let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
    if count.and_then(|count| count.checked_mul(kind.size)) != Some(data.len()) {
        let Kind { name, size, .. } = kind;
        return Err(format!("expected {name} elements of {size} bytes for {shape:?}, got {} bytes", data.len()));
    }
    macro_rules! numbers {
        ($($element:ident: $ty:ty;)*) => {
            match kind.element {
                $( ElementType::$element => {
                    let (chunks, _) = data.as_chunks::<{ size_of::<$ty>() }>();
                    let from = if swapped { <$ty>::from_be_bytes } else { <$ty>::from_le_bytes };
                    arranged(&shape, fortran, chunks.iter().map(|&bytes| from(bytes)).collect())
                } )*
                ElementType::Bool => match data.iter().all(|&byte| byte < 2) {
                    true => arranged(&shape, fortran, data.iter().map(|&byte| byte == 1).collect()),
                    false => Err("a truth value that is neither 0 nor 1".into()),
                },
                ElementType::String => {
                    let texts = data.chunks_exact(kind.size).map(|bytes| text(bytes, swapped));
                    arranged(&shape, fortran, texts.collect::<Result<Vec<String>, String>>()?)
                }
                other => Err(format!("elements of type {other}")),
            }
        };
    }
    numbers!(
        F32: f32; F64: f64; F16: f16; Bf16: bf16; I8: i8; I16: i16; I32: i32; I64: i64; U8: u8; U16: u16; U32: u32;
        U64: u64;
    )
}

/// Writes an array, the file as a whole or not at all.
///
/// # Errors
/// When the file cannot be written, or the elements are of a type that NumPy does not have.
pub(crate) fn write(path: &Path, array: &Array) -> Result<()> {
    let mut bytes = Vec::new();
    macro_rules! numbers {
        ($($element:ident),*) => {
            match array {
                $( Array::$element(array) => bytes.extend(array.iter().flat_map(|value| value.to_le_bytes())), )*
                Array::Bool(array) => bytes.extend(array.iter().map(|&value| u8::from(value))),
                Array::String(array) => {
                    let width = width(array);
                    for text in array {
                        let letters = text.chars().map(u32::from).chain(std::iter::repeat(0)).take(width);
                        bytes.extend(letters.flat_map(u32::to_le_bytes));
                    }
                }
                other => return Err(Error::data(path, format!("{other} cannot be written as an .npy file"))),
            }
        };
    }
    numbers!(F32, F64, F16, Bf16, I8, I16, I32, I64, U8, U16, U32, U64);
    let descr = match array {
        Array::String(array) => format!("<U{}", width(array)),
        other => {
            KINDS.iter().find(|(_, element, _)| *element == other.element_type()).map_or_else(String::new, |kind| {
                // NumPy says of single bytes, and of truth values, that they have no order.
                format!("{}{}", if kind.2 == 1 { '|' } else { '<' }, kind.0)
            })
        }
    };
    let extents: Vec<String> = array.shape().iter().map(|extent| format!("{extent},")).collect();
    // A tuple of one has a comma behind it, and more may.
    let shape = extents.join(" ");
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Magic, version and length stand before the header, and a line's end closes it.
    let before = MAGIC.len() + 2 + size_of::<u16>();
    let padding = (before + header.len() + 1).next_multiple_of(ALIGNMENT) - (before + header.len() + 1);
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(|_| Error::data(path, "its shape has too many axes"))?;
    let file = [MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes(), &bytes].concat();
    files::write_atomically(path, &file)
}

/// The longest text's letters, at least one.
fn width(array: &ArrayD<String>) -> usize {
    array.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1)
}

/// The header's text and the elements' bytes.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let cut = || "it ends within its header".to_string();
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as an .npy file")?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (length, rest) = match version[0] {
        1 => rest.split_first_chunk().map(|(length, rest)| (u16::from_le_bytes(*length).into(), rest)),
        2 | 3 => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length), rest)),
        other => return Err(format!("version {other} of the format, known are 1 to 3")),
    }
    .ok_or_else(cut)?;
    let (header, data) = rest.split_at_checked(length as usize).ok_or_else(cut)?;
    Ok((std::str::from_utf8(header).map_err(|_| "a header that is no text")?, data))
}

/// NumPy's names of the types with ONNX's, and their bytes. NumPy knows no bfloat16: the type that others add to it is
/// written as two bytes of no kind.
const KINDS: [(&str, ElementType, usize); 13] = [
    ("f4", ElementType::F32, 4),
    ("f8", ElementType::F64, 8),
    ("f2", ElementType::F16, 2),
    ("V2", ElementType::Bf16, 2),
    ("i1", ElementType::I8, 1),
    ("i2", ElementType::I16, 2),
    ("i4", ElementType::I32, 4),
    ("i8", ElementType::I64, 8),
    ("u1", ElementType::U8, 1),
    ("u2", ElementType::U16, 2),
    ("u4", ElementType::U32, 4),
    ("u8", ElementType::U64, 8),
    ("b1", ElementType::Bool, 1),
];

/// An element type as a file names it.
#[derive(Debug, Clone)]
struct Kind {
    name: String,
    element: ElementType,
    size: usize,
}

/// What a header says.
#[derive(Debug)]
struct Header {
    kind: Kind,
    /// Whether the bytes of an element stand in the order that is not this format's usual one.
    swapped: bool,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads a dictionary of Python's with three entries: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut rest = Rest(text.trim());
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        rest.expect("{")?;
        while !rest.skip("}") {
            let key = rest.quoted()?;
            rest.expect(":")?;
            match key {
                "descr" => descr = Some(rest.quoted()?),
                "fortran_order" => fortran = Some(rest.truth()?),
                "shape" => shape = Some(rest.tuple()?),
                other => return Err(format!("a header with the entry `{other}`")),
            }
            if !rest.skip(",") {
                rest.expect("}")?;
                break;
            }
        }
        if !rest.0.is_empty() {
            return Err("something stands behind the dictionary of its header".into());
        }
        let (Some(descr), Some(fortran), Some(shape)) = (descr, fortran, shape) else {
            return Err("a header without one of `descr`, `fortran_order` and `shape`".into());
        };
        let (order, name) = match descr.chars().next() {
            Some(order @ ('<' | '>' | '|' | '=')) => (order, &descr[1..]),
            _ => ('|', descr),
        };
        let wrong = || format!("elements of type `{descr}`, which ONNX does not have");
        let (element, size) = match name.strip_prefix('U') {
            // Letters of four bytes; texts of none would let a header claim any number of elements.
            Some(letters) => {
                let letters: u32 = letters.parse().ok().filter(|&letters| letters > 0).ok_or_else(wrong)?;
                (ElementType::String, (letters as usize).checked_mul(4).ok_or_else(wrong)?)
            }
            None => {
                let known = KINDS.iter().find(|(known, ..)| *known == name || (name == "?" && *known == "b1"));
                known.map(|&(_, element, size)| (element, size)).ok_or_else(wrong)?
            }
        };
        if order == '|' && size > 1 && name != "V2" {
            return Err(format!("elements of type `{descr}`, which does not say in which order their bytes stand"));
        }
        let kind = Kind { name: descr.into(), element, size };
        Ok(Self { kind, swapped: order == '>', fortran, shape })
    }
}

/// What is left of a header.
struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    fn skip(&mut self, token: &str) -> bool {
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        match self.skip(token) {
            true => Ok(()),
            false => Err(format!("expected `{token}` in its header before `{}`", self.shown())),
        }
    }

    /// What an error shows of it.
    fn shown(&self) -> String {
        self.0.chars().take(20).collect()
    }

    fn quoted(&mut self) -> Result<&'t str, String> {
        let wrong = || format!("expected a quoted text in its header before `{}`", self.shown());
        let quote = self.0.chars().next().filter(|quote| matches!(quote, '\'' | '"')).ok_or_else(wrong)?;
        let (text, rest) = self.0[1..].split_once(quote).ok_or_else(wrong)?;
        self.0 = rest.trim_start();
        Ok(text)
    }

    fn truth(&mut self) -> Result<bool, String> {
        if self.skip("True") { Ok(true) } else { self.expect("False").map(|()| false) }
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut shape = Vec::new();
        self.expect("(")?;
        while !self.skip(")") {
            let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
            let extent = self.0[..digits].parse();
            shape.push(extent.map_err(|_| format!("expected an extent in its header before `{}`", self.shown()))?);
            self.0 = self.0[digits..].trim_start();
            if shape.len() > MOST_AXES {
                return Err(format!("more than {MOST_AXES} axes"));
            }
            if !self.skip(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(shape)
    }
}

/// The elements in row-major order.
fn arranged<T: Clone>(shape: &[usize], fortran: bool, elements: Vec<T>) -> Result<Array, String>
where
    Array: From<ArrayD<T>>,
{
    let array = ArrayD::from_shape_vec(IxDyn(shape).set_f(fortran), elements);
    let array = array.map_err(|error| format!("an array of {shape:?}: {error}"))?;
    Ok(match array.is_standard_layout() {
        true => array,
        false => array.as_standard_layout().into_owned(),
    }
    .into())
}

/// A text of letters of four bytes, which zeros end.
fn text(bytes: &[u8], swapped: bool) -> Result<String, String> {
    let (letters, _) = bytes.as_chunks::<4>();
    let letters =
        letters.iter().map(|&letter| if swapped { u32::from_be_bytes(letter) } else { u32::from_le_bytes(letter) });
    let mut letters: Vec<u32> = letters.collect();
    letters.truncate(letters.iter().rposition(|&letter| letter != 0).map_or(0, |last| last + 1));
    letters
        .into_iter()
        .map(char::from_u32)
        .collect::<Option<String>>()
        .ok_or_else(|| "a text of what are no letters".into())
}
