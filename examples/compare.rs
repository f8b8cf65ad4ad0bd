//! What layers do to learning, on the bundled digits at 32x32: a small network with each pooling and each activation, and
//! networks of the library, without and with batch norm: `cargo run --release --example compare [STEPS] [OUT.png]`. The
//! picture shows how the losses fall.

mod arguments;
mod sheet;

use std::sync::Arc;

use omma::data::{Dataset, Loader, Split};
use omma::models::{ResNet, SqueezeNet, Vgg, lenet5, shufflenet_v2};
use omma::{
    BatchNorm, Conv2d, Gpu, GpuOptions, Graph, Mode, Optimizer, PadMode, Pool2d, Result, Session, Tensor, Variables,
};
use sheet::Panel;

/// From a tensor to another.
type Layer = for<'g> fn(Tensor<'g>) -> Result<Tensor<'g>>;

const POOLINGS: [(&str, Layer); 4] = [
    ("max", |x| x.max_pool2d(2)),
    ("average", |x| x.avg_pool2d(2)),
    ("Lp, p = 2", |x| x.lp_pool2d(2.0, 2)),
    // It draws in proportion to values that must not be negative.
    ("stochastic", |x| x.relu()?.stochastic_pool2d(Pool2d::new(2))),
];

/// With ReLU first, to compare with.
const BENT: [(&str, Layer); 6] = [
    ("ReLU", |x| x.relu()),
    ("leaky ReLU", |x| x.leaky_relu(0.01)),
    // Its parameter's name says how far the network has got.
    ("PReLU", |x| x.prelu(&format!("slope{}", x.shape()[2]), 1)),
    ("ELU", |x| x.elu(1.0)),
    ("SELU", |x| x.selu()),
    ("CELU, alpha = 2", |x| x.celu(2.0)),
];

const SMOOTH: [(&str, Layer); 8] = [
    ("ReLU", |x| x.relu()),
    ("GELU", |x| x.gelu()),
    ("GELU by tanh", |x| x.gelu_tanh()),
    ("SiLU", |x| x.silu()),
    ("hard swish", |x| x.hard_swish()),
    ("mish", |x| x.mish()),
    ("softplus", |x| x.softplus(1.0, 20.0)),
    ("log sigmoid", |x| x.log_sigmoid()),
];

const SATURATING: [(&str, Layer); 6] = [
    ("ReLU", |x| x.relu()),
    ("ReLU6", |x| x.relu6()),
    ("tanh", |x| x.tanh()),
    ("softsign", |x| x.softsign()),
    ("sigmoid", |x| x.sigmoid()),
    ("hard sigmoid", |x| x.hard_sigmoid()),
];

