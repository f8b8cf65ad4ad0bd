//! Operators of tensors: integers on the device, older operator sets, and what an output can be.

use omma::onnx::{Array, Options, Runner};

use super::wire::{Attribute, BOOL, FLOAT, FLOAT16, File, INT64};
use crate::gpu;
use crate::support::message;

fn floats(shape: &[usize], values: &[f32]) -> Array {
    Array::new(shape, values.to_vec()).unwrap()
}

fn integers(shape: &[usize], values: &[i64]) -> Array {
    Array::new(shape, values.to_vec()).unwrap()
}

/// The outputs of a file whose inputs are not told at load; `None` without a device.
fn run(file: &File, inputs: &[(&str, &Array)]) -> Option<omma::Result<Vec<Array>>> {
    let gpu = gpu()?;
    let model = Options::default().load(file.bytes()).unwrap();
    let outputs = Runner::new(gpu, &model).unwrap().run_blocking(inputs);
    Some(outputs.map(|outputs| outputs.into_iter().map(|(_, array)| array).collect()))
}

fn check(file: &File, inputs: &[(&str, &Array)], expected: &[Array]) {
    if let Some(outputs) = run(file, inputs) {
        assert_eq!(outputs.unwrap(), expected);
    }
}

#[test]
fn indices_that_are_fed_count_from_either_end() {
    let file = File::new(17)
        .input("ids", INT64, &[3])
        .floats("table", &[4, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
        .integers("numbers", &[4], &[10, 20, 30, 40])
        .node("Gather", &["table", "ids"], &["rows"])
        .node("Gather", &["numbers", "ids"], &["picked"])
        .output("rows", FLOAT)
        .output("picked", INT64);
    let rows = floats(&[3, 2], &[6.0, 7.0, 0.0, 1.0, 4.0, 5.0]);
    check(&file, &[("ids", &integers(&[3], &[-1, 0, 2]))], &[rows, integers(&[3], &[40, 10, 30])]);
    // Nothing stands at 4: of floats that is not-a-number, and an integer cannot say so.
    let Some(outputs) = run(&file, &[("ids", &integers(&[3], &[0, 4, 2]))]) else { return };
    assert_eq!(message(outputs), "ONNX: a step gave no number for an integer: an index was out of range");
}

#[test]
fn integers_on_the_device_are_exact_or_refused() {
    let file = File::new(17)
        .input("ids", INT64, &[4])
        .integers("one", &[], &[1])
        .node("Add", &["ids", "one"], &["next"])
        .node("Equal", &["next", "one"], &["start"])
        .node_with("Cast", &["start"], &["weight"], &[("to", Attribute::Int(FLOAT))])
        .node_with("ReduceMax", &["next"], &["last"], &[("keepdims", Attribute::Int(0))])
        .output("next", INT64)
        .output("start", BOOL)
        .output("weight", FLOAT)
        .output("last", INT64);
    let most = 1 << 22;
    let start = Array::new(&[4], vec![false, true, false, false]).unwrap();
    let expected =
        [integers(&[4], &[most + 1, 1, -6, 8]), start, floats(&[4], &[0.0, 1.0, 0.0, 0.0]), integers(&[], &[most + 1])];
    check(&file, &[("ids", &integers(&[4], &[most, 0, -7, 7]))], &expected);
    let Some(outputs) = run(&file, &[("ids", &integers(&[4], &[most + 1, 0, 0, 0]))]) else { return };
    let range = "the device computes with its integers, which may be -4194304 to 4194304";
    assert_eq!(message(outputs), format!("ONNX: input `ids`: a number is out of range: {range}"));
}

#[test]
fn places_that_the_device_finds_are_used_there() {
    let file = File::new(17)
        .input("x", FLOAT, &[2, 3])
        .integers("depth", &[1], &[3])
        .floats("values", &[2], &[-1.0, 5.0])
        .node_with("ArgMax", &["x"], &["best"], &[("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(0))])
        .node("OneHot", &["best", "depth", "values"], &["hot"])
        .node_with("Cast", &["best"], &["number"], &[("to", Attribute::Int(FLOAT))])
        .node("Mul", &["best", "best"], &["square"])
        .output("best", INT64)
        .output("hot", FLOAT)
        .output("number", FLOAT)
        .output("square", INT64);
    let expected = [
        integers(&[2], &[2, 1]),
        floats(&[2, 3], &[-1.0, -1.0, 5.0, -1.0, 5.0, -1.0]),
        floats(&[2], &[2.0, 1.0]),
        integers(&[2], &[4, 1]),
    ];
    check(&file, &[("x", &floats(&[2, 3], &[0.5, 1.0, 3.0, 0.0, 9.0, -1.0]))], &expected);
}

#[test]
fn an_output_is_anything_that_has_a_name() {
    let file = File::new(17)
        .input("x", FLOAT, &[2])
        .input("wide", INT64, &[1])
        .input("idle", FLOAT, &[0])
        .sequence("list")
        .floats("w", &[2], &[3.0, 4.0])
        .node("Identity", &["wide"], &["same"])
        .node("Add", &["x", "w"], &["sum"])
        .node("Identity", &["sum"], &["again"])
        .node("Shape", &["sum"], &["shape"])
        .output("same", INT64)
        .output("sum", FLOAT)
        .output("again", FLOAT)
        .output("w", FLOAT)
        .output("x", FLOAT)
        .output("shape", INT64);
    let (x, wide) = (floats(&[2], &[1.0, 2.0]), integers(&[1], &[i64::MAX]));
    let sum = floats(&[2], &[4.0, 6.0]);
    let expected = [wide.clone(), sum.clone(), sum, floats(&[2], &[3.0, 4.0]), x.clone(), integers(&[1], &[2])];
    let fed: [(&str, &Array); 3] = [("x", &x), ("wide", &wide), ("idle", &floats(&[0], &[]))];
    check(&file, &fed, &expected);
    check(&file, &fed[..2], &expected);

    let model = Options::default().outputs(&["w", "x"]).load(file.bytes()).unwrap();
    assert_eq!(model.inputs().iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["x"]);
    let model = Options::default().load(file.bytes()).unwrap();
    assert_eq!(model.graph().tensor("sum").unwrap().id(), model.output("again").unwrap().id());
    if let Some(gpu) = gpu() {
        let model = Options::default().outputs(&["shape", "w"]).load(file.bytes()).unwrap();
        let outputs = Runner::new(gpu, &model).unwrap().run_blocking(&[("x", &x)]).unwrap();
        assert_eq!(outputs[0], ("shape".into(), integers(&[1], &[2])));
    }
    // A node's name stands for what it computes.
    let named = File::new(17).input("x", FLOAT, &[2]).named("first", "Neg", "x", "y").output("y", FLOAT);
    let model = Options::default().outputs(&["first"]).load(named.bytes()).unwrap();
    assert_eq!(model.output("first").unwrap().shape().to_string(), "[2]");
    let wrong = Options::default().value("y", x.clone()).load(file.bytes());
    assert_eq!(message(wrong), "ONNX: there is no input `y` to tell a value or a shape of");
    let wrong = Options::default().outputs(&["y"]).load(file.bytes());
    assert_eq!(message(wrong), "ONNX: no node computes the output `y`");
}

#[test]
fn a_value_that_shapes_depend_on_stays_what_it_was_at_load() {
    let file = File::new(17)
        .input("x", FLOAT, &[2])
        .input("fill", FLOAT, &[])
        .integers("pads", &[2], &[1, 0])
        .node("Pad", &["x", "pads", "fill"], &["y"])
        .output("y", FLOAT);
    let Some(gpu) = gpu() else { return };
    let (x, fill) = (floats(&[2], &[1.0, 2.0]), floats(&[], &[-3.0]));
    let model = Options::default().value("fill", fill.clone()).load(file.bytes()).unwrap();
    let mut runner = Runner::new(gpu, &model).unwrap();
    let outputs = runner.run_blocking(&[("x", &x), ("fill", &fill)]).unwrap();
    assert_eq!(outputs[0].1, floats(&[3], &[-3.0, 1.0, 2.0]));
    let other = runner.run_blocking(&[("x", &x), ("fill", &floats(&[], &[4.0]))]);
    let refused = |name: &str| format!("ONNX: input `{name}`: the model was loaded for another value of it");
    assert_eq!(message(other), refused("fill"));

    let file = File::new(17)
        .input("x", FLOAT, &[2])
        .input("shape", INT64, &[2])
        .node("Reshape", &["x", "shape"], &["y"])
        .output("y", FLOAT);
    let shape = integers(&[2], &[1, 2]);
    let model = Options::default().value("shape", shape.clone()).load(file.bytes()).unwrap();
    let mut runner = Runner::new(gpu, &model).unwrap();
    let outputs = runner.run_blocking(&[("x", &x), ("shape", &shape)]).unwrap();
    assert_eq!(outputs[0].1, floats(&[1, 2], &[1.0, 2.0]));
    let other = runner.run_blocking(&[("x", &x), ("shape", &integers(&[2], &[2, 1]))]);
    assert_eq!(message(other), refused("shape"));
}

#[test]
fn half_precision_comes_back_as_such() {
    let file = File::new(17)
        .input("x", FLOAT16, &[2])
        .node("Exp", &["x"], &["y"])
        .node_with("Cast", &["y"], &["wide"], &[("to", Attribute::Int(FLOAT))])
        .output("y", FLOAT16)
        .output("wide", FLOAT);
    let x = floats(&[2], &[0.0, 1.0]).cast(omma::onnx::ElementType::F16).unwrap();
    let Some(outputs) = run(&file, &[("x", &x)]) else { return };
    let outputs = outputs.unwrap();
    assert_eq!(outputs[0].to_string(), "float16[2]");
    assert_eq!(outputs[1].to_string(), "float[2]");
    // e is 2.71875 as the nearest of half precision.
    assert_eq!(outputs[0].to_f32().unwrap(), [1.0, 2.71875]);
}

#[test]
fn doubles_that_are_fed_may_be_cast_on_the_device() {
    const DOUBLE: i64 = 11;
    let file = File::new(17)
        .input("x", DOUBLE, &[3])
        .node_with("Cast", &["x"], &["z"], &[("to", Attribute::Int(FLOAT))])
        .node("Exp", &["z"], &["y"])
        .node("Add", &["x", "x"], &["twice"])
        .output("y", FLOAT)
        .output("twice", DOUBLE);
    // What has no f32 is rounded for one, and stays what it is for the other.
    let x = Array::new(&[3], vec![0.0_f64, 1e-30, 0.1]).unwrap();
    let Some(outputs) = run(&file, &[("x", &x)]) else { return };
    let outputs = outputs.unwrap();
    let y = outputs[0].to_f32().unwrap();
    assert!(y[..2] == [1.0, 1.0] && (y[2] - 0.1_f32.exp()).abs() <= 4.0 * f32::EPSILON, "{y:?}");
    assert_eq!(outputs[1], Array::new(&[3], vec![0.0_f64, 2e-30, 0.2]).unwrap());
}

#[test]
fn older_operator_sets_have_their_own_rules() {
    type Built = fn(File) -> File;
    let cases: [(&str, i64, Built, Array); 14] = [
        (
            "Add",
            6,
            |file| {
                let aligned = [("broadcast", Attribute::Int(1)), ("axis", Attribute::Int(0))];
                file.floats("b", &[2], &[10.0, 20.0]).node_with("Add", &["x", "b"], &["y"], &aligned)
            },
            floats(&[2, 3], &[10.0, 11.0, 12.0, 23.0, 24.0, 25.0]),
        ),
        (
            // Both are known: the host computes it.
            "Mul",
            6,
            |file| {
                let aligned = [("broadcast", Attribute::Int(1)), ("axis", Attribute::Int(0))];
                let file = file.floats("a", &[2, 2], &[1.0, 2.0, 3.0, 4.0]).floats("b", &[2], &[10.0, 100.0]);
                file.node_with("Mul", &["a", "b"], &["y"], &aligned)
            },
            floats(&[2, 2], &[10.0, 20.0, 300.0, 400.0]),
        ),
        (
            "MeanVarianceNormalization",
            8,
            |file| {
                let file = file.node_with("Reshape", &["x"], &["z"], &[("shape", Attribute::Ints(&[1, 2, 3]))]);
                let only = [("normalize_variance", Attribute::Int(0))];
                file.node_with("MeanVarianceNormalization", &["z"], &["y"], &only)
            },
            floats(&[1, 2, 3], &[-1.0, 0.0, 1.0, -1.0, 0.0, 1.0]),
        ),
        (
            "MeanVarianceNormalization",
            8,
            |file| {
                let file = file.node_with("Reshape", &["x"], &["z"], &[("shape", Attribute::Ints(&[1, 2, 3]))]);
                let across = [("normalize_variance", Attribute::Int(0)), ("across_channels", Attribute::Int(1))];
                file.node_with("MeanVarianceNormalization", &["z"], &["y"], &across)
            },
            floats(&[1, 2, 3], &[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]),
        ),
        (
            "Cast",
            5,
            |file| {
                let file = file.node_with("Cast", &["x"], &["z"], &[("to", Attribute::Text("BOOL"))]);
                file.node_with("Cast", &["z"], &["y"], &[("to", Attribute::Text("FLOAT"))])
            },
            floats(&[2, 3], &[0.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ),
        (
            "Split",
            1,
            |file| {
                let file = file.floats("lengths", &[2], &[1.0, 2.0]);
                file.node_with("Split", &["x", "lengths"], &["a", "y"], &[("axis", Attribute::Int(1))])
            },
            floats(&[2, 2], &[1.0, 2.0, 4.0, 5.0]),
        ),
        (
            "Slice",
            9,
            |file| {
                let at = [
                    ("starts", Attribute::Ints(&[1])),
                    ("ends", Attribute::Ints(&[-1])),
                    ("axes", Attribute::Ints(&[1])),
                ];
                file.node_with("Slice", &["x"], &["y"], &at)
            },
            floats(&[2, 1], &[1.0, 4.0]),
        ),
        (
            "Pad",
            2,
            |file| {
                let by = [("pads", Attribute::Ints(&[0, 1, 0, 0])), ("value", Attribute::Float(7.0))];
                file.node_with("Pad", &["x"], &["y"], &by)
            },
            floats(&[2, 4], &[7.0, 0.0, 1.0, 2.0, 7.0, 3.0, 4.0, 5.0]),
        ),
        (
            "Split",
            2,
            |file| {
                let by = [("axis", Attribute::Int(1)), ("split", Attribute::Ints(&[2, 1]))];
                file.node_with("Split", &["x"], &["a", "y"], &by)
            },
            floats(&[2, 1], &[2.0, 5.0]),
        ),
        (
            "Unsqueeze",
            1,
            |file| {
                let at = [("axes", Attribute::Ints(&[0, 3]))];
                file.node_with("Unsqueeze", &["x"], &["z"], &at).node_with(
                    "Squeeze",
                    &["z"],
                    &["y"],
                    &[("axes", Attribute::Ints(&[3]))],
                )
            },
            floats(&[1, 2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ),
        (
            "TopK",
            1,
            |file| file.node_with("TopK", &["x"], &["y", "i"], &[("k", Attribute::Int(2))]),
            floats(&[2, 2], &[2.0, 1.0, 5.0, 4.0]),
        ),
        (
            "ReduceSum",
            11,
            |file| {
                let over = [("axes", Attribute::Ints(&[-1])), ("keepdims", Attribute::Int(0))];
                file.node_with("ReduceSum", &["x"], &["y"], &over)
            },
            floats(&[2], &[3.0, 12.0]),
        ),
        (
            "Reshape",
            1,
            |file| file.node_with("Reshape", &["x"], &["y"], &[("shape", Attribute::Ints(&[-1, 0]))]),
            floats(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ),
        (
            "Einsum",
            12,
            |file| {
                let named = [("equation", Attribute::Text("ij,kj->ki"))];
                file.node_with("Einsum", &["x", "x"], &["y"], &named)
            },
            floats(&[2, 2], &[5.0, 14.0, 14.0, 50.0]),
        ),
    ];
    let x = floats(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    for (_, opset, build, expected) in cases {
        let file = build(File::new(opset).input("x", FLOAT, &[2, 3])).output("y", FLOAT);
        check(&file, &[("x", &x)], &[expected]);
    }
}

#[test]
fn what_an_operator_refuses_names_the_node() {
    let file = |node: fn(File) -> File| node(File::new(17).input("x", FLOAT, &[2, 3])).output("y", FLOAT).bytes();
    let error = |node| message(Options::default().load(file(node)));
    let error_of = |text: &str| format!("ONNX: {text}");
    assert_eq!(
        error(|file| file.node_with("Transpose", &["x"], &["y"], &[("perm", Attribute::Ints(&[0, 0]))])),
        error_of("Transpose \"y\": axis 0 is named twice")
    );
    assert_eq!(
        error(|file| file.integers("i", &[1], &[3]).node_with(
            "Gather",
            &["x", "i"],
            &["y"],
            &[("axis", Attribute::Int(1))]
        )),
        error_of("Gather \"y\": index 3 of an axis of 3")
    );
    assert_eq!(
        error(|file| file.integers("s", &[2], &[4, 4]).node("Expand", &["x", "s"], &["y"])),
        error_of("Expand \"y\": [2, 3] and [4, 4] have no shape together")
    );
    assert_eq!(
        error(|file| file.node_with("Einsum", &["x"], &["y"], &[("equation", Attribute::Text("ij->k"))])),
        error_of("Einsum \"y\": equation `ij->k`")
    );
}
