//! Omma, by its own choice of kernels or by its naive ones.

use omma::models::{ResNet, lenet5};
use omma::{Conv2d, Gpu, Graph, HostTensor, Init, Mode, Optimizer, PlanOptions, Session, Tensor, TensorId, Variables};

use super::{Engine, Prepared, Result};
use crate::cases::{Case, Convolution, Direction, LEARNING_RATE, MOMENTUM, Network, Work};
use crate::data;

pub(crate) struct Omma {
    gpu: Gpu,
    name: &'static str,
    options: PlanOptions,
}

impl Omma {
    pub(crate) fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), name: "omma", options: PlanOptions::default() }
    }

    /// The kernels that a first attempt would have: one invocation an element.
    pub(crate) fn naive(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), name: "naive", options: PlanOptions::default().prefer("naive") }
    }
}

impl Engine for Omma {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> String {
        let info = &self.gpu.capabilities().info;
        format!("{} ({}), {} {}", info.name, info.backend, info.driver, info.driver_info)
    }

    fn prepare(&self, case: &Case) -> Result<Option<Box<dyn Prepared>>> {
        let training = matches!(case.work, Work::Training(..));
        let mut options = self.options.clone();
        if matches!(case.work, Work::Product { half: true, .. }) {
            if self.name == "naive" {
                return Ok(None);
            }
            options = options.half_precision();
        }
        let graph = Graph::new(if training { Mode::Training } else { Mode::Evaluation });
        let mut feeds = Vec::new();
        let output = match case.work {
            Work::Convolution(convolution, direction) => convolve(&graph, &convolution, direction)?,
            Work::Product { side, .. } => {
                let left = graph.parameter("x", [side; 2], Init::Zeros)?;
                left.matmul(graph.parameter("dy", [side; 2], Init::Zeros)?)?
            }
            Work::Inference(network, batch) => logits(&graph, network, batch, &mut feeds)?,
            Work::Training(network, batch) => {
                let logits = logits(&graph, network, batch, &mut feeds)?;
                let loss = logits.softmax_cross_entropy(graph.label_input("labels", batch)?)?;
                feeds.push(("labels", Fed::Labels(data::labels(batch, network.classes()))));
                graph.minimize(loss, &Optimizer::sgd(LEARNING_RATE as f32).momentum(MOMENTUM as f32))?;
                loss
            }
        };
        let variables = Variables::new(&self.gpu, 0);
        let session = Session::with_options(&self.gpu, &graph, &[output], &variables, &options)?;
        for (name, array) in variables.read_all_blocking()? {
            let values = match name.as_str() {
                "x" | "dy" => Some(data::image(&name, array.shape())),
                _ => data::parameter(&name, array.shape()),
            };
            if let Some(values) = values {
                variables.set(&name, &values)?;
            }
        }
        Ok(Some(Box::new(Ready { gpu: self.gpu.clone(), session, feeds, output: output.id() })))
    }
}

/// Parameters stay on the device, so that the operands are parameters too. Of a gradient's graph nothing but the gradient
/// is needed, so nothing else is in its plan.
fn convolve<'g>(graph: &'g Graph, convolution: &Convolution, direction: Direction) -> omma::Result<Tensor<'g>> {
    let Convolution { out_channels, kernel, stride, groups, .. } = *convolution;
    let settings = Conv2d::new(out_channels, kernel).stride(stride).padding(convolution.padding()).groups(groups);
    let x = graph.parameter("x", convolution.x(), Init::Zeros)?;
    if direction == Direction::Forward {
        return x.conv2d("conv", settings)?.relu();
    }
    let weight = graph.parameter("conv.weight", convolution.weight(), Init::Zeros)?;
    let dy = graph.parameter("dy", convolution.y(), Init::Zeros)?;
    let y = x.conv2d_with(weight, None, settings)?;
    let target = if direction == Direction::InputGradient { x } else { weight };
    let gradient = graph.gradients_of(&[(y, dy)], &[target])?.remove(0);
    gradient.ok_or_else(|| omma::Error::Session("the convolution has no gradient".into()))
}

fn logits<'g>(graph: &'g Graph, network: Network, batch: usize, feeds: &mut Feeds) -> omma::Result<Tensor<'g>> {
    let shape = network.images(batch);
    feeds.push(("images", Fed::Images(data::image("images", &shape))));
    let images = graph.input("images", shape)?;
    match network {
        Network::LeNet5 => lenet5(images, network.classes()),
        Network::ResNet18(_) => ResNet::new(18)?.build(images, network.classes()),
    }
}

enum Fed {
    Images(Vec<f32>),
    Labels(Vec<u32>),
}

type Feeds = Vec<(&'static str, Fed)>;

struct Ready {
    gpu: Gpu,
    session: Session,
    feeds: Feeds,
    output: TensorId,
}

impl Prepared for Ready {
    fn run(&mut self) -> Result<()> {
        let feeds: Vec<_> = self.feeds.iter().map(|(name, fed)| (*name, fed.host())).collect();
        self.session.run_blocking(&feeds)?;
        Ok(self.gpu.wait_blocking()?)
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        Ok(self.session.read_blocking::<f32>(self.output)?.iter().copied().collect())
    }
}

impl Fed {
    fn host(&self) -> HostTensor<'_> {
        match self {
            Self::Images(values) => values.into(),
            Self::Labels(values) => values.into(),
        }
    }
}
