//! M5 tells kinds of sounds apart by their samples: `cargo run --release --example sounds [STEPS]`. Prints how often each
//! kind is heard as which.

mod arguments;

use omma::models::m5;
use omma::{Gpu, GpuOptions, Graph, Mode, Optimizer, Session, Variables};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const KINDS: [&str; 5] = ["tone", "rising", "falling", "chord", "noise"];
const SAMPLES: usize = 4000;
const BATCH: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let steps = arguments::count("STEPS", 120)?;
    let mut random = StdRng::seed_from_u64(1);
    let gpu = Gpu::new_blocking(&GpuOptions::default())?;
    let variables = Variables::new(&gpu, 1);

    let graph = Graph::new(Mode::Training);
    let logits = m5(graph.input("sounds", [BATCH, 1, SAMPLES])?, KINDS.len())?;
    let loss = logits.softmax_cross_entropy(graph.label_input("labels", BATCH)?)?;
    graph.minimize(loss, &Optimizer::adam(0.002))?;
    let mut session = Session::new(&gpu, &graph, &[loss], &variables)?;
    for step in 1..=steps {
        let (sounds, labels) = sounds(&mut random);
        session.run_blocking(&[("sounds", (&sounds).into()), ("labels", (&labels).into())])?;
        if step % 20 == 0 || step == steps {
            println!("step {step}: loss {:.4}", session.read_blocking::<f32>(loss)?.sum());
        }
    }

    let graph = Graph::new(Mode::Evaluation);
    let heard = m5(graph.input("sounds", [BATCH, 1, SAMPLES])?, KINDS.len())?.argmax(1)?;
    let mut session = Session::new(&gpu, &graph, &[heard], &variables)?;
    let mut counts = [[0; KINDS.len()]; KINDS.len()];
    for _ in 0..5 {
        let (sounds, labels) = sounds(&mut random);
        session.run_blocking(&[("sounds", (&sounds).into())])?;
        for (&label, &heard) in labels.iter().zip(&session.read_blocking::<u32>(heard)?) {
            counts[label as usize][heard as usize] += 1;
        }
    }
    println!("{:10} heard as {}", "", KINDS.map(|kind| format!("{kind:>8}")).join(""));
    for (kind, row) in KINDS.iter().zip(counts) {
        println!("{kind:10}          {}", row.map(|count| format!("{count:>8}")).join(""));
    }
    Ok(())
}

/// As many sounds of each kind, half a second at 8,000 samples a second, under noise.
fn sounds(random: &mut StdRng) -> (Vec<f32>, Vec<u32>) {
    let mut sounds = Vec::with_capacity(BATCH * SAMPLES);
    let labels: Vec<u32> = (0..BATCH).map(|example| (example % KINDS.len()) as u32).collect();
    for label in &labels {
        let (low, high) = (random.random_range(150.0..500.0_f32), random.random_range(700.0..1500.0_f32));
        let (shift, loud) = (random.random_range(0.0..std::f32::consts::TAU), random.random_range(0.4..1.0_f32));
        for sample in 0..SAMPLES {
            let time = sample as f32 / 8000.0;
            // The phase of a chirp is the integral of its frequency.
            let chirp = |from: f32, to: f32| from * time + (to - from) * time * time;
            let wave = |turns: f32| (std::f32::consts::TAU * turns + shift).sin();
            let value = match label {
                0 => wave(low * time),
                1 => wave(chirp(low, high)),
                2 => wave(chirp(high, low)),
                3 => 0.5 * (wave(low * time) + wave(high * time)),
                _ => random.random_range(-1.0..1.0),
            };
            sounds.push(loud * value + random.random_range(-0.2..0.2));
        }
    }
    (sounds, labels)
}
