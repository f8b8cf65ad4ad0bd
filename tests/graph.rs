//! The graph without a device: shape rules and their errors, names, gradients, the text dump.

use omma::{BatchNorm, Conv2d, DType, Error, Graph, Init, Mode, Optimizer, Pool2d, Result, Tensor};

use crate::support::message;

mod layers;
mod refusals;

#[test]
fn optimizers_refuse_values_out_of_range() {
    let bad = [
        Optimizer::sgd(f32::NAN),
        Optimizer::sgd(-0.1),
        Optimizer::sgd(0.1).momentum(1.0),
        Optimizer::sgd(0.1).weight_decay(f32::INFINITY),
        Optimizer::adam(0.1).betas(0.9, 1.0),
        Optimizer::adamw(f32::INFINITY),
        Optimizer::sgd(0.1).momentum(0.9).dampening(1.5),
        Optimizer::sgd(0.1).nesterov(),
        Optimizer::sgd(0.1).momentum(0.9).dampening(0.1).nesterov(),
        Optimizer::sgd(0.1).dampening(0.1),
        Optimizer::adam(0.1).epsilon(0.0),
        Optimizer::rmsprop(0.1).alpha(1.0),
        Optimizer::rmsprop(0.1).momentum(-0.1),
        Optimizer::adagrad(0.1).epsilon(f32::NAN),
        Optimizer::lion(0.1).betas(1.0, 0.9),
        Optimizer::sgd(0.1).clip_value(0.0),
        Optimizer::sgd(0.1).clip_norm(f32::INFINITY),
        Optimizer::sgd(0.1).ema(1.0),
        Optimizer::sgd(0.1).ema_warmup(),
        Optimizer::sgd(0.1).accumulate(0),
        // Options of other rules.
        Optimizer::adam(0.1).momentum(0.9),
        Optimizer::adam(0.1).centered(),
        Optimizer::rmsprop(0.1).nesterov(),
        Optimizer::rmsprop(0.1).dampening(0.1),
        Optimizer::sgd(0.1).betas(0.9, 0.9),
        Optimizer::sgd(0.1).epsilon(1e-3),
        Optimizer::lion(0.1).alpha(0.9),
    ];
    for optimizer in bad {
        let graph = Graph::new(Mode::Training);
        let loss = graph.input("x", [2, 3]).unwrap().dense("fc", 1).unwrap().mean(..).unwrap();
        let error = graph.minimize(loss, &optimizer).expect_err(&format!("{optimizer:?}"));
        assert!(matches!(&error, Error::Argument { op, .. } if op == "optimizer"), "{error}");
    }
    let error = |optimizer: Optimizer| message(Graph::new(Mode::Training).update(&[], &optimizer));
    let (adam, momentum) = (Optimizer::adam(0.1).centered(), Optimizer::sgd(0.1).momentum(1.0));
    assert_eq!(error(adam), "optimizer: adam has no option `centered`");
    assert_eq!(error(momentum), "optimizer: expected a momentum that is at least 0 and below 1, got 1");
}

#[test]
fn shapes_follow_pytorch() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 3, 13, 10]).unwrap();
    let shape = |tensor: Result<Tensor<'_>>| tensor.unwrap().shape().to_vec();
    // (13 + 2·2 - 2·(3 - 1) - 1)/3 + 1 and (10 + 2·2 - 2·(3 - 1) - 1)/3 + 1, rounded down.
    assert_eq!(shape(x.conv2d("a", Conv2d::new(4, 3).stride(3).padding(2).dilation(2))), [2, 4, 5, 4]);
    assert_eq!(shape(x.conv2d("b", Conv2d::new(6, [1, 4]).groups(3))), [2, 6, 13, 7]);
    assert_eq!(shape(x.max_pool2d(2)), [2, 3, 6, 5]);
    assert_eq!(shape(x.max_pool2d(Pool2d::new(2).ceil_mode(true))), [2, 3, 7, 5]);
    // The eighth window would start in the padding at the end.
    assert_eq!(shape(x.avg_pool2d(Pool2d::new(2).padding(1).ceil_mode(true))), [2, 3, 7, 6]);
    assert_eq!(shape(x.global_avg_pool2d()), [2, 3, 1, 1]);
    assert_eq!(shape(x.flatten()), [2, 390]);
    assert_eq!(shape(graph.concat(&[x, x, x], 2)), [2, 3, 39, 10]);
}

#[test]
fn dropout_in_evaluation_is_the_tensor_itself() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", 5).unwrap();
    assert_eq!(x.dropout(0.5).unwrap().id(), x.id());
}

