//! Batch normalisations in the weights of convolutions: where they may be, and that nothing else changes.

use ndarray::ArrayD;
use omma::onnx::{Array, Export, Model, Options, Runner};
use omma::{BatchNorm, Conv2d, Graph, Mode, NamedArrays, VariableLayout};

use crate::gpu;

/// A grouped convolution with a bias, a normalisation and a ReLU; and the same once more, of which the convolution's result
/// is an output too.
fn file() -> Vec<u8> {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 4, 6, 5]).unwrap();
    let first = x.conv2d("first", Conv2d::new(6, 3).groups(2)).unwrap();
    let y = first.batch_norm("norm", BatchNorm::default()).unwrap().relu().unwrap();
    let second = graph.name("between", y.conv2d("second", Conv2d::new(3, 1).without_bias()).unwrap()).unwrap();
    let z = graph.name("z", second.batch_norm("other", BatchNorm::default()).unwrap()).unwrap();
    let value = |index: usize| 0.25 + ((index * 37) % 23) as f32 / 16.0;
    let some = |(name, array): (String, ArrayD<f32>)| {
        let sign = if name.ends_with("conv.weight") { -1.0 } else { 1.0 };
        let values = (0..array.len()).map(|index| sign * value(index + name.len())).collect();
        (name, ArrayD::from_shape_vec(array.raw_dim(), values).unwrap())
    };
    let weights = VariableLayout::of(&graph, u64::MAX).unwrap().initial_values(1);
    let weights: NamedArrays = weights.into_iter().map(some).collect();
    graph.to_onnx(&[z, second], &weights, &Export::default()).unwrap()
}

fn has(model: &Model, name: &str) -> bool {
    model.graph().tensor(name).is_some()
}

#[test]
fn a_normalisation_is_in_the_weights_where_nothing_else_needs_what_is_before_it() {
    let [inference, training] = [Options::default(), Options::default().training()].map(|o| o.load(file()).unwrap());
    assert!(has(&inference, "first.weight.folded") && has(&inference, "norm.bias.folded"));
    assert!(!has(&inference, "first.weight") && !has(&inference, "norm.weight"));
    assert!(has(&inference, "second.weight") && !has(&inference, "second.weight.folded"));
    // What is learned are the file's own parameters.
    assert!(has(&training, "first.weight") && has(&training, "norm.weight") && !has(&training, "first.weight.folded"));
    let alone = Options::default().outputs(&["z"]).load(file()).unwrap();
    assert!(has(&alone, "second.weight.folded"));
    let Some(gpu) = gpu() else { return };
    let x = Array::new(&[2, 4, 6, 5], (0..240).map(|i| ((i * i) % 29) as f32 / 29.0 - 0.5).collect()).unwrap();
    let computed = |model: &Model| {
        let outputs = Runner::new(gpu, model).unwrap().run_blocking(&[("x", &x)]).unwrap();
        outputs[0].1.to_f32().unwrap()
    };
    let expected = computed(&training);
    // A sum of 18 products and one of 6, each rounded as often, of terms that are not larger than ten times the results.
    let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let bound = 10.0 * 2.0 * (18.0 + 6.0) * f32::EPSILON * largest;
    for model in [&inference, &alone] {
        for (got, expected) in computed(model).iter().zip(&expected) {
            assert!((got - expected).abs() <= bound, "{got} {expected} {bound}");
        }
    }
    assert!(largest > 1.0, "{largest}");
}
