//! Augmentation: reproducible, within its bounds, and the same image as an f64 reference draws.

use std::sync::Arc;

use ndarray::{Array3, Array4, Axis, s};
use omma::data::{Affine, Augment, Dataset, Loader, Split, Warp};

use super::{DIGITS, numbered};

/// A colour image without symmetry.
fn image(channels: usize, height: usize, width: usize) -> Array3<u8> {
    Array3::from_shape_fn((channels, height, width), |(c, y, x)| ((c * 97 + y * 41 + x * 67 + x * y * 13) % 256) as u8)
}

/// All settings at once.
fn wild(seed: u64) -> Augment {
    Augment::new(seed).shift(3.0).unwrap().rotation(40.0).unwrap().scale(0.3).unwrap().flip(true).elastic(2.5).unwrap()
}

/// The definition, in f64: for each pixel, the place in the source where it comes from.
fn reference(Warp { affine, nodes }: &Warp, image: &Array3<u8>) -> Array3<f64> {
    let (_, height, width) = image.dim();
    // Every node weighs by its distance in nodes' distances, along both axes: 1 on the node, 0 from the next one on.
    let aside = |y: usize, x: usize, axis: usize| {
        let weight = |node: usize, pixel: usize, length: usize| {
            (1.0 - (node as f64 - 4.0 * pixel as f64 / (length as f64 - 1.0).max(1.0)).abs()).max(0.0)
        };
        let terms = (0..25).map(|i| (i / 5, i % 5)).map(|(row, column)| {
            weight(row, y, height) * weight(column, x, width) * f64::from(nodes[row][column][axis])
        });
        terms.sum::<f64>()
    };
    let at = |c: usize, y: f64, x: f64| {
        let inside = y >= 0.0 && x >= 0.0 && y < height as f64 && x < width as f64;
        if inside { f64::from(image[[c, y as usize, x as usize]]) } else { 0.0 }
    };
    let (sin, cos) = f64::from(affine.rotation).to_radians().sin_cos();
    let centre = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
    Array3::from_shape_fn(image.dim(), |(c, y, x)| {
        // Undo the shift, then the turn (anticlockwise, y pointing down), the scaling and the mirror.
        let px = (x as f64 - centre.0 - f64::from(affine.shift_x)) / f64::from(affine.scale);
        let py = (y as f64 - centre.1 - f64::from(affine.shift_y)) / f64::from(affine.scale);
        let (qx, qy) = (cos * px - sin * py, sin * px + cos * py);
        let (qx, qy) = (if affine.flip { -qx } else { qx } + centre.0, qy + centre.1);
        let (qx, qy) = (qx + aside(y, x, 0), qy + aside(y, x, 1));
        let (left, top) = (qx.floor(), qy.floor());
        let (wx, wy) = (qx - left, qy - top);
        (1.0 - wy) * ((1.0 - wx) * at(c, top, left) + wx * at(c, top, left + 1.0))
            + wy * ((1.0 - wx) * at(c, top + 1.0, left) + wx * at(c, top + 1.0, left + 1.0))
    })
}

#[test]
fn nothing_set_changes_nothing() {
    let neutral = Augment::new(9)
        .shift(0.0)
        .unwrap()
        .rotation(0.0)
        .unwrap()
        .scale(0.0)
        .unwrap()
        .flip(false)
        .elastic(0.0)
        .unwrap();
    for augment in [Augment::new(9), neutral] {
        assert!(augment.is_identity());
        assert_eq!(augment.transform(2, 3), Affine::IDENTITY.into());
    }
    // Even and odd sides, lines and single pixels, through the sampler itself.
    for (channels, height, width) in [(1, 28, 28), (3, 5, 8), (2, 1, 9), (1, 9, 1), (1, 1, 1), (4, 2, 2)] {
        let image = image(channels, height, width);
        assert_eq!(Affine::IDENTITY.apply(image.view()).unwrap(), image);
    }
}