/// A name, the learning rate that the network bears, and the network.
type Network = (&'static str, f32, Layer);

const NETWORKS: [(&str, &[Network]); 2] = [
    (
        "Networks without batch norm",
        &[
            ("VGG-11", VGG_RATE, |x| Vgg::new(11)?.hidden(256).build(x, 10)),
            ("LeNet-5", NETWORK_RATE, |x| lenet5(x, 10)),
            ("SqueezeNet 1.1", NETWORK_RATE, |x| SqueezeNet::V1_1.build(x, 10)),
        ],
    ),
    (
        "Networks with batch norm",
        &[
            ("VGG-11", VGG_RATE, |x| Vgg::new(11)?.hidden(256).batch_norm().build(x, 10)),
            ("ResNet-18", NETWORK_RATE, |x| ResNet::new(18)?.build(x, 10)),
            ("ShuffleNet v2", NETWORK_RATE, |x| shufflenet_v2(x, 10)),
        ],
    ),
];

const BATCH: usize = 32;
const RATE: f32 = 0.002;
/// Deep networks diverge at the rate of the small one.
const NETWORK_RATE: f32 = 0.0005;
/// Of so small an image VGG's first dense layer gets 49 copies, and their weights take the same steps.
const VGG_RATE: f32 = 0.0001;

/// Three convolutions, each with a pooling and an activation behind it, and a dense layer.
fn small(mut x: Tensor<'_>, norm: bool, pool: Layer, activation: Layer) -> Result<Tensor<'_>> {
    for (number, width) in (1..).zip([8, 16, 32]) {
        x = x.conv2d(&format!("conv{number}"), Conv2d::new(width, 3).padding(1))?;
        if norm {
            x = x.batch_norm(&format!("bn{number}"), BatchNorm::default())?;
        }
        x = activation(pool(x)?)?;
    }
    x.flatten()?.dense("fc", 10)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let steps = arguments::count("STEPS", 100)?;
    // Losses of single batches jump.
    let smooth_over = (steps / 10).clamp(1, 10);
    let out = arguments::file("out/compare.png");
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");
    let loader = Loader::new(Arc::new(Dataset::mnist_like(data, Split::Train)?), BATCH)?.shuffle(1).drop_last(true);
    let gpu = Gpu::new_blocking(&GpuOptions::default())?;

    // The smoothed losses of a network, before the first step and after each.
    let train = |name: &str,
                 rate: f32,
                 network: &dyn for<'g> Fn(Tensor<'g>) -> Result<Tensor<'g>>|
     -> Result<(String, Vec<f32>)> {
        let graph = Graph::new(Mode::Training).seed(1);
        let images = graph.image_input("images", [BATCH, 1, 28, 28])?.normalize(&[0.131], &[0.3085])?;
        let images = images.pad(&[[0, 0], [0, 0], [2, 2], [2, 2]], PadMode::Edge)?;
        let loss = network(images)?.softmax_cross_entropy(graph.label_input("labels", BATCH)?)?;
        graph.minimize(loss, &Optimizer::adam(rate))?;
        let mut session = Session::new(&gpu, &graph, &[loss], &Variables::new(&gpu, 1))?;
        let (mut losses, mut curve): (Vec<f32>, Vec<f32>) = (Vec::new(), Vec::new());
        for batch in (0..).flat_map(|epoch| loader.epoch(epoch)).take(steps + 1) {
            let batch = batch?;
            session.run_blocking(&[("images", (&batch.images).into()), ("labels", (&batch.labels).into())])?;
            losses.push(session.read_blocking::<f32>(loss)?.sum());
            // Not yet so many at the beginning, or the first loss, which is large, would leave all at once.
            let over = smooth_over.min(losses.len().div_ceil(2));
            let last = &losses[losses.len() - over..];
            curve.push(last.iter().sum::<f32>() / last.len() as f32);
        }
        let loss = curve.last().copied().unwrap_or(f32::NAN);
        println!("  {name:16} {:>10} parameters, loss {loss:.3}", graph.parameter_count());
        Ok((name.into(), curve))
    };
    let mut panels = Vec::new();
    let groups: [(&str, &[(&str, Layer)]); 4] = [
        ("Poolings", &POOLINGS),
        ("Bent activations", &BENT),
        ("Smooth activations", &SMOOTH),
        ("Saturating activations", &SATURATING),
    ];
    for (what, layers) in groups {
        for norm in [false, true] {
            let title = format!("{what}, {} batch norm", if norm { "with" } else { "without" });
            println!("{title}:");
            let curve = |(name, layer): &(&str, Layer)| match what {
                "Poolings" => train(name, RATE, &|x| small(x, norm, *layer, BENT[0].1)),
                _ => train(name, RATE, &|x| small(x, norm, POOLINGS[0].1, *layer)),
            };
            panels.push(Panel { title, curves: layers.iter().map(curve).collect::<Result<_>>()? });
        }
    }
    for (title, networks) in NETWORKS {
        println!("{title}:");
        let curves = networks.iter().map(|(name, rate, network)| train(name, *rate, network)).collect::<Result<_>>()?;
        panels.push(Panel { title: title.into(), curves });
    }
    let means = if smooth_over > 1 { format!(", means over up to {smooth_over}") } else { String::new() };
    let subtitle = format!(
        "Losses on batches of {BATCH} digits{means}, the last one beside the name; Adam with a learning rate of {RATE}, of the networks \
         {NETWORK_RATE}, of VGG {VGG_RATE}"
    );
    sheet::curves(&out, ["What layers do to learning", &subtitle], &panels, "loss")
}
