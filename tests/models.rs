//! The networks: as many parameters as published, torchvision's names, the outputs of the reference executor, gradients for
//! every parameter, and a handful of examples learned by heart. All but the first two at sizes that a software adapter gets
//! through.

mod gradients;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use omma::models::{GoogLeNet, InceptionV3, Input, MODELS, Model, UNet, Vgg, lenet5};
use omma::{
    CrossEntropy, DType, Evaluator, Graph, HostTensor, Mode, Optimizer, Session, Tensor, TensorId, TensorType,
    VariableLayout, Variables,
};
use safetensors::tensor::{Dtype, TensorView};

/// Learned values, as published: where torchvision has the network, the `num_params` of its weights' metadata
/// (<https://docs.pytorch.org/vision/stable/models.html>), else as the comment says.
const PARAMETERS: [(&str, usize); 33] = [
    // LeCun et al. 1998 with all maps connected: 156 + 2,416 + 48,120 + 10,164 + 850.
    ("lenet5", 61_706),
    ("alexnet", 61_100_840),
    // Caffe's bvlc_alexnet, the same network.
    ("alexnet_2012", 60_965_224),
    // By hand from the paper's figure 3: 14,208 + 614,656 + 885,120 + 1,327,488 + 884,992 + 37,752,832 + 16,781,312 + 4,097,000.
    ("zfnet", 62_357_608),
    ("vgg11", 132_863_336),
    ("vgg13", 133_047_848),
    ("vgg16", 138_357_544),
    ("vgg19", 143_667_240),
    ("vgg11_bn", 132_868_840),
    ("vgg13_bn", 133_053_736),
    ("vgg16_bn", 138_365_992),
    ("vgg19_bn", 143_678_248),
    ("googlenet", 6_624_904),
    // torchvision counts the auxiliary classifier, 27,161,264 in all.
    ("inception_v3", 23_834_568),
    ("resnet18", 11_689_512),
    ("resnet34", 21_797_672),
    ("resnet50", 25_557_032),
    ("resnet101", 44_549_160),
    ("resnet152", 60_192_808),
    ("resnext50_32x4d", 25_028_904),
    ("densenet121", 7_978_856),
    ("squeezenet1_0", 1_248_424),
    ("squeezenet1_1", 1_235_496),
    // The trainable ones of Keras' MobileNet (https://keras.io/api/applications): 4.2 million in the paper.
    ("mobilenet_v1", 4_231_976),
    ("mobilenet_v2", 3_504_872),
    ("mobilenet_v3_small", 2_542_856),
    ("mobilenet_v3_large", 5_483_032),
    // By hand from the paper's table 1 with three groups; its authors' code says 1.9 million
    // (<https://github.com/megvii-model/ShuffleNet-Series>).
    ("shufflenet_v1", 1_865_728),
    ("shufflenet_v2", 2_278_604),
    ("efficientnet_b0", 5_288_548),
    // By hand from the paper's figure 1, for one colour and two classes.
    ("unet", 31_030_658),
    // By hand from the paper's table 1, which says 0.5 million: 10,240 + 49,152 + 98,304 + 393,216 of the convolutions, which
    // have no biases before their norms, 2,048 of the norms, 5,130 of the last layer.
    ("m5", 558_090),
    // 18,765 x 300 + (3 + 4 + 5) x 300 x 100 + 300 + 300 x 2 + 2: the paper's section 3 and table 1.
    ("text_cnn", 5_990_402),
];

#[test]
fn have_as_many_parameters_as_published() {
    let counted: Vec<(&str, usize)> = MODELS.iter().map(|model| (model.name, built(model).parameter_count())).collect();
    assert_eq!(counted, PARAMETERS);
    // With the classifiers that only training needs: torchvision's own counts.
    let graph = Graph::new(Mode::Training);
    GoogLeNet.build_with_auxiliaries(graph.input("x", [1, 3, 224, 224]).unwrap(), 1000).unwrap();
    assert_eq!(graph.parameter_count(), 13_004_888);
    let graph = Graph::new(Mode::Training);
    InceptionV3.build_with_auxiliary(graph.input("x", [2, 3, 299, 299]).unwrap(), 1000).unwrap();
    assert_eq!(graph.parameter_count(), 27_161_264);
}

