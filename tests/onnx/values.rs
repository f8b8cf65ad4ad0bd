//! What operators make of constants, against values that ONNX's text gives by hand: where types end, nothing is there, axes
//! count from the end and steps go backwards.

use omma::onnx::{Array, ElementType};

use super::host::{axis, check, check_all, outputs, refused};
use super::wire::Attribute::{self, Int, Text};

fn of<T>(shape: &[usize], elements: Vec<T>) -> Array
where
    Array: From<ndarray::ArrayD<T>>,
{
    Array::new(shape, elements).unwrap()
}

fn scalar<T>(value: T) -> Array
where
    Array: From<ndarray::ArrayD<T>>,
{
    of(&[], vec![value])
}

fn texts(texts: &[&str]) -> Array {
    axis(texts.iter().map(|text| (*text).to_string()).collect())
}

const LARGE: i64 = (1 << 53) + 1;

#[test]
fn arithmetic_wraps_where_a_type_ends() {
    check("Abs", &[&axis(vec![i8::MIN, -1, 127])], &[], &axis(vec![i8::MIN, 1, 127]));
    check("Neg", &[&axis(vec![i64::MIN, 5])], &[], &axis(vec![i64::MIN, -5]));
    check("Add", &[&axis(vec![250_u8, 1]), &axis(vec![10_u8, 1])], &[], &axis(vec![4_u8, 2]));
    check("Add", &[&axis(vec![i64::MAX]), &axis(vec![1_i64])], &[], &axis(vec![i64::MIN]));
    check("Sub", &[&axis(vec![0_u32, 7]), &axis(vec![1_u32, 7])], &[], &axis(vec![u32::MAX, 0]));
    check("Mul", &[&axis(vec![i32::MAX, 3]), &axis(vec![2_i32, -4])], &[], &axis(vec![-2_i32, -12]));
    check("Mul", &[&axis(vec![LARGE]), &axis(vec![3_i64])], &[], &axis(vec![3 * LARGE]));
    check("Sum", &[&axis(vec![200_u8]), &axis(vec![50_u8]), &axis(vec![10_u8])], &[], &axis(vec![4_u8]));
    check("Sign", &[&axis(vec![i64::MIN, 0, 9])], &[], &axis(vec![-1_i64, 0, 1]));
    check("Relu", &[&axis(vec![-5_i32, 0, LARGE as i32])], &[], &axis(vec![0, 0, LARGE as i32]));
    check("Div", &[&axis(vec![-7_i32, 7, 255]), &axis(vec![2_i32, -2, 16])], &[], &axis(vec![-3_i32, -3, 15]));
    check("Div", &[&axis(vec![LARGE]), &axis(vec![1_i64])], &[], &axis(vec![LARGE]));
    check(
        "Div",
        &[&axis(vec![1_f32, -1.0]), &axis(vec![0_f32, 0.0])],
        &[],
        &axis(vec![f32::INFINITY, f32::NEG_INFINITY]),
    );
    refused("Div", &[&axis(vec![1_i64]), &axis(vec![0_i64])], &[], "integers divided by 0");
    refused("Mod", &[&axis(vec![1_i64]), &axis(vec![0_i64])], &[], "integers divided by 0");
}

#[test]
fn remainders_have_the_sign_of_the_divisor_or_of_the_dividend() {
    let (a, b) = (axis(vec![-7_i64, 7, -7, i64::MIN]), axis(vec![3_i64, -3, -3, -1]));
    check("Mod", &[&a, &b], &[], &axis(vec![2_i64, -2, -1, 0]));
    check("Mod", &[&a, &b], &[("fmod", Int(1))], &axis(vec![-1_i64, 1, -1, 0]));
    let (a, b) = (axis(vec![-5.5_f32, 5.5]), axis(vec![2_f32, -2.0]));
    check("Mod", &[&a, &b], &[("fmod", Int(1))], &axis(vec![-1.5_f32, 1.5]));
    check("Mod", &[&axis(vec![250_u8]), &axis(vec![100_u8])], &[], &axis(vec![50_u8]));
}

