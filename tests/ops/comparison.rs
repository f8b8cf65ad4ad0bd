//! `comparison` on the device.

use omma::{Graph, Mode, Session, Variables};

#[test]
fn agrees_with_the_reference() {
    super::check("comparison");
}

#[test]
fn not_a_number_is_unequal_to_everything() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", 2).unwrap();
    let of_itself = [x.equal(x), x.not_equal(x), x.less_or_equal(x), x.greater_or_equal(x), x.logical_not()];
    let of_itself = of_itself.map(|mask| mask.unwrap());
    let mut session = Session::new(gpu, &graph, &of_itself, &Variables::new(gpu, 0)).unwrap();
    session.run_blocking(&[("x", [f32::NAN, 1.0].as_slice().into())]).unwrap();
    let masks = of_itself.map(|mask| session.read_blocking::<f32>(mask).unwrap().into_raw_vec_and_offset().0);
    assert_eq!(masks, [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]]);
}

/// The gradient is chosen as well, and not multiplied by the mask: 0 times infinity would be not-a-number.
#[test]
fn what_is_not_chosen_has_no_gradient() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let [mask, a, b, dy] = ["mask", "a", "b", "dy"].map(|name| graph.input(name, 2).unwrap());
    let y = mask.select(a, b).unwrap();
    let gradients = graph.gradients_of(&[(y, dy)], &[mask, a, b]).unwrap();
    assert!(gradients[0].is_none());
    let fetched = [y, gradients[1].unwrap(), gradients[2].unwrap()];
    let mut session = Session::new(gpu, &graph, &fetched, &Variables::new(gpu, 0)).unwrap();
    let [mask, a, b, dy] = [[1.0_f32, 0.0], [4.0, f32::NAN], [f32::NAN, -4.0], [f32::INFINITY, 3.0]];
    let feeds = [("mask", mask), ("a", a), ("b", b), ("dy", dy)];
    let feeds: Vec<_> = feeds.iter().map(|(name, values)| (*name, values.as_slice().into())).collect();
    session.run_blocking(&feeds).unwrap();
    let values = fetched.map(|y| session.read_blocking::<f32>(y).unwrap().into_raw_vec_and_offset().0);
    assert_eq!(values, [[4.0, -4.0], [f32::INFINITY, 0.0], [0.0, 3.0]]);
}
