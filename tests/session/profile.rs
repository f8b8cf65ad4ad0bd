//! Where a step's time goes: every dispatch once, with its work, by either clock, and the step is a step.

use std::time::Instant;

use omma::wgpu::Features;
use omma::{Clock, Conv2d, Gpu, Graph, Mode, Optimizer, PlanOptions, Profile, Session, TensorId, Variables};

use super::{evaluation, in_time, training};
use crate::support::{gpu, host_device, message};

const X: [f32; 6] = [0.5, -1.0, 2.0, 0.25, 1.5, -0.75];

/// Trains one step, profiled or not, and returns the profile with the loss of the step after it.
fn step_and_loss(gpu: &Gpu, profiled: bool) -> (Option<Profile>, f32) {
    let (mut session, loss) = training(gpu, &Variables::new(gpu, 3), 2);
    let inputs = [("x", X.as_slice().into()), ("labels", [0_u32, 1].as_slice().into())];
    let profile = profiled.then(|| session.profile_blocking(&inputs).unwrap());
    if !profiled {
        session.run_blocking(&inputs).unwrap();
    }
    assert_eq!(session.step(), 1);
    if let Some(profile) = &profile {
        assert_eq!(profile.dispatches.len(), session.plan().dispatches());
        let kernels: Vec<String> = session.plan().kernels().map(|kernel| kernel.label()).collect();
        let profiled: Vec<&String> = profile.dispatches.iter().map(|dispatch| &dispatch.kernel).collect();
        assert_eq!(profiled, kernels.iter().collect::<Vec<_>>());
    }
    session.run_blocking(&inputs).unwrap();
    (profile, session.read_blocking::<f32>(loss).unwrap().sum())
}

#[test]
fn a_profiled_step_is_a_step_by_either_clock() {
    let (Some(gpu), Some((adapter, device, queue))) = (gpu(), host_device(|limits| limits)) else { return };
    let (_, expected) = step_and_loss(gpu, false);
    // The host's device was opened without any feature.
    let plain = Gpu::from_wgpu(&adapter, device, queue);
    let own = match gpu.device().features().contains(Features::TIMESTAMP_QUERY) {
        true => Clock::Timestamps,
        false => Clock::Wall,
    };
    for (gpu, clock) in [(gpu, own), (&plain, Clock::Wall)] {
        let before = Instant::now();
        let (profile, loss) = step_and_loss(gpu, true);
        let profile = profile.unwrap();
        assert_eq!((profile.clock, loss), (clock, expected));
        // The times lie within the call, one after the other.
        let (total, call) = (profile.nanoseconds(), before.elapsed().as_nanos() as f64);
        assert!(total > 0.0 && total <= call, "{total} ns of dispatches in a call of {call} ns");
        assert!(profile.dispatches.is_sorted_by(|a, b| a.start <= b.start), "{profile:?}");
    }
}

/// The operations of each node of a profile that has any.
fn flops(profile: &Profile) -> Vec<(&str, u64)> {
    profile.dispatches.iter().filter(|d| d.flops > 0).map(|d| (d.node.as_str(), d.flops)).collect()
}

