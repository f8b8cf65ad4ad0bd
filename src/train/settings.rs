//! What a classifier is made of, and the graphs of what it does.

use crate::error::{Error, Result};
use crate::gpu::Capabilities;
#[cfg(not(target_arch = "wasm32"))]
use crate::gpu::Gpu;
use crate::graph::{Graph, Mode, Tensor, TensorId};
use crate::models::{Input, Model};
use crate::ops::optimizer::Optimizer;
use crate::plan::{Plan, PlanOptions, VariableLayout};

/// Names of inputs and metrics in a classifier's graphs.
pub(super) const IMAGES: &str = "images";
pub(super) const LABELS: &str = "labels";
pub(super) const LOSS: &str = "loss";
pub(super) const ACCURACY: &str = "accuracy";

/// What a classifier is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The network.
    pub model: Model,
    /// Channels of its images.
    pub channels: usize,
    /// Height and width of its images, which need not be what the network's paper has.
    pub image_size: [usize; 2],
    /// Number of classes.
    pub classes: usize,
    /// Mean of each channel, of pixels in 0..=1.
    pub mean: Vec<f32>,
    /// Deviation of each channel, of pixels in 0..=1.
    pub deviation: Vec<f32>,
    /// Fixes initial values and dropout.
    pub seed: u64,
}

/// What a [`Classifier`](super::Classifier) does with a batch.
#[derive(Debug, Clone, Copy)]
pub enum Job<'a> {
    /// A training step by this optimizer.
    Train(&'a Optimizer),
    /// Loss and accuracy of labelled images.
    Evaluate,
    /// The probability of every class.
    Predict,
}

impl Settings {
    /// The network's variables, known without a device: what a file must hold to be loaded.
    ///
    /// # Errors
    /// When the network cannot be built from the settings.
    pub fn layout(&self) -> Result<VariableLayout> {
        let graph = Graph::new(Mode::Evaluation);
        self.logits(&graph, 1)?;
        VariableLayout::of(&graph, u64::MAX)
    }

    /// Plans what a [`Classifier`](super::Classifier) does with a batch, without allocating anything. Also gives the
    /// variables, those of the optimizer included.
    ///
    /// # Errors
    /// When the network cannot be built from the settings, or its plan does not fit the device or the options.
    pub fn plan(
        &self,
        batch: usize,
        job: Job<'_>,
        capabilities: &Capabilities,
        options: &PlanOptions,
    ) -> Result<(Plan, VariableLayout)> {
        let (graph, fetched) = self.graph(batch, job)?;
        let layout = VariableLayout::on(&graph, capabilities)?;
        Ok((Plan::new(&graph, &handles(&graph, &fetched), &layout, capabilities, options)?, layout))
    }

    /// The options with everything settled that the session of such a step would settle before it plans
    /// ([`PlanOptions::resolved`]): what [`Settings::plan`] makes of them is the plan that a classifier with them runs.
    ///
    /// # Errors
    /// Those of [`Settings::plan`], and when the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn resolved(&self, batch: usize, job: Job<'_>, gpu: &Gpu, options: &PlanOptions) -> Result<PlanOptions> {
        let (graph, fetched) = self.graph(batch, job)?;
        options.resolved(gpu, &graph, &handles(&graph, &fetched))
    }

    /// The graph of a step, with what is fetched of it.
    pub(super) fn graph(&self, batch: usize, job: Job<'_>) -> Result<(Graph, Vec<TensorId>)> {
        let mode = if matches!(job, Job::Train(_)) { Mode::Training } else { Mode::Evaluation };
        let graph = Graph::new(mode).seed(self.seed);
        let logits = self.logits(&graph, batch)?;
        if matches!(job, Job::Predict) {
            let probabilities = logits.softmax(1)?.id();
            return Ok((graph, vec![probabilities]));
        }
        let labels = graph.label_input(LABELS, batch)?;
        let loss = logits.softmax_cross_entropy(labels)?;
        if let Job::Train(optimizer) = job {
            graph.minimize(loss, optimizer)?;
        }
        graph.metric(LOSS, loss, batch as f32)?;
        graph.metric(ACCURACY, logits.accuracy(labels)?, batch as f32)?;
        Ok((graph, Vec::new()))
    }

    /// The network from images to logits, as every session has it.
    pub(super) fn logits<'g>(&self, graph: &'g Graph, batch: usize) -> Result<Tensor<'g>> {
        if !matches!(self.model.input, Input::Image { .. }) {
            return Err(Error::argument("classifier", format!("`{}` takes no images", self.model.name)));
        }
        let [height, width] = self.image_size;
        let images = graph.image_input(IMAGES, [batch, self.channels, height, width])?;
        (self.model.build)(images.normalize(&self.mean, &self.deviation)?, self.classes)
    }
}

/// The tensors of these names.
pub(super) fn handles<'g>(graph: &'g Graph, ids: &[TensorId]) -> Vec<Tensor<'g>> {
    ids.iter().map(|&id| Tensor::new(graph, id)).collect()
}
