//! IDX files: the good ones under every accepted name, and every way to be bad.

use std::fs;
use std::path::Path;

use ndarray::{Array4, s};
use omma::Error;
use omma::data::{Dataset, Split, idx};

use super::{DIGITS, gzip, idx_file};

/// Three images of 2x2 pixels.
fn images() -> Vec<u8> {
    idx_file(&[3, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
}

/// Their labels.
fn labels() -> Vec<u8> {
    idx_file(&[3], &[0, 4, 1])
}

fn write(dir: &Path, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).unwrap();
    }
}

#[test]
fn bundled_digits() {
    for (split, count) in [(Split::Train, 8000), (Split::Test, 2000)] {
        let digits = Dataset::mnist_like(DIGITS, split).unwrap();
        assert_eq!(digits.len(), count);
        assert_eq!(digits.image_shape(), [1, 28, 28]);
        assert_eq!(digits.images().dim(), (count, 1, 28, 28));
        assert_eq!(digits.labels().len(), count);
        assert_eq!(digits.classes(), 10);
        assert!(digits.class_counts().iter().all(|&images| images > count / 12), "{:?}", digits.class_counts());
        // Light digits on a dark ground: corners are dark, and all grey levels occur.
        assert!(digits.images().slice(s![.., 0, 0, 0]).iter().all(|&pixel| pixel == 0));
        assert!(digits.images().iter().any(|&pixel| pixel == 255));
    }
}

#[test]
fn accepted_names() {
    let both = |images: &str, labels: &str| vec![images.to_string(), labels.to_string()];
    let cases = [
        (Split::Train, both("train-images-idx3-ubyte", "train-labels-idx1-ubyte")),
        (Split::Train, both("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")),
        (Split::Train, both("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte")),
        (Split::Train, both("train-images.idx3-ubyte", "train-labels.idx1-ubyte")),
        (Split::Train, both("train-images.idx3-ubyte.gz", "train-labels.idx1-ubyte.gz")),
        (Split::Test, both("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz")),
        (Split::Test, both("test-images-idx3-ubyte", "test-labels-idx1-ubyte")),
        (Split::Train, both("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte.gz")),
        (Split::Test, both("emnist-letters-test-images-idx3-ubyte", "emnist-letters-test-labels-idx1-ubyte")),
    ];
    for (split, names) in cases {
        let dir = tempfile::tempdir().unwrap();
        let packed = |name: &str, bytes: Vec<u8>| if name.ends_with(".gz") { gzip(&bytes) } else { bytes };
        write(dir.path(), &[(&names[0], packed(&names[0], images())), (&names[1], packed(&names[1], labels()))]);
        // Neither the other split nor what stands beside may be mistaken for it.
        write(
            dir.path(),
            &[("._train-images-idx3-ubyte", vec![5]), ("readme.txt", vec![]), ("xtrain-images-idx3-ubyte", vec![])],
        );

        let dataset = Dataset::mnist_like(dir.path(), split).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        assert_eq!(dataset.images().as_slice().unwrap(), (1..=12).collect::<Vec<u8>>());
        assert_eq!((dataset.image_shape(), dataset.labels(), dataset.classes()), ([1, 2, 2], &[0, 4, 1][..], 5));
        assert_eq!(idx::read_images(dir.path().join(&names[0])).unwrap().dim(), (3, 2, 2));

        let other = if split == Split::Train { Split::Test } else { Split::Train };
        let error = Dataset::mnist_like(dir.path(), other).unwrap_err().to_string();
        assert!(error.starts_with(&dir.path().display().to_string()), "{error}");
    }
}

#[test]
fn content_decides_whether_a_file_is_gzipped() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("plain.gz", labels()), ("packed", gzip(&labels()))]);
    write(dir.path(), &[("members", [gzip(&labels()[..5]), gzip(&labels()[5..])].concat())]);
    for name in ["plain.gz", "packed", "members"] {
        assert_eq!(idx::read_labels(dir.path().join(name)).unwrap(), [0, 4, 1], "{name}");
    }
}

#[test]
fn the_standard_and_the_plain_file_come_first() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["train", "emnist-letters-train", "emnist-digits-train"] {
        for ending in ["", ".gz"] {
            write(dir.path(), &[(&format!("{name}-images-idx3-ubyte{ending}"), images())]);
            write(dir.path(), &[(&format!("{name}-labels-idx1-ubyte{ending}"), labels())]);
        }
    }
    let path = |name: &str| dir.path().join(name);
    let found = idx::locate(dir.path(), Split::Train).unwrap();
    assert_eq!(found, (path("train-images-idx3-ubyte"), path("train-labels-idx1-ubyte")));

    // Without the standard names there are two sets left, and no way to tell which is meant.
    for name in ["images-idx3", "labels-idx1"] {
        fs::remove_file(path(&format!("train-{name}-ubyte"))).unwrap();
        fs::remove_file(path(&format!("train-{name}-ubyte.gz"))).unwrap();
    }
    let error = idx::locate(dir.path(), Split::Train).unwrap_err().to_string();
    assert!(error.contains("several data sets in one directory (emnist-digits, emnist-letters)"), "{error}");
}

