//! Choosing kernels by the clock: what was found is taken, kept and found again, and without asking nothing changes.

use std::path::Path;

use omma::{Conv2d, Gpu, Graph, Mode, PlanOptions, Session, Tensor, Variables};
use serde_json::{Value, json};

use crate::support::own_gpu;

/// One convolution, of which every device has several variants, and what follows.
fn network(graph: &Graph) -> Tensor<'_> {
    let x = graph.input("x", [1, 8, 9, 9]).unwrap();
    x.conv2d("conv", Conv2d::new(8, 3)).unwrap().softmax(1).unwrap()
}

/// The chosen variants of [`network`] under these options, its result, and how much was submitted to make the session.
fn start(gpu: &Gpu, options: &PlanOptions) -> (Vec<(String, &'static str)>, Vec<f32>, u64) {
    let graph = Graph::new(Mode::Evaluation);
    let y = network(&graph);
    let before = gpu.statistics().submissions;
    let mut session = Session::with_options(gpu, &graph, &[y], &Variables::new(gpu, 1), options).unwrap();
    let submissions = gpu.statistics().submissions - before;
    let choices = session.plan().choices().iter().map(|choice| (choice.kernel.clone(), choice.chosen)).collect();
    let x: Vec<f32> = (0..8 * 81).map(|i| (i % 13) as f32 / 13.0).collect();
    session.run_blocking(&[("x", (&x).into())]).unwrap();
    (choices, session.read_blocking::<f32>(y).unwrap().into_raw_vec_and_offset().0, submissions)
}

fn tune(file: &Path) -> PlanOptions {
    PlanOptions::default().tune(Some(file.to_path_buf()))
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The one device's choices in the file.
fn choices(file: &mut Value) -> &mut serde_json::Map<String, Value> {
    let devices = file["devices"].as_object_mut().unwrap();
    assert_eq!(devices.len(), 1);
    devices.values_mut().next().unwrap()["choices"].as_object_mut().unwrap()
}

#[test]
fn what_was_found_is_taken_from_the_file_and_nothing_without_asking() {
    let Some(gpu) = own_gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below/tuning.json");
    let (by_rank, expected, quiet) = start(&gpu, &PlanOptions::default());
    assert_eq!(quiet, 0, "a session that is not tuned submits nothing");
    let (tuned, _, timed) = start(&gpu, &tune(&path));
    assert!(timed > 0, "kernels are timed");
    let (again, result, timed) = start(&gpu, &tune(&path));
    assert_eq!((timed, &again), (0, &tuned), "the file knows");

    // The file and nothing else decides: another legal variant there is another choice.
    let mut file = read(&path);
    let (problem, variant) =
        choices(&mut file).iter_mut().find(|(problem, _)| problem.starts_with("conv2d.forward of ")).unwrap();
    let candidates = problem.strip_prefix("conv2d.forward of ").unwrap().split(": ").next().unwrap().to_string();
    let fastest = variant.as_str().unwrap().to_string();
    let mut others = candidates.split(", ").filter(|name| *name != fastest).peekable();
    assert!(candidates.split(", ").any(|name| name == fastest) && others.peek().is_some(), "{candidates}");
    for other in others {
        let mut file = read(&path);
        for (problem, variant) in choices(&mut file).iter_mut() {
            if problem.starts_with("conv2d.forward of ") {
                *variant = json!(other);
            }
        }
        std::fs::write(&path, file.to_string()).unwrap();
        let (chosen, result, _) = start(&gpu, &tune(&path));
        assert!(chosen.contains(&("conv2d.forward".into(), other)), "{other} in {chosen:?}");
        // Softmax of sums of 72 terms: the order of adding shows in the last places only.
        assert!(result.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{other}");
    }
    assert!(result.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    assert_eq!(start(&gpu, &PlanOptions::default()).0, by_rank, "a file that nobody names has no influence");
}

#[test]
fn what_the_caller_decides_is_not_timed() {
    let Some(gpu) = own_gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    let conv =
        |choices: &[(String, &'static str)]| choices.iter().find(|(kernel, _)| kernel == "conv2d.forward").unwrap().1;
    let (tuned, ..) = start(&gpu, &tune(&path));
    let (without, ..) = start(&gpu, &tune(&path).exclude(conv(&tuned)));
    assert_ne!(conv(&without), conv(&tuned), "what is excluded stays excluded");
    let (preferred, ..) = start(&gpu, &tune(&path).prefer("naive"));
    assert_eq!(conv(&preferred), "naive");
    assert_eq!(conv(&start(&gpu, &tune(&path)).0), conv(&tuned), "neither changed what was found");
    // Without a file there is no memory, but a choice.
    let (kept_nowhere, _, timed) = start(&gpu, &PlanOptions::default().tune(None));
    assert!(timed > 0 && kept_nowhere.len() >= 2);
}

#[test]
fn a_damaged_file_is_replaced_and_others_are_kept() {
    let Some(gpu) = own_gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    start(&gpu, &tune(&path));
    let good = read(&path);
    // Whoever wrote it, it is not lost.
    for foreign in [&b"no json"[..], b"[]", b"{\"format\": \"another\", \"devices\": {}}", b"\xff\xfe"] {
        std::fs::write(&path, foreign).unwrap();
        assert!(start(&gpu, &tune(&path)).2 > 0, "timed beside {}", String::from_utf8_lossy(foreign));
        assert_eq!(std::fs::read(&path).unwrap(), foreign);
    }
    let whole = good.to_string().into_bytes();
    for bad in
        [&b""[..], b"{\"format\": \"omma tuning 1\"}", b"{\"format\": \"omma tuning 0\"}", &whole[..whole.len() - 1]]
    {
        std::fs::write(&path, bad).unwrap();
        assert!(start(&gpu, &tune(&path)).2 > 0, "timed anew after {}", String::from_utf8_lossy(bad));
        let keys = |mut file: Value| choices(&mut file).keys().cloned().collect::<Vec<_>>();
        assert!(keys(read(&path)).iter().any(|problem| problem.starts_with("conv2d.forward of ")));
    }
    // A device of which nothing is known here, and this one with the kernels of another version.
    let mut file = good.clone();
    let devices = file["devices"].as_object_mut().unwrap();
    let (name, mut entry) = devices.iter().next().map(|(name, entry)| (name.clone(), entry.clone())).unwrap();
    devices.insert("another device".into(), entry.clone());
    entry["kernels"] = json!("older");
    devices.insert(name.clone(), entry);
    std::fs::write(&path, file.to_string()).unwrap();
    assert!(start(&gpu, &tune(&path)).2 > 0, "old kernels are timed anew");
    let file = read(&path);
    let kernels = |file: &Value, name: &str| file["devices"][name]["kernels"].clone();
    assert_eq!(kernels(&file, &name), kernels(&good, &name));
    assert_eq!(kernels(&file, "another device"), kernels(&good, &name), "it is kept");
    // Names that no candidate has.
    let mut file = good;
    choices(&mut file).values_mut().for_each(|variant| *variant = json!("nonsense"));
    std::fs::write(&path, file.to_string()).unwrap();
    assert!(start(&gpu, &tune(&path)).2 > 0);
    let mut file = read(&path);
    let mut found = choices(&mut file).iter().filter(|(problem, _)| problem.starts_with("conv2d.forward of "));
    assert!(found.all(|(_, variant)| variant != "nonsense"), "{file}");
    // A place where nothing can be written.
    let nowhere = path.join("below");
    assert!(start(&gpu, &tune(&nowhere)).2 > 0 && !nowhere.exists());
}

/// One options for several graphs: what was settled for the first is not timed for the second.
#[test]
fn graphs_are_tuned_one_after_the_other() {
    let Some(gpu) = own_gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = network(&graph);
    let settled = PlanOptions::default().tune(None).resolved(&gpu, &graph, &[y]).unwrap();
    let (chosen, _, timed) = start(&gpu, &settled);
    assert_eq!(timed, 0, "everything is settled");
    let before = gpu.statistics().submissions;
    let again = settled.tune(None).resolved(&gpu, &graph, &[y]).unwrap();
    assert_eq!(gpu.statistics().submissions, before, "the options know");
    assert_eq!(start(&gpu, &again).0, chosen);
}
