//! `omma profile`: where the time of a network's step goes.

mod report;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use omma::{Clock, Gpu, Profile as Times, Result, files, wgpu};

use crate::bench::{Case, Network, Prepared};
use crate::output::{Output, remark};
use crate::{Device, Kernels, argument, memory};

#[derive(Debug, Args)]
pub(crate) struct Profile {
    /// The network: one of `omma models`, or of those that `omma bench` times; an unknown name lists all
    model: String,
    /// Images a step [default: 1, for training what `omma bench train` takes]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch: Option<usize>,
    /// A training step instead of an inference
    #[arg(long)]
    training: bool,
    /// Steps that are timed; every dispatch is given its median
    #[arg(long, value_name = "N", default_value_t = 9, allow_negative_numbers = true)]
    steps: usize,
    /// Print JSON, one object a line: what was measured and how, then every dispatch in order of execution
    #[arg(long)]
    json: bool,
    /// Write the step whose time is the median to FILE, as a trace for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    device: Device,
    #[command(flatten)]
    kernels: Kernels,
}

/// Steps before the first that counts: the first one compiles, and clocks rise.
const WARM_UP: usize = 2;

/// What was measured.
struct Measured {
    case: Case,
    info: wgpu::AdapterInfo,
    clock: Clock,
    steps: usize,
    /// Of every dispatch the median.
    median: Times,
    /// The step whose total is the median.
    typical: Times,
}

impl Profile {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let case = self.case()?;
        if self.steps == 0 {
            return Err(argument("--steps", "expected at least 1, got 0"));
        }
        let gpu = self.device.open()?;
        self.kernels.check(&gpu);
        let measured = self.measure(&gpu, case)?;
        let mut out = Output::default();
        match self.json {
            true => report::json_lines(&measured, &mut out),
            false => report::table(&measured, &mut out),
        }
        out.finish()?;
        if let Some(path) = &self.trace {
            let written = files::write_atomically(path, trace::text(&measured).as_bytes());
            written.map_err(|error| argument("--trace", error.to_string()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The step that is to be timed.
    fn case(&self) -> Result<Case> {
        let network = network(&self.model)?;
        if self.training && !network.classifies()? {
            return Err(argument("--training", format!("expected a classifier, `{}` is none", network.name)));
        }
        let default = if self.training { network.training_batch } else { None };
        match self.batch.or(default).unwrap_or(1) {
            0 => Err(argument("--batch", "expected at least 1, got 0")),
            batch if self.training => Ok(network.training(batch)),
            batch => Ok(network.inferring(batch)),
        }
    }

    fn measure(&self, gpu: &Gpu, case: Case) -> Result<Measured> {
        let options = Prepared::resolved(&case, gpu, &self.kernels.options())?;
        let (plan, variables) = Prepared::plan(&case, gpu.capabilities(), &options)?;
        remark(format_args!("planned for a step: {}", memory::parts(&plan.memory())));
        remark(format_args!("planned for variables: {}", memory::mebibytes(variables.bytes())));
        let mut prepared = Prepared::new(&case, gpu, &options)?;
        for _ in 0..WARM_UP {
            prepared.step()?;
        }
        let mut profiles = (0..self.steps).map(|_| prepared.profile()).collect::<Result<Vec<_>>>()?;
        let median = Times::median(&profiles);
        profiles.sort_by(|a, b| a.nanoseconds().total_cmp(&b.nanoseconds()));
        let typical = profiles.swap_remove(profiles.len() / 2);
        let info = gpu.capabilities().info.clone();
        let median = median.unwrap_or_else(|| typical.clone());
        Ok(Measured { case, info, clock: median.clock, steps: self.steps, median, typical })
    }
}

fn network(name: &str) -> Result<Network> {
    Network::named(name)
        .ok_or_else(|| argument("MODEL", format!("expected one of {}, got `{name}`", Network::names().join(", "))))
}
