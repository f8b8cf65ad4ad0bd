//! IDX files, the format of MNIST, Fashion-MNIST and EMNIST: images (`idx3-ubyte`) and labels (`idx1-ubyte`).
//!
//! ```text
//! offset 0    00 00             always zero
//!        2    08                element type: unsigned byte
//!        3    03 | 01           number of dimensions: images N x H x W, or labels N
//!        4    sizes             one big-endian u32 a dimension
//!        then elements          row-major bytes, up to the end of the file
//! ```
//!
//! A file may be gzipped; its content decides, not its name. Nothing in a header is trusted: memory grows with the data
//! that is really there, and reading stops one byte after the declared end, however far a gzip stream would expand.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use ndarray::Array3;

use super::Split;
use crate::error::{Error, Result};

/// The first bytes of a gzip stream (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// IDX's code for elements that are unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;

/// Reads an `idx3-ubyte` file, gzipped or not: N images of H x W pixels.
///
/// # Errors
/// When the file cannot be read, is no IDX file of this kind, is empty, or has another length than its header says.
pub fn read_images(path: impl AsRef<Path>) -> Result<Array3<u8>> {
    let path = path.as_ref();
    let ([count, height, width], pixels) = read::<3>(path)?;
    Array3::from_shape_vec((count, height, width), pixels).map_err(|error| Error::data(path, error))
}

/// Reads an `idx1-ubyte` file, gzipped or not: N labels.
///
/// # Errors
/// When the file cannot be read, is no IDX file of this kind, is empty, or has another length than its header says.
pub fn read_labels(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    read::<1>(path.as_ref()).map(|(_, labels)| labels)
}

/// Finds the images and the labels of one split in a directory.
///
/// The standard names are `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, `t10k-…` for the test split, with
/// or without `.gz`; the spelling `train-images.idx3-ubyte` and the prefix `test-` are accepted too. Where no file has
/// a standard name, one set of names with a common prefix is taken, such as EMNIST's `emnist-letters-train-…` and
/// `emnist-letters-test-…`; several such sets in one directory are an error. Of a file and its gzipped copy, the plain
/// one is read.
///
/// # Errors
/// When the directory cannot be read, holds no images of the split or several sets of them, or lacks their labels.
pub fn locate(dir: impl AsRef<Path>, split: Split) -> Result<(PathBuf, PathBuf)> {
    let dir = dir.as_ref();
    let mut names = Vec::new();
    for entry in dir.read_dir().map_err(Error::io(dir))? {
        names.extend(entry.map_err(Error::io(dir))?.file_name().into_string());
    }
    names.sort(); // a name comes before the same name with `.gz`

    let mut images = BTreeMap::new();
    let mut labels = BTreeMap::new();
    for name in &names {
        if let Some(set) = set_of(name, split, "images", "idx3") {
            images.entry(set).or_insert(name);
        } else if let Some(set) = set_of(name, split, "labels", "idx1") {
            labels.entry(set).or_insert(name);
        }
    }
    let sets: Vec<_> = images.keys().copied().collect();
    let set = match sets.as_slice() {
        [] => {
            let name = format!("{}-images-idx3-ubyte", split.prefixes()[0]);
            return Err(Error::data(dir, format!("no {name} or {name}.gz in this directory")));
        }
        ["", ..] => "", // sorts before every other
        [set] => set,
        _ => {
            let sets = sets.iter().map(|set| set.trim_end_matches('-')).collect::<Vec<_>>().join(", ");
            return Err(Error::data(dir, format!("several data sets in one directory ({sets}): give each its own")));
        }
    };
    let images = images[set];
    match labels.get(set) {
        Some(labels) => Ok((dir.join(images), dir.join(labels))),
        None => Err(Error::data(dir, format!("no file of labels in this directory that belongs to {images}"))),
    }
}

