//! The dense layer: hand-computed values and gradients.

use omma::reference::{dense, reduce};

use super::{Random, check_gradient};

#[test]
fn by_hand() {
    let (x, w) = ([1.0, 2.0, 3.0], [1.0, 0.0, -1.0, 0.5, 0.5, 0.5]);
    let y = dense::forward(1, 3, 2, &x, &w, Some(&[0.25, -3.0]));
    assert_eq!(y.values, [-1.75, 0.0]);
    assert_eq!(y.magnitude, [4.25, 6.0]);
    assert_eq!(y.terms, 4);
    assert_eq!(dense::forward(1, 3, 2, &x, &w, None).values, [-2.0, 3.0]);
}

#[test]
fn gradients() {
    for (batch, inputs, outputs) in [(1, 1, 1), (1, 5, 3), (3, 1, 2), (4, 7, 1), (3, 5, 11)] {
        let mut random = Random(3);
        let (x, w) = (random.uniform(batch * inputs), random.uniform(outputs * inputs));
        let (bias, dy) = (random.uniform(outputs), random.uniform(batch * outputs));
        let dx = dense::grad_input(batch, inputs, outputs, &w, &dy);
        check_gradient("dx", &x, &dy, &dx, |x| dense::forward(batch, inputs, outputs, x, &w, Some(&bias)));
        let dw = dense::grad_weight(batch, inputs, outputs, &x, &dy);
        check_gradient("dw", &w, &dy, &dw, |w| dense::forward(batch, inputs, outputs, &x, w, Some(&bias)));
        let dbias = reduce::channel_sum([1, batch, outputs, 1], &dy, 1.0);
        check_gradient("dbias", &bias, &dy, &dbias, |bias| dense::forward(batch, inputs, outputs, &x, &w, Some(bias)));
        assert_eq!((dx.terms, dw.terms, dbias.terms), (outputs, batch, batch));
    }
}
