//! Recurrent layers against plain loops in f64, and what is wrong with them.

use omma::onnx;

use super::gradients::{Fed, check, drawn, fed};
use super::wire::Attribute::{self, Float, Floats, Int, Text, Texts};
use super::wire::{FLOAT, File};

const LENGTH: usize = 3;
const BATCH: usize = 2;
const INPUTS: usize = 3;
const HIDDEN: usize = 2;

/// What a case has beside its inputs.
struct Layer<'a> {
    operator: &'a str,
    attributes: Vec<(&'a str, Attribute<'a>)>,
    lengths: [usize; BATCH],
}

/// The number of products with the state.
fn gates(operator: &str) -> usize {
    match operator {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    }
}

impl Layer<'_> {
    fn int(&self, name: &str) -> bool {
        self.attributes.iter().any(|(other, value)| *other == name && matches!(value, Int(1)))
    }

    /// The direction of each pass: whether it goes backwards.
    fn passes(&self) -> Vec<bool> {
        let direction = self.attributes.iter().find_map(|(name, value)| match value {
            Text(text) if *name == "direction" => Some(*text),
            _ => None,
        });
        match direction {
            Some("bidirectional") => vec![false, true],
            Some("reverse") => vec![true],
            _ => vec![false],
        }
    }

    /// All outputs, of x, w, r, b, the states and, of an LSTM, the peepholes.
    fn compute(&self, values: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let [x, w, r, b, starts @ ..] = values else { panic!("four inputs at least") };
        let (gates, passes, examples_first) = (gates(self.operator), self.passes(), self.int("layout"));
        let states = if self.operator == "LSTM" { 2 } else { 1 };
        let directions = passes.len();
        let in_state = |direction: usize, example: usize| match examples_first {
            true => (example * directions + direction) * HIDDEN,
            false => (direction * BATCH + example) * HIDDEN,
        };
        let mut y = vec![0.0; LENGTH * directions * BATCH * HIDDEN];
        let mut last = vec![vec![0.0; directions * BATCH * HIDDEN]; states];
        for (direction, backwards) in passes.into_iter().enumerate() {
            for example in 0..BATCH {
                let start = in_state(direction, example);
                let mut state: Vec<Vec<f64>> =
                    starts[..states].iter().map(|of| of[start..start + HIDDEN].to_vec()).collect();
                let own = self.lengths[example];
                let places: Vec<usize> = if backwards { (0..own).rev().collect() } else { (0..own).collect() };
                for place in places {
                    let first = if examples_first { example * LENGTH + place } else { place * BATCH + example };
                    let x = &x[first * INPUTS..][..INPUTS];
                    let outside = |gate: usize, unit: usize| -> f64 {
                        let row = (direction * gates + gate) * HIDDEN + unit;
                        let bias = b[(direction * 2 * gates + gate) * HIDDEN + unit];
                        bias + w[row * INPUTS..][..INPUTS].iter().zip(x).map(|(w, x)| w * x).sum::<f64>()
                    };
                    let inside = |gate: usize, unit: usize, h: &[f64]| -> f64 {
                        let row = (direction * gates + gate) * HIDDEN + unit;
                        let bias = b[(direction * 2 * gates + gates + gate) * HIDDEN + unit];
                        bias + r[row * HIDDEN..][..HIDDEN].iter().zip(h).map(|(r, h)| r * h).sum::<f64>()
                    };
                    let peephole = |gate: usize, unit: usize, cell: f64| match starts.get(2) {
                        Some(p) => p[(direction * 3 + gate) * HIDDEN + unit] * cell,
                        None => 0.0,
                    };
                    state = self.step(&state, &outside, &inside, &peephole);
                    let at = match examples_first {
                        true => (example * LENGTH + place) * directions + direction,
                        false => (place * directions + direction) * BATCH + example,
                    };
                    y[at * HIDDEN..][..HIDDEN].copy_from_slice(&state[0]);
                }
                for (last, state) in last.iter_mut().zip(&state) {
                    last[start..start + HIDDEN].copy_from_slice(state);
                }
            }
        }
        [vec![y], last].concat()
    }

    /// The state after a place, by ONNX's equations.
    fn step(
        &self,
        state: &[Vec<f64>],
        outside: &dyn Fn(usize, usize) -> f64,
        inside: &dyn Fn(usize, usize, &[f64]) -> f64,
        peephole: &dyn Fn(usize, usize, f64) -> f64,
    ) -> Vec<Vec<f64>> {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let h = &state[0];
        let sum = |gate: usize, unit: usize| outside(gate, unit) + inside(gate, unit, h);
        let units = || 0..HIDDEN;
        match self.operator {
            "LSTM" => {
                let unit = |unit: usize| {
                    let cell = state[1][unit];
                    let input = sigmoid(sum(0, unit) + peephole(0, unit, cell));
                    let forget = match self.int("input_forget") {
                        true => 1.0 - input,
                        false => sigmoid(sum(2, unit) + peephole(2, unit, cell)),
                    };
                    let cell = forget * cell + input * sum(3, unit).tanh();
                    (sigmoid(sum(1, unit) + peephole(1, unit, cell)) * cell.tanh(), cell)
                };
                let (h, cell): (Vec<f64>, Vec<f64>) = units().map(unit).unzip();
                vec![h, cell]
            }
            "GRU" => {
                let reset: Vec<f64> = units().map(|unit| sigmoid(sum(1, unit))).collect();
                let kept: Vec<f64> = reset.iter().zip(h).map(|(reset, h)| reset * h).collect();
                let unit = |unit: usize| {
                    let within = match self.int("linear_before_reset") {
                        true => reset[unit] * inside(2, unit, h),
                        false => inside(2, unit, &kept),
                    };
                    let (update, new) = (sigmoid(sum(0, unit)), (outside(2, unit) + within).tanh());
                    (1.0 - update) * new + update * h[unit]
                };
                vec![units().map(unit).collect()]
            }
            // 2·tanh(x/2), and a clip that cuts some off.
            _ => vec![units().map(|unit| 2.0 * (0.5 * sum(0, unit).clamp(-0.75, 0.75)).tanh()).collect()],
        }
    }

    fn check(&self) {
        let (gates, directions) = (gates(self.operator), self.passes().len());
        let (width, lstm) = (gates * HIDDEN, self.operator == "LSTM");
        let [x, state] = match self.int("layout") {
            true => [[BATCH, LENGTH, INPUTS], [BATCH, directions, HIDDEN]],
            false => [[LENGTH, BATCH, INPUTS], [directions, BATCH, HIDDEN]],
        };
        let (w, r) = ([directions, width, INPUTS], [directions, width, HIDDEN]);
        let (b, p) = ([directions, 2 * width], [directions, 3 * HIDDEN]);
        let mut shapes: Vec<(&str, &[usize])> = vec![("x", &x), ("w", &w), ("r", &r), ("b", &b), ("h", &state)];
        if lstm {
            shapes.extend([("c", &state[..]), ("p", &p)]);
        }
        let inputs: Vec<Fed<'_>> =
            shapes.into_iter().zip(1..).map(|((name, shape), seed)| (name, shape, drawn(shape, seed))).collect();
        let lengths: Vec<i64> = self.lengths.iter().map(|&own| own as i64).collect();
        let names = ["x", "w", "r", "b", "lengths", "h", "c", "p"];
        let outputs = ["y", "y_h", "y_c"];
        let (names, outputs) = if lstm { (&names[..], &outputs[..]) } else { (&names[..6], &outputs[..2]) };
        let file = fed(22, &inputs).integers("lengths", &[BATCH as i64], &lengths);
        let file = file.node_with(self.operator, names, outputs, &self.attributes);
        let file = outputs.iter().fold(file, |file, output| file.output(output, FLOAT));
        // Two products of rows and a bias twice, at each of three places, twenty functions of them, and as much on the way
        // back; a gradient of weights adds up six places.
        check(&file, &inputs, outputs, 2 * LENGTH * (INPUTS + HIDDEN + 2 + 20) + LENGTH * BATCH, |values| {
            self.compute(values)
        });
    }
}

