//! What a step costs, what sessions share, and how results come back.

use std::thread;

use omma::{BatchNorm, Conv2d, Graph, Init, Mode, Optimizer, Session, Variables};

use super::{evaluation, in_time, outputs, rows, training, variable};
use crate::support::own_gpu;

#[test]
fn a_warmed_up_step_makes_nothing_and_submits_once() {
    let Some(gpu) = own_gpu() else { return };
    let graph = Graph::new(Mode::Training);
    let x = graph.input("images", [4, 1, 8, 8]).unwrap().conv2d("conv", Conv2d::new(3, 3)).unwrap();
    let x = x.batch_norm("bn", BatchNorm::default()).unwrap().relu().unwrap().max_pool2d(2).unwrap();
    let logits = x.flatten().unwrap().dropout(0.3).unwrap().dense("fc", 5).unwrap();
    let labels = graph.label_input("labels", 4).unwrap();
    let loss = logits.softmax_cross_entropy(labels).unwrap();
    graph.minimize(loss, &Optimizer::adam(1e-3)).unwrap();
    graph.metric("loss", loss, 4.0).unwrap();
    graph.metric("accuracy", logits.accuracy(labels).unwrap(), 4.0).unwrap();
    let mut session = Session::new(&gpu, &graph, &[loss], &Variables::new(&gpu, 1)).unwrap();
    let images = vec![0.25_f32; 4 * 64];
    let mut step = || session.run_blocking(&[("images", (&images).into()), ("labels", (&vec![0_u32, 1, 2, 3]).into())]);
    step().unwrap();
    let before = gpu.statistics();
    for _ in 0..5 {
        step().unwrap();
    }
    let after = gpu.statistics();
    assert_eq!(after.submissions - before.submissions, 5, "one submission a step");
    let quiet = |s: omma::Statistics| (s.pipelines, s.buffers, s.buffer_bytes, s.textures, s.bind_groups);
    assert_eq!(quiet(after), quiet(before), "nothing is made");

    // The readback's buffer is made once and used again.
    session.take_metrics_blocking().unwrap();
    session.read_blocking::<f32>(loss).unwrap();
    let before = gpu.statistics();
    for _ in 0..5 {
        session.run_blocking(&[("images", (&images).into()), ("labels", (&vec![0_u32; 4]).into())]).unwrap();
        session.take_metrics_blocking().unwrap();
        session.read_blocking::<f32>(loss).unwrap();
    }
    let after = gpu.statistics();
    assert_eq!(quiet(after), quiet(before), "nothing is made for readbacks");
    assert_eq!(after.submissions - before.submissions, 15);
    assert_eq!(session.step(), 11);
}

#[test]
fn kernels_are_compiled_once_for_all_sessions() {
    let Some(gpu) = own_gpu() else { return };
    let variables = Variables::new(&gpu, 1);
    training(&gpu, &variables, 5);
    let before = gpu.statistics().pipelines;
    assert!(before > 0);
    training(&gpu, &variables, 5);
    training(&gpu, &Variables::new(&gpu, 2), 5);
    assert_eq!(gpu.statistics().pipelines, before);
}

#[test]
fn sessions_of_other_batch_sizes_share_parameters() {
    let Some(gpu) = crate::gpu() else { return };
    let variables = Variables::new(gpu, 1);
    let (mut trainer, _) = training(gpu, &variables, 4);
    let (mut one, y1) = evaluation(gpu, &variables, 1);
    let (mut three, y3) = evaluation(gpu, &variables, 3);
    let bytes = variables.bytes();
    let before = outputs(&mut three, y3, &rows(3));
    for _ in 0..3 {
        trainer.run_blocking(&[("x", (&rows(4)).into()), ("labels", (&vec![0_u32, 1, 1, 0]).into())]).unwrap();
    }
    let after = outputs(&mut three, y3, &rows(3));
    assert_ne!(before, after, "training shows in the evaluation session");
    let (weight, bias) = (variable(&variables, "fc.weight"), variable(&variables, "fc.bias"));
    for (row, x) in rows(3).chunks(3).enumerate() {
        let single = outputs(&mut one, y1, x);
        for class in 0..2 {
            let products = (0..3).map(|i| f64::from(x[i]) * f64::from(weight[3 * class + i]));
            let terms: Vec<f64> = products.chain([f64::from(bias[class])]).collect();
            let wanted: f64 = terms.iter().sum();
            // Four terms, each through at most five roundings of half an epsilon.
            let bound = 2.5 * f64::from(f32::EPSILON) * terms.iter().map(|term| term.abs()).sum::<f64>();
            assert!((f64::from(after[[row, class]]) - wanted).abs() <= bound, "row {row}, class {class}");
            assert!((f64::from(single[[0, class]]) - wanted).abs() <= bound, "row {row}, class {class}, alone");
        }
    }
    assert_eq!(variables.bytes(), bytes, "and none has a copy");
}