#[test]
fn extremes_are_exact_and_heed_what_is_no_number() {
    check("Max", &[&axis(vec![LARGE, -1]), &axis(vec![LARGE - 1, i64::MIN])], &[], &axis(vec![LARGE, -1]));
    check("Min", &[&axis(vec![u64::MAX]), &axis(vec![u64::MAX - 1])], &[], &axis(vec![u64::MAX - 1]));
    check("Max", &[&axis(vec![3_u8, 9])], &[], &axis(vec![3_u8, 9]));
    let (low, high) = (scalar(LARGE), scalar(LARGE + 2));
    check("Clip", &[&axis(vec![0, LARGE + 1, i64::MAX]), &low, &high], &[], &axis(vec![LARGE, LARGE + 1, LARGE + 2]));
    // The upper bound holds where the lower one is above it.
    check("Clip", &[&axis(vec![0_i32, 9]), &scalar(5_i32), &scalar(3_i32)], &[], &axis(vec![3_i32, 3]));
}

#[test]
fn floats_are_rounded_once() {
    check("Round", &[&axis(vec![0.5_f32, 1.5, -0.5, -2.5])], &[], &axis(vec![0_f32, 2.0, -0.0, -2.0]));
    check("Ceil", &[&axis(vec![-0.5_f32, 1.25])], &[], &axis(vec![-0_f32, 2.0]));
    check("Floor", &[&axis(vec![-0.5_f32, 1.25])], &[], &axis(vec![-1_f32, 1.0]));
    check("Sqrt", &[&axis(vec![2_f32])], &[], &axis(vec![std::f32::consts::SQRT_2]));
    check("Reciprocal", &[&axis(vec![4_f32, -0.0])], &[], &axis(vec![0.25_f32, f32::NEG_INFINITY]));
    check("Sigmoid", &[&axis(vec![0_f32, -200.0, 200.0])], &[], &axis(vec![0.5_f32, 0.0, 1.0]));
    check("Mean", &[&axis(vec![1_f32]), &axis(vec![2_f32]), &axis(vec![6_f32])], &[], &axis(vec![3_f32]));
    check("Exp", &[&axis(vec![0_f64, 1.0])], &[], &axis(vec![1.0, std::f64::consts::E]));
    check("Log", &[&axis(vec![1_f64, 0.0])], &[], &axis(vec![0.0, f64::NEG_INFINITY]));
    let zero = axis(vec![0_f64]);
    for function in ["Sin", "Asin", "Sinh", "Asinh", "Tan", "Atan", "Tanh", "Atanh", "Erf"] {
        check(function, &[&zero], &[], &zero);
    }
    for function in ["Cos", "Cosh"] {
        check(function, &[&zero], &[], &axis(vec![1_f64]));
    }
    for function in ["Acos", "Acosh"] {
        check(function, &[&axis(vec![1_f64])], &[], &zero);
    }
}

#[test]
fn casts_keep_low_bits_and_drop_fractions() {
    let to = |ty: ElementType| [("to", Int(ty.code().into()))];
    check("Cast", &[&axis(vec![-1_i64, 256, 300])], &to(ElementType::U8), &axis(vec![255_u8, 0, 44]));
    check("Cast", &[&axis(vec![u64::MAX])], &to(ElementType::I64), &axis(vec![-1_i64]));
    check("Cast", &[&axis(vec![-1.9_f32, 1.9])], &to(ElementType::I32), &axis(vec![-1_i32, 1]));
    check("Cast", &[&axis(vec![0.5_f32, 0.0, -0.0])], &to(ElementType::Bool), &axis(vec![true, false, false]));
    check("Cast", &[&axis(vec![true, false])], &to(ElementType::F64), &axis(vec![1_f64, 0.0]));
    check("Cast", &[&axis(vec![LARGE])], &to(ElementType::String), &texts(&["9007199254740993"]));
    check("CastLike", &[&axis(vec![-1_i8]), &axis(vec![0_u16])], &[], &axis(vec![u16::MAX]));
}