/// Each bad file with what its error must say. Every one must be an `Error::Data` that begins with the file's path.
#[test]
fn hostile_files() {
    let zeros = vec![0; 100 << 20];
    let good = gzip(&images());
    let damaged = |position: usize| {
        let mut bytes = good.clone();
        bytes[position] ^= 0xff;
        bytes
    };
    let end = good.len();
    // 100 MiB behind the header of one small image, and the checksum at the end is wrong: whoever reads on to the end
    // complains of corrupt gzip instead.
    let mut bomb = gzip(&idx_file(&[1, 28, 28], &zeros));
    assert!(bomb.len() < 1 << 20);
    let bomb_end = bomb.len();
    bomb[bomb_end - 8] ^= 0xff;

    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "it ends after 0 bytes"),
        ("three bytes", vec![0, 0, 8], "it ends after 3 bytes"),
        ("HTML", b"<html>not found</html>".to_vec(), "it starts with [3c, 68, 74, 6d], expected [00, 00, 08, 03]"),
        ("little-endian magic", vec![3, 8, 0, 0, 1, 0, 0, 0], "not an IDX file"),
        ("gzipped twice", gzip(&good), "not an IDX file: it starts with [1f, 8b,"),
        ("gzipped nothing", gzip(&[]), "it ends after 0 bytes"),
        ("floats", [&[0, 0, 0x0d, 3][..], &[0; 12]].concat(), "type 0x0d, expected unsigned bytes (0x08)"),
        ("labels for images", labels(), "1 dimension(s), expected images (3 dimensions)"),
        ("four dimensions", idx_file(&[1, 1, 2, 2], &[0; 4]), "4 dimension(s), expected images"),
        ("no dimension", idx_file(&[], &[]), "0 dimension(s)"),
        ("half a header", images()[..14].to_vec(), "inside its header, after 14 of 16 bytes"),
        ("half a header, gzipped", gzip(&images()[..7]), "inside its header, after 7 of 16 bytes"),
        ("one byte short", images()[..27].to_vec(), "declares 3 x 2 x 2 = 12 bytes, but only 11 follow"),
        ("one byte short, gzipped", gzip(&images()[..27]), "= 12 bytes, but only 11 follow"),
        ("one byte long", [images(), vec![0]].concat(), "= 12 bytes, but more follow"),
        ("one byte long, gzipped", gzip(&[images(), vec![0]].concat()), "= 12 bytes, but more follow"),
        ("no images", idx_file(&[0, 28, 28], &[]), "0 x 28 x 28 bytes: there is nothing"),
        ("no rows", idx_file(&[5, 0, 28], &[]), "5 x 0 x 28 bytes: there is nothing"),
        ("no columns, many rows", idx_file(&[u32::MAX, u32::MAX, 0], &[]), "there is nothing"),
        ("96 bits of size", idx_file(&[u32::MAX; 3], &[0; 9]), "more than can be addressed"),
        ("64 bits of size", idx_file(&[1 << 31, 1 << 31, 4], &[0; 9]), "more than can be addressed"),
        ("4 TiB", idx_file(&[1 << 31, 1 << 10, 2], &[0; 9]), "= 4398046511104 bytes, but only 9 follow"),
        ("4 TiB, gzipped", gzip(&idx_file(&[1 << 31, 1 << 10, 2], &[0; 9])), "but only 9 follow"),
        ("bomb", bomb, "declares 1 x 28 x 28 = 784 bytes, but more follow"),
        ("cut gzip header", good[..8].to_vec(), "corrupt gzip"),
        ("cut gzip data", good[..end - 12].to_vec(), "corrupt gzip"),
        ("cut gzip checksum", good[..end - 3].to_vec(), "corrupt gzip"),
        ("wrong method", damaged(2), "corrupt gzip"),
        ("wrong data", damaged(end - 12), "corrupt gzip"),
        ("wrong checksum", damaged(end - 8), "corrupt gzip"),
        ("wrong length", damaged(end - 1), "corrupt gzip"),
        ("rubbish after gzip", [&good[..], b"rubbish"].concat(), "corrupt gzip"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (case, bytes, reason) in cases {
        let path = dir.path().join(format!("{case}.idx"));
        fs::write(&path, bytes).unwrap();
        let error = idx::read_images(&path).expect_err(case);
        assert!(matches!(&error, Error::Data { path: named, .. } if *named == path), "{case}: {error:?}");
        let text = error.to_string();
        assert!(text.starts_with(&path.display().to_string()) && text.contains(reason), "{case}: {text}");
        assert_eq!(text.lines().count(), 1, "{case}: {text}");
    }
}

