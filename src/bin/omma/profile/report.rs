//! A profile as text: a table by layers, or JSON lines.

use omma::{Clock, DispatchProfile};
use serde_json::json;

use super::Measured;
use crate::output::{Output, adapter};

/// Time and work of a dispatch or of several.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    nanoseconds: f64,
    flops: u64,
    bytes: u64,
}

impl Sum {
    fn of<'a>(dispatches: impl IntoIterator<Item = &'a DispatchProfile>) -> Self {
        dispatches.into_iter().fold(Self::default(), |sum, dispatch| Self {
            nanoseconds: sum.nanoseconds + dispatch.nanoseconds,
            flops: sum.flops + dispatch.flops,
            bytes: sum.bytes + dispatch.bytes,
        })
    }

    fn milliseconds(self) -> f64 {
        self.nanoseconds / 1e6
    }

    /// Billions of `work` a second, which is as much a nanosecond; none where there was none, or no time to see.
    fn rate(self, work: u64) -> Option<f64> {
        (work > 0 && self.nanoseconds > 0.0).then(|| work as f64 / self.nanoseconds)
    }

    /// This part of the whole.
    fn share(self, whole: Self) -> f64 {
        if whole.nanoseconds > 0.0 { self.nanoseconds / whole.nanoseconds } else { 0.0 }
    }
}

fn clock(clock: Clock) -> &'static str {
    match clock {
        Clock::Timestamps => "timestamps of the device",
        Clock::Wall => "the host's clock, with a submission in every time",
    }
}

/// Dispatches with the layer that they compute, layers in the order in which each first occurs. What belongs to none
/// (activations, pooling, the loss) is together.
fn layers(dispatches: &[DispatchProfile]) -> Vec<(&str, Vec<&DispatchProfile>)> {
    let mut layers: Vec<(&str, Vec<&DispatchProfile>)> = Vec::new();
    for dispatch in dispatches {
        match layers.iter_mut().find(|(layer, _)| *layer == dispatch.layer) {
            Some((_, of)) => of.push(dispatch),
            None => layers.push((&dispatch.layer, vec![dispatch])),
        }
    }
    layers
}

pub(super) fn table(measured: &Measured, out: &mut Output) {
    let dispatches = &measured.median.dispatches;
    let whole = Sum::of(dispatches);
    out.line(format_args!("adapter {}", adapter(&measured.info)));
    out.line(format_args!("clock: {}", clock(measured.clock)));
    out.line(format_args!(
        "{}: {} dispatches, {:.3} ms in all; medians of {} steps",
        measured.case.title(),
        dispatches.len(),
        whole.milliseconds(),
        measured.steps
    ));
    let names = dispatches.iter().map(|dispatch| dispatch.node.chars().count() + INDENT.len());
    let width = names.max().unwrap_or(0).max(NO_LAYER.len());
    let head = ["ms", "share", "GFLOP/s", "GB/s"];
    out.line(format_args!(
        "{:width$} {:>9} {:>7} {:>8} {:>7}  {:18} kernel",
        "layer", head[0], head[1], head[2], head[3], "workgroups"
    ));
    for (layer, of) in layers(dispatches) {
        let name = if layer.is_empty() { NO_LAYER } else { layer };
        out.line(cells(name, width, Sum::of(of.iter().copied()), whole));
        for dispatch in of {
            let line = cells(&format!("{INDENT}{}", dispatch.node), width, Sum::of([dispatch]), whole);
            out.line(format_args!("{line}  {:18} {}", format!("{:?}", dispatch.workgroups), dispatch.kernel));
        }
    }
}

/// What stands before the dispatches of a layer.
const INDENT: &str = "  ";
/// The heading of what belongs to no layer.
const NO_LAYER: &str = "(no layer)";

fn cells(name: &str, width: usize, sum: Sum, whole: Sum) -> String {
    let rate = |work: u64| sum.rate(work).map_or("-".to_string(), |rate| format!("{rate:.1}"));
    format!(
        "{name:width$} {:>9.3} {:>5.1} % {:>8} {:>7}",
        sum.milliseconds(),
        100.0 * sum.share(whole),
        rate(sum.flops),
        rate(sum.bytes)
    )
}

pub(super) fn json_lines(measured: &Measured, out: &mut Output) {
    let dispatches = &measured.median.dispatches;
    let whole = Sum::of(dispatches);
    let case = &measured.case;
    out.line(json!({
        "model": case.name,
        "shape": case.shape,
        "direction": case.direction,
        "adapter": measured.info.name,
        "backend": measured.info.backend.to_string(),
        "driver": format!("{} {}", measured.info.driver, measured.info.driver_info),
        "clock": match measured.clock {
            Clock::Timestamps => "timestamps",
            Clock::Wall => "wall",
        },
        "steps": measured.steps,
        "dispatches": dispatches.len(),
        "total_ms": whole.milliseconds(),
    }));
    for (index, dispatch) in dispatches.iter().enumerate() {
        let sum = Sum::of([dispatch]);
        out.line(json!({
            "index": index,
            "layer": dispatch.layer,
            "node": dispatch.node,
            "kernel": dispatch.kernel,
            "workgroups": dispatch.workgroups,
            "ms": sum.milliseconds(),
            "share": sum.share(whole),
            "flops": sum.flops,
            "bytes": sum.bytes,
            "gflops": sum.rate(sum.flops),
            "gbps": sum.rate(sum.bytes),
        }));
    }
}