/// The data set that a file name belongs to (`""` for the standard names), if it is of this split and kind.
fn set_of<'a>(name: &'a str, split: Split, kind: &str, dimensions: &str) -> Option<&'a str> {
    let stem = name.strip_suffix(".gz").unwrap_or(name).strip_suffix("-ubyte")?.strip_suffix(dimensions)?;
    let stem = stem.strip_suffix(['-', '.'])?.strip_suffix(kind)?.strip_suffix('-')?;
    let set = split.prefixes().iter().find_map(|prefix| stem.strip_suffix(prefix))?;
    // `-` ends a set's name; a dot begins the shadow files that macOS leaves on foreign disks.
    (set.is_empty() || set.ends_with('-')).then_some(set).filter(|set| !set.starts_with('.'))
}

/// Reads a whole file with `D` dimensions.
fn read<const D: usize>(path: &Path) -> Result<([usize; D], Vec<u8>)> {
    let file = File::open(path).map_err(Error::io(path))?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    let mut reader = BufReader::new(file);
    let mut start = Vec::new();
    (&mut reader).take(2).read_to_end(&mut start).map_err(Error::io(path))?;
    let gzipped = start == GZIP_MAGIC;
    let whole = Cursor::new(start).chain(reader);
    let mut content: Box<dyn Read> = if gzipped { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };

    // What the decoder finds wrong with the stream is the file's fault; all else is the system's.
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof if gzipped => {
            Error::data(path, format!("corrupt gzip: {error}"))
        }
        _ => Error::io(path)(error),
    };

    let mut header = Vec::new();
    (&mut content).take(4 + 4 * D as u64).read_to_end(&mut header).map_err(failed)?;
    let sizes = parse_header::<D>(&header).map_err(|message| Error::data(path, message))?;

    let shape = sizes.map(|size| size.to_string()).join(" x ");
    if sizes.contains(&0) {
        return Err(Error::data(path, format!("the header declares {shape} bytes: there is nothing in the file")));
    }
    // `usize` has 32 bits in a browser.
    let too_large = || Error::data(path, format!("the header declares {shape} bytes, more than can be addressed"));
    let declared = sizes.iter().try_fold(1_usize, |total, &size| total.checked_mul(usize::try_from(size).ok()?));
    let declared = declared.filter(|&total| isize::try_from(total).is_ok()).ok_or_else(too_large)?;

    // Reserve no more than the file's own length: a plain file cannot hold more, a gzipped one grows as it expands.
    let mut elements = Vec::with_capacity(declared.min(usize::try_from(length).unwrap_or(usize::MAX)));
    content.take(declared as u64 + 1).read_to_end(&mut elements).map_err(failed)?;
    let found = match elements.len() {
        length if length == declared => return Ok((sizes.map(|size| size as usize), elements)),
        length if length < declared => format!("only {length} follow"),
        _ => "more follow".to_string(),
    };
    Err(Error::data(path, format!("the header declares {shape} = {declared} bytes, but {found}")))
}

/// The sizes in a header of `D` dimensions, or what is wrong with it.
fn parse_header<const D: usize>(header: &[u8]) -> Result<[u32; D], String> {
    let kind = if D == 3 { "images (3 dimensions)" } else { "labels (1 dimension)" };
    let [0, 0, element, dimensions, sizes @ ..] = header else {
        return Err(match header.len() {
            length @ 0..4 => format!("not an IDX file: it ends after {length} bytes"),
            _ => format!("not an IDX file: it starts with {:02x?}, expected [00, 00, 08, {D:02x}]", &header[..4]),
        });
    };
    if *element != UNSIGNED_BYTE {
        return Err(format!("IDX elements of type {element:#04x}, expected unsigned bytes ({UNSIGNED_BYTE:#04x})"));
    }
    if usize::from(*dimensions) != D {
        return Err(format!("IDX data with {dimensions} dimension(s), expected {kind}"));
    }
    let (sizes, _) = sizes.as_chunks::<4>();
    let sizes: [[u8; 4]; D] = sizes
        .try_into()
        .map_err(|_| format!("the file ends inside its header, after {} of {} bytes", header.len(), 4 + 4 * D))?;
    Ok(sizes.map(u32::from_be_bytes))
}
