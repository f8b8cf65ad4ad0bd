//! Finding out which kernels are the fastest, on the plan that wants to know.
//!
//! A variant is timed where it will run: in the whole plan, with all nodes of its problem changed together. Alone a node
//! would not show what its choice costs others, such as the conversions between formats that it makes necessary or spares.
//! Compared are only the nodes whose dispatches differ between two plans; what they have in common cancels, noise included.
//! Problems are taken in the plan's order, each with the choices before it made.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::tuning::Tuning;
use super::{Choice, HostTensor, Plan, PlanOptions, Session, VariableLayout, Variables};
use crate::error::Result;
use crate::gpu::{Gpu, Starting};
use crate::graph::{DType, Graph, Tensor};

/// Steps that are timed of each candidate. The shortest time of a node counts: whatever disturbs it only adds.
const STEPS: usize = 5;
/// A candidate that is so many times slower after its first step is not timed further.
const HOPELESS: f64 = 2.0;
/// Fixes the values that are computed with, which no time should depend on.
const SEED: u64 = 1;

/// The options with the choices that the clock makes for this graph; unchanged where they do not ask for it.
///
/// # Errors
/// When the graph cannot be planned, or the device is lost.
pub(super) fn tuned(gpu: &Gpu, graph: &Graph, fetch: &[Tensor<'_>], options: &PlanOptions) -> Result<PlanOptions> {
    let Some(file) = &options.tune else { return Ok(options.clone()) };
    let mut known = file.as_deref().map(|file| Tuning::load(file, gpu.capabilities())).unwrap_or_default();
    // What another graph of the same caller has settled is settled for this one.
    known.extend(options.tuning.as_deref());
    let mut tuner = Tuner {
        gpu,
        graph,
        fetch,
        options: PlanOptions { tune: None, tuning: None, ..options.clone() },
        known,
        found: Tuning::default(),
        failed: HashSet::new(),
        variables: Variables::new(gpu, SEED),
    };
    let found = tuner.run();
    gpu.tell(Starting::Timed);
    if let (Some(file), true) = (file, tuner.found != Tuning::default()) {
        tuner.found.save(file, gpu.capabilities());
    }
    found?;
    Ok(tuner.options_with(&tuner.known))
}

struct Tuner<'a, 'g> {
    gpu: &'a Gpu,
    graph: &'g Graph,
    fetch: &'a [Tensor<'g>],
    /// What the caller wants, beside tuning.
    options: PlanOptions,
    known: Tuning,
    /// Of those the new ones.
    found: Tuning,
    /// Problems of which no candidate ran.
    failed: HashSet<String>,
    /// To compute with: a timed training step changes them.
    variables: Variables,
}

impl Tuner<'_, '_> {
    fn options_with(&self, tuning: &Tuning) -> PlanOptions {
        PlanOptions { tuning: Some(Arc::new(tuning.clone())), ..self.options.clone() }
    }

    /// Decides every problem of the plan.
    fn run(&mut self) -> Result<()> {
        let layout = VariableLayout::on(self.graph, self.gpu.capabilities())?;
        loop {
            // Every decision may bring others about, in other formats.
            let options = self.options_with(&self.known);
            let plan = Plan::new(self.graph, self.fetch, &layout, self.gpu.capabilities(), &options)?;
            // A name that the plan did not take is none of its candidates'.
            let undecided = |choice: &&Choice| {
                let problem = choice.problem.as_ref();
                problem.is_some_and(|p| self.known.fastest(p) != Some(choice.chosen) && !self.failed.contains(p))
            };
            let Some(choice) = plan.choices.iter().find(undecided).cloned() else { return Ok(()) };
            self.decide(&choice)?;
        }
    }

    /// Times the candidates of a choice.
    fn decide(&mut self, choice: &Choice) -> Result<()> {
        let Some(problem) = &choice.problem else { return Ok(()) };
        let mut best: Option<(&str, Times)> = None;
        for candidate in choice.candidates.iter().filter(|candidate| candidate.refusal.is_none()) {
            let (node, kernel, variant) = (choice.node.as_str(), choice.kernel.as_str(), candidate.name);
            self.gpu.tell(Starting::Timing { node, kernel, variant });
            let mut tuning = self.known.clone();
            tuning.insert(problem, candidate.name);
            match self.time(&self.options_with(&tuning), best.as_ref().map(|(_, times)| times)) {
                Ok(times) if best.as_ref().is_none_or(|(_, best)| times.compared(best) < 1.0) => {
                    best = Some((candidate.name, times));
                }
                Ok(_) => {}
                Err(error) => {
                    // On a lost device nothing more can be found out.
                    self.gpu.check()?;
                    log::warn!("{}: {}[{}] is not timed: {error}", choice.node, choice.kernel, candidate.name);
                }
            }
        }
        match best {
            Some((variant, _)) => {
                log::info!("{}: {}[{variant}] is the fastest", choice.node, choice.kernel);
                self.known.insert(problem, variant);
                self.found.insert(problem, variant);
            }
            None => {
                self.failed.insert(problem.clone());
            }
        }
        Ok(())
    }

