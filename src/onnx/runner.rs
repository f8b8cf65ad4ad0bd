//! Runs a loaded model: inputs and outputs in the file's own types.

use std::collections::HashMap;

use ndarray::ArrayD;

use super::inputs::fed_range;
use super::model::From;
use super::{Array, ElementType, Model, late};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::graph::{DType, Tensor, TensorId};
use crate::plan::{HostTensor, PlanOptions, Readback, Session};

/// A model on a device.
#[derive(Debug)]
pub struct Runner<'m> {
    model: &'m Model,
    session: Session,
}

impl Model {
    /// What a step of a [`Runner`] is on such a device: kernels and memory, before anything is allocated.
    ///
    /// # Errors
    /// When the graph does not fit the device.
    pub fn plan(&self, capabilities: &crate::Capabilities, options: &PlanOptions) -> Result<crate::Plan> {
        let mut fetch: Vec<TensorId> = Vec::new();
        for (id, _) in self.fetched() {
            fetch.push(id);
        }
        fetch.dedup();
        let fetch: Vec<Tensor<'_>> = fetch.into_iter().map(|id| Tensor::new(&self.graph, id)).collect();
        let layout = crate::VariableLayout::on(&self.graph, capabilities)?;
        crate::Plan::new(&self.graph, &fetch, &layout, capabilities, options)
    }
}

impl<'m> Runner<'m> {
    /// Brings the model's values to the device and prepares its kernels.
    ///
    /// # Errors
    /// When the graph does not fit the device, or the device fails.
    pub fn new(gpu: &Gpu, model: &'m Model) -> Result<Self> {
        Self::with_options(gpu, model, &PlanOptions::default())
    }

    /// [`Runner::new`] with kernel preferences.
    ///
    /// # Errors
    /// See [`Runner::new`].
    pub fn with_options(gpu: &Gpu, model: &'m Model, options: &PlanOptions) -> Result<Self> {
        let mut fetch: Vec<TensorId> = model.fetched().into_iter().map(|(id, _)| id).collect();
        fetch.dedup();
        let fetch: Vec<Tensor<'_>> = fetch.into_iter().map(|id| Tensor::new(&model.graph, id)).collect();
        let variables = model.variables(gpu, 0)?;
        Ok(Self { model, session: Session::with_options(gpu, &model.graph, &fetch, &variables, options)? })
    }

    /// The session that it runs.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Runs the model and gives its outputs under their names, in the file's order and types.
    ///
    /// # Errors
    /// When an input is missing, is none of the model's, or has another type or shape; or when the device fails.
    pub async fn run(&mut self, inputs: &[(&str, &Array)]) -> Result<Vec<(String, Array)>> {
        let fed = self.fed(inputs)?;
        self.session.run(&fed).await?;
        // All are on their way before the first is waited for.
        let fetched = self.model.fetched().into_iter();
        let pending = fetched.map(|(id, element)| Ok((id, element, self.request(id)?)));
        let mut read = HashMap::new();
        for (id, element, pending) in pending.collect::<Result<Vec<_>>>()? {
            read.insert((id, element), typed(pending.array().await?, element)?);
        }
        self.finish(inputs, &read)
    }

