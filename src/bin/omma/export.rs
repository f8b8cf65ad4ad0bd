//! `omma export`: networks for other runtimes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use omma::models::{Input, Model};
use omma::onnx::{self, Array};
use omma::selftest::{self, OnnxCase};
use omma::{DType, Error, Gpu, Graph, Init, Mode, NamedArrays, Result, Session, Tensor, VariableLayout, Variables};

use crate::output::Output;
use crate::size::{self, Size};
use crate::{Device, argument};

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The network, as `omma models` lists them
    #[arg(long, value_name = "NAME", required_unless_present = "operations")]
    model: Option<String>,
    /// Its weights, as `omma train` or torchvision has them; random ones where no file is given
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// What random weights and examples are made from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The version of ONNX's operators, 13 to 25
    #[arg(long, value_name = "VERSION", default_value_t = 17)]
    opset: i64,
    /// How many classes it tells apart [default: what the weights' file says, or its paper]
    #[arg(long, value_name = "NUMBER")]
    classes: Option<usize>,
    /// Height and width of images, length of sounds and texts [default: what the weights' file says, or its paper]
    #[arg(long, value_name = "H[xW]", value_parser = size::size)]
    size: Option<Size>,
    /// Examples in a batch [default: any number, called N in the file]
    #[arg(long, value_name = "NUMBER")]
    batch: Option<usize>,
    /// Write a case for `omma conformance` as well: this folder with the file as model.onnx, a random input and what this
    /// adapter computes of it
    #[arg(long, value_name = "FOLDER")]
    case: Option<PathBuf>,
    /// Write the self-test's cases of all operations into this folder, one sub-folder each for `omma conformance`, and no
    /// network
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["model", "case", "out"])]
    operations: Option<PathBuf>,
    /// The file to write
    #[arg(value_name = "OUT.onnx")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: Device,
}

impl Export {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        match (&self.operations, &self.model) {
            (Some(folder), _) => self.operations(folder),
            (None, name) => self.network(name.as_deref().unwrap_or_default()),
        }
    }

    /// One folder for each case of the self-test that has an ONNX form.
    fn operations(&self, folder: &Path) -> Result<ExitCode> {
        let (mut out, mut written, mut refused) = (Output::default(), 0, 0);
        for (number, case) in selftest::cases(None).iter().enumerate() {
            match case.to_onnx(&onnx::Export::default().opset(self.opset)) {
                Ok(OnnxCase { model, inputs, outputs }) => {
                    written += 1;
                    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
                    let name: String = case.name().chars().map(plain).collect();
                    write_case(&folder.join(format!("{number:04}_{name}")), &model, &inputs, &outputs)?;
                }
                Err(Error::Unsupported(reason)) => {
                    refused += 1;
                    out.line(format_args!("{}: {reason}", case.name()));
                }
                Err(error) => return Err(error),
            }
        }
        out.line(format_args!("{written} cases written, {refused} are in no file of operator set {}", self.opset));
        out.finish()?;
        Ok(ExitCode::SUCCESS)
    }

    fn network(&self, name: &str) -> Result<ExitCode> {
        if self.out.is_none() && self.case.is_none() {
            return Err(argument("export", "expected OUT.onnx, the file to write, or --case FOLDER"));
        }
        let model = Model::named(name)?;
        let (file, metadata) = match &self.weights {
            Some(path) => {
                (Some((path, std::fs::read(path).map_err(Error::io(path))?)), Variables::read_metadata(path)?)
            }
            None => (None, HashMap::new()),
        };
        let number = |name: &str| metadata.get(name).and_then(|text| text.parse::<usize>().ok());
        let trained = trained_on(model.input, &number);
        let input = self.size.map_or(Ok(trained), |size| size.of(trained))?;
        let classes = self.classes.or_else(|| number("classes")).unwrap_or(model.classes);
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.input_of("input", input.batch(self.batch.unwrap_or(1)))?;
        let logits = (model.build)(x, classes)?;
        // Some networks name them.
        let logits = if logits.name().is_none() { graph.name("logits", logits)? } else { logits };
        let layout = VariableLayout::of(&graph, u64::MAX)?;
        let weights = match &file {
            Some((path, bytes)) => layout.read_safetensors(bytes).map_err(|error| Error::data(path, error))?,
            None => layout.initial_values(self.seed),
        };
        let options = onnx::Export::default().opset(self.opset);
        let options = if self.batch.is_none() { options.batch("N") } else { options };
        let bytes = graph.to_onnx(&[logits], &weights, &options)?;
        let mut out = Output::default();
        if let Some(path) = &self.out {
            write(path, &bytes)?;
            out.line(format_args!("{}: {} bytes, operator set {}", path.display(), bytes.len(), self.opset));
        }
        if let Some(folder) = &self.case {
            let (input, output) = sample(&self.device.open()?, (&graph, x, logits), &weights, self.seed)?;
            write_case(folder, &bytes, std::slice::from_ref(&input), std::slice::from_ref(&output))?;
            out.line(format_args!("{}: {input} to {output}", folder.display()));
        }
        out.finish()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(Error::io(path))
}

/// The layout of ONNX's backend tests.
fn write_case(folder: &Path, model: &[u8], inputs: &[Array], outputs: &[Array]) -> Result<()> {
    let data = folder.join("test_data_set_0");
    std::fs::create_dir_all(&data).map_err(Error::io(&data))?;
    write(&folder.join("model.onnx"), model)?;
    for (kind, arrays) in [("input", inputs), ("output", outputs)] {
        for (number, array) in arrays.iter().enumerate() {
            write(&data.join(format!("{kind}_{number}.pb")), &onnx::write_tensor("", array))?;
        }
    }
    Ok(())
}

/// What the network takes: as the weights' file says, or its paper.
fn trained_on(input: Input, said: &dyn Fn(&str) -> Option<usize>) -> Input {
    match input {
        Input::Image { channels, size: [height, width] } => Input::Image {
            channels: said("channels").unwrap_or(channels),
            size: [said("height").unwrap_or(height), said("width").unwrap_or(width)],
        },
        other => other,
    }
}

/// A random input, and what the network makes of it here: in the types that they have in the file.
fn sample(
    gpu: &Gpu,
    (graph, x, logits): (&Graph, Tensor<'_>, Tensor<'_>),
    weights: &NamedArrays,
    seed: u64,
) -> Result<(Array, Array)> {
    let variables = Variables::new(gpu, seed);
    variables.declare(graph)?;
    for (name, values) in weights {
        variables.set(name, values)?;
    }
    let mut session = Session::new(gpu, graph, &[logits], &variables)?;
    let shape = x.shape();
    // Of one axis: uniform with a variance of 2.
    let values = Init::HeUniform.values("input", &shape.elements().into(), seed);
    let input = if x.dtype() == DType::U32 {
        // Below the first axis of the table that words are looked up in.
        let count = weights.first().map_or(1, |(_, table)| table.shape()[0]) as f32;
        let limit = 6.0_f32.sqrt();
        let word = |value: &f32| ((0.5 + 0.499 * value / limit) * count) as u32;
        let words: Vec<u32> = values.iter().map(word).collect();
        session.run_blocking(&[("input", (&words).into())])?;
        Array::new(&shape, words.into_iter().map(i64::from).collect())?
    } else {
        session.run_blocking(&[("input", (&values).into())])?;
        Array::new(&shape, values)?
    };
    Ok((input, Array::from(session.read_blocking::<f32>(logits)?)))
}
