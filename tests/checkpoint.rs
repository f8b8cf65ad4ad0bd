//! Checkpoints: safetensors with PyTorch's names and shapes, whole or not at all.

use std::fs;

use omma::{BatchNorm, Conv2d, Error, Gpu, Graph, Mode, Optimizer, Session, VariableLayout, Variables};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::support::message;

/// A network with every kind of saved variable, and optimizer slots, which are not saved.
fn network(gpu: &Gpu, seed: u64) -> Variables {
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [2, 3, 6, 6]).unwrap().conv2d("features.conv", Conv2d::new(4, 3).groups(1)).unwrap();
    let x = x.batch_norm("features.bn", BatchNorm::default()).unwrap().relu().unwrap();
    let loss = x.flatten().unwrap().dense("head", 5).unwrap().mean(..).unwrap();
    graph.minimize(loss, &Optimizer::adam(0.1)).unwrap();
    let variables = Variables::new(gpu, seed);
    variables.declare(&graph).unwrap();
    variables
}

/// As PyTorch's `state_dict` of the same modules has them.
const EXPECTED: [(&str, &[usize]); 8] = [
    ("features.conv.weight", &[4, 3, 3, 3]),
    ("features.conv.bias", &[4]),
    ("features.bn.weight", &[4]),
    ("features.bn.bias", &[4]),
    ("features.bn.running_mean", &[4]),
    ("features.bn.running_var", &[4]),
    ("head.weight", &[5, 64]),
    ("head.bias", &[5]),
];

/// Every variable's bits.
fn bits(variables: &Variables) -> Vec<(String, Vec<u32>)> {
    let all = variables.read_all_blocking().unwrap();
    all.into_iter().map(|(name, values)| (name, values.iter().map(|v| v.to_bits()).collect())).collect()
}

/// A tensor of a file under test.
struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

fn entries(variables: &Variables) -> Vec<Entry> {
    let entry = |(name, values): (String, ndarray::ArrayD<f32>)| Entry {
        name,
        dtype: Dtype::F32,
        shape: values.shape().to_vec(),
        data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    };
    variables.read_all_blocking().unwrap().into_iter().map(entry).collect()
}

fn file(entries: &[Entry]) -> Vec<u8> {
    let mut views = Vec::new();
    for entry in entries {
        let view = TensorView::new(entry.dtype, entry.shape.clone(), &entry.data).unwrap();
        views.push((entry.name.as_str(), view));
    }
    serialize(views, None).unwrap()
}

#[test]
fn a_round_trip_keeps_every_bit() {
    let Some(gpu) = crate::gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (saved, loaded) = (network(gpu, 1), network(gpu, 2));
    saved.set("head.bias", [f32::NAN, f32::INFINITY, -0.0, f32::MIN_POSITIVE / 2.0, 1e-38].as_slice()).unwrap();
    assert_ne!(bits(&saved), bits(&loaded));
    saved.save_blocking(&path).unwrap();
    loaded.load(&path).unwrap();
    assert_eq!(bits(&saved), bits(&loaded));
    // Over an older file, too.
    loaded.set("head.bias", [1.0_f32; 5].as_slice()).unwrap();
    loaded.save_blocking(&path).unwrap();
    saved.load(&path).unwrap();
    assert_eq!(bits(&saved), bits(&loaded));
}

