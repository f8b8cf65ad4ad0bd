//! `omma run` and `omma inspect` on ONNX files: what goes in and comes out, and what is wrong with the arguments.

use std::path::Path;

use super::onnx::{CASES, Dim, FLOAT, UINT8, echo, floats, npy, tensor};
use super::{fails, omma, text};

/// A folder with a model of an input `x`, and the paths in it.
struct Fixture(tempfile::TempDir);

impl Fixture {
    fn new(model: &[u8]) -> Self {
        let fixture = Self(tempfile::tempdir().unwrap());
        fixture.file("model.onnx", model);
        fixture
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().into()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
        self.path(name)
    }

    /// Feeds `x` and gives what comes out: the header and the floats.
    fn run(&self, file: &str, arguments: &[&str]) -> (String, Vec<f32>, String) {
        let (model, out, input) = (self.path("model.onnx"), self.path("out"), format!("x={file}"));
        let output = omma(&[&["run", &model, "--input", &input, "--output", &out], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let (header, bytes) = npy(&self.0.path().join("out/x.npy"));
        (header, numbers(&bytes), text(&output.stdout))
    }
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks::<4>();
    chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect()
}

const PICTURE: &[Dim] = &[Dim::Named("N"), Dim::Is(3), Dim::Named("H"), Dim::Named("W")];

#[test]
fn arrays_go_in_and_come_out() {
    if crate::gpu().is_none() {
        return;
    }
    let fixture = Fixture::new(&echo(&[("x", FLOAT, &[Dim::Named("N"), Dim::Is(2)])]));
    let values = [1.0, -2.5, 3.0, f32::INFINITY, 0.0, 7.0];
    let file = fixture.file("x.pb", &floats(&[3, 2], &values));
    let (header, got, printed) = fixture.run(&file, &[]);
    assert_eq!(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2,), }");
    assert_eq!(got, values);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], format!("input x: float[3, 2] from {file}"));
    assert_eq!(lines[1], format!("output x: float[3, 2] in {}", fixture.path("out/x.npy")));
    assert!(lines[2].starts_with("loaded in ") && lines[2].contains("first run") && lines[2].contains("second run"));
    // What was written is read again; and so is what NumPy may write: other spaces, big-endian, column by column.
    assert_eq!(fixture.run(&fixture.path("out/x.npy"), &["--dim", "N=3"]).1, values);
    let header = "{\"shape\":(3,2),'descr':'>f4','fortran_order':True}\n";
    let columns = [values[0], values[2], values[4], values[1], values[3], values[5]];
    let bytes = columns.iter().flat_map(|value| value.to_be_bytes());
    let file = [b"\x93NUMPY\x03\0", &(header.len() as u32).to_le_bytes()[..], header.as_bytes()].concat();
    let file = fixture.file("columns.npy", &file.into_iter().chain(bytes).collect::<Vec<u8>>());
    assert_eq!(fixture.run(&file, &[]).1, values);
}

