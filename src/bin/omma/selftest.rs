//! `omma selftest`: every operation and kernel variant of this adapter against the f64 reference.

use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;
use omma::selftest::{self, OpCase};
use omma::{Error, Result};

use crate::Device;
use crate::output::{Output, one_line};

/// Which operations to go through.
#[derive(Debug, Args)]
pub(crate) struct Operations {
    /// Only the operation families whose name contains NAME
    #[arg(long, value_name = "NAME")]
    op: Option<String>,
}

impl Operations {
    /// Their cases, at least one.
    pub(crate) fn cases(&self) -> Result<Vec<OpCase>> {
        let cases = selftest::cases(self.op.as_deref());
        if cases.is_empty() {
            let names: Vec<&str> = selftest::families().collect();
            let given = self.op.as_deref().unwrap_or_default();
            let message = format!("expected one of {}, got `{given}`", names.join(", "));
            return Err(Error::Argument { op: "--op".into(), message });
        }
        Ok(cases)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Selftest {
    #[command(flatten)]
    operations: Operations,
    #[command(flatten)]
    device: Device,
}

impl Selftest {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let cases = self.operations.cases()?;
        let gpu = self.device.open()?;
        let info = &gpu.capabilities().info;
        let mut out = Output::default();
        out.line(format_args!(
            "adapter {} ({:?}, {}), driver {} {}",
            info.name, info.device_type, info.backend, info.driver, info.driver_info
        ));
        let width = cases.iter().map(|case| case.name().chars().count()).max().unwrap_or(0);
        out.line(format_args!("{:width$} {:16} {:>9} {:>11}  result", "case", "variant", "elements", "error/bound"));
        let bar = ProgressBar::new(cases.len() as u64);
        let (mut passed, mut failed) = (0, 0);
        for case in &cases {
            bar.inc(1);
            // A case that cannot even be planned is one failure.
            let variants = case.variants(&gpu).unwrap_or_else(|_| vec!["plain"]);
            for variant in variants {
                let (line, good) = match case.run_blocking(&gpu, variant) {
                    Ok(report) => {
                        let good = report.passed();
                        let result = if good { "pass".into() } else { format!("FAIL {}", report.place) };
                        (format!("{:>9} {:>11.3}  {result}", report.elements, report.worst), good)
                    }
                    Err(error) => (format!("{:>9} {:>11}  FAIL {}", "-", "-", one_line(error)), false),
                };
                if good {
                    passed += 1
                } else {
                    failed += 1
                }
                bar.suspend(|| out.line(format_args!("{:width$} {variant:16} {line}", case.name())));
            }
        }
        bar.finish_and_clear();
        out.line(format_args!("{passed} passed, {failed} failed"));
        out.finish()?;
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
