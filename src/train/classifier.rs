//! A network that names what an image shows: trained, evaluated and asked.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView4, Axis, Ix2};

use super::Schedule;
use super::settings::{IMAGES, Job, LABELS, LOSS, Settings, handles};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::graph::{Graph, Mode, TensorId};
use crate::ops::optimizer::Optimizer;
use crate::plan::{HostTensor, Metric, NamedArrays, PlanOptions, Session, Variables};

/// A network with its variables on a device and the sessions that use them, one for each batch size.
#[derive(Debug)]
pub struct Classifier {
    gpu: Gpu,
    settings: Settings,
    options: PlanOptions,
    variables: Variables,
    training: Option<Training>,
    evaluation: HashMap<usize, Session>,
    prediction: HashMap<usize, (Session, TensorId)>,
}

#[derive(Debug)]
struct Training {
    session: Session,
    batch: usize,
    optimizer: Optimizer,
    schedule: Schedule,
    /// What the schedule's rate is multiplied by.
    scale: f32,
}

/// Mean loss and share of right answers over some images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of images whose largest logit is the label's, 0..=1.
    pub accuracy: f64,
    /// Number of images.
    pub images: usize,
}

/// How far an epoch is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps submitted in this epoch.
    pub step: usize,
    /// Images in them.
    pub images: usize,
    /// The score of the part whose metrics have come back: a few steps behind.
    pub score: Option<Score>,
}

/// Steps between two readbacks of the metrics: seldom enough to cost nothing, often enough to watch. Sums on the device
/// stay short, so they stay exact.
const READ_EVERY: usize = 16;

impl Classifier {
    /// A fresh network; its variables start from the settings' seed.
    ///
    /// # Errors
    /// When the network cannot be built from the settings.
    pub fn new(gpu: &Gpu, settings: Settings) -> Result<Self> {
        Self::with_options(gpu, settings, PlanOptions::default())
    }

    /// [`Classifier::new`] with kernel preferences: for a driver on which the self-test fails a variant.
    ///
    /// # Errors
    /// Those of [`Classifier::new`].
    pub fn with_options(gpu: &Gpu, settings: Settings, options: PlanOptions) -> Result<Self> {
        let variables = Variables::new(gpu, settings.seed);
        let (evaluation, prediction) = Default::default();
        let classifier =
            Self { gpu: gpu.clone(), settings, options, variables, training: None, evaluation, prediction };
        // Declared at once, so that a checkpoint can be loaded.
        let graph = Graph::new(Mode::Evaluation);
        classifier.settings.logits(&graph, 1)?;
        classifier.variables.declare(&graph)?;
        Ok(classifier)
    }

    /// Its parameters and states, to save, load or look at.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Makes ready for training by batches of `batch` images. The parameters stay as they are; what an earlier optimizer
    /// has gathered, and the schedule's step, which is that of the optimizer, start anew.
    ///
    /// # Errors
    /// When the optimizer's or the schedule's values are out of range, the schedule has a momentum that the optimizer
    /// lacks, or the device fails.
    pub fn prepare(&mut self, batch: usize, optimizer: &Optimizer, schedule: Schedule) -> Result<()> {
        schedule.check()?;
        if schedule.momentum(0).is_some() && !optimizer.has_momentum() {
            return Err(Error::argument("schedule", "the optimizer has no momentum to change"));
        }
        let (graph, _) = self.settings.graph(batch, Job::Train(optimizer))?;
        let session = Session::with_options(&self.gpu, &graph, &[], &self.variables, &self.options)?;
        self.variables.reset_optimizer()?;
        self.training = Some(Training { session, batch, optimizer: *optimizer, schedule, scale: 1.0 });
        Ok(())
    }

