//! End to end: networks learn, and every step's loss is the reference's.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use omma::data::{Dataset, Loader, Split};
use omma::train::{Classifier, OneCycle, Schedule, Score, Settings};
use omma::{
    BatchNorm, Conv2d, Evaluator, Graph, Init, Mode, Optimizer, PlanOptions, Result, Session, Tensor, Variables, models,
};

fn digits(split: Split) -> Dataset {
    Dataset::mnist_like(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist"), split).unwrap()
}

fn settings(seed: u64) -> Settings {
    let model = *models::MODELS.iter().find(|model| model.name == "lenet5").unwrap();
    Settings { model, channels: 1, image_size: [28, 28], classes: 10, mean: vec![0.13], deviation: vec![0.31], seed }
}

#[test]
fn lenet_overfits_32_digits() {
    let Some(gpu) = crate::gpu() else { return };
    let few = digits(Split::Train).select(&(0..32).collect::<Vec<usize>>()).unwrap();
    assert!(few.class_counts().iter().filter(|&&count| count > 0).count() >= 8, "a fair sample");
    let loader = Loader::new(Arc::new(few), 32).unwrap();
    let mut classifier = Classifier::new(gpu, settings(1)).unwrap();
    classifier.prepare(32, &Optimizer::adam(2e-3), Schedule::constant()).unwrap();
    let before = classifier.evaluate_blocking(loader.epoch(0)).unwrap();
    assert!(before.loss > 1.5 && before.accuracy < 0.5, "untrained, it guesses: {before:?}");
    for epoch in 0..60 {
        classifier.train_blocking(loader.epoch(epoch), |_| ControlFlow::Continue(())).unwrap();
    }
    let Score { loss, accuracy, images } = classifier.evaluate_blocking(loader.epoch(0)).unwrap();
    assert_eq!((accuracy, images), (1.0, 32));
    assert!(loss < 0.05, "{loss}");
}

#[test]
fn the_smaller_last_batch_counts() {
    let Some(gpu) = crate::gpu() else { return };
    let some = Arc::new(digits(Split::Test).select(&(0..50).collect::<Vec<usize>>()).unwrap());
    let mut classifier = Classifier::new(gpu, settings(1)).unwrap();
    let mut score = |batch| {
        let loader = Loader::new(some.clone(), batch).unwrap();
        classifier.evaluate_blocking(loader.epoch(0)).unwrap()
    };
    let (even, uneven, single) = (score(25), score(16), score(50));
    assert_eq!([even.images, uneven.images, single.images], [50; 3]);
    assert_eq!([even.accuracy, uneven.accuracy], [single.accuracy; 2]);
    // A loss is off by what a softmax of logits near 1 rounds, some 64 half epsilons; adding up 50 of them, at most 50 more.
    let bound = 114.0 * 0.5 * f64::from(f32::EPSILON) * single.loss;
    assert!((even.loss - single.loss).abs() <= bound && (uneven.loss - single.loss).abs() <= bound);
}

#[test]
fn training_refuses_what_it_was_not_prepared_for() {
    let Some(gpu) = crate::gpu() else { return };
    let some = Arc::new(digits(Split::Test).select(&[0, 1, 2, 3, 4]).unwrap());
    let loader = Loader::new(some, 2).unwrap();
    let mut classifier = Classifier::new(gpu, settings(1)).unwrap();
    let go = |classifier: &mut Classifier| {
        let result = classifier.train_blocking(loader.epoch(0), |_| ControlFlow::Continue(()));
        result.unwrap_err().to_string()
    };
    assert_eq!(go(&mut classifier), "session: call `prepare` before `train`");
    classifier.prepare(2, &Optimizer::sgd(0.01), Schedule::constant()).unwrap();
    assert_eq!(go(&mut classifier), "train: expected batches of 2, got 1 images");
    let error = classifier.evaluate_blocking(std::iter::empty()).unwrap_err().to_string();
    assert_eq!(error, "session: there was no batch to evaluate");
}

/// Probabilities of every class, one row an image.
#[test]
fn predictions_are_probabilities() {
    let Some(gpu) = crate::gpu() else { return };
    let some = digits(Split::Test).select(&[3, 1, 4]).unwrap();
    let mut classifier = Classifier::new(gpu, settings(1)).unwrap();
    let all = classifier.predict_blocking(some.images().view()).unwrap();
    assert_eq!(all.dim(), (3, 10));
    assert!(all.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-5));
    let one = classifier.predict_blocking(some.select(&[1]).unwrap().images().view()).unwrap();
    assert!(one.row(0).iter().zip(all.row(1)).all(|(a, b)| (a - b).abs() < 1e-6), "whatever the batch");
    let error = classifier.predict_blocking(ndarray::Array4::zeros((1, 1, 27, 28)).view()).unwrap_err().to_string();
    assert_eq!(error, "input `images`: expected u8[1, 1, 28, 28], got u8[1, 1, 27, 28]");
}

