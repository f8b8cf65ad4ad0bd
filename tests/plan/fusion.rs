//! Functions of single elements join what computes their argument, forward and backward.

use omma::{Conv2d, DeviceClass, Graph, Mode, PlanOptions, Result, Tensor};

use super::plan;

type Function = for<'g> fn(Tensor<'g>) -> Result<Tensor<'g>>;

fn images(graph: &Graph) -> Tensor<'_> {
    graph.input("x", [2, 8, 9, 9]).unwrap()
}

#[test]
fn whatever_follows_a_layer_is_computed_by_its_kernel() {
    let Some(gpu) = crate::gpu() else { return };
    // Where images are planar, and nothing has to be converted for it.
    let mut capabilities = gpu.capabilities().clone();
    capabilities.class = DeviceClass::Gpu;
    let functions: [Function; 12] = [
        |x| Ok(x),
        |x| x.silu(),
        |x| x.gelu(),
        |x| x.mish(),
        |x| x.hard_swish(),
        |x| x.selu(),
        |x| x.clip(0.0, 6.0),
        |x| x.prelu("act", 8),
        |x| x.multiply(2.0)?.add(1.0)?.abs()?.sqrt(),
        // One value, one of each channel, and one of each element.
        |x| x.add(x.graph().input("one", 1)?)?.multiply(x.graph().input("channels", [8, 1, 1])?),
        |x| x.maximum(x.graph().input("other", x.shape())?),
        |x| x.graph().input("mask", x.shape())?.select(x, 0.0),
    ];
    let dispatches = functions.map(|function| {
        let graph = Graph::new(Mode::Evaluation);
        let y = function(images(&graph).conv2d("conv", Conv2d::new(8, 3).padding(1)).unwrap()).unwrap();
        plan(&graph, &[y], &capabilities, &PlanOptions::default()).unwrap().dispatches()
    });
    assert_eq!(dispatches, [1; 12]);
}

#[test]
fn the_gradient_of_an_activation_is_computed_with_that_of_the_layer_behind_it() {
    let Some(gpu) = crate::gpu() else { return };
    let step = |function: Function| {
        let graph = Graph::new(Mode::Training);
        let y = images(&graph).conv2d("first", Conv2d::new(8, 3)).unwrap();
        let loss = function(y).unwrap().conv2d("second", Conv2d::new(8, 3)).unwrap().mean(..).unwrap();
        let mut fetch: Vec<Tensor<'_>> = graph.gradients(loss).unwrap().into_iter().map(|(_, g)| g).collect();
        fetch.push(loss);
        let plan = plan(&graph, &fetch, gpu.capabilities(), &PlanOptions::default()).unwrap();
        let nodes: Vec<String> = plan.choices().iter().map(|choice| choice.node.clone()).collect();
        (plan.dispatches(), nodes)
    };
    let (relu, nodes) = step(|x| x.relu());
    assert!(nodes.contains(&"conv2d.grad_input `second` + relu.grad_input".into()), "{nodes:?}");
    // A gradient of the result needs nothing else.
    let (elu, nodes) = step(|x| x.elu(1.0));
    assert!(nodes.contains(&"conv2d.grad_input `second` + elu.grad_input".into()), "{nodes:?}");
    assert_eq!(elu, relu);
    // One of the argument needs it stored, and so a kernel more.
    let (silu, nodes) = step(|x| x.silu());
    assert!(nodes.contains(&"conv2d.grad_input `second` + silu.grad_input".into()), "{nodes:?}");
    assert_eq!(silu, relu + 1);
}
