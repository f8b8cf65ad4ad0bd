//! `optimizer` on the device, and what cases cannot show: steps that are skipped or gathered, settings, averages.

use std::collections::HashMap;

use omma::{Gpu, Graph, Init, Mode, Optimizer, Plan, PlanOptions, Session, VariableLayout, Variables};
use safetensors::tensor::{Dtype, TensorView};

use crate::support::message;

#[test]
fn agrees_with_the_reference() {
    super::check("optimizer");
}

/// A session that changes parameters `p0`, `p1`, ... of these sizes, all ones at first, by gradients that are fed.
struct Fed {
    session: Session,
    variables: Variables,
    sizes: Vec<Vec<usize>>,
}

impl Fed {
    fn new(gpu: &Gpu, optimizer: &Optimizer, sizes: &[&[usize]]) -> Self {
        let graph = Graph::new(Mode::Training);
        let pairs: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(index, size)| {
                let parameter = graph.parameter(&format!("p{index}"), *size, Init::Ones).unwrap();
                (parameter, graph.input(&format!("g{index}"), *size).unwrap())
            })
            .collect();
        graph.update(&pairs, optimizer).unwrap();
        let variables = Variables::new(gpu, 1);
        let session = Session::new(gpu, &graph, &[], &variables).unwrap();
        // Whatever lies between the parameters must not matter.
        session.poison().unwrap();
        Self { session, variables, sizes: sizes.iter().map(|size| size.to_vec()).collect() }
    }

    /// One step, every element of a parameter's gradient the same.
    fn step(&mut self, gradients: &[f32]) {
        let count = |size: &[usize]| size.iter().product::<usize>();
        let values: Vec<Vec<f32>> =
            self.sizes.iter().zip(gradients).map(|(size, &gradient)| vec![gradient; count(size)]).collect();
        let names: Vec<String> = (0..values.len()).map(|index| format!("g{index}")).collect();
        let feeds: Vec<_> = names.iter().zip(&values).map(|(name, values)| (name.as_str(), values.into())).collect();
        self.session.run_blocking(&feeds).unwrap();
    }

    /// The one value that all elements of each parameter have.
    fn values(&self) -> Vec<f32> {
        values(&self.variables)
    }
}

fn values(variables: &Variables) -> Vec<f32> {
    let all = variables.read_all_blocking().unwrap();
    let one = |(name, values): &(String, ndarray::ArrayD<f32>)| {
        let first = *values.iter().next().unwrap();
        assert!(values.iter().all(|value| value.to_bits() == first.to_bits()), "{name}: {values}");
        first
    };
    all.iter().map(one).collect()
}

#[test]
fn one_dispatch_updates_however_many_parameters() {
    let Some(gpu) = crate::gpu() else { return };
    let dispatches = |optimizer: &Optimizer, count: usize| {
        let sizes: Vec<&[usize]> = (0..count).map(|index| if index % 2 == 0 { &[3, 5][..] } else { &[7] }).collect();
        let fed = Fed::new(gpu, optimizer, &sizes);
        let plan = fed.session.plan();
        // What copies the fed gradients into their places is a dispatch for each.
        plan.kernels().filter(|kernel| kernel.shader.name.starts_with("optimizer")).count()
    };
    for (optimizer, expected) in [
        (Optimizer::adam(0.1).ema(0.9), 2),
        (Optimizer::adam(0.1).weight_decay(0.1).no_bias_decay(), 3),
        (Optimizer::sgd(0.1).clip_norm(1.0), 3),
    ] {
        assert_eq!([2, 9, 30].map(|count| dispatches(&optimizer, count)), [expected; 3], "{optimizer:?}");
    }
}

