//! Products of bytes on the device, against sums of integers.

use omma::onnx::{Array, Options, Runner};

use super::wire::File;
use crate::gpu;

const UINT8: i64 = 2;
const INT8: i64 = 3;
const INT32: i64 = 6;

/// Bytes in no order, by a linear congruence.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

const CHANNELS: usize = 512;

/// A convolution of a 3 by 3 image whose weights are as large: one number for each of two filters.
fn sums(image: &[u8], zero: i64, weight: &[u8]) -> [i64; 2] {
    [0, 1].map(|filter| {
        let weights = weight[filter * CHANNELS * 9..][..CHANNELS * 9].iter();
        weights.zip(image).map(|(&w, &x)| i64::from(w as i8) * (i64::from(x) - zero)).sum()
    })
}

fn file(operator: &str) -> (File, Vec<u8>) {
    let weight = bytes(2 * CHANNELS * 9, 7);
    let file = File::new(10).input("x", UINT8, &[1, CHANNELS as i64, 3, 3]);
    let file = file.raw("w", INT8, &[2, CHANNELS as i64, 3, 3], &weight).raw("x_zero", UINT8, &[], &[100]);
    let file = file.raw("w_zero", INT8, &[], &[0]).raw("y_zero", UINT8, &[], &[128]);
    let bias = [1_000_i32, -70_000].map(i32::to_le_bytes).concat();
    let file = file.raw("b", INT32, &[2], &bias).floats("x_scale", &[], &[0.02]).floats("y_scale", &[], &[9.0]);
    let file = file.floats("w_scale", &[2], &[0.01, 0.03]);
    let scaled = ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "b"];
    let inputs: &[&str] = if operator == "QLinearConv" { &scaled } else { &["x", "w", "x_zero", "w_zero"] };
    (file.node(operator, inputs, &["y"]).output("y", UINT8), weight)
}

#[test]
fn sums_beyond_single_precision_are_rounded_once() {
    let Some(gpu) = gpu() else { return };
    let (file, weight) = file("QLinearConv");
    let image = bytes(CHANNELS * 9, 3);
    let x = Array::new(&[1, CHANNELS, 3, 3], image.clone()).unwrap();
    let model = Options::default().load(file.bytes()).unwrap();
    let outputs = Runner::new(gpu, &model).unwrap().run_blocking(&[("x", &x)]).unwrap();
    let scaled = |sum: i64, scale: f32| ((sum as f32 * (0.02 * scale / 9.0)).round_ties_even() + 128.0) as u8;
    let [first, second] = sums(&image, 100, &weight);
    let expected = vec![scaled(first + 1_000, 0.01), scaled(second - 70_000, 0.03)];
    // Neither is cut off at an end, so that they can differ.
    assert!(expected.iter().all(|value| (1..=254).contains(value)), "{expected:?}");
    assert_eq!(outputs[0].1, Array::new(&[1, 2, 1, 1], expected).unwrap());
}

#[test]
fn sums_that_the_device_cannot_hold_are_not_computed_there() {
    let (file, _) = file("ConvInteger");
    let message = Options::default().load(file.bytes()).unwrap_err().to_string();
    assert!(message.contains("ConvInteger \"y\": int32 of -"), "{message}");
}
