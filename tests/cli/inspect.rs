//! `omma inspect` on Omma's own networks and `omma models`: what the tables and the JSON say.

use omma::models::MODELS;
use serde_json::{Value, json};

use super::{fails, omma, text};

fn printed(arguments: &[&str]) -> String {
    let output = omma(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn objects(arguments: &[&str]) -> Vec<Value> {
    printed(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The cells of a row: two spaces or more are between them.
fn cells(row: &str) -> Vec<&str> {
    row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn a_networks_layers_are_a_table() {
    let table = printed(&["inspect", "lenet5"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "lenet5 f32[1, 1, 28, 28]");
    let headings: Vec<&str> = lines[1].split_whitespace().collect();
    let expected =
        ["layer", "operation", "kernel", "stride", "output", "parameters", "multiply-adds", "activations", "sees"];
    assert_eq!(headings, expected);
    // 6·(5·5 + 1) parameters, 6·28·28·25 products, 6·28·28·4 bytes.
    let first = ["conv1", "conv2d", "5x5", "1x1", "[1, 6, 28, 28]", "156", "117,600", "0.02 MiB", "5x5"];
    assert_eq!(cells(lines[2]), first);
    // 120·84 + 84, behind a dense layer, which sees all.
    let dense = lines.iter().find(|line| line.starts_with("fc2 ")).unwrap();
    assert_eq!(cells(dense), ["fc2", "dense", "[1, 84]", "10,164", "10,080", "0.00 MiB", "all"]);
    let whole = cells(lines[lines.len() - 1]);
    assert_eq!(whole, ["in all", "11 operations", "61,706", "416,520", "0.04 MiB"]);
    assert_eq!(lines.len(), 2 + 11 + 1);
    // The last columns stand below one another, so that no number is taken for another's.
    let ends: Vec<usize> = lines[1..].iter().map(|line| line.chars().count()).collect();
    assert!(ends.iter().all(|&end| end == ends[0]), "{table}");
}

#[test]
fn a_networks_layers_are_json() {
    let lines = objects(&["inspect", "lenet5", "--batch", "2", "--classes", "3", "--json"]);
    let (whole, layers) = lines.split_last().unwrap();
    assert_eq!(layers.len(), 11);
    assert_eq!(layers[0]["layer"], "conv1");
    assert_eq!(layers[0]["kernel"], json!([5, 5]));
    assert_eq!(layers[0]["output"], json!([2, 6, 28, 28]));
    assert_eq!(layers[10]["output"], json!([2, 3]));
    assert_eq!((&whole["model"], &whole["batch"]), (&json!("lenet5"), &json!(2)));
    assert_eq!(whole["input"], json!([2, 1, 28, 28]));
    // Seven classes less, of 84 + 1 parameters each.
    assert_eq!(whole["parameters"], 61_706 - 7 * 85);
    let sum = |what: &str| layers.iter().map(|layer| layer[what].as_u64().unwrap()).sum::<u64>();
    for what in ["parameters", "multiply_adds", "activation_bytes"] {
        assert_eq!(whole[what], sum(what), "{what}");
    }
}

#[test]
fn a_network_is_inspected_at_any_size() {
    let whole = |size: &str| objects(&["inspect", "lenet5", "--size", size, "--json"]).pop().unwrap();
    assert_eq!(whole("32")["input"], json!([1, 1, 32, 32]));
    // Maps of 16x16, then 6x6: 16·6·6 inputs of the first dense layer and not 16·5·5.
    assert_eq!(whole("32")["parameters"], 61_706 + 120 * 16 * (36 - 25));
    assert_eq!(whole("32x28")["input"], json!([1, 1, 32, 28]));
    assert!(printed(&["inspect", "m5", "--size", "8000"]).starts_with("m5 f32[1, 1, 8000]\n"));
    assert!(printed(&["inspect", "text_cnn", "--size", "20"]).starts_with("text_cnn u32[1, 20]\n"));
    for wrong in ["0", "x", "28x", "28x0", "28x28x3", "-1", "big"] {
        fails(&["inspect", "lenet5", &format!("--size={wrong}")], &["--size", "expected H or HxW", wrong]);
    }
    fails(&["inspect", "m5", "--size", "80x80"], &["--size: expected one number", "80x80"]);
    fails(&["inspect", "lenet5", "--size", "8"], &["conv2d `conv2`: expected at least 5 along axis 2"]);
    fails(&["inspect", "lenet5", "--batch", "0"], &["--batch: expected at least 1, got 0"]);
    fails(&["inspect", "lenet5", "--classes", "0"], &["--classes: expected at least 1, got 0"]);
    fails(&["inspect", "lenet6"], &["lenet6", "lenet5", "text_cnn"]);
}

#[test]
fn every_network_is_listed() {
    let table = printed(&["models"]);
    let mut lines = table.lines();
    let headings: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(headings, ["model", "input", "classes", "parameters", "multiply-adds"]);
    let names: Vec<&str> = lines.map(|line| line.split_whitespace().next().unwrap()).collect();
    let all: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
    assert_eq!(names, all);
    assert_eq!(cells(table.lines().nth(1).unwrap()), ["lenet5", "f32[1, 1, 28, 28]", "10", "61,706", "416,520"]);

    let objects = objects(&["models", "--json"]);
    assert_eq!(objects.len(), all.len());
    for (object, model) in objects.iter().zip(MODELS) {
        assert_eq!(object["model"], model.name);
        assert_eq!(object["input"], json!(model.input.batch(1).shape.to_vec()));
        assert_eq!(object["classes"], model.classes);
        assert!(object["parameters"].as_u64() > Some(0) && object["multiply_adds"].as_u64() > Some(0), "{object}");
    }
    assert_eq!(objects[0]["parameters"], 61_706);
}
