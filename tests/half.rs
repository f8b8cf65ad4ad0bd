//! Operands in half precision: taken only where they are asked for, rounded as IEEE 754 says, and off by no more than that.

use omma::selftest::Report;
use omma::wgpu::{DownlevelFlags, Features};
use omma::{
    Capabilities, Conv2d, Cooperative, DeviceClass, Evaluator, Graph, Mode, Plan, PlanOptions, Session, Tensor,
    VariableLayout, Variables,
};

/// Two convolutions, and the gradients of both weights.
fn convolutions(graph: &Graph) -> Vec<Tensor<'_>> {
    let x = graph.input("x", [4, 16, 12, 12]).unwrap();
    let y = x.conv2d("first", Conv2d::new(32, 3).padding(1).without_bias()).unwrap();
    let y = y.conv2d("second", Conv2d::new(64, 3).without_bias()).unwrap();
    let cotangent = graph.input("cotangent", y.shape()).unwrap();
    let gradients = graph.gradients_of(&[(y, cotangent)], &graph.parameters()).unwrap();
    std::iter::once(y).chain(gradients.into_iter().flatten()).collect()
}

/// The plan of a GPU that is like the device but no software.
fn planned(options: &PlanOptions, change: impl Fn(&mut Capabilities)) -> Option<Plan> {
    let mut capabilities = crate::gpu()?.capabilities().clone();
    capabilities.class = DeviceClass::Gpu;
    change(&mut capabilities);
    let graph = Graph::new(Mode::Training);
    let outputs = convolutions(&graph);
    let layout = VariableLayout::on(&graph, &capabilities).unwrap();
    Some(Plan::new(&graph, &outputs, &layout, &capabilities, options).unwrap())
}

/// How many products a plan has in half precision and in single, and how many tensors it rounds.
fn counts(plan: &Plan) -> [usize; 3] {
    let products = || plan.kernels().filter(|kernel| kernel.shader.name.starts_with("conv2d_tiled"));
    let half = products().filter(|kernel| kernel.half_precision()).count();
    let rounded = plan.kernels().filter(|kernel| kernel.entry == "to_half").count();
    [half, products().count() - half, rounded]
}

fn refusals(plan: &Plan) -> Vec<String> {
    let candidates = plan.choices().iter().flat_map(|choice| &choice.candidates);
    candidates.filter(|c| c.name.ends_with("_half")).filter_map(|c| c.refusal.clone()).collect()
}

#[test]
fn it_is_taken_where_it_is_asked_for_and_possible() {
    let Some(single) = planned(&PlanOptions::default(), |_| ()) else { return };
    assert_eq!(counts(&single), [0, 5, 0]);
    // Three sizes for each of the five products.
    assert_eq!(refusals(&single), vec!["half precision is not asked for"; 15]);

    let asked = PlanOptions::default().half_precision();
    let half = planned(&asked, |_| ()).unwrap();
    // Forward, weight gradient and input gradient read one rounded copy: of x, both weights, the first layer's result, and
    // the gradients of both results.
    assert_eq!(counts(&half), [5, 0, 6]);
    assert_eq!(refusals(&half), Vec::<String>::new());

    let without = planned(&asked, |c| c.downlevel.remove(DownlevelFlags::SHADER_F16_IN_F32)).unwrap();
    assert_eq!(counts(&without), [0, 5, 0]);
    assert_eq!(refusals(&without), vec!["the adapter cannot widen f16 to f32"; 15]);

    let excluded = planned(&asked.exclude("conv2d.grad_weight[tiled_small_half]"), |_| ()).unwrap();
    assert!(refusals(&excluded).contains(&"excluded".into()));
}

#[test]
fn cooperative_matrices_are_taken_where_they_are_sound() {
    let asked = PlanOptions::default().half_precision();
    let chosen = |cooperative: Cooperative, subgroups: [u32; 2]| {
        let plan = planned(&asked, |c| {
            c.features |= Features::SUBGROUP | Features::SHADER_F16;
            [c.info.subgroup_min_size, c.info.subgroup_max_size] = subgroups;
            c.cooperative = cooperative;
        })?;
        let taken = plan.kernels().filter(|kernel| kernel.variant == "cooperative").count();
        let candidates = plan.choices().iter().flat_map(|choice| &choice.candidates);
        let reason = candidates.filter(|c| c.name == "cooperative").find_map(|c| c.refusal.clone());
        Some((taken, reason.unwrap_or_default()))
    };
    let Some((taken, reason)) = chosen(Cooperative::Sound(16), [32; 2]) else { return };
    // The second layer's forward pass and weight gradient; the others have 32 rows, no more than half of a tile.
    assert_eq!((taken, reason.as_str()), (2, ""));
    for (cooperative, subgroups, expected) in [
        (Cooperative::Absent, [32; 2], "has no cooperative matrices"),
        (Cooperative::Unchecked(16), [32; 2], "are not checked"),
        (Cooperative::Unsound, [32; 2], "compute wrong"),
        (Cooperative::Sound(16), [32, 64], "not all of one size"),
        (Cooperative::Sound(8), [64; 2], "4 subgroups do not share 8x8 matrices"),
    ] {
        let (taken, reason) = chosen(cooperative, subgroups).unwrap();
        assert_eq!(taken, 0, "{cooperative:?}");
        assert!(reason.contains(expected), "{reason}");
    }
}