const BATCH: usize = 6;

/// A small network with everything that makes training differ from evaluation; returns the loss.
fn small<'g>(graph: &'g Graph, optimizer: &Optimizer) -> Result<Tensor<'g>> {
    // No bias: batch norm takes it out again, its gradient is rounding alone, and Adam would make steps of that.
    let x = graph.input("x", [BATCH, 2, 7, 7])?.conv2d("conv", Conv2d::new(5, 3).padding(1).without_bias())?;
    let x = x.batch_norm("bn", BatchNorm::default())?.leaky_relu(0.1)?.max_pool2d(2)?.dropout(0.25)?;
    let x = x.flatten()?.dense("hidden", 11)?.tanh()?;
    let loss = x.dense("out", 4)?.softmax_cross_entropy(graph.label_input("labels", BATCH)?)?;
    graph.minimize(loss, optimizer)?;
    Ok(loss)
}

/// The inputs of step `step`: another batch every time.
fn batch(step: usize) -> (Vec<f32>, Vec<u32>) {
    let name = format!("batch {step}");
    let x = Init::XavierNormal.values(&name, &[BATCH * 2 * 49, 1, 1].into(), 5);
    let scale = (BATCH as f32 * 49.0).sqrt();
    (x.iter().map(|value| value * scale).collect(), (0..BATCH).map(|i| ((i * 3 + step) % 4) as u32).collect())
}

/// The losses of six steps, bit by bit, and the variables after them.
fn curve(gpu: &omma::Gpu, optimizer: &Optimizer, seed: u64) -> (Vec<f32>, Vec<(String, Vec<f32>)>) {
    let graph = Graph::new(Mode::Training).seed(seed);
    let loss = small(&graph, optimizer).unwrap();
    let variables = Variables::new(gpu, seed);
    let mut session = Session::new(gpu, &graph, &[loss], &variables).unwrap();
    let losses = (0..6).map(|step| {
        let (x, labels) = batch(step);
        session.run_blocking(&[("x", (&x).into()), ("labels", (&labels).into())]).unwrap();
        session.read_blocking::<f32>(loss).unwrap()[0]
    });
    let losses = losses.collect();
    let all = variables.read_all_blocking().unwrap();
    (losses, all.into_iter().map(|(name, values)| (name, values.iter().copied().collect())).collect())
}

/// The same steps by the reference, in f64.
fn reference(optimizer: &Optimizer, seed: u64, start: f64) -> (Vec<f64>, Vec<(String, Vec<f64>)>) {
    let graph = Graph::new(Mode::Training).seed(seed);
    let loss = small(&graph, optimizer).unwrap();
    let mut evaluator = Evaluator::new(&graph, seed);
    let weight = graph.tensor("conv.weight").unwrap();
    let moved: Vec<f64> = evaluator.value(weight).iter().map(|value| value * (1.0 + start)).collect();
    evaluator.set("conv.weight", &moved).unwrap();
    let losses = (0..6).map(|step| {
        let (x, labels) = batch(step);
        let x: Vec<f64> = x.into_iter().map(f64::from).collect();
        let labels: Vec<f64> = labels.into_iter().map(f64::from).collect();
        evaluator.run(&[("x", &x), ("labels", &labels)]).unwrap();
        evaluator.value(loss)[0]
    });
    let losses = losses.collect();
    let names = ["conv.weight", "bn.running_mean", "bn.running_var", "hidden.weight", "out.weight", "out.bias"];
    let value = |name: &str| (name.to_string(), evaluator.value(graph.tensor(name).unwrap()).to_vec());
    (losses, names.map(value).into())
}

