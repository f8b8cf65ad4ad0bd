//! `omma train`: trains a classifier, measures it after each epoch, and leaves model, metrics and pictures.

mod outcome;
mod record;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use omma::data::{Augment, Dataset, Loader, Split};
use omma::train::{self, Classifier, OneCycle, Plateau, Progress, Schedule, Settings};
use omma::{DeviceClass, Error, Gpu, Optimizer, PlanOptions, Result};

use crate::output::{Output, remark};
use crate::{Device, Kernels, argument, memory, model_file};
use record::Record;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rule {
    Sgd,
    Adam,
    Adamw,
    Rmsprop,
    Adagrad,
    Lion,
}

/// How the learning rate goes over the run.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Course {
    /// Up over the first twentieth, at most 100 steps, then down along half a cosine to nothing
    Cosine,
    /// Always the same
    Constant,
    /// A tenth of it from half of the run on, a hundredth from three quarters on
    Steps,
    /// By the same share every step, to a hundredth at the end
    Exponential,
    /// Down in a line to nothing
    Linear,
    /// Up and down by half cosines, the momentum down and up
    OneCycle,
    /// A tenth of it whenever the training loss has not fallen for 3 epochs
    Plateau,
}

impl Course {
    /// The schedule of so many steps.
    fn schedule(self, total: u32, momentum: bool) -> Schedule {
        match self {
            Self::Cosine => Schedule::cosine(total).warmup((total / 20).min(100)),
            Self::Constant | Self::Plateau => Schedule::constant(),
            Self::Steps => Schedule::multi_step(&[total / 2, total - total / 4], 0.1),
            Self::Exponential => Schedule::exponential(0.01_f32.powf(1.0 / total as f32)),
            Self::Linear => Schedule::polynomial(total, 1.0),
            Self::OneCycle => {
                let cycle = OneCycle::new(total);
                Schedule::one_cycle(if momentum { cycle } else { cycle.without_momentum() })
            }
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// The network
    #[arg(long, default_value = "lenet5")]
    model: String,
    /// A folder with the four IDX files of MNIST's names, gzipped or not
    #[arg(long, value_name = "DIR", default_value = "data/mnist")]
    data: PathBuf,
    /// How often to go over the training images [default: 40, on a software adapter 30]
    #[arg(long, allow_negative_numbers = true)]
    epochs: Option<usize>,
    /// Images a step
    #[arg(long, default_value_t = 64, allow_negative_numbers = true)]
    batch: usize,
    /// Learning rate at its highest [default: 0.04 for sgd, 0.02 for adagrad, 0.002 for adam and adamw, 0.001 for
    /// rmsprop, 0.0003 for lion]
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f32>,
    /// The optimizer; sgd has momentum 0.9
    #[arg(long, value_enum, default_value = "sgd")]
    optimizer: Rule,
    /// How the learning rate goes over the run
    #[arg(long, value_enum, default_value = "cosine")]
    schedule: Course,
    /// The highest norm of all gradients together; steps without a finite one are skipped
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    clip_norm: Option<f32>,
    /// Test and save the moving average of the parameters, of which so much is kept at each step, as 0.999
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    ema: Option<f32>,
    /// Fixes everything that is random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write the model, the metrics and the pictures [default: out/MODEL]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    kernels: Kernels,
    #[command(flatten)]
    device: Device,
}

/// How often training goes over the images unless told: on a GPU, where that is seconds, more often than on a software
/// adapter.
const EPOCHS: usize = 40;
const SOFTWARE_EPOCHS: usize = 30;
/// Images of an evaluation step, or fewer where the memory allows no more.
const EVALUATION_BATCH: usize = 200;

impl Train {
    fn optimizer(&self) -> Result<Optimizer> {
        let default = match self.optimizer {
            Rule::Sgd => 0.04,
            Rule::Adagrad => 0.02,
            Rule::Adam | Rule::Adamw => 0.002,
            Rule::Rmsprop => 0.001,
            Rule::Lion => 0.0003,
        };
        let rate = self.lr.unwrap_or(default);
        if !(rate.is_finite() && rate > 0.0) {
            return Err(argument("--lr", format!("expected a positive number, got {rate}")));
        }
        let mut optimizer = match self.optimizer {
            Rule::Sgd => Optimizer::sgd(rate).momentum(0.9).weight_decay(1e-3),
            Rule::Adam => Optimizer::adam(rate),
            Rule::Adamw => Optimizer::adamw(rate),
            Rule::Rmsprop => Optimizer::rmsprop(rate),
            Rule::Adagrad => Optimizer::adagrad(rate),
            Rule::Lion => Optimizer::lion(rate).weight_decay(0.1),
        };
        if let Some(limit) = self.clip_norm {
            if !(limit.is_finite() && limit > 0.0) {
                return Err(argument("--clip-norm", format!("expected a positive number, got {limit}")));
            }
            optimizer = optimizer.clip_norm(limit).skip_nonfinite();
        }
        if let Some(decay) = self.ema {
            if !(0.0..1.0).contains(&decay) {
                return Err(argument("--ema", format!("expected at least 0 and below 1, got {decay}")));
            }
            optimizer = optimizer.ema(decay).ema_warmup();
        }
        Ok(optimizer)
    }

    /// Everything that can be found wrong before a device is opened.
    fn job(&self) -> Result<Job> {
        let model = model_file::model(&self.model)?;
        let optimizer = self.optimizer()?;
        if self.epochs == Some(0) {
            return Err(argument("--epochs", "expected at least 1"));
        }
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from("out").join(model.name));
        if let Some(there) = out.ancestors().find(|path| path.exists()).filter(|path| !path.is_dir()) {
            return Err(argument("--out", format!("{} is a file, expected a folder", there.display())));
        }
        let train = Dataset::mnist_like(&self.data, Split::Train)?;
        let test = Dataset::mnist_like(&self.data, Split::Test)?;
        if self.batch == 0 || self.batch > train.len() {
            let message = format!("expected 1 to {} (the training images), got {}", train.len(), self.batch);
            return Err(argument("--batch", message));
        }
        let [channels, height, width] = train.image_shape();
        if test.image_shape() != train.image_shape() {
            let [_, h, w] = test.image_shape();
            let message = format!("images to train with are {height}x{width}, those to test with {h}x{w}");
            return Err(Error::data(&self.data, message));
        }
        let classes = train.classes().max(test.classes());
        let (train, test) = (Arc::new(train.with_classes(classes)?), Arc::new(test.with_classes(classes)?));
        let (mean, deviation) = outcome::statistics(&train);
        let image_size = [height, width];
        let settings = Settings { model, channels, image_size, classes, mean, deviation, seed: self.seed };
        // Whether the network takes such images is known before a device is opened.
        settings.layout().map_err(|error| {
            let images = format!("{channels}x{height}x{width} as in {}", self.data.display());
            argument("--model", format!("{} takes no images of {images}: {error}", settings.model.name))
        })?;
        let augment = Augment::new(self.seed).shift(2.0)?.rotation(10.0)?.scale(0.1)?.elastic(1.0)?;
        let loader = Loader::new(train, self.batch)?.shuffle(self.seed).drop_last(true).augment(augment);
        // Whatever the device, its default is no more.
        steps(self.epochs.unwrap_or(EPOCHS), loader.batches())?;
        Ok(Job { settings, optimizer, loader, test, out })
    }

    /// Says what will be allocated. Returns the options by which it will be, and how many images an evaluation takes.
    fn plan(&self, Job { settings, optimizer, .. }: &Job, gpu: &Gpu) -> Result<(PlanOptions, usize)> {
        let plan = |batch: usize, job: train::Job<'_>, options: &PlanOptions| {
            // Else another plan than this might run.
            let options = settings.resolved(batch, job, gpu, options)?;
            let (plan, variables) = settings.plan(batch, job, gpu.capabilities(), &options)?;
            Ok((plan, variables, self.kernels.tuned(options)))
        };
        let (training, variables, options) = plan(self.batch, train::Job::Train(optimizer), &self.kernels.options())?;
        let mut batch = EVALUATION_BATCH;
        let (evaluation, _, options) = loop {
            match plan(batch, train::Job::Evaluate, &options) {
                Err(error) if memory::exceeded(&error) && batch > 1 => batch /= 2,
                other => break other?,
            }
        };
        remark(format_args!("planned for a step of {} images: {}", self.batch, memory::parts(&training.memory())));
        remark(format_args!("planned for an evaluation of {batch} images: {}", memory::parts(&evaluation.memory())));
        remark(format_args!("planned for variables: {}", memory::mebibytes(variables.bytes())));
        Ok((options, batch))
    }