/// The paper's own images are 32x32.
#[test]
fn lenet5_takes_any_size() {
    for (side, inputs) in [(28, 400), (32, 576), (12, 16)] {
        let graph = Graph::new(Mode::Training);
        let logits = lenet5(graph.input("x", [2, 1, side, side]).unwrap(), 10).unwrap();
        assert_eq!(logits.shape()[..], [2, 10]);
        assert_eq!(graph.tensor("fc1.weight").unwrap().shape()[..], [120, inputs]);
    }
    let graph = Graph::new(Mode::Training);
    assert!(lenet5(graph.input("x", [2, 1, 10, 10]).unwrap(), 10).is_err());
}

fn built(model: &Model) -> Graph {
    let graph = Graph::new(Mode::Training);
    if let Err(error) = model.add_to(&graph, 1, model.classes) {
        panic!("{}: {error}", model.name);
    }
    graph
}

/// What torchvision calls its parameters and states, and their shapes: its own lists load by name, and nothing else does.
#[test]
fn have_torchvisions_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torchvision");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let list = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let model = Model::named(name.strip_suffix("_x1_0").unwrap_or(name)).unwrap();
        let graph = Graph::new(Mode::Training);
        // With the classifiers that only training needs.
        let x = graph.input_of("input", model.input.batch(2)).unwrap();
        match name {
            "googlenet" => drop(GoogLeNet.build_with_auxiliaries(x, 1000).unwrap()),
            "inception_v3" => drop(InceptionV3.build_with_auxiliary(x, 1000).unwrap()),
            _ => drop((model.build)(x, 1000).unwrap()),
        }
        let layout = VariableLayout::of(&graph, u64::MAX).unwrap();
        let lines = list.lines().filter(|line| !line.starts_with('#'));
        let tensors: Vec<(&str, Vec<usize>)> = lines
            .map(|line| {
                let (name, shape) = line.split_once(' ').unwrap();
                (name, shape.split('x').map(|length| length.parse().unwrap()).collect())
            })
            .collect();
        assert!(layout.check_safetensors(&file(&tensors)).is_ok(), "{name}");
        // A list that lacks one is not that network's.
        assert!(layout.check_safetensors(&file(&tensors[1..])).is_err(), "{name}");
        files += 1;
    }
    assert_eq!(files, 25);
}

/// A safetensors file of zeros, whose tensors share no bytes but those of one array.
fn file(tensors: &[(&str, Vec<usize>)]) -> Vec<u8> {
    let longest = tensors.iter().map(|(_, shape)| 4 * shape.iter().product::<usize>()).max().unwrap();
    let zeros = vec![0; longest];
    let view = |shape: &[usize]| {
        let bytes = 4 * shape.iter().product::<usize>();
        TensorView::new(Dtype::F32, shape.to_vec(), &zeros[..bytes]).unwrap()
    };
    safetensors::serialize(tensors.iter().map(|(name, shape)| (name, view(shape))), None).unwrap()
}

/// A file with auxiliary classifiers loads into the network without them, and its other tensors are named.
#[test]
fn files_with_auxiliary_classifiers_load() {
    let Some(gpu) = crate::gpu() else { return };
    let (training, evaluation) = (Graph::new(Mode::Training), Graph::new(Mode::Evaluation));
    GoogLeNet.build_with_auxiliaries(training.input("x", [2, 3, 64, 64]).unwrap(), 2).unwrap();
    GoogLeNet.build(evaluation.input("x", [2, 3, 64, 64]).unwrap(), 2).unwrap();
    let (all, few) = (Variables::new(gpu, 1), Variables::new(gpu, 2));
    all.declare(&training).unwrap();
    few.declare(&evaluation).unwrap();
    let bytes = pollster::block_on(all.to_safetensors()).unwrap();
    assert!(few.load_safetensors(&bytes).is_err());
    let others = few.load_safetensors_matching(&bytes).unwrap();
    assert_eq!(others.len(), all.names().len() - few.names().len());
    assert!(others.iter().all(|name| name.starts_with("aux1.") || name.starts_with("aux2.")), "{others:?}");
    let (all, few) = (all.read_all_blocking().unwrap(), few.read_all_blocking().unwrap());
    for (name, values) in few {
        assert_eq!(Some(&values), all.iter().find(|(other, _)| *other == name).map(|(_, values)| values), "{name}");
    }
}

