//! Graphs as ONNX files: read back they compute the same, and what is in no file is named.

use omma::models::Model;
use omma::onnx::{Array, Export, Options, Runner, inputs, read_tensor, write_tensor};
use omma::{
    BatchNorm, Conv2d, DType, Graph, HostTensor, Init, Mode, NamedArrays, Norm, Session, Tensor, TensorType,
    VariableLayout, Variables,
};

use crate::gpu;
use crate::models::{add, examples, small};
use crate::support::message;

fn initial(graph: &Graph) -> NamedArrays {
    VariableLayout::of(graph, u64::MAX).unwrap().initial_values(3)
}

fn export(graph: &Graph, outputs: &[Tensor<'_>], export: &Export) -> omma::Result<Vec<u8>> {
    graph.to_onnx(outputs, &initial(graph), export)
}

/// What a network's own graph computes, and what becomes of that in a file.
fn computed(graph: &Graph, y: Tensor<'_>, ty: &TensorType, values: &[f32]) -> Option<(Array, Array, Vec<f32>)> {
    let gpu = gpu()?;
    let words: Vec<u32> = values.iter().map(|&value| value as u32).collect();
    let is_text = ty.dtype == DType::U32;
    let mut session = Session::new(gpu, graph, &[y], &Variables::new(gpu, 3)).unwrap();
    let feed: HostTensor<'_> = if is_text { (&words).into() } else { values.into() };
    session.run_blocking(&[("input", feed)]).unwrap();
    let expected = session.read_blocking::<f32>(y).unwrap().iter().copied().collect();
    let file = export(graph, &[y], &Export::default()).unwrap();
    let model = Options::default().load(file).unwrap();
    let input = match is_text {
        true => Array::new(&ty.shape, words.into_iter().map(i64::from).collect()),
        false => Array::new(&ty.shape, values.to_vec()),
    };
    let input = input.unwrap();
    let outputs = Runner::new(gpu, &model).unwrap().run_blocking(&[("input", &input)]).unwrap();
    Some((input, outputs[0].1.clone(), expected))
}

/// Every bit is the same: the file makes the graph that it was made of.
fn is_the_same(model: &Model) {
    let graph = Graph::new(Mode::Evaluation);
    let y = add(&graph, model.name, 2)[0];
    let ty = small(model.name, 2);
    let Some((_, got, expected)) = computed(&graph, y, &ty, &examples(&ty)) else { return };
    let got = got.to_f32().unwrap();
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    assert_eq!(bits(&got), bits(&expected), "{}", model.name);
}

/// The file computes some function by others, so that results differ by roundings. With the bound of `tests/models.rs`,
/// 4·eps·sqrt(K)·L of the results' size, for either of the two.
fn is_nearly_the_same(model: &Model) {
    let graph = Graph::new(Mode::Evaluation);
    let y = add(&graph, model.name, 2)[0];
    let ty = small(model.name, 2);
    let Some((_, got, expected)) = computed(&graph, y, &ty, &examples(&ty)) else { return };
    let layers = graph.layers().iter().filter(|layer| layer.multiply_adds > 0).count();
    let longest = graph.parameters().iter().map(|p| p.shape().iter().skip(1).product::<usize>()).max().unwrap();
    let size = expected.iter().fold(0.0_f32, |size, value| size.max(value.abs()));
    let bound = 2.0 * 4.0 * f32::EPSILON * (longest as f32).sqrt() * layers as f32 * size;
    assert!(size > 0.0 && bound.is_finite(), "{}", model.name);
    for (got, expected) in got.to_f32().unwrap().iter().zip(&expected) {
        assert!((got - expected).abs() <= bound, "{}: {got} for {expected}, bound {bound:e}", model.name);
    }
}

/// One test a network, so that they run beside each other and say which failed.
macro_rules! networks {
    ($($check:ident: $($test:ident $name:literal),*;)*) => { $($(
        #[test]
        fn $test() {
            $check(&Model::named($name).unwrap());
        }
    )*)*

        #[test]
        fn every_network_goes_through_a_file() {
            let mut tested = vec![$($($name),*),*];
            tested.sort_unstable();
            let mut names: Vec<&str> = omma::models::MODELS.iter().map(|model| model.name).collect();
            names.sort_unstable();
            assert_eq!(tested, names);
        }
    };
}

networks! {
    is_the_same: lenet5 "lenet5", alexnet "alexnet", alexnet_2012 "alexnet_2012", zfnet "zfnet",
        squeezenet1_0 "squeezenet1_0", squeezenet1_1 "squeezenet1_1", unet "unet", text_cnn "text_cnn";
    // Images of 64x64 leave VGG 2x2 pixels, of which the file makes 7x7 by products with matrices. In the others batch
    // normalisations become part of convolutions when the file is read.
    is_nearly_the_same: vgg11 "vgg11", vgg13 "vgg13", vgg16 "vgg16", vgg19 "vgg19", vgg11_bn "vgg11_bn",
        vgg13_bn "vgg13_bn", vgg16_bn "vgg16_bn", vgg19_bn "vgg19_bn", googlenet "googlenet",
        inception_v3 "inception_v3", resnet18 "resnet18", resnet34 "resnet34", resnet50 "resnet50",
        resnet101 "resnet101", resnet152 "resnet152", resnext50 "resnext50_32x4d", densenet121 "densenet121",
        mobilenet_v1 "mobilenet_v1", mobilenet_v2 "mobilenet_v2", mobilenet_v3_small "mobilenet_v3_small",
        mobilenet_v3_large "mobilenet_v3_large", shufflenet_v1 "shufflenet_v1", shufflenet_v2 "shufflenet_v2",
        efficientnet_b0 "efficientnet_b0", m5 "m5";
}

#[test]
fn the_number_of_examples_may_be_left_open() {
    let Some(gpu) = gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [1, 3, 8, 8]).unwrap();
    let y = x.conv2d("conv", Conv2d::new(4, 3).padding(1)).unwrap().relu().unwrap().max_pool2d(2).unwrap();
    let y = y.channel_shuffle(2).unwrap().flatten().unwrap().dense("fc", 5).unwrap();
    let file = export(&graph, &[y], &Export::default().batch("N")).unwrap();
    let model = Options::default().dim("N", 3).load(file.clone()).unwrap();
    let of = |image: usize| (0..192).map(|i| ((i * 7 + image * 31) % 23) as f32 / 23.0).collect::<Vec<f32>>();
    let three = Array::new(&[3, 3, 8, 8], (0..3).flat_map(of).collect()).unwrap();
    let outputs = Runner::new(gpu, &model).unwrap().run_blocking(&[("x", &three)]).unwrap();
    assert_eq!(outputs[0].1.shape(), [3, 5]);
    let three = outputs[0].1.to_f32().unwrap();
    let model = Options::default().dim("N", 1).load(file).unwrap();
    let mut runner = Runner::new(gpu, &model).unwrap();
    for image in 0..3 {
        let one = Array::new(&[1, 3, 8, 8], of(image)).unwrap();
        let one = runner.run_blocking(&[("x", &one)]).unwrap()[0].1.to_f32().unwrap();
        for (one, all) in one.iter().zip(&three[5 * image..]) {
            // Another number of examples may have other kernels: sums of at most 64 products, in three layers.
            assert!((one - all).abs() <= 3.0 * 4.0 * f32::EPSILON * 8.0 * (1.0 + all.abs()), "{one} {all}");
        }
    }
}

