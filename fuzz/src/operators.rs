//! Files of a few nodes whose operators, attributes, types and shapes the fuzzer chooses, most of them small numbers.

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};

use crate::wire::{Attribute, File, STRING};

/// A line an operator that Omma knows, as `operators.py` writes them.
static OPERATORS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let known = omma::onnx::operators();
    let name = |line: &&str| line.split(' ').next().is_some_and(|name| known.contains(&name));
    include_str!("operators.txt").lines().filter(name).collect()
});

/// One version of each that changed much.
const OPSETS: [i64; 8] = [23, 18, 13, 11, 9, 7, 1, 25];
/// Element types by their numbers, with the bytes of an element; floats and integers first.
const TYPES: [(i64, usize); 14] = [
    (1, 4),
    (7, 8),
    (9, 1),
    (2, 1),
    (6, 4),
    (STRING, 0),
    (10, 2),
    (11, 8),
    (3, 1),
    (4, 2),
    (5, 2),
    (12, 4),
    (13, 8),
    (16, 2),
];
/// What attributes that are texts say, and texts that are numbers.
const TEXTS: [&str; 62] = [
    "NOTSET",
    "SAME_UPPER",
    "SAME_LOWER",
    "VALID",
    "constant",
    "reflect",
    "edge",
    "wrap",
    "nearest",
    "linear",
    "cubic",
    "bilinear",
    "bicubic",
    "zeros",
    "border",
    "reflection",
    "none",
    "add",
    "mul",
    "min",
    "max",
    "sum",
    "mean",
    "avg",
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "output_half_pixel",
    "floor",
    "ceil",
    "round_prefer_floor",
    "round_prefer_ceil",
    "stretch",
    "not_larger",
    "not_smaller",
    "DCR",
    "CRD",
    "LEFT",
    "RIGHT",
    "TRUNC",
    "tanh",
    "Relu",
    "forward",
    "reverse",
    "bidirectional",
    "ij,jk->ik",
    "...ij,...jk->...ik",
    "ii->i",
    "ij->ji",
    "i,i",
    "bij,bjk",
    "ii",
    "->",
    "",
    "a",
    "-1",
    "1e9",
    "NaN",
    "9223372036854775807",
];

/// A file, from the fuzzer's bytes.
pub fn file(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut file = File::new(*u.choose(&OPSETS)?);
    let mut names: Vec<String> = Vec::new();
    // Three in four are known at load.
    for number in 0..u.int_in_range(1..=4)? {
        let name = format!("x{number}");
        let fed = u.ratio(1, 4)?;
        file = value(u, file, &name, fed)?;
        names.push(name);
    }
    let mut outputs: Vec<String> = Vec::new();
    for node in 0..u.int_in_range(1..=3)? {
        let mut line = u.choose(&OPERATORS)?.split(' ');
        let operator = line.next().unwrap_or_default();
        let most: usize = line.next().and_then(|count| count.parse().ok()).unwrap_or(1);
        let count = if u.ratio(7, 8)? { most.min(4) } else { u.int_in_range(0..=most + 1)? };
        let mut inputs = Vec::new();
        for _ in 0..count {
            inputs.push(if u.ratio(1, 8)? { "" } else { u.choose(&names)?.as_str() });
        }
        let made: Vec<String> = (0..u.int_in_range(1..=4)?).map(|output| format!("y{node}_{output}")).collect();
        let mut attributes = Vec::new();
        for attribute in line {
            if u.ratio(1, 2)? {
                let (name, kind) = attribute.split_once(':').unwrap_or((attribute, "int"));
                attributes.push((name, Owned::of(u, kind)?));
            }
        }
        let attributes: Vec<(&str, Attribute<'_>)> =
            attributes.iter().map(|(name, value)| (*name, value.lend())).collect();
        let lent: Vec<&str> = made.iter().map(String::as_str).collect();
        file = file.node_with(operator, &inputs, &lent, &attributes);
        names.extend(made.iter().cloned());
        outputs.extend(made);
    }
    // What is wanted is all that an operator makes, or only the last.
    let from = if u.ratio(1, 2)? { outputs.len() - 1 } else { 0 };
    Ok(outputs[from..].iter().fold(file, |file, name| file.output(name, 1)).bytes())
}

/// A constant or an input.
fn value(u: &mut Unstructured<'_>, file: File, name: &str, fed: bool) -> Result<File> {
    // Every other of floats, else any type.
    let &(element, size) = if u.ratio(1, 2)? { &TYPES[usize::from(u.ratio(1, 2)?)] } else { u.choose(&TYPES)? };
    let mut shape = Vec::new();
    for _ in 0..u.int_in_range(0..=5)? {
        shape.push(match u.int_in_range(0_u8..=31)? {
            0 if fed => u.int_in_range(1..=1 << 34)?,
            0 => 0,
            1 => 16,
            extent => i64::from(extent % 5 + 1),
        });
    }
    if fed {
        return Ok(file.input(name, element, &shape));
    }
    let count = shape.iter().product::<i64>().min(4096) as usize;
    if element == STRING {
        let texts: Vec<&str> = (0..count).map(|_| u.choose(&TEXTS).copied()).collect::<Result<_>>()?;
        return Ok(file.texts(name, &shape, &texts));
    }
    let mut raw = Vec::new();
    for _ in 0..count {
        let number = integer(u)?;
        match element {
            1 => raw.extend(float(number).to_le_bytes()),
            11 => raw.extend(f64::from(float(number)).to_le_bytes()),
            10 => raw.extend(f16(number).to_le_bytes()),
            16 => raw.extend(&float(number).to_le_bytes()[2..]),
            9 => raw.push((number & 1) as u8),
            _ => raw.extend(&number.to_le_bytes()[..size]),
        }
    }
    Ok(file.raw(name, element, &shape, &raw))
}

/// Most often a small one, at times one at the end of a type.
fn integer(u: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match u.arbitrary::<u8>()? {
        0xff => u.arbitrary()?,
        byte @ 0xf0.. => [
            i64::MIN,
            i64::MAX,
            1 << 31,
            1 << 32,
            1 << 24,
            127,
            255,
            -128,
            1 << 53,
            1 << 40,
            1 << 16,
            1000,
            100,
            64,
            32,
        ][usize::from(byte - 0xf0)],
        byte => i64::from(byte % 16) - 4,
    })
}

