//! One case: a model with the inputs and outputs of each of its data sets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use omma::onnx::{self, Array, Declared, Model, Options, Runner};
use omma::{Error, Gpu, HostTensor, PlanOptions, Result, Session, Tensor, TensorType};

use super::compare::{Tolerance, difference};
use super::verdict::Verdict;
use crate::npy;

/// What ONNX's own backend tests take.
const TOLERANCE: Tolerance = Tolerance { relative: 1e-3, absolute: 1e-5 };
/// Larger files of tolerances are none.
const MOST_BYTES: u64 = 1 << 16;

/// What a case needs beside its files.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) kernels: PlanOptions,
    /// Where the outputs are written, each case's in a folder of its name.
    pub(super) write: Option<&'a Path>,
}

/// Runs every data set of the case in a folder. A failure counts for more than what is not supported.
pub(super) fn run(context: &Context<'_>, folder: &Path) -> Verdict {
    let verdict = match tolerance(folder).and_then(|tolerance| Ok((tolerance, data_sets(folder)?))) {
        Err(error) => Verdict::of(Err(error)),
        Ok((tolerance, numbers)) => {
            let several = numbers.len() > 1;
            let verdicts = numbers.into_iter().map(|number| {
                let data_set = DataSet::read(folder, number);
                let verdict = Verdict::of(data_set.and_then(|data_set| data_set.run(context, tolerance)));
                match several {
                    true => verdict.explained(|reason| format!("{DATA_SET}{number}: {reason}")),
                    false => verdict,
                }
            });
            verdicts.reduce(Verdict::worse).unwrap_or_else(|| Verdict::Fail(format!("there is no {DATA_SET}0")))
        }
    };
    // The line says which case it is.
    verdict.explained(|reason| reason.replace(&format!("{}{}", folder.display(), std::path::MAIN_SEPARATOR), ""))
}

/// What the folders of data are called, before their number.
pub(super) const DATA_SET: &str = "test_data_set_";

/// The numbers of a case's data sets, in order.
fn data_sets(folder: &Path) -> Result<Vec<usize>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        numbers.extend(number(&entry.file_name().to_string_lossy(), DATA_SET, ""));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The number in a name, written as a program counts: `3` of `input_3.pb`.
fn number(name: &str, before: &str, behind: &str) -> Option<usize> {
    let text = name.strip_prefix(before)?.strip_suffix(behind)?;
    text.parse().ok().filter(|number: &usize| number.to_string() == text)
}

/// What the case's `data.json` allows.
fn tolerance(folder: &Path) -> Result<Tolerance> {
    let path = folder.join("data.json");
    let size = match path.metadata() {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(TOLERANCE),
        Err(error) => return Err(Error::io(&path)(error)),
    };
    if size > MOST_BYTES {
        return Err(Error::data(&path, format!("{size} bytes are more than two tolerances take")));
    }
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| Error::data(&path, error))?;
    let json = json.as_object().ok_or_else(|| Error::data(&path, "expected an object with `rtol` and `atol`"))?;
    let number = |key: &str, default: f64| match json.get(key) {
        None | Some(serde_json::Value::Null) => Ok(default),
        Some(value) => value
            .as_f64()
            .filter(|number| *number >= 0.0)
            .ok_or_else(|| Error::data(&path, format!("`{key}` is {value}, expected a number that is not negative"))),
    };
    Ok(Tolerance { relative: number("rtol", TOLERANCE.relative)?, absolute: number("atol", TOLERANCE.absolute)? })
}

/// The files of a data set, each kind by its numbers.
#[derive(Debug)]
struct DataSet {
    model: PathBuf,
    /// What stands in the model's file.
    bytes: Vec<u8>,
    /// Where its outputs belong below the folder for them.
    place: PathBuf,
    declared: Vec<Declared>,
    inputs: BTreeMap<usize, Arc<Array>>,
    outputs: BTreeMap<usize, Array>,
    /// Derivatives of a loss with respect to outputs, and those that are expected for inputs.
    cotangents: BTreeMap<usize, Array>,
    gradients: BTreeMap<usize, Array>,
}

