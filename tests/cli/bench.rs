//! `omma bench`: a quick case of each set ends well, and its JSON lines have the keys that scripts read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{fails, omma, text};

/// Of every line.
const KEYS: [&str; 13] = [
    "name",
    "set",
    "shape",
    "direction",
    "kernel",
    "median_ms",
    "min_ms",
    "max_ms",
    "layout_ms",
    "gflops",
    "gbps",
    "ceiling_fraction",
    "error_over_bound",
];
/// Of lines with what is counted.
const COUNTED: [&str; 2] = ["value", "unit"];

/// The lines of a bench that is to succeed, those of the ceilings apart.
fn bench(arguments: &[&str]) -> Vec<Value> {
    let output = omma(&[&["bench", "--json"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    lines(&text(&output.stdout))
}

/// What was printed, but for the ceilings.
fn lines(printed: &str) -> Vec<Value> {
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let keys: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        let counted = COUNTED.into_iter().filter(|_| line.get("value").is_some());
        assert_eq!(keys, KEYS.into_iter().chain(counted).collect(), "{line}");
    }
    let (ceilings, rows): (Vec<Value>, Vec<Value>) = lines.into_iter().partition(|line| line["set"] == "ceilings");
    assert_eq!(ceilings.len(), 2, "{printed}");
    // They say what all was measured on.
    assert!(ceilings.iter().all(|line| line["shape"].as_str().unwrap().contains(", driver ")), "{printed}");
    rows
}

/// Whether the tests' device is a software adapter.
fn on_software() -> bool {
    crate::gpu().is_some_and(|gpu| gpu.capabilities().class == omma::DeviceClass::Cpu)
}

/// What was measured, as set, name and direction.
fn rows(lines: &[Value]) -> Vec<[&str; 3]> {
    lines.iter().map(|line| ["set", "name", "direction"].map(|key| line[key].as_str().unwrap())).collect()
}

#[test]
fn convolutions_are_checked_in_every_direction() {
    if crate::gpu().is_none() {
        return;
    }
    let lines = bench(&["conv", "--filter", "[1, 256, 14, 14]"]);
    let directions = ["forward", "input gradient", "weight gradient"];
    assert_eq!(rows(&lines), directions.map(|direction| ["conv", "resnet 3x3", direction]));
    // Half precision and tensor cores are for GPUs: elsewhere the same rows are measured, and it is said.
    let output = omma(&["bench", "--json", "conv", "--filter", "[1, 256, 14, 14]", "--half", "--cooperative"]);
    let (half, errors) = (self::lines(&text(&output.stdout)), text(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert_eq!(rows(&half), rows(&lines));
    // Some GPUs have no half precision either.
    assert!(errors.contains("warning: --half: ") || !on_software(), "{errors}");
    for line in lines.iter().chain(&half) {
        // Its error is within the bound: else the command would have failed.
        assert!(line["error_over_bound"].is_f64() && line["median_ms"].is_f64() && line["gflops"].is_f64(), "{line}");
        assert!(line["kernel"].as_str().unwrap().contains("conv2d"), "{line}");
        // The convolution itself takes time, too.
        assert!(line["layout_ms"].as_f64().unwrap_or(0.0) < line["median_ms"].as_f64().unwrap(), "{line}");
    }
}

#[test]
fn operations_are_checked() {
    if crate::gpu().is_none() {
        return;
    }
    let lines = bench(&["ops", "--filter", "avg pool"]);
    let [two, global] = ["avg pool 2", "global avg pool"];
    assert_eq!(rows(&lines), [["ops", two, "forward"], ["ops", two, "gradient"], ["ops", global, "forward"]]);
    assert!(lines.iter().all(|line| line["error_over_bound"].is_number() && line["gbps"].is_f64()), "{lines:?}");
}

#[test]
fn networks_are_checked_in_inference_and_training() {
    if crate::gpu().is_none() {
        return;
    }
    let lines = bench(&["models", "train", "--filter", "lenet5"]);
    let inference = ["models", "lenet5", "inference"];
    assert_eq!(rows(&lines), [inference, inference, ["train", "lenet5", "training"]]);
    let batches: Vec<&str> = lines.iter().map(|line| line["shape"].as_str().unwrap()).collect();
    assert_eq!(batches, ["[1, 1, 28, 28]", "[8, 1, 28, 28]", "[64, 1, 28, 28]"]);
    let measured = ["error_over_bound", "median_ms", "gflops", "gbps", "ceiling_fraction"];
    assert!(lines.iter().all(|line| measured.iter().all(|key| line[key].is_f64())), "{lines:?}");
}

#[test]
fn every_legal_variant_has_a_row() {
    if crate::gpu().is_none() {
        return;
    }
    let lines = bench(&["conv", "--variants", "--filter", "[1, 256, 14, 14] to 256 channels forward"]);
    let kernels: Vec<&str> = lines.iter().map(|line| line["kernel"].as_str().unwrap()).collect();
    let (chosen, variants) = kernels.split_first().unwrap();
    let chosen = chosen.strip_suffix(']').unwrap().split_once('[').unwrap().1;
    let names: Vec<&str> =
        variants.iter().map(|kernel| kernel.strip_suffix(')').unwrap().split_once(" (").unwrap().1).collect();
    assert!(names.contains(&chosen) && names.contains(&"naive"), "{kernels:?}");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{kernels:?}");
    // Also those that the longest kernel's name does not show.
    assert!(
        variants.iter().any(|kernel| !kernel.contains(&format!("[{}]", kernel.split([' ', '(', ')']).nth(2).unwrap())))
    );
    assert!(lines.iter().all(|line| line["error_over_bound"].as_f64().unwrap() <= 1.0), "{lines:?}");
}

#[test]
fn what_cannot_run_is_told_and_the_others_are_measured() {
    if crate::gpu().is_none() {
        return;
    }
    // The results of the first two are larger, and on a GPU the images are.
    let output = omma(&["bench", "--json", "ops", "--filter", "avg pool", "--memory", "14MiB"]);
    let (printed, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let lines = lines(&printed);
    assert_eq!(rows(&lines).last(), Some(&["ops", "global avg pool", "forward"]), "{errors}");
    let told: Vec<&str> = errors.lines().filter(|line| line.contains(": not measured: --memory: ")).collect();
    assert!(!told.is_empty() && told.iter().all(|line| line.starts_with("avg pool 2 [")), "{errors}");
    assert_eq!(told.len() + lines.len(), 3, "{printed}{errors}");
    let planned = errors.lines().filter(|line| line.contains(": planned for a step: ")).count();
    assert_eq!(planned, lines.len(), "{errors}");
}

#[test]
fn overheads_are_measured_one_by_one() {
    if crate::gpu().is_none() {
        return;
    }
    let lines = bench(&["overhead", "--filter", "lenet5"]);
    let value = |name: &str| {
        let line = lines.iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("no {name} in {lines:?}"));
        line["value"].as_f64().unwrap()
    };
    for made in ["pipelines a step", "buffers a step", "bind groups a step"] {
        assert_eq!(value(made), 0.0, "{made}");
    }
    assert_eq!(value("submissions a step"), 1.0);
    assert_eq!(value("memory planned"), value("memory allocated"));
    // Processes of their own have taken a step, with these options too.
    let processes = lines.iter().filter(|line| line["name"] == "process and first step");
    let shapes: Vec<&str> = processes.clone().map(|line| line["shape"].as_str().unwrap()).collect();
    assert_eq!(shapes, ["lenet5 training, empty caches", "lenet5 training, filled caches"]);
    assert!(processes.clone().all(|line| line["median_ms"].is_f64()), "{lines:?}");
    assert!(value("barriers needed") <= value("barriers"), "{lines:?}");
}

#[test]
fn a_filter_is_a_part_of_the_title_and_one_that_matches_nothing_names_the_choices() {
    // No device is opened for it.
    let nowhere = ["--adapter", "nosuch"];
    let nothing = [&["bench", "ops", "overhead", "--filter", "resnet 3x3"], &nowhere[..]].concat();
    fails(&nothing, &["--filter", "`resnet 3x3`", "batch norm training, ", "open the device", "readback"]);
    fails(&[&["bench", "--filter", "lenet6"], &nowhere[..]].concat(), &["`lenet6`", "resnet 3x3, ", "lenet5"]);
    if crate::gpu().is_none() {
        return;
    }
    if on_software() {
        let output = omma(&["bench", "conv", "--filter", "matmul f16"]);
        let errors = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{errors}");
        assert!(errors.contains("on this kind of device") && errors.contains("`matmul f16`"), "{errors}");
    }
    // Over the borders of the columns, and in no other section than its own.
    let lines = bench(&["overhead", "ops", "--filter", "readback 4 b"]);
    assert_eq!(rows(&lines), [["overhead", "readback", ""]]);
    let lines = bench(&["models", "train", "--filter", "28, 28] training"]);
    assert_eq!(rows(&lines), [["train", "lenet5", "training"]]);
}

/// The layers of a list of convolutions: name, sizes and batches, whatever brackets stand around them.
fn layers(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let layer = |line: &str| {
        let line = line.trim().trim_start_matches("Layer").strip_prefix("(\"")?.strip_suffix("),")?;
        line.ends_with(['E', 'H']).then(|| line.replace(['[', ']'], ""))
    };
    text.lines().filter_map(layer).collect()
}

#[test]
fn the_peers_time_the_layers_of_the_bench() {
    let own = layers("src/bin/omma/bench/cases/conv.rs");
    assert!(own.len() > 10 && own[0] == "resnet 3x3\", 64, 64, 56, 3, 1, 1, BOTH", "{own:?}");
    for peers in ["benches/peers/src/cases.rs", "benches/peers/python/peers.py"] {
        assert_eq!(layers(peers), own, "{peers}");
    }
}
