//! Pictures as a model's input wants them.

use std::path::Path;

use clap::{Args, ValueEnum};
use image::imageops::FilterType;
use omma::onnx::{Array, Declared, ElementType, Extent};
use omma::{Error, Result};

use super::feed::Dims;
use crate::{argument, picture};

/// How a picture becomes an array.
#[derive(Debug, Args)]
pub(crate) struct Frame {
    /// Stretch pictures to this size, as 224 or 480x640 (height x width) [default: as the model says, or as they are]
    #[arg(long, value_name = "HxW", value_parser = size)]
    size: Option<[u32; 2]>,
    /// Where a picture's channels lie
    #[arg(long, value_enum, default_value_t = Layout::Nchw)]
    layout: Layout,
    /// Multiply the pixels, 0 to 255, by FACTOR before all else [default: 1/255, and 1 for an input of bytes]
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    scale: Option<f32>,
    /// Then subtract these, one for all channels or one for each: 0.485,0.456,0.406
    #[arg(long, value_name = "M,..", value_delimiter = ',', allow_negative_numbers = true)]
    mean: Vec<f32>,
    /// And divide by these: 0.229,0.224,0.225
    #[arg(long, value_name = "S,..", value_delimiter = ',', allow_negative_numbers = true)]
    std: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Layout {
    Nchw,
    Nhwc,
}

/// `224` or `480x640`.
fn size(text: &str) -> Result<[u32; 2], String> {
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    let side = |text: &str| text.parse().ok().filter(|side| (1..=1 << 16).contains(side));
    match (side(height), side(width)) {
        (Some(height), Some(width)) => Ok([height, width]),
        _ => Err(format!("expected a size as 224 or 480x640, got `{text}`")),
    }
}

/// The luma of ITU-R BT.601, rounded: what PIL and OpenCV make of a colour, and so what grey networks were trained with.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) + 500) / 1000) as u8
}

impl Frame {
    /// An option that is given and would do nothing without a picture.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--size", self.size.is_some()),
            ("--layout", self.layout != Layout::Nchw),
            ("--scale", self.scale.is_some()),
            ("--mean", !self.mean.is_empty()),
            ("--std", !self.std.is_empty()),
        ];
        given.into_iter().find_map(|(option, given)| given.then_some(option))
    }

    /// Reads a picture for an input of one picture, with or without an axis for the batch.
    pub(super) fn read(&self, path: &Path, input: &Declared, dims: &Dims) -> Result<Array> {
        let wrong = |message: String| Error::data(path, message);
        let shape = input.shape.as_deref().unwrap_or(&[]);
        let (batch, axes) = match shape.len() {
            // A file may leave out how many axes an input has.
            0 => (true, &[][..]),
            3 => (false, shape),
            4 => (true, &shape[1..]),
            _ => return Err(wrong(format!("a picture has no place in an input {input}"))),
        };
        let extent = |axis: usize| match axes.get(axis) {
            Some(Extent::Known(number)) => Some(*number),
            Some(Extent::Symbol(symbol)) => dims.get(symbol).copied(),
            _ => None,
        };
        let (channel, height, width) = match self.layout {
            Layout::Nchw => (extent(0), extent(1), extent(2)),
            Layout::Nhwc => (extent(2), extent(0), extent(1)),
        };
        let channels = channel.unwrap_or(3);
        if channels != 1 && channels != 3 {
            let message = format!("pictures have 1 or 3 channels, and the input is {input}: is --layout another?");
            return Err(wrong(message));
        }
        let picture = picture::decode(path)?;
        let [high, wide] = self.size.unwrap_or([picture.height(), picture.width()]).map(|side| side as usize);
        let (high, wide) = match self.size {
            Some(_) => (high, wide),
            None => (height.unwrap_or(high), width.unwrap_or(wide)),
        };
        if (high as u64).saturating_mul(wide as u64) > picture::MOST_PIXELS {
            return Err(wrong(format!("{high} x {wide} pixels are more than this program makes")));
        }
        let fits = picture.height() as usize == high && picture.width() as usize == wide;
        let picture = if fits { picture } else { picture.resize_exact(wide as u32, high as u32, FilterType::Triangle) };
        let bytes = match (channels, picture.color().has_color()) {
            (1, true) => picture.to_rgb8().pixels().map(|pixel| luma(pixel.0)).collect(),
            (1, false) => picture.to_luma8().into_raw(),
            _ => picture.to_rgb8().into_raw(),
        };
        let bytes = match self.layout {
            Layout::Nhwc => bytes,
            Layout::Nchw => (0..channels).flat_map(|c| bytes.iter().skip(c).step_by(channels).copied()).collect(),
        };
        let mut shape = match self.layout {
            Layout::Nchw => vec![channels, high, wide],
            Layout::Nhwc => vec![high, wide, channels],
        };
        if batch {
            shape.insert(0, 1);
        }
        self.array(bytes, &shape, channels, input)
    }

    /// Pixels as the numbers of an input.
    fn array(&self, bytes: Vec<u8>, shape: &[usize], channels: usize, input: &Declared) -> Result<Array> {
        let element = input.element.unwrap_or(ElementType::F32);
        if element == ElementType::U8 {
            if self.scale.is_some() || !self.mean.is_empty() || !self.std.is_empty() {
                let message = format!("the pixels of an input {input} stay bytes: without --scale, --mean and --std");
                return Err(argument("--input", message));
            }
            return Array::new(shape, bytes);
        }
        if !element.is_float() {
            return Err(argument("--input", format!("a picture has no place in an input {input}")));
        }
        let each = |values: &[f32], option: &str, default: f32| match values.len() {
            0 => Ok(vec![default; channels]),
            1 => Ok(vec![values[0]; channels]),
            count if count == channels => Ok(values.to_vec()),
            count => Err(argument(option, format!("expected 1 number or {channels}, got {count}"))),
        };
        let (mean, deviation) = (each(&self.mean, "--mean", 0.0)?, each(&self.std, "--std", 1.0)?);
        if let Some(wrong) = deviation.iter().find(|value| !value.is_normal()) {
            return Err(argument("--std", format!("expected numbers to divide by, got {wrong}")));
        }
        let scale = self.scale.unwrap_or(1.0 / 255.0);
        let pixels = (bytes.len() / channels).max(1);
        let channel = |index: usize| match self.layout {
            Layout::Nchw => index / pixels,
            Layout::Nhwc => index % channels,
        };
        let value =
            |(index, byte): (usize, u8)| (f32::from(byte) * scale - mean[channel(index)]) / deviation[channel(index)];
        let array = Array::new(shape, bytes.into_iter().enumerate().map(value).collect::<Vec<f32>>())?;
        Ok(array.cast(element).unwrap_or(array))
    }
}