impl DataSet {
    fn read(case: &Path, number: usize) -> Result<Self> {
        let model = case.join("model.onnx");
        let bytes = std::fs::read(&model).map_err(Error::io(&model))?;
        let declared = onnx::inputs(&bytes).map_err(|error| Error::data(&model, error))?;
        let name = format!("{DATA_SET}{number}");
        let folder = case.join(&name);
        let read = || {
            Ok((
                arrays(&folder, "input_")?,
                arrays(&folder, "output_")?,
                arrays(&folder, "grad_output_")?,
                arrays(&folder, "grad_input_")?,
            ))
        };
        let (inputs, outputs, cotangents, gradients) = match read() {
            Ok(read) => read,
            // What is no tensor cannot be read as one; a model with such inputs or outputs is not supported, and says so.
            Err(error) => match Options::default().other_dims(1).load((model.as_path(), bytes)) {
                Err(unsupported @ Error::Unsupported(_)) => return Err(unsupported),
                _ => return Err(error),
            },
        };
        let inputs: BTreeMap<usize, Arc<Array>> =
            inputs.into_iter().map(|(index, array)| (index, Arc::new(array))).collect();
        let place = Path::new(case.file_name().unwrap_or_default()).join(name);
        // Inputs that have a default are given only where the files are that many.
        let fed: Vec<Declared> = declared.iter().filter(|input| !input.has_default).cloned().collect();
        let declared = if inputs.keys().any(|&index| index >= fed.len()) { declared } else { fed };
        if let Some(index) = inputs.keys().find(|&&index| index >= declared.len()) {
            let message = format!("it has {} inputs, and there is an input_{index}.pb", declared.len());
            return Err(Error::data(&model, message));
        }
        Ok(Self { model, bytes, place, declared, inputs, outputs, cotangents, gradients })
    }

    /// Loads and runs the model, writes what comes out, and says what is wrong with it.
    fn run(mut self, context: &Context<'_>, tolerance: Tolerance) -> Result<Option<String>> {
        let bytes = std::mem::take(&mut self.bytes);
        let given = self.inputs.iter().map(|(&index, array)| (self.declared[index].name.as_str(), array));
        let options =
            given.clone().fold(Options::default(), |options, (name, array)| options.value(name, array.clone()));
        let model = options.load((self.model.as_path(), bytes))?;
        // Of what is given as a constant nothing is fed.
        let fed: Vec<(&str, &Array)> = given
            .filter(|(name, _)| model.inputs().iter().any(|input| input.name == *name))
            .map(|(name, array)| (name, array.as_ref()))
            .collect();
        let mut runner = Runner::with_options(context.gpu, &model, &context.kernels)?;
        let got = runner.run_blocking(&fed)?;
        drop(runner);
        let mut wrong = None;
        for (index, (_, array)) in got.iter().enumerate() {
            self.write(context, &format!("output_{index}.npy"), array)?;
        }
        for (index, expected) in &self.outputs {
            let difference = match got.get(*index) {
                Some((name, got)) => {
                    difference(got, expected, tolerance).map(|what| format!("output {index} `{name}`: {what}"))
                }
                None => Some(format!("there is no output {index}, the model has {}", got.len())),
            };
            wrong = wrong.or(difference);
        }
        if !self.cotangents.is_empty() {
            for (index, got) in self.differentiate(context, &model, &fed)? {
                self.write(context, &format!("grad_input_{index}.npy"), &got)?;
                let expected = self.gradients.get(&index);
                let difference = expected.and_then(|expected| difference(&got, expected, tolerance));
                let name = &self.declared[index].name;
                wrong = wrong.or(difference.map(|what| format!("gradient of input {index} `{name}`: {what}")));
            }
        }
        let unmet = |index: &usize| !self.inputs.contains_key(index) || self.cotangents.is_empty();
        match self.gradients.keys().find(|index| unmet(index)) {
            Some(index) => Ok(wrong.or(Some(format!("nothing computes the expected gradient of input {index}")))),
            None if self.outputs.is_empty() && self.gradients.is_empty() => {
                Ok(wrong.or(Some("there is nothing to compare with".into())))
            }
            None => Ok(wrong),
        }
    }

    fn write(&self, context: &Context<'_>, name: &str, array: &Array) -> Result<()> {
        let Some(out) = context.write else { return Ok(()) };
        let folder = out.join(&self.place);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        npy::write(&folder.join(name), array)
    }