#[test]
fn lstms_of_both_directions_with_peepholes_and_lengths() {
    Layer { operator: "LSTM", attributes: vec![("direction", Text("bidirectional"))], lengths: [3, 2] }.check();
}

#[test]
fn an_lstm_backwards_with_the_examples_first_whose_gates_are_coupled() {
    let attributes =
        vec![("direction", Text("reverse")), ("layout", Int(1)), ("input_forget", Int(1)), ("hidden_size", Int(2))];
    Layer { operator: "LSTM", attributes, lengths: [3, 1] }.check();
}

#[test]
fn grus_of_both_directions_with_the_examples_first() {
    let attributes = vec![("direction", Text("bidirectional")), ("layout", Int(1)), ("linear_before_reset", Int(1))];
    Layer { operator: "GRU", attributes, lengths: [3, 3] }.check();
}

#[test]
fn a_gru_that_resets_the_state_with_lengths() {
    Layer { operator: "GRU", attributes: Vec::new(), lengths: [2, 3] }.check();
}

#[test]
fn a_plain_layer_with_functions_of_its_own_and_a_clip() {
    for direction in ["bidirectional", "reverse"] {
        let count = if direction == "reverse" { 1 } else { 2 };
        let attributes = vec![
            ("direction", Text(direction)),
            ("activations", Texts(&["ScaledTanh"; 2][..count])),
            ("activation_alpha", Floats(&[2.0; 2][..count])),
            ("activation_beta", Floats(&[0.5; 2][..count])),
            ("clip", Float(0.75)),
        ];
        Layer { operator: "RNN", attributes, lengths: [3, 2] }.check();
    }
}

