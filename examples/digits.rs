//! Trains LeNet-5 on the bundled digits with the library alone: `cargo run --release --example digits [EPOCHS]`. Prints how
//! it learns, and which digits it takes for which.

mod arguments;

use std::ops::ControlFlow;
use std::sync::Arc;

use omma::data::{Augment, Dataset, Loader, Split};
use omma::models::Model;
use omma::train::{Classifier, Schedule, Settings};
use omma::{Gpu, GpuOptions, Optimizer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let epochs = arguments::count("EPOCHS", 3)?;
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");
    let train = Arc::new(Dataset::mnist_like(directory, Split::Train)?);
    let test = Loader::new(Arc::new(Dataset::mnist_like(directory, Split::Test)?), 200)?;

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
    let total = epochs.saturating_mul(loader.batches()).clamp(1, u32::MAX as usize) as u32;
    classifier.prepare(64, &Optimizer::adam(0.002), Schedule::cosine(total).warmup(50))?;

    println!("epoch  training loss  training accuracy  test loss  test accuracy");
    for epoch in 1..=epochs {
        let trained = classifier.train_blocking(loader.epoch(epoch as u64), |_| ControlFlow::Continue(()))?;
        let tested = classifier.evaluate_blocking(test.epoch(0))?;
        let percent = [trained.accuracy, tested.accuracy].map(|share| format!("{:.2} %", 100.0 * share));
        println!("{epoch:5}  {:13.4}  {:>17}  {:9.4}  {:>13}", trained.loss, percent[0], tested.loss, percent[1]);
    }

    // What each test digit is taken for.
    let mut counts = [[0; 10]; 10];
    for batch in test.epoch(0) {
        let batch = batch?;
        let probabilities = classifier.predict_blocking(batch.images.view())?;
        for (row, &label) in probabilities.rows().into_iter().zip(&batch.labels) {
            let best = (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
            counts[label as usize][best] += 1;
        }
    }
    println!("\ndigit  accuracy  taken for {}", (0..10).map(|digit| format!("{digit:>5}")).collect::<String>());
    for (digit, row) in counts.iter().enumerate() {
        let share = 100.0 * f64::from(row[digit]) / f64::from(row.iter().sum::<i32>().max(1));
        println!("{digit:5}  {share:6.1} %            {}", row.map(|count| format!("{count:>5}")).concat());
    }
    Ok(())
}