#[test]
fn an_unused_parameter_is_named() {
    let graph = Graph::new(Mode::Training);
    let unused = graph.parameter("unused", 3, Init::Zeros).unwrap();
    let loss = graph.input("x", [2, 3]).unwrap().dense("fc", 1).unwrap().mean(..).unwrap();
    let expected = "graph: the loss does not depend on the parameter `unused`";
    assert_eq!(message(graph.gradients(loss)), expected);
    assert_eq!(message(graph.minimize(loss, &Optimizer::sgd(0.1))), expected);
    let one = graph.constant(1.0, 1).unwrap();
    let weight = graph.tensor("fc.weight").unwrap();
    let gradients = graph.gradients_of(&[(loss, one)], &[unused, weight]).unwrap();
    assert!(gradients[0].is_none());
    assert_eq!(gradients[1].unwrap().shape(), weight.shape());
}

#[test]
fn gradients_have_their_parameters_types() {
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [2, 3, 8, 8]).unwrap();
    let x = x.conv2d("conv", Conv2d::new(4, 3)).unwrap().batch_norm("bn", BatchNorm::default()).unwrap();
    let loss = x.max_pool2d(2).unwrap().flatten().unwrap().dense("fc", 5).unwrap().mean(..).unwrap();
    let pairs = graph.gradients(loss).unwrap();
    let names: Vec<String> = pairs.iter().map(|(parameter, _)| parameter.name().unwrap()).collect();
    assert_eq!(names, ["conv.weight", "conv.bias", "bn.weight", "bn.bias", "fc.weight", "fc.bias"]);
    for (parameter, gradient) in pairs {
        assert_eq!(parameter.ty(), gradient.ty(), "{parameter:?}");
    }
}

#[test]
fn second_derivatives_are_refused() {
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [2, 3]).unwrap();
    let y = x.dense("fc", 1).unwrap().sigmoid().unwrap().mean(..).unwrap();
    let one = graph.constant(1.0, 1).unwrap();
    let dx = graph.gradients_of(&[(y, one)], &[x]).unwrap()[0].unwrap();
    let again = graph.gradients_of(&[(dx, x)], &[x]);
    assert!(message(again).ends_with("second derivatives are not supported"));
}

#[test]
fn a_cotangent_has_its_outputs_type() {
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [2, 3]).unwrap();
    let wrong = graph.input("dy", [3, 2]).unwrap();
    let error = message(graph.gradients_of(&[(x.relu().unwrap(), wrong)], &[x]));
    assert_eq!(error, "gradients: expected a cotangent f32[2, 3], got f32[3, 2]");
}

#[test]
fn tensors_of_different_graphs_do_not_mix() {
    let (one, other) = (Graph::new(Mode::Training), Graph::new(Mode::Training));
    let small = one.input("x", [2, 3]).unwrap();
    for _ in 0..9 {
        other.constant(0.0, 1).unwrap();
    }
    let far = other.input("x", [2, 3]).unwrap();
    assert_eq!(message(small.add(far)), "graph: add: its inputs belong to different graphs");
    assert_eq!(message(one.concat(&[small, far], 0)), "graph: concat: its inputs belong to different graphs");
    assert!(matches!(one.name("far", far), Err(Error::Graph(_))));
    let loss = far.mean(..).unwrap();
    assert!(matches!(one.gradients(loss), Err(Error::Graph(_))));
    assert!(matches!(one.minimize(loss, &Optimizer::sgd(0.1)), Err(Error::Graph(_))));
    assert!(matches!(one.metric("loss", loss, 1.0), Err(Error::Graph(_))));
}

#[test]
fn tensors_are_found_by_name() {
    let graph = Graph::new(Mode::Training);
    let y = graph.label_input("labels", 7).unwrap();
    let named = graph.name("hidden", graph.input("x", [7, 2]).unwrap().relu().unwrap()).unwrap();
    assert_eq!(graph.tensor("labels").unwrap().id(), y.id());
    assert_eq!(graph.tensor("labels").unwrap().dtype(), DType::U32);
    assert_eq!(graph.tensor("hidden").unwrap().id(), named.id());
    assert!(graph.tensor("nothing").is_none());
    assert_eq!(graph.named_outputs().len(), 1);
}

