//! An application that has a wgpu device of its own lends it to Omma and records a network into its own command encoder,
//! between its own work: `cargo run --example host_device`.

use omma::{Conv2d, Gpu, Graph, Mode, Session, Variables, wgpu};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    // The application's own device, with WebGPU's default limits.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?;

    let gpu = Gpu::from_wgpu(&adapter, device.clone(), queue.clone());
    let graph = Graph::new(Mode::Evaluation);
    let image = graph.input("image", [1, 3, 64, 64])?;
    let edges = image.conv2d("edges", Conv2d::new(8, 3).padding(1))?.relu()?.max_pool2d(2)?;
    println!("{graph}");

    let mut session = Session::new(&gpu, &graph, &[edges], &Variables::new(&gpu, 1))?;
    println!("{}", session.plan());
    let pixels: Vec<f32> = (0..3 * 64 * 64).map(|i| (i % 64) as f32 / 64.0).collect();
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    // ... the application's own passes ...
    session.encode(&mut encoder, &[("image", (&pixels).into())])?;
    // ... and more of them, then one submission for everything.
    queue.submit([encoder.finish()]);

    let maps = session.read_blocking::<f32>(edges)?;
    println!("{:?}, mean {:.4}", maps.shape(), maps.iter().sum::<f32>() / maps.len() as f32);
    Ok(())
}