#[test]
fn exact_changes_move_pixels_unchanged() {
    let image = image(3, 6, 7);
    let warp = |affine: Affine| affine.apply(image.view()).unwrap();

    let flipped = warp(Affine { flip: true, ..Affine::IDENTITY });
    assert_eq!(flipped, image.slice(s![.., .., ..;-1]));
    let turned = warp(Affine { rotation: 180.0, ..Affine::IDENTITY });
    assert_eq!(turned, image.slice(s![.., ..;-1, ..;-1]));

    let shifted = warp(Affine { shift_x: 2.0, shift_y: -1.0, ..Affine::IDENTITY });
    assert_eq!(shifted.slice(s![.., ..5, 2..]), image.slice(s![.., 1.., ..5]));
    assert!(shifted.slice(s![.., 5, ..]).iter().chain(shifted.slice(s![.., .., ..2])).all(|&pixel| pixel == 0));

    // A quarter turn anticlockwise takes the right edge to the top.
    let square = super::augment::image(1, 5, 5);
    let turned = Affine { rotation: 90.0, ..Affine::IDENTITY }.apply(square.view()).unwrap();
    assert_eq!(turned.slice(s![0, 0, ..]), square.slice(s![0, .., 4]));

    // A grid whose nodes all look three pixels to the right moves the image to the left.
    let nodes = [[[3.0, 0.0]; 5]; 5];
    let moved = Warp { affine: Affine::IDENTITY, nodes }.apply(image.view()).unwrap();
    assert_eq!(moved, warp(Affine { shift_x: -3.0, ..Affine::IDENTITY }));

    let gone = warp(Affine { shift_x: 65_536.0, shift_y: -65_536.0, rotation: 33.0, scale: 0.1, flip: true });
    assert!(gone.iter().all(|&pixel| pixel == 0));
}

#[test]
fn images_agree_with_the_reference() {
    // Rounding to a byte (1/2), and a weight's step of 1/2048 pixel along either axis, halved by rounding, over at most
    // 255 levels: 1/2 + 255 / 2048. What the position's 24 bits add is far below.
    let bound = 0.5 + 255.0 / 2048.0 + 0.01;
    let mut changed = 0;
    for (seed, size) in [(1, (1, 28, 28)), (2, (3, 9, 14)), (3, (1, 1, 17)), (4, (2, 33, 2))] {
        let image = image(size.0, size.1, size.2);
        for index in 0..50 {
            let warp = wild(seed).transform(1, index);
            let result = warp.apply(image.view()).unwrap();
            for (place, expected) in reference(&warp, &image).indexed_iter() {
                let error = (f64::from(result[place]) - expected).abs();
                assert!(error <= bound, "{warp:?} at {place:?}: {} for {expected}", result[place]);
            }
            changed += usize::from(result != image);
        }
    }
    assert!(changed > 190, "only {changed} of 200 images changed");
}

#[test]
fn white_stays_within_range() {
    let white = Array3::from_elem((1, 16, 16), 255_u8);
    for index in 0..200 {
        let affine = Affine { shift_x: 0.0, shift_y: 0.0, scale: 1.0, ..wild(8).transform(0, index).affine };
        // The centre of a turned white square is white: nothing wraps round or darkens.
        let result = affine.apply(white.view()).unwrap();
        assert!(result.slice(s![.., 6..10, 6..10]).iter().all(|&pixel| pixel == 255), "{affine:?}");
    }
}

#[test]
fn draws_fill_their_bounds_and_no_more() {
    let augment = Augment::new(4).shift(2.0).unwrap().rotation(15.0).unwrap().scale(0.2).unwrap().flip(true);
    let augment = augment.elastic(1.5).unwrap();
    let draws: Vec<Warp> = (0..4000).map(|index| augment.transform(0, index)).collect();
    let check = |name: &str, middle: f32, bound: f32, value: fn(&Warp) -> f32| {
        let values: Vec<f32> = draws.iter().map(|draw| value(draw) - middle).collect();
        let most = values.iter().fold(0_f32, |most, value| most.max(value.abs()));
        assert!(most <= bound * 1.000_001 && most > bound * 0.99, "{name}: {most} of {bound}");
        // The mean of 4,000 uniform numbers has a standard deviation of 0.009 bounds.
        let mean = values.iter().sum::<f32>() / 4000.0;
        assert!(mean.abs() < bound * 0.05, "{name}: mean {mean}");
    };
    check("shift_x", 0.0, 2.0, |draw| draw.affine.shift_x);
    check("shift_y", 0.0, 2.0, |draw| draw.affine.shift_y);
    check("rotation", 0.0, 15.0, |draw| draw.affine.rotation);
    check("scale", 1.0, 0.2, |draw| draw.affine.scale);
    check("the first node", 0.0, 1.5, |draw| draw.nodes[0][0][0]);
    check("the last node", 0.0, 1.5, |draw| draw.nodes[4][4][1]);
    let flips = draws.iter().filter(|draw| draw.affine.flip).count();
    assert!((1800..2200).contains(&flips), "{flips} of 4000 flipped");
}

