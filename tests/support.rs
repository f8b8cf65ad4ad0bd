//! What tests share: the device, devices of their own, a host's device, errors as text.

use std::io::Write;
use std::sync::OnceLock;

use omma::wgpu;
use omma::{Gpu, GpuOptions, Graph, Init, Mode, Optimizer, PlanOptions, Result, Session, Tensor, Variables, models};

/// The only way to run the suite without an adapter.
const SKIP: &str = "OMMA_SKIP_GPU_TESTS";

/// One device for all tests: opening one takes longer than most of them. `None`, and a loud word, only where the
/// environment asks to skip; without an adapter every test that needs one fails.
pub(crate) fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let gpu = GPU.get_or_init(own_gpu).as_ref();
    if gpu.is_none() {
        // Past the test harness, which would swallow what a passing test prints.
        let test = std::thread::current().name().unwrap_or("a test").to_string();
        let _ = writeln!(std::io::stderr(), "{SKIP} is set: SKIPPED, NOT TESTED: {test}");
    }
    gpu
}

/// A device that no other test counts on or disturbs.
pub(crate) fn own_gpu() -> Option<Gpu> {
    if std::env::var(SKIP).is_ok_and(|value| value == "1") {
        return None;
    }
    let gpu = Gpu::new_blocking(&GpuOptions::default());
    Some(gpu.unwrap_or_else(|error| panic!("{error} (only {SKIP}=1 skips the tests that need one)")))
}

/// An application's own adapter, device and queue, opened without Omma, with the limits that `limits` derives from the
/// adapter's.
pub(crate) fn host_device(
    limits: impl FnOnce(wgpu::Limits) -> wgpu::Limits,
) -> Option<(wgpu::Adapter, wgpu::Device, wgpu::Queue)> {
    host_device_with(wgpu::Features::empty(), limits)
}

/// [`host_device`] with these features.
pub(crate) fn host_device_with(
    required_features: wgpu::Features,
    limits: impl FnOnce(wgpu::Limits) -> wgpu::Limits,
) -> Option<(wgpu::Adapter, wgpu::Device, wgpu::Queue)> {
    let wanted = gpu()?.capabilities().info.clone();
    let backends = wgpu::Backends::from(wanted.backend);
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    let same = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        info.name == wanted.name && info.backend == wanted.backend
    };
    let adapter = adapters.into_iter().find(same).expect("the adapter that Omma found");
    let required_limits = limits(adapter.limits());
    let descriptor =
        wgpu::DeviceDescriptor { label: Some("host"), required_features, required_limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("a second device");
    Some((adapter, device, queue))
}

/// An error's text; a success fails the test.
pub(crate) fn message<T>(result: omma::Result<T>) -> String {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.to_string(),
    }
}

/// A LeNet training step; returns the loss.
pub(crate) fn lenet(graph: &Graph, batch: usize) -> Result<Tensor<'_>> {
    let logits = models::lenet5(graph.input("images", [batch, 1, 28, 28])?, 10)?;
    let loss = logits.softmax_cross_entropy(graph.label_input("labels", batch)?)?;
    graph.minimize(loss, &Optimizer::sgd(0.05).momentum(0.9))?;
    graph.metric("loss", loss, batch as f32)?;
    Ok(loss)
}

/// A LeNet learns three images within four steps.
pub(crate) fn check_training(gpu: &Gpu, options: &PlanOptions) {
    let graph = Graph::new(Mode::Training);
    let loss = lenet(&graph, 3).unwrap();
    let mut session = Session::with_options(gpu, &graph, &[loss], &Variables::new(gpu, 1), options).unwrap();
    let images: Vec<f32> = (0..3 * 784).map(|i| (i % 17) as f32 / 17.0).collect();
    let mut losses = Vec::new();
    for _ in 0..4 {
        session.run_blocking(&[("images", (&images).into()), ("labels", (&vec![1_u8, 2, 3]).into())]).unwrap();
        losses.push(session.read_blocking::<f32>(loss).unwrap()[0]);
    }
    assert!(losses[3] < losses[0], "{losses:?}");
}

/// What a graph makes of rows, and the gradient of the results' sum.
pub(crate) fn of_rows(
    rows: &[f32],
    width: usize,
    build: impl for<'g> Fn(Tensor<'g>) -> Result<Tensor<'g>>,
) -> Option<[Vec<f32>; 2]> {
    let gpu = crate::gpu()?;
    let graph = Graph::new(Mode::Training);
    let shape = [rows.len() / width, width];
    // Gradients are those of parameters.
    let zeros = graph.parameter("zeros", shape, Init::Zeros).unwrap();
    let y = build(graph.input("x", shape).unwrap().add(zeros).unwrap()).unwrap();
    let (_, dx) = graph.gradients(y.sum(..).unwrap()).unwrap()[0];
    let mut session = Session::new(gpu, &graph, &[y, dx], &Variables::new(gpu, 0)).unwrap();
    session.run_blocking(&[("x", rows.into())]).unwrap();
    Some([y, dx].map(|tensor| session.read_blocking::<f32>(tensor).unwrap().into_raw_vec_and_offset().0))
}