#[test]
fn work_is_that_of_the_formula_whatever_kernel_computes_it() {
    let Some(gpu) = gpu() else { return };
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [2, 4, 9, 7]).unwrap();
    let settings = Conv2d::new(6, 3).padding(1).stride(2).groups(2);
    let y = x.conv2d("first", settings).unwrap().relu().unwrap();
    let y = y.conv2d("second", Conv2d::new(5, 1)).unwrap().flatten().unwrap().dense("fc", 3).unwrap();
    let labels = graph.label_input("labels", 2).unwrap();
    let loss = y.softmax_cross_entropy(labels).unwrap();
    graph.minimize(loss, &Optimizer::sgd(0.1)).unwrap();
    let (variables, options) = (Variables::new(gpu, 1), PlanOptions::default().without_fusion());
    let mut session = Session::with_options(gpu, &graph, &[loss], &variables, &options).unwrap();
    let pixels = vec![0.5_f32; 2 * 4 * 9 * 7];
    let inputs = [("x", (&pixels).into()), ("labels", [0_u32, 2].as_slice().into())];
    let profile = session.profile_blocking(&inputs).unwrap();
    // Batch, output pixels, output channels, taps; images of 5x4 behind the stride.
    let first = 2 * 2 * 20 * 6 * (2 * 9);
    let second = 2 * 2 * 20 * 5 * 6;
    let fc = 2 * 2 * 100 * 3;
    let mut found = flops(&profile);
    found.sort_unstable();
    let expected = [
        ("conv2d `first`", first),
        ("conv2d `second`", second),
        ("conv2d.grad_input `second`", second),
        ("conv2d.grad_weight `first`", first),
        ("conv2d.grad_weight `second`", second),
        ("dense `fc`", fc),
        ("dense.grad_input `fc`", fc),
        ("dense.grad_weight `fc`", fc),
    ];
    assert_eq!(found, expected);
    let relu = profile.dispatches.iter().find(|dispatch| dispatch.node == "relu").unwrap();
    assert_eq!((relu.flops, relu.bytes), (0, 2 * 4 * 2 * 6 * 20), "it reads one tensor and writes another");
    let layer = |name: &str| profile.dispatches.iter().filter(|dispatch| dispatch.layer == name).count();
    assert!(layer("first") >= 2 && layer("fc") >= 3 && layer("") >= 3);
    let number = |node: &str| profile.dispatches.iter().find(|dispatch| dispatch.node == node).unwrap().number;
    assert_ne!(number("conv2d `first`"), number("conv2d `second`"));
}

#[test]
fn a_profile_wants_the_inputs_of_a_step_and_can_be_awaited() {
    let Some(gpu) = gpu() else { return };
    let (mut session, y): (Session, TensorId) = evaluation(gpu, &Variables::new(gpu, 3), 2);
    assert!(message(session.profile_blocking(&[])).contains("input `x` (f32[2, 3]) is missing"));
    session.run_blocking(&[("x", X.as_slice().into())]).unwrap();
    let expected = session.read_blocking::<f32>(y).unwrap();
    let profile = in_time(move || {
        let profile = pollster::block_on(session.profile(&[("x", X.as_slice().into())])).unwrap();
        assert_eq!(session.read_blocking::<f32>(y).unwrap(), expected);
        profile
    });
    assert!(profile.nanoseconds() > 0.0);
    let empty = Graph::new(Mode::Evaluation);
    let x = empty.input("x", [1]).unwrap();
    let mut session = Session::new(gpu, &empty, &[x], &Variables::new(gpu, 1)).unwrap();
    assert!(session.profile_blocking(&[("x", [1.0_f32].as_slice().into())]).unwrap().dispatches.is_empty());
}

#[test]
fn the_median_is_of_each_dispatch_and_keeps_the_work() {
    let Some(gpu) = gpu() else { return };
    let (mut session, _) = training(gpu, &Variables::new(gpu, 3), 2);
    let inputs = [("x", X.as_slice().into()), ("labels", [0_u32, 1].as_slice().into())];
    let profiles: Vec<Profile> = (0..3).map(|_| session.profile_blocking(&inputs).unwrap()).collect();
    let median = Profile::median(&profiles).unwrap();
    assert_eq!(median.clock, profiles[0].clock);
    for (index, dispatch) in median.dispatches.iter().enumerate() {
        let mut times = [0, 1, 2].map(|step| profiles[step].dispatches[index].nanoseconds);
        times.sort_by(f64::total_cmp);
        assert_eq!(dispatch.nanoseconds, times[1]);
    }
    // The longest dispatch of a node may be another one by the median, but the node's work is the same.
    let mut work: Vec<_> = [&median, &profiles[0]].map(flops).into();
    work.iter_mut().for_each(|work| work.sort_unstable());
    assert!(!work[0].is_empty() && work[0] == work[1], "{work:?}");
    let (mut other, _) = evaluation(gpu, &Variables::new(gpu, 3), 2);
    let other = other.profile_blocking(&inputs[..1]).unwrap();
    assert!(Profile::median(&[profiles[0].clone(), other]).is_none(), "of different plans");
    assert!(Profile::median(&[]).is_none());
}
