//! Trains LeNet-5 on the bundled digits with the library alone: `cargo run --release --example digits`.

use std::ops::ControlFlow;
use std::sync::Arc;

use omma::data::{Augment, Dataset, Loader, Split};
use omma::models::Model;
use omma::train::{Classifier, Schedule, Settings};
use omma::{Gpu, GpuOptions, Optimizer};

fn main() -> omma::Result<()> {
    env_logger::init();
    let epochs: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");
    let train = Arc::new(Dataset::mnist_like(directory, Split::Train)?);
    let test = Arc::new(Dataset::mnist_like(directory, Split::Test)?);

    let gpu = Gpu::new_blocking(&GpuOptions::default())?;
    let settings = Settings {
        model: Model::named("lenet5")?,
        channels: 1,
        image_size: [28, 28],
        classes: train.classes(),
        mean: vec![0.131],
        deviation: vec![0.3085],
        seed: 1,
    };
    let mut classifier = Classifier::new(&gpu, settings)?;
    let augment = Augment::new(1).shift(2.0)?.rotation(10.0)?;
    let loader = Loader::new(train, 64)?.shuffle(1).drop_last(true).augment(augment);
    let total = (epochs * loader.batches()) as u32;
    classifier.prepare(64, &Optimizer::adam(0.002), Schedule::cosine(total).warmup(50))?;

    for epoch in 0..epochs {
        let score = classifier.train_blocking(loader.epoch(epoch as u64), |_| ControlFlow::Continue(()))?;
        println!("epoch {epoch}: loss {:.4}, accuracy {:.2} %", score.loss, 100.0 * score.accuracy);
    }
    let score = classifier.evaluate_blocking(Loader::new(test, 200)?.epoch(0))?;
    println!("test accuracy {:.2} % of {} digits", 100.0 * score.accuracy, score.images);
    Ok(())
}
