//! The table of a network's layers: how far each sees, and that its sums are the network's.

use omma::models::{MODELS, Model};
use omma::{Graph, LayerSummary, Mode};

fn layers(name: &str) -> (usize, Vec<LayerSummary>) {
    let graph = Graph::new(Mode::Evaluation);
    let model = Model::named(name).unwrap();
    model.add_to(&graph, 1, model.classes).unwrap();
    (graph.parameter_count(), graph.layers())
}

/// What the last layer before everything is seen sees.
fn largest(name: &str) -> Vec<usize> {
    let (_, layers) = layers(name);
    layers.iter().rev().find_map(|layer| layer.receptive_field.sizes()).unwrap()
}

/// Araujo, Norris and Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks", table 1, for AlexNet with
/// the paper's sizes, VGG-16 and ResNet-18's last convolution; LeNet-5 by hand: 5, 6, 14, 16.
#[test]
fn receptive_fields_are_those_known() {
    for (name, size) in [("lenet5", 16), ("alexnet_2012", 195), ("vgg16", 212), ("resnet18", 435)] {
        assert_eq!(largest(name), [size, size], "{name}");
    }
}

#[test]
fn parameters_of_all_layers_are_the_networks() {
    for model in MODELS {
        let (count, layers) = layers(model.name);
        assert_eq!(layers.iter().map(|layer| layer.parameters).sum::<usize>(), count, "{}", model.name);
    }
}

/// A maximum's place is not written in evaluation: VGG-11's last pooling makes 512 maps of 7x7.
#[test]
fn what_nobody_reads_is_no_activation() {
    let (_, layers) = layers("vgg11");
    let pool = layers.iter().rfind(|layer| layer.operation == "max_pool2d").unwrap();
    assert_eq!(
        (pool.activation_bytes, &pool.kernel[..], &pool.stride[..]),
        (4 * 512 * 7 * 7, &[2, 2][..], &[2, 2][..])
    );
}

#[test]
fn a_response_normalisation_is_one_layer() {
    let (_, layers) = layers("alexnet_2012");
    let operations: Vec<&str> = layers.iter().map(|layer| layer.operation).take(4).collect();
    assert_eq!(operations.iter().filter(|name| name.contains("response_norm")).count(), 1, "{operations:?}");
}
