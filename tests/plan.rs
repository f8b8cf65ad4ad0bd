//! Plans: memory known before allocation, limits, the choice of kernels.

mod barriers;
mod epilogues;
mod fusion;
mod gradients;
mod in_place;
mod parts;

use omma::models::ResNet;
use omma::wgpu::Limits;
use omma::{
    BatchNorm, Capabilities, Conv2d, DeviceClass, Error, Graph, Init, Mode, Optimizer, Plan, PlanOptions, Result,
    Session, Tensor, VariableLayout, Variables,
};

use crate::support::{check_training, host_device, lenet, own_gpu};

fn plan(graph: &Graph, fetch: &[Tensor<'_>], capabilities: &Capabilities, options: &PlanOptions) -> Result<Plan> {
    let layout = VariableLayout::on(graph, capabilities)?;
    Plan::new(graph, fetch, &layout, capabilities, options)
}

#[test]
fn memory_is_known_before_it_is_allocated() {
    let Some(gpu) = own_gpu() else { return };
    let graph = Graph::new(Mode::Training);
    let loss = lenet(&graph, 16).unwrap();
    let options = PlanOptions::default();
    let planned = plan(&graph, &[loss], gpu.capabilities(), &options).unwrap().memory();
    let allocated = || gpu.statistics().buffer_bytes + gpu.statistics().texture_bytes;
    assert_eq!(allocated(), 0, "planning allocates nothing");

    let variables = Variables::new(&gpu, 1);
    variables.declare(&graph).unwrap();
    assert_eq!(allocated(), variables.bytes());
    assert_eq!(VariableLayout::on(&graph, gpu.capabilities()).unwrap().bytes(), variables.bytes());
    // Momentum doubles what the parameters take.
    assert!(variables.bytes() >= 2 * 4 * graph.parameter_count() as u64);

    let mut session = Session::new(&gpu, &graph, &[loss], &variables).unwrap();
    assert_eq!(session.plan().memory(), planned);
    let total = planned.total() + variables.bytes();
    assert_eq!(allocated(), total);
    session
        .run_blocking(&[("images", (&vec![0.5_f32; 16 * 784]).into()), ("labels", (&vec![3_u32; 16]).into())])
        .unwrap();
    assert_eq!(allocated(), total, "a step allocates nothing");
}

#[test]
fn tensors_share_memory_by_lifetime() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let mut x = graph.input("x", [4, 8, 32, 32]).unwrap();
    let one = 4 * x.shape().elements() as u64;
    for _ in 0..20 {
        x = x.relu().unwrap();
    }
    let options = PlanOptions::default().without_fusion().exclude("in_place");
    let apart = plan(&graph, &[x], gpu.capabilities(), &options).unwrap();
    assert_eq!(apart.dispatches(), 20);
    assert_eq!(apart.memory().slabs, 2 * one, "a chain needs two tensors at a time");
    let fused = plan(&graph, &[x], gpu.capabilities(), &PlanOptions::default()).unwrap();
    assert_eq!((fused.dispatches(), fused.memory().slabs), (1, one), "nothing between is stored");
}

#[test]
fn only_what_is_fetched_is_computed() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 3]).unwrap();
    let (wanted, _) = (x.relu().unwrap(), x.sigmoid().unwrap());
    let planned = |fetch: &[Tensor<'_>]| plan(&graph, fetch, gpu.capabilities(), &PlanOptions::default()).unwrap();
    assert_eq!(planned(&[wanted]).dispatches(), 1);
    assert_eq!(planned(&[]).dispatches(), 0);
}