#[test]
fn a_set_variable_is_seen_by_every_session() {
    let Some(gpu) = crate::gpu() else { return };
    let variables = Variables::new(gpu, 1);
    let (mut session, y) = evaluation(gpu, &variables, 1);
    variables.set("fc.weight", &vec![1.0_f32, 0.0, 0.0, 0.0, 0.0, 2.0]).unwrap();
    variables.set("fc.bias", &ndarray::arr1(&[0.5_f32, -0.5])).unwrap();
    assert_eq!(outputs(&mut session, y, [3.0_f32, 5.0, 7.0].as_slice()).as_slice().unwrap(), [3.5, 13.5]);
    let refused = |values: &[f32]| variables.set("fc.bias", values).unwrap_err().to_string();
    assert_eq!(refused(&[1.0; 3]), "variable `fc.bias`: expected f32[2], got f32[3]");
    let error = variables.set("fc.bias", [1_u32, 2].as_slice()).unwrap_err().to_string();
    assert_eq!(error, "variable `fc.bias`: expected f32[2], got u32[2]");
    let error = variables.set("fc.weight", &ndarray::Array2::<f32>::zeros((3, 2))).unwrap_err().to_string();
    assert_eq!(error, "variable `fc.weight`: expected f32[2, 3], got f32[3, 2]");
    let error = variables.set("nothing", [1.0_f32].as_slice()).unwrap_err().to_string();
    assert_eq!(error, "session: no variable `nothing` is declared");
    assert_eq!(variable(&variables, "fc.bias"), [0.5, -0.5]);
}

#[test]
fn a_variable_of_another_shape_makes_no_session() {
    let Some(gpu) = crate::gpu() else { return };
    let variables = Variables::new(gpu, 1);
    let (mut session, y) = evaluation(gpu, &variables, 1);
    let graph = Graph::new(Mode::Evaluation);
    let wide = graph.input("x", [1, 4]).unwrap().dense("fc", 2).unwrap();
    let error = Session::new(gpu, &graph, &[wide], &variables).unwrap_err().to_string();
    assert_eq!(error, "variable `fc.weight`: expected f32[2, 3], got f32[2, 4]");
    outputs(&mut session, y, &rows(1));
}

#[test]
fn a_readback_shows_the_steps_before_it() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", 3).unwrap().relu().unwrap();
    let mut session = Session::new(gpu, &graph, &[y], &Variables::new(gpu, 0)).unwrap();
    session.run_blocking(&[("x", [1.0_f32, -1.0, 2.0].as_slice().into())]).unwrap();
    let first = session.read::<f32>(y).unwrap();
    session.run_blocking(&[("x", [7.0_f32, 8.0, 9.0].as_slice().into())]).unwrap();
    let second = session.read::<f32>(y).unwrap();
    drop(session);
    let (second, first) = (pollster::block_on(second).unwrap(), pollster::block_on(first).unwrap());
    assert_eq!(first.as_slice().unwrap(), [1.0, 0.0, 2.0]);
    assert_eq!(second.as_slice().unwrap(), [7.0, 8.0, 9.0]);
}

#[test]
fn a_dropped_readback_does_no_harm() {
    let Some(gpu) = crate::gpu() else { return };
    let (mut session, y) = evaluation(gpu, &Variables::new(gpu, 1), 2);
    let expected = outputs(&mut session, y, &rows(2));
    for _ in 0..3 {
        drop(session.read::<f32>(y).unwrap());
    }
    assert_eq!(session.read_blocking::<f32>(y).unwrap(), expected);
}

/// No runtime, nobody polls: the futures must come to an end by themselves.
#[test]
fn futures_finish_under_a_plain_executor() {
    let Some(gpu) = own_gpu() else { return };
    let sums = in_time(move || {
        pollster::block_on(async {
            let variables = Variables::new(&gpu, 1);
            let graph = Graph::new(Mode::Evaluation);
            let y = graph.input("x", 4).unwrap().relu().unwrap();
            graph.metric("mean", y.mean(..).unwrap(), 1.0).unwrap();
            let mut session = Session::new(&gpu, &graph, &[y], &variables).unwrap();
            let mut sums = Vec::new();
            for step in 0..8 {
                session.ready().await.unwrap();
                session.run(&[("x", [step as f32; 4].as_slice().into())]).await.unwrap();
                sums.push(session.read::<f32>(y).unwrap().await.unwrap().sum());
            }
            // Many steps at once, more than the ring holds.
            for _ in 0..8 {
                session.run(&[("x", [1.0_f32; 4].as_slice().into())]).await.unwrap();
            }
            sums.push(session.take_metrics().unwrap().await.unwrap()[0].sum as f32);
            variables.read_all().unwrap().await.unwrap();
            sums
        })
    });
    assert_eq!(sums, [0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0, 36.0]);
}

