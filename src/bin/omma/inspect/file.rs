//! A network from an ONNX file: its layers, and what a step of it is on this device.

use std::path::Path;

use omma::onnx::{self, Extent, Model};
use omma::{Error, Plan, Result, VariableLayout};
use serde_json::{Value, json};

use super::{Inspect, Inspected};
use crate::output::{Output, remark};
use crate::{argument, memory, run};

impl Inspect {
    /// Loads the file and prints what became of it. Nothing is computed, and nothing allocated on the device.
    pub(super) fn file(&self, path: &Path, out: &mut Output) -> Result<()> {
        let given =
            [("--batch", self.batch.is_some()), ("--classes", self.classes.is_some()), ("--size", self.size.is_some())];
        if let Some((option, _)) = given.into_iter().find(|&(_, given)| given) {
            return Err(argument(option, "is for Omma's own networks; a file has --dim"));
        }
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let declared = onnx::inputs(&bytes).map_err(|error| Error::data(path, error))?;
        let options = run::options(&self.dims, &declared)?.other_dims(1);
        for input in &declared {
            let open = |extent: &Extent| match extent {
                Extent::Known(_) => false,
                Extent::Symbol(symbol) => !self.dims.iter().any(|(name, _)| name == symbol),
                Extent::Unknown => true,
            };
            if !input.has_default && input.shape.iter().flatten().any(open) {
                remark(format_args!("input {input}: what has no number is 1 here; --dim NAME=N gives it one"));
            }
        }
        let model = options.load((path, bytes))?;
        let inspected = Inspected::from(model.graph());
        // Which kernels there are, and with that the memory, is for a device to say.
        let planned = match self.device.open() {
            Ok(gpu) => Some(self.plan(&model, &gpu)?),
            Err(error) => {
                remark(format_args!("no device to plan for: {error}"));
                None
            }
        };
        match self.json {
            true => self.file_json(&model, &inspected, planned.as_ref(), out),
            false => self.file_table(&model, &inspected, planned.as_ref(), out),
        }
        Ok(())
    }

    /// The plan, and the bytes of the variables.
    fn plan(&self, model: &Model, gpu: &omma::Gpu) -> Result<(Plan, u64)> {
        let plan = model.plan(gpu.capabilities(), &self.kernels.options())?;
        Ok((plan, VariableLayout::on(model.graph(), gpu.capabilities())?.bytes()))
    }

    fn file_table(&self, model: &Model, inspected: &Inspected, planned: Option<&(Plan, u64)>, out: &mut Output) {
        for input in model.inputs() {
            out.line(format_args!("input {}: {}{}", input.name, input.element, input.shape));
        }
        for output in model.outputs() {
            out.line(format_args!("output {}: {}", output.name, output_text(model, output)));
        }
        inspected.table(out);
        if let Some((plan, variables)) = planned {
            out.line(format_args!("variables: {}", memory::mebibytes(*variables)));
            out.line(format_args!("a step: {}", memory::parts(&plan.memory())));
            out.line(format_args!("dispatches: {} in {} passes", plan.dispatches(), plan.passes()));
        }
    }

    fn file_json(&self, model: &Model, inspected: &Inspected, planned: Option<&(Plan, u64)>, out: &mut Output) {
        inspected.json_lines(out);
        let inputs: Vec<Value> = model
            .inputs()
            .iter()
            .map(
                |input| json!({ "name": input.name, "type": input.element.to_string(), "shape": input.shape.to_vec() }),
            )
            .collect();
        let outputs: Vec<Value> = model
            .outputs()
            .iter()
            .map(|output| {
                let element = output.element.map(|element| element.to_string());
                json!({ "name": output.name, "type": element, "shape": shape(model, output) })
            })
            .collect();
        let plan = planned.map(|(plan, variables)| {
            let memory = plan.memory();
            json!({
                "variable_bytes": variables,
                "step_bytes": memory.total(),
                "slab_bytes": memory.slabs,
                "texture_bytes": memory.textures,
                "gradient_bytes": memory.gradients,
                "small_bytes": memory.small,
                "staging_bytes": memory.staging,
                "dispatches": plan.dispatches(),
            })
        });
        out.line(json!({
            "model": self.model,
            "inputs": inputs,
            "outputs": outputs,
            "parameters": inspected.parameters,
            "multiply_adds": inspected.multiply_adds,
            "activation_bytes": inspected.activation_bytes,
            "plan": plan,
        }));
    }
}

/// The extents of an output, unless the host computes it after a step.
fn shape(model: &Model, output: &onnx::Output) -> Option<Vec<usize>> {
    match output.constant() {
        Some(array) => Some(array.shape().to_vec()),
        None => model.output(&output.name).ok().map(|tensor| tensor.shape().to_vec()),
    }
}

fn output_text(model: &Model, output: &onnx::Output) -> String {
    let element = output.element.map_or("?".into(), |element| element.to_string());
    match shape(model, output) {
        Some(shape) => format!("{element}{shape:?}"),
        None => format!("{element}, computed on the host after a step"),
    }
}
