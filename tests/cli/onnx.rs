//! `omma conformance`: verdicts, what is written, and that no case stops another.

use std::path::{Path, PathBuf};

use super::{fails, omma, text};

pub(super) const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onnx/cases");
/// ONNX's numbers of element types.
pub(super) const FLOAT: u64 = 1;
pub(super) const UINT8: u64 = 2;
const INT64: u64 = 7;
const STRING: u64 = 8;
const BOOL: u64 = 9;
const FLOAT16: u64 = 10;
const DOUBLE: u64 = 11;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 128 {
        bytes.push(value as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field of bytes, or a message.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

/// A `TensorProto` with raw data.
pub(super) fn tensor(element: u64, shape: &[u64], raw: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|&extent| number(1, extent)).collect();
    [dims, number(2, element), field(9, raw)].concat()
}

pub(super) fn floats(shape: &[u64], values: &[f32]) -> Vec<u8> {
    tensor(FLOAT, shape, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

/// An extent of an input: a number, or a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dim {
    Is(u64),
    Named(&'static str),
}

/// A model without a node: it gives back what it is given.
pub(super) fn echo(inputs: &[(&str, u64, &[Dim])]) -> Vec<u8> {
    let info = |&(name, element, shape): &(&str, u64, &[Dim])| {
        let dim = |dim: &Dim| match dim {
            Dim::Is(extent) => field(1, &number(1, *extent)),
            Dim::Named(symbol) => field(1, &field(2, symbol.as_bytes())),
        };
        let shape: Vec<u8> = shape.iter().flat_map(dim).collect();
        let ty = field(1, &[number(1, element), field(2, &shape)].concat());
        [field(1, name.as_bytes()), field(2, &ty)].concat()
    };
    let graph: Vec<u8> =
        [11, 12].iter().flat_map(|&kind| inputs.iter().flat_map(move |input| field(kind, &info(input)))).collect();
    [number(1, 8), field(7, &graph), field(8, &number(2, 17))].concat()
}

/// Writes a case of one data set.
fn case(folder: &Path, name: &str, model: &[u8], files: &[(&str, &[u8])]) -> PathBuf {
    let case = folder.join(name);
    std::fs::create_dir_all(case.join("test_data_set_0")).unwrap();
    std::fs::write(case.join("model.onnx"), model).unwrap();
    for (file, bytes) in files {
        std::fs::write(case.join("test_data_set_0").join(file), bytes).unwrap();
    }
    case
}

/// One of the kept cases, under another name.
fn copied(folder: &Path, kept: &str, name: &str) {
    let (from, to) = (Path::new(CASES).join(kept), folder.join(name));
    std::fs::create_dir_all(to.join("test_data_set_0")).unwrap();
    for part in ["", "test_data_set_0"] {
        for entry in from.join(part).read_dir().unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            std::fs::copy(entry.path(), to.join(part).join(entry.file_name())).unwrap();
        }
    }
}

/// The lines of the cases, and the last one.
fn conformance(folder: &Path, arguments: &[&str]) -> (Vec<String>, String, bool) {
    let output = omma(&[&["conformance", folder.to_str().unwrap()], arguments].concat());
    let printed = text(&output.stdout);
    let mut lines: Vec<String> = printed.lines().map(String::from).collect();
    let last = lines.pop().unwrap_or_else(|| panic!("{}", text(&output.stderr)));
    (lines, last, output.status.success())
}

/// What an `.npy` file says of itself, and its elements' bytes.
pub(super) fn npy(path: &Path) -> (String, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\0");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((10 + length) % 64, 0);
    (text(&bytes[10..10 + length]).trim_end().into(), bytes[10 + length..].to_vec())
}

#[test]
fn the_kept_cases_pass() {
    if crate::gpu().is_none() {
        return;
    }
    let (lines, last, success) = conformance(Path::new(CASES), &[]);
    let mut names: Vec<String> =
        Path::new(CASES).read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let (passed, others): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.starts_with("PASS "));
    // Nothing but an operator that there is not keeps one from passing.
    for line in &others {
        assert!(line.starts_with("UNSUPPORTED ") && line.contains(": no such operator"), "{line}");
    }
    let named: Vec<&str> = lines.iter().map(|line| line.split([' ', ':']).nth(1).unwrap()).collect();
    assert_eq!(named, names);
    assert_eq!(last, format!("{} passed, 0 failed, {} unsupported", passed.len(), others.len()));
    assert!(success);
}

#[test]
fn a_pattern_chooses_cases_by_their_whole_names() {
    if crate::gpu().is_none() {
        return;
    }
    let named = |pattern: &str| conformance(Path::new(CASES), &["--filter", pattern]).0;
    assert_eq!(named("conv2d_00"), ["PASS conv2d_00"]);
    assert_eq!(named("*_lene?"), ["PASS chain_lenet"]);
    let cases = Path::new(CASES).to_str().unwrap();
    fails(&["conformance", cases, "--filter", "conv2d"], &["tests/onnx/cases", "no case", "`conv2d`"]);
    fails(&["conformance", cases, "--filter", "[a"], &["--filter", "[a"]);
    fails(&["conformance", cases, "--limit", "-1"], &["--limit"]);
    fails(&["conformance", cases, "--jobs", "0"], &["--jobs", "0"]);
    fails(&["conformance", "/nonexistent/cases"], &["/nonexistent/cases"]);
    fails(&["conformance", cases, "--adapter", "no such adapter"], &["no such adapter", "there is"]);
}

#[test]
fn outputs_are_written_with_their_types_and_so_are_those_that_are_wrong() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let two = &[Dim::Is(2)][..];
    let rows: [(&str, u64, &str, Vec<u8>); 5] = [
        ("floats", FLOAT, "<f4", [1.0_f32, -0.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("integers", INT64, "<i8", [i64::MIN, (1 << 53) + 1].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("bytes", UINT8, "|u1", vec![0, 255]),
        ("truths", BOOL, "|b1", vec![1, 0]),
        ("halves", FLOAT16, "<f2", vec![0x00, 0x3c, 0x01, 0x00]),
    ];
    let cases = folder.path().join("cases");
    for (name, element, _, raw) in &rows {
        let array = tensor(*element, &[2], raw);
        case(&cases, name, &echo(&[("x", *element, two)]), &[("input_0.pb", &array), ("output_0.pb", &array)]);
    }
    // A wrong expectation, its gradient beside it: of x ↦ x that is the cotangent.
    let (x, dy) = (floats(&[2], &[1.0, 2.0]), floats(&[2], &[0.5, 0.25]));
    let files: [(&str, &[u8]); 4] =
        [("input_0.pb", &x), ("output_0.pb", &dy), ("grad_output_0.pb", &dy), ("grad_input_0.pb", &x)];
    case(&cases, "wrong", &echo(&[("x", FLOAT, two)]), &files);
    let texts = [number(1, 1), number(2, STRING), field(6, "añb".as_bytes())].concat();
    let model = echo(&[("x", STRING, &[Dim::Is(1)])]);
    case(&cases, "texts", &model, &[("input_0.pb", &texts), ("output_0.pb", &texts)]);

    let (lines, last, success) = conformance(&cases, &["--write", out.to_str().unwrap()]);
    let expected = ["PASS bytes", "PASS floats", "PASS halves", "PASS integers", "PASS texts", "PASS truths"];
    assert_eq!(lines[..6], expected);
    let reason = "FAIL wrong: output 0 `x`: 2 elements are wrong, of which [1]: expected 0.25, got 2, ";
    assert!(lines[6].starts_with(reason), "{}", lines[6]);
    assert_eq!((last.as_str(), success), ("6 passed, 1 failed, 0 unsupported", false));
    let file = |case: &str, name: &str| npy(&out.join(case).join("test_data_set_0").join(name));
    let header =
        |descr: &str, extent| format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extent},), }}");
    for (name, _, descr, raw) in rows {
        assert_eq!(file(name, "output_0.npy"), (header(descr, 2), raw), "{name}");
    }
    let bytes = |values: [f32; 2]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(file("wrong", "output_0.npy").1, bytes([1.0, 2.0]));
    assert_eq!(file("wrong", "grad_input_0.npy"), (header("<f4", 2), bytes([0.5, 0.25])));
    let letters: Vec<u8> = "añb".chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect();
    assert_eq!(file("texts", "output_0.npy"), (header("<U3", 1), letters));
}

