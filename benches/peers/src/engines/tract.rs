//! tract on the processor, with a thread for each core. It infers and does not train.

use std::sync::Arc;

use tract_core::internal::*;
use tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec};
use tract_core::ops::math;
use tract_core::ops::nn::DataFormat;
use tract_linalg::multithread::{Executor, set_default_executor};

use super::{Engine, Prepared, Result};
use crate::cases::{Case, Direction, Network, Work};
use crate::data;

pub(crate) struct Tract {
    threads: usize,
}

impl Tract {
    pub(crate) fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        set_default_executor(Executor::multithread(threads));
        Self { threads }
    }
}

impl Engine for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn description(&self) -> String {
        format!("0.23.9 on the processor, {} threads", self.threads)
    }

    fn prepare(&self, case: &Case) -> Result<Option<Box<dyn super::Prepared>>> {
        let (model, name, shape) = match case.work {
            Work::Convolution(convolution, Direction::Forward) => {
                let mut model = TypedModel::default();
                let x = source(&mut model, "x", convolution.x())?;
                let window =
                    Window { kernel: convolution.kernel, stride: convolution.stride, padding: convolution.padding() };
                let y = conv(
                    &mut model,
                    x,
                    "conv",
                    window,
                    [convolution.in_channels, convolution.out_channels],
                    convolution.groups,
                    true,
                )?;
                let y = relu(&mut model, y, "relu")?;
                model.select_output_outlets(&[y])?;
                (model, "x", convolution.x())
            }
            Work::Inference(network @ Network::ResNet18(_), batch) => {
                let images = network.images(batch);
                (super::tract_resnet::model(images, network.classes())?, "images", images)
            }
            Work::Inference(Network::LeNet5, _) | Work::Convolution(..) | Work::Product { .. } | Work::Training(..) => {
                return Ok(None);
            }
        };
        let model = model.into_optimized()?.into_runnable()?;
        let input = Tensor::from_shape(&shape, &data::image(name, &shape))?.into_arc_tensor();
        Ok(Some(Box::new(Ready { state: model.spawn()?, input, output: None })))
    }
}

struct Ready {
    state: TypedSimpleState,
    input: Arc<Tensor>,
    output: Option<TValue>,
}

impl Prepared for Ready {
    fn run(&mut self) -> Result<()> {
        let mut outputs = self.state.run(tvec!(self.input.clone().into_tvalue()))?;
        self.output = outputs.pop();
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        let output = self.output.as_ref().ok_or("nothing has run yet")?;
        Ok(output.to_plain_array_view::<f32>()?.iter().copied().collect())
    }
}

/// A square window over images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Window {
    pub(super) fn over(self, [in_channels, out_channels]: [usize; 2]) -> PoolSpec {
        let both = |value: usize| tvec!(value, value);
        PoolSpec {
            data_format: DataFormat::NCHW,
            kernel_shape: both(self.kernel),
            padding: PaddingSpec::Explicit(both(self.padding), both(self.padding)),
            dilations: None,
            strides: Some(both(self.stride)),
            input_channels: in_channels,
            output_channels: out_channels,
        }
    }
}

pub(super) fn source(model: &mut TypedModel, name: &str, shape: [usize; 4]) -> TractResult<OutletId> {
    model.add_source(name, f32::fact(shape))
}

/// A parameter, zeros where the engines start with their own.
pub(super) fn parameter(model: &mut TypedModel, name: &str, shape: &[usize]) -> TractResult<OutletId> {
    let values = data::parameter(name, shape).unwrap_or_else(|| vec![0.0; shape.iter().product()]);
    model.add_const(name, Tensor::from_shape(shape, &values)?)
}

pub(super) fn conv(
    model: &mut TypedModel,
    x: OutletId,
    name: &str,
    window: Window,
    channels: [usize; 2],
    groups: usize,
    bias: bool,
) -> TractResult<OutletId> {
    let [inputs, outputs] = channels;
    let shape = [outputs, inputs / groups, window.kernel, window.kernel];
    let weight = parameter(model, &format!("{name}.weight"), &shape)?;
    let bias = match bias {
        true => parameter(model, &format!("{name}.bias"), &[outputs])?,
        false => model.add_const(format!("{name}.bias"), Tensor::zero::<f32>(&[outputs])?)?,
    };
    let pool_spec = window.over(channels);
    let op = Conv { pool_spec, kernel_fmt: KernelFormat::OIHW, group: groups, q_params: None };
    Ok(model.wire_node(name, op, &[x, weight, bias])?[0])
}

pub(super) fn relu(model: &mut TypedModel, x: OutletId, name: &str) -> TractResult<OutletId> {
    let zero = model.add_const(format!("{name}.zero"), Tensor::zero::<f32>(&[1; 4])?)?;
    Ok(model.wire_node(name, math::max(), &[x, zero])?[0])
}
