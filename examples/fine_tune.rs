//! A network that others trained learns another task: `cargo run --release --features onnx --example fine_tune [STEPS]`.
//!
//! LeNet-5 learns the digits 0 to 4 and is written as an ONNX file. From there on only the file is known: it is loaded
//! without its last layer, its convolutions are frozen, and a new last layer learns the digits 5 to 9. The result is
//! written as safetensors and as another ONNX file, into out/fine_tune.

mod arguments;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use omma::data::{Batch, Dataset, Loader, Split};
use omma::models::lenet5;
use omma::onnx::{Array, Export, Options, Runner};
use omma::{Error, Gpu, GpuOptions, Graph, Mode, NamedArrays, Optimizer, Session, TensorId, Variables};

const BATCH: usize = 50;
const CLASSES: usize = 5;
const LOW: Range<u32> = 0..5;
const HIGH: Range<u32> = 5..10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let steps = arguments::count("STEPS", 300)?;
    let folder = Path::new("out/fine_tune");
    std::fs::create_dir_all(folder)?;
    let gpu = Gpu::new_blocking(&GpuOptions::default())?;

    // Somebody else's work.
    let graph = Graph::new(Mode::Training);
    let logits = lenet5(graph.input("images", [BATCH, 1, 28, 28])?, CLASSES)?;
    let loss = logits.softmax_cross_entropy(graph.label_input("labels", BATCH)?)?;
    graph.minimize(loss, &Optimizer::adam(0.002))?;
    let variables = Variables::new(&gpu, 1);
    let mut session = Session::new(&gpu, &graph, &[loss], &variables)?;
    train(&mut session, loss.id(), part(Split::Train, LOW)?, steps)?;
    let original = graph.to_onnx(&[logits], &variables.read_all_blocking()?, &Export::default().batch("N"))?;
    std::fs::write(folder.join("digits.onnx"), &original)?;

    // Any value of a file can be asked for by its name: `fc2` is what the last layer takes.
    let model = Options::default().dim("N", BATCH).training().outputs(&["fc2"]).load(folder.join("digits.onnx"))?;
    let graph = model.graph();
    let frozen = graph.freeze("conv*")?;
    let logits = graph.name("high_digits", model.output("fc2")?.dense("head", CLASSES)?)?;
    let loss = logits.softmax_cross_entropy(graph.label_input("labels", BATCH)?)?;
    graph.minimize(loss, &Optimizer::adam(0.002).weight_decay(1e-4))?;
    let variables = model.variables(&gpu, 2)?;
    let mut session = Session::new(&gpu, graph, &[loss], &variables)?;
    let before = variables.read_all_blocking()?;
    let untrained = graph.to_onnx(&[logits], &before, &Export::default())?;
    train(&mut session, loss.id(), part(Split::Train, HIGH)?, steps)?;
    let after = variables.read_all_blocking()?;
    let tuned = graph.to_onnx(&[logits], &after, &Export::default())?;
    variables.save_blocking(folder.join("tuned.safetensors"))?;
    std::fs::write(folder.join("tuned.onnx"), &tuned)?;

    println!("{frozen} parameters are frozen:");
    for (name, kept) in same_bits(&before, &after) {
        println!("  {name:14} {}", if kept { "the same bits" } else { "trained" });
        if kept != name.starts_with("conv") {
            return Err(format!("`{name}` should not have been {}", if kept { "kept" } else { "trained" }).into());
        }
    }
    // What the files say, whoever runs them.
    let [low, high] = [part(Split::Test, LOW)?, part(Split::Test, HIGH)?];
    println!("{:34} right of so many test digits", "file");
    for (what, file, digits) in [
        ("digits.onnx, of 0 to 4", original, &low),
        ("a new last layer, of 5 to 9", untrained, &high),
        ("tuned.onnx, of 5 to 9", tuned, &high),
    ] {
        let (right, count) = right(&gpu, file, digits)?;
        println!("{what:34} {:>5.1} % of {count}", 100.0 * right as f64 / count as f64);
    }
    Ok(())
}

/// These digits of the bundled ones, numbered from 0.
fn part(split: Split, digits: Range<u32>) -> omma::Result<Arc<Dataset>> {
    let all = Dataset::mnist_like(concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist"), split)?;
    let chosen: Vec<usize> = (0..all.len()).filter(|&index| digits.contains(&all.labels()[index])).collect();
    let some = all.select(&chosen)?;
    let labels = some.labels().iter().map(|label| label - digits.start).collect();
    Dataset::new(some.images().clone(), labels).map(Arc::new)
}

/// Pixels around 0, as both networks take them.
fn pixels(batch: &Batch) -> Vec<f32> {
    batch.images.iter().map(|&byte| (f32::from(byte) / 255.0 - 0.131) / 0.3085).collect()
}

fn train(session: &mut Session, loss: TensorId, digits: Arc<Dataset>, steps: usize) -> omma::Result<()> {
    let loader = Loader::new(digits, BATCH)?.shuffle(1).drop_last(true);
    let batches = (0..).flat_map(|epoch| loader.epoch(epoch));
    for (step, batch) in (1..=steps).zip(batches) {
        let batch = batch?;
        session.run_blocking(&[("images", (&pixels(&batch)).into()), ("labels", (&batch.labels).into())])?;
        if step % 100 == 0 || step == steps {
            println!("step {step}: loss {:.4}", session.read_blocking::<f32>(loss)?.sum());
        }
    }
    Ok(())
}

/// Each variable's name, and whether training has left it as it was.
fn same_bits<'a>(before: &'a NamedArrays, after: &'a NamedArrays) -> impl Iterator<Item = (&'a str, bool)> {
    before.iter().zip(after).map(|((name, before), (_, after))| {
        let kept = before.iter().zip(after).all(|(before, after)| before.to_bits() == after.to_bits());
        (name.as_str(), kept)
    })
}

/// How many digits the network of a file names, and of how many.
fn right(gpu: &Gpu, file: Vec<u8>, digits: &Arc<Dataset>) -> omma::Result<(usize, usize)> {
    let model = Options::default().dim("N", BATCH).load(file)?;
    let mut runner = Runner::new(gpu, &model)?;
    let (mut right, mut count) = (0, 0);
    for batch in Loader::new(digits.clone(), BATCH)?.drop_last(true).epoch(0) {
        let batch = batch?;
        let images = Array::new(&[BATCH, 1, 28, 28], pixels(&batch))?;
        let outputs = runner.run_blocking(&[("images", &images)])?;
        let logits = outputs.first().and_then(|(_, logits)| logits.to_f32());
        let logits = logits.ok_or_else(|| Error::Onnx("a file of a network without logits".into()))?;
        for (logits, label) in logits.chunks(CLASSES).zip(&batch.labels) {
            let best = (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            right += usize::from(best == Some(*label as usize));
            count += 1;
        }
    }
    Ok((right, count))
}