#[test]
fn what_is_wrong_with_a_case_is_said_and_the_others_go_on() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cases = folder.path();
    let model = echo(&[("x", FLOAT, &[Dim::Is(2)])]);
    let (x, y) = (floats(&[2], &[1.0, 2.0]), floats(&[2], &[1.0, 2.0]));
    let good: [(&str, &[u8]); 2] = [("input_0.pb", &x), ("output_0.pb", &y)];
    case(cases, "a_good", &model, &good);
    let tolerances = |name: &str, json: &str| {
        let folder = case(cases, name, &model, &[("input_0.pb", &x), ("output_0.pb", &floats(&[2], &[1.5, 2.0]))]);
        std::fs::write(folder.join("data.json"), json).unwrap();
    };
    tolerances("b_lenient", r#"{"atol": 0.5}"#);
    tolerances("c_garbage", "{rtol:");
    tolerances("d_negative", r#"{"rtol": -1}"#);
    tolerances("e_list", "[1]");
    case(cases, "f_cut_tensor", &model, &[("input_0.pb", &x[..x.len() - 1]), ("output_0.pb", &y)]);
    case(cases, "g_cut_model", &model[..model.len() - 3], &good);
    case(cases, "h_no_input", &model, &good[1..]);
    case(cases, "i_no_output", &model, &good[..1]);
    case(cases, "j_too_many", &model, &[good[0], good[1], ("input_1.pb", &x)]);
    case(cases, "k_no_such_output", &model, &[good[0], good[1], ("output_3.pb", &x)]);
    case(cases, "l_cotangent", &model, &[good[0], good[1], ("grad_output_0.pb", &floats(&[1], &[1.0]))]);
    std::fs::create_dir_all(cases.join("m_no_model/test_data_set_0")).unwrap();
    std::fs::write(case(cases, "n_no_data", &model, &good).join("model.onnx"), &model).unwrap();
    std::fs::remove_dir_all(cases.join("n_no_data/test_data_set_0")).unwrap();
    case(cases, "o_type", &model, &[("input_0.pb", &tensor(INT64, &[1], &[0; 8])), good[1]]);
    case(cases, "p_double", &model, &[good[0], ("output_0.pb", &tensor(DOUBLE, &[1], &[0; 8]))]);
    case(cases, "q_second", &model, &good);
    std::fs::create_dir_all(cases.join("q_second/test_data_set_10")).unwrap();
    // No case: it has neither a model nor data.
    std::fs::create_dir_all(cases.join("r_notes")).unwrap();
    let (lines, last, _) = conformance(cases, &[]);
    let expected = [
        "PASS a_good",
        "PASS b_lenient",
        "FAIL c_garbage: data.json: ",
        "FAIL d_negative: data.json: `rtol` is -1",
        "FAIL e_list: data.json: expected an object",
        "FAIL f_cut_tensor: test_data_set_0/input_0.pb: ",
        "FAIL g_cut_model: model.onnx: ",
        "FAIL h_no_input: ONNX: the input `x`, float[2], is not given",
        "FAIL i_no_output: there is nothing to compare with",
        "FAIL j_too_many: model.onnx: it has 1 inputs, and there is an input_1.pb",
        "FAIL k_no_such_output: there is no output 3",
        "FAIL l_cotangent: ONNX: cotangent of output 0: expected the shape [2], got [1]",
        "FAIL m_no_model: model.onnx: ",
        "FAIL n_no_data: there is no test_data_set_0",
        "FAIL o_type: model.onnx: input `x`: expected float, got int64[1]",
        "FAIL p_double: output 0 `x`: expected double[1], got float[2]",
        "FAIL q_second: test_data_set_10: ",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "`{line}` does not start with `{expected}`");
    }
    assert_eq!(last, "2 passed, 15 failed, 0 unsupported");
}

