//! `omma bench`: how fast this adapter is at what, against what it could be.

mod cases;
mod ceilings;
mod overhead;
mod row;
mod start;
mod timing;

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use omma::{DeviceClass, Error, Gpu, PlanOptions, Result};

use cases::cases;
pub(crate) use cases::{Case, Network, Prepared};
use ceilings::Ceilings;
use overhead::{Opened, Section};
use row::{Row, Table};
use timing::Timing;

use crate::output::{Output, adapter, one_line, remark};
use crate::{Device, Kernels, memory};

/// What the columns of the table are.
const COLUMNS: &str = "\
Columns:
  median ms, min .. max  of at least 3 runs, after some that do not count: of the device's own clock where it has one, for
                         whole networks of the host's
  layout                 milliseconds of the median that brought the row's inputs and results, which are row-major, into
                         the kernel's layout and back; within a network neighbours share a layout, and most of it is not
                         there
  GFLOP/s                what the formulas need, two for a multiply-add, whatever the kernels spend
  GB/s                   of an operation the bytes that it must move at least, of a network those that its kernels bind
  limit                  how near the row is to what bounds it here: the time that its arithmetic takes at the rate of a
                         chain of multiply-adds, or its bytes at the rate of a copy, whichever is longer, as a share of
                         the median; both rates are measured first, and above 100 % fewer operations or caches helped,
                         or on a software adapter that a kernel reads textures, and the copy a buffer
  error                  the largest error against a computation in f64, as a share of its derived bound; above 1 is
                         wrong: such a row is not timed, and the exit code is 1; of a training step that of the loss, whose
                         bound is one operation's for each parameter, as every layer's rounding reaches it
  kernel                 the one that takes most of the time, of those that compute; empty for whole networks
The rows `process and first step` are of processes of their own, with folders for the caches of Omma, Mesa and NVIDIA's
driver that are empty or filled. Where a driver keeps its cache elsewhere, as on Windows and macOS, its cache may be
filled from the start.";

#[derive(Debug, Args)]
#[command(after_long_help = COLUMNS)]
pub(crate) struct Bench {
    /// What to measure; everything where nothing is named
    #[arg(value_enum)]
    sets: Vec<Set>,
    /// Only the rows that contain TEXT, one word or several: a part of `name shape direction`
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Below each row one for every legal kernel variant, whose name stands behind the kernel that it makes the longest
    #[arg(long)]
    variants: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Take one step of a network's training and end: what a process is started for whose start is timed
    #[arg(long, value_name = "NETWORK", hide = true)]
    first_step: Option<String>,
    #[command(flatten)]
    device: Device,
    #[command(flatten)]
    kernels: Kernels,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Set {
    /// Convolutions of ResNet, VGG and MobileNet: forward with bias and ReLU, and both gradients
    Conv,
    /// Operations that memory bounds: normalisation, pooling, pointwise, moving, softmax and top-k, losses, optimizers
    Ops,
    /// Whole networks, inference at batch 1 and 8
    Models,
    /// Whole networks, a training step
    Train,
    /// What a step costs beside the arithmetic, and the first step of a process
    Overhead,
}

const SETS: [Set; 5] = [Set::Conv, Set::Ops, Set::Models, Set::Train, Set::Overhead];

impl Set {
    fn name(self) -> &'static str {
        match self {
            Self::Conv => "conv",
            Self::Ops => "ops",
            Self::Models => "models",
            Self::Train => "train",
            Self::Overhead => "overhead",
        }
    }
}

impl Bench {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        if let Some(network) = &self.first_step {
            return start::first_step(network, &self.device, &self.kernels);
        }
        self.check_filter(&[DeviceClass::Cpu, DeviceClass::Gpu], "no row's name, shape and direction")?;
        let gpu = self.device.open()?;
        self.check_filter(&[gpu.capabilities().class], "on this kind of device no row's name, shape and direction")?;
        self.kernels.check(&gpu);
        let mut out = Output::default();
        let ceilings = Ceilings::measure(&gpu)?;
        let mut table = Table { json: self.json, ceilings: &ceilings, out: &mut out };
        self.introduce(&gpu, &mut table);
        let mut good = true;
        for set in self.sets() {
            if set == Set::Overhead {
                good &= self.overhead(&mut table)?;
                continue;
            }
            for case in cases(set.name(), gpu.capabilities().class) {
                if self.wants(&case.title()) && !table.out.is_closed() {
                    good &= self.case(&gpu, set, &case, &mut table)?;
                }
            }
        }
        out.finish()?;
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn sets(&self) -> impl Iterator<Item = Set> {
        SETS.into_iter().filter(|set| self.sets.is_empty() || self.sets.contains(set))
    }

    /// Whether the filter lets a title through: name, shape and direction.
    fn wants(&self, title: &str) -> bool {
        self.filter.as_deref().is_none_or(|filter| title.contains(filter))
    }

