//! The networks: as many parameters as published, the outputs of the reference executor, gradients for every parameter, and a
//! handful of examples learned by heart. All but the first at sizes that a software adapter gets through.

use omma::models::{GoogLeNet, InceptionV3, Input, MODELS, Model};
use omma::{
    CrossEntropy, DType, Evaluator, Graph, HostTensor, Mode, Optimizer, Session, Tensor, TensorType, Variables,
};

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
    // By hand from the paper's table 1, which says 0.5 million: 10,368 + 49,280 + 98,560 + 393,728 of the convolutions,
    // 2,048 of the norms, 5,130 of the last layer.
    ("m5", 559_114),
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

fn built(model: &Model) -> Graph {
    let graph = Graph::new(Mode::Training);
    if let Err(error) = model.add_to(&graph, 1, model.classes) {
        panic!("{}: {error}", model.name);
    }
    graph
}

/// A small example of what the network takes.
pub(crate) fn small(model: &Model, batch: usize) -> TensorType {
    match model.input {
        Input::Image { channels, .. } => {
            let side = match model.name {
                "lenet5" => 28,
                "unet" => 32,
                // Three poolings behind a stride of four, without padding.
                "alexnet_2012" => 96,
                // Its trunk halves five times, mostly without padding.
                "inception_v3" => 80,
                _ => 64,
            };
            TensorType::f32([batch, channels, side, side])
        }
        Input::Sound { .. } => TensorType::f32([batch, 1, 2000]),
        Input::Text { .. } => TensorType::u32([batch, 12]),
        _ => panic!("{} takes something new", model.name),
    }
}

const CLASSES: usize = 4;

/// Values that differ from example to example; of a text, words.
pub(crate) fn examples(ty: &TensorType) -> Vec<f32> {
    let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0;
    let value = |i: usize| if ty.dtype == DType::U32 { (noise(i) * 1000.0).floor() } else { 2.0 * noise(i) - 1.0 };
    (0..ty.elements()).map(value).collect()
}

/// The network on its small input.
pub(crate) fn add<'g>(graph: &'g Graph, model: &Model, batch: usize) -> Tensor<'g> {
    let x = graph.input_of("input", small(model, batch)).unwrap();
    (model.build)(x, CLASSES).unwrap_or_else(|error| panic!("{}: {error}", model.name))
}

/// The device's outputs against the reference executor's.
///
/// A layer adds an error of at most BOUND·eps·sqrt(K) of its results' size, K the terms of its longest sum (the bound that
/// the operations are held to one by one), and passes on what came before it at about its own size: the initial weights
/// keep the size of values, and so does a norm. So L layers are off by at most L times that.
fn agrees(model: &Model) {
    const BOUND: f64 = 4.0;
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let logits = add(&graph, model, 1);
    let values = examples(&small(model, 1));
    let mut session = Session::new(gpu, &graph, &[logits], &Variables::new(gpu, 3)).unwrap();
    let words: Vec<u32> = values.iter().map(|&value| value as u32).collect();
    let is_text = small(model, 1).dtype == DType::U32;
    let feed: HostTensor<'_> = if is_text { (&words).into() } else { (&values).into() };
    session.run_blocking(&[("input", feed)]).unwrap();
    let actual = session.read_blocking::<f32>(logits).unwrap();

    let mut evaluator = Evaluator::new(&graph, 3);
    let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
    evaluator.run_for(&[logits.id()], &[("input", &wide)]).unwrap();
    let expected = evaluator.value(logits);
    let layers = graph.layers().iter().filter(|layer| layer.multiply_adds > 0).count();
    let longest = graph.parameters().iter().map(|p| p.shape().iter().skip(1).product::<usize>()).max().unwrap_or(1);
    let size = expected.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
    let bound = BOUND * f64::from(f32::EPSILON) * (longest as f64).sqrt() * layers as f64 * size;
    assert!(size > 0.0 && size.is_finite(), "{}: {size}", model.name);
    for (actual, expected) in actual.iter().zip(expected) {
        let error = (f64::from(*actual) - expected).abs();
        assert!(error <= bound, "{}: {actual} for {expected}, off by {error:e}, bound {bound:e}", model.name);
    }
}