#[test]
fn names_and_shapes_are_pytorchs() {
    let Some(gpu) = crate::gpu() else { return };
    let variables = network(gpu, 1);
    assert_eq!(variables.names(), EXPECTED.map(|(name, _)| name));
    let bytes = pollster::block_on(variables.to_safetensors()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), EXPECTED.len(), "no optimizer slot is saved");
    for (name, shape) in EXPECTED {
        let tensor = file.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, shape), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_named_and_changes_nothing() {
    let Some(gpu) = crate::gpu() else { return };
    let (source, target) = (network(gpu, 1), network(gpu, 2));
    let before = bits(&target);
    let refused = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = entries(&source);
        change(&mut entries);
        let error = message(target.load_safetensors(&file(&entries)));
        assert_eq!(bits(&target), before, "{error}: something was changed");
        error
    };
    let at = |name: &str| EXPECTED.iter().position(|(other, _)| *other == name).unwrap();
    let missing = refused(&|e| {
        e.remove(at("features.bn.running_var"));
    });
    assert_eq!(missing, "checkpoint: `features.bn.running_var` [4] is missing");
    let renamed = refused(&|e| e[at("head.bias")].name = "tail.bias".into());
    assert_eq!(renamed, "checkpoint: `head.bias` [5] is missing");
    let extra = refused(&|e| {
        e.push(Entry { name: "tail.bias".into(), dtype: Dtype::F32, shape: vec![1], data: vec![0; 4] });
    });
    assert_eq!(extra, "checkpoint: `tail.bias` belongs to no variable of this network");
    let misshapen = refused(&|e| e[at("head.weight")].shape = vec![64, 5]);
    assert_eq!(misshapen, "checkpoint: `head.weight`: expected f32[5, 64], got F32[64, 5]");
    let mistyped = refused(&|e| e[at("head.bias")].dtype = Dtype::I32);
    assert_eq!(mistyped, "checkpoint: `head.bias`: expected f32[5], got I32[5]");
}

#[test]
fn pytorchs_batch_counter_is_passed_over() {
    let Some(gpu) = crate::gpu() else { return };
    let (source, target) = (network(gpu, 1), network(gpu, 2));
    let mut entries = entries(&source);
    let name = "features.bn.num_batches_tracked".to_string();
    entries.push(Entry { name, dtype: Dtype::I64, shape: Vec::new(), data: 938_i64.to_le_bytes().to_vec() });
    target.load_safetensors(&file(&entries)).unwrap();
    assert_eq!(bits(&target), bits(&source));
    // But only where there is a batch norm.
    for name in ["head.num_batches_tracked", "num_batches_tracked", "features.bn2.num_batches_tracked"] {
        entries.last_mut().unwrap().name = name.into();
        let error = message(target.load_safetensors(&file(&entries)));
        assert_eq!(error, format!("checkpoint: `{name}` belongs to no variable of this network"));
    }
}

#[test]
fn equal_content_makes_equal_files() {
    let Some(gpu) = crate::gpu() else { return };
    let texts =
        [("model", "a"), ("ünï \"code\"\n\\", "\u{1}\t\"{}, é 目"), ("", ""), ("b", "1"), ("c", "2"), ("d", "3")];
    let saved = |texts: &mut dyn Iterator<Item = &(&str, &str)>| {
        let variables = network(gpu, 1);
        texts.for_each(|(key, text)| variables.set_metadata(key, text));
        pollster::block_on(variables.to_safetensors()).unwrap()
    };
    let bytes = saved(&mut texts.iter());
    assert!(bytes == saved(&mut texts.iter().rev()), "the order of the texts shows");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, &bytes).unwrap();
    let read = Variables::read_metadata(&path).unwrap();
    assert_eq!(read.len(), texts.len());
    for (key, text) in texts {
        assert_eq!(read[key], text);
    }
    let loaded = network(gpu, 2);
    loaded.load(&path).unwrap();
    assert_eq!(bits(&loaded), bits(&network(gpu, 1)));
    // The texts are all that a file with texts has more.
    let header = |bytes: &[u8]| 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let plain = saved(&mut [].iter());
    assert!(bytes[header(&bytes)..] == plain[header(&plain)..]);
    assert_eq!(header(&bytes) % 8, 0);
}

#[test]
fn a_file_is_checked_without_a_device() {
    let graph = Graph::new(Mode::Evaluation);
    graph.input("x", [1, 2]).unwrap().dense("head", 3).unwrap();
    let layout = VariableLayout::of(&graph, u64::MAX).unwrap();
    let entry = |name: &str, shape: &[usize]| {
        let data = vec![0; 4 * shape.iter().product::<usize>()];
        Entry { name: name.into(), dtype: Dtype::F32, shape: shape.to_vec(), data }
    };
    let good = [entry("head.weight", &[3, 2]), entry("head.bias", &[3])];
    layout.check_safetensors(&file(&good)).unwrap();
    let error = message(layout.check_safetensors(&file(&good[..1])));
    assert_eq!(error, "checkpoint: `head.bias` [3] is missing");
    let error = message(layout.check_safetensors(b"words"));
    assert!(error.starts_with("checkpoint: not a safetensors file"), "{error}");
}