/// A case between two good ones whose model never comes: it is a pipe that nobody writes to.
#[cfg(target_os = "linux")]
fn hanging(folder: &Path) {
    copied(folder, "act_sigmoid_wide", "a");
    copied(folder, "act_sigmoid_wide", "b");
    copied(folder, "conv2d_00", "c");
    let pipe = folder.join("b/model.onnx");
    std::fs::remove_file(&pipe).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_case_that_hangs_fails_and_the_others_go_on() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    hanging(folder.path());
    let (lines, last, success) = conformance(folder.path(), &["--limit", "20", "--jobs", "1"]);
    assert_eq!(lines, ["PASS a", "FAIL b: it took longer than 20 s", "PASS c"]);
    assert_eq!((last.as_str(), success), ("2 passed, 1 failed, 0 unsupported", false));
}

#[cfg(target_os = "linux")]
#[test]
fn a_case_whose_process_dies_fails_and_the_others_go_on() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    hanging(folder.path());
    let arguments = ["conformance", folder.path().to_str().unwrap(), "--limit", "300", "--jobs", "1"];
    let mut child = super::command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "PASS a");
    // The process that has run it is the command's only child, and hangs in the next case.
    let parent = |process: &str| {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // Behind the name, which may hold anything, stand the state and the parent.
        status.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let names = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let workers: Vec<String> = names.filter(|name| parent(name) == Some(child.id())).collect();
    assert_eq!(workers.len(), 1, "{workers:?}");
    assert!(Command::new("kill").args(["-KILL", &workers[0]]).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(rest[0], "FAIL b: its process ended with signal 9 SIGKILL");
    assert_eq!(rest[1..], ["PASS c", "2 passed, 1 failed, 0 unsupported"]);
    assert!(!child.wait().unwrap().success());
}
