//! `omma conformance`: ONNX's backend tests on this adapter, or others in their layout.

mod case;
mod compare;
mod verdict;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use clap::Args;
use omma::{Error, Result};

use case::Context;
use verdict::Verdict;
use worker::Worker;

use crate::output::{Output, one_line};
use crate::{Device, Kernels, argument};

#[derive(Debug, Args)]
pub(crate) struct Conformance {
    /// The folder with a sub-folder for each case: model.onnx, test_data_set_K with input_I.pb, output_J.pb,
    /// grad_output_J.pb and grad_input_I.pb, and data.json with rtol and atol
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Write what comes out to OUT/CASE/test_data_set_K/output_J.npy and grad_input_I.npy
    #[arg(long, value_name = "OUT")]
    write: Option<PathBuf>,
    /// Only cases whose names match: * stands for any letters, ? for one
    #[arg(long, value_name = "GLOB")]
    filter: Option<String>,
    /// A case may take so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, allow_negative_numbers = true)]
    limit: f64,
    /// Run so many cases side by side [default: one for every two cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Run the cases whose names stand on standard input, each as a text of JSON's
    #[arg(long, hide = true)]
    worker: bool,
    #[command(flatten)]
    kernels: Kernels,
    #[command(flatten)]
    device: Device,
}

/// More processes than this, each with a device, crowd it.
const MOST_JOBS: usize = 8;

impl Conformance {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        if self.worker {
            self.work()?;
            return Ok(ExitCode::SUCCESS);
        }
        let limit = Duration::try_from_secs_f64(self.limit).ok().filter(|limit| !limit.is_zero());
        let limit = limit.ok_or_else(|| argument("--limit", format!("expected a time, got {} s", self.limit)))?;
        let cases = self.cases()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = match self.jobs {
            Some(0) => return Err(argument("--jobs", "expected at least 1, got 0")),
            Some(jobs) => jobs,
            None => (cores / 2).clamp(1, MOST_JOBS),
        };
        let (next, started) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (cases, next, started) = (&cases, &next, &started);
        let counts = std::thread::scope(|scope| {
            let (sender, verdicts) = channel();
            for _ in 0..jobs.min(cases.len()) {
                let sender = sender.clone();
                scope.spawn(move || judge(cases, next, started, limit, &sender));
            }
            drop(sender);
            let result = report(cases, verdicts.into_iter());
            // After an error the others end with their cases.
            next.store(cases.len(), Ordering::Relaxed);
            result
        })?;
        Ok(ExitCode::from(u8::from(counts.failed > 0)))
    }

    /// Runs cases in this process.
    fn work(&self) -> Result<()> {
        let mut gpu = None;
        worker::work(&self.folder, || {
            let gpu = gpu.insert(self.device.open()?);
            Ok(Context { gpu, kernels: self.kernels.options(), write: self.write.as_deref() })
        })
    }

    /// The names of the cases, in order.
    fn cases(&self) -> Result<Vec<String>> {
        let pattern = self.filter.as_deref().map(glob::Pattern::new).transpose().map_err(|error| Error::Argument {
            op: "--filter".into(),
            message: format!("{error} in `{}`", self.filter.as_deref().unwrap_or_default()),
        })?;
        let entries = std::fs::read_dir(&self.folder).map_err(Error::io(&self.folder))?;
        let mut cases = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io(&self.folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let wanted = pattern.as_ref().is_none_or(|pattern| pattern.matches(&name));
            if wanted && is_case(&path) {
                cases.push(name);
            }
        }
        cases.sort();
        match cases.is_empty() {
            false => Ok(cases),
            true => {
                let of = self.filter.as_ref().map_or(String::new(), |filter| format!(" whose name matches `{filter}`"));
                Err(Error::data(&self.folder, format!("there is no case in it{of}")))
            }
        }
    }
}

/// Whether a folder is a case, be it one without a model.
fn is_case(path: &Path) -> bool {
    path.join("model.onnx").exists() || path.join(format!("{}0", case::DATA_SET)).is_dir()
}

/// Runs cases in a worker until there is none left, and starts another worker where one has died.
fn judge(
    cases: &[String],
    next: &AtomicUsize,
    started: &AtomicBool,
    limit: Duration,
    verdicts: &Sender<Result<(usize, Verdict)>>,
) {
    let mut worker: Option<Worker> = None;
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(case) = cases.get(index) else { return };
        let verdict = match worker.take().map_or_else(Worker::start, Ok) {
            Ok(mut running) => {
                started.store(true, Ordering::Relaxed);
                match running.run(case, limit) {
                    Ok(verdict) => {
                        worker = Some(running).filter(|_| !matches!(verdict, Verdict::Lost(_)));
                        Ok(verdict)
                    }
                    Err(reason) => Ok(Verdict::Fail(reason)),
                }
            }
            // A device that was there before a case crashed it may come again.
            Err(error) if started.load(Ordering::Relaxed) => Ok(Verdict::Fail(error.to_string())),
            Err(error) => Err(error),
        };
        let over = verdict.is_err();
        if verdicts.send(verdict.map(|verdict| (index, verdict))).is_err() || over {
            return;
        }
    }
}

/// How many cases ended how.
#[derive(Debug, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    unsupported: usize,
}

/// Prints the verdicts in the cases' order as soon as they are known, and counts them.
fn report(cases: &[String], verdicts: impl Iterator<Item = Result<(usize, Verdict)>>) -> Result<Counts> {
    let mut out = Output::default();
    let mut counts = Counts::default();
    let mut known: Vec<Option<Verdict>> = vec![None; cases.len()];
    let mut printed = 0;
    for verdict in verdicts {
        let (index, verdict) = verdict?;
        known[index] = Some(verdict);
        while let Some(Some(verdict)) = known.get(printed) {
            match verdict {
                Verdict::Pass => counts.passed += 1,
                Verdict::Unsupported(_) => counts.unsupported += 1,
                Verdict::Fail(_) | Verdict::Lost(_) => counts.failed += 1,
            }
            let reason = verdict.reason().map_or(String::new(), |reason| format!(": {reason}"));
            out.line(one_line(format_args!("{} {}{reason}", verdict.word(), cases[printed])));
            printed += 1;
        }
    }
    let Counts { passed, failed, unsupported } = counts;
    out.line(format_args!("{passed} passed, {failed} failed, {unsupported} unsupported"));
    out.finish()?;
    Ok(counts)
}
