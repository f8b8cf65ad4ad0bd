//! `convert` on the device.

use omma::{DType, Graph, Mode};

use crate::support::message;

#[test]
fn agrees_with_the_reference() {
    super::check("convert");
}

#[test]
fn is_of_floats_and_indices() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 3]).unwrap();
    assert_eq!(x.convert(DType::F32).unwrap().id(), x.id());
    assert_eq!(message(x.convert(DType::U8)), "convert: expected f32 or u32, got f32[2, 3] to u8");
}