#[test]
fn a_draw_depends_on_seed_epoch_and_index_alone() {
    let draw = |seed, epoch, index| wild(seed).transform(epoch, index);
    let first = draw(1, 2, 3);
    assert_eq!(first, draw(1, 2, 3));
    for other in [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(1, 2, usize::MAX)] {
        assert_ne!(first, other);
    }
    // One setting does not move another's numbers.
    let unflipped = wild(1).flip(false).transform(2, 3);
    assert_eq!(first, Warp { affine: Affine { flip: first.affine.flip, ..unflipped.affine }, ..unflipped });
    assert_eq!(first.affine, wild(1).elastic(0.0).unwrap().transform(2, 3).affine);
    assert_eq!(first.nodes, Augment::new(1).elastic(2.5).unwrap().transform(2, 3).nodes);
}

/// Written down once: a change of these would give every user other images for the same seed. The words are the first
/// of ChaCha8's block 3, with the key `01 00 00 00 00 00 00 00 "augment" 00 …` and the stream 2.
#[test]
fn draws_are_the_same_on_every_machine_and_version() {
    let augment = Augment::new(1).shift(1.0).unwrap().rotation(1.0).unwrap().scale(0.5).unwrap().flip(true);
    let uniform = [15_281_016_u32, 10_324_116, 1_637_882, 11_106_845].map(|word| word as f32 / 8_388_608.0 - 1.0);
    let [shift_x, shift_y, rotation, scale] = uniform;
    let expected = Affine { shift_x, shift_y, rotation, scale: 1.0 + 0.5 * scale, flip: true };
    assert_eq!(augment.transform(2, 3), expected.into());
}

#[test]
fn settings_out_of_range_are_errors() {
    for bad in [-0.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e9] {
        let new = || Augment::new(0);
        for result in [new().shift(bad), new().rotation(bad), new().scale(bad), new().elastic(bad)] {
            let error = result.unwrap_err().to_string();
            assert!(error.starts_with("Augment::") && error.contains("expected a number from 0 to"), "{error}");
        }
    }
    let image = image(1, 4, 4);
    for bad in [
        Affine { shift_x: f32::NAN, ..Affine::IDENTITY },
        Affine { shift_y: f32::INFINITY, ..Affine::IDENTITY },
        Affine { rotation: 1e30, ..Affine::IDENTITY },
        Affine { scale: 0.0, ..Affine::IDENTITY },
        Affine { scale: -1.0, ..Affine::IDENTITY },
        Affine { scale: f32::NAN, ..Affine::IDENTITY },
    ] {
        assert!(bad.apply(image.view()).is_err(), "{bad:?}");
    }
    let mut bad = Warp::from(Affine::IDENTITY);
    bad.nodes[2][3][1] = f32::NAN;
    assert!(bad.apply(image.view()).is_err());
    assert_eq!(Affine::IDENTITY.apply(Array3::zeros((0, 4, 4)).view()).unwrap().dim(), (0, 4, 4));
    assert_eq!(Affine::IDENTITY.apply(Array3::zeros((1, 4, 0)).view()).unwrap().dim(), (1, 4, 0));
}

#[test]
fn views_of_any_layout_are_taken() {
    let image = image(2, 6, 6);
    let affine = wild(3).transform(0, 0);
    let turned = image.slice(s![.., ..;-1, ..]);
    assert_eq!(affine.apply(turned).unwrap(), affine.apply(turned.to_owned().view()).unwrap());
}

#[test]
fn the_loader_applies_the_same_change() {
    let dataset = Arc::new(numbered(10));
    let loader = Loader::new(dataset.clone(), 4).unwrap().shuffle(6).augment(wild(7));
    for batch in loader.epoch(5) {
        let batch = batch.unwrap();
        for (slot, &index) in batch.indices.iter().enumerate() {
            let original = dataset.images().index_axis(Axis(0), index);
            let expected = wild(7).transform(5, index).apply(original).unwrap();
            assert_eq!(batch.images.index_axis(Axis(0), slot), expected);
        }
    }
}

#[test]
fn digits_keep_their_ink() {
    let digits = Dataset::mnist_like(DIGITS, Split::Test).unwrap();
    let handwriting = Augment::new(1).shift(2.0).unwrap().rotation(10.0).unwrap();
    let ink = |images: &Array4<u8>| images.iter().map(|&pixel| u64::from(pixel)).sum::<u64>() as f64;
    let before = ink(digits.images());
    let loader = Loader::new(Arc::new(digits), 256).unwrap().augment(handwriting);
    let after: f64 = loader.epoch(0).map(|batch| ink(&batch.unwrap().images)).sum();
    // Digits have a margin of 4 pixels: a small turn and shift moves the ink, but loses almost none.
    assert!((after / before - 1.0).abs() < 0.01, "{before} -> {after}");
}