const CLASSES: usize = 4;
const BATCH: usize = CLASSES;
/// What the names of the networks with the classifiers that only training needs end in.
const AUXILIARY: &str = " with auxiliaries";

/// A small example of what the network takes.
pub(crate) fn small(name: &str, batch: usize) -> TensorType {
    let model = Model::named(name.trim_end_matches(AUXILIARY)).unwrap();
    match model.input {
        Input::Image { channels, .. } => {
            let side = match name {
                "lenet5" => 28,
                "unet" => 32,
                // Three poolings behind a stride of four, without padding.
                "alexnet_2012" => 96,
                // Its trunk halves five times, mostly without padding.
                "inception_v3" => 80,
                // The classifier sees the maps through 5x5 twice.
                "inception_v3 with auxiliaries" => 299,
                name if name.starts_with("vgg") => 32,
                _ => 64,
            };
            TensorType::f32([batch, channels, side, side])
        }
        Input::Sound { .. } => TensorType::f32([batch, 1, 2000]),
        Input::Text { .. } => TensorType::u32([batch, 12]),
        _ => panic!("{name} takes something new"),
    }
}

/// Values that differ from example to example; of a text, words.
pub(crate) fn examples(ty: &TensorType) -> Vec<f32> {
    let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0;
    let value = |i: usize| if ty.dtype == DType::U32 { (noise(i) * 1000.0).floor() } else { 2.0 * noise(i) - 1.0 };
    (0..ty.elements()).map(value).collect()
}

/// The network on its small input, and the logits of its classifiers.
pub(crate) fn add<'g>(graph: &'g Graph, name: &str, batch: usize) -> Vec<Tensor<'g>> {
    let x = graph.input_of("input", small(name, batch)).unwrap();
    let logits = match name {
        "googlenet with auxiliaries" => {
            GoogLeNet.build_with_auxiliaries(x, CLASSES).map(|(main, [first, second])| vec![main, first, second])
        }
        "inception_v3 with auxiliaries" => {
            InceptionV3.build_with_auxiliary(x, CLASSES).map(|(main, auxiliary)| vec![main, auxiliary])
        }
        // Most of their parameters are in layers of 4096 units, which AlexNet has as well.
        name if name.starts_with("vgg") => {
            let (layers, norm) = (name[3..5].parse().unwrap(), name.ends_with("_bn"));
            let network = Vgg::new(layers).unwrap().hidden(256);
            let network = if norm { network.batch_norm() } else { network };
            network.build(x, CLASSES).map(|logits| vec![logits])
        }
        "unet" => UNet::default().width(16).build(x, CLASSES).map(|logits| vec![logits]),
        _ => (Model::named(name).unwrap().build)(x, CLASSES).map(|logits| vec![logits]),
    };
    logits.unwrap_or_else(|error| panic!("{name}: {error}"))
}

enum Values {
    Numbers(Vec<f32>),
    Words(Vec<u32>),
}

impl Values {
    fn of(name: &str, batch: usize) -> Self {
        let ty = small(name, batch);
        let values = examples(&ty);
        match ty.dtype {
            DType::U32 => Self::Words(values.into_iter().map(|value| value as u32).collect()),
            _ => Self::Numbers(values),
        }
    }

    fn feed(&self) -> HostTensor<'_> {
        match self {
            Self::Numbers(values) => values.into(),
            Self::Words(words) => words.into(),
        }
    }
}

const SEED: u64 = 5;