    /// Multiplies the schedule's rate by `share` from the next step on, until told otherwise: what a
    /// [`Plateau`](super::Plateau) answers.
    ///
    /// # Errors
    /// When nothing was prepared, or the share is not finite.
    pub fn scale_learning_rate(&mut self, share: f32) -> Result<()> {
        let training = self.training.as_mut();
        let training = training.ok_or_else(|| Error::Session("call `prepare` before `scale_learning_rate`".into()))?;
        if !share.is_finite() {
            return Err(Error::argument("scale_learning_rate", format!("expected a finite share, got {share}")));
        }
        training.scale = share;
        Ok(())
    }

    /// The classifier with the moving averages of its parameters ([`Optimizer::ema`]) in their place, to evaluate, ask and
    /// save: it follows the training without a copy. Running statistics are the trained network's.
    ///
    /// # Errors
    /// When no optimizer with averages was prepared.
    pub fn averaged(&self) -> Result<Self> {
        let (gpu, settings, options) = (self.gpu.clone(), self.settings.clone(), self.options.clone());
        let (evaluation, prediction) = Default::default();
        Ok(Self {
            gpu,
            settings,
            options,
            variables: self.variables.averaged()?,
            training: None,
            evaluation,
            prediction,
        })
    }

    /// The session that trains, once [`Classifier::prepare`] made it.
    pub fn training_session(&self) -> Option<&Session> {
        self.training.as_ref().map(|training| &training.session)
    }

    /// Trains on every batch, all of the prepared size. `progress` is called after each step and may break off; what was
    /// learned until then stays.
    ///
    /// # Errors
    /// When nothing was prepared, a batch has another size, or the device fails.
    pub async fn train(
        &mut self,
        batches: impl Iterator<Item = Result<Batch>>,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Score> {
        let training = self.training.as_mut();
        let training = training.ok_or_else(|| Error::Session("call `prepare` before `train`".into()))?;
        let mut sums = Sums::default();
        let (mut images, mut pending) = (0, None);
        for (step, batch) in batches.enumerate() {
            let batch = batch?;
            if batch.len() != training.batch {
                let actual = format!("{} images", batch.len());
                return Err(Error::shape("train", format!("batches of {}", training.batch), actual));
            }
            let Training { session, optimizer, schedule, scale, .. } = training;
            let update = self.variables.steps() / optimizer.steps_per_update();
            session.set_learning_rate(optimizer.learning_rate() * schedule.factor(update) * *scale)?;
            if let Some(momentum) = schedule.momentum(update) {
                session.set_momentum(momentum)?;
            }
            session.run(&feeds(&batch)).await?;
            images += batch.len();
            if (step + 1) % READ_EVERY == 0 {
                // The readback of the interval before has long come: awaiting it does not stop the queue.
                if let Some(pending) = pending.replace(training.session.take_metrics()?) {
                    sums.add(&pending.await?);
                }
            }
            if progress(Progress { step: step + 1, images, score: sums.score() }).is_break() {
                break;
            }
        }
        if let Some(pending) = pending {
            sums.add(&pending.await?);
        }
        sums.add(&training.session.take_metrics()?.await?);
        sums.score().ok_or_else(|| Error::Session("there was no batch to train on".into()))
    }

    /// [`Classifier::train`], blocking.
    ///
    /// # Errors
    /// See [`Classifier::train`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn train_blocking(
        &mut self,
        batches: impl Iterator<Item = Result<Batch>>,
        progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Score> {
        pollster::block_on(self.train(batches, progress))
    }

    /// The score on every batch, of whatever sizes.
    ///
    /// # Errors
    /// When there is no batch or the device fails.
    pub async fn evaluate(&mut self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Score> {
        // What an evaluation that failed half way left behind does not count.
        for session in self.evaluation.values() {
            session.take_metrics()?.await?;
        }
        for batch in batches {
            let batch = batch?;
            if !self.evaluation.contains_key(&batch.len()) {
                let (graph, _) = self.settings.graph(batch.len(), Job::Evaluate)?;
                let session = Session::with_options(&self.gpu, &graph, &[], &self.variables, &self.options)?;
                self.evaluation.insert(batch.len(), session);
            }
            if let Some(session) = self.evaluation.get_mut(&batch.len()) {
                session.run(&feeds(&batch)).await?;
            }
        }
        let mut sizes: Vec<usize> = self.evaluation.keys().copied().collect();
        // A fixed order, so that the sums have the same bits every time.
        sizes.sort_unstable();
        let mut sums = Sums::default();
        for size in sizes {
            let metrics = self.evaluation[&size].take_metrics()?.await?;
            // A size that did not occur this time counted nothing.
            sums.add(&metrics);
        }
        sums.score().ok_or_else(|| Error::Session("there was no batch to evaluate".into()))
    }

    /// [`Classifier::evaluate`], blocking.
    ///
    /// # Errors
    /// See [`Classifier::evaluate`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn evaluate_blocking(&mut self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Score> {
        pollster::block_on(self.evaluate(batches))
    }

    /// The probability of every class for each image, `[N, classes]`.
    ///
    /// # Errors
    /// When the images have a wrong size or the device fails.
    pub async fn predict(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>> {
        let batch = images.len_of(Axis(0));
        let session = match self.prediction.entry(batch) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let (graph, fetched) = self.settings.graph(batch, Job::Predict)?;
                let handles = handles(&graph, &fetched);
                let session = Session::with_options(&self.gpu, &graph, &handles, &self.variables, &self.options)?;
                entry.insert((session, fetched[0]))
            }
        };
        let (session, probabilities) = session;
        session.run(&[(IMAGES, images.into())]).await?;
        let array = session.read::<f32>(*probabilities)?.await?;
        array.into_dimensionality::<Ix2>().map_err(|error| Error::shape("predict", "a matrix", error))
    }

