//! What a step costs beside the arithmetic: of the host, of submissions, of the start.
//!
//! Everything runs on a device of its own, so that its first step is a first one. Whether the driver had compiled the same
//! kernels in an earlier process is beyond a program's knowledge, and makes the first step several times as fast: the rows
//! from the start of a process (`start.rs`) know, as they have caches of their own.

use std::time::Instant;

use omma::{DeviceClass, Gpu, Graph, Init, Mode, PlanOptions, Result, Session, Statistics, Tensor, Variables};

use super::cases::{Case, NETWORKS, Prepared};
use super::row::Row;
use super::start::{self, CACHES};
use super::timing::{Timing, milliseconds};
use crate::Device;

/// Dispatches of the chain that tells what one costs.
const CHAIN: usize = 100;
const READ_MIB: usize = 16;
/// Steps over which allocations are counted.
const STEPS: u32 = 10;
/// The training batch of the largest network.
const LARGE_BATCH: usize = 8;

/// What is measured together.
pub(crate) enum Section {
    Open,
    /// From the start of a process to the end of its first step of a training.
    Process(Case),
    /// A training: its start, then what a step makes and what the host does for it.
    Start(Case),
    /// What the largest network is said to need, and what a session of it and its variables allocate.
    Allocation(Case),
    /// How often a step waits on a GPU with the limits of this adapter.
    Barriers(Case),
    Dispatch,
    Readback,
}

const OPEN: [&str; 1] = ["open the device"];
const PROCESS: [&str; 1] = ["process and first step"];
const START: [&str; 15] = [
    "session",
    "session and first step",
    "dispatches a step",
    "barriers",
    "barriers needed",
    "pipelines",
    "pipelines a step",
    "buffers a step",
    "bind groups a step",
    "submissions a step",
    "memory planned",
    "memory allocated",
    "step",
    "encode and submit",
    "encode and submit",
];
const ALLOCATION: [&str; 2] = ["memory planned", "memory allocated"];
const BARRIERS: [&str; 4] = ["dispatches a step", "barriers", "barriers needed", "memory planned"];
/// Of the graph, then of the plan.
const ORDERS: [&str; 2] = ["declared order", "planned order"];
const DISPATCH: [&str; 2] = ["dispatch, submit, wait", "dispatch"];
const READBACK: [&str; 1] = ["readback"];

/// The device that everything is measured on, and how long it took to open it.
pub(crate) struct Opened {
    gpu: Gpu,
    timing: Timing,
}

impl Opened {
    pub(crate) fn new(device: &Device) -> Result<Self> {
        let start = Instant::now();
        let gpu = device.open()?;
        Ok(Self { gpu, timing: once(start) })
    }
}

/// All there are.
pub(crate) fn sections() -> Vec<Section> {
    let of = |names: &'static [&str]| names.iter().filter_map(|name| NETWORKS.iter().find(|n| n.name == *name));
    let training = |network: &super::Network| network.training(network.training_batch.unwrap_or(LARGE_BATCH));
    let mut sections = vec![Section::Open];
    sections.extend(of(&["lenet5", "resnet18-64"]).map(|network| Section::Process(training(network))));
    sections.extend(of(&["lenet5", "resnet18-64"]).map(|network| Section::Start(training(network))));
    let allocations = |network: &super::Network| [network.inferring(1), network.training(LARGE_BATCH)];
    sections.extend(of(&["resnet50"]).flat_map(allocations).map(Section::Allocation));
    sections.extend(of(&["lenet5", "resnet18-64", "resnet50"]).map(|network| Section::Barriers(training(network))));
    sections.extend([Section::Dispatch, Section::Readback]);
    sections
}

