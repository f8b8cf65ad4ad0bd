//! `cross_entropy` on the device.

use omma::{CrossEntropy, Graph, Mode, PlanOptions, Reduction, Session, Variables};

#[test]
fn agrees_with_the_reference() {
    super::check("cross_entropy");
}

/// A label that is no class gives NaN, one that is ignored 0, also where x is NaN: examples in rows of fours, four side by
/// side, and neither, and a workgroup for each.
#[test]
fn labels_that_are_no_class_are_seen_and_ignored_ones_are_not() {
    let Some(gpu) = crate::gpu() else { return };
    let together = || PlanOptions::default().prefer("workgroup");
    let chosen = [[4, 8, 1], [1, 3, 4], [4, 3, 1]].map(|shape| (shape, PlanOptions::default()));
    for ([outer, classes, inner], options) in
        chosen.into_iter().chain([([4, 70, 1], together()), ([1, 3, 4], together())])
    {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.input("x", [outer, classes, inner]).unwrap();
        let labels = graph.label_input("labels", 4).unwrap().reshape([outer, inner]).unwrap();
        let settings = CrossEntropy::default().ignore(77).smoothing(0.25).reduction(Reduction::None);
        let loss = x.cross_entropy(labels, settings).unwrap();
        let dx = graph.gradients_of(&[(loss, graph.constant(1.0, [outer, inner]).unwrap())], &[x]).unwrap()[0].unwrap();
        let mut session = Session::with_options(gpu, &graph, &[loss, dx], &Variables::new(gpu, 0), &options).unwrap();
        // The last example has a NaN, too.
        let last = |i: usize| i / (classes * inner) * inner + i % inner == 3;
        let data: Vec<f32> = (0..4 * classes).map(|i| if last(i) { f32::NAN } else { (i * 7 % 5) as f32 }).collect();
        session.run_blocking(&[("x", (&data).into()), ("labels", (&vec![1_u32, 76, 2, 77]).into())]).unwrap();
        let losses = session.read_blocking::<f32>(loss).unwrap().into_raw_vec_and_offset().0;
        assert!(losses[0] > 0.0 && losses[1].is_nan() && losses[2] > 0.0 && losses[3] == 0.0, "{losses:?}");
        let gradients = session.read_blocking::<f32>(dx).unwrap();
        for (i, &gradient) in gradients.iter().enumerate() {
            let right = match i / (classes * inner) * inner + i % inner {
                1 => gradient.is_nan(),
                3 => gradient == 0.0,
                _ => gradient.is_finite() && gradient != 0.0,
            };
            assert!(right, "[{outer}, {classes}, {inner}]: element {i} is {gradient}");
        }
    }
}
