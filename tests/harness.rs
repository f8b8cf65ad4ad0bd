//! The comparator's own tests: what it must reject, it rejects, and what it may accept, it accepts.

use std::collections::HashSet;

use omma::reference::{Checked, conv2d as reference};
use omma::selftest::{BOUND, OpCase, Report};
use omma::{Conv2d, Evaluator, Graph, Mode, Optimizer, PlanOptions, Session, Variables};

/// A sum of 9 terms with cancellation: two elements, magnitudes larger than the values.
fn expected() -> Checked {
    Checked { values: vec![1.0, -2.0], magnitude: vec![10.0, 40.0], terms: 9 }
}

/// What element `index` of [`expected`] may be off by.
fn bound(index: usize) -> f64 {
    BOUND * f64::from(f32::EPSILON) * 3.0 * expected().magnitude[index] + f64::from(f32::MIN_POSITIVE)
}

fn compare(values: &[f64], expected: &Checked) -> Report {
    let mut report = Report::new("case".into(), "plain");
    report.compare("tensor", values, expected);
    report
}

#[test]
fn equal_values_pass() {
    let report = compare(&[1.0, -2.0], &expected());
    assert!(report.passed());
    assert_eq!((report.worst, report.elements), (0.0, 2));
}

#[test]
fn just_inside_the_bound_passes() {
    for index in 0..2 {
        for sign in [-1.0, 1.0] {
            let mut values = expected().values;
            values[index] += sign * bound(index) * 0.99;
            let report = compare(&values, &expected());
            assert!(report.passed() && report.worst > 0.98, "{report:?}");
        }
    }
}

#[test]
fn just_beyond_the_bound_fails_and_is_named() {
    for index in 0..2 {
        for sign in [-1.0, 1.0] {
            let mut values = expected().values;
            values[index] += sign * bound(index) * 1.01;
            let report = compare(&values, &expected());
            assert!(!report.passed() && report.worst < 1.02, "{report:?}");
            assert!(report.place.starts_with(&format!("tensor[{index}] is ")), "{}", report.place);
        }
    }
}

#[test]
fn a_small_element_is_not_judged_by_a_large_one() {
    let expected = Checked { values: vec![1e-6, 1e6], magnitude: vec![1e-6, 1e6], terms: 1 };
    assert!(!compare(&[1.001e-6, 1e6], &expected).passed());
}

#[test]
fn a_non_finite_mismatch_fails() {
    let cases = [
        (f64::NAN, 1.0),
        (1.0, f64::NAN),
        (f64::INFINITY, 1.0),
        (1.0, f64::INFINITY),
        (f64::INFINITY, f64::NEG_INFINITY),
        (f64::NAN, f64::INFINITY),
    ];
    for (value, wanted) in cases {
        let report = compare(&[0.0, value], &Checked::exact(vec![0.0, wanted]));
        assert!(!report.passed(), "{value} for {wanted}");
        assert_eq!(report.worst, f64::INFINITY);
    }
    // Not even a magnitude without bound excuses it.
    let unbounded = Checked { values: vec![1.0], magnitude: vec![f64::INFINITY], terms: 1 };
    assert!(!compare(&[f64::NAN], &unbounded).passed());
    assert!(!compare(&[2.0], &unbounded).passed());
    let nonsense = Checked { values: vec![1.0], magnitude: vec![f64::NAN], terms: 1 };
    assert!(!compare(&[2.0], &nonsense).passed());
}

#[test]
fn an_agreed_non_finite_value_passes() {
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    assert!(compare(&values, &Checked::exact(values.to_vec())).passed());
}

#[test]
fn a_wrong_length_fails() {
    for length in [0, 1, 3] {
        let report = compare(&vec![1.0; length], &Checked::exact(vec![1.0; 2]));
        assert!(!report.passed(), "{length} elements for 2");
        assert_eq!(report.place, format!("tensor has {length} elements, expected 2"));
    }
}

#[test]
fn a_failure_is_not_forgotten() {
    let mut report = compare(&[f64::NAN], &Checked::exact(vec![1.0]));
    report.compare("second", &[1.0], &Checked::exact(vec![1.0]));
    assert!(!report.passed());
    assert!(report.place.starts_with("tensor[0]"), "{}", report.place);
}

#[test]
fn nothing_compared_is_no_pass() {
    assert!(!Report::new("case".into(), "plain").passed());
    assert!(!compare(&[], &Checked::exact(Vec::new())).passed());
}

/// The values of a real convolution on the device against a reference with one tap wrong: the path that every operation's
/// test takes, ending in a failure.
#[test]
fn a_wrong_reference_fails() {
    let Some(gpu) = crate::gpu() else { return };
    let geometry = reference::Geometry {
        batch: 1,
        in_channels: 2,
        in_height: 5,
        in_width: 5,
        out_channels: 3,
        groups: 1,
        kernel: [3, 3],
        stride: [1, 1],
        padding: [0; 4],
        dilation: [1, 1],
    };
    let x: Vec<f32> = (0..50).map(|i| ((i * 37 % 50) as f32 - 25.0) / 25.0).collect();
    let weight: Vec<f32> = (0..54).map(|i| ((i * 29 % 54) as f32 - 27.0) / 27.0).collect();
    let graph = Graph::new(Mode::Evaluation);
    let input = graph.input("x", [1, 2, 5, 5]).unwrap();
    let y = input.conv2d_with(graph.input("w", [3, 2, 3, 3]).unwrap(), None, Conv2d::new(3, 3)).unwrap();
    let variables = Variables::new(gpu, 0);
    let mut session = Session::new(gpu, &graph, &[y], &variables).unwrap();
    session.run_blocking(&[("x", (&x).into()), ("w", (&weight).into())]).unwrap();
    let widen = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<f64>>();
    let values = widen(session.read_blocking::<f32>(y).unwrap().as_slice().unwrap());
    let right = reference::forward(&geometry, &widen(&x), &widen(&weight), None);
    assert!(compare(&values, &right).passed());
    let mut bent = widen(&weight);
    bent[31] *= 1.0 + 1e-4;
    assert!(!compare(&values, &reference::forward(&geometry, &widen(&x), &bent, None)).passed());
}