    /// The times of a plan, against the best so far.
    fn time(&self, options: &PlanOptions, best: Option<&Times>) -> Result<Times> {
        let mut session = Session::with_options(self.gpu, self.graph, self.fetch, &self.variables, options)?;
        let values = values(session.plan());
        let inputs: Vec<(&str, HostTensor<'_>)> =
            values.iter().map(|(name, values)| (name.as_str(), values.host())).collect();
        // The first step of a kernel may compile it.
        session.run_blocking(&inputs)?;
        let mut times = Times::of(session.plan());
        for _ in 0..STEPS {
            let profile = session.profile_blocking(&inputs)?;
            let mut step: BTreeMap<usize, f64> = BTreeMap::new();
            for dispatch in &profile.dispatches {
                *step.entry(dispatch.number).or_default() += dispatch.nanoseconds;
            }
            times.add(&step);
            if best.is_some_and(|best| times.compared(best) > HOPELESS) {
                break;
            }
        }
        Ok(times)
    }
}

/// Values for an input.
enum Values {
    Floats(Vec<f32>),
    Bytes(Vec<u8>),
    /// Labels: zeros, which are a class of any classifier.
    Labels(Vec<u32>),
}

impl Values {
    fn host(&self) -> HostTensor<'_> {
        match self {
            Self::Floats(values) => values.into(),
            Self::Bytes(values) => values.into(),
            Self::Labels(values) => values.into(),
        }
    }
}

/// Something for every input of a plan: images that look like noise.
fn values(plan: &Plan) -> Vec<(String, Values)> {
    let feeds = plan.feeds.iter().filter(|feed| feed.default.is_none());
    feeds
        .map(|feed| {
            let noise = (0..feed.ty.elements() as u32).map(|i| i.wrapping_mul(2_654_435_761) >> 24);
            let values = match feed.ty.dtype {
                DType::F32 => Values::Floats(noise.map(|byte| byte as f32 / 255.0).collect()),
                DType::U8 => Values::Bytes(noise.map(|byte| byte as u8).collect()),
                DType::U32 => Values::Labels(vec![0; feed.ty.elements()]),
            };
            (feed.name.clone(), values)
        })
        .collect()
}

/// What the nodes of a plan do, and how long they took at least.
struct Times(BTreeMap<usize, (Vec<String>, f64)>);

impl Times {
    /// No time yet.
    fn of(plan: &Plan) -> Self {
        let mut nodes: BTreeMap<usize, (Vec<String>, f64)> = BTreeMap::new();
        for step in &plan.steps {
            let kinds: Vec<_> = step.bindings.iter().map(|&(_, kind)| kind).collect();
            let (kernel, copies) = (&step.kernel, step.copies.len());
            let work = format!(
                "{} {:?} {:?} {:?} {kinds:?} {copies}",
                kernel.label(),
                kernel.constants,
                kernel.template,
                step.workgroups
            );
            nodes.entry(step.number).or_insert((Vec::new(), f64::INFINITY)).0.push(work);
        }
        Self(nodes)
    }

    /// Adds what one step took.
    fn add(&mut self, step: &BTreeMap<usize, f64>) {
        for (number, (_, time)) in &mut self.0 {
            *time = time.min(step.get(number).copied().unwrap_or(f64::INFINITY));
        }
    }

    /// How many times as long as the other the nodes took that differ; 1 where none does.
    fn compared(&self, other: &Self) -> f64 {
        let differs = |number: &usize| self.0.get(number).map(|(work, _)| work) != other.0.get(number).map(|(w, _)| w);
        let sum = |times: &Self| times.0.iter().filter(|(n, _)| differs(n)).map(|(_, (_, time))| time).sum::<f64>();
        let (mine, others) = (sum(self), sum(other));
        if mine == others { 1.0 } else { mine / others }
    }
}