impl Section {
    /// The rows that it will have, without what is measured.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let titled = |name: &&str, shape: &str, direction: &str| Row {
            set: "overhead",
            name: (*name).into(),
            shape: shape.into(),
            direction: direction.into(),
            ..Row::default()
        };
        let all =
            |names: &[&str], shape: &str| -> Vec<Row> { names.iter().map(|name| titled(name, shape, "")).collect() };
        match self {
            Self::Open => all(&OPEN, ""),
            Self::Process(case) => {
                let shape = |caches| format!("{} training, {caches}", case.name);
                CACHES.into_iter().flat_map(|caches| all(&PROCESS, &shape(caches))).collect()
            }
            Self::Start(case) => all(&START, &format!("{} training", case.name)),
            Self::Allocation(case) => all(&ALLOCATION, &case.title()),
            Self::Barriers(case) => {
                let shape = format!("{} training on a GPU", case.name);
                let ordered = |order| BARRIERS.iter().map(|name| titled(name, &shape, order)).collect::<Vec<_>>();
                ORDERS.into_iter().flat_map(ordered).collect()
            }
            Self::Dispatch => {
                let shapes = ["1 small dispatch".to_string(), format!("1 more of {CHAIN} in a pass")];
                DISPATCH.iter().zip(&shapes).map(|(name, shape)| titled(name, shape, "")).collect()
            }
            Self::Readback => {
                let shapes = ["4 bytes".to_string(), format!("{READ_MIB} MiB")];
                shapes.iter().flat_map(|shape| READBACK.iter().map(|name| titled(name, shape, ""))).collect()
            }
        }
    }

    /// The rows.
    pub(crate) fn measure(&self, opened: &Opened, options: &PlanOptions) -> Result<Vec<Row>> {
        let gpu = &opened.gpu;
        let amounts = match self {
            Self::Open => vec![Amount::Time(opened.timing)],
            Self::Process(case) => start::processes(&case.name)?.map(Time).to_vec(),
            Self::Start(case) => start_and_steady(gpu, options, case)?.to_vec(),
            Self::Allocation(case) => allocation(gpu, options, case)?.to_vec(),
            Self::Barriers(case) => barriers(gpu, options, case)?,
            Self::Dispatch => dispatches(gpu)?.to_vec(),
            Self::Readback => readback(gpu)?.to_vec(),
        };
        let measured = |(row, amount)| match amount {
            Amount::Time(timing) => Row { timing: Some(timing), ..row },
            Amount::Transfer(timing, bytes) => Row { timing: Some(timing), bytes, ..row },
            Amount::Count(value, unit) => Row { value: Some((value, unit)), ..row },
        };
        Ok(self.rows().into_iter().zip(amounts).map(measured).collect())
    }
}

