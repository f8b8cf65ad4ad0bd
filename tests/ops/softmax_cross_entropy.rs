//! `softmax_cross_entropy` on the device.

#[test]
fn agrees_with_the_reference() {
    super::check("softmax_cross_entropy");
}