/// Steps of Adam on a few examples, until the loss has fallen to less than half; every parameter has moved then, which under
/// Adam is to say that its gradient was finite and not zero.
///
/// AlexNet, ZFNet and VGG are left out: the gradients of their widest dense layers exceed what the software adapter lets a
/// kernel bind (`max_storage_buffer_binding_size`).
fn learns(model: &Model) {
    const BATCH: usize = CLASSES;
    const MOST_STEPS: usize = 80;
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Training).seed(1);
    let logits = add(&graph, model, BATCH);
    let mut shape = logits.shape().to_vec();
    shape.remove(1);
    let labels = graph.input_of("labels", TensorType::u32(shape.clone())).unwrap();
    let loss = logits.cross_entropy(labels, CrossEntropy::default()).unwrap();
    graph.minimize(loss, &Optimizer::adam(1e-3)).unwrap();
    let variables = Variables::new(gpu, 5);
    let mut session = Session::new(gpu, &graph, &[loss], &variables).unwrap();
    let before = variables.read_all_blocking().unwrap();
    let values = examples(&small(model, BATCH));
    let words: Vec<u32> = values.iter().map(|&value| value as u32).collect();
    let is_text = small(model, BATCH).dtype == DType::U32;
    // Every example has a class of its own, at all its places.
    let places: usize = shape.iter().skip(1).product();
    let labels: Vec<u32> = (0..BATCH * places).map(|i| (i / places) as u32).collect();
    let mut losses: Vec<f32> = Vec::new();
    while losses.len() < 2 || (losses.len() < MOST_STEPS && losses[losses.len() - 1] >= 0.5 * losses[0]) {
        let feed: HostTensor<'_> = if is_text { (&words).into() } else { (&values).into() };
        session.run_blocking(&[("input", feed), ("labels", (&labels).into())]).unwrap();
        losses.push(session.read_blocking::<f32>(loss).unwrap()[0]);
    }
    let least = losses.iter().copied().fold(f32::INFINITY, f32::min);
    assert!(least < 0.5 * losses[0], "{}: {losses:?}", model.name);
    let after = variables.read_all_blocking().unwrap();
    for parameter in graph.parameters() {
        let name = parameter.name().unwrap();
        let of = |all: &omma::NamedArrays| all.iter().find(|(other, _)| *other == name).unwrap().1.clone();
        let (before, after) = (of(&before), of(&after));
        assert!(after.iter().all(|value| value.is_finite()), "{}: {name}", model.name);
        assert!(before != after, "{}: {name} has no gradient", model.name);
    }
}

/// One test a network of either kind, so that they run beside each other and say which failed.
macro_rules! networks {
    ($($check:ident: $($test:ident $name:literal),*;)*) => { $($(
        #[test]
        fn $test() {
            $check(&Model::named($name).unwrap());
        }
    )*)* };
}

networks! {
    agrees: lenet5_agrees "lenet5", alexnet_agrees "alexnet", alexnet_2012_agrees "alexnet_2012", zfnet_agrees "zfnet",
        vgg11_agrees "vgg11", vgg13_agrees "vgg13", vgg16_bn_agrees "vgg16_bn", vgg19_agrees "vgg19",
        googlenet_agrees "googlenet", inception_v3_agrees "inception_v3", resnet18_agrees "resnet18",
        resnet34_agrees "resnet34", resnet50_agrees "resnet50", resnet101_agrees "resnet101",
        resnext50_agrees "resnext50_32x4d", densenet121_agrees "densenet121", squeezenet1_0_agrees "squeezenet1_0",
        squeezenet1_1_agrees "squeezenet1_1", mobilenet_v1_agrees "mobilenet_v1", mobilenet_v2_agrees "mobilenet_v2",
        mobilenet_v3_small_agrees "mobilenet_v3_small", mobilenet_v3_large_agrees "mobilenet_v3_large",
        shufflenet_v1_agrees "shufflenet_v1", shufflenet_v2_agrees "shufflenet_v2",
        efficientnet_b0_agrees "efficientnet_b0", unet_agrees "unet", m5_agrees "m5", text_cnn_agrees "text_cnn";
    learns: lenet5_learns "lenet5", googlenet_learns "googlenet",
        inception_v3_learns "inception_v3", resnet50_learns "resnet50", resnext50_learns "resnext50_32x4d",
        densenet121_learns "densenet121", squeezenet1_1_learns "squeezenet1_1", mobilenet_v1_learns "mobilenet_v1",
        mobilenet_v2_learns "mobilenet_v2", mobilenet_v3_small_learns "mobilenet_v3_small",
        shufflenet_v1_learns "shufflenet_v1", shufflenet_v2_learns "shufflenet_v2",
        efficientnet_b0_learns "efficientnet_b0", unet_learns "unet", m5_learns "m5", text_cnn_learns "text_cnn";
}
