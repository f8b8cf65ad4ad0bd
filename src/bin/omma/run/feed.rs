//! What a model is fed: arrays from files, and random ones.

use std::collections::HashMap;
use std::path::Path;

use omma::onnx::{self, Array, Declared, ElementType, Extent};
use omma::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::frame::Frame;
use crate::{argument, npy};

/// Numbers for symbolic extents.
pub(super) type Dims = HashMap<String, usize>;

/// More elements than this are not drawn.
const MOST_ELEMENTS: usize = 1 << 28;

/// The array in a file, whose content tells what it is, and whether it is a picture.
pub(super) fn read(path: &Path, input: &Declared, frame: &Frame, dims: &Dims) -> Result<(Array, bool)> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    if bytes.starts_with(npy::MAGIC) {
        return Ok((npy::read(&bytes).map_err(|message| Error::data(path, message))?, false));
    }
    if bytes.starts_with(b"\x89PNG") || bytes.starts_with(b"\xff\xd8\xff") {
        drop(bytes);
        return Ok((frame.read(path, input, dims)?, true));
    }
    if path.extension().is_none_or(|extension| extension != "pb") {
        return Err(Error::data(
            path,
            "neither an .npy file nor a PNG or JPEG picture, nor a TensorProto by its name, .pb",
        ));
    }
    let array = onnx::read_tensor(&bytes).map_err(|error| match error {
        Error::Onnx(message) => Error::data(path, message),
        other => other,
    })?;
    Ok((array, false))
}

/// Takes the numbers of symbolic extents from what was given for one input: others may have the same.
pub(super) fn learn(dims: &mut Dims, input: &Declared, shape: &[usize]) {
    for (extent, &number) in input.shape.iter().flatten().zip(shape) {
        if let Extent::Symbol(symbol) = extent {
            dims.entry(symbol.clone()).or_insert(number);
        }
    }
}

/// Random values: floats in [0, 1) as pictures have, 0 and 1 for integers, which may be indices, and for truth values.
pub(super) fn random(input: &Declared, seed: u64, stream: u64, dims: &Dims) -> Result<Array> {
    let wrong = |message: String| argument("--random", format!("input `{}`: {message}", input.name));
    let element = input.element.filter(|&element| element != ElementType::String);
    let element = element.ok_or_else(|| wrong(format!("no numbers are drawn for {input}")))?;
    let shape = input.shape.as_ref().ok_or_else(|| wrong("the file gives it no shape".into()))?;
    let number = |extent: &Extent| match extent {
        Extent::Known(number) => *number,
        Extent::Symbol(symbol) => dims.get(symbol).copied().unwrap_or(1),
        Extent::Unknown => 1,
    };
    let shape: Vec<usize> = shape.iter().map(number).collect();
    let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
    let count = count.filter(|&count| count <= MOST_ELEMENTS);
    let count = count.ok_or_else(|| wrong(format!("{shape:?} has more than {MOST_ELEMENTS} elements")))?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let mut draw = || match element.is_float() {
        // 24 bits are what such a float holds.
        true => (random.next_u32() >> 8) as f32 / (1 << 24) as f32,
        false => (random.next_u32() >> 31) as f32,
    };
    let array = Array::new(&shape, (0..count).map(|_| draw()).collect::<Vec<f32>>())?;
    array.cast(element).ok_or_else(|| wrong(format!("no numbers are drawn for {input}")))
}
