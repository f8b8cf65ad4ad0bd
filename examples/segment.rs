//! A U-Net learns to find discs, squares and triangles: `cargo run --release --example segment [STEPS] [OUT.png]`. The
//! picture shows images, where things are, and where the network sees them.

mod arguments;
mod sheet;

use omma::models::UNet;
use omma::{CrossEntropy, Gpu, GpuOptions, Graph, Mode, Optimizer, Session, TensorType, Variables};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SIDE: usize = 48;
const CLASSES: usize = 4;
const BATCH: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let steps = arguments::count("STEPS", 300)?;
    let mut random = StdRng::seed_from_u64(1);
    let network = UNet::default().width(8).depth(3).batch_norm();
    let gpu = Gpu::new_blocking(&GpuOptions::default())?;
    let variables = Variables::new(&gpu, 1);

    let graph = Graph::new(Mode::Training);
    let logits = network.build(graph.input("images", [BATCH, 1, SIDE, SIDE])?, CLASSES)?;
    let labels = graph.input_of("labels", TensorType::u32([BATCH, SIDE, SIDE]))?;
    let loss = logits.cross_entropy(labels, CrossEntropy::default())?;
    graph.minimize(loss, &Optimizer::adam(0.005))?;
    let mut session = Session::new(&gpu, &graph, &[loss], &variables)?;
    for step in 1..=steps {
        let (images, labels) = scenes(&mut random);
        session.run_blocking(&[("images", (&images).into()), ("labels", (&labels).into())])?;
        if step % 50 == 0 || step == steps {
            println!("step {step}: loss {:.4}", session.read_blocking::<f32>(loss)?.sum());
        }
    }

    let graph = Graph::new(Mode::Evaluation);
    let classes = network.build(graph.input("images", [BATCH, 1, SIDE, SIDE])?, CLASSES)?.argmax(1)?;
    let mut session = Session::new(&gpu, &graph, &[classes], &variables)?;
    let (images, labels) = scenes(&mut random);
    session.run_blocking(&[("images", (&images).into())])?;
    let found = session.read_blocking::<u32>(classes)?;
    let right = found.iter().zip(&labels).filter(|(found, label)| found == label).count();
    let right = format!("{:.2} % of new pixels", 100.0 * right as f64 / labels.len() as f64);
    println!("{right} are right");
    let color = |class: u32| sheet::COLORS[class as usize].map(|byte| f32::from(byte) / 255.0);
    let mut pictures = Vec::new();
    for example in 0..BATCH {
        let at = |y: usize, x: usize| (example * SIDE + y) * SIDE + x;
        let mut add = |name: &str, pixel: &dyn Fn(usize, usize) -> [f32; 3]| {
            pictures.push((name.to_string(), sheet::picture([SIDE, SIDE], pixel)));
        };
        add("image", &|y, x| [images[at(y, x)]; 3]);
        add("what it shows", &|y, x| color(labels[at(y, x)]));
        add("what is found", &|y, x| color(found[[example, y, x]]));
    }
    let subtitle =
        format!("A U-Net after {steps} steps: orange discs, blue squares, green triangles; {right} are right");
    sheet::write(&arguments::file("out/segment.png"), ["Segmentation", &subtitle], &pictures, [6, 4])
}

/// Images with one shape of each kind over noise, and every pixel's class.
fn scenes(random: &mut StdRng) -> (Vec<f32>, Vec<u32>) {
    let mut images: Vec<f32> = (0..BATCH * SIDE * SIDE).map(|_| random.random_range(0.0..0.4)).collect();
    let mut labels = vec![0; images.len()];
    for example in 0..BATCH {
        for class in 1..CLASSES as u32 {
            let size = random.random_range(5.0..10.0_f32);
            let [cy, cx] = [(); 2].map(|()| random.random_range(size..SIDE as f32 - size));
            let light = random.random_range(0.3..0.8_f32);
            for pixel in 0..SIDE * SIDE {
                let (y, x) = ((pixel / SIDE) as f32 - cy, (pixel % SIDE) as f32 - cx);
                let inside = match class {
                    1 => x * x + y * y < size * size,
                    2 => x.abs().max(y.abs()) < 0.85 * size,
                    _ => y.abs() < size && x.abs() < (y + size) / 2.0,
                };
                if inside {
                    let index = example * SIDE * SIDE + pixel;
                    images[index] = images[index] * 0.5 + light;
                    labels[index] = class;
                }
            }
        }
    }
    (images, labels)
}
