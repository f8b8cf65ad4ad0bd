//! Files that are broken, or made to do harm: each is an error.

use std::path::Path;

use omma::Error;
use omma::onnx::{self, Options};

use super::wire::{Attribute, FLOAT, File, INT64};

/// The message of the error that these bytes are.
fn refused(bytes: &[u8]) -> String {
    match onnx::load(bytes) {
        Ok(model) => panic!("loaded, with the outputs {:?}", model.outputs()),
        Err(error) => error.to_string(),
    }
}

/// A model y = x + w of a hostile w.
fn sum(weight: impl FnOnce(File) -> File) -> Vec<u8> {
    let file = weight(File::new(17).input("x", FLOAT, &[2]));
    file.node("Add", &["x", "w"], &["y"]).output("y", FLOAT).bytes()
}

fn says(bytes: &[u8], parts: &[&str]) {
    let message = refused(bytes);
    for part in parts {
        assert!(message.contains(part), "`{message}` says nothing of `{part}`");
    }
}

#[test]
fn a_file_that_was_cut_is_an_error_wherever_it_was() {
    let path = Path::new("tests/onnx/cases/chain_lenet/model.onnx");
    let whole = std::fs::read(path).unwrap();
    for cut in (0..whole.len()).step_by(whole.len() / 97) {
        refused(&whole[..cut]);
    }
}

#[test]
fn bytes_that_are_something_else_are_no_model() {
    says(b"", &["no graph"]);
    says(b"\x89PNG\r\n\x1a\n", &["no ONNX model"]);
    // The graph, field 7, as a number and not as a message.
    says(&[7 << 3, 1], &["no ONNX model"]);
    says(&[0xff; 64], &["no ONNX model"]);
}

#[test]
fn extents_are_natural_numbers_that_can_be_counted() {
    says(&sum(|file| file.floats("w", &[-2], &[1.0, 2.0])), &["`w`", "-2"]);
    says(&sum(|file| file.floats("w", &[i64::MAX, i64::MAX], &[])), &["`w`", "more elements"]);
    says(&sum(|file| file.floats("w", &[1 << 40, 1 << 40, 0], &[])), &["`w`"]);
    says(
        &File::new(17).input("x", FLOAT, &[-3]).node("Relu", &["x"], &["y"]).output("y", FLOAT).bytes(),
        &["`x`", "-3"],
    );
    says(&sum(|file| file.floats("w", &[1; 100_000], &[1.0])), &["`w`", "100000 axes"]);
    // Flatten multiplies the extents on each side of its axis, and a 0 among the others hides what these come to.
    for extents in [&[1 << 40, 1 << 40, 1 << 40][..], &[0, 1 << 40, 1 << 40]] {
        let flat = File::new(17).input("x", FLOAT, extents).node("Flatten", &["x"], &["y"]).output("y", FLOAT);
        let loaded = Options::default().other_dims(0).load(flat.bytes()).map(|_| "loaded");
        assert!(loaded.unwrap_err().to_string().contains("more elements than can be counted"));
    }
    // What some writers have for an extent that is open.
    let open = File::new(17).input("x", FLOAT, &[-1, 2]).node("Relu", &["x"], &["y"]).output("y", FLOAT).bytes();
    says(&open, &["`x`", "not known"]);
    let model = Options::default().shape("x", &[3, 2]).load(open).unwrap();
    assert_eq!(model.output("y").unwrap().shape().to_string(), "[3, 2]");
    let far = File::new(17).input("x", FLOAT, &[1 << 25, 1 << 25]).node("Relu", &["x"], &["y"]).output("y", FLOAT);
    says(&far.bytes(), &["2^48"]);
}

#[test]
fn data_are_as_many_as_the_extents_say() {
    says(&sum(|file| file.raw("w", FLOAT, &[2], &[0; 7])), &["`w`", "7 bytes"]);
    says(&sum(|file| file.raw("w", FLOAT, &[1 << 40], &[0; 8])), &["`w`", "8 bytes"]);
    says(&sum(|file| file.floats("w", &[3], &[1.0, 2.0])), &["`w`"]);
    // Texts where numbers belong.
    says(&sum(|file| file.raw("w", 8, &[2], b"ab")), &["`w`", "texts"]);
    says(&sum(|file| file.raw("w", 99, &[2], b"ab")), &["`w`", "99"]);
}

#[test]
fn names_have_to_be_computed_before_they_are_used() {
    let base = || File::new(17).input("x", FLOAT, &[2]);
    says(&base().node("Relu", &["z"], &["y"]).output("y", FLOAT).bytes(), &["Relu", "`z`"]);
    let circle = base().node("Add", &["x", "b"], &["a"]).node("Relu", &["a"], &["b"]).output("b", FLOAT);
    says(&circle.bytes(), &["Add", "`b`"]);
    says(&base().node("Relu", &["y"], &["y"]).output("y", FLOAT).bytes(), &["Relu", "`y`"]);
    says(&base().output("y", FLOAT).bytes(), &["`y`"]);
    let twice = base().node("Relu", &["x"], &["y"]).node("Abs", &["x"], &["y"]).output("y", FLOAT);
    says(&twice.bytes(), &["`y`", "twice"]);
}

#[test]
fn nesting_has_an_end() {
    let deep = File::new(17).nested(10_000).output("y", FLOAT);
    says(&deep.bytes(), &["no ONNX model", "recursion"]);
    let endless = File::new(17).own_node("Endless", "y").output("y", FLOAT);
    says(&endless.bytes_with_endless("Endless"), &["Endless", "nested"]);
}