#[test]
fn a_case_reports_every_tensor() {
    let Some(gpu) = crate::gpu() else { return };
    let case = OpCase::new("two outputs", |cx| {
        let x = cx.normal("x", [3, 5])?;
        Ok(vec![x.relu()?, x.sigmoid()?])
    });
    let report = case.run_blocking(gpu, "plain").unwrap();
    assert!(report.passed(), "{}", report.place);
    // Two outputs and the gradient of x.
    assert_eq!(report.elements, 45);
}

#[test]
fn a_case_needs_a_value_for_each_element() {
    let case = OpCase::new("short", |cx| Ok(vec![cx.values("x", [2, 3], vec![1.0; 5])?.relu()?]));
    let error = case.check_gradient_rule().unwrap_err();
    assert_eq!(error.to_string(), "`x`: expected 6 values, got 5");
}

#[test]
fn a_wrong_variable_fails() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Training);
    let loss = graph.input("x", [2, 3]).unwrap().dense("fc", 1).unwrap().mean(..).unwrap();
    graph.minimize(loss, &Optimizer::sgd(0.1)).unwrap();
    let variables = Variables::new(gpu, 3);
    let mut session = Session::new(gpu, &graph, &[], &variables).unwrap();
    let x = [1.0_f32, -2.0, 0.5, 3.0, 0.25, -1.0];
    session.run_blocking(&[("x", x.as_slice().into())]).unwrap();
    let mut evaluator = Evaluator::new(&graph, 3);
    let wide: Vec<f64> = x.iter().copied().map(f64::from).collect();
    let weight = graph.tensor("fc.weight").unwrap();
    let values = variables.read_all_blocking().unwrap();
    let device: Vec<f64> = values[0].1.iter().copied().map(f64::from).collect();
    evaluator.run(&[("x", &wide)]).unwrap();
    assert!(compare(&device, evaluator.checked(weight).unwrap()).passed());
    evaluator.run(&[("x", &wide)]).unwrap();
    assert!(!compare(&device, evaluator.checked(weight).unwrap()).passed(), "one step is not two");
}

#[test]
fn the_reference_computes_no_more_than_it_is_asked_for() {
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [3, 2, 5, 5]).unwrap().conv2d("conv", Conv2d::new(4, 3)).unwrap().flatten().unwrap();
    let loss = x.dense("fc", 1).unwrap().mean(..).unwrap();
    graph.minimize(loss, &Optimizer::sgd(0.1)).unwrap();
    let pixels: Vec<f64> = (0..150).map(|i| f64::from(i % 13) - 6.0).collect();
    let weight = graph.tensor("conv.weight").unwrap();
    let (mut whole, mut part) = (Evaluator::new(&graph, 3), Evaluator::new(&graph, 3));
    let before = part.value(weight).to_vec();
    whole.run(&[("x", &pixels)]).unwrap();
    part.run_for(&[loss.id()], &[("x", &pixels)]).unwrap();
    assert_eq!(part.value(loss), whole.value(loss));
    assert_eq!(part.checked(loss).unwrap().magnitude, whole.checked(loss).unwrap().magnitude);
    assert!(part.value(weight) == before && whole.value(weight) != before, "only a whole step trains");
    assert!(part.checked(weight).is_none());
}

#[test]
fn a_sentinel_that_is_gone_is_noticed() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", 7).unwrap().relu().unwrap();
    let options = PlanOptions::default().guard();
    let variables = Variables::new(gpu, 0);
    let mut session = Session::with_options(gpu, &graph, &[y], &variables, &options).unwrap();
    // Nobody has written the sentinels yet: fresh memory is zero.
    let error = session.check_guards_blocking().unwrap_err();
    assert!(error.to_string().contains("wrote past a tensor"), "{error}");
    session.poison().unwrap();
    assert!(session.read_blocking::<f32>(y).unwrap().iter().all(|value| value.is_nan()), "poisoned");
    session.run_blocking(&[("x", [1.0_f32; 7].as_slice().into())]).unwrap();
    session.check_guards_blocking().unwrap();
    assert!(session.read_blocking::<f32>(y).unwrap().iter().all(|&value| value == 1.0));
}

#[test]
fn every_family_has_cases_and_every_case_a_name() {
    let mut names = HashSet::new();
    for family in omma::FAMILIES {
        let cases = (family.cases)();
        assert!(!cases.is_empty(), "{}", family.stem);
        for case in &cases {
            assert!(names.insert(case.name().to_string()), "`{}` twice", case.name());
        }
    }
    assert_eq!(omma::selftest::cases(None).len(), names.len());
    assert_eq!(omma::selftest::cases(Some("max_pool")).len(), omma::selftest::cases(Some("max_pool2d")).len());
    assert!(omma::selftest::cases(Some("no such family")).is_empty());
}