#[test]
fn a_tensor_beyond_the_binding_limit_is_refused() {
    let Some(gpu) = crate::gpu() else { return };
    let mut capabilities = gpu.capabilities().clone();
    capabilities.limits.max_storage_buffer_binding_size = 1 << 12;
    let graph = Graph::new(Mode::Evaluation);
    let fits = graph.input("small", [4, 256]).unwrap().relu().unwrap();
    plan(&graph, &[fits], &capabilities, &PlanOptions::default()).unwrap();
    let big = graph.input("big", [4, 257]).unwrap().relu().unwrap();
    match plan(&graph, &[big], &capabilities, &PlanOptions::default()) {
        Err(Error::Limit { what, needed, limit, allowed }) => {
            assert!(what.contains("relu"), "{what}");
            assert_eq!((needed, limit, allowed), (4112, "max_storage_buffer_binding_size", 4096));
        }
        other => panic!("{:?}", other.map(|plan| plan.to_string())),
    }
}

#[test]
fn a_slab_beyond_the_buffer_limit_is_refused() {
    let Some(gpu) = crate::gpu() else { return };
    let mut capabilities = gpu.capabilities().clone();
    capabilities.limits.max_buffer_size = 1 << 12;
    let graph = Graph::new(Mode::Evaluation);
    let big = graph.input("big", [4, 257]).unwrap().relu().unwrap();
    match plan(&graph, &[big], &capabilities, &PlanOptions::default()) {
        Err(Error::Limit { limit, allowed, .. }) => assert_eq!((limit, allowed), ("max_buffer_size", 4096)),
        other => panic!("{:?}", other.map(|plan| plan.to_string())),
    }
}

#[test]
fn too_many_bindings_are_refused() {
    let Some(gpu) = crate::gpu() else { return };
    let mut capabilities = gpu.capabilities().clone();
    capabilities.limits.max_storage_buffers_per_shader_stage = 2;
    let graph = Graph::new(Mode::Evaluation);
    let (x, y) = (graph.input("x", [2, 3]).unwrap(), graph.input("y", [2, 3]).unwrap());
    match plan(&graph, &[x.add(y.relu().unwrap()).unwrap()], &capabilities, &PlanOptions::default()) {
        Err(Error::Limit { needed, limit, .. }) => {
            assert_eq!((needed, limit), (3, "max_storage_buffers_per_shader_stage"));
        }
        other => panic!("{:?}", other.map(|plan| plan.to_string())),
    }
}

#[test]
fn a_grid_folds_within_the_limit_or_is_refused() {
    let Some(gpu) = crate::gpu() else { return };
    let mut capabilities = gpu.capabilities().clone();
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", [1 << 16]).unwrap().relu().unwrap();
    // On a GPU 2^16 elements, 16 an invocation, 64 invocations a workgroup: 64 workgroups are 4 by 4 by 4.
    capabilities.class = DeviceClass::Gpu;
    capabilities.limits.max_compute_workgroups_per_dimension = 4;
    let text = plan(&graph, &[y], &capabilities, &PlanOptions::default()).unwrap().to_string();
    assert!(text.contains("[4, 4, 4]"), "{text}");
    capabilities.limits.max_compute_workgroups_per_dimension = 3;
    match plan(&graph, &[y], &capabilities, &PlanOptions::default()) {
        Err(Error::Limit { needed, limit, .. }) => {
            assert_eq!((needed, limit), (64, "max_compute_workgroups_per_dimension"));
        }
        other => panic!("{:?}", other.map(|plan| plan.to_string())),
    }
}

fn convolution(graph: &Graph) -> Tensor<'_> {
    graph.input("x", [1, 8, 9, 9]).unwrap().conv2d("conv", Conv2d::new(8, 3)).unwrap()
}

