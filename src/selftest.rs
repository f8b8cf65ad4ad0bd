//! Problems as data: each [`OpCase`] is a small graph that is run on the device, forward and gradient, and compared with
//! the f64 reference element by element. The tests and `omma selftest` use the same cases.
//!
//! The tolerance is derived, not guessed: rounding K terms gives an error of about eps·sqrt(K)·Σ|terms|, so an element may
//! differ by [`BOUND`] times that, whatever cancels in its sum.

use std::collections::BTreeSet;
use std::fmt;

mod builder;
#[cfg(feature = "onnx")]
mod onnx;
mod report;
mod rule;

use ndarray::ArrayD;
use rand_distr::{Distribution, Uniform};

use crate::error::{Error, Result};
use crate::gpu::{Capabilities, Gpu};
use crate::graph::{DType, Evaluator, Graph, Mode, Tensor, TensorId};
use crate::ops::FAMILIES;
use crate::ops::conv2d::is_half;
use crate::plan::{HostTensor, NamedArrays, Plan, PlanOptions, Session, VariableLayout, Variables};
use crate::reference::Checked;

pub use builder::CaseBuilder;
use builder::{Data, draw};
#[cfg(feature = "onnx")]
pub use onnx::OnnxCase;
pub use report::{BOUND, Report};

type Build = dyn for<'g> Fn(&CaseBuilder<'g>) -> Result<Vec<Tensor<'g>>> + Send + Sync;

/// A small graph with input data.
pub struct OpCase {
    name: String,
    build: Box<Build>,
    mode: Mode,
    steps: usize,
    only: Option<&'static str>,
    differences: bool,
    random_parameters: bool,
    single: bool,
}