#[test]
fn arrays_are_made_of_attributes_shapes_and_bounds() {
    check("Constant", &[], &[("value_floats", Attribute::Floats(&[0.5, -1.0]))], &axis(vec![0.5_f32, -1.0]));
    check("Constant", &[], &[("value_strings", Attribute::Texts(&["a", ""]))], &texts(&["a", ""]));
    check("Constant", &[], &[("value_int", Int(LARGE))], &scalar(LARGE));
    check("Constant", &[], &[("value_string", Text("a"))], &scalar("a".to_string()));
    check("Identity", &[&texts(&["a"])], &[], &texts(&["a"]));
    let eight = 8_i64.to_le_bytes();
    check("ConstantOfShape", &[&axis(vec![2_i64, 0])], &[], &of(&[2, 0], Vec::<f32>::new()));
    check(
        "ConstantOfShape",
        &[&axis(Vec::<i64>::new())],
        &[("value", Attribute::Tensor(7, &[1], &eight))],
        &scalar(8_i64),
    );
    check("Range", &[&scalar(5_i32), &scalar(-2), &scalar(-3)], &[], &axis(vec![5_i32, 2, -1]));
    check("Range", &[&scalar(LARGE), &scalar(LARGE + 2), &scalar(1_i64)], &[], &axis(vec![LARGE, LARGE + 1]));
    check("Range", &[&scalar(3_i64), &scalar(3_i64), &scalar(1_i64)], &[], &axis(Vec::<i64>::new()));
    check("Range", &[&scalar(0_i64), &scalar(5_i64), &scalar(-1_i64)], &[], &axis(Vec::<i64>::new()));
    check("EyeLike", &[&of(&[2, 3], vec![0_i32; 6])], &[("k", Int(-1))], &of(&[2, 3], vec![0, 0, 0, 1, 0, 0]));
    check("EyeLike", &[&of(&[2, 2], vec![0_i32; 4])], &[("k", Int(i64::MIN))], &of(&[2, 2], vec![0; 4]));
    let values = axis(vec![7_i64, 9]);
    check(
        "OneHot",
        &[&axis(vec![-1_i64, 3, 0]), &scalar(3_i64), &values],
        &[("axis", Int(0))],
        &of(&[3, 3], vec![7_i64, 7, 9, 7, 7, 7, 9, 7, 7]),
    );
    check("Shape", &[&of(&[2, 3, 4], vec![0_u8; 24])], &[("start", Int(-2)), ("end", Int(99))], &axis(vec![3_i64, 4]));
    check("Size", &[&of(&[2, 0], Vec::<u8>::new())], &[], &scalar(0_i64));
}

#[test]
fn bits_and_truth_values() {
    check(
        "BitShift",
        &[&axis(vec![255_u8, 1]), &axis(vec![1_u8, 8])],
        &[("direction", Text("LEFT"))],
        &axis(vec![254_u8, 0]),
    );
    check(
        "BitShift",
        &[&axis(vec![u64::MAX]), &axis(vec![63_u64])],
        &[("direction", Text("RIGHT"))],
        &axis(vec![1_u64]),
    );
    check("BitwiseNot", &[&axis(vec![0_u8, 255])], &[], &axis(vec![255_u8, 0]));
    check("BitwiseNot", &[&axis(vec![0_i32])], &[], &axis(vec![-1_i32]));
    check("BitwiseAnd", &[&axis(vec![-1_i64]), &axis(vec![LARGE])], &[], &axis(vec![LARGE]));
    check("BitwiseOr", &[&axis(vec![i64::MIN]), &axis(vec![1_i64])], &[], &axis(vec![i64::MIN + 1]));
    check("BitwiseXor", &[&axis(vec![0xf0_u8]), &axis(vec![0xff_u8])], &[], &axis(vec![0x0f_u8]));
    let (t, f) = (scalar(true), axis(vec![true, false]));
    check("And", &[&t, &f], &[], &axis(vec![true, false]));
    check("Or", &[&t, &f], &[], &axis(vec![true, true]));
    check("Xor", &[&t, &f], &[], &axis(vec![false, true]));
    check("Not", &[&f], &[], &axis(vec![false, true]));
    check("Equal", &[&axis(vec![LARGE, 1]), &axis(vec![LARGE - 1, 1])], &[], &axis(vec![false, true]));
    check("Equal", &[&texts(&["a", "b"]), &texts(&["a", "c"])], &[], &axis(vec![true, false]));
    check("Less", &[&axis(vec![u64::MAX - 1]), &axis(vec![u64::MAX])], &[], &axis(vec![true]));
    check("GreaterOrEqual", &[&axis(vec![f64::NAN, 1.0]), &axis(vec![1.0, 1.0])], &[], &axis(vec![false, true]));
    check(
        "IsInf",
        &[&axis(vec![f64::INFINITY, f64::NEG_INFINITY, 0.0])],
        &[("detect_negative", Int(0))],
        &axis(vec![true, false, false]),
    );
    check("IsNaN", &[&axis(vec![f64::NAN, 0.0])], &[], &axis(vec![true, false]));
    check("Where", &[&axis(vec![true, false]), &scalar(LARGE), &scalar(0_i64)], &[], &axis(vec![LARGE, 0]));
}