/// What a row tells.
#[derive(Clone, Copy)]
enum Amount {
    Time(Timing),
    /// Of so many bytes.
    Transfer(Timing, u64),
    Count(f64, &'static str),
}

use Amount::{Count, Time, Transfer};

/// Once is all there is of a first time.
fn once(start: Instant) -> Timing {
    Timing::among(vec![milliseconds(start.elapsed())])
}

fn allocated(from: &Statistics, to: &Statistics) -> f64 {
    let bytes = |statistics: &Statistics| statistics.buffer_bytes + statistics.texture_bytes;
    (bytes(to) - bytes(from)) as f64
}

fn start_and_steady(gpu: &Gpu, options: &PlanOptions, case: &Case) -> Result<[Amount; START.len()]> {
    let before = gpu.statistics();
    let start = Instant::now();
    let mut prepared = Prepared::new(case, gpu, options)?;
    let made = once(start);
    prepared.step()?;
    let first = once(start);
    let after = gpu.statistics();
    for _ in 0..STEPS {
        prepared.step()?;
    }
    let steady = gpu.statistics();
    let count = |of: fn(&Statistics) -> u64, from: &Statistics, to: &Statistics| (of(to) - of(from)) as f64;
    let each = |of: fn(&Statistics) -> u64| count(of, &after, &steady) / f64::from(STEPS);
    let planned = prepared.planned_bytes();
    let step = Timing::wall(|| prepared.step())?;
    let submit = Timing::of(|| prepared.submission())?;
    let plan = prepared.session().plan();
    let barriers = plan.barriers();
    Ok([
        Time(made),
        Time(first),
        Count(plan.dispatches() as f64, "dispatches"),
        Count(barriers.recorded as f64, "barriers"),
        Count(barriers.needed as f64, "barriers"),
        Count(count(|s| s.pipelines, &before, &after), "pipelines"),
        Count(each(|s| s.pipelines), "pipelines"),
        Count(each(|s| s.buffers + s.textures), "buffers"),
        Count(each(|s| s.bind_groups), "bind groups"),
        Count(each(|s| s.submissions), "submissions"),
        Count(planned as f64, "bytes"),
        Count(allocated(&before, &after), "bytes"),
        Time(step),
        Time(submit),
        Count((1000.0 * submit.median / step.median).round() / 10.0, "% of the step"),
    ])
}

/// No step is run: on a software adapter that would take minutes, and a step allocates nothing.
fn allocation(gpu: &Gpu, options: &PlanOptions, case: &Case) -> Result<[Amount; ALLOCATION.len()]> {
    let (plan, variables) = Prepared::plan(case, gpu.capabilities(), options)?;
    let planned = plan.memory().total() + variables.bytes();
    let before = gpu.statistics();
    let _prepared = Prepared::new(case, gpu, options)?;
    let after = gpu.statistics();
    Ok([Count(planned as f64, "bytes"), Count(allocated(&before, &after), "bytes")])
}

/// In the order of the graph and in that of the plan, and how much memory that takes: nothing runs.
fn barriers(gpu: &Gpu, options: &PlanOptions, case: &Case) -> Result<Vec<Amount>> {
    let mut capabilities = gpu.capabilities().clone();
    capabilities.class = DeviceClass::Gpu;
    let of = |options: &PlanOptions| -> Result<[Amount; BARRIERS.len()]> {
        let (plan, _) = Prepared::plan(case, &capabilities, options)?;
        Ok([
            Count(plan.dispatches() as f64, "dispatches"),
            Count(plan.barriers().recorded as f64, "barriers"),
            Count(plan.barriers().needed as f64, "barriers"),
            Count(plan.memory().total() as f64, "bytes"),
        ])
    };
    let orders: [_; ORDERS.len()] = [of(&options.clone().exclude("overlap"))?, of(options)?];
    Ok(orders.concat())
}

/// A chain of tiny softmaxes, which nothing fuses, against a single one.
fn dispatches(gpu: &Gpu) -> Result<[Amount; DISPATCH.len()]> {
    let session = |length: usize| -> Result<Session> {
        let graph = Graph::new(Mode::Evaluation);
        let mut x: Tensor<'_> = graph.parameter("x", [1, 4], Init::HeNormal)?;
        for _ in 0..length {
            x = x.softmax(1)?;
        }
        Session::new(gpu, &graph, &[x], &Variables::new(gpu, 1))
    };
    let time = |session: &mut Session| {
        Timing::wall(|| {
            session.run_blocking(&[])?;
            gpu.wait_blocking()
        })
    };
    let (mut short, mut long) = (session(1)?, session(CHAIN)?);
    let more = (long.plan().dispatches() - short.plan().dispatches()).max(1) as f64;
    let (single, chain) = (time(&mut short)?, time(&mut long)?);
    let each = |of: fn(&Timing) -> f64| (of(&chain) - of(&single)).max(0.0) / more;
    Ok([Time(single), Time(Timing { median: each(|t| t.median), min: each(|t| t.min), max: each(|t| t.max) })])
}

fn readback(gpu: &Gpu) -> Result<[Amount; 2]> {
    let transfer = |count: usize| -> Result<Amount> {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.parameter("x", count, Init::Ones)?;
        let session = Session::new(gpu, &graph, &[x], &Variables::new(gpu, 1))?;
        let timing = Timing::wall(|| session.read_blocking::<f32>(x).map(drop))?;
        Ok(Transfer(timing, 4 * count as u64))
    };
    Ok([transfer(1)?, transfer(READ_MIB << 18)?])
}
