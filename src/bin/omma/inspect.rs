//! `omma inspect`: what a network's layers are, without running it. `omma models`: every network there is.

mod file;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use omma::models::{Input, MODELS, Model};
use omma::{Graph, LayerSummary, Mode, Result};
use serde_json::json;

use crate::output::Output;
use crate::size::{self, Size};
use crate::{Device, Kernels, argument, memory, run};

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The network, an unknown name lists all; or an .onnx file
    model: String,
    /// Examples a step [default: 1]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Classes to tell apart [default: as many as the network's paper]
    #[arg(long, value_name = "N")]
    classes: Option<usize>,
    /// Height and width of images, length of sounds and texts [default: as the network's paper]
    #[arg(long, value_name = "H[xW]", value_parser = size::size)]
    size: Option<Size>,
    /// Print JSON, one object a line: every layer, then the whole
    #[arg(long)]
    json: bool,
    /// The number for a symbolic extent of a file, as N=1 [default: 1]
    #[arg(long = "dim", value_name = "NAME=N", value_parser = run::dim)]
    dims: Vec<(String, usize)>,
    #[command(flatten)]
    kernels: Kernels,
    #[command(flatten)]
    device: Device,
}

#[derive(Debug, Args)]
pub(crate) struct Models {
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// A network's layers and their sums.
struct Inspected {
    layers: Vec<LayerSummary>,
    parameters: usize,
    multiply_adds: u64,
    activation_bytes: u64,
}

impl Inspected {
    fn of(model: &Model, input: Input, batch: usize, classes: usize) -> Result<Self> {
        let graph = Graph::new(Mode::Evaluation);
        (model.build)(graph.input_of("input", input.batch(batch))?, classes)?;
        Ok(Self::from(&graph))
    }
}

impl From<&Graph> for Inspected {
    fn from(graph: &Graph) -> Self {
        let layers = graph.layers();
        Self {
            // A parameter that two layers share counts once.
            parameters: graph.parameter_count(),
            multiply_adds: layers.iter().map(|layer| layer.multiply_adds).sum(),
            activation_bytes: layers.iter().map(|layer| layer.activation_bytes).sum(),
            layers,
        }
    }
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let mut out = Output::default();
        let path = Path::new(&self.model);
        match path.extension().is_some_and(|extension| extension == "onnx") || path.is_file() {
            true => self.file(path, &mut out)?,
            false => self.network(&mut out)?,
        }
        out.finish()?;
        Ok(ExitCode::SUCCESS)
    }

    /// One of Omma's own networks.
    fn network(&self, out: &mut Output) -> Result<()> {
        if !self.dims.is_empty() {
            return Err(argument("--dim", "is for the extents of an .onnx file; a network has --batch"));
        }
        let model = Model::named(&self.model)?;
        for (option, number) in [("--batch", self.batch), ("--classes", self.classes)] {
            if number == Some(0) {
                return Err(argument(option, "expected at least 1, got 0"));
            }
        }
        let batch = self.batch.unwrap_or(1);
        let input = self.size.map_or(Ok(model.input), |size| size.of(model.input))?;
        let inspected = Inspected::of(&model, input, batch, self.classes.unwrap_or(model.classes))?;
        if self.json {
            inspected.json_lines(out);
            out.line(json!({
                "model": self.model,
                "batch": batch,
                "input": input.batch(batch).shape.to_vec(),
                "parameters": inspected.parameters,
                "multiply_adds": inspected.multiply_adds,
                "activation_bytes": inspected.activation_bytes,
            }));
        } else {
            out.line(format_args!("{} {}", model.name, input.batch(batch)));
            inspected.table(out);
        }
        Ok(())
    }
}

impl Inspected {
    fn table(&self, out: &mut Output) {
        let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let Self { layers, parameters, multiply_adds, activation_bytes } = self;
        // The last row names nothing else, and may be the widest.
        let (all, operations) = ("in all", format!("{} operations", layers.len()));
        let name = width(&mut layers.iter().map(|layer| layer.name.chars().count())).max(all.len());
        let operation = width(&mut layers.iter().map(|layer| layer.operation.len())).max(operations.len());
        // An operation of many axes may stand out, and no width can be longer than 65,535.
        let output = layers.iter().map(|layer| layer.output.shape.to_string().len()).filter(|&length| length <= 60);
        let output = width(&mut output.into_iter()).max("output".len());
        let row = |cells: [String; 9]| {
            let [a, b, c, d, e, f, g, h, i] = cells;
            format!("{a:name$}  {b:operation$}  {c:>6} {d:>6}  {e:output$} {f:>12} {g:>15} {h:>12} {i:>9}")
        };
        let heads =
            ["layer", "operation", "kernel", "stride", "output", "parameters", "multiply-adds", "activations", "sees"];
        out.line(row(heads.map(String::from)));
        for layer in layers {
            out.line(row([
                layer.name.clone(),
                layer.operation.into(),
                by(&layer.kernel),
                by(&layer.stride),
                layer.output.shape.to_string(),
                grouped(layer.parameters as u64),
                grouped(layer.multiply_adds),
                memory::mebibytes(layer.activation_bytes),
                layer.receptive_field.to_string(),
            ]));
        }
        out.line(row([
            all.into(),
            operations,
            String::new(),
            String::new(),
            String::new(),
            grouped(*parameters as u64),
            grouped(*multiply_adds),
            memory::mebibytes(*activation_bytes),
            String::new(),
        ]));
    }

    /// A line for every layer.
    fn json_lines(&self, out: &mut Output) {
        for layer in &self.layers {
            out.line(json!({
                "layer": layer.name,
                "operation": layer.operation,
                "attributes": layer.attributes,
                "output": layer.output.shape.to_vec(),
                "parameters": layer.parameters,
                "multiply_adds": layer.multiply_adds,
                "activation_bytes": layer.activation_bytes,
                "kernel": layer.kernel,
                "stride": layer.stride,
                "receptive_field": layer.receptive_field.sizes(),
            }));
        }
    }
}

impl Models {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let mut out = Output::default();
        if !self.json {
            out.line(format_args!(
                "{:18}  {:24} {:>8} {:>12} {:>15}",
                "model", "input", "classes", "parameters", "multiply-adds"
            ));
        }
        for model in MODELS {
            let Inspected { parameters, multiply_adds, .. } = Inspected::of(model, model.input, 1, model.classes)?;
            let input = model.input.batch(1);
            match self.json {
                true => out.line(json!({
                    "model": model.name,
                    "input": input.shape.to_vec(),
                    "classes": model.classes,
                    "parameters": parameters,
                    "multiply_adds": multiply_adds,
                })),
                false => out.line(format_args!(
                    "{:18}  {:24} {:>8} {:>12} {:>15}",
                    model.name,
                    input.to_string(),
                    model.classes,
                    grouped(parameters as u64),
                    grouped(multiply_adds)
                )),
            }
        }
        out.finish()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `3x3`.
fn by(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