#[test]
fn shapes_change_and_elements_stay() {
    let x = of(&[2, 3], vec![1_i64, 2, 3, 4, 5, 6]);
    check("Transpose", &[&x], &[], &of(&[3, 2], vec![1_i64, 4, 2, 5, 3, 6]));
    check("Reshape", &[&x, &axis(vec![0_i64, -1, 1])], &[], &of(&[2, 3, 1], vec![1_i64, 2, 3, 4, 5, 6]));
    check(
        "Reshape",
        &[&of(&[0, 3], Vec::<u8>::new()), &axis(vec![3_i64, 0])],
        &[("allowzero", Int(1))],
        &of(&[3, 0], Vec::<u8>::new()),
    );
    check("Flatten", &[&x], &[("axis", Int(-2))], &of(&[1, 6], vec![1_i64, 2, 3, 4, 5, 6]));
    check("Squeeze", &[&of(&[1, 2, 1], vec![1_u8, 2]), &axis(vec![-1_i64])], &[], &of(&[1, 2], vec![1_u8, 2]));
    check("Unsqueeze", &[&axis(vec![1_u8, 2]), &axis(vec![-1_i64, 0])], &[], &of(&[1, 2, 1], vec![1_u8, 2]));
    check("Expand", &[&of(&[2, 1], vec![1_u8, 2]), &axis(vec![1_i64, 2])], &[], &of(&[2, 2], vec![1_u8, 1, 2, 2]));
    check("Tile", &[&axis(vec![1_u8, 2]), &axis(vec![2_i64])], &[], &axis(vec![1_u8, 2, 1, 2]));
    check("Tile", &[&axis(vec![1_u8, 2]), &axis(vec![0_i64])], &[], &axis(Vec::<u8>::new()));
    check(
        "Concat",
        &[&axis(vec![1_u8]), &axis(Vec::<u8>::new()), &axis(vec![3_u8])],
        &[("axis", Int(-1))],
        &axis(vec![1_u8, 3]),
    );
    check("Trilu", &[&x, &scalar(1_i64)], &[("upper", Int(0))], &of(&[2, 3], vec![1_i64, 2, 0, 4, 5, 6]));
    check("Trilu", &[&x, &scalar(i64::MAX)], &[], &of(&[2, 3], vec![0_i64; 6]));
    check(
        "DepthToSpace",
        &[&of(&[1, 4, 1, 1], vec![1_i64, 2, 3, 4])],
        &[("blocksize", Int(2))],
        &of(&[1, 1, 2, 2], vec![1_i64, 2, 3, 4]),
    );
    check(
        "SpaceToDepth",
        &[&of(&[1, 1, 2, 2], vec![1_i64, 2, 3, 4])],
        &[("blocksize", Int(2))],
        &of(&[1, 4, 1, 1], vec![1_i64, 2, 3, 4]),
    );
}

