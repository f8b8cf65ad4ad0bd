//! The one operation that convolutions, transposed ones, matrix products and the gradients of all of them are.
//!
//! A convolution is linear in x and in w: with the taps t that it adds, Σ x[t]·w[t]·y[t] is linear in three tensors, and the
//! derivative by each is a sum over products of the other two. So the gradients of each of the three are the other two.

use super::geometry::Geometry;
use super::kernels::{Direction, lower};
use super::layer::Kind;
use super::{channels_last, cut, winograd, winograd_planar};
use crate::error::Result;
use crate::graph::chain::{Chain, Extent};
use crate::graph::{Evaluation, GradientContext, Op, Reach, Sliding, Tensor, TensorType};
use crate::ops::chain::finish;
use crate::plan::{Format, Lowering, Operand};
use crate::reference::{Checked, conv_transpose, conv2d as reference, dense};

/// Longer sums of a dense layer's weight gradient are cut into slices.
pub(in crate::ops) const LONGEST_BATCH: usize = 16_384;

/// (x, weight, bias?) -> y, (weight, y, bias?) -> x, or (x, y) -> weight
#[derive(Debug, Clone)]
pub(in crate::ops) struct Product {
    /// Of each [`Direction`].
    pub(in crate::ops) names: &'static [&'static str; 3],
    pub(in crate::ops) geometry: Geometry,
    /// x, weight and y as the graph has them: kernels know the geometry alone.
    pub(in crate::ops) types: [TensorType; 3],
    pub(in crate::ops) direction: Direction,
    pub(in crate::ops) of: Of,
}

/// What x, weight and y are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Of {
    /// Images or sequences `[N, C, ...]`, filters `[O, C, ...]`.
    Images,
    /// A dense layer's: `[N, C]`, `[O, C]`.
    Rows,
    /// Matrices without a meaning: `[C, pixels]`, `[O, C]`, `[O, pixels]`, or many.
    Matrices,
}

impl Product {
    /// A convolution of images `[N, C, H, W]`, transposed or not.
    pub(in crate::ops) fn of_images(kind: &Kind, g: Geometry) -> Self {
        let image = |channels, [height, width]: [usize; 2]| TensorType::f32([g.batch, channels, height, width]);
        let weight = [g.channels[1], g.group()[0], g.kernel[0], g.kernel[1]];
        let types = [image(g.channels[0], g.input), TensorType::f32(weight), image(g.channels[1], g.output)];
        Self { names: kind.names, geometry: g, types, direction: kind.direction(), of: Of::Images }
    }

    /// What is computed, of x, weight and y.
    pub(super) fn result(&self) -> usize {
        match self.direction {
            Direction::GradInput => 0,
            Direction::GradWeight => 1,
            Direction::Forward => 2,
        }
    }

    /// What it is computed from, in the order of the inputs.
    pub(super) fn operands(&self) -> [usize; 2] {
        match self.direction {
            Direction::GradInput => [1, 2],
            Direction::GradWeight => [0, 2],
            Direction::Forward => [0, 1],
        }
    }

    /// The product that computes x, weight or y.
    fn computing(&self, role: usize) -> Self {
        let direction = [Direction::GradInput, Direction::GradWeight, Direction::Forward][role];
        Self { direction, ..self.clone() }
    }

    /// Adds the node, for the same elements as its operands under any shapes.
    pub(in crate::ops) fn of_views<'g>(
        self,
        layer: &str,
        operands: [Tensor<'g>; 2],
        bias: Option<Tensor<'g>>,
    ) -> Result<Tensor<'g>> {
        let mut inputs = Vec::with_capacity(3);
        for (tensor, role) in operands.into_iter().zip(self.operands()) {
            let shape = &self.types[role].shape;
            inputs.push(if *shape == tensor.shape() { tensor } else { tensor.reshape(shape.clone())? });
        }
        inputs.extend(bias);
        inputs[0].graph().apply_one(self, layer, &inputs)
    }

    /// [`Product::of_views`] of an image, convolved or the transpose of that.
    pub(in crate::ops) fn of_image<'g>(
        self,
        layer: &str,
        image: Tensor<'g>,
        weight: Tensor<'g>,
        bias: Option<Tensor<'g>>,
    ) -> Result<Tensor<'g>> {
        let pair = if self.direction == Direction::GradInput { [weight, image] } else { [image, weight] };
        self.of_views(layer, pair, bias)
    }

    /// Adds the dispatches of the product of so many of the node's inputs, the bias among them or not.
    pub(super) fn lower_whole(&self, cx: &mut Lowering<'_>, inputs: usize) -> Result<()> {
        let operands: Vec<Operand> = (0..inputs).map(Operand::Input).chain([Operand::Output(0)]).collect();
        let Geometry { batch, channels: [inputs, outputs], .. } = self.geometry;
        let rows = self.of == Of::Rows && self.direction == Direction::GradWeight;
        if rows && batch <= LONGEST_BATCH && !channels_last::preferred(cx, &self.geometry, self.direction) {
            // dW = dyᵀ·x is also the input gradient of a 1x1 convolution from `outputs` to `batch` channels over `inputs`
            // pixels whose weight is dy: the same kernel as everywhere else, and no partial sums.
            let geometry = Geometry::pointwise(1, outputs, batch, inputs);
            let operands = [Operand::Input(1), Operand::Input(0), Operand::Output(0)];
            return lower(cx, &geometry, Direction::GradInput, &operands);
        }
        lower(cx, &self.geometry, self.direction, &operands)
    }
}

