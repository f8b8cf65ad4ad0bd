//! `activation` on the device.

use omma::{Graph, Mode, Session, Variables};

#[test]
fn agrees_with_the_reference() {
    super::check("activation");
}

#[test]
fn not_a_number_passes_through() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", 3).unwrap();
    let all = [
        x.relu(),
        x.relu6(),
        x.clip(-1.0, 1.0),
        x.leaky_relu(0.1),
        x.elu(1.0),
        x.selu(),
        x.celu(2.0),
        x.sigmoid(),
        x.hard_sigmoid(),
        x.log_sigmoid(),
        x.tanh(),
        x.silu(),
        x.hard_swish(),
        x.mish(),
        x.softplus(1.0, 20.0),
        x.softsign(),
        x.gelu(),
        x.gelu_tanh(),
    ];
    let all = all.map(|y| y.unwrap());
    let mut session = Session::new(gpu, &graph, &all, &Variables::new(gpu, 0)).unwrap();
    session.run_blocking(&[("x", [0.0_f32, f32::NAN, -0.5].as_slice().into())]).unwrap();
    for y in all {
        let values = session.read_blocking::<f32>(y).unwrap();
        assert!(values[1].is_nan() && !values[0].is_nan() && !values[2].is_nan(), "{y:?}: {values}");
    }
}
