//! `normalization` on the device.

#[test]
fn agrees_with_the_reference() {
    super::check("normalization");
}