    /// [`Classifier::predict`], blocking.
    ///
    /// # Errors
    /// See [`Classifier::predict`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict_blocking(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>> {
        pollster::block_on(self.predict(images))
    }

    /// The output of each of the network's named layers for one image, in order.
    ///
    /// # Errors
    /// When the image has a wrong size or the device fails.
    pub async fn layers(&mut self, image: ArrayView4<'_, u8>) -> Result<NamedArrays> {
        let graph = Graph::new(Mode::Evaluation);
        self.settings.logits(&graph, 1)?;
        let named = graph.named_outputs();
        let mut session = Session::with_options(&self.gpu, &graph, &named, &self.variables, &self.options)?;
        session.run(&[(IMAGES, image.into())]).await?;
        let mut layers = Vec::with_capacity(named.len());
        for tensor in named {
            layers.push((tensor.name().unwrap_or_default(), session.read::<f32>(tensor)?.await?));
        }
        Ok(layers)
    }

    /// [`Classifier::layers`], blocking.
    ///
    /// # Errors
    /// See [`Classifier::layers`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn layers_blocking(&mut self, image: ArrayView4<'_, u8>) -> Result<NamedArrays> {
        pollster::block_on(self.layers(image))
    }
}

fn feeds(batch: &Batch) -> [(&'static str, HostTensor<'_>); 2] {
    [(IMAGES, (&batch.images).into()), (LABELS, (&batch.labels).into())]
}

/// Metrics added up on the host, in f64.
#[derive(Debug, Default)]
struct Sums {
    loss: f64,
    right: f64,
    images: f64,
}

impl Sums {
    fn add(&mut self, metrics: &[Metric]) {
        for metric in metrics {
            match metric.name.as_str() {
                LOSS => {
                    self.loss += metric.sum;
                    self.images += metric.weight;
                }
                _ => self.right += metric.sum,
            }
        }
    }

    fn score(&self) -> Option<Score> {
        let Self { loss, right, images } = *self;
        (images > 0.0).then(|| Score { loss: loss / images, accuracy: right / images, images: images as usize })
    }
}