/// Cutting a good file anywhere, or changing any byte of a gzipped one, is an error or the very same images.
#[test]
fn no_damage_goes_unseen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        idx::read_images(&path)
    };
    let packed = gzip(&images());
    let good = read(&packed).unwrap();
    for bytes in [images(), packed.clone()] {
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "cut after {length} of {}", bytes.len());
        }
    }
    for position in 0..packed.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = packed.clone();
            bytes[position] ^= flip;
            if let Ok(images) = read(&bytes) {
                assert_eq!(images, good, "byte {position} ^ {flip:#x}");
            }
        }
    }
}

#[test]
fn missing_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    for error in [
        idx::read_images(&missing).unwrap_err(),
        idx::read_labels(&missing).unwrap_err(),
        Dataset::mnist_like(&missing, Split::Train).unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Io { path, .. } if *path == missing), "{error:?}");
        assert!(error.to_string().starts_with(&missing.display().to_string()), "{error}");
    }
    // A directory where a file should be, and the other way round.
    assert!(matches!(idx::read_images(dir.path()), Err(Error::Io { .. })));
    write(dir.path(), &[("train-images-idx3-ubyte", images())]);
    let file = dir.path().join("train-images-idx3-ubyte");
    assert!(matches!(Dataset::mnist_like(&file, Split::Train), Err(Error::Io { .. })));

    let error = Dataset::mnist_like(dir.path(), Split::Train).unwrap_err().to_string();
    assert!(error.contains("no file of labels in this directory that belongs to train-images-idx3-ubyte"), "{error}");
    let error = Dataset::mnist_like(dir.path(), Split::Test).unwrap_err().to_string();
    assert!(error.contains("no t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz"), "{error}");
}

#[test]
fn labels_and_images_must_match() {
    let dir = tempfile::tempdir().unwrap();
    let bad = [idx_file(&[2], &[0, 1]), idx_file(&[4], &[0, 1, 2, 3])];
    for labels in bad {
        let count = labels.len() - 8;
        write(dir.path(), &[("train-images-idx3-ubyte", images()), ("train-labels-idx1-ubyte", labels)]);
        let error = Dataset::mnist_like(dir.path(), Split::Train).unwrap_err();
        let path = dir.path().join("train-labels-idx1-ubyte");
        assert!(matches!(&error, Error::Data { path: named, .. } if *named == path), "{error:?}");
        assert!(error.to_string().contains(&format!("{count} labels for the 3 images of")), "{error}");
    }
}

#[test]
fn data_set_rules() {
    let zeros = |shape| Array4::<u8>::zeros(shape);
    assert!(Dataset::new(zeros((2, 1, 3, 3)), vec![0]).unwrap_err().to_string().contains("expected 2 labels, got 1"));
    assert!(Dataset::new(zeros((0, 1, 3, 3)), vec![]).unwrap_err().to_string().contains("no pixels"));
    assert!(Dataset::new(zeros((2, 0, 3, 3)), vec![0, 1]).unwrap_err().to_string().contains("no pixels"));

    let dataset = Dataset::new(zeros((2, 3, 4, 5)), vec![0, 6]).unwrap();
    assert_eq!((dataset.classes(), dataset.image_shape()), (7, [3, 4, 5]));
    assert_eq!(dataset.clone().with_classes(10).unwrap().classes(), 10);
    assert!(dataset.clone().with_classes(6).unwrap_err().to_string().contains("label 6 with 6 classes"));
    assert!(dataset.select(&[2]).unwrap_err().to_string().contains("index 2 in 2 images"));
    assert!(dataset.select(&[]).is_err());
    let selected = dataset.select(&[1, 1, 0]).unwrap();
    assert_eq!((selected.labels(), selected.classes()), (&[6, 6, 0][..], 7));
}

#[test]
fn any_layout_is_taken_and_transposing_twice_changes_nothing() {
    let images = Array4::from_shape_fn((2, 3, 4, 5), |(n, c, y, x)| (n * 60 + c * 20 + y * 5 + x) as u8);
    let strange =
        images.clone().permuted_axes([0, 2, 3, 1]).as_standard_layout().into_owned().permuted_axes([0, 3, 1, 2]);
    assert!(!strange.is_standard_layout());
    let dataset = Dataset::new(strange, vec![0, 1]).unwrap();
    assert_eq!(dataset.images().as_slice().unwrap(), images.as_slice().unwrap());

    let transposed = dataset.clone().transposed();
    assert_eq!(transposed.image_shape(), [3, 5, 4]);
    assert_eq!(transposed.images()[[1, 2, 4, 3]], images[[1, 2, 3, 4]]);
    assert!(transposed.images().is_standard_layout());
    assert_eq!(transposed.transposed(), dataset);
}
