//! The command as a user runs it: what it prints, and that every bad input is one clear line and a non-zero exit.

mod bench;
mod cache;
mod inspect;
mod kernels;
mod memory;
mod mentions;
mod onnx;
mod onnx_run;
mod profile;
mod train;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_omma"));
    // What the command keeps goes to a folder of the tests, not to the user's.
    command.args(arguments).env_remove("RUST_LOG").env("OMMA_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command
}

fn omma(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A bad input that can be told without a device: the only line on standard error must say each of `parts`.
fn fails(arguments: &[&str], parts: &[&str]) {
    let output = omma(arguments);
    let errors = text(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 1, "{arguments:?} wrote {errors}");
    for part in parts {
        assert!(lines[0].contains(part), "{arguments:?}: `{}` does not say `{part}`", lines[0]);
    }
}

/// A training run that is over in a moment, and the folder that it wrote.
fn trained(folder: &Path, seed: &str) -> PathBuf {
    let data = small_data(folder);
    let out = folder.join(format!("out-{seed}-{}", folder.read_dir().unwrap().count()));
    let arguments =
        ["train", "--epochs", "2", "--batch", "16", "--seed", seed, "--data", data.to_str().unwrap(), "--out"];
    let output = omma(&[&arguments[..], &[out.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let last = printed.lines().last().unwrap();
    assert!(last.starts_with("test accuracy ") && last.ends_with("/50)"), "{last}");
    out
}

/// The first 200 and 50 of the bundled digits, not gzipped.
fn small_data(folder: &Path) -> PathBuf {
    use omma::data::{Dataset, Split};
    let data = folder.join("data");
    std::fs::create_dir_all(&data).unwrap();
    for (split, name, count) in [(Split::Train, "train", 200_u32), (Split::Test, "t10k", 50)] {
        let all = Dataset::mnist_like(DIGITS, split).unwrap();
        let pixels: Vec<u8> = all.images().iter().copied().take(count as usize * 784).collect();
        let labels: Vec<u8> = all.labels().iter().map(|&label| label as u8).take(count as usize).collect();
        let header = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let images = [header(&[2051, count, 28, 28]), pixels].concat();
        std::fs::write(data.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        std::fs::write(data.join(format!("{name}-labels-idx1-ubyte")), [header(&[2049, count]), labels].concat())
            .unwrap();
    }
    data
}

#[test]
fn devices_names_the_chosen_adapter() {
    if crate::gpu().is_none() {
        return;
    }
    let output = omma(&["devices", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let chosen: Vec<_> = list.as_array().unwrap().iter().filter(|adapter| adapter["chosen"] == true).collect();
    assert_eq!(chosen.len(), 1);
    let name = chosen[0]["name"].as_str().unwrap();
    assert!(text(&omma(&["devices"]).stdout).contains(&format!("* {name}")));
    assert!(chosen[0]["limits"]["max_buffer_size"].as_u64().unwrap() > 0);
}

#[test]
fn bad_arguments_are_one_line() {
    fails(&["train", "--data", "/nonexistent/digits"], &["/nonexistent/digits"]);
    fails(&["train", "--data", DIGITS, "--batch", "0"], &["--batch", "0"]);
    fails(&["train", "--data", DIGITS, "--batch", "8001"], &["--batch", "8000", "8001"]);
    fails(&["train", "--data", DIGITS, "--lr", "NaN"], &["--lr", "NaN"]);
    fails(&["train", "--data", DIGITS, "--lr", "-1"], &["--lr"]);
    fails(&["train", "--data", DIGITS, "--epochs", "0"], &["--epochs"]);
    // More than a step counter counts, and more than wraps around to a harmless number.
    fails(&["train", "--data", DIGITS, "--epochs", "100000000"], &["--epochs", "100000000"]);
    fails(&["train", "--data", DIGITS, "--epochs", "18446744073709551615"], &["--epochs", "18446744073709551615"]);
    fails(&["train", "--data", DIGITS, "--batch", "1", "--epochs", "2305843009213694"], &["--epochs"]);
    fails(&["train", "--data", DIGITS, "--optimizer", "magic"], &["magic", "sgd", "adamw", "rmsprop", "lion"]);
    fails(&["train", "--data", DIGITS, "--schedule", "magic"], &["magic", "cosine", "one-cycle", "plateau"]);
    fails(&["train", "--data", DIGITS, "--clip-norm", "-1"], &["--clip-norm: expected a positive number, got -1"]);
    fails(&["train", "--data", DIGITS, "--ema", "1"], &["--ema: expected at least 0 and below 1, got 1"]);
    fails(&["train", "--data", DIGITS, "--model", "lenet6"], &["lenet6", "lenet5"]);
    if crate::gpu().is_some() {
        fails(&["devices", "--adapter", "no such adapter"], &["no such adapter", "there is"]);
    }
    fails(&["selftest", "--op", "teleport"], &["--op: expected one of ", "conv2d", ", got `teleport`"]);
    fails(&["dance"], &["dance"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_back_end_without_adapters_is_named() {
    for (name, part) in
        [("metal", "no GPU adapter found in Backends(METAL)"), ("teleport", "unknown back end `teleport`")]
    {
        let output = command(&["devices"]).env("OMMA_BACKEND", name).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
}

#[test]
fn bad_files_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let data = small_data(folder.path());
    let images = data.join("train-images-idx3-ubyte");
    let good = std::fs::read(&images).unwrap();
    for (name, bytes) in [
        ("short", &good[..good.len() - 1]),
        ("long", &[good.as_slice(), &[0]].concat()),
        ("gzip", &[0x1f, 0x8b, 8, 0, 1]),
    ] {
        std::fs::write(&images, bytes).unwrap();
        let error = omma(&["train", "--data", data.to_str().unwrap()]);
        assert!(!error.status.success(), "{name}");
        fails(&["train", "--data", data.to_str().unwrap()], &["train-images-idx3-ubyte"]);
    }
    std::fs::write(path("text.png"), "no picture").unwrap();
    std::fs::write(path("model"), "no tensors").unwrap();
    fails(&["predict", "--model", &path("model"), &path("absent.png")], &["absent.png"]);
    fails(&["predict", "--model", &path("model"), &path("text.png")], &["text.png"]);
}

#[test]
fn a_run_leaves_a_model_that_predicts_and_repeats_digit_for_digit() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first = trained(folder.path(), "7");
    for name in [
        "model.safetensors",
        "metrics.csv",
        "curves.png",
        "confusion.png",
        "filters.png",
        "feature_maps.png",
        "mistakes.png",
    ] {
        assert!(first.join(name).metadata().unwrap().len() > 0, "{name}");
    }
    let metrics = |out: &Path| {
        let table = std::fs::read_to_string(out.join("metrics.csv")).unwrap();
        let mut lines = table.lines();
        let header = "epoch,train_loss,train_accuracy,test_loss,test_accuracy,seconds,images_per_second";
        assert_eq!(lines.next(), Some(header));
        // Without the times.
        lines.map(|line| line.split(',').take(5).collect::<Vec<_>>().join(",")).collect::<Vec<String>>()
    };
    assert_eq!(metrics(&first).len(), 2);
    let second = trained(folder.path(), "7");
    assert_eq!(metrics(&first), metrics(&second));
    let model = |out: &Path| std::fs::read(out.join("model.safetensors")).unwrap();
    assert!(model(&first) == model(&second), "the files of equal runs differ");
    assert_ne!(metrics(&first), metrics(&trained(folder.path(), "8")));

    let (model, picture) = (first.join("model.safetensors"), first.join("filters.png"));
    let (model, picture) = (model.to_str().unwrap(), picture.to_str().unwrap());
    let output = omma(&["predict", "--model", model, "--json", "--top", "2", picture, picture]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["classes"].as_array().unwrap().len(), 2);
    assert!(lines[0]["classes"][0]["probability"].as_f64() >= lines[0]["classes"][1]["probability"].as_f64());
    let metrics = first.join("metrics.csv");
    fails(&["predict", "--model", metrics.to_str().unwrap(), picture], &["metrics.csv", "not a safetensors file"]);
}

/// LeNet-5's variables for grey images and ten classes.
const LENET: [(&str, &[usize]); 10] = [
    ("conv1.weight", &[6, 1, 5, 5]),
    ("conv1.bias", &[6]),
    ("conv2.weight", &[16, 6, 5, 5]),
    ("conv2.bias", &[16]),
    ("fc1.weight", &[120, 400]),
    ("fc1.bias", &[120]),
    ("fc2.weight", &[84, 120]),
    ("fc2.bias", &[84]),
    ("fc3.weight", &[10, 84]),
    ("fc3.bias", &[10]),
];

/// Writes a model file whose tensors hold `value` everywhere.
fn write_model(path: &Path, tensors: &[(&str, &[usize])], value: f32, metadata: &[(&str, &str)]) {
    use safetensors::tensor::{Dtype, TensorView};
    let bytes = |shape: &[usize]| value.to_le_bytes().repeat(shape.iter().product());
    let data: Vec<Vec<u8>> = tensors.iter().map(|(_, shape)| bytes(shape)).collect();
    let views = tensors.iter().zip(&data);
    let views = views.map(|((name, shape), data)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap()));
    let metadata = metadata.iter().map(|(key, text)| (key.to_string(), text.to_string())).collect();
    std::fs::write(path, safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
}

/// A picture with a stroke down its middle.
fn write_picture(path: &Path) {
    image::GrayImage::from_fn(28, 28, |x, y| {
        image::Luma([if (12..16).contains(&x) && (4..24).contains(&y) { 255 } else { 0 }])
    })
    .save_with_format(path, image::ImageFormat::Png)
    .unwrap();
}

#[test]
fn a_model_file_that_does_not_fit_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (model, picture) = (folder.path().join("odd.safetensors"), folder.path().join("one.png"));
    write_picture(&picture);
    let predict = ["predict", "--model", model.to_str().unwrap(), picture.to_str().unwrap()];
    let lenet = ("model", "lenet5");
    let refused = |tensors: &[(&str, &[usize])], metadata: &[(&str, &str)], part: &str| {
        write_model(&model, tensors, 0.1, metadata);
        fails(&predict, &["odd.safetensors: ", part]);
    };
    // Another network that says it is this one.
    refused(&[("features.weight", &[3, 3])], &[lenet], "`conv1.weight` [6, 1, 5, 5] is missing");
    refused(&LENET[..9], &[lenet], "`fc3.bias` [10] is missing");
    refused(&[&LENET[..], &[("fc4.bias", &[10])]].concat(), &[lenet], "`fc4.bias` belongs to no variable");
    refused(&LENET, &[lenet, ("classes", "11")], "`fc3.weight`: expected f32[11, 84], got F32[10, 84]");
    refused(&LENET, &[lenet, ("channels", "3")], "`conv1.weight`: expected f32[6, 3, 5, 5], got F32[6, 1, 5, 5]");
    let colours = [&[("conv1.weight", &[6, 3, 5, 5][..])], &LENET[1..]].concat();
    refused(&colours, &[lenet, ("channels", "3")], "pictures of 3 channels");
    refused(&LENET, &[("model", "lenet6")], "metadata `model` is `lenet6`");
    for number in ["0", "-1", "ten", "18446744073709551615"] {
        refused(&LENET, &[lenet, ("classes", number)], &format!("metadata `classes` is `{number}`"));
    }
    refused(&LENET, &[("channels", "5")], "at most 4 channels");
    refused(&LENET, &[("mean", "grey")], "metadata `mean` is `grey`");
    refused(&LENET, &[("mean", "0.1 0.2")], "2 means and 1 deviations");
    refused(&LENET, &[("mean", "NaN")], "got means [NaN] and deviations [0.3085]");
    refused(&LENET, &[("deviation", "0")], "got means [0.131] and deviations [0.0]");
}

#[test]
fn probabilities_that_are_none_are_an_error() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (model, picture) = (folder.path().join("model.safetensors"), folder.path().join("one.png"));
    write_picture(&picture);
    let predict = ["predict", "--model", model.to_str().unwrap(), picture.to_str().unwrap()];
    // A file without metadata is taken for LeNet-5.
    write_model(&model, &LENET, 0.1, &[]);
    assert_eq!(text(&omma(&predict).stdout).matches("10.0 %").count(), 3);
    for value in [f32::NAN, f32::MAX] {
        write_model(&model, &LENET, value, &[]);
        let output = omma(&predict);
        let errors = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{value}: {errors}");
        let last = errors.lines().last().unwrap();
        assert!(last.contains("model.safetensors: ") && last.contains("one.png"), "{value}: {last}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_need_not_be_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    write_model(&model, &LENET, 0.1, &[]);
    let picture = folder.path().join(OsStr::from_bytes(b"\xff.png"));
    write_picture(&picture);
    for option in ["--json", "--top=1"] {
        let output = command(&["predict", option, "--model", model.to_str().unwrap()]).arg(&picture).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains("\u{fffd}.png"), "{printed}");
        assert!(option != "--json" || serde_json::from_str::<serde_json::Value>(&printed).is_ok(), "{printed}");
    }
}

#[test]
fn selftest_ends_with_its_count() {
    if crate::gpu().is_none() {
        return;
    }
    let output = omma(&["selftest", "--op", "softmax"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    let printed = text(&output.stdout);
    let last = printed.lines().last().unwrap();
    assert!(last.ends_with(" passed, 0 failed") && !last.starts_with("0 "), "{last}");
    assert!(printed.contains("workgroup") && printed.contains("serial"), "{printed}");
}

/// What the command does where standard output goes to `stdout`: exit code and standard error.
#[cfg(target_os = "linux")]
fn printing_to(stdout: impl Into<std::process::Stdio>, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(arguments).stdout(stdout).output().unwrap();
    (output.status.code(), text(&output.stderr))
}

/// A pipe whose reader has left.
#[cfg(target_os = "linux")]
fn closed_pipe() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}

/// A disk without room.
#[cfg(target_os = "linux")]
fn full_disk() -> std::fs::File {
    std::fs::File::options().write(true).open("/dev/full").unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_has_left_is_no_error_and_a_full_disk_is_one_line() {
    if crate::gpu().is_none() {
        return;
    }
    let selftest = ["selftest", "--op", "softmax"];
    for arguments in [&["devices"][..], &["devices", "--json"], &selftest] {
        let errors =
            |text: String| text.lines().filter(|line| !line.starts_with("[WARN")).collect::<Vec<_>>().join("|");
        let (code, remarks) = printing_to(closed_pipe(), arguments);
        assert_eq!((code, errors(remarks)), (Some(0), String::new()), "{arguments:?}");
        let (code, remarks) = printing_to(full_disk(), arguments);
        let error = errors(remarks);
        assert!(code == Some(1) && error.starts_with("error: standard output: "), "{arguments:?} wrote {error}");
        assert!(!error.contains('|'), "{arguments:?} wrote {error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn training_that_cannot_print_still_leaves_its_model() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = small_data(folder.path());
    for (stdout, expected) in [(std::process::Stdio::from(closed_pipe()), 0), (full_disk().into(), 1)] {
        let out = folder.path().join(format!("out-{expected}"));
        let arguments = ["train", "--epochs", "1", "--data", data.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let (code, errors) = printing_to(stdout, &arguments);
        assert_eq!(code, Some(expected), "{errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        assert_eq!(errors.contains("error: standard output: "), expected == 1, "{errors}");
        for name in ["model.safetensors", "metrics.csv", "mistakes.png"] {
            assert!(out.join(name).is_file(), "{name}");
        }
    }
}

#[test]
fn a_run_that_cannot_start_leaves_nothing_and_one_that_cannot_write_says_so_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    fails(&["train", "--data", "/nonexistent", "--out", &path("refused")], &["/nonexistent"]);
    assert!(!folder.path().join("refused").exists());

    std::fs::write(path("file"), "no folder").unwrap();
    for out in ["file", "file/below"] {
        fails(&["train", "--data", DIGITS, "--out", &path(out)], &["--out", "file is a file, expected a folder"]);
    }
    if crate::gpu().is_none() {
        return;
    }
    fails(&["train", "--data", DIGITS, "--adapter", "nosuch", "--out", &path("refused")], &["nosuch"]);
    assert!(!folder.path().join("refused").exists());
    // A folder in its place keeps even root from writing the table.
    std::fs::create_dir_all(path("taken/metrics.csv/kept")).unwrap();
    let output = omma(&["train", "--data", DIGITS, "--out", &path("taken")]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("metrics.csv") && !errors.contains("training "), "{errors}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_run_with_its_model() {
    if crate::gpu().is_none() {
        return;
    }
    use std::io::{BufRead, BufReader, Read};
    let folder = tempfile::tempdir().unwrap();
    let data = small_data(folder.path());
    let out = folder.path().join("out");
    let arguments = ["train", "--epochs", "1000", "--data", data.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let mut child =
        command(&arguments).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().map(Result::unwrap);
    // An epoch that is spoken of is on the disk.
    let (table, model) = (out.join("metrics.csv"), out.join("model.safetensors"));
    let rows = || std::fs::read_to_string(&table).map(|table| table.lines().count() - 1);
    let saved = (rows().is_ok_and(|rows| rows >= 1), model.is_file());
    // A shell has a `kill` of its own; the program is not on every machine.
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    let printed = 1 + lines.count();
    let status = child.wait().unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(first.is_some_and(|line| line.starts_with("epoch  1 ")) && sent.success(), "{errors}");
    assert_eq!((status.code(), saved), (Some(130), (true, true)), "{errors}");
    assert!(errors.lines().last().is_some_and(|line| line.starts_with("stopped; ")), "{errors}");
    assert_eq!(rows().unwrap(), printed);
    omma::Variables::read_metadata(&model).unwrap();
}
