//! A text CNN learns whether sentences praise or complain: `cargo run --release --example sentences [STEPS]`. "not" and
//! "hardly" turn the meaning round, so that single words do not do.

mod arguments;

use std::collections::BTreeSet;

use omma::models::TextCnn;
use omma::{Gpu, GpuOptions, Graph, Mode, Optimizer, Session, TensorType, Variables};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SUBJECTS: [&str; 6] = ["the film", "this book", "her voice", "the food", "our room", "their service"];
const VERBS: [&str; 4] = ["is", "was", "seemed", "remains"];
const TURNS: [&str; 2] = ["not", "hardly"];
const DEGREES: [&str; 4] = ["", "very", "really", "quite"];
const GOOD: [&str; 6] = ["good", "lovely", "great", "clever", "warm", "perfect"];
const BAD: [&str; 6] = ["bad", "dull", "awful", "boring", "cold", "broken"];
const ENDS: [&str; 4] = ["", "today", "in the end", "to me"];
const WORDS: usize = 10;
const BATCH: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init();
    let steps = arguments::count("STEPS", 150)?;
    let mut random = StdRng::seed_from_u64(1);
    let all = [&SUBJECTS[..], &VERBS, &TURNS, &DEGREES, &GOOD, &BAD, &ENDS].concat();
    // Word 0 fills sentences up.
    let vocabulary: BTreeSet<&str> = all.iter().flat_map(|text| text.split_whitespace()).collect();
    let number = |word: &str| vocabulary.iter().position(|known| *known == word).map_or(0, |n| n as u32 + 1);
    let encode = |text: &str| {
        let words = text.split_whitespace().map(number).chain(std::iter::repeat(0));
        words.take(WORDS).collect::<Vec<u32>>()
    };
    let network = TextCnn::new(vocabulary.len() + 1).embedding(24).filters(&[2, 3, 4], 16);
    let gpu = Gpu::new_blocking(&GpuOptions::default())?;
    let variables = Variables::new(&gpu, 1);

    let graph = Graph::new(Mode::Training);
    let words = graph.input_of("words", TensorType::u32([BATCH, WORDS]))?;
    let loss = network.build(words, 2)?.softmax_cross_entropy(graph.label_input("labels", BATCH)?)?;
    graph.minimize(loss, &Optimizer::adam(0.01))?;
    let mut session = Session::new(&gpu, &graph, &[loss], &variables)?;
    for step in 1..=steps {
        let (texts, labels): (Vec<String>, Vec<u32>) = (0..BATCH).map(|_| sentence(&mut random)).unzip();
        let words: Vec<u32> = texts.iter().flat_map(|text| encode(text)).collect();
        session.run_blocking(&[("words", (&words).into()), ("labels", (&labels).into())])?;
        if step % 50 == 0 || step == steps {
            println!("step {step}: loss {:.4}", session.read_blocking::<f32>(loss)?.sum());
        }
    }

    let graph = Graph::new(Mode::Evaluation);
    let words = graph.input_of("words", TensorType::u32([BATCH, WORDS]))?;
    let opinion = network.build(words, 2)?.softmax(1)?;
    let mut session = Session::new(&gpu, &graph, &[opinion], &variables)?;
    let (texts, labels): (Vec<String>, Vec<u32>) = (0..BATCH).map(|_| sentence(&mut random)).unzip();
    let words: Vec<u32> = texts.iter().flat_map(|text| encode(text)).collect();
    session.run_blocking(&[("words", (&words).into())])?;
    let opinion = session.read_blocking::<f32>(opinion)?;
    let praise = |example: usize| opinion[[example, 1]];
    for (example, (text, label)) in texts.iter().zip(&labels).take(12).enumerate() {
        let mark = if (praise(example) > 0.5) == (*label == 1) { ' ' } else { '!' };
        println!("{mark} {:>5.1} % praise  {text}", 100.0 * praise(example));
    }
    let right = labels.iter().enumerate().filter(|&(example, &label)| (praise(example) > 0.5) == (label == 1)).count();
    println!("{right} of {BATCH} new sentences are understood");
    Ok(())
}

/// A sentence, and 1 where it praises.
fn sentence(random: &mut StdRng) -> (String, u32) {
    let mut pick = |words: &[&'static str]| words[random.random_range(0..words.len())];
    let (subject, verb, degree, end) = (pick(&SUBJECTS), pick(&VERBS), pick(&DEGREES), pick(&ENDS));
    let (good, bad) = (pick(&GOOD), pick(&BAD));
    let (praises, turned) = (random.random_bool(0.5), random.random_bool(0.4));
    let turn = if turned { TURNS[random.random_range(0..2)] } else { "" };
    let word = if praises != turned { good } else { bad };
    let text = [subject, verb, turn, degree, word, end].join(" ");
    (text.split_whitespace().collect::<Vec<_>>().join(" "), u32::from(praises))
}
