//! `cargo bench --features cli [-- FILTER]`: the cases of `omma bench`, repeated until a change since the last run, or since
//! a baseline that was kept, can be told from noise. `omma bench` checks results, shows rates and names kernels; here
//! nothing but the time counts, which is read off the same clock.
//!
//! FILTER is a regular expression over `set/name/shape/direction`, for example `conv/resnet 3x3/.*/forward`.

#[path = "../src/bin/omma/bench/cases/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the command also checks and profiles cases")]
mod cases;

use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use omma::{Gpu, GpuOptions, PlanOptions, Result};

use cases::{Case, Prepared, cases};

const SETS: [&str; 4] = ["conv", "ops", "models", "train"];
/// The fewest that criterion takes: a case may last a second.
const SAMPLES: usize = 10;
const WARM_UP: Duration = Duration::from_millis(300);
const MEASUREMENT: Duration = Duration::from_secs(2);

fn main() {
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    or_exit(run(&mut criterion));
    criterion.final_summary();
}

/// Criterion's closures return no errors.
fn or_exit<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        std::process::exit(1)
    })
}

fn run(criterion: &mut Criterion) -> Result<()> {
    let gpu = Gpu::new_blocking(&GpuOptions::default())?;
    let info = &gpu.capabilities().info;
    println!("adapter {} ({}), driver {} {}", info.name, info.backend, info.driver, info.driver_info);
    for set in SETS {
        let mut group = criterion.benchmark_group(set);
        group.sample_size(SAMPLES).warm_up_time(WARM_UP).measurement_time(MEASUREMENT);
        group.sampling_mode(SamplingMode::Flat);
        for case in cases(set, gpu.capabilities().class) {
            let id = format!("{}/{}/{}", case.name, case.shape, case.direction);
            // Made once the filter has let the case through.
            let mut prepared = None;
            group.bench_function(id, |bencher| {
                let prepared = prepared.get_or_insert_with(|| or_exit(prepare(&case, &gpu)));
                bencher.iter_custom(|steps| or_exit(time(prepared, steps)));
            });
        }
    }
    Ok(())
}

/// With the first step, which compiles kernels, before criterion's clock starts.
fn prepare<'a>(case: &'a Case, gpu: &Gpu) -> Result<Prepared<'a>> {
    let mut prepared = Prepared::new(case, gpu, &PlanOptions::default())?;
    prepared.sample()?;
    Ok(prepared)
}

fn time(prepared: &mut Prepared<'_>, steps: u64) -> Result<Duration> {
    let mut milliseconds = 0.0;
    for _ in 0..steps {
        milliseconds += prepared.sample()?.whole;
    }
    Ok(Duration::from_secs_f64(milliseconds / 1e3))
}