#[test]
fn examples_that_are_taken_together_are_not_left_open() {
    let refused = |build: for<'g> fn(Tensor<'g>) -> omma::Result<Tensor<'g>>| {
        let graph = Graph::new(Mode::Evaluation);
        let y = build(graph.input("x", [2, 6, 4]).unwrap()).unwrap();
        export(&graph, &[y], &Export::default()).unwrap();
        message(export(&graph, &[y], &Export::default().batch("N")))
    };
    let together = "it takes examples together, whose number is left open";
    let one = |what: &str| format!("not supported: 1 of the operations in ONNX: {what}: {together}");
    assert_eq!(refused(|x| x.mean([0, 1])), one("mean"));
    assert_eq!(refused(|x| x.softmax(0)), one("softmax"));
    assert_eq!(refused(|x| x.slice(0, 1, 2, 1)), one("slice"));
    assert_eq!(refused(|x| x.transpose(&[1, 0, 2])), one("transpose"));
    assert_eq!(refused(|x| x.add(x.graph().constant(1.0, [2, 1, 1])?)), one("add"));
    assert!(refused(|x| x.reshape([3, 4, 4])?.relu()).contains("with any number of examples"));
    assert!(refused(|x| x.instance_norm("norm", Norm::default().without_affine())).contains(together));
}

#[test]
fn what_only_trains_is_named() {
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [4, 3, 8, 8]).unwrap();
    let x = x.conv2d("conv", Conv2d::new(4, 3)).unwrap().batch_norm("bn", BatchNorm::default()).unwrap();
    let y = x.dropout(0.5).unwrap().flatten().unwrap().dense("fc", 10).unwrap();
    let loss = y.softmax_cross_entropy(graph.label_input("labels", 4).unwrap()).unwrap();
    let error = message(export(&graph, &[loss], &Export::default()));
    for part in ["2 of the operations", "batch_norm `bn`: statistics of a batch", "softmax_cross_entropy: "] {
        assert!(error.contains(part), "{error}");
    }
    let gradients = graph.gradients(loss).unwrap();
    let error = message(export(&graph, &[gradients[0].1], &Export::default()));
    assert!(error.contains("conv2d.grad_weight `conv`: gradients have no place in a file"), "{error}");
}

