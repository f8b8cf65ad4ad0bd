//! Whether a device's cooperative matrices compute what they should.
//!
//! On one GPU, sums that stay in such a matrix across a loop have been seen to come out wrong. So before kernels use them on
//! a device, each kernel that could computes products there whose results are known to the last bit: both variants, in every
//! direction that they have. The first session that would use them waits for it.

use super::{PlanOptions, Session, Variables};
use crate::error::Result;
use crate::gpu::{Cooperative, Gpu};
use crate::graph::{Evaluator, Graph, Mode, Tensor};
use crate::ops::conv2d::{COOPERATIVE, Conv2d, is_cooperative};

/// Checks the device, once, where these options would use what was not checked.
pub(crate) fn check(gpu: &Gpu, options: &PlanOptions) -> Result<()> {
    let Cooperative::Unchecked(size) = gpu.capabilities().cooperative else { return Ok(()) };
    if options.trial || !(options.half || options.prefer.iter().any(|variant| is_cooperative(variant))) {
        return Ok(());
    }
    let fault = match fault(gpu, COOPERATIVE) {
        Ok(fault) => fault,
        Err(error) => {
            // On a lost device nothing can be found out.
            gpu.check()?;
            Some(error.to_string())
        }
    };
    if let Some(fault) = &fault {
        log::warn!("{}: cooperative matrices are not used: {fault}", gpu.capabilities().info.name);
    }
    gpu.settle_cooperative(if fault.is_none() { Cooperative::Sound(size) } else { Cooperative::Unsound });
    Ok(())
}

/// A product and its two gradients, of the inputs `x`, `weight` and `dy`.
struct Problem {
    x: [usize; 4],
    weight: [usize; 4],
    stride: usize,
    /// Which of the variants have kernels for it, and for how many of the three directions.
    kernels: &'static [(usize, usize)],
}

/// Several tiles with a rest on either side, and several slabs with a rest; rows that lie in fours and others; sums in one
/// piece and in slices; with strides, where taps share no pixels.
fn problems() -> [Problem; 5] {
    const ALL: &[(usize, usize)] = &[(0, 3)];
    const POINTWISE: &[(usize, usize)] = &[(0, 3), (1, 2)];
    let problem = |x, weight, stride, kernels| Problem { x, weight, stride, kernels };
    [
        problem([70, 150, 1, 1], [90, 150, 1, 1], 1, POINTWISE),
        problem([2, 72, 6, 6], [90, 72, 1, 1], 1, POINTWISE),
        problem([1, 41, 9, 15], [70, 41, 1, 1], 1, POINTWISE),
        problem([2, 10, 17, 17], [70, 10, 3, 3], 1, ALL),
        problem([3, 9, 14, 11], [70, 9, 3, 3], 2, ALL),
    ]
}

/// Inputs of a graph with the names of what is computed of them.
type Named<'g> = [(&'static str, Tensor<'g>); 3];

impl Problem {
    /// What is fetched, and the inputs by name.
    fn build<'g>(&self, graph: &'g Graph) -> Result<(Vec<Tensor<'g>>, Named<'g>)> {
        let (x, weight) = (graph.input("x", self.x)?, graph.input("weight", self.weight)?);
        let [outputs, _, kernel, _] = self.weight;
        let settings = Conv2d::new(outputs, kernel).padding(kernel / 2).stride(self.stride);
        let y = x.conv2d_with(weight, None, settings)?;
        let dy = graph.input("dy", y.shape())?;
        let gradients = graph.gradients_of(&[(y, dy)], &[x, weight])?;
        let fetched = std::iter::once(y).chain(gradients.into_iter().flatten()).collect();
        Ok((fetched, [("x", x), ("weight", weight), ("dy", dy)]))
    }
}

/// What is wrong with these variants, the one for any product and the one for 1x1 kernels: `None` where they compute
/// products of small integers, which no rounding touches, to the last bit.
fn fault(gpu: &Gpu, variants: [&str; 2]) -> Result<Option<String>> {
    for problem in problems() {
        for &(variant, kernels) in problem.kernels {
            if let Some(fault) = problem_fault(gpu, &problem, variants[variant], kernels)? {
                return Ok(Some(format!("{}: {fault}", variants[variant])));
            }
        }
    }
    Ok(None)
}

fn problem_fault(gpu: &Gpu, problem: &Problem, variant: &str, kernels: usize) -> Result<Option<String>> {
    let graph = Graph::new(Mode::Evaluation);
    let (fetched, inputs) = problem.build(&graph)?;
    let options = PlanOptions { trial: true, ..PlanOptions::default() }.prefer(variant);
    let mut session = Session::with_options(gpu, &graph, &fetched, &Variables::new(gpu, 0), &options)?;
    if session.plan().kernels().filter(|kernel| kernel.variant == variant).count() != kernels {
        let candidates = session.plan().choices().iter().flat_map(|choice| &choice.candidates);
        let refusal = candidates.filter(|candidate| candidate.name == variant).find_map(|c| c.refusal.clone());
        return Ok(Some(refusal.unwrap_or_else(|| "it was not taken".into())));
    }
    // Of other steps through the residues for each input, so that no two are alike.
    let integers = |tensor: &Tensor<'_>, step: usize| -> Vec<f32> {
        (0..tensor.shape().elements()).map(|i| (i * step % 17) as f32 - 8.0).collect()
    };
    let values: Vec<(&str, Vec<f32>)> =
        inputs.iter().zip([7, 29, 12]).map(|((name, tensor), step)| (*name, integers(tensor, step))).collect();
    let fed: Vec<_> = values.iter().map(|(name, values)| (*name, values.into())).collect();
    session.run_blocking(&fed)?;
    let widened: Vec<(&str, Vec<f64>)> =
        values.iter().map(|(name, values)| (*name, values.iter().copied().map(f64::from).collect())).collect();
    let widened: Vec<(&str, &[f64])> = widened.iter().map(|(name, values)| (*name, values.as_slice())).collect();
    let mut evaluator = Evaluator::new(&graph, 0);
    evaluator.run(&widened)?;
    for (tensor, what) in fetched.iter().zip(["a product", "the gradient of its image", "that of its filters"]) {
        let found = session.read_blocking::<f32>(*tensor)?;
        let exact = evaluator.checked(tensor.id()).map(|checked| &checked.values);
        if !exact.is_some_and(|exact| found.iter().copied().map(f64::from).eq(exact.iter().copied())) {
            return Ok(Some(format!("{what} of {:?} is wrong", problem.x)));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::fault;
    use crate::gpu::{Gpu, GpuOptions};

    /// No adapter of the tests need have the matrices, so the problems are those of their neighbours, which have the same
    /// tiles and round the same operands.
    #[test]
    fn the_problems_are_exact_and_reach_every_direction() {
        // The only way to run the tests without an adapter.
        if std::env::var("OMMA_SKIP_GPU_TESTS").is_ok_and(|value| value == "1") {
            return;
        }
        let gpu = Gpu::new_blocking(&GpuOptions::default()).unwrap();
        assert_eq!(fault(&gpu, ["tiled_half", "pointwise_half"]).unwrap(), None);
        let unknown = fault(&gpu, ["tiled_half", "unknown"]).unwrap();
        assert_eq!(unknown.as_deref(), Some("unknown: it was not taken"));
        let refused = fault(&gpu, ["cooperative", "pointwise_half"]).unwrap().unwrap();
        assert!(refused.starts_with("cooperative: the device has no cooperative matrices"), "{refused}");
    }
}
