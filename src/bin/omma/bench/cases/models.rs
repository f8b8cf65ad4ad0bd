//! Whole networks, from the host's inputs to the device's rest.

use omma::models::{Input, MODELS, Model, ResNet};
use omma::{BatchNorm, Conv2d, DType, DeviceClass, Graph, Mode, Optimizer, Result, Tensor, TensorType};

use super::{Case, Fed, What};

/// A network that can be timed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    pub(crate) name: &'static str,
    /// An example.
    pub(crate) input: Input,
    pub(crate) classes: usize,
    /// From a batch of examples and the number of classes to the output: logits `[N, classes]` where it can be trained.
    pub(crate) build: for<'g> fn(Tensor<'g>, usize) -> Result<Tensor<'g>>,
    /// Batches of the inferences that are timed.
    pub(crate) inference: &'static [usize],
    /// Batch of the training that is timed.
    pub(crate) training_batch: Option<usize>,
    /// Batch of the training that is timed on GPUs alone.
    pub(crate) gpu_training_batch: Option<usize>,
}

const fn image([channels, height, width]: [usize; 3]) -> Input {
    Input::Image { channels, size: [height, width] }
}

/// Every network that is timed.
pub(crate) const NETWORKS: &[Network] = &[
    Network {
        name: "lenet5",
        input: image([1, 28, 28]),
        classes: 10,
        build: MODELS[0].build,
        inference: &[1, 8],
        training_batch: Some(64),
        gpu_training_batch: None,
    },
    Network {
        name: "resnet18",
        input: image([3, 224, 224]),
        classes: 1000,
        build: |x, classes| ResNet::new(18)?.build(x, classes),
        inference: &[1, 8],
        training_batch: None,
        gpu_training_batch: None,
    },
    Network {
        name: "resnet18-64",
        input: image([3, 64, 64]),
        classes: 1000,
        build: |x, classes| ResNet::new(18)?.build(x, classes),
        inference: &[],
        training_batch: Some(4),
        gpu_training_batch: None,
    },
    Network {
        name: "resnet18-32",
        input: image([3, 32, 32]),
        classes: 10,
        build: |x, classes| ResNet::new(18)?.small_images().build(x, classes),
        inference: &[],
        training_batch: Some(16),
        gpu_training_batch: None,
    },
    Network {
        name: "resnet50",
        input: image([3, 224, 224]),
        classes: 1000,
        build: |x, classes| ResNet::new(50)?.build(x, classes),
        inference: &[1],
        training_batch: None,
        gpu_training_batch: Some(16),
    },
    Network {
        name: "mobilenet-block",
        input: image([32, 112, 112]),
        classes: 0,
        build: mobilenet_block,
        inference: &[1, 8],
        training_batch: None,
        gpu_training_batch: None,
    },
];

/// A depthwise separable block between two 1x1 convolutions, each with batch norm and ReLU, as MobileNets stack them.
fn mobilenet_block(x: Tensor<'_>, _: usize) -> Result<Tensor<'_>> {
    let x = normalized(x, "expand", Conv2d::new(64, 1))?;
    let x = normalized(x, "depthwise", Conv2d::new(64, 3).padding(1).groups(64))?;
    normalized(x, "project", Conv2d::new(64, 1))
}

fn normalized<'g>(x: Tensor<'g>, name: &str, settings: Conv2d) -> Result<Tensor<'g>> {
    x.conv2d(name, settings.without_bias())?.batch_norm(&format!("{name}.bn"), BatchNorm::default())?.relu()
}

impl From<Model> for Network {
    fn from(model: Model) -> Self {
        let Model { name, input, classes, build, .. } = model;
        Self { name, input, classes, build, inference: &[], training_batch: None, gpu_training_batch: None }
    }
}

impl Network {
    /// The network of this name: of those that are timed, or any of the library's.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let timed = NETWORKS.iter().find(|network| network.name == name).copied();
        timed.or_else(|| MODELS.iter().find(|model| model.name == name).map(|&model| model.into()))
    }

    /// Every name, once.
    pub(crate) fn names() -> Vec<&'static str> {
        let timed = NETWORKS.iter().map(|network| network.name);
        let others = MODELS.iter().map(|model| model.name).filter(|name| !NETWORKS.iter().any(|n| n.name == *name));
        timed.chain(others).collect()
    }

    /// Whether it gives an example logits of classes, so that it can be trained with labels.
    pub(crate) fn classifies(self) -> Result<bool> {
        let graph = Graph::new(Mode::Evaluation);
        let output = (self.build)(graph.input_of(INPUT, self.input.batch(1))?, self.classes)?;
        Ok(self.classes > 0 && output.shape().len() == 2)
    }

    /// An inference.
    pub(crate) fn inferring(self, batch: usize) -> Case {
        let (ty, values) = self.examples(batch);
        Case::new(self.name, ty.shape.clone(), "inference", What::Step, move |graph| {
            Ok(vec![(self.build)(graph.input_of(INPUT, ty.clone())?, self.classes)?])
        })
        .feed(INPUT, values)
    }

    /// A training step with SGD and momentum.
    pub(crate) fn training(self, batch: usize) -> Case {
        let (ty, values) = self.examples(batch);
        Case::new(self.name, ty.shape.clone(), "training", What::Step, move |graph| {
            let logits = (self.build)(graph.input_of(INPUT, ty.clone())?, self.classes)?;
            let loss = logits.softmax_cross_entropy(graph.label_input("labels", batch)?)?;
            graph.minimize(loss, &Optimizer::sgd(0.01).momentum(0.9))?;
            Ok(vec![loss])
        })
        .training()
        .feed(INPUT, values)
        .feed("labels", Fed::labels(batch, self.classes.max(1)))
    }

    /// A batch of examples, and values for it. Words are the first of the vocabulary, which every one has.
    fn examples(self, batch: usize) -> (TensorType, Fed) {
        let ty = self.input.batch(batch);
        let values = match ty.dtype {
            DType::F32 => Fed::pixels(ty.elements()),
            _ => Fed::labels(ty.elements(), 1),
        };
        (ty, values)
    }
}

const INPUT: &str = "input";

pub(super) fn inference() -> Vec<Case> {
    let batches = |network: &'static Network| network.inference.iter().map(|&batch| network.inferring(batch));
    NETWORKS.iter().flat_map(batches).collect()
}

pub(super) fn training(class: DeviceClass) -> Vec<Case> {
    let batch =
        |network: &Network| network.training_batch.or(network.gpu_training_batch.filter(|_| class == DeviceClass::Gpu));
    NETWORKS.iter().filter_map(|network| Some(network.training(batch(network)?))).collect()
}
