//! `omma run`: an ONNX model on arrays or pictures from files.

mod classes;
mod feed;
mod frame;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use omma::onnx::{self, Array, Declared, Options, Runner};
use omma::{Error, Result};

use crate::output::{Output, remark};
use crate::{Device, Kernels, argument, memory, npy};
use classes::Classes;
use feed::Dims;
use frame::Frame;

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The .onnx file
    model: PathBuf,
    /// What an input is to be: an .npy file, a TensorProto as .pb, or a PNG or JPEG picture
    #[arg(long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// The number for a symbolic extent, as N=1
    #[arg(long = "dim", value_name = "NAME=N", value_parser = dim)]
    dims: Vec<(String, usize)>,
    /// Fill inputs that are not given with numbers drawn by SEED; symbolic extents that nothing tells are 1
    #[arg(long, value_name = "SEED")]
    random: Option<u64>,
    /// Write each output to DIR/NAME.npy, with _ for what no file name should have
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    frame: Frame,
    #[command(flatten)]
    classes: Classes,
    #[command(flatten)]
    kernels: Kernels,
    #[command(flatten)]
    device: Device,
}

impl Run {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let start = Instant::now();
        let bytes = std::fs::read(&self.model).map_err(Error::io(&self.model))?;
        let declared = onnx::inputs(&bytes).map_err(|error| Error::data(&self.model, error))?;
        let labels = self.classes.labels()?;
        let inputs = self.inputs(&declared)?;
        let options = options(&self.dims, &declared)?;
        let options = if self.random.is_some() { options.other_dims(1) } else { options };
        let given = inputs.iter().fold(options, |options, (name, array, _)| options.value(name, array.clone()));
        let model = given.load((self.model.as_path(), bytes))?;
        let loaded = start.elapsed();
        let gpu = self.device.open()?;
        self.kernels.check(&gpu);

        let options = self.kernels.options();
        let planned = model.plan(gpu.capabilities(), &options)?.memory();
        remark(format_args!("planned for a step: {}", memory::parts(&planned)));
        let start = Instant::now();
        let mut runner = Runner::with_options(&gpu, &model, &options)?;
        let prepared = start.elapsed();
        // What is given as a constant is in the graph already.
        let fed: Vec<(&str, &Array)> = inputs
            .iter()
            .filter(|(name, ..)| model.inputs().iter().any(|input| input.name == *name))
            .map(|(name, array, _)| (name.as_str(), array.as_ref()))
            .collect();
        let start = Instant::now();
        runner.run_blocking(&fed)?;
        let first = start.elapsed();
        let start = Instant::now();
        let outputs = runner.run_blocking(&fed)?;
        let second = start.elapsed();

