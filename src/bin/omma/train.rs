//! `omma train`: trains a classifier, measures it after each epoch, and leaves model, metrics and pictures.

mod outcome;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use omma::data::{Augment, Dataset, Loader, Split};
use omma::train::{Classifier, Progress, Schedule, Score, Settings};
use omma::{Error, Optimizer, Result};

use crate::output::{Output, remark};
use crate::pictures::EpochRow;
use crate::{Device, model_file};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rule {
    Sgd,
    Adam,
    Adamw,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// The network
    #[arg(long, default_value = "lenet5")]
    model: String,
    /// A folder with the four IDX files of MNIST's names, gzipped or not
    #[arg(long, value_name = "DIR", default_value = "data/mnist")]
    data: PathBuf,
    /// How often to go over the training images
    #[arg(long, default_value_t = 16)]
    epochs: usize,
    /// Images a step
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Learning rate at its highest [default: 0.03 for sgd, 0.002 for adam and adamw]
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f32>,
    /// The optimizer; sgd has momentum 0.9
    #[arg(long, value_enum, default_value = "sgd")]
    optimizer: Rule,
    /// Fixes everything that is random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write the model, the metrics and the pictures [default: out/MODEL]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: Device,
}

/// Images of an evaluation step.
const EVALUATION_BATCH: usize = 200;

impl Train {
    fn optimizer(&self) -> Result<Optimizer> {
        let default = match self.optimizer {
            Rule::Sgd => 0.03,
            Rule::Adam | Rule::Adamw => 0.002,
        };
        let rate = self.lr.unwrap_or(default);
        if !(rate.is_finite() && rate > 0.0) {
            return Err(argument("--lr", format!("expected a positive number, got {rate}")));
        }
        Ok(match self.optimizer {
            Rule::Sgd => Optimizer::sgd(rate).momentum(0.9).weight_decay(5e-4),
            Rule::Adam => Optimizer::adam(rate),
            Rule::Adamw => Optimizer::adamw(rate),
        })
    }

    pub(crate) fn run(&self) -> Result<ExitCode> {
        let model = model_file::model(&self.model)?;
        let optimizer = self.optimizer()?;
        if self.epochs == 0 {
            return Err(argument("--epochs", "expected at least 1".into()));
        }
        let train = Dataset::mnist_like(&self.data, Split::Train)?;
        let test = Dataset::mnist_like(&self.data, Split::Test)?;
        if self.batch == 0 || self.batch > train.len() {
            let message = format!("expected 1 to {} (the training images), got {}", train.len(), self.batch);
            return Err(argument("--batch", message));
        }
        let [channels, height, width] = train.image_shape();
        if [height, width] != model.image_size || test.image_shape() != train.image_shape() {
            let [h, w] = model.image_size;
            let message = format!("{} takes images of {h}x{w}, these are {height}x{width}", model.name);
            return Err(Error::data(&self.data, message));
        }
        let classes = train.classes().max(test.classes());
        let (train, test) = (Arc::new(train.with_classes(classes)?), Arc::new(test.with_classes(classes)?));
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from("out").join(model.name));
        std::fs::create_dir_all(&out).map_err(Error::io(&out))?;

        let gpu = self.device.open()?;
        let info = &gpu.capabilities().info;
        remark(format_args!("training {} on {} images with {} ({})", model.name, train.len(), info.name, info.backend));
        let (mean, deviation) = outcome::statistics(&train);
        let settings = Settings { model, channels, classes, mean, deviation, seed: self.seed };
        let mut classifier = Classifier::new(&gpu, settings.clone())?;
        let augment = Augment::new(self.seed).shift(2.0)?.rotation(10.0)?.scale(0.1)?.elastic(1.5)?;
        let loader = Loader::new(train, self.batch)?.shuffle(self.seed).drop_last(true).augment(augment);
        let test_loader = Loader::new(test.clone(), EVALUATION_BATCH)?;
        let steps = self.epochs * loader.batches();
        let total = u32::try_from(steps).map_err(|_| argument("--epochs", format!("{steps} steps are too many")))?;
        let schedule = Schedule::Cosine { warmup: (total / 20).min(100), total };
        classifier.prepare(self.batch, &optimizer, schedule)?;