#[test]
fn a_graph_reads_as_text() {
    let graph = Graph::new(Mode::Training).seed(7);
    let x = graph.input("images", [2, 1, 6, 6]).unwrap();
    let labels = graph.label_input("labels", 2).unwrap();
    let x = x.conv2d("conv", Conv2d::new(3, 3).padding(1)).unwrap().relu().unwrap();
    let x = x.max_pool2d(2).unwrap().flatten().unwrap().dropout(0.25).unwrap();
    let loss = x.dense("fc", 4).unwrap().softmax_cross_entropy(labels).unwrap();
    graph.metric("loss", loss, 2.0).unwrap();
    let expected = "\
images: f32[2, 1, 6, 6] = input
labels: u32[2] = input
conv.weight: f32[3, 1, 3, 3] = parameter, HeNormal
conv.bias: f32[3] = parameter, Zeros
step: u32[1] = setting, 0 at first
fc.weight: f32[4, 27] = parameter, HeNormal
fc.bias: f32[4] = parameter, Zeros
loss: f32[2] = metric
%4: f32[2, 3, 6, 6] = conv2d `conv` (images, conv.weight, conv.bias) stride [1, 1], padding [1, 1, 1, 1], dilation [1, 1], groups 1
%5: f32[2, 3, 6, 6] = relu (%4)
%6: f32[2, 3, 3, 3], %7: f32[2, 3, 3, 3] = max_pool2d (%5) window 2x2, stride 2x2, padding [0, 0, 0, 0]
%8: f32[2, 27] = reshape (%6)
%10: f32[2, 27] = dropout (step, %8) p 0.25, seed 7, stream 0
%13: f32[2, 4] = dense `fc` (%10, fc.weight, fc.bias)
%14: f32[1], %15: f32[2, 4] = softmax_cross_entropy (%13, labels)
accumulate `loss` (%14, loss) weight 2
";
    assert_eq!(graph.to_string(), expected);
}

#[test]
fn a_refused_layer_leaves_nothing_behind() {
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [2, 3, 4, 4]).unwrap();
    let before = graph.to_string();
    x.conv2d("c", Conv2d::new(4, 9)).unwrap_err();
    x.batch_norm("c", BatchNorm::default().epsilon(0.0)).unwrap_err();
    x.flatten().unwrap().dense("c", 0).unwrap_err();
    // One value a channel: refused by the last step, when parameters and statistics are there.
    let one = graph.input("one", [1, 3]).unwrap();
    one.batch_norm("c", BatchNorm::default()).unwrap_err();
    assert!(graph.parameters().is_empty(), "{graph}");
    assert!(graph.to_string().starts_with(before.trim_end()), "{graph}");
    let y = x.conv2d("c", Conv2d::new(4, 3)).unwrap();
    assert_eq!(graph.parameters().len(), 2);
    // A minimization that fails when gradients are there.
    let loss = y.mean(..).unwrap();
    graph.minimize(loss, &Optimizer::sgd(0.1)).unwrap();
    let whole = graph.to_string();
    let error = graph.minimize(loss, &Optimizer::sgd(0.1)).unwrap_err().to_string();
    assert_eq!(error, "graph: the parameter `c.weight` has an optimizer already");
    assert_eq!(graph.to_string(), whole);
}

#[test]
fn settings_are_never_the_hosts_tensors() {
    let graph = Graph::new(Mode::Training);
    let x = graph.input("step", [2, 3]).unwrap();
    let error = x.dropout(0.5).unwrap_err().to_string();
    assert!(error.contains("the name `step` is already taken by a tensor f32[2, 3]"), "{error}");
    let graph = Graph::new(Mode::Training);
    let x = graph.input("learning_rate", [2, 3]).unwrap();
    let error = graph.minimize(x.dense("fc", 2).unwrap().mean(..).unwrap(), &Optimizer::sgd(0.1)).unwrap_err();
    assert!(error.to_string().contains("the name `learning_rate` is already taken"), "{error}");
}

#[test]
fn a_graph_has_one_learning_rate() {
    let graph = Graph::new(Mode::Training);
    let (p, q) = (graph.parameter("p", 4, Init::Ones).unwrap(), graph.parameter("q", 4, Init::Ones).unwrap());
    let gradient = p.multiply(q).unwrap();
    graph.update(&[(p, gradient)], &Optimizer::sgd(0.1)).unwrap();
    let error = graph.update(&[(q, gradient)], &Optimizer::adam(0.2)).unwrap_err().to_string();
    assert_eq!(error, "the learning rate: 0.2 differs from another optimizer's 0.1");
    graph.update(&[(q, gradient)], &Optimizer::adam(0.1)).unwrap();
}
