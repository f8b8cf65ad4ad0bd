//! Omma timed against other engines on the same work. README.md says how, and what the figures do not say.

mod cases;
mod data;
mod engines;
mod rounds;
mod table;

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use omma::{DeviceClass, Gpu, GpuOptions};

use cases::{Set, cases};
use engines::{Burn, Engine, Omma, Tract};
use rounds::Verdict;
use table::Table;

/// Times Omma and its peers on the same work, in turns, and prints medians in milliseconds.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to time; everything where nothing is named
    #[arg(value_enum)]
    sets: Vec<Set>,
    /// Only the rows that contain TEXT, one word or several: a part of `name shape direction`
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Turns of each engine
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// The engines; the others are compared with the first
    #[arg(long, value_enum, value_delimiter = ',', default_value = "omma,naive,burn,tract")]
    engines: Vec<Name>,
    /// Print one JSON object for each engine and row
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    /// Omma's own choice of kernels
    Omma,
    /// Omma's naive kernels
    Naive,
    /// burn on wgpu
    Burn,
    /// tract on the processor
    Tract,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = |case: &cases::Case| {
        (arguments.sets.is_empty() || arguments.sets.contains(&case.set)) && case.contains(&arguments.filter)
    };
    let all: Vec<_> = [true, false].into_iter().flat_map(cases).collect();
    if !all.iter().any(wanted) {
        let names: BTreeSet<&str> = all.iter().map(|case| case.name).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let filter = &arguments.filter;
        eprintln!(
            "error: --filter: no row's name, shape and direction contain `{filter}`; the names are {}",
            names.join(", ")
        );
        return ExitCode::FAILURE;
    }
    // For products in half precision; nothing else uses them.
    let options = GpuOptions::default().cooperative_matrices();
    let gpu = match Gpu::new_blocking(&options) {
        Ok(gpu) => gpu,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let software = gpu.capabilities().class == DeviceClass::Cpu;
    let engine = |name: &Name| -> Box<dyn Engine> {
        match name {
            Name::Omma => Box::new(Omma::new(&gpu)),
            Name::Naive => Box::new(Omma::naive(&gpu)),
            Name::Burn => Box::new(Burn::new(software)),
            Name::Tract => Box::new(Tract::new()),
        }
    };
    let engines: Vec<_> = arguments.engines.iter().map(engine).collect();
    let table = Table { json: arguments.json };
    table.header(&engines);
    let mut good = true;
    for case in cases(software).into_iter().filter(wanted) {
        let outcomes = rounds::run(&engines, &case, arguments.rounds.into());
        table.row(&case, &outcomes);
        good &= !outcomes.iter().any(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
