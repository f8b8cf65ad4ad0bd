//! Data sets, loaders and augmentation.

mod augment;
mod idx;
mod loader;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::Array4;
use omma::data::Dataset;

/// The bundled digits.
const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");

/// `count` images of 1x4x3 pixels, all different, with labels 0..5 in turn.
fn numbered(count: usize) -> Dataset {
    let images = Array4::from_shape_fn((count, 1, 4, 3), |(n, _, y, x)| (n * 31 + y * 7 + x) as u8);
    Dataset::new(images, (0..count as u32).map(|n| n % 5).collect()).unwrap()
}

/// An IDX file: magic, sizes, elements.
fn idx_file(sizes: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

/// One gzip member.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
