//! A profiled step in the Trace Event Format, which Perfetto and chrome://tracing open.

use serde_json::{Value, json};

use super::Measured;

/// Process and thread of the one track; any numbers would do.
const TRACK: (u32, u32) = (1, 1);

/// The step as one JSON object: every dispatch a complete event ("X"), times in microseconds.
pub(super) fn text(measured: &Measured) -> String {
    // "M" gives names to the process and to its thread.
    let named = |what: &str, name: String| json!({ "ph": "M", "pid": TRACK.0, "tid": TRACK.1, "ts": 0, "name": what, "args": { "name": name } });
    let mut events =
        vec![named("process_name", measured.info.name.clone()), named("thread_name", measured.case.title())];
    events.extend(measured.typical.dispatches.iter().map(|dispatch| -> Value {
        json!({
            "ph": "X",
            "pid": TRACK.0,
            "tid": TRACK.1,
            "ts": dispatch.start / 1e3,
            "dur": dispatch.nanoseconds / 1e3,
            "name": dispatch.node,
            "cat": if dispatch.layer.is_empty() { "no layer" } else { dispatch.layer.as_str() },
            "args": {
                "kernel": dispatch.kernel,
                "workgroups": dispatch.workgroups,
                "flops": dispatch.flops,
                "bytes": dispatch.bytes,
            },
        })
    }));
    json!({ "displayTimeUnit": "ns", "traceEvents": events }).to_string()
}
