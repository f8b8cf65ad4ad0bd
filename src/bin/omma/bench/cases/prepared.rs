//! A case on a device: checked once, then timed as often as wanted.

use std::time::Instant;

use omma::selftest::Report;
use omma::{
    Capabilities, DispatchProfile, Error, Evaluator, Gpu, Graph, Kernel, NamedArrays, Plan, PlanOptions, Profile,
    Result, Session, TensorId, VariableLayout, Variables,
};

use super::{Case, Check, What};

const SEED: u64 = 0x0be7_c4ed;

/// A case with its session.
pub(crate) struct Prepared<'a> {
    case: &'a Case,
    gpu: Gpu,
    graph: Graph,
    session: Session,
    variables: Variables,
    fetched: Vec<TensorId>,
}

/// What a step does.
pub(crate) struct Work {
    /// The kernel that takes most of the time, of those that compute if any does; empty for a whole network.
    pub(crate) kernel: String,
    pub(crate) flops: u64,
    /// Bytes that an operation has to move; of a whole network those that its dispatches bind.
    pub(crate) bytes: u64,
}

/// The milliseconds of one step.
pub(crate) struct Sample {
    pub(crate) whole: f64,
    /// Of these, what it took to bring the ends of the graph, which are row-major, into the kernels' layouts and back.
    pub(crate) layout: f64,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(case: &'a Case, gpu: &Gpu, options: &PlanOptions) -> Result<Self> {
        let graph = Graph::new(case.mode);
        let variables = Variables::new(gpu, SEED);
        let outputs = (case.build)(&graph)?;
        let session = Session::with_options(gpu, &graph, &outputs, &variables, &case.options(options))?;
        let fetched = outputs.iter().map(|output| output.id()).collect();
        drop(outputs);
        Ok(Self { case, gpu: gpu.clone(), graph, session, variables, fetched })
    }

    /// The options with what the device decides of them, so that [`Prepared::plan`] is what [`Prepared::new`] runs.
    pub(crate) fn resolved(case: &Case, gpu: &Gpu, options: &PlanOptions) -> Result<PlanOptions> {
        let graph = Graph::new(case.mode);
        let outputs = (case.build)(&graph)?;
        case.options(options).resolved(gpu, &graph, &outputs)
    }

    /// The plan of a case and its variables, without allocating anything.
    pub(crate) fn plan(
        case: &Case,
        capabilities: &Capabilities,
        options: &PlanOptions,
    ) -> Result<(Plan, VariableLayout)> {
        let graph = Graph::new(case.mode);
        let outputs = (case.build)(&graph)?;
        let layout = VariableLayout::on(&graph, capabilities)?;
        Ok((Plan::new(&graph, &outputs, &layout, capabilities, &case.options(options))?, layout))
    }

    /// The session.
    pub(crate) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// One step and the device's rest.
    pub(crate) fn step(&mut self) -> Result<()> {
        self.session.run_blocking(&self.case.feeds())?;
        self.gpu.wait_blocking()
    }

    /// The milliseconds that the host needs to record and submit a step. The device rests before and after.
    pub(crate) fn submission(&mut self) -> Result<f64> {
        let start = Instant::now();
        self.session.run_blocking(&self.case.feeds())?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        self.gpu.wait_blocking()?;
        Ok(milliseconds)
    }

    /// What the plan and the variables say that they allocate.
    pub(crate) fn planned_bytes(&self) -> u64 {
        self.session.plan().memory().total() + self.variables.bytes()
    }

    /// One step with the time of every dispatch.
    pub(crate) fn profile(&mut self) -> Result<Profile> {
        self.session.profile_blocking(&self.case.feeds())
    }

    /// Compares the first step with the f64 reference: to be called before anything else runs.
    pub(crate) fn check(&mut self) -> Result<Report> {
        let before = self.variables.read_all_blocking()?;
        self.step()?;
        let results: Vec<Vec<f32>> = self
            .fetched
            .iter()
            .map(|&id| Ok(self.session.read_blocking::<f32>(id)?.iter().copied().collect()))
            .collect::<Result<_>>()?;
        let mut report = Report::new(self.case.name.clone(), "");
        if self.session.plan().kernels().any(Kernel::half_precision) {
            report = report.half_precision();
        }
        match &self.case.check {
            Check::Slices(slices) => {
                let operand = |name: &str| values(&before, name);
                slices.compare(&mut report, operand, results.first().map_or(&[], Vec::as_slice));
            }
            Check::Graph => self.check_graph(&mut report, &results)?,
        }
        Ok(report)
    }