#[test]
fn metrics_average_over_steps_and_start_anew() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", 2).unwrap();
    graph.metric("mean", x.mean(..).unwrap(), 2.0).unwrap();
    graph
        .metric("largest", x.reshape([1, 1, 1, 2]).unwrap().max_pool2d([1, 2]).unwrap().reshape(1).unwrap(), 0.5)
        .unwrap();
    let mut session = Session::new(gpu, &graph, &[], &Variables::new(gpu, 0)).unwrap();
    for x in [[1.0_f32, 3.0], [5.0, 7.0]] {
        session.run_blocking(&[("x", x.as_slice().into())]).unwrap();
    }
    let metrics = session.take_metrics_blocking().unwrap();
    let seen: Vec<(&str, f64, f64)> = metrics.iter().map(|m| (m.name.as_str(), m.mean(), m.weight)).collect();
    assert_eq!(seen, [("mean", 4.0, 4.0), ("largest", 5.0, 1.0)]);
    assert!(session.take_metrics_blocking().unwrap()[0].mean().is_nan(), "no step since");
    session.run_blocking(&[("x", [9.0_f32, 9.0].as_slice().into())]).unwrap();
    assert_eq!(session.take_metrics_blocking().unwrap()[0].mean(), 9.0);

    let (session, _) = evaluation(gpu, &Variables::new(gpu, 0), 1);
    assert_eq!(session.take_metrics().unwrap_err().to_string(), "session: the graph has no metric");
}

#[test]
fn threads_share_a_device() {
    let Some(gpu) = crate::gpu() else { return };
    let run = |seed: u64| {
        let variables = Variables::new(gpu, seed);
        let (mut session, loss) = training(gpu, &variables, 4);
        (0..20)
            .map(|_| {
                session.run_blocking(&[("x", (&rows(4)).into()), ("labels", (&vec![0_u8, 1, 1, 0]).into())]).unwrap();
                session.read_blocking::<f32>(loss).unwrap()[0].to_bits()
            })
            .collect::<Vec<u32>>()
    };
    let alone = [1, 2].map(run);
    let together = thread::scope(|scope| [1, 2].map(|seed| scope.spawn(move || run(seed))).map(|t| t.join().unwrap()));
    assert_eq!(together, alone);
    assert_ne!(alone[0], alone[1]);
}

/// A session that moves the parameter `p` by Adam, for inputs of `batch` rows that all have one gradient.
fn adam(gpu: &omma::Gpu, variables: &Variables, batch: usize) -> Session {
    let graph = Graph::new(Mode::Training);
    let p = graph.parameter("p", [1, 3], Init::Ones).unwrap();
    let y = graph.input("x", [batch, 3]).unwrap().dense_with(p, None).unwrap();
    graph.minimize(y.mean(..).unwrap(), &Optimizer::adam(0.1)).unwrap();
    Session::new(gpu, &graph, &[], variables).unwrap()
}

#[test]
fn sessions_share_the_optimizers_memory_and_its_count() {
    let Some(gpu) = crate::gpu() else { return };
    let step = |session: &mut Session, batch: usize| session.run_blocking(&[("x", (&vec![0.5_f32; 3 * batch]).into())]);
    let (alone, shared) = (Variables::new(gpu, 1), Variables::new(gpu, 1));
    let mut only = adam(gpu, &alone, 1);
    let (mut one, mut two) = (adam(gpu, &shared, 1), adam(gpu, &shared, 2));
    for _ in 0..2 {
        step(&mut only, 1).unwrap();
        step(&mut only, 1).unwrap();
        step(&mut one, 1).unwrap();
        step(&mut two, 2).unwrap();
    }
    // The mean of two equal halves is exact, so that both ways take the same steps.
    assert_eq!(variable(&alone, "p"), variable(&shared, "p"));
    assert_eq!([only.step(), one.step(), two.step()], [4, 2, 2]);

    // Forgotten memory and count: the same start gives the same steps again.
    let moved = variable(&alone, "p");
    alone.set("p", &vec![1.0_f32; 3]).unwrap();
    alone.reset_optimizer().unwrap();
    for _ in 0..4 {
        step(&mut only, 1).unwrap();
    }
    assert_eq!(variable(&alone, "p"), moved);
}

#[test]
fn a_tensor_has_all_its_names_and_belongs_to_its_graph() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", 4).unwrap().relu().unwrap();
    graph.name("first", y).unwrap();
    graph.name("second", y).unwrap();
    let mut session = Session::new(gpu, &graph, &[y], &Variables::new(gpu, 1)).unwrap();
    session.run_blocking(&[("x", [1.0_f32; 4].as_slice().into())]).unwrap();
    for name in ["first", "second"] {
        assert_eq!(session.read_blocking::<f32>(session.tensor(name).unwrap()).unwrap().sum(), 4.0);
    }
    let other = Graph::new(Mode::Evaluation);
    let foreign = other.input("x", 4).unwrap().relu().unwrap();
    let error = session.read_blocking::<f32>(foreign).unwrap_err().to_string();
    assert!(error.contains("was not in the list of tensors to fetch"), "{error}");
}
