//! What is done once for many steps: it is done again when a filter has changed, whoever changed it.

use omma::{BatchNorm, Conv2d, Graph, Init, Mode, Optimizer, PlanOptions, Session, Variables};

use crate::gpu;

const SHAPE: [usize; 4] = [2, 8, 9, 10];

/// Two convolutions whose filters are packed by a dispatch of their own.
fn network<'g>(graph: &'g Graph) -> omma::Tensor<'g> {
    let settings = Conv2d::new(8, 3).padding(1);
    let x = graph.input("x", SHAPE).unwrap().conv2d("first", settings).unwrap().relu().unwrap();
    x.conv2d("second", settings).unwrap()
}

fn result(session: &mut Session, y: omma::TensorId) -> Vec<u32> {
    let x: Vec<f32> = (0..SHAPE.iter().product::<usize>()).map(|i| (i % 23) as f32 - 11.0).collect();
    session.run_blocking(&[("x", (&x).into())]).unwrap();
    session.read_blocking::<f32>(y).unwrap().iter().map(|y| y.to_bits()).collect()
}

#[test]
fn packed_filters_follow_their_variables() {
    let Some(gpu) = gpu() else { return };
    // Transformed filters; those of filters that are converted first; filters that are converted for kernels which read them
    // row-major; and whatever is chosen here.
    for (variant, kept) in [("winograd", 2), ("winograd_planar", 4), ("naive", 2), ("", 0)] {
        let graph = Graph::new(Mode::Evaluation);
        let y = network(&graph);
        let variables = Variables::new(gpu, 3);
        let options = PlanOptions::default().prefer(variant);
        let session = || Session::with_options(gpu, &graph, &[y], &variables, &options).unwrap();
        let mut first = session();
        let text = first.plan().to_string();
        let once = text.lines().filter(|line| line.ends_with(" once")).count();
        // Other devices than software adapters keep filters row-major and refuse `winograd`.
        if gpu.capabilities().class == omma::DeviceClass::Cpu {
            assert!(once >= kept, "{variant}: {once} dispatches run once:\n{text}");
        }
        assert_eq!(first.plan().dispatches() + once, first.plan().kernels().count());

        let before = result(&mut first, y.id());
        assert_eq!(before, result(&mut first, y.id()), "{variant}: a second step");
        // The host changes a filter.
        variables.set("second.weight", &vec![0.25_f32; 8 * 8 * 9]).unwrap();
        let changed = result(&mut first, y.id());
        assert_ne!(before, changed, "{variant}");
        assert_eq!(changed, result(&mut session(), y.id()), "{variant}: a session that sees the filter first");
        // Another session does, between two steps of this one.
        let training = Graph::new(Mode::Training);
        let loss = network(&training).flatten().unwrap();
        let loss = loss.softmax_cross_entropy(training.label_input("labels", SHAPE[0]).unwrap()).unwrap();
        training.minimize(loss, &Optimizer::sgd(0.1)).unwrap();
        let mut trainer = Session::new(gpu, &training, &[loss], &variables).unwrap();
        let x = vec![0.5_f32; SHAPE.iter().product()];
        trainer.run_blocking(&[("x", (&x).into()), ("labels", (&vec![1_u32, 2]).into())]).unwrap();
        let trained = result(&mut first, y.id());
        assert_ne!(changed, trained, "{variant}");
        assert_eq!(trained, result(&mut session(), y.id()), "{variant}: after training");
        // A step that was recorded before an inference and submitted after it.
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        trainer.encode(&mut encoder, &[("x", (&x).into()), ("labels", (&vec![0_u32, 1]).into())]).unwrap();
        assert_eq!(trained, result(&mut first, y.id()), "{variant}: before the submission");
        gpu.queue().submit([encoder.finish()]);
        gpu.wait_blocking().unwrap();
        let submitted = result(&mut first, y.id());
        assert_ne!(trained, submitted, "{variant}");
        assert_eq!(submitted, result(&mut session(), y.id()), "{variant}: after the submission");
    }
}

#[test]
fn what_is_made_of_statistics_follows_them() {
    let Some(gpu) = gpu() else { return };
    for fused in [true, false] {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.input("x", SHAPE).unwrap();
        let y = x.batch_norm("alone", BatchNorm::default()).unwrap().conv2d("conv", Conv2d::new(8, 3)).unwrap();
        let y = y.batch_norm("after", BatchNorm::default()).unwrap();
        let variables = Variables::new(gpu, 3);
        let options = PlanOptions::default();
        let options = if fused { options } else { options.without_fusion() };
        let session = || Session::with_options(gpu, &graph, &[y], &variables, &options).unwrap();
        let mut first = session();
        let text = first.plan().to_string();
        let folds = text.lines().filter(|line| line.contains("batch_norm.fold") && line.ends_with(" once")).count();
        assert_eq!(folds, 2, "{text}");
        let mut before = result(&mut first, y.id());
        for name in ["alone.running_mean", "alone.weight", "after.running_var", "after.bias"] {
            variables.set(name, &vec![0.75_f32, 1.5, 0.25, 2.0, 3.0, 0.5, 1.25, 4.0]).unwrap();
            let changed = result(&mut first, y.id());
            assert_ne!(before, changed, "{name}");
            assert_eq!(changed, result(&mut session(), y.id()), "{name}: a session that sees it first");
            before = changed;
        }
    }
}

#[test]
fn a_graph_of_nothing_but_filters_still_runs() {
    let Some(gpu) = gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.parameter("x", [1, 8, 5, 5], Init::HeNormal).unwrap();
    let weight = graph.parameter("w", [8, 8, 3, 3], Init::HeNormal).unwrap();
    let y = x.conv2d_with(weight, None, Conv2d::new(8, 3)).unwrap();
    let variables = Variables::new(gpu, 1);
    let mut session = Session::new(gpu, &graph, &[y], &variables).unwrap();
    let mut bits = || {
        session.run_blocking(&[]).unwrap();
        session.read_blocking::<f32>(y).unwrap().iter().map(|y| y.to_bits()).collect::<Vec<u32>>()
    };
    let before = bits();
    variables.set("x", &vec![1.0_f32; 200]).unwrap();
    assert_ne!(before, bits());
}
