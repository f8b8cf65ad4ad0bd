//! `conv_transpose` on the device.

#[test]
fn agrees_with_the_reference() {
    super::check("conv_transpose");
}