impl fmt::Debug for OpCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpCase").field("name", &self.name).field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl OpCase {
    /// A case whose graph `build` makes; it returns the outputs to check. Every f32 input and parameter that the outputs
    /// depend on is differentiated.
    pub fn new(
        name: impl Into<String>,
        build: impl for<'g> Fn(&CaseBuilder<'g>) -> Result<Vec<Tensor<'g>>> + Send + Sync + 'static,
    ) -> Self {
        let build = Box::new(build);
        Self {
            name: name.into(),
            build,
            mode: Mode::Evaluation,
            steps: 1,
            only: None,
            differences: true,
            random_parameters: false,
            single: false,
        }
    }

    /// The graph's mode.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Runs several steps and compares after the last.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Starts parameters and states at random values instead of their initialisers.
    pub fn randomize_parameters(mut self) -> Self {
        self.random_parameters = true;
        self
    }

    /// Marks a case whose size is its point: only this variant is run on it.
    pub fn only(mut self, variant: &'static str) -> Self {
        self.only = Some(variant);
        self
    }

    /// Marks a case that multiplies what it has computed before: half precision would round that, and a bound is that of
    /// one sum. No variant of half precision is run on it.
    pub fn in_single_precision(mut self) -> Self {
        self.single = true;
        self
    }

    /// What the case is, beginning with its operation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel variants that some kernel of the case's plan could use on the device, each tried by [`OpCase::run`].
    ///
    /// # Errors
    /// When the graph cannot be built or planned.
    pub fn variants(&self, gpu: &Gpu) -> Result<Vec<&'static str>> {
        let options = PlanOptions::default().half_precision();
        #[cfg(not(target_arch = "wasm32"))]
        crate::plan::cooperative::check(gpu, &options)?;
        let plan = self.plan(gpu, &options)?;
        let legal: BTreeSet<&'static str> = plan
            .choices()
            .iter()
            .flat_map(|choice| &choice.candidates)
            .filter(|candidate| candidate.refusal.is_none())
            .map(|candidate| candidate.name)
            .filter(|variant| !(self.single && is_half(variant)))
            .collect();
        let variants: Vec<&'static str> =
            legal.into_iter().filter(|variant| self.only.is_none_or(|only| *variant == only)).collect();
        Ok(if variants.is_empty() { vec!["plain"] } else { variants })
    }

    /// The plan that the case gets on the device, forward and gradient.
    ///
    /// # Errors
    /// When the graph cannot be built or planned.
    pub fn plan(&self, gpu: &Gpu, options: &PlanOptions) -> Result<Plan> {
        self.plan_for(gpu.capabilities(), options)
    }

    /// [`OpCase::plan`], for what need not be a device.
    ///
    /// # Errors
    /// When the graph cannot be built or planned.
    pub fn plan_for(&self, capabilities: &Capabilities, options: &PlanOptions) -> Result<Plan> {
        let graph = Graph::new(self.mode).seed(SEED);
        let problem = self.build(&graph)?;
        let layout = VariableLayout::on(&graph, capabilities)?;
        Plan::new(&graph, &problem.checked(&graph), &layout, capabilities, options)
    }

    fn build<'g>(&self, graph: &'g Graph) -> Result<Problem> {
        let builder = CaseBuilder { graph, inputs: Default::default() };
        let outputs = (self.build)(&builder)?;
        let differentiable = |tensor: &Tensor<'g>| tensor.dtype() == DType::F32;
        let inputs = builder.inputs.borrow().clone();
        let targets: Vec<Tensor<'g>> = inputs
            .iter()
            .filter_map(|(name, _)| graph.tensor(name))
            .filter(differentiable)
            .chain(graph.parameters())
            .collect();
        let mut pairs = Vec::new();
        for (index, &output) in outputs.iter().enumerate().filter(|(_, output)| differentiable(output)) {
            pairs.push((output, builder.normal(&format!("cotangent.{index}"), output.shape())?));
        }
        let gradients = graph.gradients_of(&pairs, &targets)?;
        let mut checked: Vec<(String, TensorId)> =
            outputs.iter().enumerate().map(|(index, output)| (format!("output {index}"), output.id())).collect();
        for (target, gradient) in targets.iter().zip(gradients) {
            if let Some(gradient) = gradient {
                checked.push((format!("gradient of {}", target.name().unwrap_or_default()), gradient.id()));
            }
        }
        let inputs = builder.inputs.take();
        Ok(Problem { inputs, checked })
    }

    /// Runs the case with the given variant preferred and compares everything with the reference: outputs, gradients,
    /// variables. Memory is poisoned before, sentinels are compared after, and a second run must give the same bits.
    ///
    /// For a variant of half precision the inputs are rounded to it beforehand, so that it loses nothing of them: products
    /// of two are exact in single precision, and what is added up is within the bound of single precision.
    ///
    /// # Errors
    /// When the device fails, a sentinel was overwritten, or a rerun differs; a wrong value is in the report instead.
    pub async fn run(&self, gpu: &Gpu, variant: &str) -> Result<Report> {
        let graph = Graph::new(self.mode).seed(SEED);
        let mut problem = self.build(&graph)?;
        if is_half(variant) {
            problem.inputs.iter_mut().for_each(|(_, data)| data.round_to_half());
        }
        let variables = Variables::new(gpu, SEED);
        let options = PlanOptions::default().prefer(variant).guard();
        let mut session = Session::with_options(gpu, &graph, &problem.checked(&graph), &variables, &options)?;
        let mut evaluator = Evaluator::new(&graph, SEED).computed_by(session.plan());
        if self.random_parameters {
            randomize(&graph, &variables, &mut evaluator)?;
        }
        let start = variables.read_all()?.await?;
        let feeds: Vec<(&str, HostTensor<'_>)> =
            problem.inputs.iter().map(|(name, data)| (name.as_str(), data.host())).collect();
        let first = self.steps_on_device(&mut session, &problem, &feeds).await?;
        let after = with_averages(&variables).await?;
        session.check_guards().await?;
        // The same again from the same start.
        variables.reset_optimizer()?;
        for (name, values) in &start {
            variables.set(name, values)?;
        }
        let second = self.steps_on_device(&mut session, &problem, &feeds).await?;
        let again = with_averages(&variables).await?;
        let bits = |arrays: &[Values]| arrays.iter().flat_map(Values::bits).collect::<Vec<u32>>();
        let kept = |arrays: &NamedArrays| {
            arrays.iter().flat_map(|(_, array)| array).map(|value| value.to_bits()).collect::<Vec<u32>>()
        };
        if (bits(&first), kept(&after)) != (bits(&second), kept(&again)) {
            return Err(Error::Session(format!("{}: a second run gave other bits", self.name)));
        }
        let widened: Vec<(&str, Vec<f64>)> =
            problem.inputs.iter().map(|(name, data)| (name.as_str(), data.widened())).collect();
        let inputs: Vec<(&str, &[f64])> = widened.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        for _ in 0..self.steps {
            evaluator.run(&inputs)?;
        }
        let mut report = Report::new(self.name.clone(), variant);
        for ((what, id), values) in problem.checked.iter().zip(&first) {
            let exact = Checked::exact(evaluator.value(*id).to_vec());
            report.compare(what, &values.widened(), evaluator.checked(*id).unwrap_or(&exact));
        }
        for (name, array) in &after {
            let Some(tensor) = graph.tensor(name) else { continue };
            // Roundings of earlier steps add up.
            if let Some(expected) = evaluator.checked(tensor).filter(|_| self.steps > 0) {
                let mut expected = expected.clone();
                expected.magnitude.iter_mut().for_each(|m| *m *= self.steps as f64);
                let values: Vec<f64> = array.iter().copied().map(f64::from).collect();
                report.compare(name, &values, &expected);
            }
        }
        Ok(report)
    }

    /// [`OpCase::run`], blocking.
    ///
    /// # Errors
    /// See [`OpCase::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_blocking(&self, gpu: &Gpu, variant: &str) -> Result<Report> {
        pollster::block_on(self.run(gpu, variant))
    }

    async fn steps_on_device(
        &self,
        session: &mut Session,
        problem: &Problem,
        feeds: &[(&str, HostTensor<'_>)],
    ) -> Result<Vec<Values>> {
        session.poison()?;
        for _ in 0..self.steps {
            session.run(feeds).await?;
        }
        let mut values = Vec::with_capacity(problem.checked.len());
        for (_, id) in &problem.checked {
            values.push(match session.dtype(*id)? {
                DType::U32 => Values::Integers(session.read(*id)?.await?),
                _ => Values::Floats(session.read(*id)?.await?),
            });
        }
        Ok(values)
    }
}

const SEED: u64 = 0x0b5e_55ed;

#[derive(Debug)]
enum Values {
    Floats(ArrayD<f32>),
    Integers(ArrayD<u32>),
}

impl Values {
    fn widened(&self) -> Vec<f64> {
        match self {
            Self::Floats(array) => array.iter().copied().map(f64::from).collect(),
            Self::Integers(array) => array.iter().copied().map(f64::from).collect(),
        }
    }

    fn bits(&self) -> Vec<u32> {
        match self {
            Self::Floats(array) => array.iter().map(|value| value.to_bits()).collect(),
            Self::Integers(array) => array.iter().copied().collect(),
        }
    }
}

struct Problem {
    inputs: Vec<(String, Data)>,
    /// What to compare, by name.
    checked: Vec<(String, TensorId)>,
}

impl Problem {
    fn checked<'g>(&self, graph: &'g Graph) -> Vec<Tensor<'g>> {
        self.checked.iter().map(|(_, id)| Tensor::new(graph, *id)).collect()
    }
}