/// WebGPU's default is 8 buffers; no optimizer needs more, whatever is asked of it.
#[test]
fn the_most_that_one_can_ask_for_fits_into_eight_buffers() {
    let Some(gpu) = crate::gpu() else { return };
    let rule = Optimizer::rmsprop(0.1).momentum(0.9).centered().weight_decay(0.1).no_bias_decay();
    let optimizer = rule.clip_value(1.0).clip_norm(1.0).skip_nonfinite().ema(0.9).ema_warmup().accumulate(2);
    let graph = Graph::new(Mode::Training);
    let p = graph.parameter("p", [3, 5], Init::Ones).unwrap();
    graph.update(&[(p, graph.input("g", [3, 5]).unwrap())], &optimizer).unwrap();
    let mut capabilities = gpu.capabilities().clone();
    capabilities.limits.max_storage_buffers_per_shader_stage = 8;
    let layout = VariableLayout::on(&graph, &capabilities).unwrap();
    // Parameters, three slots, gathered gradients and an average.
    assert_eq!(layout.bytes(), 6 * 256);
    let options = PlanOptions::default().prefer("buffers");
    let plan = Plan::new(&graph, &[], &layout, &capabilities, &options).unwrap();
    assert_eq!(plan.bindings().map(|bindings| bindings.len() - 1).max(), Some(7));
}

#[test]
fn an_update_of_nothing_does_nothing() {
    let Some(gpu) = crate::gpu() else { return };
    let fed = Fed::new(gpu, &Optimizer::adam(0.1).clip_norm(1.0).ema(0.9), &[]);
    assert_eq!(fed.session.plan().dispatches(), 0);
}

#[test]
fn the_norm_is_that_of_all_gradients() {
    let Some(gpu) = crate::gpu() else { return };
    // 3 elements of 1, 65 of 2 and 129 of -1: a norm of sqrt(3 + 260 + 129) = sqrt(392).
    let sizes: [&[usize]; 3] = [&[3], &[5, 13], &[129]];
    let scale = 392_f64.sqrt();
    for (limit, factor) in [(7.0_f32, 7.0 / (scale + 1e-6)), (20.0, 1.0)] {
        let mut fed = Fed::new(gpu, &Optimizer::sgd(1.0).clip_norm(limit), &sizes);
        fed.step(&[1.0, 2.0, -1.0]);
        for (value, gradient) in fed.values().into_iter().zip([1.0, 2.0, -1.0]) {
            let expected = 1.0 - factor * gradient;
            // A sum of 197 squares, its root, a quotient, a product and a difference.
            let bound = f64::from(f32::EPSILON) * (0.5 * 197_f64.sqrt() + 4.0) * 3.0;
            assert!((f64::from(value) - expected).abs() < bound, "{limit}: {value}, expected {expected}");
        }
    }
}

#[test]
fn steps_without_a_finite_norm_are_skipped() {
    let Some(gpu) = crate::gpu() else { return };
    let sizes: [&[usize]; 2] = [&[2, 3], &[70]];
    let optimizer = Optimizer::sgd(0.5).momentum(0.5).ema(0.5).skip_nonfinite();
    let mut fed = Fed::new(gpu, &optimizer, &sizes);
    fed.step(&[1.0, -1.0]);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
        fed.step(&[1.0, bad]);
        assert_eq!(fed.values(), [0.5, 1.5], "{bad}");
        assert_eq!(values(&fed.variables.averaged().unwrap()), [0.75, 1.25], "{bad}");
    }
    // The velocity, too, is that of the first step: 0.5·1 + 1.
    fed.step(&[1.0, -1.0]);
    assert_eq!(fed.values(), [-0.25, 2.25]);
    assert_eq!(fed.variables.steps(), 6);
}