    /// [`Runner::run`], blocking.
    ///
    /// # Errors
    /// See [`Runner::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_blocking(&mut self, inputs: &[(&str, &Array)]) -> Result<Vec<(String, Array)>> {
        pollster::block_on(self.run(inputs))
    }

    /// The inputs as the device takes them.
    fn fed<'a>(&self, inputs: &[(&'a str, &'a Array)]) -> Result<Vec<(&'a str, HostTensor<'a>)>> {
        let mut fed = Vec::new();
        for &(name, array) in inputs {
            let wrong = |message: String| Error::Onnx(format!("input `{name}`: {message}"));
            let of = |inputs: &'m [super::Input]| inputs.iter().find(|input| input.name == name);
            let idle = of(&self.model.idle);
            let Some(input) = of(&self.model.inputs).or(idle) else {
                let names: Vec<&str> = self.model.inputs.iter().map(|input| input.name.as_str()).collect();
                return Err(Error::Onnx(format!(
                    "there is no input `{name}` to be fed; there are {}",
                    names.join(", ")
                )));
            };
            if input.fixed.as_ref().is_some_and(|told| **told != *array) {
                return Err(wrong("the model was loaded for another value of it".into()));
            }
            if idle.is_some() {
                continue;
            }
            if array.element_type() != input.element || array.shape() != &input.shape[..] {
                return Err(wrong(format!("expected {}{}, got {array}", input.element, input.shape)));
            }
            if self.model.graph.tensor(name).is_none() {
                // Only the host needs it.
                continue;
            }
            let tensor = match array {
                Array::F32(array) => HostTensor::from(array),
                _ => HostTensor::owned(array.to_f32().unwrap_or_default()),
            };
            if input.element.is_integer() {
                let [least, greatest] = fed_range(input.element);
                let integers = array.to_i64().unwrap_or_default();
                if integers.len() != array.len() || integers.iter().any(|value| !(least..=greatest).contains(value)) {
                    let range = format!("the device computes with its integers, which may be {least} to {greatest}");
                    return Err(wrong(format!("a number is out of range: {range}")));
                }
            }
            fed.push((name, tensor));
        }
        let missing = self.model.inputs.iter().find(|input| !inputs.iter().any(|(name, _)| *name == input.name));
        match missing {
            Some(input) => {
                Err(Error::Onnx(format!("the input `{}`, {}{}, is not given", input.name, input.element, input.shape)))
            }
            None => Ok(fed),
        }
    }

    /// Has a tensor of the device copied.
    fn request(&self, id: TensorId) -> Result<Pending> {
        Ok(match self.session.dtype(id)? {
            DType::U32 => Pending::U32(self.session.read(id)?),
            DType::U8 => Pending::U8(self.session.read(id)?),
            _ => Pending::F32(self.session.read(id)?),
        })
    }

    /// What the host computes of the fetched tensors, and the outputs.
    fn finish<'a>(
        &'a self,
        inputs: &'a [(&str, &Array)],
        read: &'a HashMap<(TensorId, ElementType), Array>,
    ) -> Result<Vec<(String, Array)>> {
        let of = |from: &'a From| match from {
            From::Device(id, element) => read.get(&(*id, *element)),
            From::Known(array) => Some(array.as_ref()),
            From::Fed(name) => inputs.iter().find(|(other, _)| other == name).map(|(_, array)| *array),
            From::Late { .. } => None,
        };
        let late = late::run(&self.model.late, of)?;
        let output = |output: &'a super::Output| {
            let array = match &output.from {
                From::Late { node, output } => late.get(&(*node, *output)),
                from => of(from),
            };
            let missing = || Error::Onnx(format!("output `{}` was not computed", output.name));
            array.map(|array| (output.name.clone(), array.clone())).ok_or_else(missing)
        };
        self.model.outputs.iter().map(output).collect()
    }
}

/// A tensor on its way from the device.
enum Pending {
    F32(Readback<ArrayD<f32>>),
    U32(Readback<ArrayD<u32>>),
    U8(Readback<ArrayD<u8>>),
}

impl Pending {
    async fn array(self) -> Result<Array> {
        Ok(match self {
            Self::F32(pending) => pending.await?.into(),
            Self::U32(pending) => pending.await?.into(),
            Self::U8(pending) => pending.await?.into(),
        })
    }
}

/// What came from the device in the file's type.
fn typed(array: Array, element: ElementType) -> Result<Array> {
    if let Array::F32(values) = &array
        && element.is_integer()
        && values.iter().any(|value| value.is_nan())
    {
        return Err(Error::Onnx("a step gave no number for an integer: an index was out of range".into()));
    }
    array.cast(element).ok_or_else(|| Error::Onnx(format!("{array} has no values of type {element}")))
}

impl Model {
    /// The tensors that are wanted from the device, each once in each type, those of one tensor side by side.
    fn fetched(&self) -> Vec<(TensorId, ElementType)> {
        let late = self.late.iter().flat_map(|late| late.inputs.iter().flatten());
        let device = |from: &From| match from {
            From::Device(id, element) => Some((*id, *element)),
            _ => None,
        };
        let outputs = self.outputs.iter().map(|output| &output.from);
        let mut fetched: Vec<(TensorId, ElementType)> = outputs.chain(late).filter_map(device).collect();
        fetched.sort_unstable_by_key(|(id, element)| (id.index, element.code()));
        fetched.dedup();
        fetched
    }
}
