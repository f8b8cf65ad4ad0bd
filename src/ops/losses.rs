//! Losses of single elements. Those of classes are in `cross_entropy.rs`.

use super::expect;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::selftest::OpCase;

/// What becomes of the losses of single elements or examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean; where classes have weights, the weighted one.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// They stay as they are.
    None,
}

impl Reduction {
    fn of(self, losses: Tensor<'_>) -> Result<Tensor<'_>> {
        match self {
            Self::Mean => losses.mean(..),
            Self::Sum => losses.sum(..),
            Self::None => Ok(losses),
        }
    }
}

impl<'g> Tensor<'g> {
    /// (x - target)². PyTorch's `MSELoss`.
    ///
    /// # Errors
    /// When the tensors are not f32 of one shape.
    pub fn mean_squared_error(self, target: Self, reduction: Reduction) -> Result<Self> {
        expect("mean_squared_error", "a target", &self.ty(), &target.ty())?;
        reduction.of(self.subtract(target)?.square()?)
    }

    /// |x - target|. PyTorch's `L1Loss`.
    ///
    /// # Errors
    /// When the tensors are not f32 of one shape.
    pub fn absolute_error(self, target: Self, reduction: Reduction) -> Result<Self> {
        expect("absolute_error", "a target", &self.ty(), &target.ty())?;
        reduction.of(self.subtract(target)?.abs()?)
    }

    /// d²/2 for d = |x - target| up to `delta`, delta·(d - delta/2) beyond (Huber 1964). PyTorch's `HuberLoss`.
    ///
    /// # Errors
    /// When the tensors are not f32 of one shape, or delta is not positive.
    pub fn huber(self, target: Self, delta: f32, reduction: Reduction) -> Result<Self> {
        positive("huber", "delta", delta)?;
        expect("huber", "a target", &self.ty(), &target.ty())?;
        // With c = min(d, delta), both are c·(d - c/2).
        let distance = self.subtract(target)?.abs()?;
        let clipped = distance.minimum(delta)?;
        reduction.of(clipped.multiply(distance.subtract(clipped.multiply(0.5)?)?)?)
    }

    /// The Huber loss over `beta`: d²/(2·beta) for d = |x - target| up to beta, d - beta/2 beyond. PyTorch's
    /// `SmoothL1Loss`.
    ///
    /// # Errors
    /// When the tensors are not f32 of one shape, or beta is not positive.
    pub fn smooth_l1(self, target: Self, beta: f32, reduction: Reduction) -> Result<Self> {
        positive("smooth_l1", "beta", beta)?;
        self.huber(target, beta, reduction)?.multiply(1.0 / beta)
    }

    /// -(t·ln σ(x) + (1 - t)·ln(1 - σ(x))) of logits x, which stand before any sigmoid, against probabilities t, exact for
    /// logits of any size: PyTorch's `BCEWithLogitsLoss`. There is none of probabilities, which have lost what a logit says
    /// near 0 and 1.
    ///
    /// # Errors
    /// When the tensors are not f32 of one shape.
    pub fn binary_cross_entropy_with_logits(self, target: Self, reduction: Reduction) -> Result<Self> {
        expect("binary_cross_entropy_with_logits", "a target", &self.ty(), &target.ty())?;
        // Each term is small where its part of the loss is, so nothing cancels.
        let right = target.multiply(self.log_sigmoid()?)?;
        let wrong = target.neg()?.add(1.0)?.multiply(self.neg()?.log_sigmoid()?)?;
        reduction.of(right.add(wrong)?.neg()?)
    }

    /// t·(ln t - x) of logarithms of probabilities x against probabilities t, 0 where t is 0 (Kullback and Leibler 1951).
    /// PyTorch's `KLDivLoss`, whose `batchmean` is the sum over the number of examples.
    ///
    /// # Errors
    /// When the tensors are not f32 of one shape.
    pub fn kl_divergence(self, target: Self, reduction: Reduction) -> Result<Self> {
        expect("kl_divergence", "a target", &self.ty(), &target.ty())?;
        // 0 times the logarithm of the smallest number is the limit of t·ln t.
        let logarithm = target.maximum(f32::MIN_POSITIVE)?.log()?;
        reduction.of(target.multiply(logarithm.subtract(self)?)?)
    }
}

fn positive(op: &str, name: &str, value: f32) -> Result<()> {
    match value > 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err(Error::argument(op, format!("expected {name} > 0, got {value}"))),
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    type Loss = for<'g> fn(Tensor<'g>, Tensor<'g>, Reduction) -> Result<Tensor<'g>>;
    let losses: [(&str, Loss); 6] = [
        ("mean_squared_error", |x, target, reduction| x.mean_squared_error(target, reduction)),
        ("absolute_error", |x, target, reduction| x.absolute_error(target, reduction)),
        ("huber", |x, target, reduction| x.huber(target, 0.7, reduction)),
        ("smooth_l1", |x, target, reduction| x.smooth_l1(target, 0.7, reduction)),
        ("binary_cross_entropy_with_logits", |x, target, reduction| {
            x.binary_cross_entropy_with_logits(target.sigmoid()?, reduction)
        }),
        ("kl_divergence", |x, target, reduction| x.log_softmax(1)?.kl_divergence(target.softmax(1)?, reduction)),
    ];
    let mut cases = Vec::new();
    for (name, loss) in losses {
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
            cases.push(OpCase::new(format!("{name} {reduction:?}"), move |cx| {
                let (x, target) = (cx.normal("x", [3, 5, 7])?, cx.normal("target", [3, 5, 7])?);
                Ok(vec![loss(x, target, reduction)?])
            }));
        }
    }
    // Where exponentials overflow, and where all of the loss is in the smaller term.
    cases.push(OpCase::new("binary_cross_entropy_with_logits of extremes", |cx| {
        let x = cx.values("x", [8], vec![200.0, -200.0, 200.0, -200.0, 30.0, -30.0, 0.0, 1e4])?;
        let target = cx.values("target", [8], vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.5, 1.0])?;
        Ok(vec![x.binary_cross_entropy_with_logits(target, Reduction::None)?])
    }));
    cases.push(
        OpCase::new("kl_divergence of zeros", |cx| {
            let target = cx.values("target", [4], vec![0.0, 0.5, 0.5, 0.0])?;
            Ok(vec![cx.normal("x", [4])?.kl_divergence(target, Reduction::Sum)?])
        })
        .without_differences(),
    );
    cases
}