#[test]
fn threads_may_save_to_one_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared");
    std::thread::scope(|scope| {
        for fill in 0..8_u8 {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..20 {
                    omma::files::write_atomically(path, &vec![fill; 10_000]).unwrap();
                }
            });
        }
    });
    let last = fs::read(&path).unwrap();
    assert!(last.len() == 10_000 && last.iter().all(|byte| *byte == last[0]), "a mixture of two files");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "parts are left");
}

#[test]
fn a_damaged_file_is_refused_and_named() {
    let Some(gpu) = crate::gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (source, target) = (network(gpu, 1), network(gpu, 2));
    let before = bits(&target);
    let whole = pollster::block_on(source.to_safetensors()).unwrap();
    let lies = [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat();
    let cuts = [0, 1, 7, 8, 20, whole.len() / 2, whole.len() - 1];
    let damaged = cuts.iter().map(|&length| whole[..length].to_vec());
    for bytes in damaged.chain([b"no tensors here, only words".to_vec(), lies, [whole.as_slice(), b"!"].concat()]) {
        fs::write(&path, &bytes).unwrap();
        let error = target.load(&path).unwrap_err();
        assert!(matches!(&error, Error::Data { path: named, .. } if *named == path), "{error}");
        assert!(error.to_string().contains("not a safetensors file"), "{error}");
    }
    assert_eq!(bits(&target), before);
    let absent = folder.path().join("absent.safetensors");
    let error = target.load(&absent).unwrap_err();
    assert!(matches!(&error, Error::Io { path: named, .. } if *named == absent), "{error}");
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let Some(gpu) = crate::gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let variables = network(gpu, 1);
    let names = || {
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    variables.save_blocking(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(names(), ["model.safetensors"], "nothing is left beside it");

    let nowhere = folder.path().join("no/such/folder/model.safetensors");
    let error = variables.save_blocking(&nowhere).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == nowhere), "{error}");

    // A folder stands where the file should go: the renaming fails, and what was written beside it is taken away.
    fs::create_dir(folder.path().join("taken")).unwrap();
    fs::write(folder.path().join("taken/file"), "kept").unwrap();
    variables.save_blocking(folder.path().join("taken")).unwrap_err();
    assert_eq!(names(), ["model.safetensors", "taken"]);
    assert_eq!(fs::read_to_string(folder.path().join("taken/file")).unwrap(), "kept");
}

/// A session that trains a small network by this optimizer, with its variables.
fn learner(gpu: &Gpu, optimizer: &Optimizer, seed: u64) -> (Session, Variables) {
    let variables = Variables::new(gpu, seed);
    (learn(gpu, optimizer, &variables), variables)
}

fn learn(gpu: &Gpu, optimizer: &Optimizer, variables: &Variables) -> Session {
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [2, 3, 5, 5]).unwrap().conv2d("conv", Conv2d::new(4, 3)).unwrap();
    let x = x.batch_norm("bn", BatchNorm::default()).unwrap().relu().unwrap().flatten().unwrap();
    let labels = graph.label_input("labels", 2).unwrap();
    let loss = x.dense("head", 5).unwrap().softmax_cross_entropy(labels).unwrap();
    graph.minimize(loss, optimizer).unwrap();
    Session::new(gpu, &graph, &[], variables).unwrap()
}

fn steps(session: &mut Session, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let x: Vec<f32> = (0..150).map(|i| ((i * 7 + number * 5) % 11) as f32 / 5.0 - 1.0).collect();
        let labels = vec![number as u32 % 5, 3];
        session.run_blocking(&[("x", (&x).into()), ("labels", (&labels).into())]).unwrap();
    }
}