/// As PyTorch's `clip_grad_norm_` without `error_if_nonfinite`.
#[test]
fn without_skipping_what_is_not_finite_goes_on() {
    let Some(gpu) = crate::gpu() else { return };
    let sizes: [&[usize]; 2] = [&[2, 3], &[70]];
    let after = |optimizer: Optimizer, gradients: &[f32]| {
        let mut fed = Fed::new(gpu, &optimizer, &sizes);
        fed.step(gradients);
        fed.values()
    };
    let clip = Optimizer::sgd(1.0).clip_norm(1.0);
    let [finite, infinite] = after(clip, &[4.0, f32::INFINITY])[..] else { panic!("two values") };
    assert!(finite == 1.0 && infinite.is_nan(), "{finite} {infinite}");
    assert!(after(clip, &[4.0, f32::NAN]).iter().all(|value| value.is_nan()));
    // Values are cut off one by one; not-a-number stays, and takes nothing else with it.
    let clip = Optimizer::sgd(1.0).clip_value(0.25);
    assert_eq!(after(clip, &[4.0, f32::NEG_INFINITY]), [0.75, 1.25]);
    let [one, other] = after(clip, &[-0.125, f32::NAN])[..] else { panic!("two values") };
    assert!(one == 1.125 && other.is_nan(), "{one} {other}");
    for optimizer in [Optimizer::adam(1.0), Optimizer::rmsprop(1.0).centered(), Optimizer::adagrad(1.0)] {
        let [finite, bad] = after(optimizer, &[4.0, f32::NAN])[..] else { panic!("two values") };
        assert!(finite.is_finite() && bad.is_nan(), "{optimizer:?}: {finite} {bad}");
    }
    let [finite, bad] = after(Optimizer::lion(0.5), &[4.0, f32::NAN])[..] else { panic!("two values") };
    assert!(finite == 0.5 && bad.is_nan(), "{finite} {bad}");
}

#[test]
fn gathered_gradients_make_one_update() {
    let Some(gpu) = crate::gpu() else { return };
    let sizes: [&[usize]; 2] = [&[2, 3], &[70]];
    let rules = [Optimizer::sgd(0.5).momentum(0.5), Optimizer::adam(0.5), Optimizer::sgd(0.5).clip_norm(3.0).ema(0.5)];
    for optimizer in rules {
        let mut gathered = Fed::new(gpu, &optimizer.accumulate(4), &sizes);
        let mut whole = Fed::new(gpu, &optimizer, &sizes);
        for round in 0..3 {
            // Means of these are exact.
            let parts = [[1.0, -8.0], [3.0, 2.0], [-2.0, 4.0], [6.0, 6.0_f32]];
            for (index, part) in parts.iter().enumerate() {
                assert_eq!(gathered.values(), whole.values(), "round {round}, part {index}: {optimizer:?}");
                gathered.step(part);
            }
            whole.step(&[2.0, 1.0]);
        }
        assert_eq!(gathered.values(), whole.values(), "{optimizer:?}");
        assert_eq!((gathered.variables.steps(), whole.variables.steps()), (12, 3));
    }
    // A sum that is not finite is skipped as a whole, and the next one starts from nothing.
    let mut fed = Fed::new(gpu, &Optimizer::sgd(0.5).accumulate(2).skip_nonfinite(), &sizes);
    for (gradient, expected) in [(f32::NAN, 1.0), (1.0, 1.0), (1.0, 1.0), (3.0, 0.0)] {
        fed.step(&[gradient; 2]);
        assert_eq!(fed.values(), [expected; 2], "{gradient}");
    }
}