/// The device's outputs against the reference executor's.
///
/// A layer adds an error of at most BOUND·eps·sqrt(K) of its results' size, K the terms of its longest sum (the bound that
/// the operations are held to one by one), and passes on what came before it at about its own size: the initial weights
/// keep the size of values, and so does a norm. So L layers are off by at most L times that.
fn agrees(name: &str, variables: &Variables) {
    const BOUND: f64 = 4.0;
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let all = add(&graph, name, 1);
    let mut session = Session::new(gpu, &graph, &all, variables).unwrap();
    session.run_blocking(&[("input", Values::of(name, 1).feed())]).unwrap();

    let mut evaluator = Evaluator::new(&graph, SEED);
    let wide: Vec<f64> = examples(&small(name, 1)).into_iter().map(f64::from).collect();
    let ids: Vec<TensorId> = all.iter().map(Tensor::id).collect();
    evaluator.run_for(&ids, &[("input", &wide)]).unwrap();
    let layers = graph.layers().iter().filter(|layer| layer.multiply_adds > 0).count();
    let longest = graph.parameters().iter().map(|p| p.shape().iter().skip(1).product::<usize>()).max().unwrap_or(1);
    for logits in all {
        let (actual, expected) = (session.read_blocking::<f32>(logits).unwrap(), evaluator.value(logits));
        let size = expected.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
        let bound = BOUND * f64::from(f32::EPSILON) * (longest as f64).sqrt() * layers as f64 * size;
        assert!(size > 0.0 && size.is_finite(), "{name}: {size}");
        for (actual, expected) in actual.iter().zip(expected) {
            let error = (f64::from(*actual) - expected).abs();
            assert!(error <= bound, "{name}: {actual} for {expected}, off by {error:e}, bound {bound:e}");
        }
    }
}

/// Steps on a few examples until each is told right, or the loss is below 0.1.
fn learns(name: &str, variables: &Variables) {
    const MOST_STEPS: usize = 200;
    /// -ln 0.7
    const SURE: f32 = 0.357;
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Training).seed(1);
    let all = add(&graph, name, BATCH);
    let logits = all[0];
    let mut shape = logits.shape().to_vec();
    shape.remove(1);
    let labels = graph.input_of("labels", TensorType::u32(shape.clone())).unwrap();
    let mut loss = logits.cross_entropy(labels, CrossEntropy::default()).unwrap();
    for auxiliary in &all[1..] {
        let other = auxiliary.cross_entropy(labels, CrossEntropy::default()).unwrap();
        loss = loss.add(other.multiply(0.3).unwrap()).unwrap();
    }
    // What is kept of the first gradient is a tenth or a hundredth of it. The largest networks do with one such memory.
    let optimizer = match name {
        _ if graph.parameter_count() > LARGE => Optimizer::lion(3e-5),
        // Dense layers without norms, to which longer steps do more harm than good.
        name if name.starts_with("vgg") => Optimizer::adam(1e-4),
        // A ReLU stands behind the last convolution: long steps leave it at 0 everywhere.
        name if name.starts_with("squeezenet") => Optimizer::adam(2e-4),
        _ => Optimizer::adam(1e-3),
    };
    let kept = ".exp_avg";
    graph.minimize(loss, &optimizer).unwrap();
    let mut session = Session::new(gpu, &graph, &[loss, logits], variables).unwrap();
    if gradients::has_depthwise_blocks(name) {
        unsettle_norms(&graph, variables);
    }
    // An example's class stands at all its places.
    let places: usize = shape.iter().skip(1).product();
    let labels: Vec<u32> = (0..BATCH * places).map(|i| (i / places) as u32).collect();
    let values = Values::of(name, BATCH);
    let mut losses: Vec<f32> = Vec::new();
    for step in 0.. {
        session.run_blocking(&[("input", values.feed()), ("labels", (&labels).into())]).unwrap();
        losses.push(session.read_blocking::<f32>(loss).unwrap()[0]);
        if step == 0 {
            gradients::check(name, &graph, variables, kept);
        }
        let logits: Vec<f32> = session.read_blocking::<f32>(logits).unwrap().into_iter().collect();
        // Sure of every example: the mean probability of its class is 7 of 10 at least.
        if losses[step] < SURE && right(&logits, &labels, places) {
            break;
        }
        assert!(step < MOST_STEPS, "{name}: {losses:?}");
    }
    println!("{name}: {} steps, loss {} to {}", losses.len(), losses[0], losses[losses.len() - 1]);
}

