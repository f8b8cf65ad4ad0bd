//! Every case of `tests/onnx/cases`: what its outputs are, and its gradients where it has them.

use std::path::{Path, PathBuf};

use omma::onnx::{self, Array, Options, Runner};
use omma::{HostTensor, Session, Tensor};

use crate::gpu;

/// `NAME_0.pb`, `NAME_1.pb`, ... that are there, with their numbers.
fn tensors(case: &Path, name: &str) -> Vec<(usize, Array)> {
    let read = |number: usize| {
        let bytes = std::fs::read(case.join(format!("test_data_set_0/{name}_{number}.pb"))).ok()?;
        Some((number, onnx::read_tensor(&bytes).unwrap()))
    };
    (0..8).filter_map(read).collect()
}

/// Whether these are the numbers, as near as the case says.
fn check(case: &Path, what: &str, got: &Array, expected: &Array) {
    let settings: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(case.join("data.json")).unwrap()).unwrap();
    let [rtol, atol] = ["rtol", "atol"].map(|name| settings[name].as_f64().unwrap() as f32);
    assert_eq!((got.shape(), got.element_type()), (expected.shape(), expected.element_type()), "{case:?}: {what}");
    for (place, (a, b)) in got.to_f32().unwrap().iter().zip(expected.to_f32().unwrap()).enumerate() {
        assert!(
            (a - b).abs() <= atol + rtol * b.abs(),
            "{case:?}: {what}, element {place}: {b} expected, {a} computed"
        );
    }
}

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("tests/onnx/cases").unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn outputs_and_gradients_are_those_of_the_cases() {
    let Some(gpu) = gpu() else { return };
    let mut differentiated = 0;
    for case in cases() {
        let file = case.join("model.onnx");
        let declared = onnx::inputs(&std::fs::read(&file).unwrap()).unwrap();
        let names: Vec<String> =
            declared.into_iter().filter(|input| !input.has_default).map(|input| input.name).collect();
        let inputs = tensors(&case, "input");
        let given =
            |options: Options, (name, (_, array)): (&String, &(usize, Array))| options.value(name, array.clone());
        let model = names.iter().zip(&inputs).fold(Options::default(), given).load(&file).unwrap();
        let needed = |name: &&String| model.inputs().iter().any(|input| input.name == **name);
        let fed: Vec<(&str, &Array)> = names
            .iter()
            .zip(&inputs)
            .filter(|(name, _)| needed(name))
            .map(|(name, (_, a))| (name.as_str(), a))
            .collect();
        let outputs = Runner::new(gpu, &model).unwrap().run_blocking(&fed).unwrap();
        for (number, expected) in tensors(&case, "output") {
            check(&case, &outputs[number].0, &outputs[number].1, &expected);
        }
        let (cotangents, gradients) = (tensors(&case, "grad_output"), tensors(&case, "grad_input"));
        if gradients.is_empty() {
            continue;
        }
        differentiated += 1;
        let graph = model.graph();
        let cotangent = |(number, _): &(usize, Array)| {
            let y = model.output(&model.outputs()[*number].name).unwrap();
            (y, graph.input(&format!("cotangent {number}"), y.shape()).unwrap())
        };
        let pairs: Vec<(Tensor<'_>, Tensor<'_>)> = cotangents.iter().map(cotangent).collect();
        let of: Vec<Tensor<'_>> = gradients.iter().map(|(n, _)| graph.tensor(&names[*n]).unwrap()).collect();
        let found: Vec<Tensor<'_>> =
            graph.gradients_of(&pairs, &of).unwrap().into_iter().map(|gradient| gradient.unwrap()).collect();
        let mut session = Session::new(gpu, graph, &found, &model.variables(gpu, 0).unwrap()).unwrap();
        let feed = |name: String, array: &Array| (name, array.to_f32().unwrap());
        let values: Vec<(String, Vec<f32>)> = fed
            .iter()
            .map(|(name, array)| feed((*name).into(), array))
            .chain(cotangents.iter().map(|(number, array)| feed(format!("cotangent {number}"), array)))
            .collect();
        let feeds: Vec<(&str, HostTensor<'_>)> =
            values.iter().map(|(name, values)| (name.as_str(), values.as_slice().into())).collect();
        session.run_blocking(&feeds).unwrap();
        for ((number, expected), gradient) in gradients.iter().zip(found) {
            let got = Array::from(session.read_blocking::<f32>(gradient).unwrap());
            check(&case, &format!("the gradient of {}", names[*number]), &got, expected);
        }
    }
    assert_eq!(differentiated, 5);
}