#[test]
fn a_training_goes_on_from_its_files_bit_for_bit() {
    let Some(gpu) = crate::gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [model, memory] = ["model", "optimizer"].map(|name| folder.path().join(name));
    for optimizer in [
        Optimizer::sgd(0.1),
        Optimizer::sgd(0.1).momentum(0.9).ema(0.9),
        Optimizer::adam(0.01).accumulate(2),
        Optimizer::rmsprop(0.01).centered().momentum(0.5).ema(0.99).ema_warmup(),
        Optimizer::lion(0.01),
    ] {
        let (mut whole, expected) = learner(gpu, &optimizer, 1);
        steps(&mut whole, 0..7);
        let (mut first, variables) = learner(gpu, &optimizer, 1);
        steps(&mut first, 0..3);
        variables.save_blocking(&model).unwrap();
        variables.save_optimizer_blocking(&memory).unwrap();
        let (mut second, variables) = learner(gpu, &optimizer, 2);
        variables.load(&model).unwrap();
        variables.load_optimizer(&memory).unwrap();
        steps(&mut second, 3..7);
        assert_eq!(bits(&variables), bits(&expected), "{optimizer:?}");
        if let (Ok(averages), Ok(expected)) = (variables.averaged(), expected.averaged()) {
            assert_eq!(bits(&averages), bits(&expected), "{optimizer:?}");
        }
        assert_eq!(variables.steps(), 7);
    }
}

#[test]
fn an_optimizers_memory_has_pytorchs_names() {
    let Some(gpu) = crate::gpu() else { return };
    let of = |optimizer: Optimizer| {
        let (_, variables) = learner(gpu, &optimizer, 1);
        pollster::block_on(variables.optimizer_to_safetensors()).unwrap()
    };
    let kinds = |optimizer: Optimizer| {
        let file = of(optimizer);
        let file = SafeTensors::deserialize(&file).unwrap();
        let names = file.names().into_iter().map(String::from);
        let mut kinds: Vec<String> = names.filter_map(|n| n.strip_prefix("conv.weight.").map(String::from)).collect();
        kinds.sort_unstable();
        assert_eq!(file.len(), 6 * kinds.len(), "of each of the six parameters");
        kinds
    };
    assert_eq!(kinds(Optimizer::sgd(0.1)), [""; 0]);
    assert_eq!(kinds(Optimizer::sgd(0.1).momentum(0.9)), ["momentum_buffer"]);
    assert_eq!(kinds(Optimizer::adam(0.1).ema(0.9)), ["average", "exp_avg", "exp_avg_sq"]);
    let all = Optimizer::rmsprop(0.1).centered().momentum(0.9).accumulate(2);
    assert_eq!(kinds(all), ["grad_avg", "gradient_sum", "momentum_buffer", "square_avg"]);
    assert_eq!(kinds(Optimizer::adagrad(0.1)), ["sum"]);
    // After another optimizer of the same variables, what the last one keeps.
    let (_, variables) = learner(gpu, &Optimizer::adam(0.1), 1);
    learn(gpu, &Optimizer::sgd(0.1).momentum(0.9), &variables);
    let both = pollster::block_on(variables.optimizer_to_safetensors()).unwrap();
    assert_eq!(both, of(Optimizer::sgd(0.1).momentum(0.9)));
    // In PyTorch's shapes, whatever the order in memory.
    let file = of(Optimizer::lion(0.1));
    assert_eq!(SafeTensors::deserialize(&file).unwrap().tensor("conv.weight.exp_avg").unwrap().shape(), [4, 3, 3, 3]);
    // What another optimizer kept, or no optimizer, is refused.
    let (_, variables) = learner(gpu, &Optimizer::adam(0.1), 1);
    let refused = |bytes: &[u8]| message(variables.load_optimizer_safetensors(bytes));
    assert_eq!(refused(&file), "checkpoint: `conv.weight.exp_avg_sq` [4, 3, 3, 3] is missing");
    let more = refused(&of(Optimizer::adam(0.1).ema(0.9)));
    assert_eq!(more, "checkpoint: `bn.bias.average` belongs to no optimizer of these variables");
    let model = pollster::block_on(variables.to_safetensors()).unwrap();
    assert_eq!(refused(&model), "checkpoint: `conv.weight.exp_avg` [4, 3, 3, 3] is missing");
    let (_, plain) = learner(gpu, &Optimizer::sgd(0.1), 1);
    let error = message(plain.load_optimizer_safetensors(&self::file(&[])));
    assert_eq!(error, "checkpoint: the metadata `steps` is no number");
}