#[test]
fn pictures_become_what_the_input_wants() {
    if crate::gpu().is_none() {
        return;
    }
    let fixture = Fixture::new(&echo(&[("x", FLOAT, PICTURE)]));
    let picture = image::RgbImage::from_fn(3, 2, |x, y| image::Rgb([x as u8 * 100, y as u8 * 200, 50]));
    picture.save(fixture.path("picture.png")).unwrap();
    let file = fixture.path("picture.png");
    let channel = |values: [u8; 6], mean: f32, std: f32| values.map(|v| (f32::from(v) / 255.0 - mean) / std);
    let near = |got: &[f32], expected: &[f32]| {
        // One rounding of each operation.
        assert!(got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-6), "{got:?}");
    };
    let (red, green, blue) = ([0, 100, 200, 0, 100, 200], [0, 0, 0, 200, 200, 200], [50; 6]);
    let (header, got, _) = fixture.run(&file, &["--mean", "0.5,0.25,0", "--std", "0.5,1,2"]);
    assert!(header.contains("'shape': (1, 3, 2, 3,)"), "{header}");
    near(&got, &[channel(red, 0.5, 0.5), channel(green, 0.25, 1.0), channel(blue, 0.0, 2.0)].concat());
    let (_, got, _) = fixture.run(&file, &["--scale", "1", "--mean", "-1"]);
    assert_eq!(got[..6], red.map(|value| f32::from(value) + 1.0));
    let (header, got, _) = fixture.run(&file, &["--size", "4x6", "--scale", "1"]);
    assert!(header.contains("'shape': (1, 3, 4, 6,)"), "{header}");
    assert!(got[48..].iter().all(|&blue| blue == 50.0), "{got:?}");

    // Channels last, grey, bytes, and an extent that the file knows.
    let last = [Dim::Is(1), Dim::Is(2), Dim::Named("W"), Dim::Is(3)];
    let fixture = Fixture::new(&echo(&[("x", FLOAT, &last)]));
    let (header, got, _) = fixture.run(&file, &["--layout", "nhwc", "--scale", "1"]);
    assert!(header.contains("'shape': (1, 2, 3, 3,)"), "{header}");
    assert_eq!(got[..6], [0.0, 0.0, 50.0, 100.0, 0.0, 50.0]);
    let fixture = Fixture::new(&echo(&[("x", FLOAT, &[Dim::Is(1), Dim::Is(1), Dim::Is(1)])]));
    let grey = image::GrayImage::from_pixel(9, 9, image::Luma([51]));
    grey.save(fixture.path("grey.png")).unwrap();
    let (header, got, _) = fixture.run(&fixture.path("grey.png"), &[]);
    assert!(header.contains("'shape': (1, 1, 1,)"), "{header}");
    near(&got, &[0.2]);
    let fixture = Fixture::new(&echo(&[("x", UINT8, PICTURE)]));
    let (model, out, input) = (fixture.path("model.onnx"), fixture.path("out"), format!("x={file}"));
    let run = ["run", &model, "--input", &input, "--output", &out];
    assert!(omma(&run).status.success());
    assert_eq!(npy(Path::new(&fixture.path("out/x.npy"))).1, [red, green, blue].concat());
    fails(&[&run[..], &["--mean", "1"]].concat(), &["--mean", "bytes"]);
}

