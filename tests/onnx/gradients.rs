//! Operators that are made of others, against plain loops in f64: what they compute, and their gradients against differences
//! of the loops.

use omma::onnx;
use omma::{HostTensor, Session, Tensor};

use super::wire::{Attribute, FLOAT, File};
use crate::gpu;

/// The step of the differences, near the cube root of the f64 epsilon. They are off by less than this afterwards.
const STEP: f64 = 1e-5;
const VAGUE: f64 = 1e-8;

/// A fed tensor's name, extents and elements.
pub(super) type Fed<'a> = (&'a str, &'a [usize], Vec<f64>);

/// Numbers within ±1 in no order that f32 has, by a linear congruence.
pub(super) fn drawn(shape: &[usize], seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 48) as f64 / 32768.0 - 1.0
    };
    (0..shape.iter().product()).map(|_| next()).collect()
}

/// A file with these inputs.
pub(super) fn fed(opset: i64, inputs: &[Fed<'_>]) -> File {
    let add = |file: File, (name, shape, _): &Fed<'_>| {
        file.input(name, FLOAT, &shape.iter().map(|&extent| extent as i64).collect::<Vec<_>>())
    };
    inputs.iter().fold(File::new(opset), add)
}

/// Compares a file's outputs and their gradients by all inputs with those of `reference`, which is given the inputs'
/// elements. No result is made by more than so many roundings, of numbers that are not larger than the largest result of
/// its tensor, or than 1.
pub(super) fn check(
    file: &File,
    inputs: &[Fed<'_>],
    outputs: &[&str],
    roundings: usize,
    reference: impl Fn(&[Vec<f64>]) -> Vec<Vec<f64>>,
) {
    let Some(gpu) = gpu() else { return };
    let model = onnx::load(file.bytes()).unwrap();
    let graph = model.graph();
    let values: Vec<Vec<f64>> = inputs.iter().map(|(.., values)| values.clone()).collect();
    let expected = reference(&values);
    let ys: Vec<Tensor<'_>> = outputs.iter().map(|name| model.output(name).unwrap()).collect();
    let shapes: Vec<Vec<usize>> = ys.iter().map(|y| y.shape().to_vec()).collect();
    let cotangents: Vec<Vec<f64>> = shapes.iter().zip(99..).map(|(shape, seed)| drawn(shape, seed)).collect();
    let name = |number: usize| format!("cotangent {number}");
    let cotangent = |(number, &y): (usize, &Tensor<'_>)| (y.id(), graph.input(&name(number), y.shape()).unwrap());
    let given: Vec<_> = ys.iter().enumerate().map(cotangent).collect();
    let pairs: Vec<_> = ys.iter().zip(&given).map(|(&y, &(_, dy))| (y, dy)).collect();
    let of: Vec<Tensor<'_>> = inputs.iter().map(|(name, ..)| graph.tensor(name).unwrap()).collect();
    let gradients: Vec<Tensor<'_>> = graph.gradients_of(&pairs, &of).unwrap().into_iter().map(Option::unwrap).collect();
    let fetched: Vec<Tensor<'_>> = ys.iter().chain(&gradients).copied().collect();
    let mut session = Session::new(gpu, graph, &fetched, &model.variables(gpu, 0).unwrap()).unwrap();
    let single = |values: &Vec<f64>| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
    let feeds: Vec<(String, Vec<f32>)> = inputs
        .iter()
        .map(|(name, _, values)| ((*name).to_string(), single(values)))
        .chain(cotangents.iter().enumerate().map(|(number, values)| (name(number), single(values))))
        .collect();
    let feeds: Vec<(&str, HostTensor<'_>)> =
        feeds.iter().map(|(name, v)| (name.as_str(), v.as_slice().into())).collect();
    session.run_blocking(&feeds).unwrap();
    let near = |what: &str, tensor: Tensor<'_>, expected: &[f64]| {
        let got: Vec<f32> = session.read_blocking(tensor).unwrap().into_iter().collect();
        assert_eq!(got.len(), expected.len(), "{what}");
        let largest = expected.iter().fold(1.0_f64, |most, value| most.max(value.abs()));
        let bound = roundings as f64 * f64::from(f32::EPSILON) * largest + VAGUE;
        for (place, (&got, expected)) in got.iter().zip(expected).enumerate() {
            let got = f64::from(got);
            assert!((got - expected).abs() <= bound, "{what}, element {place}: {expected} expected, {got} computed");
        }
        assert!(expected.iter().any(|value| value.abs() > 1000.0 * bound), "{what} is too small to tell anything");
    };
    for ((name, &y), expected) in outputs.iter().zip(&ys).zip(&expected) {
        near(name, y, expected);
    }
    let objective = |values: &[Vec<f64>]| -> f64 {
        let products = |(y, dy): (&Vec<f64>, &Vec<f64>)| y.iter().zip(dy).map(|(y, dy)| y * dy).sum::<f64>();
        reference(values).iter().zip(&cotangents).map(products).sum()
    };
    for (number, (name, ..)) in inputs.iter().enumerate() {
        let slope = |element: usize| {
            let at = |steps: f64| {
                let mut values = values.clone();
                values[number][element] += steps * STEP;
                objective(&values)
            };
            (at(1.0) - at(-1.0)) / (2.0 * STEP)
        };
        let slopes: Vec<f64> = (0..values[number].len()).map(slope).collect();
        near(&format!("the gradient of {name}"), gradients[number], &slopes);
    }
}

#[test]
fn windows_become_an_image_and_their_gradients_its_windows() {
    let inputs: [Fed<'_>; 1] = [("x", &[1, 12, 6], drawn(&[72], 1))];
    let attributes: [(&str, Attribute<'_>); 3] = [
        ("strides", Attribute::Ints(&[2, 1])),
        ("dilations", Attribute::Ints(&[2, 1])),
        ("pads", Attribute::Ints(&[1, 0, 0, 1])),
    ];
    let file = fed(18, &inputs).integers("image", &[2], &[5, 4]).integers("block", &[2], &[2, 3]);
    let file = file.node_with("Col2Im", &["x", "image", "block"], &["y"], &attributes).output("y", FLOAT);
    // Windows of 2 x 3 at 2 x 3 places of two channels.
    check(&file, &inputs, &["y"], 6, |values| {
        let mut y = vec![0.0; 2 * 5 * 4];
        for (index, value) in values[0].iter().enumerate() {
            let (channel, tap, window) = (index / 36, index / 6 % 6, index % 6);
            let (row, column) = (2 * (window / 3) + 2 * (tap / 3), window % 3 + tap % 3);
            // A row of padding above, a column on the right.
            if (1..=5).contains(&row) && column < 4 {
                y[(channel * 5 + row - 1) * 4 + column] += value;
            }
        }
        vec![y]
    });
}

#[test]
fn a_grid_is_where_a_map_sends_the_places_of_cells() {
    for aligned in [false, true] {
        let inputs: [Fed<'_>; 1] = [("theta", &[2, 2, 3], drawn(&[12], 2))];
        let file = fed(20, &inputs).integers("size", &[4], &[2, 3, 4, 5]);
        let attributes = [("align_corners", Attribute::Int(aligned.into()))];
        let file = file.node_with("AffineGrid", &["theta", "size"], &["y"], &attributes).output("y", FLOAT);
        let place = |cell: usize, extent: f64| match aligned {
            true => 2.0 * cell as f64 / (extent - 1.0) - 1.0,
            false => (2.0 * cell as f64 + 1.0) / extent - 1.0,
        };
        // A gradient is a sum over 20 cells.
        check(&file, &inputs, &["y"], 20, |values| {
            let element = |index: usize| {
                let (image, row, column, axis) = (index / 40, index / 10 % 4, index / 2 % 5, index % 2);
                let map = &values[0][image * 6 + axis * 3..][..3];
                map[0] * place(column, 5.0) + map[1] * place(row, 4.0) + map[2]
            };
            vec![(0..80).map(element).collect()]
        });
    }
}

#[test]
fn a_convolution_whose_taps_are_moved_reads_between_the_cells() {
    let between = |value: f64, at: usize| (at % 3) as f64 - 1.0 + 0.5 + 0.25 * value;
    let offsets = drawn(&[128], 5).into_iter().enumerate().map(|(at, value)| between(value, at)).collect();
    let inputs: [Fed<'_>; 5] = [
        ("x", &[1, 2, 4, 4], drawn(&[32], 3)),
        ("w", &[3, 2, 2, 2], drawn(&[24], 4)),
        ("offset", &[1, 16, 4, 2], offsets),
        ("b", &[3], drawn(&[3], 6)),
        ("mask", &[1, 8, 4, 2], drawn(&[64], 7)),
    ];
    let attributes: [(&str, Attribute<'_>); 3] = [
        ("strides", Attribute::Ints(&[1, 2])),
        ("pads", Attribute::Ints(&[1, 0, 0, 1])),
        ("offset_group", Attribute::Int(2)),
    ];
    let names = ["x", "w", "offset", "b", "mask"];
    let file = fed(19, &inputs).node_with("DeformConv", &names, &["y"], &attributes).output("y", FLOAT);
    // 2 channels, 4 taps and 4 cells to a tap, each by a weight of two axes and a mask; a gradient adds up 8 places.
    check(&file, &inputs, &["y"], 8 * 4 * 8, |values| {
        let [x, w, offset, b, mask] = values else { panic!("five inputs") };
        let cell = |channel: usize, row: f64, column: f64| {
            let inside = (0.0..4.0).contains(&row) && (0.0..4.0).contains(&column);
            if inside { x[channel * 16 + row as usize * 4 + column as usize] } else { 0.0 }
        };
        let read = |channel: usize, row: f64, column: f64| {
            let (top, left) = (row.floor(), column.floor());
            let (down, right) = (row - top, column - left);
            (1.0 - down) * ((1.0 - right) * cell(channel, top, left) + right * cell(channel, top, left + 1.0))
                + down * ((1.0 - right) * cell(channel, top + 1.0, left) + right * cell(channel, top + 1.0, left + 1.0))
        };
        let element = |index: usize| {
            let (filter, row, column) = (index / 8, index / 2 % 4, index % 2);
            let mut sum = b[filter];
            for channel in 0..2 {
                for tap in 0..4 {
                    // Each channel is a group of offsets.
                    let moved = |axis: usize| offset[((channel * 4 + tap) * 2 + axis) * 8 + row * 2 + column];
                    let (down, right) = ((row + tap / 2) as f64 - 1.0, (2 * column + tap % 2) as f64);
                    let counts = mask[(channel * 4 + tap) * 8 + row * 2 + column];
                    let value = read(channel, down + moved(0), right + moved(1));
                    sum += w[(filter * 2 + channel) * 4 + tap] * counts * value;
                }
            }
            sum
        };
        vec![(0..24).map(element).collect()]
    });
}

#[test]
fn a_grid_reads_between_the_cells_of_an_image() {
    let inputs: [Fed<'_>; 2] = [
        ("x", &[1, 2, 4, 5], drawn(&[40], 8)),
        // Some places are beyond the image.
        ("grid", &[1, 2, 3, 2], drawn(&[12], 9).into_iter().map(|place| 1.125 * place).collect()),
    ];
    let attributes = [("mode", Attribute::Text("linear")), ("padding_mode", Attribute::Text("zeros"))];
    let file = fed(20, &inputs).node_with("GridSample", &["x", "grid"], &["y"], &attributes).output("y", FLOAT);
    // Four cells, each by a weight of two axes that a few roundings make; a cell's gradient adds up at most 6 places.
    check(&file, &inputs, &["y"], 4 * 8 * 6, |values| {
        let [x, grid] = values else { panic!("two inputs") };
        let element = |index: usize| {
            let (channel, place) = (index / 6, index % 6);
            let at = |axis: usize, extent: f64| ((grid[place * 2 + axis] + 1.0) * extent - 1.0) / 2.0;
            let (row, column) = (at(1, 4.0), at(0, 5.0));
            let mut sum = 0.0;
            for cell in 0..20 {
                // What a cell counts falls to nothing at its neighbours.
                let near = |place: f64, at: usize| (1.0 - (place - at as f64).abs()).max(0.0);
                sum += near(row, cell / 5) * near(column, cell % 5) * x[channel * 20 + cell];
            }
            sum
        };
        vec![(0..12).map(element).collect()]
    });
}