/// All finite numbers of half precision from 0 on, in order, so that a number's place is its bits; then what would be next.
fn halves() -> Vec<f64> {
    let number = |bits: i32| match bits >> 10 {
        0 => f64::from(bits) * 2_f64.powi(-24),
        exponent => f64::from(1024 + (bits & 1023)) * 2_f64.powi(exponent - 25),
    };
    (0..=0x7c00).map(number).collect()
}

/// What a value is in half precision, found among all that there are.
fn nearest(halves: &[f64], value: f32) -> f64 {
    let (size, last) = (f64::from(value.abs()), halves.len() - 1);
    let above = halves.partition_point(|&half| half < size).min(last);
    let below = above.saturating_sub(1);
    let (down, up) = (size - halves[below], halves[above] - size);
    let index = if down < up || (down == up && below % 2 == 0) { below } else { above };
    let size = if index == last { f64::INFINITY } else { halves[index] };
    if value.is_nan() { f64::NAN } else { size.copysign(f64::from(value)) }
}

#[test]
fn every_operand_is_rounded_to_the_nearest() {
    let Some(gpu) = crate::gpu() else { return };
    let halves = halves();
    let mut values = vec![0.0, f32::INFINITY, f32::NAN, f32::MAX, f32::MIN_POSITIVE, 1e-10, 1e5, 65_519.996, 65_520.0];
    for pair in halves.windows(2) {
        // Both are exact, and so is what lies between them.
        let middle = ((pair[0] + pair[1]) / 2.0) as f32;
        values.extend([pair[0] as f32, middle, middle.next_down(), middle.next_up()]);
    }
    values.extend(values.clone().iter().map(|value| -value));
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [1, 1, 1, values.len()]).unwrap();
    let one = graph.input("one", [1, 1, 1, 1]).unwrap();
    let y = x.conv2d_with(one, None, Conv2d::new(1, 1)).unwrap();
    let options = PlanOptions::default().prefer("tiled_half");
    let mut session = Session::with_options(gpu, &graph, &[y], &Variables::new(gpu, 1), &options).unwrap();
    session.run_blocking(&[("x", (&values).into()), ("one", [1.0_f32].as_slice().into())]).unwrap();
    for (&value, &found) in values.iter().zip(&session.read_blocking::<f32>(y).unwrap()) {
        let (expected, found) = (nearest(&halves, value), f64::from(found));
        // A device may flush what is subnormal.
        let flushed = found == 0.0 && expected.abs() < 2_f64.powi(-14);
        let same = expected == found || (expected.is_nan() && found.is_nan()) || flushed;
        assert!(same, "{value:e} is {expected:e} in half precision, not {found:e}");
    }
}

#[test]
fn results_are_off_by_what_the_rounding_costs() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 19, 9, 11]).unwrap();
    let weight = graph.input("weight", [13, 19, 3, 3]).unwrap();
    let y = x.conv2d_with(weight, None, Conv2d::new(13, 3).padding(1).stride(2)).unwrap();
    let cotangent = graph.input("cotangent", y.shape()).unwrap();
    let gradients = graph.gradients_of(&[(y, cotangent)], &[x, weight]).unwrap();
    let checked: Vec<Tensor<'_>> = std::iter::once(y).chain(gradients.into_iter().flatten()).collect();
    // Of all signs, and none of them a number of half precision.
    let data: Vec<(&str, Vec<f32>)> = [("x", x), ("weight", weight), ("cotangent", cotangent)]
        .map(|(name, tensor)| (name, (0..tensor.shape().elements()).map(|i| (i as f32 * 0.7391).sin()).collect()))
        .into();
    let feeds: Vec<_> = data.iter().map(|(name, values)| (*name, values.into())).collect();
    let options = PlanOptions::default().prefer("tiled_half");
    let mut session = Session::with_options(gpu, &graph, &checked, &Variables::new(gpu, 1), &options).unwrap();
    session.run_blocking(&feeds).unwrap();
    let wide: Vec<Vec<f64>> = data.iter().map(|(_, values)| values.iter().copied().map(f64::from).collect()).collect();
    let inputs: Vec<(&str, &[f64])> =
        data.iter().zip(&wide).map(|((name, _), values)| (*name, values.as_slice())).collect();
    let mut evaluator = Evaluator::new(&graph, 1);
    evaluator.run(&inputs).unwrap();
    for (what, tensor) in ["y", "dx", "dweight"].into_iter().zip(checked) {
        let found: Vec<f64> = session.read_blocking::<f32>(tensor).unwrap().iter().copied().map(f64::from).collect();
        let expected = evaluator.checked(tensor).unwrap();
        let mut half = Report::new(what.into(), "tiled_half").half_precision();
        half.compare(what, &found, expected);
        assert!(half.passed(), "{}: {} times the bound", half.place, half.worst);
        let mut single = Report::new(what.into(), "tiled_half");
        single.compare(what, &found, expected);
        assert!(!single.passed(), "{what} was not rounded at all");
    }
}

#[test]
fn a_network_trains() {
    let Some(gpu) = crate::gpu() else { return };
    crate::support::check_training(gpu, &PlanOptions::default().prefer("tiled_small_half"));
}
