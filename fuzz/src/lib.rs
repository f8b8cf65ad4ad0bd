//! What the fuzz targets share: a file is loaded, and all is done with it that needs no device.

pub mod operators;
#[allow(dead_code, reason = "the tests write more kinds of files")]
#[path = "../../tests/onnx/wire.rs"]
mod wire;

use omma::onnx::{Model, Options};
use omma::{Capabilities, Plan, PlanOptions, Result, VariableLayout, wgpu};

/// Loads a file as `omma inspect` does, and if it is a network, summarises, differentiates and plans it. Errors are as good
/// as results; a panic, a second of work or gigabytes of memory are findings.
pub fn load(bytes: &[u8]) {
    let _ = omma::onnx::inputs(bytes);
    // Where a file leaves an extent open, as `omma inspect` does.
    if let Ok(model) = Options::default().other_dims(1).load(bytes) {
        let _ = inspect(&model);
    }
    if let Ok(model) = Options::default().other_dims(3).training().load(bytes) {
        let _ = train(&model);
    }
}

/// A device that is not there.
fn device(device_type: wgpu::DeviceType) -> Capabilities {
    let info = wgpu::AdapterInfo::new(device_type, wgpu::Backend::Vulkan);
    let downlevel = wgpu::DownlevelFlags::compliant();
    Capabilities::new(info, wgpu::Limits::default(), wgpu::Features::empty(), downlevel)
}

fn inspect(model: &Model) -> Result<()> {
    let graph = model.graph();
    graph.layers();
    graph.parameter_count();
    model.plan(&device(wgpu::DeviceType::Cpu), &PlanOptions::default())?.memory();
    Ok(())
}

fn train(model: &Model) -> Result<()> {
    let graph = model.graph();
    let outputs = model.outputs().iter().filter_map(|output| model.output(&output.name).ok());
    let floats = outputs.filter(|output| output.dtype() == omma::DType::F32);
    let cotangents = floats.map(|output| Ok((output, graph.constant(1.0, output.shape())?)));
    let gradients = graph.gradients_of(&cotangents.collect::<Result<Vec<_>>>()?, &graph.parameters())?;
    let wanted: Vec<_> = gradients.into_iter().flatten().collect();
    let device = device(wgpu::DeviceType::DiscreteGpu);
    let layout = VariableLayout::on(graph, &device)?;
    Plan::new(graph, &wanted, &layout, &device, &PlanOptions::default())?.memory();
    Ok(())
}
