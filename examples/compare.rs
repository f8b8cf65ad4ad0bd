//! The same small network with and without batch norm, with each pooling and each activation, on the bundled digits:
//! `cargo run --release --example compare [STEPS] [OUT.png]`. The picture shows the losses, smoothed.

mod sheet;

use std::path::PathBuf;
use std::sync::Arc;

use omma::data::{Dataset, Loader, Split};
use omma::models::{ResNet, SqueezeNet};
use omma::{
    BatchNorm, Conv2d, Gpu, GpuOptions, Graph, Mode, Optimizer, PadMode, Pool2d, Result, Session, Tensor, Variables,
};

/// What is compared: a name, and the network from images `[N, 1, 32, 32]` to logits.
type Network = (&'static str, for<'g> fn(Tensor<'g>) -> Result<Tensor<'g>>);

const NETWORKS: [Network; 10] = [
    ("plain: ReLU, max pooling", |x| small(x, false, |x| x.max_pool2d(2), |x| x.relu())),
    ("with batch norm", |x| small(x, true, |x| x.max_pool2d(2), |x| x.relu())),
    ("average pooling", |x| small(x, true, |x| x.avg_pool2d(2), |x| x.relu())),
    ("stochastic pooling", |x| small(x, true, |x| x.relu()?.stochastic_pool2d(Pool2d::new(2)), |x| x.relu())),
    ("tanh", |x| small(x, true, |x| x.max_pool2d(2), |x| x.tanh())),
    ("SiLU", |x| small(x, true, |x| x.max_pool2d(2), |x| x.silu())),
    ("GELU", |x| small(x, true, |x| x.max_pool2d(2), |x| x.gelu())),
    ("ELU", |x| small(x, true, |x| x.max_pool2d(2), |x| x.elu(1.0))),
    ("ResNet-18", |x| ResNet::new(18)?.small_images().build(x, 10)),
    ("SqueezeNet 1.1", |x| SqueezeNet::V1_1.build(x, 10)),
];

type Layer = for<'g> fn(Tensor<'g>) -> Result<Tensor<'g>>;

const BATCH: usize = 32;

fn small<'g>(x: Tensor<'g>, norm: bool, pool: Layer, activation: Layer) -> Result<Tensor<'g>> {
    let mut x = x;
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
    let mut arguments = std::env::args().skip(1);
    let steps: usize = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let out = arguments.next().map_or_else(|| PathBuf::from("out/compare.png"), PathBuf::from);
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");
    let loader = Loader::new(Arc::new(Dataset::mnist_like(data, Split::Train)?), BATCH)?.shuffle(1).drop_last(true);
    let gpu = Gpu::new_blocking(&GpuOptions::default())?;
    let mut curves = Vec::new();
    for (name, network) in NETWORKS {
        let graph = Graph::new(Mode::Training).seed(1);
        let images = graph.image_input("images", [BATCH, 1, 28, 28])?.normalize(&[0.131], &[0.3085])?;
        let images = images.pad(&[[0, 0], [0, 0], [2, 2], [2, 2]], PadMode::Edge)?;
        let loss = network(images)?.softmax_cross_entropy(graph.label_input("labels", BATCH)?)?;
        graph.minimize(loss, &Optimizer::adam(0.002))?;
        let mut session = Session::new(&gpu, &graph, &[loss], &Variables::new(&gpu, 1))?;
        let (mut smooth, mut curve) = (10.0_f32.ln(), Vec::new());
        for batch in loader.epoch(0).take(steps) {
            let batch = batch?;
            session.run_blocking(&[("images", (&batch.images).into()), ("labels", (&batch.labels).into())])?;
            smooth += 0.1 * (session.read_blocking::<f32>(loss)?.sum() - smooth);
            curve.push(smooth);
        }
        println!("{name:28} {:>10} parameters, loss {smooth:.3} after {} steps", graph.parameter_count(), curve.len());
        curves.push(curve);
    }
    sheet::write(&out, &[sheet::curves([480, 720], &curves)], 1, 1)
}