#[test]
fn averages_follow_and_begin_anew() {
    let Some(gpu) = crate::gpu() else { return };
    let sizes: [&[usize]; 2] = [&[2, 3], &[70]];
    let mut fed = Fed::new(gpu, &Optimizer::sgd(1.0).ema(0.75), &sizes);
    let averaged = fed.variables.averaged().unwrap();
    assert_eq!(averaged.names(), fed.variables.names());
    assert_eq!(values(&averaged), [1.0, 1.0], "it begins as the parameters");
    // 0.75·1 + 0.25·0, then 0.75·0.75 + 0.25·-1.
    for (step, expected) in [(0, 0.75), (1, 0.3125)] {
        fed.step(&[1.0, 0.0]);
        assert_eq!((fed.values()[0], values(&averaged)[0]), (-(step as f32), expected));
    }
    // A network with the averages in it, and its file.
    let graph = Graph::new(Mode::Evaluation);
    let p = graph.parameter("p0", [2, 3], Init::Ones).unwrap().relu().unwrap();
    let mut evaluation = Session::new(gpu, &graph, &[p], &averaged).unwrap();
    evaluation.run_blocking(&[]).unwrap();
    assert_eq!(evaluation.read_blocking::<f32>(p).unwrap().sum(), 6.0 * 0.3125);
    let file = pollster::block_on(averaged.to_safetensors()).unwrap();
    // A later step is seen by the session that is there.
    fed.step(&[0.0, 0.0]);
    evaluation.run_blocking(&[]).unwrap();
    let expected = 0.75 * 0.3125 - 0.25;
    assert_eq!(evaluation.read_blocking::<f32>(p).unwrap().sum(), 6.0 * f32::max(expected, 0.0));
    assert_eq!(values(&averaged)[0], expected);
    // What the host sets or loads, the average begins with.
    fed.variables.set("p1", &vec![5.0_f32; 70]).unwrap();
    assert_eq!(values(&averaged), [expected, 5.0]);
    fed.variables.load_safetensors(&file).unwrap();
    assert_eq!((fed.values(), values(&averaged)), (vec![0.3125, 1.0], vec![0.3125, 1.0]));
    fed.step(&[1.0, 1.0]);
    fed.variables.reset_optimizer().unwrap();
    assert_eq!(values(&averaged), fed.values());
    // Warm-up: decays of 2/11 and 3/12 where they are below the given one.
    let mut fed = Fed::new(gpu, &Optimizer::sgd(1.0).ema(0.999).ema_warmup(), &sizes);
    let mut expected = 1.0_f64;
    for t in 1..=3 {
        fed.step(&[1.0, 0.0]);
        let decay = f64::from(1 + t) / f64::from(10 + t);
        expected = decay * expected + (1.0 - decay) * f64::from(1 - t);
        let value = f64::from(values(&fed.variables.averaged().unwrap())[0]);
        assert!((value - expected).abs() < 4.0 * f64::from(f32::EPSILON), "{t}: {value}, expected {expected}");
    }
    let without = Fed::new(gpu, &Optimizer::sgd(1.0), &sizes);
    let error = message(without.variables.averaged());
    assert_eq!(error, "session: no parameter has an average: give the optimizer `ema`");
}

#[test]
fn what_is_learned_without_an_average_is_the_networks_own() {
    let Some(gpu) = crate::gpu() else { return };
    let variables = Variables::new(gpu, 1);
    let session = |learned: &[(&str, Optimizer)]| {
        let graph = Graph::new(Mode::Training);
        for (name, optimizer) in learned {
            let parameter = graph.parameter(name, [3], Init::Ones).unwrap();
            graph.update(&[(parameter, graph.input(&format!("d{name}"), [3]).unwrap())], optimizer).unwrap();
        }
        Session::new(gpu, &graph, &[], &variables).unwrap()
    };
    let mut both = session(&[("body", Optimizer::sgd(1.0).ema(0.5)), ("head", Optimizer::sgd(1.0))]);
    let averaged = variables.averaged().unwrap();
    both.run_blocking(&[("dbody", (&vec![1.0; 3]).into()), ("dhead", (&vec![1.0; 3]).into())]).unwrap();
    // 0.5·1 + 0.5·0, and 0: the view was there before.
    assert_eq!(values(&averaged), [0.5, 0.0]);
    session(&[("body", Optimizer::sgd(1.0))]);
    assert!(variables.averaged().is_err(), "the average does not follow any more");
}