/// The derivation of the tolerance: rounding enters a step as relative errors of eps times the square root of the
/// number of roundings on the way to a value, here some hundreds, and a step passes on what the steps before it left,
/// amplified by at most the network's own sensitivity. That sensitivity is measured, not guessed: the reference runs a
/// second time from weights that are off by 2^-12, and the difference of the two curves, scaled from 2^-12 to 64 eps, is
/// what such roundings may do; a floor of 64 eps of the loss stands for the roundings of the step itself.
fn follows(optimizer: &Optimizer) {
    let Some(gpu) = crate::gpu() else { return };
    const OFF: f64 = 1.0 / 4096.0;
    let roundings = 64.0 * f64::from(f32::EPSILON);
    let (losses, variables) = curve(gpu, optimizer, 3);
    let (exact, wanted) = reference(optimizer, 3, 0.0);
    let (other, moved) = reference(optimizer, 3, OFF);
    let mut sensitivity: f64 = 0.0;
    for (step, ((&loss, &exact), &other)) in losses.iter().zip(&exact).zip(&other).enumerate() {
        sensitivity = sensitivity.max((other - exact).abs() / OFF);
        let tolerance = roundings * (exact + sensitivity * (step + 1) as f64);
        assert!(tolerance < 1e-3, "step {step}: a tolerance of {tolerance:e} says nothing");
        let error = (f64::from(loss) - exact).abs();
        assert!(error <= tolerance, "step {step}: loss {loss}, reference {exact}, off {error:e}, bound {tolerance:e}");
    }
    assert!(exact.windows(2).any(|pair| (pair[0] - pair[1]).abs() > 1e-2), "the curve moves: {exact:?}");
    // The same for the variables after the last step.
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0_f64, |most, value| most.max(value.abs()));
    for ((name, wanted), (_, moved)) in wanted.iter().zip(&moved) {
        let values = &variables.iter().find(|(other, _)| other == name).unwrap().1;
        let scale = most(&mut wanted.iter().copied());
        let sensitivity = most(&mut moved.iter().zip(wanted).map(|(a, b)| (a - b) / OFF));
        let tolerance = roundings * (scale + sensitivity * losses.len() as f64);
        assert!(tolerance < 1e-2 * scale, "{name}: a tolerance of {tolerance:e} says nothing of {scale}");
        let off = most(&mut values.iter().zip(wanted).map(|(a, b)| f64::from(*a) - b));
        assert!(off <= tolerance, "{name}: off {off:e} of {scale}, bound {tolerance:e}");
    }
}

#[test]
fn sgd_with_momentum_follows_the_reference() {
    follows(&Optimizer::sgd(0.05).momentum(0.9).weight_decay(1e-3));
}

#[test]
fn nesterov_follows_the_reference() {
    follows(&Optimizer::sgd(0.05).momentum(0.9).nesterov());
}

#[test]
fn adam_follows_the_reference() {
    follows(&Optimizer::adam(0.01));
}

#[test]
fn adamw_follows_the_reference() {
    follows(&Optimizer::adamw(0.01));
}

#[test]
fn rmsprop_follows_the_reference() {
    follows(&Optimizer::rmsprop(0.005).momentum(0.5).clip_norm(0.5));
}

#[test]
fn adagrad_follows_the_reference() {
    follows(&Optimizer::adagrad(0.05).weight_decay(1e-3).no_bias_decay());
}

#[test]
fn gathered_steps_follow_the_reference() {
    follows(&Optimizer::sgd(0.2).momentum(0.9).accumulate(2).clip_value(0.1));
}

#[test]
fn a_seed_fixes_every_bit() {
    let Some(gpu) = crate::gpu() else { return };
    let optimizer = Optimizer::adam(0.01);
    let bits = |seed| {
        let (losses, variables) = curve(gpu, &optimizer, seed);
        let variables = variables.into_iter().flat_map(|(_, values)| values);
        losses.into_iter().chain(variables).map(f32::to_bits).collect::<Vec<u32>>()
    };
    let once = bits(3);
    assert_eq!(once, bits(3), "the same seed");
    assert_ne!(once[0], bits(4)[0], "another seed");
}

#[test]
fn the_dropout_seed_alone_changes_the_run() {
    let Some(gpu) = crate::gpu() else { return };
    let first = |seed| {
        let graph = Graph::new(Mode::Training).seed(seed);
        let y = graph.constant(1.0, 256).unwrap().dropout(0.5).unwrap();
        let mut session = Session::new(gpu, &graph, &[y], &Variables::new(gpu, 0)).unwrap();
        let mut run = || {
            session.run_blocking(&[]).unwrap();
            session.read_blocking::<f32>(y).unwrap().into_raw_vec_and_offset().0
        };
        [run(), run()]
    };
    let [one, two] = first(7);
    assert_ne!(one, two, "every step has another mask");
    assert_eq!(first(7), [one.clone(), two]);
    assert_ne!(first(8)[0], one);
    // Kept values are doubled; 256 fair coins leave 128 of them, with a deviation of 8.
    let kept = one.iter().filter(|&&value| value == 2.0).count();
    assert_eq!(one.iter().filter(|&&value| value == 0.0).count(), 256 - kept);
    assert!((88..=168).contains(&kept), "{kept} of 256");
}

