//! `top_k`, maxima and minima on the device.

use std::cmp::Ordering;

use omma::{Graph, Mode, Session, Variables};

use crate::support::message;

#[test]
fn agrees_with_the_reference() {
    super::check("top_k");
}

#[test]
fn a_nan_comes_first_and_equal_elements_in_order() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    // Long enough for several lanes.
    let x = graph.input("x", [600]).unwrap();
    let (values, places) = x.top_k(0, 4).unwrap();
    let (lowest, least) = x.bottom_k(0, 2).unwrap();
    let (first, last) = (x.argmax(0).unwrap(), x.argmin(0).unwrap());
    let fetched = [values, places, lowest, least, first, last];
    let mut session = Session::new(gpu, &graph, &fetched, &Variables::new(gpu, 0)).unwrap();
    let mut data = vec![0.0_f32; 600];
    (data[7], data[500], data[33], data[34], data[599]) = (5.0, f32::NAN, 5.0, -1.0, -1.0);
    session.run_blocking(&[("x", (&data).into())]).unwrap();
    let floats = |tensor| session.read_blocking::<f32>(tensor).unwrap().into_raw_vec_and_offset().0;
    let words = |tensor| session.read_blocking::<u32>(tensor).unwrap().into_raw_vec_and_offset().0;
    assert!(floats(values)[0].is_nan());
    assert_eq!(floats(values)[1..], [5.0, 5.0, 0.0]);
    assert_eq!(words(places), [500, 7, 33, 0]);
    assert!(floats(lowest)[0].is_nan());
    assert_eq!(words(least), [500, 34]);
    assert_eq!((words(first), words(last)), (vec![500], vec![500]));
}

/// NaNs, infinities and both zeros, sorted as a whole: one row a time, four side by side, four at a time, and in lanes.
#[test]
fn special_values_have_their_place_in_every_form() {
    const SPECIAL: [f32; 9] =
        [0.0, f32::NEG_INFINITY, -0.0, f32::NAN, 1.0, f32::INFINITY, -f32::NAN, -1.0, f32::MIN_POSITIVE];
    let Some(gpu) = crate::gpu() else { return };
    for (shape, axis, k) in [([7, 9], 1, 9), ([9, 12], 0, 9), ([300, 8], 1, 8), ([2, 260], 1, 9), ([300, 8], 0, 9)] {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.input("x", shape).unwrap();
        let (_, largest) = x.top_k(axis, k).unwrap();
        let (_, smallest) = x.bottom_k(axis, k).unwrap();
        let mut session = Session::new(gpu, &graph, &[largest, smallest], &Variables::new(gpu, 0)).unwrap();
        let data: Vec<f32> = (0..shape[0] * shape[1]).map(|i| SPECIAL[i * 5 % SPECIAL.len()]).collect();
        session.run_blocking(&[("x", (&data).into())]).unwrap();
        for (tensor, sign) in [(largest, 1.0), (smallest, -1.0)] {
            let found = session.read_blocking::<u32>(tensor).unwrap();
            for row in 0..shape[1 - axis] {
                let at = |place: usize| if axis == 1 { [row, place] } else { [place, row] };
                let element = |place: usize| data[at(place)[0] * shape[1] + at(place)[1]] * sign;
                let mut expected: Vec<usize> = (0..shape[axis]).collect();
                // Stable: equal elements stay in order.
                expected.sort_by(|&a, &b| {
                    let (a, b) = (element(a), element(b));
                    b.is_nan().cmp(&a.is_nan()).then_with(|| b.partial_cmp(&a).unwrap_or(Ordering::Equal))
                });
                let found: Vec<usize> = (0..k).map(|place| found[at(place)] as usize).collect();
                assert_eq!(found, expected[..k], "{shape:?} along {axis}, row {row}, sign {sign}");
            }
        }
    }
}

#[test]
fn refuses_what_makes_no_sense() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 5]).unwrap();
    assert_eq!(message(x.top_k(1, 6)), "top_k: expected k in 1..=5, got 6");
    assert_eq!(message(x.top_k(1, 0)), "top_k: expected k in 1..=5, got 0");
    assert_eq!(message(x.max(2)), "max: expected more than 2 axes, got [2, 5]");
    assert_eq!(message(x.max([0, 0])), "max: axis 0 is named twice");
    let long = graph.input("long", [100_000]).unwrap();
    assert_eq!(message(long.top_k(0, 1000)), "top_k: 1000 of 100000 are too many for one pass");
    let labels = graph.label_input("labels", 3).unwrap();
    assert!(message(labels.argmax(0)).starts_with("argmax: expected an f32 tensor"));
}
