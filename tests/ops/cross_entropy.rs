//! `cross_entropy` on the device.

#[test]
fn agrees_with_the_reference() {
    super::check("cross_entropy");
}
