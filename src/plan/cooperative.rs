//! Whether a device's cooperative matrices compute what they should.
//!
//! On one GPU, sums that stay in such a matrix across a loop have been seen to come out wrong. So before kernels use them on
//! a device, one of these kernels computes a product there whose result is known to the last bit. The first session that
//! would use them waits for it.

use super::{PlanOptions, Session, Variables};
use crate::error::Result;
use crate::gpu::{Cooperative, Gpu};
use crate::graph::{Graph, Mode};
use crate::ops::conv2d::{COOPERATIVE, is_cooperative};

/// Rows, columns and terms: several tiles with a rest on either side, and several slabs with a rest.
const SIZES: [usize; 3] = [90, 70, 150];

/// Checks the device, once, where these options would use what was not checked.
pub(crate) fn check(gpu: &Gpu, options: &PlanOptions) -> Result<()> {
    let Cooperative::Unchecked(size) = gpu.capabilities().cooperative else { return Ok(()) };
    if options.trial || !(options.half || options.prefer.iter().any(|variant| is_cooperative(variant))) {
        return Ok(());
    }
    let verdict = match exact(gpu) {
        Ok(true) => Cooperative::Sound(size),
        Ok(false) => {
            log::warn!("{}: cooperative matrices are not used, they compute wrong", gpu.capabilities().info.name);
            Cooperative::Unsound
        }
        Err(error) => {
            // On a lost device nothing can be found out.
            gpu.check()?;
            log::warn!("{}: cooperative matrices are not used: {error}", gpu.capabilities().info.name);
            Cooperative::Unsound
        }
    };
    gpu.settle_cooperative(verdict);
    Ok(())
}

/// Whether a product of small integers, which no rounding touches, is right.
fn exact(gpu: &Gpu) -> Result<bool> {
    let [rows, columns, terms] = SIZES;
    let graph = Graph::new(Mode::Evaluation);
    let (x, weight) = (graph.input("x", [columns, terms])?, graph.input("weight", [rows, terms])?);
    let y = x.dense_with(weight, None)?;
    let options = PlanOptions { trial: true, ..PlanOptions::default() }.prefer(COOPERATIVE);
    let mut session = Session::with_options(gpu, &graph, &[y], &Variables::new(gpu, 0), &options)?;
    if !session.plan().kernels().any(|kernel| kernel.variant == COOPERATIVE) {
        return Ok(false);
    }
    let integers =
        |count: usize, step: usize| -> Vec<f32> { (0..count).map(|i| (i * step % 17) as f32 - 8.0).collect() };
    let (left, right) = (integers(columns * terms, 7), integers(rows * terms, 29));
    session.run_blocking(&[("x", (&left).into()), ("weight", (&right).into())])?;
    let found = session.read_blocking::<f32>(y)?;
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let expected = left.chunks(terms).flat_map(|a| right.chunks(terms).map(move |b| dot(a, b)));
    Ok(found.iter().copied().eq(expected))
}