impl Op for Product {
    fn name(&self) -> &'static str {
        self.names[self.direction as usize]
    }

    fn filter(&self) -> Option<usize> {
        let weight = self.operands().iter().position(|&role| role == 1);
        weight.filter(|_| self.of != Of::Matrices && self.geometry.window.groups == 1)
    }

    fn attributes(&self) -> String {
        let window = self.geometry.window;
        match self.of {
            Of::Images => format!(
                "stride {:?}, padding {:?}, dilation {:?}, groups {}",
                window.stride, window.padding, window.dilation, window.groups
            ),
            Of::Rows | Of::Matrices => String::new(),
        }
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let result = &self.types[self.result()];
        for (input, role) in inputs.iter().zip(self.operands()) {
            crate::ops::expect(self.name(), "an operand", &self.types[role], input)?;
        }
        if let Some(bias) = inputs.get(2) {
            crate::ops::expect(self.name(), "a bias", &TensorType::f32(result.shape[1]), bias)?;
        }
        Ok(vec![result.clone()])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let mut gradients = vec![None; cx.count()];
        let Some(cotangent) = cx.cotangent(0) else { return Ok(gradients) };
        let operands = self.operands();
        // Each of x, weight and y: the cotangent stands for what is computed.
        let tensor = |role: usize| operands.iter().position(|&r| r == role).map_or(cotangent, |input| cx.input(input));
        let gradient = |role: usize| {
            let op = self.computing(role);
            let inputs = op.operands().map(tensor);
            cx.graph().apply_one(op, cx.layer(), &inputs).map(Some)
        };
        // The weight's gradient first: independent of the input's, and the sooner done the sooner dy's memory is free.
        let input = |role: usize| operands.iter().position(|&r| r == role).filter(|&input| cx.wants(input));
        if let Some(weight) = input(1) {
            gradients[weight] = gradient(1)?;
        }
        if cx.count() > 2 && cx.wants(2) {
            gradients[2] = Some(cotangent.sum_to_channels(cx.layer())?);
        }
        for role in [0, 2] {
            if let Some(input) = input(role) {
                gradients[input] = gradient(role)?;
            }
        }
        Ok(gradients)
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let ([first, second], bias) = ([cx.inputs[0], cx.inputs[1]], cx.inputs.get(2).copied());
        if self.of == Of::Rows {
            let Geometry { batch, channels: [inputs, outputs], .. } = self.geometry;
            return vec![match self.direction {
                Direction::Forward => dense::forward(batch, inputs, outputs, first, second, bias),
                Direction::GradInput => dense::grad_input(batch, inputs, outputs, first, second),
                Direction::GradWeight => dense::grad_weight(batch, inputs, outputs, first, second),
            }];
        }
        let g = self.geometry.reference();
        let mut result = match self.direction {
            Direction::GradWeight => reference::grad_weight(&g, first, second),
            Direction::Forward => reference::forward(&g, first, second, bias),
            Direction::GradInput => conv_transpose::forward(&g, second, first, bias),
        };
        if [winograd::VARIANT, winograd_planar::VARIANT].into_iter().any(|variant| cx.computed_by(variant)) {
            match self.direction {
                Direction::GradWeight => reference::widen_grad_weight_to_winograd(&g, first, second, &mut result),
                Direction::Forward => reference::widen_to_winograd(&g, first, second, false, &mut result),
                Direction::GradInput => reference::widen_to_winograd(&g, second, first, true, &mut result),
            }
        }
        vec![result]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> u64 {
        self.geometry.flops()
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        let Geometry { kernel, window, .. } = self.geometry;
        // A sequence is an image of one row.
        let first = 4 - self.types[0].shape.len().min(4);
        let [kernel, stride, dilation] =
            [kernel, window.stride, window.dilation].map(|sizes| sizes.get(first..).unwrap_or_default().to_vec());
        let sliding = Sliding { kernel, stride, dilation };
        match self.direction {
            _ if self.of != Of::Images => Reach::Whole,
            Direction::Forward => Reach::Window(sliding),
            Direction::GradInput => Reach::Spread(sliding),
            Direction::GradWeight => Reach::Whole,
        }
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        if cut::necessary(cx, self) {
            return cut::lower(cx, self);
        }
        // A kernel's channels are not axis 1 of a matrix: what has a value for each of those comes after it.
        let apart = self.of == Of::Matrices && cx.epilogue.operands.contains(&Extent::Channel);
        let inputs = cx.own_inputs();
        let epilogue = if apart { std::mem::take(&mut cx.epilogue) } else { Chain::default() };
        self.lower_whole(cx, inputs)?;
        if apart {
            cx.epilogue = epilogue;
            return finish(cx, &[], Format::Planar);
        }
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        self.direction != Direction::GradWeight
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        super::export::export(self, cx)
    }
}