        let mut out = Output::default();
        for (name, array, from) in &inputs {
            out.line(format_args!("input {name}: {array} from {from}"));
        }
        let paths = self.write(&outputs)?;
        for (index, (name, array)) in outputs.iter().enumerate() {
            let to = paths.get(index).map_or(String::new(), |path| format!(" in {}", path.display()));
            out.line(format_args!("output {name}: {array}{to}"));
        }
        let ms = |time: std::time::Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        out.line(format_args!(
            "loaded in {}, prepared in {}, first run {}, second run {}",
            ms(loaded),
            ms(prepared),
            ms(first),
            ms(second)
        ));
        if let Some(labels) = labels {
            self.classes.print(&labels, &outputs, &mut out)?;
        }
        out.finish()?;
        Ok(ExitCode::SUCCESS)
    }

    /// The inputs' names, arrays, and where these are from.
    fn inputs(&self, declared: &[Declared]) -> Result<Vec<(String, Arc<Array>, String)>> {
        let mut inputs: Vec<(String, Arc<Array>, String)> = Vec::new();
        let mut dims: Dims = self.dims.iter().cloned().collect();
        let mut pictures = false;
        for text in &self.inputs {
            let (input, path) = split(text, declared)?;
            if inputs.iter().any(|(name, ..)| *name == input.name) {
                return Err(argument("--input", format!("`{}` is given twice", input.name)));
            }
            let (array, picture) = feed::read(Path::new(path), input, &self.frame, &dims)?;
            pictures |= picture;
            feed::learn(&mut dims, input, array.shape());
            inputs.push((input.name.clone(), Arc::new(array), path.into()));
        }
        if let Some(option) = self.frame.given().filter(|_| !pictures) {
            return Err(argument(option, "no --input is a picture"));
        }
        for (index, input) in declared.iter().enumerate().filter(|(_, input)| !input.has_default) {
            if inputs.iter().any(|(name, ..)| *name == input.name) {
                continue;
            }
            let Some(seed) = self.random else {
                let message = format!("`{}` is not given, {input}; --random SEED would fill it", input.name);
                return Err(argument("--input", message));
            };
            // Each input has numbers of its own, whichever others are given.
            let array = feed::random(input, seed, index as u64, &dims)?;
            inputs.push((input.name.clone(), Arc::new(array), format!("seed {seed}")));
        }
        Ok(inputs)
    }

    /// Writes the outputs and says where.
    fn write(&self, outputs: &[(String, Array)]) -> Result<Vec<PathBuf>> {
        let Some(folder) = &self.output else { return Ok(Vec::new()) };
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let mut taken = HashSet::new();
        let mut paths = Vec::new();
        for (name, array) in outputs {
            let stem = file_stem(name);
            let numbered = (1..).map(|n: usize| if n == 1 { stem.clone() } else { format!("{stem}.{n}") });
            let stem = numbered.into_iter().find(|stem| taken.insert(stem.to_lowercase())).unwrap_or_default();
            let path = folder.join(format!("{stem}.npy"));
            npy::write(&path, array)?;
            paths.push(path);
        }
        Ok(paths)
    }
}

/// How a model is loaded with these extents.
///
/// # Errors
/// When no input has such an extent.
pub(crate) fn options(dims: &[(String, usize)], declared: &[Declared]) -> Result<Options> {
    let extents = declared.iter().flat_map(|input| input.shape.iter().flatten());
    let symbols: Vec<&str> = extents
        .filter_map(|extent| match extent {
            onnx::Extent::Symbol(symbol) => Some(symbol.as_str()),
            _ => None,
        })
        .collect();
    match dims.iter().find(|(name, _)| !symbols.contains(&name.as_str())) {
        Some((name, _)) => {
            let mut symbols = symbols;
            symbols.sort_unstable();
            symbols.dedup();
            let there = if symbols.is_empty() { "none".into() } else { symbols.join(", ") };
            Err(argument("--dim", format!("no input has an extent `{name}`; there are {there}")))
        }
        None => Ok(dims.iter().fold(Options::default(), |options, (name, extent)| options.dim(name, *extent))),
    }
}

/// `NAME=N`.
pub(crate) fn dim(text: &str) -> Result<(String, usize), String> {
    let split = text.rsplit_once('=').filter(|(name, _)| !name.is_empty());
    let number = split.and_then(|(name, number)| Some((name, number.parse().ok().filter(|&number| number > 0)?)));
    number.map(|(name, number)| (name.into(), number)).ok_or_else(|| format!("expected NAME=N as in N=1, got `{text}`"))
}

/// Takes `NAME=FILE` apart. Either may have an equals sign in it: the inputs' names tell which is meant.
fn split<'t, 'd>(text: &'t str, declared: &'d [Declared]) -> Result<(&'d Declared, &'t str)> {
    let named = |input: &'d Declared| Some((input, text.strip_prefix(input.name.as_str())?.strip_prefix('=')?));
    declared.iter().filter_map(named).max_by_key(|(input, _)| input.name.len()).ok_or_else(|| {
        match text.split_once('=') {
            None => argument("--input", format!("expected NAME=FILE, got `{text}`")),
            Some((name, _)) => {
                let names: Vec<&str> = declared.iter().map(|input| input.name.as_str()).collect();
                argument("--input", format!("there is no input `{name}`; there are {}", names.join(", ")))
            }
        }
    })
}

/// A name as a file's: what separates folders, or what some system forbids, becomes `_`.
fn file_stem(name: &str) -> String {
    let allowed = |letter: char| !letter.is_control() && !r#"/\:*?"<>|"#.contains(letter);
    let mut stem: String = name.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
    if stem.starts_with('.') {
        stem.replace_range(..1, "_");
    }
    stem
}
