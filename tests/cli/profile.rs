//! `omma profile`: the table, the JSON lines, the trace, and what it refuses.

use serde_json::Value;

use super::{fails, omma, text};

/// LeNet-5's layers, in the order of its inference.
const LAYERS: [&str; 5] = ["conv1", "conv2", "fc1", "fc2", "fc3"];

/// What a successful profile prints.
fn profile(arguments: &[&str]) -> String {
    let output = omma(&[&["profile", "lenet5", "--steps", "2"], arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// In 8 GiB of memory, where that can be said: on a GPU more addresses than memory are taken.
#[test]
fn full_size_networks_take_a_training_step() {
    let Some(gpu) = crate::gpu() else { return };
    let limited = cfg!(target_os = "linux") && gpu.capabilities().class == omma::DeviceClass::Cpu;
    for network in ["vgg19", "resnet50"] {
        let arguments = ["profile", network, "--training", "--batch", "1", "--steps", "1"];
        let output = match limited {
            true => {
                let mut shell = std::process::Command::new("sh");
                shell.args(["-c", "ulimit -v 8388608; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_omma")]);
                shell.args(arguments).output().unwrap()
            }
            false => omma(&arguments),
        };
        let printed = text(&output.stdout);
        assert!(output.status.success(), "{network}: {}", text(&output.stderr));
        assert!(printed.contains(&format!("{network} [1, 3, 224, 224] training: ")), "{printed}");
    }
}

#[test]
fn the_table_has_every_layer_and_its_shares_are_the_whole() {
    if crate::gpu().is_none() {
        return;
    }
    let printed = profile(&["--batch", "3"]);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("adapter "), "{printed}");
    assert!(lines[1].starts_with("clock: timestamps") || lines[1].starts_with("clock: the host's"), "{printed}");
    let head = lines[2].strip_prefix("lenet5 [3, 1, 28, 28] inference: ").unwrap();
    let dispatches: usize = head.split(' ').next().unwrap().parse().unwrap();
    assert!(head.ends_with(" ms in all; medians of 2 steps"), "{head}");
    let (inner, outer): (Vec<&str>, Vec<&str>) = lines[4..].iter().partition(|line| line.starts_with(' '));
    // Every one ends with its grid and its kernel.
    let complete = inner.iter().filter(|line| line.contains("] ") && line.ends_with(']')).count();
    assert_eq!((complete, inner.len()), (dispatches, dispatches), "{printed}");
    let layers: Vec<&str> = outer.iter().map(|line| line.split("  ").next().unwrap()).collect();
    let named: Vec<&str> = layers.iter().copied().filter(|layer| *layer != "(no layer)").collect();
    assert_eq!(named, LAYERS, "{printed}");
    for lines in [inner, outer] {
        let share = |line: &&str| line.split(" % ").next().unwrap().rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        let sum: f64 = lines.iter().map(share).sum();
        // Each is rounded to a tenth.
        assert!((sum - 100.0).abs() <= 0.05 * lines.len() as f64 + 1e-9, "{sum} in {printed}");
    }
}

#[test]
fn the_json_lines_are_the_step() {
    if crate::gpu().is_none() {
        return;
    }
    let lines: Vec<Value> =
        profile(&["--json", "--training"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (head, dispatches) = lines.split_first().unwrap();
    assert_eq!((head["model"].as_str(), head["direction"].as_str()), (Some("lenet5"), Some("training")));
    assert_eq!(head["dispatches"].as_u64(), Some(dispatches.len() as u64));
    let sum = |key: &str| dispatches.iter().map(|dispatch| dispatch[key].as_f64().unwrap()).sum::<f64>();
    assert!((sum("share") - 1.0).abs() < 1e-9);
    assert!((sum("ms") / head["total_ms"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    let indices = dispatches.iter().map(|dispatch| dispatch["index"].as_u64());
    assert!(indices.eq((0..dispatches.len() as u64).map(Some)));
    let of = |node: &str| dispatches.iter().filter(|dispatch| dispatch["node"] == node).collect::<Vec<_>>();
    let conv = of("conv2d `conv1`");
    let flops: u64 = conv.iter().map(|dispatch| dispatch["flops"].as_u64().unwrap()).sum();
    // Batch 64, 28x28 pixels, 6 channels of 5x5 taps, two operations each.
    assert_eq!(flops, 2 * 64 * 28 * 28 * 6 * 25);
    assert!(conv.iter().all(|dispatch| dispatch["layer"] == "conv1" && dispatch["ms"].as_f64() > Some(0.0)));
    assert!(!of("sgd").is_empty() || dispatches.iter().any(|d| d["kernel"].as_str().unwrap().contains("sgd")));
}

#[test]
fn the_trace_has_an_event_for_every_dispatch() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let printed = profile(&["--json", "--trace", path.to_str().unwrap()]);
    let trace: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let dispatches: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert_eq!(dispatches.len(), printed.lines().count() - 1);
    let time = |event: &Value, key: &str| event[key].as_f64().unwrap();
    assert_eq!(time(dispatches[0], "ts"), 0.0);
    for pair in dispatches.windows(2) {
        assert!(time(pair[0], "ts") <= time(pair[1], "ts"), "{pair:?}");
    }
    assert!(dispatches.iter().all(|event| time(event, "dur") >= 0.0));
    assert!(dispatches.iter().any(|event| event["args"]["kernel"].as_str().unwrap().starts_with("conv2d")));
    // Everything is on the one track that has a name.
    let track = |event: &Value| (event["pid"].clone(), event["tid"].clone());
    assert!(events.iter().all(|event| track(event) == track(&events[0])));
    assert!(events.iter().any(|event| event["name"] == "thread_name" && event["ph"] == "M"));

    let taken = folder.path().join("taken");
    std::fs::create_dir_all(taken.join("kept")).unwrap();
    let output = omma(&["profile", "lenet5", "--steps", "1", "--trace", taken.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).lines().last().unwrap().contains("taken"), "{}", text(&output.stderr));
}

#[test]
fn what_cannot_be_profiled_is_one_line() {
    fails(&["profile", "lenet6"], &["MODEL: expected one of lenet5, ", "mobilenet-block", ", got `lenet6`"]);
    fails(&["profile", "lenet6", "--tune"], &["MODEL", "resnet18-64, ", "densenet121, ", ", text_cnn, got"]);
    fails(&["profile", "unet", "--training"], &["--training: expected a classifier, `unet` is none"]);
    fails(&["profile", "lenet5", "--steps", "0"], &["--steps: expected at least 1, got 0"]);
    fails(&["profile", "lenet5", "--batch", "0"], &["--batch: expected at least 1, got 0"]);
    fails(
        &["profile", "mobilenet-block", "--training"],
        &["--training: expected a classifier, `mobilenet-block` is none"],
    );
}

#[test]
fn any_network_can_be_profiled_whatever_it_takes() {
    if crate::gpu().is_none() {
        return;
    }
    for arguments in [&["profile", "text_cnn", "--training", "--batch", "2"][..], &["profile", "squeezenet1_1"]] {
        let output = omma(&[arguments, &["--json", "--steps", "1"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let printed = text(&output.stdout);
        let head: Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
        assert_eq!(head["model"], arguments[1]);
        assert_eq!(head["dispatches"].as_u64(), Some(printed.lines().count() as u64 - 1));
    }
}

#[test]
fn a_name_to_exclude_that_nothing_has_is_told_of() {
    if crate::gpu().is_none() {
        return;
    }
    let output = omma(&["profile", "lenet5", "--steps", "1", "--exclude", "wnograd", "--exclude", "winograd"]);
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let told: Vec<&str> = errors.lines().filter(|line| line.starts_with("warning: --exclude: ")).collect();
    assert!(told.len() == 1 && told[0].contains("`wnograd`; there are "), "{errors}");
    assert!(told[0].contains(" winograd, ") && told[0].contains(" overlap, "), "{errors}");
    let good = ["--exclude", "overlap", "--exclude", "conv2d.forward[naive]"];
    let output = omma(&[&["profile", "lenet5", "--steps", "1"], &good[..]].concat());
    assert!(!text(&output.stderr).contains("--exclude"), "{}", text(&output.stderr));
}