#[test]
fn shapes_of_more_than_memory_are_not_made() {
    let huge = |operator: &str, inputs: &[&str]| {
        let file = File::new(17).integers("shape", &[2], &[1 << 31, 1 << 31]).integers("zero", &[], &[0]);
        let file = file.integers("far", &[], &[i64::MAX]).integers("one", &[], &[1]);
        file.node(operator, inputs, &["y"]).output("y", INT64).bytes()
    };
    let refusals = [
        huge("ConstantOfShape", &["shape"]),
        huge("Expand", &["one", "shape"]),
        // The result has axes that are one in memory, of more elements than can be counted.
        File::new(17)
            .input("x", FLOAT, &[1])
            .integers("shape", &[2], &[1 << 40, 1 << 40])
            .node("Expand", &["x", "shape"], &["y"])
            .output("y", FLOAT)
            .bytes(),
        huge("Range", &["zero", "far", "one"]),
        huge("Tile", &["shape", "far"]),
        huge("Pad", &["shape", "shape"]),
        huge("OneHot", &["zero", "far", "shape"]),
    ];
    refusals.iter().for_each(|bytes| drop(refused(bytes)));
}

#[test]
fn weights_without_axes_are_no_filters() {
    for operator in ["Conv", "ConvInteger", "ConvTranspose"] {
        let element = if operator == "ConvInteger" { 2 } else { FLOAT };
        let file = File::new(18).input("x", element, &[1, 1, 2, 2]).input("w", element, &[]);
        says(&file.node(operator, &["x", "w"], &["y"]).output("y", FLOAT).bytes(), &[operator, "expected weights"]);
    }
}

#[test]
fn the_least_integer_has_no_magnitude() {
    let file = File::new(18).input("x", INT64, &[2]).integers("pads", &[2], &[1, 0]);
    let file = file.integers("value", &[], &[i64::MIN]).node("Pad", &["x", "pads", "value"], &["y"]);
    // The device has no such number, so that the host pads after a step.
    let model = onnx::load(file.output("y", INT64).bytes()).unwrap();
    assert!(model.output("y").is_err() && model.outputs()[0].constant().is_none());
}

#[test]
fn external_data_lie_beside_the_model_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("model");
    std::fs::create_dir(&inside).unwrap();
    let values = [1.0_f32, 2.0].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    std::fs::write(folder.path().join("outside.bin"), &values).unwrap();
    std::fs::write(inside.join("w.bin"), &values).unwrap();
    let load = |entries: &[(&str, &str)]| {
        let path = inside.join("model.onnx");
        std::fs::write(&path, sum(|file| file.external("w", &[2], entries))).unwrap();
        Options::default().load(&path).map(drop)
    };
    load(&[("location", "w.bin")]).unwrap();
    load(&[("location", "w.bin"), ("offset", "0"), ("length", "8")]).unwrap();
    std::fs::create_dir(inside.join("deeper")).unwrap();
    load(&[("location", "./w.bin")]).unwrap();
    load(&[("location", "deeper/../w.bin")]).unwrap();
    let absolute = folder.path().join("outside.bin");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&absolute, inside.join("link.bin")).unwrap();
        std::os::unix::fs::symlink(folder.path(), inside.join("folder")).unwrap();
    }
    let refusals: [&[(&str, &str)]; 12] = [
        &[],
        &[("location", "")],
        &[("location", "nowhere.bin")],
        &[("location", absolute.to_str().unwrap())],
        &[("location", "../outside.bin")],
        &[("location", "./../outside.bin")],
        &[("location", "deeper/../../inside/w.bin")],
        &[("location", "link.bin")],
        &[("location", "folder/outside.bin")],
        &[("location", "w.bin"), ("offset", "4")],
        &[("location", "w.bin"), ("offset", "18446744073709551615"), ("length", "8")],
        &[("location", "w.bin"), ("length", "-8")],
    ];
    for entries in refusals {
        match load(entries) {
            Err(Error::Data { message, .. }) => assert!(message.contains("`w`"), "{message}"),
            other => panic!("{entries:?}: {other:?}"),
        }
    }
    // Bytes alone have no folder.
    says(&sum(|file| file.external("w", &[2], &[("location", "w.bin")])), &["`w`", "not read from a file"]);
}

#[test]
fn a_small_file_keeps_no_machine_busy() {
    const INT32: i64 = 6;
    // Each node multiplies matrices of 128 x 128 integers, two million products: all of them would take minutes.
    let file = File::new(18).integers("shape", &[2], &[128, 128]);
    let one = Attribute::Tensor(INT32, &[1], &[1, 0, 0, 0]);
    let file = file.node_with("ConstantOfShape", &["shape"], &["x0"], &[("value", one)]);
    let name = |number: usize| format!("x{number}");
    let product = |file: File, number: usize| file.node("MatMul", &[&name(number), "x0"], &[&name(number + 1)]);
    let file = (0..20_000).fold(file, product).output("x20000", INT32);
    says(&file.bytes(), &["MatMul \"x", "the host computes at most 67", "for a file of this size"]);

    // A million boxes that do not overlap, each beside all others.
    let file = File::new(18).integers("boxes", &[3], &[1, 1 << 20, 4]).integers("scores", &[3], &[1, 1, 1 << 20]);
    let file = file.integers("most", &[], &[1 << 20]);
    let file = file.node("ConstantOfShape", &["boxes"], &["b"]).node("ConstantOfShape", &["scores"], &["s"]);
    let file = file.node("NonMaxSuppression", &["b", "s", "most"], &["y"]).output("y", INT64);
    says(&file.bytes(), &["NonMaxSuppression \"y\"", "the host computes at most"]);
}