    /// The gradient of Σ⟨cotangent, output⟩ with respect to every input of floats: zeros where nothing depends on one.
    fn differentiate(
        &self,
        context: &Context<'_>,
        model: &Model,
        fed: &[(&str, &Array)],
    ) -> Result<Vec<(usize, Array)>> {
        let graph = model.graph();
        let mut pairs: Vec<(Tensor<'_>, Tensor<'_>)> = Vec::new();
        let mut values: Vec<(String, Vec<f32>)> = Vec::new();
        for (index, cotangent) in &self.cotangents {
            let wrong = |message: String| Error::Onnx(format!("cotangent of output {index}: {message}"));
            let output = model.outputs().get(*index);
            let output = output.ok_or_else(|| wrong(format!("the model has {} outputs", model.outputs().len())))?;
            if !cotangent.element_type().is_float() || output.element.is_some_and(|element| !element.is_float()) {
                return Err(wrong(format!("expected floats for an output of floats, got {cotangent}")));
            }
            let floats = cotangent.to_f32().unwrap_or_default();
            if output.constant().is_some() {
                continue;
            }
            let on_host =
                |_| Error::Unsupported(format!("a gradient through output `{}`, which the host computes", output.name));
            let tensor = model.output(&output.name).map_err(on_host)?;
            let (ty, shape) = (tensor.ty(), cotangent.shape());
            if ty.shape[..] != *shape {
                return Err(wrong(format!("expected the shape {}, got {shape:?}", ty.shape)));
            }
            let mut name = format!("grad_output_{index}");
            while graph.tensor(&name).is_some() {
                name.push('_');
            }
            pairs.push((tensor, graph.input_of(&name, TensorType { dtype: ty.dtype, shape: ty.shape })?));
            values.push((name, floats));
        }
        let targets: Vec<(usize, &Array, Tensor<'_>)> = self
            .inputs
            .iter()
            .filter(|(_, array)| array.element_type().is_float())
            .filter_map(|(&index, array)| {
                let name = &self.declared[index].name;
                let fed = fed.iter().any(|(fed, _)| fed == name);
                graph.tensor(name).filter(|_| fed).map(|tensor| (index, array.as_ref(), tensor))
            })
            .collect();
        for (&index, array) in self.inputs.iter().filter(|(_, array)| array.element_type().is_float()) {
            let name = &self.declared[index].name;
            if model.is_fixed(name) && !array.is_empty() {
                return Err(Error::Unsupported(format!("a gradient by input `{name}`, whose value is read at load")));
            }
        }
        let wanted: Vec<Tensor<'_>> = targets.iter().map(|(.., tensor)| *tensor).collect();
        let gradients = graph.gradients_of(&pairs, &wanted)?;
        let fetch: Vec<Tensor<'_>> = gradients.iter().flatten().copied().collect();
        let mut session = None;
        if !fetch.is_empty() {
            let variables = model.variables(context.gpu, 0)?;
            let new = Session::with_options(context.gpu, graph, &fetch, &variables, &context.kernels)?;
            let inputs: Vec<(&str, Vec<f32>)> =
                fed.iter().map(|(name, array)| (*name, array.to_f32().unwrap_or_default())).collect();
            let inputs = inputs.iter().map(|(name, values)| (*name, HostTensor::from(values)));
            let cotangents = values.iter().map(|(name, values)| (name.as_str(), HostTensor::from(values)));
            let all: Vec<(&str, HostTensor<'_>)> = inputs.chain(cotangents).collect();
            session.insert(new).run_blocking(&all)?;
        }
        let mut got = BTreeMap::new();
        for ((index, input, _), gradient) in targets.iter().zip(gradients) {
            let array = match (&session, gradient) {
                (Some(session), Some(gradient)) => Array::from(session.read_blocking::<f32>(gradient)?),
                _ => zeros(input.shape())?,
            };
            got.insert(*index, array.cast(input.element_type()).unwrap_or(array));
        }
        // Inputs that the graph does not have: those without elements.
        for (&index, array) in self.inputs.iter().filter(|(_, array)| array.element_type().is_float()) {
            if let std::collections::btree_map::Entry::Vacant(entry) = got.entry(index) {
                let zeros = zeros(array.shape())?;
                entry.insert(zeros.cast(array.element_type()).unwrap_or(zeros));
            }
        }
        Ok(got.into_iter().collect())
    }
}

fn zeros(shape: &[usize]) -> Result<Array> {
    Array::new(shape, vec![0.0_f32; shape.iter().product()])
}

/// The tensors of a kind in a folder, by their numbers.
fn arrays(folder: &Path, kind: &str) -> Result<BTreeMap<usize, Array>> {
    let mut arrays = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let Some(number) = number(&entry.file_name().to_string_lossy(), kind, ".pb") else { continue };
        let path = entry.path();
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let array = onnx::read_tensor(&bytes).map_err(|error| match error {
            Error::Onnx(message) => Error::data(&path, message),
            other => other,
        })?;
        arrays.insert(number, array);
    }
    Ok(arrays)
}