        let interrupted = interruption()?;
        let bar = progress_bar(steps as u64);
        let mut printed = Output::default();
        let mut rows: Vec<EpochRow> = Vec::new();
        let mut table =
            String::from("epoch,train_loss,train_accuracy,test_loss,test_accuracy,seconds,images_per_second\n");
        for epoch in 1..=self.epochs {
            let start = Instant::now();
            bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
            let started = bar.position();
            let score = classifier.train_blocking(loader.epoch(epoch as u64), |progress| {
                show(&bar, started, &progress, start);
                if interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            let seconds = start.elapsed().as_secs_f64();
            let stopped = interrupted.load(Ordering::Relaxed);
            if !(score.loss.is_finite()) {
                let message = format!("the loss is {} after epoch {epoch}: try a lower rate", score.loss);
                return Err(argument("--lr", message));
            }
            let test_score = classifier.evaluate_blocking(test_loader.epoch(0))?;
            record(&bar, &mut printed, &mut table, &mut rows, epoch, [score, test_score], seconds);
            if stopped {
                break;
            }
        }
        bar.finish_and_clear();
        omma::files::write_atomically(&out.join("metrics.csv"), table.as_bytes())?;
        model_file::save(&classifier, &settings, &out.join("model.safetensors"))?;
        if interrupted.load(Ordering::Relaxed) {
            remark(format_args!("stopped; the model so far is in {}", out.display()));
            return Ok(ExitCode::from(130));
        }
        let (right, tested) = outcome::draw(&mut classifier, &test, &rows, &out)?;
        printed.line(format_args!("test accuracy {:.2} % ({right}/{tested})", 100.0 * right as f64 / tested as f64));
        printed.finish()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn argument(option: &str, message: String) -> Error {
    Error::Argument { op: option.into(), message }
}

/// Set when the user asks to stop; a second time ends the process at once.
fn interruption() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| argument("Ctrl-C", error.to_string()))?;
    Ok(flag)
}

/// Draws on standard error, and only where that is a terminal.
fn progress_bar(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    let style = ProgressStyle::with_template("{prefix} {bar:32.cyan/dim} {percent:>3} %  {msg}  {eta} left");
    // The template is a constant that fits the crate's syntax; were it not, its default style would do.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn show(bar: &ProgressBar, started: u64, progress: &Progress, start: Instant) {
    bar.set_position(started + progress.step as u64);
    let speed = progress.images as f64 / start.elapsed().as_secs_f64();
    let score = progress.score.map_or_else(
        || "loss -".to_string(),
        |score| format!("loss {:.4}  accuracy {:.2} %", score.loss, 100.0 * score.accuracy),
    );
    bar.set_message(format!("{score}  {speed:.0} images/s"));
}

fn record(
    bar: &ProgressBar,
    out: &mut Output,
    table: &mut String,
    rows: &mut Vec<EpochRow>,
    epoch: usize,
    [train, test]: [Score; 2],
    seconds: f64,
) {
    let speed = train.images as f64 / seconds;
    table.push_str(&format!(
        "{epoch},{:.6},{:.6},{:.6},{:.6},{seconds:.3},{speed:.1}\n",
        train.loss, train.accuracy, test.loss, test.accuracy
    ));
    rows.push(EpochRow {
        epoch,
        train_loss: train.loss,
        train_accuracy: train.accuracy,
        test_loss: test.loss,
        test_accuracy: test.accuracy,
    });
    let line = format!(
        "epoch {epoch:2}  loss {:.4}  accuracy {:5.2} %  test loss {:.4}  test accuracy {:5.2} %  {seconds:.1} s  {speed:.0} images/s",
        train.loss,
        100.0 * train.accuracy,
        test.loss,
        100.0 * test.accuracy
    );
    bar.suspend(|| out.line(line));
}