#[test]
fn slices_go_either_way_and_end_with_the_axis() {
    let x = axis(vec![0_i64, 1, 2, 3, 4]);
    let slice = |start: i64, end: i64, step: i64, expected: Vec<i64>| {
        let [start, end, step, on] = [start, end, step, -1].map(|value| axis(vec![value]));
        check("Slice", &[&x, &start, &end, &on, &step], &[], &axis(expected));
    };
    slice(1, 4, 2, vec![1, 3]);
    slice(-1, i64::MIN, -2, vec![4, 2, 0]);
    slice(i64::MAX, i64::MIN, -1, vec![4, 3, 2, 1, 0]);
    slice(i64::MIN, i64::MAX, i64::MAX, vec![0]);
    // Before the first, a start is the first.
    slice(-9, -9, -1, vec![0]);
    slice(3, 3, 1, vec![]);
    slice(4, 1, 1, vec![]);
    slice(2, 0, i64::MIN, vec![2]);
    let none = axis(Vec::<i64>::new());
    check(
        "Slice",
        &[&none, &axis(vec![-1_i64]), &axis(vec![i64::MIN]), &axis(vec![0_i64]), &axis(vec![-1_i64])],
        &[],
        &none,
    );
    refused(
        "Slice",
        &[&x, &axis(vec![0_i64]), &axis(vec![1_i64]), &axis(vec![0_i64]), &axis(vec![0_i64])],
        &[],
        "a step of 0",
    );
}

#[test]
fn splits_are_equal_or_as_they_are_said_to_be() {
    let x = axis(vec![1_u8, 2, 3, 4, 5]);
    let of_three = [axis(vec![1_u8, 2]), axis(vec![3_u8, 4]), axis(vec![5_u8])];
    check_all("Split", &[&x], &[("num_outputs", Int(3))], &of_three);
    check_all("Split", &[&x, &axis(vec![0_i64, 5])], &[("axis", Int(-1))], &[axis(Vec::<u8>::new()), x.clone()]);
    refused(
        "Split",
        &[&x, &axis(vec![i64::MAX, i64::MAX])],
        &[],
        "5 cannot be split into [9223372036854775807, 9223372036854775807] for 1 outputs",
    );
    refused("Split", &[&x, &axis(vec![-1_i64, 6])], &[], "5 cannot be split into [-1, 6] for 1 outputs");
    refused("Split", &[&x], &[("num_outputs", Int(2))], "5 cannot be split into 1 parts");
}

#[test]
fn parts_are_taken_and_put_by_their_indices() {
    let x = of(&[2, 2], vec![1_i64, 2, 3, 4]);
    check("Gather", &[&x, &scalar(-1_i64)], &[("axis", Int(-1))], &axis(vec![2_i64, 4]));
    check("Gather", &[&x, &of(&[0, 2], Vec::<i32>::new())], &[], &of(&[0, 2, 2], Vec::<i64>::new()));
    refused("Gather", &[&x, &scalar(2_i64)], &[], "there is no index 2 among 2");
    refused("Gather", &[&x, &scalar(i64::MIN)], &[], "there is no index -9223372036854775808 among 2");
    check("GatherElements", &[&x, &of(&[1, 2], vec![-1_i64, 0])], &[], &of(&[1, 2], vec![3_i64, 2]));
    check("GatherND", &[&x, &of(&[1, 2], vec![-1_i64, 0])], &[], &axis(vec![3_i64]));
    let wrapped = of(&[2, 2], vec![1_u8, 2, 3, 4]);
    let to = of(&[1, 2], vec![1_i64, 1]);
    check(
        "ScatterElements",
        &[&wrapped, &to, &of(&[1, 2], vec![255_u8, 9])],
        &[("reduction", Text("add"))],
        &of(&[2, 2], vec![1_u8, 2, 2, 13]),
    );
    check(
        "ScatterND",
        &[&x, &of(&[1, 1], vec![-2_i64]), &of(&[1, 2], vec![LARGE, 0])],
        &[("reduction", Text("max"))],
        &of(&[2, 2], vec![LARGE, 2, 3, 4]),
    );
    check("Compress", &[&x, &axis(vec![false, true])], &[("axis", Int(-1))], &of(&[2, 1], vec![2_i64, 4]));
    check("Compress", &[&x, &axis(vec![false, false, true])], &[], &axis(vec![3_i64]));
    check(
        "ReverseSequence",
        &[&x, &axis(vec![2_i64, 1])],
        &[("batch_axis", Int(1)), ("time_axis", Int(0))],
        &of(&[2, 2], vec![3_i64, 2, 1, 4]),
    );
}

