//! What a step costs beside the arithmetic: of the host, of submissions, of the start.
//!
//! Everything runs on a device of its own, so that its first step is a first one. Whether the driver had compiled the same
//! kernels in an earlier process is beyond a program's knowledge; a driver's cache makes the first step several times as
//! fast.

use std::time::Instant;

use omma::{DeviceClass, Gpu, Graph, Init, Mode, PlanOptions, Result, Session, Statistics, Tensor, Variables};

use super::cases::{Case, NETWORKS, Prepared};
use super::row::Row;
use super::timing::{Timing, milliseconds};
use crate::Device;

/// Dispatches of the chain that tells what one costs.
const CHAIN: usize = 100;
const READ_MIB: usize = 16;
/// Steps over which allocations are counted.
const STEPS: u32 = 10;

fn timed(name: &str, shape: impl ToString, timing: Timing, bytes: u64) -> Row {
    Row { set: "overhead", name: name.into(), shape: shape.to_string(), timing: Some(timing), bytes, ..Row::default() }
}

fn counted(name: &str, shape: &str, value: f64, unit: &'static str) -> Row {
    Row { set: "overhead", name: name.into(), shape: shape.into(), value: Some((value, unit)), ..Row::default() }
}

/// Once is all there is of a first time.
fn once(start: Instant) -> Timing {
    let time = milliseconds(start.elapsed());
    Timing { median: time, min: time, max: time }
}

/// What is measured together, under the name or shape of its rows.
type Section<'a> = (String, Box<dyn Fn(&str) -> Result<Vec<Row>> + 'a>);

/// The rows that are wanted, by name and shape. Sections whose title is wanted are measured, all where none is.
pub(crate) fn rows(device: &Device, options: &PlanOptions, wants: impl Fn(&str, &str) -> bool) -> Result<Vec<Row>> {
    let start = Instant::now();
    let gpu = &device.open()?;
    let mut rows = vec![timed("open the device", "", once(start), 0)];
    let mut sections: Vec<Section<'_>> = Vec::new();
    let of = |names: &'static [&str]| names.iter().filter_map(|name| NETWORKS.iter().find(|n| n.name == *name));
    for network in of(&["lenet5", "resnet18-64"]) {
        let case = network.training(network.training_batch.unwrap_or(1));
        let what = format!("{} training", case.name);
        sections.push((what, Box::new(move |what| start_and_steady(gpu, options, &case, what))));
    }
    for network in of(&["resnet50"]) {
        for case in [network.inferring(1), network.training(LARGE_BATCH)] {
            let what = format!("{} {} {}", case.name, case.shape, case.direction);
            sections.push((what, Box::new(move |what| allocation(gpu, options, &case, what))));
        }
    }
    for network in of(&["lenet5", "resnet18-64", "resnet50"]) {
        let case = network.training(network.training_batch.unwrap_or(LARGE_BATCH));
        let what = format!("{} training on a GPU", case.name);
        sections.push((what, Box::new(move |what| barriers(gpu, options, &case, what))));
    }
    sections.push(("dispatch".into(), Box::new(move |_| dispatches(gpu))));
    sections.push(("readback".into(), Box::new(move |_| readback(gpu))));
    let named = sections.iter().any(|(title, _)| wants(title, ""));
    for (title, measure) in sections.iter().filter(|(title, _)| !named || wants(title, "")) {
        rows.extend(measure(title)?);
    }
    rows.retain(|row| wants(&row.name, &row.shape));
    Ok(rows)
}

/// The training batch of the largest network.
const LARGE_BATCH: usize = 8;

fn allocated(from: &Statistics, to: &Statistics) -> f64 {
    let bytes = |statistics: &Statistics| statistics.buffer_bytes + statistics.texture_bytes;
    (bytes(to) - bytes(from)) as f64
}

