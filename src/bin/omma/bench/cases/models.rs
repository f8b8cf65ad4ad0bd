//! Whole networks, from the host's inputs to the device's rest.

use omma::models::{MODELS, ResNet, Vgg};
use omma::{BatchNorm, Conv2d, DeviceClass, Optimizer, Result, Tensor};

use super::{Case, Fed, What};

/// A network that can be timed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    pub(crate) name: &'static str,
    /// Channels, height and width.
    pub(crate) image: [usize; 3],
    pub(crate) classes: usize,
    /// From images `[N, C, H, W]` and the number of classes to the output: logits `[N, classes]` where it can be trained.
    pub(crate) build: for<'g> fn(Tensor<'g>, usize) -> Result<Tensor<'g>>,
    /// Batches of the inferences that are timed.
    pub(crate) inference: &'static [usize],
    /// Batch of the training that is timed.
    pub(crate) training_batch: Option<usize>,
    /// Batch of the training that is timed on GPUs alone.
    pub(crate) gpu_training_batch: Option<usize>,
}

/// Every network.
pub(crate) const NETWORKS: &[Network] = &[
    Network {
        name: "lenet5",
        image: [1, 28, 28],
        classes: 10,
        build: MODELS[0].build,
        inference: &[1, 8],
        training_batch: Some(64),
        gpu_training_batch: None,
    },
    Network {
        name: "resnet18",
        image: [3, 224, 224],
        classes: 1000,
        build: |x, classes| ResNet::new(18)?.build(x, classes),
        inference: &[1, 8],
        training_batch: None,
        gpu_training_batch: None,
    },
    Network {
        name: "resnet18-64",
        image: [3, 64, 64],
        classes: 1000,
        build: |x, classes| ResNet::new(18)?.build(x, classes),
        inference: &[],
        training_batch: Some(4),
        gpu_training_batch: None,
    },
    Network {
        name: "resnet18-32",
        image: [3, 32, 32],
        classes: 10,
        build: |x, classes| ResNet::new(18)?.small_images().build(x, classes),
        inference: &[],
        training_batch: Some(16),
        gpu_training_batch: None,
    },
    Network {
        name: "resnet50",
        image: [3, 224, 224],
        classes: 1000,
        build: |x, classes| ResNet::new(50)?.build(x, classes),
        inference: &[1],
        training_batch: None,
        gpu_training_batch: Some(16),
    },
    Network {
        name: "vgg19",
        image: [3, 224, 224],
        classes: 1000,
        build: |x, classes| Vgg::new(19)?.build(x, classes),
        inference: &[],
        training_batch: None,
        gpu_training_batch: None,
    },
    Network {
        name: "mobilenet-block",
        image: [32, 112, 112],
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

impl Network {
    fn shape(&self, batch: usize) -> [usize; 4] {
        let [channels, height, width] = self.image;
        [batch, channels, height, width]
    }

    /// An inference.
    pub(crate) fn inferring(self, batch: usize) -> Case {
        let shape = self.shape(batch);
        Case::new(self.name, format!("{shape:?}"), "inference", What::Step, move |graph| {
            Ok(vec![(self.build)(graph.input("images", shape)?, self.classes)?])
        })
        .feed("images", Fed::pixels(shape.iter().product()))
    }

    /// A training step with SGD and momentum.
    pub(crate) fn training(self, batch: usize) -> Case {
        let shape = self.shape(batch);
        Case::new(self.name, format!("{shape:?}"), "training", What::Step, move |graph| {
            let logits = (self.build)(graph.input("images", shape)?, self.classes)?;
            let loss = logits.softmax_cross_entropy(graph.label_input("labels", batch)?)?;
            graph.minimize(loss, &Optimizer::sgd(0.01).momentum(0.9))?;
            Ok(vec![loss])
        })
        .training()
        .feed("images", Fed::pixels(shape.iter().product()))
        .feed("labels", Fed::labels(batch, self.classes.max(1)))
    }
}

pub(super) fn inference() -> Vec<Case> {
    let batches = |network: &'static Network| network.inference.iter().map(|&batch| network.inferring(batch));
    NETWORKS.iter().flat_map(batches).collect()
}

pub(super) fn training(class: DeviceClass) -> Vec<Case> {
    let batch =
        |network: &Network| network.training_batch.or(network.gpu_training_batch.filter(|_| class == DeviceClass::Gpu));
    NETWORKS.iter().filter_map(|network| Some(network.training(batch(network)?))).collect()
}