#[test]
fn inputs_that_are_missing_are_drawn_where_that_is_asked_for() {
    if crate::gpu().is_none() {
        return;
    }
    let model =
        echo(&[("a/b:0", FLOAT, &[Dim::Named("N"), Dim::Is(4)]), ("a_b_0", FLOAT, &[Dim::Named("N"), Dim::Is(4)])]);
    let fixture = Fixture::new(&model);
    let (model, out) = (fixture.path("model.onnx"), fixture.path("out"));
    fails(&["run", &model], &["--input", "`a/b:0` is not given", "float[N, 4]", "--random"]);
    let run = |arguments: &[&str]| {
        let output = omma(&[&["run", &model, "--output", &out], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let file = |name: &str| npy(&Path::new(&out).join(name));
        (file("a_b_0.npy"), file("a_b_0.2.npy"))
    };
    let (first, second) = run(&["--random", "7"]);
    assert!(first.0.contains("(1, 4,)"), "{}", first.0);
    assert!(first.1 != second.1, "each input has numbers of its own");
    assert!(numbers(&first.1).iter().all(|number| (0.0..1.0).contains(number)));
    assert_eq!(run(&["--random", "7"]), (first.clone(), second));
    assert!(run(&["--random", "8"]).0 != first);
    assert!(run(&["--random", "7", "--dim", "N=3"]).0.0.contains("(3, 4,)"));
    // What is given tells the extent of the other.
    let given = fixture.file("given.pb", &floats(&[2, 4], &[0.5; 8]));
    let (first, second) = run(&["--random", "7", "--input", &format!("a_b_0={given}")]);
    assert!(first.0.contains("(2, 4,)") && second.1 == [0.5_f32; 8].map(f32::to_le_bytes).concat());
}

#[test]
fn classes_are_named_by_the_largest_numbers() {
    if crate::gpu().is_none() {
        return;
    }
    let fixture = Fixture::new(&echo(&[("x", FLOAT, &[Dim::Named("N"), Dim::Is(3)])]));
    let labels = fixture.file("labels.txt", b"cat\ndog\r\nbird\n\n");
    let file = fixture.file("x.pb", &floats(&[2, 3], &[1.0, 3.0, 2.0, 0.0, 0.0, 1e30]));
    let shown = |arguments: &[&str]| {
        let printed = fixture.run(&file, &[&["--labels", &labels, "--top", "2"], arguments].concat()).2;
        let lines: Vec<String> =
            printed.lines().skip(3).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        lines
    };
    let lines = shown(&[]);
    assert_eq!(lines[..3], ["the numbers of output x:", "0: 3.000000 dog", "0: 2.000000 bird"]);
    assert!(lines[3].starts_with("1: ") && lines[3].ends_with(" bird"), "{lines:?}");
    // softmax(1, 3, 2) by hand: e^-2, 1, e^-1 over their sum 1.503215.
    let lines = shown(&["--softmax"]);
    assert_eq!(lines[..3], ["probabilities, by softmax of output x:", "0: 0.665241 dog", "0: 0.244728 bird"]);
    assert_eq!(lines[3], "1: 1.000000 bird");
    let (model, two) = (fixture.path("model.onnx"), fixture.file("two.txt", b"yes\nno"));
    let output = omma(&["run", &model, "--input", &format!("x={file}"), "--labels", &two]);
    let errors = text(&output.stderr);
    assert!(!output.status.success() && errors.contains("--labels: 2 labels"), "{errors}");
    assert!(errors.contains("float[2, 3]"), "{errors}");
    fails(&["run", &model, "--random", "1", "--labels", &fixture.file("none.txt", b"\n")], &["none.txt", "no label"]);
    fails(&["run", &model, "--random", "1", "--top", "2"], &["--labels"]);
    let given = format!("x={file}");
    fails(&["run", &model, "--input", &given, "--mean", "0.5"], &["--mean", "no --input is a picture"]);
}

#[test]
fn what_is_wrong_with_a_run_is_one_line() {
    let fixture = Fixture::new(&echo(&[("x", FLOAT, PICTURE), ("x=y", FLOAT, &[Dim::Is(2)])]));
    let model = fixture.path("model.onnx");
    let run = |arguments: &[&str], parts: &[&str]| fails(&[&["run", &model], arguments].concat(), parts);
    run(&["--input", "x"], &["--input", "NAME=FILE", "`x`"]);
    run(&["--input", "z=a.npy"], &["no input `z`", "x, x=y"]);
    run(&["--input", "x=y=/nonexistent/a.npy"], &["/nonexistent/a.npy"]);
    let two = fixture.file("two.pb", &floats(&[2], &[1.0, 2.0]));
    run(&["--input", &format!("x=y={two}"), "--input", &format!("x=y={two}")], &["`x=y` is given twice"]);
    run(&["--input", &format!("x=y={two}")], &["`x` is not given"]);
    run(&["--dim", "M=2", "--random", "1"], &["--dim", "`M`", "H, N, W"]);
    for wrong in ["N", "N=", "=2", "N=0", "N=-1", "N=x"] {
        run(&["--dim", wrong], &["NAME=N", wrong]);
    }
    run(&["--size", "0", "--random", "1"], &["--size", "224"]);
    let three = fixture.file("three.pb", &floats(&[3], &[0.0; 3]));
    run(&["--random", "1", "--input", &format!("x=y={three}")], &["model.onnx", "x=y", "[2]", "[3]"]);
    let ints = fixture.file("ints.pb", &tensor(UINT8, &[2], &[1, 2]));
    run(&["--random", "1", "--input", &format!("x=y={ints}")], &["model.onnx", "expected float, got uint8[2]"]);
    for (name, bytes, parts) in [
        ("text.txt", &b"hello"[..], &["text.txt", "neither"][..]),
        ("cut.pb", &floats(&[2], &[1.0, 2.0])[..9], &["cut.pb"]),
        ("cut.png", b"\x89PNG\r\n", &["cut.png"]),
        ("empty.npy", b"\x93NUMPY", &["empty.npy", "header"]),
        ("version.npy", b"\x93NUMPY\x09\0\0\0", &["version.npy", "version 9"]),
        ("long.npy", b"\x93NUMPY\x02\0\xff\xff\xff\xff{", &["long.npy", "within its header"]),
    ] {
        let file = fixture.file(name, bytes);
        run(&["--input", &format!("x={file}")], parts);
    }
    let header = |text: &str| {
        let bytes = [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), &[0; 8]].concat();
        fixture.file("header.npy", &bytes)
    };
    for (text, part) in [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "got 8 bytes"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", "got 8 bytes"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "expected an extent"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "expected an extent"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} + 1", "behind the dictionary"),
        ("{'descr': '<f4', 'fortran_order': False}", "without one of"),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "`False`"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "`|O`"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "`<c8`"),
        ("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000,)}", "`<U0`"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "quoted"),
        ("{'descr': '", "quoted"),
        ("", "`{`"),
    ] {
        let file = header(text);
        run(&["--input", &format!("x={file}")], &["header.npy", part]);
    }
    let garbage = fixture.file("garbage.onnx", &[0xff; 40]);
    fails(&["run", &garbage, "--random", "1"], &["garbage.onnx", "no ONNX model"]);
    fails(&["run", "/nonexistent/model.onnx"], &["/nonexistent/model.onnx"]);
}