#[test]
fn a_variant_can_be_preferred_and_excluded() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = convolution(&graph);
    let chosen = |options: &PlanOptions| {
        let plan = plan(&graph, &[y], gpu.capabilities(), options).unwrap();
        let of_kernel = |choice: &&omma::Choice| choice.kernel == "conv2d.forward";
        let choice = plan.choices().iter().find(of_kernel).unwrap_or_else(|| panic!("{:?}", plan.choices()));
        assert!(plan.kernels().any(|kernel| kernel.variant == choice.chosen), "the choice is what runs");
        choice.clone()
    };
    let default = chosen(&PlanOptions::default());
    assert_eq!((default.node.as_str(), default.kernel.as_str()), ("conv2d `conv`", "conv2d.forward"));
    assert!(default.candidates.len() >= 3);
    for candidate in default.candidates.iter().filter(|candidate| candidate.refusal.is_none()) {
        assert_eq!(chosen(&PlanOptions::default().prefer(candidate.name)).chosen, candidate.name);
    }
    let without = chosen(&PlanOptions::default().exclude(default.chosen));
    assert_ne!(without.chosen, default.chosen);
    let refusal = without.candidates.iter().find(|c| c.name == default.chosen).and_then(|c| c.refusal.as_deref());
    assert_eq!(refusal, Some("excluded"));
    let exact = format!("conv2d.forward[{}]", default.chosen);
    assert_ne!(chosen(&PlanOptions::default().exclude(exact)).chosen, default.chosen);
    let other = format!("conv2d.grad_input[{}]", default.chosen);
    assert_eq!(chosen(&PlanOptions::default().exclude(other)).chosen, default.chosen);
    let exclusion_wins = PlanOptions::default().prefer(default.chosen).exclude(default.chosen);
    assert_ne!(chosen(&exclusion_wins).chosen, default.chosen);
}

#[test]
fn packed_copies_that_do_not_fit_into_textures_are_refused() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = convolution(&graph);
    let refusal = |change: fn(&mut omma::wgpu::Limits)| {
        let mut capabilities = gpu.capabilities().clone();
        change(&mut capabilities.limits);
        let plan = plan(&graph, &[y], &capabilities, &PlanOptions::default().prefer("packed")).unwrap();
        let packed = plan.choices()[0].candidates.iter().find(|c| c.name == "packed").unwrap();
        assert_eq!(packed.refusal.is_none(), plan.choices()[0].chosen == "packed");
        assert_eq!(packed.refusal.is_none(), plan.memory().textures > 0);
        packed.refusal.clone().unwrap_or_default()
    };
    assert_eq!(refusal(|_| ()), "");
    assert!(refusal(|limits| limits.max_texture_dimension_2d = 2047).contains("sides are at most 2047"));
    assert!(refusal(|limits| limits.max_storage_textures_per_shader_stage = 0).contains("the device allows 0"));
}

#[test]
fn no_legal_kernel_is_an_error_with_every_reason() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = convolution(&graph);
    let tiles = ["tiled_large", "tiled", "tiled_small"];
    let others = ["naive", "blocked", "packed", "channels_last", "winograd", "winograd_planar"];
    let variants = tiles.into_iter().chain(others);
    let options = variants.clone().fold(PlanOptions::default(), PlanOptions::exclude);
    match plan(&graph, &[y], gpu.capabilities(), &options) {
        Err(Error::NoKernel { op, reason }) => {
            assert_eq!(op, "conv2d `conv` (conv2d.forward)");
            for name in variants {
                assert!(reason.contains(&format!("{name}: excluded")), "{reason}");
            }
        }
        other => panic!("{:?}", other.map(|plan| plan.to_string())),
    }
}

#[test]
fn an_undeclared_variable_and_a_foreign_fetch_are_errors() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = convolution(&graph);
    let empty = VariableLayout::default();
    let error = Plan::new(&graph, &[y], &empty, gpu.capabilities(), &PlanOptions::default()).unwrap_err();
    assert!(error.to_string().contains("`conv.weight` is not in the layout"), "{error}");
    let other = Graph::new(Mode::Evaluation);
    let foreign = lenet(&other, 1).unwrap();
    let error = plan(&graph, &[foreign], gpu.capabilities(), &PlanOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Graph(_)), "{error}");
}

#[test]
fn a_variable_has_one_shape() {
    let graphs = [3, 4].map(|inputs| {
        let graph = Graph::new(Mode::Evaluation);
        graph.input("x", [1, inputs]).unwrap().dense("fc", 2).unwrap();
        graph
    });
    let mut layout = VariableLayout::of(&graphs[0], u64::MAX).unwrap();
    let error = layout.extend(&graphs[1], u64::MAX).unwrap_err();
    assert_eq!(error.to_string(), "variable `fc.weight`: expected f32[2, 3], got f32[2, 4]");
}