    pub(crate) fn run(&self) -> Result<ExitCode> {
        let job = self.job()?;
        let Job { settings, loader, test, out, .. } = &job;
        let gpu = self.device.open()?;
        self.kernels.check(&gpu);
        let (options, evaluation_batch) = self.plan(&job, &gpu)?;
        let mut classifier = Classifier::with_options(&gpu, settings.clone(), options)?;
        let default = if gpu.capabilities().class == DeviceClass::Cpu { SOFTWARE_EPOCHS } else { EPOCHS };
        let epochs = self.epochs.unwrap_or(default);
        let total = steps(epochs, loader.batches())?;
        classifier.prepare(self.batch, &job.optimizer, self.schedule.schedule(total, job.optimizer.has_momentum()))?;
        let mut averaged = self.ema.map(|_| classifier.averaged()).transpose()?;
        let mut plateau = Plateau::new().patience(3);
        let test_loader = Loader::new(test.clone(), evaluation_batch)?;
        let interrupted = interruption()?;
        std::fs::create_dir_all(out).map_err(Error::io(out))?;
        let mut record = Record::start(out)?;

        let (images, info) = (loader.dataset().len(), &gpu.capabilities().info);
        remark(format_args!("training {} on {images} images with {} ({})", self.model, info.name, info.backend));
        let bar = progress_bar(total.into());
        let mut printed = Output::default();
        for epoch in 1..=epochs {
            let start = Instant::now();
            bar.set_prefix(format!("epoch {epoch}/{epochs}"));
            let started = bar.position();
            let score = classifier.train_blocking(loader.epoch(epoch as u64), |progress| {
                show(&bar, started, &progress, start);
                if interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            let seconds = start.elapsed().as_secs_f64();
            if !(score.loss.is_finite()) {
                let message = format!("the loss is {} after epoch {epoch}: try a lower rate", score.loss);
                return Err(argument("--lr", message));
            }
            if self.schedule == Course::Plateau {
                classifier.scale_learning_rate(plateau.observe(score.loss))?;
            }
            let shown = averaged.as_mut().unwrap_or(&mut classifier);
            let test_score = shown.evaluate_blocking(test_loader.epoch(0))?;
            // Saved each time: a crash costs an epoch and no more.
            let line = record.add(epoch, score, test_score, seconds)?;
            model_file::save(shown, settings, &out.join("model.safetensors"))?;
            bar.suspend(|| printed.line(line));
            if interrupted.load(Ordering::Relaxed) {
                bar.finish_and_clear();
                remark(format_args!("stopped; the model so far is in {}", out.display()));
                return Ok(ExitCode::from(130));
            }
        }
        bar.finish_and_clear();
        let shown = averaged.as_mut().unwrap_or(&mut classifier);
        let (right, tested) = outcome::draw(shown, test, evaluation_batch, record.rows(), out)?;
        printed.line(format_args!("test accuracy {:.2} % ({right}/{tested})", 100.0 * right as f64 / tested as f64));
        printed.finish()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What is to be done.
#[derive(Debug)]
struct Job {
    settings: Settings,
    optimizer: Optimizer,
    loader: Loader,
    test: Arc<Dataset>,
    out: PathBuf,
}

/// Steps of a training, which the schedule counts in 32 bits.
fn steps(epochs: usize, batches: usize) -> Result<u32> {
    let steps = epochs.checked_mul(batches).and_then(|steps| u32::try_from(steps).ok());
    steps.ok_or_else(|| {
        let most = u32::MAX as usize / batches;
        argument("--epochs", format!("expected at most {most} at {batches} steps each, got {epochs}"))
    })
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