#[test]
fn a_file_drops_nothing() {
    let graph = Graph::new(Mode::Training);
    let y = graph.input("x", [2, 3]).unwrap().dropout(0.5).unwrap().relu().unwrap();
    let model = Options::default().load(export(&graph, &[y], &Export::default().batch("N")).unwrap());
    assert!(model.is_err_and(|error| error.to_string().contains("`N`")));
    let model = Options::default().load(export(&graph, &[y], &Export::default()).unwrap()).unwrap();
    let Some(gpu) = gpu() else { return };
    let x = Array::new(&[2, 3], vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let outputs = Runner::new(gpu, &model).unwrap().run_blocking(&[("x", &x)]).unwrap();
    assert_eq!(outputs[0].1, x);
}

#[test]
fn a_file_that_cannot_be_is_an_error() {
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", [1, 4]).unwrap().dense("fc", 2).unwrap();
    let options = Export::default();
    let weights = initial(&graph);
    assert_eq!(
        message(graph.to_onnx(&[y], &weights, &options.clone().opset(12))),
        "not supported: operator set 12; supported are 13 to 25"
    );
    assert_eq!(message(graph.to_onnx(&[], &weights, &options)), "ONNX: a file without outputs");
    let missing = weights[1..].to_vec();
    assert_eq!(message(graph.to_onnx(&[y], &missing, &options)), "ONNX: the variable `fc.weight` has no value");
    let mut wrong = weights.clone();
    wrong[0].1 = ndarray::ArrayD::zeros(vec![4, 2]);
    assert_eq!(message(graph.to_onnx(&[y], &wrong, &options)), "variable `fc.weight`: expected f32[2, 4], got [4, 2]");
    let other = Graph::new(Mode::Evaluation);
    assert!(other.to_onnx(&[y], &weights, &options).is_err());
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("output", [1, 4]).unwrap().relu().unwrap();
    let error = message(graph.to_onnx(&[y], &Vec::new(), &options));
    assert_eq!(error, "ONNX: the output's name `output` is that of another tensor: name the output");
}

#[test]
fn names_and_values_stay() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("images", [1, 2, 4, 4]).unwrap();
    let y = x.conv2d("first", Conv2d::new(3, 3)).unwrap();
    let features = graph.name("features", y.relu().unwrap()).unwrap();
    // Views of outputs, and an input as an output.
    let flat = features.flatten().unwrap();
    let weights = initial(&graph);
    let file = graph.to_onnx(&[features, flat, x], &weights, &Export::default()).unwrap();
    let names: Vec<String> = inputs(&file).unwrap().into_iter().map(|input| input.name).collect();
    assert_eq!(names, ["images"]);
    let model = Options::default().load(file).unwrap();
    let outputs: Vec<&str> = model.outputs().iter().map(|output| output.name.as_str()).collect();
    assert_eq!(outputs, ["features", "output_1", "output_2"]);
    assert_eq!(model.output("output_1").unwrap().shape(), flat.shape());
    for name in ["first.weight", "first.bias"] {
        assert_eq!(model.graph().tensor(name).unwrap().shape(), graph.tensor(name).unwrap().shape());
    }
    let Some(gpu) = gpu() else { return };
    let read = model.variables(gpu, 0).unwrap().read_all_blocking().unwrap();
    assert_eq!(read, weights);
}

#[test]
fn tensors_go_through_files() {
    for array in [
        Array::new(&[2, 2], vec![1.5_f32, f32::MIN_POSITIVE, -0.0, f32::INFINITY]).unwrap(),
        Array::new(&[], vec![-7_i64]).unwrap(),
        Array::new(&[0, 3], Vec::<u8>::new()).unwrap(),
    ] {
        assert_eq!(read_tensor(&write_tensor("x", &array)).unwrap(), array);
    }
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 3]).unwrap();
    let scale = graph.parameter("scale", 3, Init::Ones).unwrap();
    // Arrays may lie in memory in any order.
    let y = x.multiply(scale).unwrap();
    let reversed = ndarray::arr1(&[1.0_f32, 2.0, 3.0]).slice_move(ndarray::s![..;-1]).into_dyn();
    let file = graph.to_onnx(&[y], &vec![("scale".into(), reversed)], &Export::default()).unwrap();
    let Some(gpu) = gpu() else { return };
    let model = Options::default().load(file).unwrap();
    let input = Array::new(&[2, 3], vec![1.0_f32; 6]).unwrap();
    let outputs = Runner::new(gpu, &model).unwrap().run_blocking(&[("x", &input)]).unwrap();
    assert_eq!(outputs[0].1.to_f32().unwrap(), [3.0, 2.0, 1.0, 3.0, 2.0, 1.0]);
}
