//! Results that are written where an operand was.

use omma::{Graph, Mode, PlanOptions};

use super::barriers::train;
use super::plan;

#[test]
fn a_result_may_lie_where_its_argument_was() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let mut x = graph.input("x", [4, 8, 32, 32]).unwrap();
    let one = 4 * x.shape().elements() as u64;
    for _ in 0..20 {
        x = x.relu().unwrap();
    }
    // Through copies in textures, where the device reads those, and over the buffer itself.
    for options in [PlanOptions::default(), PlanOptions::default().exclude("textures")] {
        let options = options.without_fusion();
        let slabs = |options: &PlanOptions| {
            let plan = plan(&graph, &[x], gpu.capabilities(), options).unwrap();
            assert_eq!(plan.dispatches(), 20);
            plan.memory().slabs
        };
        assert_eq!(slabs(&options.clone().exclude("in_place")), 2 * one, "a chain needs two tensors at a time");
        assert_eq!(slabs(&options), one);
    }
    let kernels = |options: &PlanOptions| {
        let plan = plan(&graph, &[x], gpu.capabilities(), options).unwrap();
        plan.bindings().map(|bindings| bindings.len()).collect::<Vec<_>>()
    };
    // The first reads the input, which must stay.
    let buffers = PlanOptions::default().exclude("textures").without_fusion();
    assert_eq!(kernels(&buffers), [[2].as_slice(), &[1; 19]].concat());
}

#[test]
fn what_is_used_later_or_fetched_stays() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let [a, b] = ["a", "b"].map(|name| graph.input(name, [4, 8, 32, 32]).unwrap());
    let sum = a.add(b).unwrap();
    let of_sum = sum.relu().unwrap();
    let late = sum.reshape([8, 4, 32, 32]).unwrap().global_avg_pool2d().unwrap();
    let fetched = a.sigmoid().unwrap();
    let of_fetched = fetched.relu().unwrap();
    let options = PlanOptions::default().exclude("textures").prefer("in_place");
    let plan = plan(&graph, &[of_sum, late, fetched, of_fetched], gpu.capabilities(), &options).unwrap();
    assert!(plan.bindings().all(|bindings| bindings.len() > 1), "{plan}");
}

#[test]
fn results_in_place_are_the_same_bits() {
    let Some(gpu) = crate::gpu() else { return };
    let in_order = PlanOptions::default().exclude("overlap");
    let buffers = in_order.clone().exclude("textures");
    for options in [buffers.clone(), buffers.prefer("overlap"), in_order] {
        let apart = train(gpu, &options.clone().exclude("in_place"));
        // Wherever it can be done, and where it saves memory.
        assert_eq!(train(gpu, &options.clone().prefer("in_place")).bits, apart.bits);
        let saving = train(gpu, &options);
        assert_eq!(saving.bits, apart.bits);
        assert!(saving.slabs <= apart.slabs, "{} bytes in slabs, {} without", saving.slabs, apart.slabs);
    }
}