#[test]
fn a_file_is_inspected_without_being_run() {
    if crate::gpu().is_none() {
        return;
    }
    let model = format!("{CASES}/chain_lenet/model.onnx");
    let output = omma(&["inspect", &model]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let row = |start: &str| printed.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{printed}"));
    assert_eq!(row("input x0"), "input x0: float[5, 1, 28, 28]");
    assert!(row("n3 ").contains("conv2d") && row("n3 ").contains("[5, 6, 28, 28]"), "{printed}");
    // 6·(5·5+1) + 16·(6·5·5+1) + 120·401 + 84·121 + 10·85
    assert!(row("in all").contains("61,706"), "{printed}");
    assert!(row("a step: ").contains("activations") && row("variables: ").contains("MiB"), "{printed}");
    let output = omma(&["inspect", &model, "--json"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whole = lines.last().unwrap();
    assert_eq!(whole["parameters"], 61_706);
    assert_eq!(whole["inputs"][0]["shape"], serde_json::json!([5, 1, 28, 28]));
    assert!(whole["plan"]["step_bytes"].as_u64().unwrap() > 0 && whole["plan"]["dispatches"].as_u64().unwrap() > 0);
    assert!(lines[..lines.len() - 1].iter().any(|line| line["layer"] == "n3" && line["operation"] == "conv2d"));

    let fixture = Fixture::new(&echo(&[("x", FLOAT, PICTURE)]));
    let model = fixture.path("model.onnx");
    let shown = |arguments: &[&str]| omma(&[&["inspect", &model], arguments].concat());
    assert!(
        text(&shown(&["--dim", "N=2", "--dim", "H=8", "--dim", "W=9"]).stdout)
            .starts_with("input x: float[2, 3, 8, 9]")
    );
    let output = shown(&["--dim", "N=2"]);
    assert!(text(&output.stdout).starts_with("input x: float[2, 3, 1, 1]"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("x: float[N, 3, H, W]"), "{}", text(&output.stderr));
    fails(&["inspect", &model, "--batch", "2"], &["--batch", "--dim"]);
    fails(&["inspect", "lenet5", "--dim", "N=2"], &["--dim", "--batch"]);
    fails(&["inspect", &model, "--dim", "M=2"], &["--dim", "`M`", "H, N, W"]);
    fails(&["inspect", &fixture.file("garbage.onnx", &[0xff; 40])], &["garbage.onnx", "no ONNX model"]);
    fails(&["inspect", &fixture.file("garbage", b"text")], &["garbage", "no ONNX model"]);
    fails(&["inspect", "/nonexistent/model.onnx"], &["/nonexistent/model.onnx"]);
}