/// Away from zero, as a variance is.
fn random_variable(name: &str, count: usize) -> Vec<f32> {
    draw(name, count, |random| Uniform::new(0.5_f32, 1.5).ok().map_or(1.0, |d| d.sample(random)))
}

/// All variables, then the averages of those that have one, as the graph names them.
async fn with_averages(variables: &Variables) -> Result<NamedArrays> {
    let mut all = variables.read_all()?.await?;
    if let Ok(averaged) = variables.averaged() {
        let averages = averaged.read_all()?.await?;
        all.extend(averages.into_iter().map(|(name, values)| (format!("{name}.average"), values)));
    }
    Ok(all)
}

fn randomize(graph: &Graph, variables: &Variables, evaluator: &mut Evaluator<'_>) -> Result<()> {
    for name in variables.names() {
        let count = graph.tensor(&name).map_or(0, |tensor| tensor.shape().elements());
        let values = random_variable(&name, count);
        variables.set(&name, &values)?;
        evaluator.set(&name, &values.iter().copied().map(f64::from).collect::<Vec<f64>>())?;
    }
    Ok(())
}

/// The cases of every operation family, or of those whose name contains `filter`.
pub fn cases(filter: Option<&str>) -> Vec<OpCase> {
    let wanted = |stem: &str| filter.is_none_or(|filter| stem.contains(filter));
    FAMILIES.iter().filter(|family| wanted(family.stem)).flat_map(|family| (family.cases)()).collect()
}

/// The names of the operation families, as [`cases`] filters by them.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.stem)
}
