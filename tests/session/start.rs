//! The start of a session: what is compiled, who hears of it, and what is kept for the next process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use omma::wgpu::{Features, Limits};
use omma::{Compiling, Conv2d, Error, Gpu, GpuOptions, Graph, Mode, PlanOptions, Session, Starting, Tensor, Variables};

use super::{evaluation, outputs, rows};
use crate::support::{host_device, own_gpu};

/// Layers of which many need the same kernels.
fn network(graph: &Graph) -> Tensor<'_> {
    let mut x = graph.input("x", [1, 4, 8, 8]).unwrap();
    for name in ["a", "b", "c", "d"] {
        x = x.conv2d(name, Conv2d::new(4, 3).padding(1)).unwrap().max_pool2d(1).unwrap();
    }
    x.softmax(1).unwrap().sigmoid().unwrap().mean(..).unwrap()
}

/// Starts a session of [`network`]: what was told of each kernel, and its number of dispatches.
fn start(gpu: &Gpu) -> (Vec<(usize, usize, String)>, usize) {
    let graph = Graph::new(Mode::Evaluation);
    let (y, variables, options) = (network(&graph), Variables::new(gpu, 1), PlanOptions::default());
    let mut told = Vec::new();
    let session =
        Session::with_progress(gpu, &graph, &[y], &variables, &options, |Compiling { done, total, label, .. }| {
            told.push((done, total, label.to_string()));
        });
    (told, session.unwrap().plan().dispatches())
}

#[test]
fn every_kernel_is_compiled_once_and_told_of() {
    let Some(gpu) = own_gpu() else { return };
    let (told, dispatches) = start(&gpu);
    let total = told.len();
    assert!(total > 1 && total < dispatches, "{total} kernels for {dispatches} dispatches");
    assert!(told.iter().map(|(done, of, _)| (*done, *of)).eq((1..=total).map(|done| (done, total))), "{told:?}");
    assert!(told.iter().any(|(.., label)| label.starts_with("softmax.forward[")), "{told:?}");
    assert_eq!(gpu.statistics().pipelines, total as u64);
    assert_eq!(start(&gpu).0, [], "the device has them all");
    assert_eq!(gpu.statistics().pipelines, total as u64);
}

#[test]
fn who_watches_a_device_hears_of_every_start() {
    let Some(gpu) = own_gpu() else { return };
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let hears = told.clone();
    gpu.watch(move |starting| {
        hears.lock().unwrap().push(match starting {
            Starting::Compiling(step) => format!("{} of {}", step.done, step.total),
            Starting::Timing { node, kernel, variant } => format!("{kernel}[{variant}] of {node}"),
            other => format!("{other:?}"),
        });
    });
    let total = start(&gpu).0.len();
    let heard = std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(heard, (1..=total).map(|done| format!("{done} of {total}")).collect::<Vec<_>>());
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", [1, 8, 9, 9]).unwrap().conv2d("conv", Conv2d::new(8, 3)).unwrap();
    Session::with_options(&gpu, &graph, &[y], &Variables::new(&gpu, 1), &PlanOptions::default().tune(None)).unwrap();
    let heard = told.lock().unwrap();
    assert!(heard.iter().any(|told| told.starts_with("conv2d.forward[") && told.contains("conv")), "{heard:?}");
    assert_eq!(heard.iter().filter(|told| *told == "Timed").count(), 1, "{heard:?}");
}

/// Kernels are compiled on threads, and error scopes belong to threads: all the same the error is that of the first kernel
/// that the device refuses, and none goes astray.
#[test]
fn a_refused_kernel_is_an_error_that_names_it() {
    let small = |limits| Limits { max_uniform_buffers_per_shader_stage: 0, ..limits };
    let Some((adapter, device, queue)) = host_device(small) else { return };
    let gpu = Gpu::from_wgpu(&adapter, device, queue);
    for _ in 0..5 {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.input("x", 3).unwrap().sigmoid().unwrap();
        let y = x.softmax(0).unwrap().add(x).unwrap().mean(..).unwrap();
        let error = Session::new(&gpu, &graph, &[y], &Variables::new(&gpu, 1)).unwrap_err();
        assert!(matches!(&error, Error::Validation(text) if text.starts_with("pointwise.forward[")), "{error}");
    }
    // No kernel can do without a uniform buffer, but the device is well.
    gpu.wait_blocking().unwrap();
}

/// A device that keeps its pipelines in `folder`, with a session that ran.
fn keeping(folder: &Path) -> Option<Gpu> {
    own_gpu()?;
    let gpu = Gpu::new_blocking(&GpuOptions::default().pipeline_cache(folder)).unwrap();
    let (mut session, y) = evaluation(&gpu, &Variables::new(&gpu, 1), 2);
    assert!(outputs(&mut session, y, &rows(2)).iter().all(|value| value.is_finite()));
    Some(gpu)
}

/// All files of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn kept_pipelines_that_are_damaged_are_left_aside_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    // Made where it is needed.
    let below = folder.path().join("cache");
    let Some(gpu) = keeping(&below) else { return };
    if !gpu.device().features().contains(Features::PIPELINE_CACHE) {
        assert!(!below.exists(), "this driver has nothing to keep");
        return;
    }
    let [path] = &files(&below)[..] else { panic!("{:?}", files(&below)) };
    let good = std::fs::read(path).unwrap();
    let flipped = |index: usize| good.iter().enumerate().map(|(i, &b)| if i == index { !b } else { b }).collect();
    // What was written for another adapter has another hash behind the format's name.
    let (foreign, damaged): (Vec<u8>, Vec<u8>) = (flipped(8), flipped(good.len() - 1));
    for bad in [&b"no pipelines"[..], &[], &good[..good.len() - 1], &foreign, &damaged] {
        std::fs::write(path, bad).unwrap();
        keeping(&below);
        // A driver may write the same pipelines in other bytes, but never what it was not given.
        let replaced = std::fs::read(path).unwrap();
        assert!(replaced != bad && replaced[..16] == good[..16], "{} bytes stay", bad.len());
        assert_eq!(files(&below), std::slice::from_ref(path), "nothing else is left behind");
    }
    let before = path.metadata().unwrap().modified().unwrap();
    let gpu = keeping(&below).unwrap();
    assert!(gpu.statistics().pipelines > 0, "they are made, if from what was kept");
    if std::fs::read(path).unwrap() == good {
        assert_eq!(path.metadata().unwrap().modified().unwrap(), before, "what is there already is not written again");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    for folder in [file.clone(), file.join("below"), "/proc/omma".into()] {
        keeping(&folder);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "no folder");
}