#[test]
fn edges_repeat_reflect_and_go_round() {
    let x = axis(vec![1_i64, 2, 3]);
    let pad = |mode: &str, pads: [i64; 2], expected: Vec<i64>| {
        check("Pad", &[&x, &axis(pads.to_vec())], &[("mode", Text(mode))], &axis(expected));
    };
    pad("constant", [1, -1], vec![0, 1, 2]);
    pad("edge", [2, 1], vec![1, 1, 1, 2, 3, 3]);
    pad("reflect", [2, 2], vec![3, 2, 1, 2, 3, 2, 1]);
    pad("wrap", [1, 2], vec![3, 1, 2, 3, 1, 2]);
    check("Pad", &[&axis(vec![true]), &axis(vec![1_i64, 0]), &scalar(true)], &[], &axis(vec![true, true]));
    let on = [&axis(vec![1_u8]), &axis(vec![0_i64, 1]), &scalar(255_u8), &axis(vec![-1_i64])];
    check("Pad", &on, &[], &axis(vec![1_u8, 255]));
}

#[test]
fn orders_heed_ties_and_what_is_no_number() {
    let x = axis(vec![3_i64, LARGE, LARGE - 1, LARGE]);
    let flat = [("keepdims", Int(0))];
    check("ArgMax", &[&x], &flat, &scalar(1_i64));
    check("ArgMax", &[&x], &[("keepdims", Int(0)), ("select_last_index", Int(1)), ("axis", Int(-1))], &scalar(3_i64));
    check("ArgMin", &[&axis(vec![i64::MAX, i64::MIN])], &flat, &scalar(1_i64));
    check("ArgMax", &[&of(&[0, 2], Vec::<u8>::new())], &[("axis", Int(1))], &of(&[0, 1], Vec::<i64>::new()));
    check_all("TopK", &[&x, &axis(vec![2_i64])], &[], &[axis(vec![LARGE, LARGE]), axis(vec![1_i64, 3])]);
    check_all("TopK", &[&x, &axis(vec![1_i64])], &[("largest", Int(0))], &[axis(vec![3_i64]), axis(vec![0_i64])]);
    check("CumSum", &[&axis(vec![200_u8, 100, 1]), &scalar(-1_i64)], &[], &axis(vec![200_u8, 44, 45]));
    let backwards = [("reverse", Int(1)), ("exclusive", Int(1))];
    check("CumSum", &[&axis(vec![1_i64, 2, 3]), &scalar(0_i64)], &backwards, &axis(vec![5_i64, 3, 0]));
    check("Hardmax", &[&axis(vec![1_f64, 5.0, 5.0])], &[], &axis(vec![0_f64, 1.0, 0.0]));
    check("NonZero", &[&of(&[2, 2], vec![0_u8, 7, 0, 1])], &[], &of(&[2, 2], vec![0_i64, 1, 1, 1]));
    check("NonZero", &[&axis(vec![false, false])], &[], &of(&[1, 0], Vec::<i64>::new()));
}

