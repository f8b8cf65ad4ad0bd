//! Windows along an axis: hand-computed, and folding as their gradient.

use omma::reference::unfold::{Geometry, forward, grad_input};

use super::{Random, check_gradient};

const WINDOW: Geometry =
    Geometry { outer: 1, channels: 1, length: 4, inner: 1, positions: 4, taps: 3, stride: 1, dilation: 1, pad: 1 };

#[test]
fn by_hand() {
    let x = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(forward(&WINDOW, &x).values, [0.0, 1.0, 2.0, 1.0, 2.0, 3.0, 2.0, 3.0, 4.0, 3.0, 4.0, 0.0]);
    // As often as a window saw it.
    assert_eq!(grad_input(&WINDOW, &[1.0; 12]).values, [2.0, 3.0, 3.0, 2.0]);
    let spread = Geometry { positions: 2, taps: 2, stride: 2, dilation: 3, pad: 0, ..WINDOW };
    assert_eq!(forward(&spread, &x).values, [1.0, 4.0, 3.0, 0.0]);
    // One tap exchanges channels and axis; a dilation of 0 repeats.
    let exchange = Geometry { channels: 2, length: 2, positions: 2, taps: 1, pad: 0, ..WINDOW };
    assert_eq!(forward(&exchange, &x).values, [1.0, 3.0, 2.0, 4.0]);
    let repeat = Geometry { outer: 2, length: 1, inner: 2, positions: 1, dilation: 0, pad: 0, ..WINDOW };
    assert_eq!(forward(&repeat, &x).values, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 3.0, 4.0]);
}

#[test]
fn gradients() {
    let odd = Geometry { outer: 2, channels: 3, length: 7, inner: 2, positions: 4, stride: 2, dilation: 2, ..WINDOW };
    for (name, g) in [("plain", WINDOW), ("all at once", odd), ("repeated", Geometry { dilation: 0, pad: 0, ..odd })] {
        let mut random = Random(15);
        let x = random.uniform(g.outer * g.channels * g.length * g.inner);
        let dy = random.uniform(g.outer * g.positions * g.channels * g.taps * g.inner);
        check_gradient(name, &x, &dy, &grad_input(&g, &dy), |x| forward(&g, x));
    }
}
