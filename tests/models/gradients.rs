//! Every parameter of a network learns.

use omma::{Graph, Variables};
use safetensors::SafeTensors;

use super::BATCH;

/// Whether convolutions of single channels, or 1x1 ones, stand between two norms, as in inverted residuals.
pub(super) fn has_depthwise_blocks(name: &str) -> bool {
    ["efficientnet", "mobilenet", "shufflenet"].iter().any(|family| name.starts_with(family))
}

/// The norms whose result meets no activation before the next convolution, also behind a sum with a shortcut.
fn without_activation(graph: &Graph) -> Vec<String> {
    let layers = graph.layers();
    let is_activation = |operation: &str| ["relu", "relu6", "silu", "hard_swish"].contains(&operation);
    let joins = |operation: &str| ["add", "concat", "avg_pool2d"].contains(&operation);
    let linear = layers.iter().enumerate().filter(|&(index, norm)| {
        let next = layers[index + 1..].iter().find(|layer| !joins(layer.operation));
        norm.operation == "batch_norm" && next.is_some_and(|next| !is_activation(next.operation))
    });
    linear.map(|(_, norm)| norm.name.clone()).collect()
}

/// The layer behind one that is counted: `features.1` behind `features.0`.
fn next(layer: &str) -> Option<String> {
    let (sequence, number) = layer.rsplit_once('.')?;
    Some(format!("{sequence}.{}", number.parse::<usize>().ok()? + 1))
}

/// Every parameter has a finite gradient that is more than what rounding leaves of a true 0. A gradient adds up one term for
/// each example of the batch, and rounding such a sum leaves at most BATCH·u of the largest term, u = 2^-24; no term is
/// taken to be larger than the largest gradient of the network.
pub(super) fn check(name: &str, graph: &Graph, variables: &Variables, kept: &str) {
    let file = pollster::block_on(variables.optimizer_to_safetensors()).unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    let largest = |parameter: &str| {
        let tensor = file.tensor(&format!("{parameter}{kept}")).unwrap();
        let values = tensor.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        // A value that is not finite stays.
        values.fold(0.0, |size: f32, value| if value.abs() <= size { size } else { value.abs() })
    };
    let names: Vec<String> = graph.parameters().iter().map(|parameter| parameter.name().unwrap()).collect();
    let sizes: Vec<f32> = names.iter().map(|name| largest(name)).collect();
    let size = sizes.iter().copied().fold(0.0, f32::max);
    let least = sizes.iter().copied().fold(f32::INFINITY, f32::min);
    // A norm takes away again what the term of an earlier one adds, where nothing but a 1x1 convolution is between: there the
    // true gradient is 0, as behind the contractions of inverted residuals. An activation between them lets it through.
    let shifted = if has_depthwise_blocks(name) { without_activation(graph) } else { Vec::new() };
    let rounding = BATCH as f32 * (f32::EPSILON / 2.0) * size;
    println!("{name}: gradients from {least:e} to {size:e}");
    for (parameter, largest) in names.iter().zip(&sizes) {
        assert!(largest.is_finite(), "{name}: {parameter}");
        let is_norm = |layer: &str| graph.tensor(&format!("{layer}.running_mean")).is_some();
        match parameter.strip_suffix(".bias") {
            Some(layer) if shifted.iter().any(|norm| norm == layer) => continue,
            // As of a convolution right before it, which torchvision's VGG has.
            Some(layer) if next(layer).is_some_and(|next| is_norm(&next)) => continue,
            _ => {}
        }
        assert!(*largest > rounding, "{name}: {parameter} has a gradient of {largest:e}, rounding leaves {rounding:e}");
    }
}