    /// Refuses a filter that lets nothing through on devices of these kinds.
    fn check_filter(&self, classes: &[DeviceClass], none: &str) -> Result<()> {
        let mut names = Vec::new();
        for set in self.sets() {
            let sections = if set == Set::Overhead { overhead::sections() } else { Vec::new() };
            let rows = sections.iter().flat_map(|section| section.rows()).map(|row| (row.title(), row.name));
            let cases = classes.iter().flat_map(|&class| cases(set.name(), class));
            let all: Vec<_> = rows.chain(cases.map(|case| (case.title(), case.name))).collect();
            if all.iter().any(|(title, _)| self.wants(title)) {
                return Ok(());
            }
            names.extend(all.into_iter().map(|(_, name)| name));
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let filter = self.filter.as_deref().unwrap_or_default();
        let message = format!("{none} contain `{filter}`; the names are {}", names.join(", "));
        Err(Error::Argument { op: "--filter".into(), message })
    }

    /// The rows of the last set that are wanted; what has none is not measured. Whether all could be.
    fn overhead(&self, table: &mut Table<'_>) -> Result<bool> {
        let wanted = |section: &Section| section.rows().iter().any(|row| self.wants(&row.title()));
        let sections: Vec<_> = overhead::sections().into_iter().filter(wanted).collect();
        if sections.is_empty() {
            return Ok(true);
        }
        let opened = Opened::new(&self.device)?;
        let mut good = true;
        for section in sections {
            let titles = section.rows();
            let what = titles.first().map(Row::title).unwrap_or_default();
            let rows = attempted(section.measure(&opened, &self.kernels.options()), &what)?;
            good &= rows.is_some();
            rows.iter().flatten().filter(|row| self.wants(&row.title())).for_each(|row| table.row(row));
        }
        Ok(good)
    }

    /// The adapter, and the ceilings that everything is compared with.
    fn introduce(&self, gpu: &Gpu, table: &mut Table<'_>) {
        let (ceilings, info) = (table.ceilings, &gpu.capabilities().info);
        if self.json {
            let fma = ("fma chain", ceilings.fma, (ceilings.gflops, "GFLOP/s"));
            for (name, timing, value) in [fma, ("vec4 copy", ceilings.copy, (ceilings.gbps, "GB/s"))] {
                let row = Row { set: "ceilings", name: name.into(), shape: adapter(info), ..Row::default() };
                table.row(&Row { timing: Some(timing), value: Some(value), ..row });
            }
            return;
        }
        let clock = match gpu.capabilities().features.contains(omma::wgpu::Features::TIMESTAMP_QUERY) {
            true => "timestamps of the device",
            false => "the host's clock, a submission for each dispatch",
        };
        table.out.line(format_args!("adapter {}", adapter(info)));
        table.out.line(format_args!(
            "ceilings {:.1} GFLOP/s (chains of multiply-adds), {:.2} GB/s (copy, read and written); dispatches by {clock}",
            ceilings.gflops, ceilings.gbps
        ));
        table.header();
    }

    /// Whether every variant of the case ran and was right.
    fn case(&self, gpu: &Gpu, set: Set, case: &Case, table: &mut Table<'_>) -> Result<bool> {
        let options = Prepared::resolved(case, gpu, &self.kernels.options());
        let Some(options) = attempted(options, &case.title())? else { return Ok(false) };
        // Where nothing can be planned, the measurement says why.
        if let (Some(_), Ok((plan, _))) = (self.kernels.memory, Prepared::plan(case, gpu.capabilities(), &options)) {
            remark(format_args!("{}: planned for a step: {}", case.title(), memory::parts(&plan.memory())));
        }
        let mut good = show(measure(gpu, case, &options, set, None), &case.title(), table)?;
        let variants = if self.variants { legal_variants(gpu, case, &options) } else { Ok(Vec::new()) };
        for variant in attempted(variants, &case.title())?.unwrap_or_default() {
            let row = measure(gpu, case, &options.clone().prefer(variant), set, Some(variant));
            good &= show(row, &format!("{} ({variant})", case.title()), table)?;
        }
        Ok(good)
    }
}

/// Prints a row and says whether it was right.
fn show(row: Result<Row>, what: &str, table: &mut Table<'_>) -> Result<bool> {
    let Some(row) = attempted(row, what)? else { return Ok(false) };
    table.row(&row);
    Ok(row.error.is_none_or(|error| error <= 1.0))
}

/// What came of some work: nothing where it failed, which is said, and the bench goes on. On a lost device nothing would.
fn attempted<T>(result: Result<T>, what: &str) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(lost @ Error::DeviceLost(_)) => Err(lost),
        Err(error) => {
            remark(format_args!("{what}: not measured: {}", one_line(memory::explained(error))));
            Ok(None)
        }
    }
}

/// In order of preference, those of the first choice first.
fn legal_variants(gpu: &Gpu, case: &Case, options: &PlanOptions) -> Result<Vec<&'static str>> {
    let (plan, _) = Prepared::plan(case, gpu.capabilities(), options)?;
    let legal =
        plan.choices().iter().flat_map(|choice| &choice.candidates).filter(|candidate| candidate.refusal.is_none());
    let mut seen = BTreeSet::new();
    Ok(legal.map(|candidate| candidate.name).filter(|name| seen.insert(*name)).collect())
}

/// Checks, then times. What is wrong is not timed.
fn measure(gpu: &Gpu, case: &Case, options: &PlanOptions, set: Set, variant: Option<&str>) -> Result<Row> {
    let mut prepared = Prepared::new(case, gpu, options)?;
    let report = prepared.check()?;
    let work = prepared.work()?;
    let mut row = Row {
        set: set.name(),
        name: case.name.clone(),
        shape: case.shape.clone(),
        direction: case.direction.into(),
        kernel: work.kernel,
        flops: work.flops,
        bytes: work.bytes,
        error: Some(report.worst),
        ..Row::default()
    };
    if let Some(variant) = variant {
        row.kernel = format!("{} ({variant})", row.kernel).trim_start().to_string();
    }
    if report.passed() {
        let mut layouts = Vec::new();
        row.timing = Some(Timing::of(|| {
            let sample = prepared.sample()?;
            layouts.push(sample.layout);
            Ok(sample.whole)
        })?);
        layouts.sort_by(f64::total_cmp);
        row.layout = layouts.get(layouts.len() / 2).copied().filter(|&layout| layout > 0.0);
    } else {
        remark(format_args!("{} {}: wrong results, not timed: {}", row.title(), row.kernel, report.place));
    }
    Ok(row)
}