#[test]
fn a_variable_has_one_role() {
    let (learned, kept) = (Graph::new(Mode::Evaluation), Graph::new(Mode::Evaluation));
    learned.parameter("scale", 2, Init::Ones).unwrap();
    kept.state("scale", 2, Init::Ones).unwrap();
    let mut layout = VariableLayout::of(&learned, u64::MAX).unwrap();
    let error = layout.extend(&kept, u64::MAX).unwrap_err();
    assert_eq!(error.to_string(), "variable `scale`: expected a parameter f32[2], got a state f32[2]");
}

/// More inputs than one invocation may sum up: the sum is cut into slices.
#[test]
fn a_dense_layer_may_have_any_number_of_inputs() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", [1, 3_000_001]).unwrap().dense("fc", 1).unwrap();
    let plan = plan(&graph, &[y], gpu.capabilities(), &PlanOptions::default()).unwrap();
    assert!(plan.kernels().any(|kernel| kernel.label() == "pointwise.forward[sum]"), "{plan}");
}

/// WebGPU's own defaults: what a browser gives without being asked for more.
fn modest(capabilities: &Capabilities) -> Capabilities {
    let mut capabilities = capabilities.clone();
    capabilities.limits = Limits::default();
    capabilities.features = omma::wgpu::Features::empty();
    capabilities
}

#[test]
fn webgpus_default_limits_suffice() {
    let Some(gpu) = crate::gpu() else { return };
    let capabilities = modest(gpu.capabilities());
    let graph = Graph::new(Mode::Training);
    let loss = lenet(&graph, 64).unwrap();
    plan(&graph, &[loss], &capabilities, &PlanOptions::default()).unwrap();

    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [8, 16, 32, 32]).unwrap().conv2d("a", Conv2d::new(32, 3).padding(1)).unwrap();
    let x = x.batch_norm("bn", BatchNorm::default()).unwrap().relu().unwrap().dropout(0.2).unwrap();
    let loss = x.global_avg_pool2d().unwrap().flatten().unwrap().dense("fc", 10).unwrap().mean(..).unwrap();
    graph.minimize(loss, &Optimizer::adamw(1e-3)).unwrap();
    plan(&graph, &[loss], &capabilities, &PlanOptions::default()).unwrap();
}

#[test]
fn a_device_with_default_limits_trains() {
    let Some((adapter, device, queue)) = host_device(|_| Limits::default()) else { return };
    let gpu = omma::Gpu::from_wgpu(&adapter, device, queue);
    assert_eq!(gpu.capabilities().limits.max_storage_buffers_per_shader_stage, 8);
    check_training(&gpu, &PlanOptions::default());
}

