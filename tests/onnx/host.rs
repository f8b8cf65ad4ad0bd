//! What is computed of constants at load: hostile arguments, empty axes, exact integers, texts.

use half::f16;
use omma::onnx::{Array, ElementType, Options};

use super::wire::{Attribute, File};
use crate::support::message;

/// An axis of these elements.
pub(super) fn axis<T>(elements: Vec<T>) -> Array
where
    Array: From<ndarray::ArrayD<T>>,
{
    Array::from(ndarray::Array1::from(elements).into_dyn())
}

/// The first so many outputs of a node whose inputs are all known at load.
pub(super) fn outputs(
    operator: &str,
    inputs: &[&Array],
    attributes: &[(&str, Attribute<'_>)],
    count: usize,
) -> omma::Result<Vec<Array>> {
    let names: Vec<String> = (0..inputs.len()).map(|index| format!("x{index}")).collect();
    let (mut file, mut options) = (File::new(23), Options::default());
    for (name, &array) in names.iter().zip(inputs) {
        let shape: Vec<i64> = array.shape().iter().map(|&extent| extent as i64).collect();
        let element = array.element_type().code().into();
        // Floats that are told at load would still be fed.
        let bytes: Option<Vec<u8>> = match array {
            Array::F32(array) => Some(array.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Array::F64(array) => Some(array.iter().flat_map(|v| v.to_le_bytes()).collect()),
            _ => None,
        };
        if let Array::String(texts) = array {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            file = file.texts(name, &shape, &texts);
            continue;
        }
        if let Some(bytes) = bytes {
            file = file.raw(name, element, &shape, &bytes);
            continue;
        }
        file = file.input(name, element, &shape);
        options = options.value(name, array.clone());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let results: Vec<&str> = ["y", "y1", "y2", "y3"][..count].to_vec();
    let file = file.node_with(operator, &names, &results, attributes);
    let file = results.iter().fold(file, |file, result| file.output(result, 0));
    let model = options.load(file.bytes())?;
    Ok(model.outputs().iter().map(|output| output.constant().expect(operator).clone()).collect())
}

pub(super) fn check(operator: &str, inputs: &[&Array], attributes: &[(&str, Attribute<'_>)], expected: &Array) {
    check_all(operator, inputs, attributes, std::slice::from_ref(expected));
}

pub(super) fn check_all(operator: &str, inputs: &[&Array], attributes: &[(&str, Attribute<'_>)], expected: &[Array]) {
    assert_eq!(outputs(operator, inputs, attributes, expected.len()).unwrap(), expected, "{operator} {inputs:?}");
}

pub(super) fn refused(operator: &str, inputs: &[&Array], attributes: &[(&str, Attribute<'_>)], expected: &str) {
    let got = outputs(operator, inputs, attributes, 1);
    assert_eq!(message(got), format!("ONNX: {operator} \"y\": {expected}"));
}

#[test]
fn pads_beyond_what_is_there_are_refused_or_cut_all_away() {
    let (three, none) = (axis(vec![1_i64, 2, 3]), axis(Vec::<i64>::new()));
    check("Pad", &[&three, &axis(vec![i64::MIN, i64::MAX])], &[], &axis(vec![0_i64, 0]));
    check("Pad", &[&three, &axis(vec![-5_i64, 4])], &[], &axis(vec![0_i64, 0]));
    for mode in ["edge", "reflect", "wrap"] {
        let expected = format!("pads of 1 and 1 around 0 by `{mode}`");
        refused("Pad", &[&none, &axis(vec![1_i64, 1])], &[("mode", Attribute::Text(mode))], &expected);
    }
}

#[test]
fn integers_stay_exact_beyond_the_floats() {
    let large = (1_i64 << 53) + 1;
    let keep = [("keepdims", Attribute::Int(1))];
    check("ReduceMean", &[&axis(vec![large, large])], &keep, &axis(vec![large]));
    check("ReduceMean", &[&axis(vec![-3_i64, 0])], &keep, &axis(vec![-1_i64]));
    check("Mul", &[&axis(vec![u64::MAX]), &axis(vec![u64::MAX])], &[], &axis(vec![1_u64]));
    check("Div", &[&axis(vec![i64::MIN, -7]), &axis(vec![-1_i64, 2])], &[], &axis(vec![i64::MIN, -3]));
    check("Pow", &[&axis(vec![3_i64]), &axis(vec![40_i64])], &[], &axis(vec![3_i64.wrapping_pow(40)]));
}

#[test]
fn powers_heed_the_last_bit_of_an_exponent_and_refuse_what_has_no_end() {
    check("Pow", &[&axis(vec![-1_f32]), &axis(vec![(1_i64 << 53) + 1])], &[], &axis(vec![-1_f32]));
    check("Pow", &[&axis(vec![-2_i64, 1]), &axis(vec![-1_i64, -1])], &[], &axis(vec![0_i64, 1]));
    let expected = "integers with a 0 among them to negative powers";
    refused("Pow", &[&axis(vec![0_i64]), &axis(vec![-1_i64])], &[], expected);
}

#[test]
fn texts_are_numbers_of_a_type_or_refused() {
    let texts = |texts: &[&str]| axis(texts.iter().map(|text| (*text).to_string()).collect());
    let to = |ty: ElementType| [("to", Attribute::Int(ty.code().into()))];
    let exact = axis(vec![(1_i64 << 53) + 1, -100]);
    check("Cast", &[&texts(&["9007199254740993", "-100.5"])], &to(ElementType::I64), &exact);
    for text in ["300", "-1", "1e9", "NaN", "pear"] {
        let expected = "string[1] has a text that is no uint8";
        refused("Cast", &[&texts(&[text])], &to(ElementType::U8), expected);
    }
}

#[test]
fn dequantised_numbers_have_the_type_that_is_asked_for() {
    let (bytes, scale) = (axis(vec![3_u8]), axis(vec![2_f32]));
    let half = [("output_dtype", Attribute::Int(ElementType::F16.code().into()))];
    check("DequantizeLinear", &[&bytes, &scale], &half, &axis(vec![f16::from_f32(6.0)]));
}

#[test]
fn doubles_become_halves_by_one_rounding() {
    // Ties in all but the last bits of the double.
    let doubles = axis(vec![1.0 + 2_f64.powi(-11) + 2_f64.powi(-40), 1.0 + 2_f64.powi(-11), 1e-300]);
    let halves = axis([1.0 + 2_f32.powi(-10), 1.0, 0.0].map(f16::from_f32).to_vec());
    check("Cast", &[&doubles], &[("to", Attribute::Int(ElementType::F16.code().into()))], &halves);
}

#[test]
fn exponentials_are_shares_of_their_sum_in_double_precision() {
    let doubles = |elements: [f64; 4]| Array::new(&[2, 1, 2], elements.to_vec()).unwrap();
    let x = doubles([1e300, 1e300, -7.0, -7.0]);
    check("Softmax", &[&x], &[], &doubles([0.5; 4]));
    // Along the first axis the smaller ones are nothing beside the larger.
    check("Softmax", &[&x], &[("axis", Attribute::Int(0))], &doubles([1.0, 1.0, 0.0, 0.0]));
    check("LogSoftmax", &[&x], &[], &doubles([-std::f64::consts::LN_2; 4]));
}
