//! `omma conformance`: ONNX's backend tests on this adapter.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use omma::onnx::{self, Array, Options, Runner};
use omma::{Error, Gpu, Result};

use crate::Device;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Conformance {
    /// The folder with a sub-folder for each case
    folder: PathBuf,
    /// Only cases whose name contains TEXT
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    #[command(flatten)]
    device: Device,
}

impl Conformance {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let gpu = self.device.open()?;
        let entries = std::fs::read_dir(&self.folder).map_err(Error::io(&self.folder))?;
        let mut cases: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        cases.retain(|case| case.join("model.onnx").exists() && name(case).contains(&self.filter));
        cases.sort();
        let mut out = Output::default();
        let (mut passed, mut failed, mut unsupported) = (0, 0, 0);
        for case in &cases {
            match run(&gpu, case) {
                Ok(None) => {
                    passed += 1;
                    out.line(format_args!("PASS {}", name(case)));
                }
                Err(Error::Unsupported(reason)) => {
                    unsupported += 1;
                    out.line(format_args!("UNSUPPORTED {}: {reason}", name(case)));
                }
                Ok(Some(reason)) => {
                    failed += 1;
                    out.line(format_args!("FAIL {}: {reason}", name(case)));
                }
                Err(error) => {
                    failed += 1;
                    out.line(format_args!("FAIL {}: {error}", name(case)));
                }
            }
        }
        out.line(format_args!("{passed} passed, {failed} failed, {unsupported} unsupported"));
        out.finish()?;
        Ok(ExitCode::from(u8::from(failed > 0)))
    }
}

fn name(case: &Path) -> String {
    case.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn tensors(folder: &Path, kind: &str) -> Result<Vec<Array>> {
    let mut tensors = Vec::new();
    loop {
        let path = folder.join(format!("{kind}_{}.pb", tensors.len()));
        match std::fs::read(&path) {
            Ok(bytes) => tensors.push(onnx::read_tensor(&bytes)?),
            Err(_) => return Ok(tensors),
        }
    }
}

fn run(gpu: &Gpu, case: &Path) -> Result<Option<String>> {
    let tolerances = std::fs::read_to_string(case.join("data.json")).unwrap_or_default();
    let tolerances: serde_json::Value = serde_json::from_str(&tolerances).unwrap_or_default();
    let rtol = tolerances["rtol"].as_f64().unwrap_or(1e-3) as f32;
    let atol = tolerances["atol"].as_f64().unwrap_or(1e-5) as f32;
    let data = case.join("test_data_set_0");
    let inputs = tensors(&data, "input")?;
    let expected = tensors(&data, "output")?;
    let model = case.join("model.onnx");
    let names = onnx::input_names(&std::fs::read(&model).map_err(Error::io(&model))?)?;
    let options =
        names.iter().zip(&inputs).fold(Options::default(), |options, (name, array)| options.value(name, array.clone()));
    let model = options.load(&model)?;
    let fed: Vec<(&str, &Array)> = names
        .iter()
        .map(String::as_str)
        .zip(&inputs)
        .filter(|(name, _)| model.inputs().iter().any(|input| input.name == *name))
        .collect();
    let outputs = Runner::new(gpu, &model)?.run_blocking(&fed)?;
    for ((name, got), expected) in outputs.iter().zip(&expected) {
        if got.shape() != expected.shape() || got.element_type() != expected.element_type() {
            return Ok(Some(format!("output `{name}`: expected {expected}, got {got}")));
        }
        let (Some(got), Some(expected)) = (got.to_f32(), expected.to_f32()) else {
            match got == expected {
                true => continue,
                false => return Ok(Some(format!("output `{name}`: other texts"))),
            }
        };
        for (index, (a, b)) in got.iter().zip(&expected).enumerate() {
            let same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= atol + rtol * b.abs();
            if !same {
                return Ok(Some(format!("output `{name}`, element {index}: expected {b}, got {a}")));
            }
        }
    }
    Ok(None)
}