/// A training: its start, then what a step makes and what the host does for it.
fn start_and_steady(gpu: &Gpu, options: &PlanOptions, case: &Case, what: &str) -> Result<Vec<Row>> {
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
    Ok(vec![
        timed("session", what, made, 0),
        timed("session and first step", what, first, 0),
        counted("dispatches a step", what, plan.dispatches() as f64, "dispatches"),
        counted("barriers", what, barriers.recorded as f64, "barriers"),
        counted("barriers needed", what, barriers.needed as f64, "barriers"),
        counted("pipelines", what, count(|s| s.pipelines, &before, &after), "pipelines"),
        counted("pipelines a step", what, each(|s| s.pipelines), "pipelines"),
        counted("buffers a step", what, each(|s| s.buffers + s.textures), "buffers"),
        counted("bind groups a step", what, each(|s| s.bind_groups), "bind groups"),
        counted("submissions a step", what, each(|s| s.submissions), "submissions"),
        counted("memory planned", what, planned as f64, "bytes"),
        counted("memory allocated", what, allocated(&before, &after), "bytes"),
        timed("step", what, step, 0),
        timed("encode and submit", what, submit, 0),
        counted("encode and submit", what, (1000.0 * submit.median / step.median).round() / 10.0, "% of the step"),
    ])
}

/// What the largest network is said to need, and what a session of it and its variables allocate. No step is run: on a
/// software adapter that would take minutes, and a step allocates nothing.
fn allocation(gpu: &Gpu, options: &PlanOptions, case: &Case, what: &str) -> Result<Vec<Row>> {
    let (plan, variables) = Prepared::plan(case, gpu.capabilities(), options)?;
    let planned = plan.memory().total() + variables.bytes();
    let before = gpu.statistics();
    let _prepared = Prepared::new(case, gpu, options)?;
    let after = gpu.statistics();
    Ok(vec![
        counted("memory planned", what, planned as f64, "bytes"),
        counted("memory allocated", what, allocated(&before, &after), "bytes"),
    ])
}

/// How often a step waits on a GPU with the limits of this adapter, in the order of the graph and in that of the plan, and
/// how much memory that takes: nothing runs.
fn barriers(gpu: &Gpu, options: &PlanOptions, case: &Case, what: &str) -> Result<Vec<Row>> {
    let mut capabilities = gpu.capabilities().clone();
    capabilities.class = DeviceClass::Gpu;
    let mut rows = Vec::new();
    for (order, options) in [("declared", options.clone().exclude("overlap")), ("planned", options.clone())] {
        let (plan, _) = Prepared::plan(case, &capabilities, &options)?;
        let counts = [
            counted("dispatches a step", what, plan.dispatches() as f64, "dispatches"),
            counted("barriers", what, plan.barriers().recorded as f64, "barriers"),
            counted("barriers needed", what, plan.barriers().needed as f64, "barriers"),
            counted("memory planned", what, plan.memory().total() as f64, "bytes"),
        ];
        rows.extend(counts.map(|row| Row { direction: format!("{order} order"), ..row }));
    }
    Ok(rows)
}

/// A chain of tiny softmaxes, which nothing fuses, against a single one.
fn dispatches(gpu: &Gpu) -> Result<Vec<Row>> {
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
    let dispatch = Timing { median: each(|t| t.median), min: each(|t| t.min), max: each(|t| t.max) };
    Ok(vec![
        timed("dispatch, submit, wait", "1 small dispatch", single, 0),
        timed("dispatch", format!("1 more of {CHAIN} in a pass"), dispatch, 0),
    ])
}

fn readback(gpu: &Gpu) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (count, shape) in [(1, "4 bytes".to_string()), (READ_MIB << 18, format!("{READ_MIB} MiB"))] {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.parameter("x", count, Init::Ones)?;
        let session = Session::new(gpu, &graph, &[x], &Variables::new(gpu, 1))?;
        let timing = Timing::wall(|| session.read_blocking::<f32>(x).map(drop))?;
        rows.push(timed("readback", shape, timing, 4 * count as u64));
    }
    Ok(rows)
}