#[test]
fn what_is_unique_comes_in_its_order_or_in_ascending_order() {
    let x = axis(vec![LARGE, 1, LARGE - 1, 1]);
    let sorted =
        [axis(vec![1, LARGE - 1, LARGE]), axis(vec![1_i64, 2, 0]), axis(vec![2_i64, 0, 1, 0]), axis(vec![2_i64, 1, 1])];
    check_all("Unique", &[&x], &[], &sorted);
    let first =
        [axis(vec![LARGE, 1, LARGE - 1]), axis(vec![0_i64, 1, 2]), axis(vec![0_i64, 1, 2, 1]), axis(vec![1_i64, 2, 1])];
    check_all("Unique", &[&x], &[("sorted", Int(0))], &first);
    let rows = of(&[3, 2], vec![2_u8, 0, 1, 9, 2, 0]);
    let unique =
        [of(&[2, 2], vec![1_u8, 9, 2, 0]), axis(vec![1_i64, 0]), axis(vec![1_i64, 0, 1]), axis(vec![1_i64, 2])];
    check_all("Unique", &[&rows], &[("axis", Int(-2))], &unique);
    check("Unique", &[&texts(&["b", "a", "b"])], &[], &texts(&["a", "b"]));
    check("Unique", &[&axis(vec![true, false, true])], &[], &axis(vec![false, true]));
    check_all("Unique", &[&axis(Vec::<f64>::new())], &[], &[axis(Vec::<f64>::new()), axis(Vec::<i64>::new())]);
    // What is no number is behind all numbers, once.
    let strange = [axis(vec![1_i64, 0]), axis(vec![1_i64, 0, 1]), axis(vec![1_i64, 2])];
    let outputs = super::host::outputs("Unique", &[&axis(vec![f64::NAN, -1.0, f64::NAN])], &[], 4).unwrap();
    assert_eq!(outputs[1..], strange);
}

#[test]
fn reductions_are_exact_and_of_nothing_what_their_operation_starts_from() {
    let rows = of(&[2, 2], vec![LARGE, 1, -1, 2]);
    let along = |operator: &str, expected: [i64; 2]| {
        check(operator, &[&rows, &axis(vec![-1_i64])], &[("keepdims", Int(0))], &axis(expected.to_vec()));
    };
    along("ReduceSum", [LARGE + 1, 1]);
    along("ReduceMax", [LARGE, 2]);
    along("ReduceMin", [1, -1]);
    along("ReduceProd", [LARGE, -2]);
    along("ReduceL1", [LARGE + 1, 3]);
    along("ReduceSumSquare", [LARGE.wrapping_mul(LARGE) + 1, 5]);
    check("ReduceSum", &[&of(&[2, 0], Vec::<i32>::new()), &axis(vec![1_i64])], &[], &of(&[2, 1], vec![0_i32, 0]));
    check("ReduceProd", &[&of(&[2, 0], Vec::<i32>::new()), &axis(vec![1_i64])], &[], &of(&[2, 1], vec![1_i32, 1]));
    check(
        "ReduceMax",
        &[&of(&[1, 0], Vec::<f64>::new()), &axis(vec![1_i64])],
        &[],
        &of(&[1, 1], vec![f64::NEG_INFINITY]),
    );
    check("ReduceMin", &[&of(&[1, 0], Vec::<i32>::new()), &axis(vec![1_i64])], &[], &of(&[1, 1], vec![i32::MAX]));
    check("ReduceMax", &[&axis(vec![false, true])], &[("keepdims", Int(0))], &scalar(true));
    let kept = [("noop_with_empty_axes", Int(1))];
    check("ReduceSum", &[&axis(vec![1_i64, 2])], &kept, &axis(vec![1_i64, 2]));
    check("ReduceL2", &[&axis(vec![3_f64, 4.0])], &[], &axis(vec![5_f64]));
    check("ReduceLogSum", &[&axis(vec![0.5_f64, 0.5])], &[], &axis(vec![0_f64]));
    check("ReduceLogSumExp", &[&axis(vec![1000_f64])], &[], &axis(vec![1000_f64]));
    refused("ReduceSum", &[&rows, &axis(vec![2_i64])], &[], "there is no axis 2 among 2");
}

