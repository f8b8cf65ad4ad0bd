//! burn on wgpu, with its fusion and its tuning of kernels.

use burn::backend::Dispatch;
use burn::backend::ops::ModuleOps;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::tensor::module::{conv2d, conv2d_weight_backward};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DeviceKind, TensorData};

use super::burn_nets::{Classifier, LeNet5, ResNet18};
use super::{Engine, Prepared, Result};
use crate::cases::{Case, Convolution, Direction, LEARNING_RATE, MOMENTUM, Network, Work};
use crate::data;

pub(crate) struct Burn {
    device: Device,
}

impl Burn {
    /// On the processor through a software adapter, or on the GPU that wgpu likes best.
    pub(crate) fn new(software: bool) -> Self {
        Self { device: Device::wgpu(if software { DeviceKind::Cpu } else { DeviceKind::DefaultDevice }) }
    }

    fn prepare_network<N: Classifier + 'static>(&self, case: &Case) -> Option<Box<dyn Prepared>> {
        match case.work {
            Work::Inference(network, batch) => Some(Box::new(Inference {
                device: self.device.clone(),
                network: N::new(network.classes(), &self.device),
                images: images(network, batch),
                logits: None,
            })),
            Work::Training(network, batch) => {
                let device = self.device.clone().autodiff();
                let momentum = MomentumConfig::new().with_momentum(MOMENTUM).with_dampening(0.0);
                let labels = data::labels(batch, network.classes()).into_iter().map(i64::from).collect::<Vec<_>>();
                Some(Box::new(Training {
                    network: Some(N::new(network.classes(), &device)),
                    optimizer: SgdConfig::new().with_momentum(Some(momentum)).init(),
                    images: images(network, batch),
                    labels: TensorData::new(labels, [batch]),
                    device,
                    loss: None,
                }))
            }
            Work::Convolution(..) | Work::Product { .. } => None,
        }
    }
}

fn images(network: Network, batch: usize) -> TensorData {
    let shape = network.images(batch);
    TensorData::new(data::image("images", &shape), shape)
}

impl Engine for Burn {
    fn name(&self) -> &'static str {
        "burn"
    }

    fn description(&self) -> String {
        format!("0.22.1 on {:?}", self.device)
    }

    fn prepare(&self, case: &Case) -> Result<Option<Box<dyn Prepared>>> {
        Ok(match case.work {
            Work::Convolution(convolution, direction) => {
                Some(Box::new(Conv::new(&self.device, convolution, direction)))
            }
            Work::Product { half: true, .. } => None,
            Work::Product { side, half: false } => Some(Box::new(Product::new(&self.device, side))),
            Work::Inference(Network::LeNet5, _) | Work::Training(Network::LeNet5, _) => {
                self.prepare_network::<LeNet5>(case)
            }
            Work::Inference(Network::ResNet18(_), _) | Work::Training(Network::ResNet18(_), _) => {
                self.prepare_network::<ResNet18>(case)
            }
        })
    }
}

struct Conv {
    device: Device,
    direction: Direction,
    options: ConvOptions<2>,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    dy: Tensor<4>,
    result: Option<Tensor<4>>,
}

impl Conv {
    fn new(device: &Device, convolution: Convolution, direction: Direction) -> Self {
        let image = |name: &str, shape: [usize; 4]| {
            Tensor::from_data(TensorData::new(data::image(name, &shape), shape), device)
        };
        let (stride, padding) = (convolution.stride, convolution.padding());
        Self {
            device: device.clone(),
            direction,
            options: ConvOptions::new([stride; 2], [padding; 2], [1; 2], convolution.groups),
            x: image("x", convolution.x()),
            weight: super::burn_nets::parameter("conv.weight", convolution.weight(), device),
            bias: super::burn_nets::parameter("conv.bias", [convolution.out_channels], device),
            dy: image("dy", convolution.y()),
            result: None,
        }
    }
}

impl Prepared for Conv {
    /// The gradients are the very calls that burn's automatic differentiation makes, without the forward pass before them.
    fn run(&mut self) -> Result<()> {
        let (x, weight, dy, options) = (self.x.clone(), self.weight.clone(), self.dy.clone(), self.options.clone());
        let result = match self.direction {
            Direction::Forward => relu(conv2d(x, weight, Some(self.bias.clone()), options)),
            Direction::InputGradient => Tensor::from_dispatch(Dispatch::conv2d_x_backward(
                x.into_dispatch(),
                weight.into_dispatch(),
                dy.into_dispatch(),
                options,
            )),
            Direction::WeightGradient => conv2d_weight_backward(x, weight, dy, options),
        };
        self.device.sync()?;
        self.result = Some(result);
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        read(self.result.take())
    }
}

struct Product {
    device: Device,
    operands: [Tensor<2>; 2],
    result: Option<Tensor<2>>,
}

impl Product {
    fn new(device: &Device, side: usize) -> Self {
        let matrix = |name: &str| {
            let shape = [side; 2];
            Tensor::from_data(TensorData::new(data::image(name, &shape), shape), device)
        };
        Self { device: device.clone(), operands: [matrix("x"), matrix("dy")], result: None }
    }
}

impl Prepared for Product {
    fn run(&mut self) -> Result<()> {
        let [left, right] = self.operands.clone();
        let result = left.matmul(right);
        self.device.sync()?;
        self.result = Some(result);
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        read(self.result.take())
    }
}

struct Inference<N> {
    device: Device,
    network: N,
    images: TensorData,
    logits: Option<Tensor<2>>,
}

impl<N: Classifier> Prepared for Inference<N> {
    fn run(&mut self) -> Result<()> {
        let logits = self.network.forward(Tensor::from_data(self.images.clone(), &self.device));
        self.device.sync()?;
        self.logits = Some(logits);
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        read(self.logits.take())
    }
}

struct Training<N: Classifier> {
    device: Device,
    /// The optimizer takes it and gives it back.
    network: Option<N>,
    optimizer: ModuleOptimizer,
    images: TensorData,
    labels: TensorData,
    loss: Option<Tensor<1>>,
}

impl<N: Classifier> Prepared for Training<N> {
    fn run(&mut self) -> Result<()> {
        let network = self.network.take().ok_or("an earlier step failed")?;
        let images = Tensor::from_data(self.images.clone(), &self.device);
        let labels = Tensor::from_data(self.labels.clone(), &self.device);
        let loss = CrossEntropyLossConfig::new().init(&self.device).forward(network.forward(images), labels);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        self.network = Some(self.optimizer.step(LEARNING_RATE, network, gradients));
        self.device.sync()?;
        self.loss = Some(loss);
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        read(self.loss.take())
    }
}

fn read<const D: usize>(tensor: Option<Tensor<D>>) -> Result<Vec<f32>> {
    let data = tensor.ok_or("nothing has run yet")?.into_data();
    Ok(data.try_to_vec::<f32>().map_err(|error| format!("{error:?}"))?)
}
