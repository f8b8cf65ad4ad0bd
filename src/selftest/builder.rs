//! Inputs of a case with their data: random, but the same in every run.

use std::cell::RefCell;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal, Uniform};

use crate::error::{Error, Result};
use crate::graph::init::fnv1a;
use crate::graph::{Graph, Shape, Tensor, TensorType};
use crate::plan::HostTensor;

#[derive(Debug, Clone)]
pub(super) enum Data {
    F32(Vec<f32>),
    U32(Vec<u32>),
    U8(Vec<u8>),
}

impl Data {
    pub(super) fn host(&self) -> HostTensor<'_> {
        match self {
            Self::F32(values) => values.into(),
            Self::U32(values) => values.into(),
            Self::U8(values) => values.into(),
        }
    }

    /// Rounds floats to half precision.
    pub(super) fn round_to_half(&mut self) {
        if let Self::F32(values) = self {
            values.iter_mut().for_each(|value| *value = rounded_to_half(*value));
        }
    }

    pub(super) fn widened(&self) -> Vec<f64> {
        match self {
            Self::F32(values) => values.iter().copied().map(f64::from).collect(),
            Self::U32(values) => values.iter().copied().map(f64::from).collect(),
            Self::U8(values) => values.iter().copied().map(f64::from).collect(),
        }
    }
}

/// The nearest number of 11 significant bits, or, below 2^-14, multiple of 2^-24. Cases have nothing that is too large.
fn rounded_to_half(value: f32) -> f32 {
    let exponent = value.abs().max(f32::MIN_POSITIVE).log2().floor().max(-14.0);
    let unit = (exponent - 10.0).exp2();
    (value / unit).round_ties_even() * unit
}

pub(super) fn draw<T>(name: &str, count: usize, mut one: impl FnMut(&mut ChaCha8Rng) -> T) -> Vec<T> {
    let mut random = ChaCha8Rng::seed_from_u64(fnv1a(name.as_bytes()));
    (0..count).map(|_| one(&mut random)).collect()
}

/// Declares a case's inputs together with their data.
#[derive(Debug)]
pub struct CaseBuilder<'g> {
    pub(super) graph: &'g Graph,
    pub(super) inputs: RefCell<Vec<(String, Data)>>,
}

impl<'g> CaseBuilder<'g> {
    /// The graph under construction.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    fn input(&self, name: &str, ty: TensorType, data: Data) -> Result<Tensor<'g>> {
        self.inputs.borrow_mut().push((name.to_string(), data));
        self.graph.input_of(name, ty)
    }

    /// An input of standard normal values.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn normal(&self, name: &str, shape: impl Into<Shape>) -> Result<Tensor<'g>> {
        self.shifted(name, shape, 0.0)
    }

    /// An input of normal values around `mean`.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn shifted(&self, name: &str, shape: impl Into<Shape>, mean: f32) -> Result<Tensor<'g>> {
        let ty = TensorType::f32(shape);
        let values = draw(name, ty.elements(), |random| {
            let normal: f32 = StandardNormal.sample(random);
            mean + normal
        });
        self.input(name, ty, Data::F32(values))
    }

    /// An input of the given values.
    ///
    /// # Errors
    /// When the name is taken or the number of values differs.
    pub fn values(&self, name: &str, shape: impl Into<Shape>, values: Vec<f32>) -> Result<Tensor<'g>> {
        let given = values.len();
        let tensor = self.input(name, TensorType::f32(shape), Data::F32(values))?;
        match tensor.shape().elements() {
            count if count == given => Ok(tensor),
            count => Err(Error::shape(format!("`{name}`"), format!("{count} values"), given)),
        }
    }

    /// An input of random labels below `classes`.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn labels(&self, name: &str, count: usize, classes: usize) -> Result<Tensor<'g>> {
        let values = draw(name, count, |random| {
            let uniform: f32 = Uniform::new(0.0_f32, 1.0).ok().map_or(0.0, |d| d.sample(random));
            ((uniform * classes as f32) as u32).min((classes as u32).saturating_sub(1))
        });
        self.input(name, TensorType::u32(count), Data::U32(values))
    }

    /// An input of random bytes.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn bytes(&self, name: &str, shape: impl Into<Shape>) -> Result<Tensor<'g>> {
        let ty = TensorType::u8(shape);
        let values =
            draw(name, ty.elements(), |random| Uniform::new_inclusive(0_u8, 255).ok().map_or(0, |d| d.sample(random)));
        self.input(name, ty, Data::U8(values))
    }
}
