//! Losses of single elements on the device: node by node, and as a whole against their formulas.

use omma::reference::{Checked, losses as reference};
use omma::{Graph, Mode, Reduction, Result, Session, Tensor, Variables};

use crate::reference::check_single;
use crate::support::message;

#[test]
fn agrees_with_the_reference() {
    super::check("losses");
}

/// A loss, and its formula.
type Loss = (for<'g> fn(Tensor<'g>, Tensor<'g>, Reduction) -> Result<Tensor<'g>>, fn(&[f64], &[f64]) -> Checked);

#[test]
fn are_their_formulas() {
    let Some(gpu) = crate::gpu() else { return };
    let losses: [Loss; 6] = [
        (|x, t, how| x.mean_squared_error(t, how), reference::squared),
        (|x, t, how| x.absolute_error(t, how), reference::absolute),
        (|x, t, how| x.huber(t, 0.75, how), |x, t| reference::huber(x, t, 0.75)),
        (|x, t, how| x.smooth_l1(t, 1.0, how), |x, t| reference::huber(x, t, 1.0)),
        (|x, t, how| x.binary_cross_entropy_with_logits(t, how), reference::binary_cross_entropy_with_logits),
        (|x, t, how| x.kl_divergence(t, how), reference::kl_divergence),
    ];
    let x: Vec<f32> = vec![-100.0, -20.0, -3.5, -1.0, -0.25, 0.0, 0.5, 0.75, 2.0, 9.0, 40.0, 200.0];
    let t: Vec<f32> = vec![0.0, 1.0, 0.125, 0.0, 0.5, 0.25, 0.5, 1.0, 0.0, 0.875, 1.0, 0.0];
    let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
    for (loss, formula) in losses {
        let graph = Graph::new(Mode::Evaluation);
        let [a, b] = ["x", "t"].map(|name| graph.input(name, 12).unwrap());
        let outputs = [Reduction::None, Reduction::Sum, Reduction::Mean].map(|how| loss(a, b, how).unwrap());
        let mut session = Session::new(gpu, &graph, &outputs, &Variables::new(gpu, 0)).unwrap();
        session.run_blocking(&[("x", (&x).into()), ("t", (&t).into())]).unwrap();
        let [each, sum, mean] = outputs.map(|y| session.read_blocking::<f32>(y).unwrap().into_raw_vec_and_offset().0);
        let expected = formula(&wide(&x), &wide(&t));
        check_single("loss", &expected, &each);
        // Sums of a dozen, whose own roundings are at most as many.
        let total: f64 = expected.values.iter().sum();
        let bound = 12.0 * f64::from(f32::EPSILON) * expected.magnitude.iter().sum::<f64>();
        assert!((f64::from(sum[0]) - total).abs() <= bound, "{} instead of {total}", sum[0]);
        assert!((f64::from(mean[0]) - total / 12.0).abs() <= bound / 12.0, "{} instead of {}", mean[0], total / 12.0);
    }
}

#[test]
fn refuse_what_does_not_fit() {
    let graph = Graph::new(Mode::Evaluation);
    let (x, t) = (graph.input("x", [2, 3]).unwrap(), graph.input("t", [3, 2]).unwrap());
    let text = message(x.mean_squared_error(t, Reduction::Mean));
    assert_eq!(text, "mean_squared_error: expected a target f32[2, 3], got f32[3, 2]");
    assert_eq!(message(x.huber(x, 0.0, Reduction::Sum)), "huber: expected delta > 0, got 0");
}