#[test]
fn a_budget_trades_time_for_memory_and_no_bits() {
    let Some(gpu) = crate::gpu() else { return };
    let train = |options: &PlanOptions| {
        let graph = Graph::new(Mode::Training);
        let mut x = graph.input("x", [4, 8, 16, 16]).unwrap();
        for layer in 0..4 {
            let y = x.conv2d(&format!("conv{layer}"), Conv2d::new(8, 3).padding(1)).unwrap();
            x = y.batch_norm(&format!("bn{layer}"), BatchNorm::default()).unwrap().relu().unwrap();
        }
        let labels = graph.label_input("labels", 4).unwrap();
        let logits = x.flatten().unwrap().dense("fc", 3).unwrap();
        let loss = logits.softmax_cross_entropy(labels).unwrap();
        graph.minimize(loss, &Optimizer::sgd(0.1).momentum(0.9)).unwrap();
        let variables = Variables::new(gpu, 7);
        let mut session = Session::with_options(gpu, &graph, &[loss], &variables, options)?;
        session.poison().unwrap();
        let pixels: Vec<f32> = (0..4 * 8 * 256).map(|i| (i % 37) as f32 / 37.0 - 0.5).collect();
        for _ in 0..3 {
            session.run_blocking(&[("x", (&pixels).into()), ("labels", [0_u32, 1, 2, 1].as_slice().into())]).unwrap();
        }
        let bits: Vec<u32> =
            variables.read_all_blocking().unwrap().iter().flat_map(|(_, array)| array.mapv(f32::to_bits)).collect();
        Result::Ok((session.plan().memory(), session.plan().dispatches(), bits))
    };
    let (memory, dispatches, bits) = train(&PlanOptions::default()).unwrap();
    let enough = train(&PlanOptions::default().memory_budget(memory.total())).unwrap();
    assert_eq!((enough.0, enough.1), (memory, dispatches), "nothing is repeated without need");
    let (less, more, same) = train(&PlanOptions::default().memory_budget(memory.total() - 1)).unwrap();
    assert!(
        less.slabs < memory.slabs && more > dispatches,
        "{less:?} in {more} dispatches, {memory:?} in {dispatches}"
    );
    assert_eq!(same, bits);
    match train(&PlanOptions::default().memory_budget(1)) {
        Err(Error::Limit { needed, limit, allowed, .. }) => {
            assert_eq!((needed, limit, allowed), (less.total(), "memory_budget", 1));
        }
        other => panic!("{:?}", other.map(|(memory, ..)| memory)),
    }
}

/// Activations by lifetime, copies in textures and packed filters included.
#[test]
fn the_memory_of_resnet50_stays_small() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = ResNet::new(50).unwrap().build(graph.input("images", [1, 3, 224, 224]).unwrap(), 1000).unwrap();
    let layout = VariableLayout::on(&graph, gpu.capabilities()).unwrap();
    let plan = Plan::new(&graph, &[y], &layout, gpu.capabilities(), &PlanOptions::default()).unwrap();
    let mib = (plan.memory().total() + layout.bytes()) >> 20;
    assert!((98..250).contains(&mib), "{mib} MiB, of which the variables alone take 98");
}

/// A convolution that software adapters compute by Winograd's algorithm.
fn wide_convolution(graph: &Graph, channels: usize, side: usize) -> Tensor<'_> {
    let x = graph.input("x", [1, channels, side, side]).unwrap();
    x.conv2d("conv", Conv2d::new(channels, 3).padding(1)).unwrap()
}

#[test]
fn transformed_filters_larger_than_a_binding_are_refused() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = wide_convolution(&graph, 512, 32);
    // 36 elements of 512 x 512 filters are 37.7 MB.
    let limits = Limits { max_storage_buffer_binding_size: 32 << 20, ..gpu.capabilities().limits.clone() };
    let mut small = gpu.capabilities().clone();
    small.limits = limits;
    let plan = plan(&graph, &[y], &small, &PlanOptions::default()).unwrap();
    let mut candidates = plan.choices().iter().flat_map(|choice| &choice.candidates);
    let planar = candidates.clone().find(|c| c.name == "winograd_planar").unwrap();
    assert!(planar.refusal.as_ref().is_some_and(|why| why.contains("larger than a binding")), "{planar:?}");
    let winograd = candidates.find(|c| c.name == "winograd").unwrap();
    assert!(winograd.refusal.is_some(), "{winograd:?}");
}

#[test]
fn a_budget_does_without_kept_filters() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = wide_convolution(&graph, 256, 28);
    let free = plan(&graph, &[y], gpu.capabilities(), &PlanOptions::default()).unwrap();
    let without = PlanOptions::default().exclude("winograd");
    let needed = plan(&graph, &[y], gpu.capabilities(), &without).unwrap().memory().total();
    let tight = plan(&graph, &[y], gpu.capabilities(), &PlanOptions::default().memory_budget(needed)).unwrap();
    assert!(tight.memory().total() <= needed);
    // On other devices there is nothing to do without.
    assert!(free.memory().total() >= needed);
}
