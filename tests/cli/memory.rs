//! `--memory SIZE`: what it allows, what it refuses, and what is said before anything is allocated.

use super::{fails, omma, small_data, text};

#[test]
fn a_size_that_is_none_is_one_line() {
    let expected = "expected bytes, or a number of KiB, MiB or GiB as in 512MiB, got";
    for (arguments, wrong) in [
        (&["train", "--memory", "12MB"][..], "12MB"),
        (&["profile", "lenet5", "--memory", "much"], "much"),
        (&["bench", "conv", "--memory", "-1"], "-1"),
    ] {
        fails(arguments, &["--memory", expected, wrong]);
    }
}

#[test]
fn a_budget_that_cannot_be_met_says_what_is_needed() {
    if crate::gpu().is_none() {
        return;
    }
    let output = omma(&["profile", "lenet5", "--training", "--memory", "100KiB"]);
    assert!(!output.status.success());
    let errors = text(&output.stderr);
    let last = errors.lines().last().unwrap();
    let needed = last.strip_prefix("error: --memory: a step needs at least ").unwrap_or_else(|| panic!("{errors}"));
    let needed =
        needed.strip_suffix(" beside its variables, allowed are 0.10 MiB").unwrap_or_else(|| panic!("{errors}"));
    let needed: f64 = needed.strip_suffix(" MiB").unwrap().parse().unwrap();
    // LeNet-5 has 61,706 parameters, and each has a gradient.
    assert!(needed > 4.0 * 61_706.0 / f64::from(1 << 20), "{errors}");
}

#[test]
fn the_plan_is_told_first_and_an_evaluation_fits_into_the_budget() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (small_data(folder.path()), folder.path().join("out"));
    let arguments = ["train", "--epochs", "1", "--batch", "16", "--memory", "3MiB", "--data", data.to_str().unwrap()];
    let output = omma(&[&arguments[..], &["--out", out.to_str().unwrap()]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let planned = |what: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix("planned for ")?.strip_prefix(what));
        line.unwrap_or_else(|| panic!("nothing planned for {what} in {said}"))
    };
    let mebibytes = |text: &str| text.split(" MiB").next().unwrap().parse::<f64>().unwrap();
    assert!(mebibytes(planned("a step of 16 images: ")) <= 3.0, "{said}");
    assert!(planned("a step of 16 images: ").contains(" MiB, of which activations "), "{said}");
    let (images, needed) = planned("an evaluation of ").split_once(" images: ").unwrap();
    // 200 images do not fit: their pixels alone are 0.6 MiB as floats, and the first layer makes six times as many.
    assert!(images.parse::<usize>().unwrap() < 200 && mebibytes(needed) <= 3.0, "{said}");
    assert!(mebibytes(planned("variables: ")) > 0.0, "{said}");
    let first = said.find("planned for").unwrap();
    assert!(first < said.find("training lenet5").unwrap(), "{said}");
    let [model, picture] = ["model.safetensors", "curves.png"].map(|name| out.join(name).to_str().unwrap().to_string());
    let predicted = omma(&["predict", "--memory", "3MiB", "--model", &model, &picture]);
    let said = text(&predicted.stderr);
    let told = said.lines().any(|line| line.starts_with("planned for a picture: "));
    assert!(predicted.status.success() && told, "{said}");
}
