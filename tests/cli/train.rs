//! `omma train`: optimizers, schedules, clipping and averages as options.

use std::path::Path;

use super::{DIGITS, fails, omma, small_data, text};

/// The rows of the metrics, without the times, and the model file of a run of two epochs with these options.
fn run(folder: &Path, name: &str, options: &[&str]) -> (Vec<String>, Vec<u8>) {
    let (data, out) = (small_data(folder), folder.join(name));
    let arguments =
        ["train", "--epochs", "2", "--batch", "25", "--seed", "3", "--data", data.to_str().unwrap(), "--out"];
    let output = omma(&[&arguments[..], &[out.to_str().unwrap()], options].concat());
    assert!(output.status.success(), "{options:?}: {}", text(&output.stderr));
    let table = std::fs::read_to_string(out.join("metrics.csv")).unwrap();
    let rows = table.lines().skip(1).map(|line| line.split(',').take(5).collect::<Vec<_>>().join(","));
    (rows.collect(), std::fs::read(out.join("model.safetensors")).unwrap())
}

#[test]
fn every_optimizer_and_schedule_trains_in_its_own_way() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut seen: Vec<(Vec<String>, Vec<u8>)> = Vec::new();
    for options in [
        &["--optimizer", "rmsprop", "--schedule", "one-cycle"][..],
        &["--optimizer", "adagrad", "--schedule", "linear"],
        &["--optimizer", "lion", "--schedule", "steps"],
        &["--optimizer", "adam", "--schedule", "exponential"],
        &["--schedule", "one-cycle"],
        &["--schedule", "plateau"],
        &["--clip-norm", "0.1"],
        &[],
    ] {
        let result = run(folder.path(), &format!("out{}", seen.len()), options);
        assert_eq!(result.0.len(), 2);
        assert!(seen.iter().all(|other| other.1 != result.1), "{options:?} makes no difference");
        seen.push(result);
    }
    // Constant until there is a plateau.
    assert_eq!(run(folder.path(), "constant", &["--schedule", "constant"]), seen[5]);
}

#[test]
fn averages_are_tested_and_saved() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plain = run(folder.path(), "plain", &[]);
    let averaged = run(folder.path(), "averaged", &["--ema", "0.9"]);
    let column =
        |rows: &[String], n: usize| rows.iter().map(|row| row.split(',').nth(n).unwrap().to_string()).collect();
    let columns = |rows: &[String]| [1, 3].map(|n| -> Vec<String> { column(rows, n) });
    let ([training, test], [same, other]) = (columns(&plain.0), columns(&averaged.0));
    assert_eq!(training, same, "training does not depend on it");
    assert_ne!(test, other);
    assert!(plain.1 != averaged.1);
}

#[test]
fn a_network_that_cannot_take_the_images_is_named() {
    for (network, reason) in [
        ("vgg16", "max_pool2d: expected an extent of at least 2"),
        ("unet", "multiples of 2^4"),
        ("m5", "`m5` takes no images"),
    ] {
        let start = format!("error: --model: {network} takes no images of 1x28x28 as in ");
        fails(&["train", "--model", network, "--data", DIGITS], &[&start, reason]);
    }
}