/// Whether the largest of the logits, `[N, classes, places]`, is the label's everywhere.
fn right(logits: &[f32], labels: &[u32], places: usize) -> bool {
    labels.iter().enumerate().all(|(place, &label)| {
        let at = |class: usize| logits[(place / places * CLASSES + class) * places + place % places];
        (0..CLASSES).all(|class| class == label as usize || at(class) < at(label as usize))
    })
}

/// Gives norms factors and terms as those of a network that has learned. With the terms 0 that they start from, a positive
/// factor goes through a ReLU and a convolution of single channels, and the next norm takes it away: its gradient is 0.
fn unsettle_norms(graph: &Graph, variables: &Variables) {
    for parameter in graph.parameters() {
        let (name, length) = (parameter.name().unwrap(), parameter.shape().elements());
        let Some((layer, kind)) = name.rsplit_once('.') else { continue };
        if graph.tensor(&format!("{layer}.running_mean")).is_none() {
            continue;
        }
        let noise = examples(&TensorType::f32([length]));
        let middle = if kind == "weight" { 1.0 } else { 0.0 };
        let values: Vec<f32> = noise.into_iter().map(|value| middle + 0.3 * value).collect();
        variables.set(&name, &values).unwrap();
    }
}

/// A network of more parameters is tried alone, for the memory that it takes.
const LARGE: usize = 20_000_000;

fn check(name: &str) {
    static ALONE: Mutex<()> = Mutex::new(());
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Training);
    add(&graph, name, BATCH);
    let alone = (graph.parameter_count() > LARGE).then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner));
    let (variables, start) = (Variables::new(gpu, SEED), std::time::Instant::now());
    agrees(name, &variables);
    let agreed = start.elapsed();
    learns(name, &variables);
    println!("{name}: {:.1} s, then {:.1} s", agreed.as_secs_f64(), (start.elapsed() - agreed).as_secs_f64());
    drop(alone);
}

/// One test a network, so that they run beside each other and say which failed.
macro_rules! networks {
    ($($test:ident $name:literal),*) => {
        const NETWORKS: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )*
    };
}

networks! {
    lenet5_learns "lenet5", alexnet_learns "alexnet", alexnet_2012_learns "alexnet_2012", zfnet_learns "zfnet",
    vgg11_learns "vgg11", vgg13_learns "vgg13", vgg16_learns "vgg16", vgg19_learns "vgg19",
    vgg11_bn_learns "vgg11_bn", vgg13_bn_learns "vgg13_bn", vgg16_bn_learns "vgg16_bn", vgg19_bn_learns "vgg19_bn",
    googlenet_learns "googlenet", inception_v3_learns "inception_v3", resnet18_learns "resnet18",
    resnet34_learns "resnet34", resnet50_learns "resnet50", resnet101_learns "resnet101",
    resnet152_learns "resnet152", resnext50_32x4d_learns "resnext50_32x4d", densenet121_learns "densenet121",
    squeezenet1_0_learns "squeezenet1_0", squeezenet1_1_learns "squeezenet1_1", mobilenet_v1_learns "mobilenet_v1",
    mobilenet_v2_learns "mobilenet_v2", mobilenet_v3_small_learns "mobilenet_v3_small",
    mobilenet_v3_large_learns "mobilenet_v3_large", shufflenet_v1_learns "shufflenet_v1",
    shufflenet_v2_learns "shufflenet_v2", efficientnet_b0_learns "efficientnet_b0", unet_learns "unet",
    m5_learns "m5", text_cnn_learns "text_cnn", googlenet_learns_with_auxiliaries "googlenet with auxiliaries",
    inception_v3_learns_with_auxiliaries "inception_v3 with auxiliaries"
}

#[test]
fn all_are_checked() {
    let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
    let checked: Vec<&str> = NETWORKS.iter().copied().filter(|name| !name.ends_with(AUXILIARY)).collect();
    assert_eq!(checked, names);
}