/// Halves, and now and then what is no number.
fn float(number: i64) -> f32 {
    match number {
        i64::MIN => f32::NEG_INFINITY,
        i64::MAX => f32::NAN,
        _ => number as f32 * 0.5,
    }
}

/// The upper bits of the half-precision float, of normal numbers.
fn f16(number: i64) -> u16 {
    let bits = float(number).to_bits();
    let (sign, exponent) = ((bits >> 16 & 0x8000) as u16, (bits >> 23 & 0xff) as i32 - 112);
    match exponent {
        ..=0 => sign,
        1..=30 => sign | (exponent as u16) << 10 | (bits >> 13 & 0x3ff) as u16,
        _ => sign | 0x7c00,
    }
}

/// An attribute's value, with what it points to.
enum Owned {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Floats(Vec<f32>),
    Text(&'static str),
    Texts(Vec<&'static str>),
    Tensor(i64, Vec<i64>, Vec<u8>),
}

impl Owned {
    fn of(u: &mut Unstructured<'_>, kind: &str) -> Result<Self> {
        let several = |u: &mut Unstructured<'_>| u.int_in_range(0_usize..=8);
        Ok(match kind {
            "ints" => {
                let count = several(u)?;
                Self::Ints((0..count).map(|_| integer(u)).collect::<Result<_>>()?)
            }
            "float" => Self::Float(float(integer(u)?)),
            "floats" => {
                let count = several(u)?;
                Self::Floats((0..count).map(|_| integer(u).map(float)).collect::<Result<_>>()?)
            }
            "string" => Self::Text(u.choose(&TEXTS)?),
            "strings" => {
                let count = several(u)?;
                Self::Texts((0..count).map(|_| u.choose(&TEXTS).copied()).collect::<Result<_>>()?)
            }
            "tensor" => {
                let numbers: Vec<i64> = (0..u.int_in_range(0..=3)?).map(|_| integer(u)).collect::<Result<_>>()?;
                Self::Tensor(7, vec![numbers.len() as i64], numbers.iter().flat_map(|n| n.to_le_bytes()).collect())
            }
            _ => Self::Int(integer(u)?),
        })
    }

    fn lend(&self) -> Attribute<'_> {
        match self {
            Self::Int(value) => Attribute::Int(*value),
            Self::Ints(values) => Attribute::Ints(values),
            Self::Float(value) => Attribute::Float(*value),
            Self::Floats(values) => Attribute::Floats(values),
            Self::Text(text) => Attribute::Text(text),
            Self::Texts(texts) => Attribute::Texts(texts),
            Self::Tensor(element, shape, raw) => Attribute::Tensor(*element, shape, raw),
        }
    }
}