#[test]
fn a_classifier_does_without_an_excluded_kernel() {
    let Some(gpu) = crate::gpu() else { return };
    let variant = |classifier: &mut Classifier| {
        classifier.prepare(2, &Optimizer::sgd(0.01), Schedule::constant()).unwrap();
        let choices = classifier.training_session().unwrap().plan().choices();
        choices.iter().find(|choice| choice.kernel == "conv2d.forward").unwrap().chosen
    };
    let usual = variant(&mut Classifier::new(gpu, settings(1)).unwrap());
    let options = PlanOptions::default().exclude(usual);
    assert_ne!(variant(&mut Classifier::with_options(gpu, settings(1), options).unwrap()), usual);
}

#[test]
fn an_averaged_classifier_follows_the_training() {
    let Some(gpu) = crate::gpu() else { return };
    let few = Arc::new(digits(Split::Train).select(&(0..32).collect::<Vec<usize>>()).unwrap());
    let loader = Loader::new(few, 32).unwrap();
    let mut classifier = Classifier::new(gpu, settings(1)).unwrap();
    let error = classifier.averaged().unwrap_err().to_string();
    assert_eq!(error, "session: no parameter has an average: give the optimizer `ema`");
    classifier.prepare(32, &Optimizer::adam(2e-3).ema(0.9), Schedule::constant()).unwrap();
    let mut averaged = classifier.averaged().unwrap();
    let mut scores = |classifier: &mut Classifier| {
        let trained = classifier.evaluate_blocking(loader.epoch(0)).unwrap().loss;
        (trained, averaged.evaluate_blocking(loader.epoch(0)).unwrap().loss)
    };
    let (trained, average) = scores(&mut classifier);
    assert_eq!(trained, average, "they begin as one");
    for epoch in 0..20 {
        classifier.train_blocking(loader.epoch(epoch), |_| ControlFlow::Continue(())).unwrap();
    }
    let (later, behind) = scores(&mut classifier);
    assert!(later < behind && behind < trained, "{trained}, then {later}, averaged {behind}");
    // Training on with a rate of nothing, the average arrives: 0.9^200 of the difference is left.
    classifier.scale_learning_rate(0.0).unwrap();
    for epoch in 0..200 {
        classifier.train_blocking(loader.epoch(epoch), |_| ControlFlow::Continue(())).unwrap();
    }
    let (still, arrived) = scores(&mut classifier);
    assert_eq!(still, later, "no rate, no change");
    assert!((arrived - later).abs() < 1e-4 * later, "{arrived}, {later}");
}

#[test]
fn schedules_that_do_not_fit_are_refused() {
    let Some(gpu) = crate::gpu() else { return };
    let mut classifier = Classifier::new(gpu, settings(1)).unwrap();
    let error = classifier.scale_learning_rate(0.5).unwrap_err().to_string();
    assert_eq!(error, "session: call `prepare` before `scale_learning_rate`");
    let mut refused =
        |optimizer: Optimizer, schedule: Schedule| classifier.prepare(2, &optimizer, schedule).unwrap_err().to_string();
    let cycle = OneCycle::new(10);
    let error = refused(Optimizer::sgd(0.1), Schedule::one_cycle(cycle));
    assert_eq!(error, "schedule: the optimizer has no momentum to change");
    for schedule in [
        Schedule::step(0, 0.1),
        Schedule::exponential(f32::NAN),
        Schedule::multi_step(&[1], -1.0),
        Schedule::polynomial(0, 1.0),
        Schedule::cosine(0),
        Schedule::cosine_restarts(4, 0),
        Schedule::constant().floor(2.0),
        Schedule::one_cycle(cycle.rise(1.5)),
        Schedule::one_cycle(cycle.divisors(0.0, 1.0)),
        Schedule::one_cycle(cycle.momentum(0.5, 1.0)),
    ] {
        let error = refused(Optimizer::adam(0.1), schedule.clone());
        assert!(error.starts_with("schedule: expected at least 1 step, finite factors"), "{schedule:?}: {error}");
    }
}
