//! `omma kernels`: the WGSL of every kernel, as a device gets it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use omma::{Error, PlanOptions, Result};
use serde_json::{Map, json};

use crate::Device;
use crate::output::Output;
use crate::selftest::Operations;

#[derive(Debug, Args)]
pub(crate) struct Kernels {
    /// Where to write a file for each; its first line has the entry point and the override constants as JSON
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    operations: Operations,
    #[command(flatten)]
    device: Device,
}

impl Kernels {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let cases = self.operations.cases()?;
        let gpu = self.device.open()?;
        let mut kernels = BTreeMap::new();
        for case in &cases {
            for variant in case.variants(&gpu)? {
                for kernel in case.plan(&gpu, &PlanOptions::default().prefer(variant))?.kernels() {
                    let constants: Map<_, _> = kernel.constants.iter().map(|&(k, v)| (k.into(), json!(v))).collect();
                    let head = json!({ "entry": kernel.entry, "constants": constants });
                    kernels.insert(format!("// {head}\n{}", kernel.source()?), kernel.label());
                }
            }
        }
        fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        for (text, label) in &kernels {
            let number = numbers.entry(label).or_default();
            *number += 1;
            omma::files::write_atomically(&self.folder.join(format!("{label}.{number}.wgsl")), text.as_bytes())?;
        }
        let mut out = Output::default();
        out.line(format_args!("{} kernels in {}", kernels.len(), self.folder.display()));
        out.finish()?;
        Ok(ExitCode::SUCCESS)
    }
}
