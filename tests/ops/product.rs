//! `product` on the device.

use omma::{Graph, Mode};

use crate::support::message;

#[test]
fn agrees_with_the_reference() {
    super::check("product");
}

#[test]
fn refuses_long_rows() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 40_000]).unwrap();
    assert_eq!(message(x.product(1)), "product: a row of 40000 elements is too long");
}
