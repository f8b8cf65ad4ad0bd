//! Numbers as another element type: by hand.

use omma::reference::convert::{to_f32, to_u32};

#[test]
fn by_hand() {
    let last = f64::from(u32::MAX);
    assert_eq!(to_u32(&[2.9, 0.0, -0.1, f64::NAN, 4e9, 5e9]).values, [2.0, 0.0, last, last, 4e9, last]);
    assert_eq!(to_f32(&[0.0, 3.0]).values, [0.0, 3.0]);
}