#[test]
fn products_of_integers_are_exact() {
    let (a, b) = (of(&[1, 2], vec![LARGE, 1]), of(&[2, 1], vec![1_i64, -1]));
    check("MatMul", &[&a, &b], &[], &of(&[1, 1], vec![LARGE - 1]));
    check(
        "MatMul",
        &[&of(&[2, 0], Vec::<i32>::new()), &of(&[0, 1], Vec::<i32>::new())],
        &[],
        &of(&[2, 1], vec![0_i32, 0]),
    );
    let equation = |equation| [("equation", Text(equation))];
    check("Einsum", &[&a, &b], &equation("ij,jk->ik"), &of(&[1, 1], vec![LARGE - 1]));
    let square = of(&[2, 2], vec![1_i32, 2, 3, i32::MAX]);
    check("Einsum", &[&square], &equation("ii->i"), &axis(vec![1, i32::MAX]));
    check("Einsum", &[&square], &equation("ii"), &scalar(1_i32.wrapping_add(i32::MAX)));
    check("Einsum", &[&square], &equation("ba"), &of(&[2, 2], vec![1, 3, 2, i32::MAX]));
    let batch = [&of(&[2, 1, 2], vec![1_i64, 2, 3, 4]), &of(&[2, 1], vec![1_i64, 10])];
    check("Einsum", &batch, &equation("...ij, ...jk -> ...ik"), &of(&[2, 1, 1], vec![21_i64, 43]));
    refused("Einsum", &[&a, &a], &equation("ij,jk->ik"), "equation `ij,jk->ik`: `j` is 2 and 1");
    let bytes = [&of(&[1, 2], vec![255_u8, 0]), &of(&[2, 1], vec![-128_i8, 127]), &scalar(0_u8), &scalar(127_i8)];
    check("MatMulInteger", &bytes, &[], &of(&[1, 1], vec![-255 * 255_i32]));
}

#[test]
fn bytes_are_scaled_by_block_and_in_the_precision_that_is_asked_for() {
    let x = of(&[1, 3], vec![1_f32, 2.0, 300.0]);
    let blocks = [("block_size", Int(2)), ("axis", Int(-1))];
    let (scales, zeros) = (of(&[1, 2], vec![0.5_f32, 2.0]), of(&[1, 2], vec![10_u8, 0]));
    check("QuantizeLinear", &[&x, &scales, &zeros], &blocks, &of(&[1, 3], vec![12_u8, 14, 150]));
    let bytes = of(&[1, 3], vec![12_u8, 14, 150]);
    check("DequantizeLinear", &[&bytes, &scales, &zeros], &blocks, &x);
    refused(
        "DequantizeLinear",
        &[&bytes, &axis(vec![1_f32, 2.0]), &axis(vec![0_u8, 0])],
        &blocks,
        "input 1: float[2] for axis 1 of uint8[1, 3]",
    );
    let wide = [("output_dtype", Int(ElementType::I16.code().into()))];
    check("QuantizeLinear", &[&axis(vec![-9e9_f32, 0.5, 1.5]), &scalar(1_f32)], &wide, &axis(vec![i16::MIN, 0, 2]));
    // 2049 is no half-precision float, and 2048 is.
    let half =
        [("precision", Int(ElementType::F16.code().into())), ("output_dtype", Int(ElementType::I16.code().into()))];
    check("QuantizeLinear", &[&axis(vec![2049_f32]), &scalar(1_f32)], &half, &axis(vec![2048_i16]));
}

#[test]
fn regions_have_as_many_samples_as_they_are_large() {
    let (x, image) = (of(&[1, 1, 4, 4], (0..16).map(|cell| cell as f32).collect()), axis(vec![0_i64]));
    let region = |corners: [f32; 4]| of(&[1, 4], corners.to_vec());
    let one = |value: f32| of(&[1, 1, 1, 1], vec![value]);
    // In the middles of the first 3 x 3 cells, of none, and, of one cell at least, of four that meet.
    let first = region([0.0, 0.0, 3.0, 3.0]);
    check("RoiAlign", &[&x, &first, &image], &[], &one(5.0));
    check("RoiAlign", &[&x, &first, &image], &[("mode", Text("max"))], &one(10.0));
    let point = region([2.0; 4]);
    check("RoiAlign", &[&x, &point, &image], &[], &one(0.0));
    let whole = [("coordinate_transformation_mode", Text("output_half_pixel"))];
    check("RoiAlign", &[&x, &point, &image], &whole, &one(12.5));
    refused("RoiAlign", &[&x, &first, &axis(vec![1_i64])], &[], "batch_indices [1] of 1 images");
    let endless = region([0.0, 0.0, f32::INFINITY, 1.0]);
    assert!(outputs("RoiAlign", &[&x, &endless, &image], &[], 1).is_err(), "so many samples end no step");
}