#[test]
fn the_momentum_is_a_setting() {
    let Some(gpu) = crate::gpu() else { return };
    let mut fed = Fed::new(gpu, &Optimizer::sgd(1.0).momentum(0.5), &[&[2, 3]]);
    fed.step(&[1.0]);
    // v = 0.5·1 + 1, then with 0.25 in its place 0.25·1.5 + 1.
    fed.step(&[1.0]);
    fed.session.set_momentum(0.25).unwrap();
    fed.step(&[1.0]);
    assert_eq!(fed.values(), [1.0 - 1.0 - 1.5 - 1.375]);
    assert_eq!(message(fed.session.set_momentum(1.0)), "momentum: expected at least 0 and below 1, got 1");
    assert!(fed.session.set_momentum(f32::NAN).is_err());
    // Adam's is beta1: with 0 the first step is that of any beta, the second forgets the first.
    let mut fed = Fed::new(gpu, &Optimizer::adam(1.0).betas(0.9, 0.0).epsilon(1e-30), &[&[2, 3]]);
    fed.session.set_momentum(0.0).unwrap();
    fed.step(&[3.0]);
    fed.step(&[-5.0]);
    assert_eq!(fed.values(), [1.0]);
    let mut fed = Fed::new(gpu, &Optimizer::sgd(1.0), &[&[2, 3]]);
    assert_eq!(message(fed.session.set_momentum(0.5)), "session: the graph has no optimizer with momentum");
}

#[test]
fn dampening_spares_the_first_step_and_biases_may_be_spared_decay() {
    let Some(gpu) = crate::gpu() else { return };
    let mut fed = Fed::new(gpu, &Optimizer::sgd(1.0).momentum(0.5).dampening(0.75), &[&[2, 3]]);
    // PyTorch's first velocity is the gradient; the second 0.5·1 + 0.25·1.
    fed.step(&[1.0]);
    assert_eq!(fed.values(), [0.0]);
    fed.step(&[1.0]);
    assert_eq!(fed.values(), [-0.75]);
    let decay = Optimizer::sgd(1.0).weight_decay(0.25).no_bias_decay();
    let mut fed = Fed::new(gpu, &decay, &[&[5], &[2, 3], &[7], &[1, 1, 1, 65]]);
    fed.step(&[0.5; 4]);
    assert_eq!(fed.values(), [0.5, 0.25, 0.5, 0.25]);
}

/// Adam's corrections 1 - beta^t, of which 1 - pow(beta, t) in f32 would have lost some bits.
#[test]
fn bias_corrections_are_right_at_any_step() {
    let Some(gpu) = crate::gpu() else { return };
    let (m, v) = (0.5_f32, 0.25_f32);
    for t in [1_u32, 2, 10, 1_000, 1_000_000, u32::MAX] {
        let mut fed = Fed::new(gpu, &Optimizer::adam(1.0), &[&[2, 3]]);
        let bytes = |value: f32| value.to_le_bytes().repeat(6);
        let (first, second) = (bytes(m), bytes(v));
        let views = [("p0.exp_avg", &first), ("p0.exp_avg_sq", &second)]
            .map(|(name, data)| (name, TensorView::new(Dtype::F32, vec![2, 3], data).unwrap()));
        let metadata = HashMap::from([("steps".to_string(), (t - 1).to_string())]);
        fed.variables.load_optimizer_safetensors(&safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
        fed.step(&[0.0]);
        let [beta1, beta2] = [0.9_f32, 0.999].map(f64::from);
        // 1 - beta^t without cancellation.
        let correction = |beta: f64| -(f64::from(t) * beta.ln()).exp_m1();
        let mean = f64::from(m) * beta1 / correction(beta1);
        let root = (f64::from(v) * beta2 / correction(beta2)).sqrt();
        let (update, value) = (mean / (root + f64::from(1e-8_f32)), f64::from(fed.values()[0]));
        // Each correction takes at most two products and two sums a bit of t, whose relative errors add up, but shrink as
        // it nears 1; then a few roundings of the formula.
        let bound = f64::from(f32::EPSILON) * (update + 1.0) * 8.0;
        assert!((value - (1.0 - update)).abs() < bound, "{t}: {value}, expected {}", 1.0 - update);
        assert_eq!(fed.variables.steps(), t);
    }
}