    fn check_graph(&self, report: &mut Report, results: &[Vec<f32>]) -> Result<()> {
        let mut evaluator = Evaluator::new(&self.graph, SEED);
        let inputs: Vec<(&str, Vec<f64>)> =
            self.case.inputs.iter().map(|(name, values)| (*name, values.widened())).collect();
        let inputs: Vec<(&str, &[f64])> = inputs.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        // Where an activation is within rounding of a kink, single and double precision may take different sides, and in a
        // deep network some always are: its gradients are then close as a whole, but not element by element. Its loss is,
        // and nothing else is computed in f64.
        let whole = matches!(self.case.what, What::Step);
        match whole {
            true => evaluator.run_for(&self.fetched, &inputs)?,
            false => evaluator.run(&inputs)?,
        }
        // The bound is that of one operation. In a network every layer's rounding reaches the end, and those before it come
        // on top; a layer has at least one parameter.
        let layers = match self.case.what {
            What::Step => self.graph.parameters().len().max(1),
            What::Nodes { .. } => 1,
        };
        let after = self.variables.read_all_blocking()?;
        let variables = after.iter().filter_map(|(name, _)| Some((name.clone(), self.graph.tensor(name)?.id())));
        let variables = variables.map(|(name, id)| (id, values(&after, &name), name));
        let fetched = self.fetched.iter().zip(results).map(|(&id, values)| (id, values.clone(), "output".to_string()));
        for (id, found, name) in fetched.chain(variables.filter(|_| !whole)) {
            // A variable that no node changed has no result.
            let Some(expected) = evaluator.checked(id) else { continue };
            let mut expected = expected.clone();
            expected.magnitude.iter_mut().for_each(|magnitude| *magnitude *= layers as f64);
            let found: Vec<f64> = found.into_iter().map(f64::from).collect();
            report.compare(&name, &found, &expected);
        }
        Ok(())
    }

    /// One step by the clock.
    pub(crate) fn sample(&mut self) -> Result<Sample> {
        let What::Nodes { prefix, .. } = self.case.what else {
            let start = Instant::now();
            self.step()?;
            return Ok(Sample { whole: start.elapsed().as_secs_f64() * 1e3, layout: 0.0 });
        };
        let profile = self.profile()?;
        let counted = || profile.dispatches.iter().filter(|dispatch| dispatch.node.starts_with(prefix));
        let milliseconds = |of: &dyn Fn(&&DispatchProfile) -> bool| {
            counted().filter(of).map(|dispatch| dispatch.nanoseconds).sum::<f64>() / 1e6
        };
        let layout = milliseconds(&|dispatch| dispatch.kernel.starts_with("format."));
        Ok(Sample { whole: milliseconds(&|_| true), layout })
    }

    /// What a step does, by one profile of it.
    pub(crate) fn work(&mut self) -> Result<Work> {
        let dispatches = self.profile()?.dispatches;
        let What::Nodes { prefix, bytes } = self.case.what else {
            let sum = |of: fn(&DispatchProfile) -> u64| dispatches.iter().map(of).sum();
            return Ok(Work { kernel: String::new(), flops: sum(|d| d.flops), bytes: sum(|d| d.bytes) });
        };
        let counted = || dispatches.iter().filter(|dispatch| dispatch.node.starts_with(prefix));
        // What computes is what a row is about, also where a conversion beside it takes longer.
        let computes = |dispatch: &DispatchProfile| dispatch.flops > 0;
        let longest = counted()
            .max_by(|a, b| (computes(a).cmp(&computes(b))).then_with(|| a.nanoseconds.total_cmp(&b.nanoseconds)));
        let longest = longest.ok_or_else(|| Error::Session(format!("no dispatch belongs to `{prefix}`")))?;
        Ok(Work { kernel: longest.kernel.clone(), flops: counted().map(|dispatch| dispatch.flops).sum(), bytes })
    }
}

fn values(arrays: &NamedArrays, name: &str) -> Vec<f32> {
    let array = arrays.iter().find(|(other, _)| other == name);
    array.map(|(_, array)| array.iter().copied().collect()).unwrap_or_default()
}