/// The error that an LSTM of these inputs and attributes is.
fn refused(shapes: &[(&str, &[i64])], attributes: &[(&str, Attribute<'_>)]) -> String {
    let file = shapes.iter().fold(File::new(22), |file, (name, shape)| file.input(name, FLOAT, shape));
    let names: Vec<&str> = shapes.iter().map(|(name, _)| *name).collect();
    match onnx::load(file.node_with("LSTM", &names, &["y"], attributes).output("y", FLOAT).bytes()) {
        Ok(_) => panic!("{shapes:?} {attributes:?} was loaded"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let right: [(&str, &[i64]); 3] = [("x", &[3, 2, 4]), ("w", &[1, 20, 4]), ("r", &[1, 20, 5])];
    let says = |shapes: &[(&str, &[i64])], attributes: &[(&str, Attribute<'_>)], expected: &str| {
        let message = refused(shapes, attributes);
        assert!(message.contains(expected), "`{message}` says nothing of `{expected}`");
    };
    let [x, w, r] = right;
    says(&[x, ("w", &[1, 20, 3]), r], &[], "input 1: expected [1, 20, 4], got [1, 20, 3]");
    says(&[x, w, ("r", &[1, 15, 5])], &[], "input 2: expected [1, 20, 5], got [1, 15, 5]");
    says(&[("x", &[3, 4]), w, r], &[], "an input [3, 4]");
    says(&[x, w, r, ("b", &[1, 20])], &[], "input 3: expected [1, 40], got [1, 20]");
    says(&right, &[("direction", Text("bidirectional"))], "input 1: expected [2, 20, 4]");
    says(&right, &[("direction", Text("up"))], "`up`");
    says(&right, &[("hidden_size", Int(4))], "`hidden_size`: expected 5");
    says(&right, &[("activations", Texts(&["Tanh"]))], "`activations`: expected 3");
    says(&right, &[("activations", Texts(&["Tanh", "Tanh", "Sine"]))], "`Sine`");
    says(&right, &[("activations", Texts(&["Affine", "Tanh", "Tanh"]))], "`Affine` without a finite number");
    says(&right, &[("clip", Float(-1.0))], "`clip`: -1");
}

#[test]
fn sequences_that_are_too_long_are_not_written_out() {
    let lstm = |file: File, name: &str| file.node("LSTM", &["x", "w", "r"], &[name]).output(name, FLOAT);
    let of = |length: i64| File::new(22).input("x", FLOAT, &[length, 1, 1]);
    let of = |length: i64| of(length).input("w", FLOAT, &[1, 4, 1]).input("r", FLOAT, &[1, 4, 1]);
    let message = onnx::load(lstm(of(1 << 40), "y").bytes()).unwrap_err().to_string();
    assert!(message.contains("LSTM \"y\": a sequence of 1099511627776 places"), "{message}");
    // Nor are many that are not.
    let names: Vec<String> = (0..100).map(|number| format!("y{number}")).collect();
    let many = names.iter().fold(of(4000), |file, name| lstm(file, name));
    let message = onnx::load(many.bytes()).unwrap_err().to_string();
    assert!(message.contains("more than 100000 nodes"), "{message}");
}
