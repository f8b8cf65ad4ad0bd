//! Pictures from files: PNG and JPEG, as cameras and drawing programs write them.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use image::error::UnsupportedErrorKind;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader};
use omma::{Error, Result};

/// Larger pictures are refused before they are decoded.
pub(crate) const MOST_PIXELS: u64 = 100_000_000;
/// Decoded bytes at most: the pixels above at four bytes each.
const MOST_BYTES: u64 = 4 * MOST_PIXELS;

/// Decodes a picture and turns it as it was held.
///
/// # Errors
/// When the file cannot be read, is no picture or is larger than this program reads.
pub(crate) fn decode(path: &Path) -> Result<DynamicImage> {
    let unreadable = |error: ImageError| unreadable(path, error);
    // The format is told by the content: names lie.
    let file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let reader = ImageReader::new(file).with_guessed_format().map_err(Error::io(path))?;
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS || decoder.total_bytes() > MOST_BYTES {
        return Err(Error::data(path, format!("{width} x {height} pixels are more than this program reads")));
    }
    // Cameras store the picture as the sensor saw it, and note how it was held.
    let orientation = decoder.orientation().map_err(unreadable)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn unreadable(path: &Path, error: ImageError) -> Error {
    match error {
        // A file that ends early is bad data, not a failing disk.
        ImageError::IoError(source) if source.kind() != ErrorKind::UnexpectedEof => Error::io(path)(source),
        ImageError::Unsupported(error) if matches!(error.kind(), UnsupportedErrorKind::Format(_)) => {
            Error::data(path, "neither a PNG nor a JPEG picture")
        }
        ImageError::Unsupported(error) => {
            Error::data(path, format!("a picture of a kind that this program does not read: {error}"))
        }
        error => Error::data(path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_from_a_feature_of_a_known_one() {
        use image::ImageFormat::{Gif, Jpeg};
        use image::error::UnsupportedError;
        let message = |format: image::ImageFormat, kind| {
            let error = UnsupportedError::from_format_and_kind(format.into(), kind);
            unreadable(Path::new("x.jpg"), ImageError::Unsupported(error)).to_string()
        };
        let feature = message(Jpeg, UnsupportedErrorKind::GenericFeature("lossless coding".into()));
        assert!(feature.contains("x.jpg") && feature.contains("lossless coding"), "{feature}");
        assert!(!feature.contains("neither"), "{feature}");
        assert_eq!(message(Gif, UnsupportedErrorKind::Format(Gif.into())), "x.jpg: neither a PNG nor a JPEG picture");
    }
}
