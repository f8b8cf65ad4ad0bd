//! `omma bench`: how fast this adapter is at what, against what it could be.

mod cases;
mod ceilings;
mod overhead;
mod row;
mod timing;

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use omma::{DeviceClass, Error, Gpu, PlanOptions, Result};

use cases::cases;
pub(crate) use cases::{Case, NETWORKS, Network, Prepared};
use ceilings::Ceilings;
use overhead::{Opened, Section};
use row::{Row, Table};
use timing::Timing;

use crate::output::{Output, adapter, remark};
use crate::{Device, Kernels};

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure; everything where nothing is named
    #[arg(value_enum)]
    sets: Vec<Set>,
    /// Only the rows that contain TEXT, one word or several: a part of `name shape direction`
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Every legal kernel variant instead of the chosen one
    #[arg(long)]
    variants: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: Device,
    #[command(flatten)]
    kernels: Kernels,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Set {
    /// Convolutions of ResNet, VGG and MobileNet: forward with bias and ReLU, and both gradients
    Conv,
    /// Operations that memory bounds: normalisation, pooling, pointwise, loss, optimizers
    Ops,
    /// Whole networks, inference at batch 1 and 8
    Models,
    /// Whole networks, a training step
    Train,
    /// What a step costs beside the arithmetic
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
        self.check_filter()?;
        let gpu = self.device.open()?;
        let mut out = Output::default();
        let ceilings = Ceilings::measure(&gpu)?;
        let mut table = Table { json: self.json, ceilings: &ceilings, out: &mut out };
        self.introduce(&gpu, &mut table);
        let mut good = true;
        for set in self.sets() {
            if set == Set::Overhead {
                self.overhead(&mut table)?;
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

    /// Refuses a filter that lets nothing through on any device.
    fn check_filter(&self) -> Result<()> {
        let mut names = Vec::new();
        for set in self.sets() {
            let sections = if set == Set::Overhead { overhead::sections() } else { Vec::new() };
            let rows = sections.iter().flat_map(|section| section.rows()).map(|row| (row.title(), row.name));
            let cases = [DeviceClass::Cpu, DeviceClass::Gpu].into_iter().flat_map(|class| cases(set.name(), class));
            let all: Vec<_> = rows.chain(cases.map(|case| (case.title(), case.name))).collect();
            if all.iter().any(|(title, _)| self.wants(title)) {
                return Ok(());
            }
            names.extend(all.into_iter().map(|(_, name)| name));
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let filter = self.filter.as_deref().unwrap_or_default();
        let message =
            format!("no row's name, shape and direction contain `{filter}`; the names are {}", names.join(", "));
        Err(Error::Argument { op: "--filter".into(), message })
    }

    /// The rows of the last set that are wanted; what has none is not measured.
    fn overhead(&self, table: &mut Table<'_>) -> Result<()> {
        let wanted = |section: &Section| section.rows().iter().any(|row| self.wants(&row.title()));
        let sections: Vec<_> = overhead::sections().into_iter().filter(wanted).collect();
        if sections.is_empty() {
            return Ok(());
        }
        let opened = Opened::new(&self.device)?;
        for section in sections {
            let rows = section.measure(&opened, &self.kernels.options())?;
            rows.iter().filter(|row| self.wants(&row.title())).for_each(|row| table.row(row));
        }
        Ok(())
    }

    /// The adapter, and the ceilings that everything is compared with.
    fn introduce(&self, gpu: &Gpu, table: &mut Table<'_>) {
        let ceilings = table.ceilings;
        if self.json {
            for (name, timing) in [("fma chain", ceilings.fma), ("vec4 copy", ceilings.copy)] {
                let value = if name == "fma chain" { (ceilings.gflops, "GFLOP/s") } else { (ceilings.gbps, "GB/s") };
                let row = Row { set: "ceilings", name: name.into(), timing: Some(timing), ..Row::default() };
                table.row(&Row { value: Some(value), ..row });
            }
            return;
        }
        let info = &gpu.capabilities().info;
        let clock = match gpu.capabilities().features.contains(omma::wgpu::Features::TIMESTAMP_QUERY) {
            true => "timestamps of the device",
            false => "the host's clock, a submission for each dispatch",
        };
        table.out.line(adapter(info));
        table.out.line(format_args!(
            "ceilings {:.1} GFLOP/s (chains of multiply-adds), {:.2} GB/s (copy, read and written); dispatches by {clock}",
            ceilings.gflops, ceilings.gbps
        ));
        table.header();
    }

    /// Whether every variant of the case was right.
    fn case(&self, gpu: &Gpu, set: Set, case: &Case, table: &mut Table<'_>) -> Result<bool> {
        let options = self.kernels.options();
        let chosen = measure(gpu, case, &options, set)?;
        let variants = if self.variants { legal_variants(gpu, case, &options)? } else { BTreeSet::new() };
        let mut good = show(&chosen, table);
        for variant in variants {
            let row = measure(gpu, case, &options.clone().prefer(variant), set)?;
            if row.kernel != chosen.kernel {
                good &= show(&row, table);
            }
        }
        Ok(good)
    }
}

/// Prints a row and says whether it was right.
fn show(row: &Row, table: &mut Table<'_>) -> bool {
    table.row(row);
    row.error.is_none_or(|error| error <= 1.0)
}

fn legal_variants(gpu: &Gpu, case: &Case, options: &PlanOptions) -> Result<BTreeSet<&'static str>> {
    let mut prepared = Prepared::new(case, gpu, options)?;
    let choices = prepared.session().plan().choices().iter();
    let others = choices.flat_map(|choice| &choice.candidates).filter(|candidate| candidate.refusal.is_none());
    Ok(others.map(|candidate| candidate.name).collect())
}

/// Checks, then times. What is wrong is not timed.
fn measure(gpu: &Gpu, case: &Case, options: &PlanOptions, set: Set) -> Result<Row> {
    let mut prepared = Prepared::new(case, gpu, options)?;
    let report = prepared.check()?;
    let mut row = Row {
        set: set.name(),
        name: case.name.clone(),
        shape: case.shape.clone(),
        direction: case.direction.into(),
        error: Some(report.worst),
        ..Row::default()
    };
    let sample = prepared.sample()?;
    (row.kernel, row.flops, row.bytes) = (sample.kernel, sample.flops, sample.bytes);
    if report.passed() {
        row.timing = Some(Timing::of(|| Ok(prepared.sample()?.milliseconds))?);
    } else {
        let what = format!("{} {} {}", row.name, row.shape, row.direction);
        remark(format_args!("{what}: wrong results, not timed: {}", report.place));
    }
    Ok(row)
}
