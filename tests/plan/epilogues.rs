//! Functions of single elements that the kernels of other operations compute before they store.

use std::collections::HashSet;

use omma::{BatchNorm, DeviceClass, FAMILIES, Graph, Mode, Plan, PlanOptions, Pool2d, Session, Tensor, Variables};

use super::barriers::resnet18;
use super::plan;
use crate::support::lenet;

#[test]
fn no_activation_of_a_network_is_a_dispatch_of_its_own() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Training);
    let loss = lenet(&graph, 16).unwrap();
    let alone = |plan: &Plan| {
        let titles = plan.to_string();
        let titles = titles.lines().take(plan.dispatches()).filter_map(|line| line.split_whitespace().nth(1));
        // Copies between formats belong to the node that asks for them.
        titles.collect::<HashSet<_>>().iter().filter(|title| title.starts_with("relu")).count()
    };
    let resnet = resnet18(&PlanOptions::default()).unwrap();
    assert!(resnet.to_string().contains("max_pool2d.grad_input + relu.grad_input"), "{resnet}");
    assert!(resnet.to_string().contains("broadcast + relu.grad_input"), "{resnet}");
    assert_eq!(alone(&resnet), 0, "{resnet}");
    for class in [DeviceClass::Cpu, DeviceClass::Gpu] {
        let mut capabilities = gpu.capabilities().clone();
        capabilities.class = class;
        let lenet = plan(&graph, &[loss], &capabilities, &PlanOptions::default()).unwrap();
        let text = lenet.to_string();
        let pooled = text.lines().take(lenet.dispatches()).filter(|line| line.contains("max_pool2d + relu "));
        assert_eq!(pooled.count(), 2, "{lenet}");
        // What flattens the image stands before the gradient of the last one.
        assert_eq!(alone(&lenet), 1, "{lenet}");
        // Images are brought into rows before the dense layers, and their gradient back into images.
        let copies = text.lines().take(lenet.dispatches()).filter(|line| line.contains("format.image"));
        assert!(copies.count() <= 2 && lenet.dispatches() <= 40, "{lenet}");
    }
}

/// What a graph computes, with fusion and without; the numbers of dispatches.
fn both(build: impl for<'g> Fn(&'g Graph, Tensor<'g>) -> Vec<Tensor<'g>>) -> Option<[usize; 2]> {
    let gpu = crate::gpu()?;
    let run = |options: &PlanOptions| {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.input("x", [2, 8, 12, 12]).unwrap();
        let fetch = build(&graph, x);
        let variables = Variables::new(gpu, 1);
        let mut session = Session::with_options(gpu, &graph, &fetch, &variables, options).unwrap();
        session.poison().unwrap();
        let pixels: Vec<f32> = (0..2 * 8 * 144).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5).collect();
        session.run_blocking(&[("x", (&pixels).into())]).unwrap();
        let values = fetch.iter().map(|&tensor| session.read_blocking::<f32>(tensor).unwrap());
        let bits: Vec<u32> = values.flat_map(|array| array.mapv(f32::to_bits)).collect();
        (bits, session.plan().dispatches())
    };
    let ((alone, more), (fused, fewer)) = (run(&PlanOptions::default().without_fusion()), run(&PlanOptions::default()));
    assert_eq!(fused, alone);
    Some([fewer, more])
}

#[test]
fn what_channels_have_one_of_follows_a_pooling_in_one_dispatch() {
    let counts = both(|_, x| {
        let normalized = x.max_pool2d(2).unwrap().batch_norm("max", BatchNorm::default()).unwrap();
        let y = normalized.relu().unwrap().avg_pool2d(Pool2d::new(2)).unwrap();
        vec![y.batch_norm("mean", BatchNorm::default()).unwrap().relu().unwrap()]
    });
    assert!(counts.is_none_or(|[fewer, more]| fewer == more - 2), "{counts:?}");
}

#[test]
fn functions_that_know_of_not_a_number_follow_a_pooling_that_does_too() {
    type Function = for<'g> fn(Tensor<'g>) -> Tensor<'g>;
    let functions: [Function; 4] =
        [|x| x.sign().unwrap(), |x| x.erf().unwrap(), |x| x.pow(3.0).unwrap(), |x| x.maximum(0.25).unwrap()];
    for function in functions {
        // Windows that are taken in pairs, in strips, unrolled, and one by one.
        let pools = [Pool2d::new(2), Pool2d::new(3).stride(1), Pool2d::new(6)];
        for pool in pools {
            let counts = both(|_, x| vec![function(x.max_pool2d(pool).unwrap())]);
            assert!(counts.is_none_or(|[fewer, more]| fewer < more), "{counts:?}");
        }
    }
}

#[test]
fn what_was_read_before_a_function_is_not_moved_behind_it() {
    both(|graph, x| {
        let y = x.max_pool2d(2).unwrap();
        let dy = graph.constant(0.5, y.shape()).unwrap();
        // The gradient reads the places of the maxima, which come with y.
        let dx = graph.gradients_of(&[(y, dy)], &[x]).unwrap()[0].unwrap();
        vec![dx, y.sigmoid().unwrap()]
    });
}

#[test]
fn no_shader_has_a_function_of_its_own_that_is_called_as_one_that_may_follow() {
    let names = |file: &str| -> Vec<String> {
        let functions = file.lines().filter_map(|line| line.strip_prefix("fn "));
        functions.filter_map(|function| function.split('(').next().map(String::from)).collect()
    };
    for shader in FAMILIES.iter().flat_map(|family| family.shaders) {
        // A file of both kinds is taken once.
        let others = shader.common.iter().filter(|file| !shader.functions.contains(file));
        let own: Vec<String> = others.chain([&shader.text]).flat_map(|file| names(file)).collect();
        let follow: Vec<String> = shader.functions.iter().flat_map(|file| names(file)).collect();
        let twice: Vec<&String> = own.iter().filter(|name| follow.contains(name)).collect();
        assert!(twice.is_empty(), "{}: {twice:?}", shader.name);
    }
}
