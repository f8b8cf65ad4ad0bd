//! ONNX files: what they become, and what is wrong with them.

mod export;
mod fine_tuning;
mod fold;
mod gradients;
mod host;
mod hostile;
mod integers;
mod layers;
mod recurrent;
mod tensors;
mod values;
mod wire;

use std::path::Path;

use omma::onnx::{self, Array, Options, Runner};

use crate::gpu;

fn case(name: &str) -> std::path::PathBuf {
    Path::new("tests/onnx/cases").join(name)
}

fn tensor(path: &Path) -> Array {
    onnx::read_tensor(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_network_of_a_file_gives_what_is_expected_of_it() {
    let Some(gpu) = gpu() else { return };
    let folder = case("chain_lenet");
    let (input, expected) =
        (tensor(&folder.join("test_data_set_0/input_0.pb")), tensor(&folder.join("test_data_set_0/output_0.pb")));
    let model = Options::default().load(folder.join("model.onnx")).unwrap();
    let name = model.inputs()[0].name.clone();
    let outputs = Runner::new(gpu, &model).unwrap().run_blocking(&[(&name, &input)]).unwrap();
    let (got, expected) = (outputs[0].1.to_f32().unwrap(), expected.to_f32().unwrap());
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        assert!((got - expected).abs() <= 1e-4 + 1e-3 * expected.abs(), "{got} {expected}");
    }
}
