//! `omma devices`: every adapter, what it offers, and which one would be chosen.

use std::process::ExitCode;

use clap::Args;
use omma::{AdapterSummary, Error, Gpu, Result, wgpu};
use serde_json::json;

use crate::Device;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Devices {
    #[command(flatten)]
    device: Device,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Devices {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let options = self.device.options();
        let adapters = pollster::block_on(omma::adapters(&options))?;
        if adapters.iter().any(|adapter| adapter.chosen) {
            let mut out = Output::default();
            if self.json {
                out.line(format_args!("{:#}", json!(adapters.iter().map(to_json).collect::<Vec<_>>())));
            } else {
                adapters.iter().for_each(|adapter| print(adapter, &mut out));
            }
            out.finish()?;
            return Ok(ExitCode::SUCCESS);
        }
        // The library knows best how to say that there is none, or none of this name.
        Err(Gpu::new_blocking(&options).err().unwrap_or_else(|| Error::NoAdapter("no adapter fits".into())))
    }
}

/// The limits that decide what fits on an adapter.
fn limits(limits: &wgpu::Limits) -> [(&'static str, u64); 7] {
    [
        ("max_buffer_size", limits.max_buffer_size),
        ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
        ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage.into()),
        ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
        ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup.into()),
        ("max_compute_workgroups_per_dimension", limits.max_compute_workgroups_per_dimension.into()),
        ("min_storage_buffer_offset_alignment", limits.min_storage_buffer_offset_alignment.into()),
    ]
}

/// The features that kernels or tools can use.
fn features(features: wgpu::Features) -> [(&'static str, bool); 3] {
    [
        ("subgroups", features.contains(wgpu::Features::SUBGROUP)),
        ("f16", features.contains(wgpu::Features::SHADER_F16)),
        ("timestamps", features.contains(wgpu::Features::TIMESTAMP_QUERY)),
    ]
}

fn to_json(adapter: &AdapterSummary) -> serde_json::Value {
    let info = &adapter.info;
    json!({
        "name": info.name,
        "type": format!("{:?}", info.device_type),
        "backend": info.backend.to_string(),
        "driver": info.driver,
        "driver_info": info.driver_info,
        "vendor": info.vendor,
        "device": info.device,
        "subgroup_size": [info.subgroup_min_size, info.subgroup_max_size],
        "limits": limits(&adapter.limits).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "features": features(adapter.features).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "chosen": adapter.chosen,
        "reason": adapter.reason,
    })
}

fn print(adapter: &AdapterSummary, out: &mut Output) {
    let info = &adapter.info;
    let mark = if adapter.chosen { "*" } else { " " };
    out.line(format_args!("{mark} {} ({:?}, {})", info.name, info.device_type, info.backend));
    let mut line = |name: &str, value: String| out.line(format_args!("    {name:40} {value}"));
    line(if adapter.chosen { "chosen" } else { "not chosen" }, adapter.reason.clone());
    line("driver", [info.driver.as_str(), info.driver_info.as_str()].join(" ").trim().to_string());
    line(
        "subgroup size",
        match (info.subgroup_min_size, info.subgroup_max_size) {
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low} to {high}"),
        },
    );
    for (name, there) in features(adapter.features) {
        line(name, if there { "yes" } else { "no" }.to_string());
    }
    for (name, value) in limits(&adapter.limits) {
        line(name, if value >= 1 << 20 { format!("{} MiB", value >> 20) } else { value.to_string() });
    }
}
