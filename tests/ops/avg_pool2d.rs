//! `avg_pool2d` on the device.

#[test]
fn agrees_with_the_reference() {
    super::check("avg_pool2d");
}
