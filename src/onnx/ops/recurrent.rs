//! Recurrent layers, written out: LSTM (Hochreiter & Schmidhuber 1997, with peepholes Gers & Schmidhuber 2000), GRU (Cho et
//! al. 2014) and the plain one (Elman 1990). The length of a sequence is known at load, so a layer is one product for all
//! that comes from outside and then, place after place, a product for each gate with the state so far. What differentiates a
//! graph differentiates it.
//!
//! The two directions of a layer are a batch of two: while the first is at the first place the other is at the last one.

use super::activation::elu;
use super::detection::{MOST_CELLS, numbers};
use super::{Call, Operator};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::value::Value;

pub(super) const OPERATORS: &[Operator] = &[
    ("GRU", |call| layer(call, Kind::Gru)),
    ("LSTM", |call| layer(call, Kind::Lstm)),
    ("RNN", |call| layer(call, Kind::Plain)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gru,
    Lstm,
    Plain,
}

impl Kind {
    /// What is multiplied with the state, in ONNX's order.
    fn gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
            Self::Plain => 1,
        }
    }

    /// The functions where a file names none.
    fn functions(self) -> &'static [&'static str] {
        match self {
            Self::Gru => &["Sigmoid", "Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
            Self::Plain => &["Tanh"],
        }
    }
}

/// A function of what a gate adds up, with its `activation_alpha` and `activation_beta`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Affine(f32, f32),
    Elu(f32),
    HardSigmoid(f32, f32),
    LeakyRelu(f32),
    Relu,
    ScaledTanh(f32, f32),
    Sigmoid,
    Softplus,
    Softsign,
    Tanh,
    ThresholdedRelu(f32),
}

impl Function {
    fn of<'g>(self, x: Tensor<'g>) -> Result<Tensor<'g>> {
        match self {
            Self::Affine(alpha, beta) => x.multiply(alpha)?.add(beta),
            Self::Elu(alpha) => elu(x, alpha),
            Self::HardSigmoid(alpha, beta) => x.multiply(alpha)?.add(beta)?.clip(0.0, 1.0),
            // As PReLU, since the derivative of a negative slope cannot be told from the result.
            Self::LeakyRelu(slope) if slope < 0.0 => x.prelu_with(x.graph().constant(slope, 1)?),
            Self::LeakyRelu(slope) => x.leaky_relu(slope),
            Self::Relu => x.relu(),
            Self::ScaledTanh(alpha, beta) => x.multiply(beta)?.tanh()?.multiply(alpha),
            Self::Sigmoid => x.sigmoid(),
            Self::Softplus => x.softplus(1.0, 20.0),
            Self::Softsign => x.softsign(),
            Self::Tanh => x.tanh(),
            Self::ThresholdedRelu(alpha) => x.greater_or_equal(alpha)?.select(x, 0.0),
        }
    }
}

/// The functions of one direction; both have to have the same.
fn functions(call: &Call<'_, '_, '_>, kind: Kind, directions: usize) -> Result<Vec<Function>> {
    let defaults = kind.functions();
    let names = call.node.texts("activations")?.unwrap_or_else(|| defaults.repeat(directions));
    if names.len() != defaults.len() * directions {
        let expected = defaults.len() * directions;
        return Err(call.node.wrong(format_args!("attribute `activations`: expected {expected}, got {names:?}")));
    }
    let mut alphas = call.node.floats("activation_alpha")?.unwrap_or_default().iter();
    let mut betas = call.node.floats("activation_beta")?.unwrap_or_default().iter();
    // Functions that have such a number take one after the other, and their operators' own number where there are no more.
    let next = |numbers: &mut std::slice::Iter<'_, f32>, name: &str, own: Option<f32>| {
        let number = numbers.next().copied().or(own).filter(|number| number.is_finite());
        number.ok_or_else(|| call.node.unsupported(format_args!("`{name}` without a finite number of its own")))
    };
    let mut function = |name: &str| {
        let mut alpha = |own| next(&mut alphas, name, own);
        let mut beta = |own| next(&mut betas, name, own);
        Ok(match name.to_ascii_lowercase().as_str() {
            "affine" => Function::Affine(alpha(None)?, beta(None)?),
            "elu" => Function::Elu(alpha(Some(1.0))?),
            "hardsigmoid" => Function::HardSigmoid(alpha(Some(0.2))?, beta(Some(0.5))?),
            "leakyrelu" => Function::LeakyRelu(alpha(Some(0.01))?),
            "relu" => Function::Relu,
            "scaledtanh" => Function::ScaledTanh(alpha(None)?, beta(None)?),
            "sigmoid" => Function::Sigmoid,
            "softplus" => Function::Softplus,
            "softsign" => Function::Softsign,
            "tanh" => Function::Tanh,
            "thresholdedrelu" => Function::ThresholdedRelu(alpha(Some(1.0))?),
            _ => return Err(call.node.wrong(format_args!("attribute `activations`: `{name}`"))),
        })
    };
    let mut functions = names.into_iter().map(&mut function).collect::<Result<Vec<_>>>()?;
    let other = functions.split_off(defaults.len());
    match other.is_empty() || other == functions {
        true => Ok(functions),
        false => Err(call.node.unsupported("directions with functions of their own")),
    }
}

/// The extents of a layer.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    length: usize,
    directions: usize,
    batch: usize,
    hidden: usize,
}

impl Sizes {
    /// Rows of width H for so many places: `[places, B, H]`, of two directions `[places·2, B, H]`, of one `[places·B, H]`.
    /// A product of two axes is a dense layer.
    fn rows(self, places: usize, width: usize) -> Vec<usize> {
        match self.directions {
            1 => vec![places * self.batch, width],
            directions => vec![places * directions, self.batch, width],
        }
    }

    /// What the state of a place is: `[B, H]`, or `[2, B, H]`.
    fn state(self) -> Vec<usize> {
        self.rows(1, self.hidden)
    }

    /// A row for each direction, `[D, width]`, as what is added to the rows of all examples.
    fn row(self, width: usize) -> Vec<usize> {
        if self.directions == 1 { vec![width] } else { vec![self.directions, 1, width] }
    }

    /// Parts for each of so many places of what [`Sizes::rows`] gives.
    fn split<'g>(self, rows: Tensor<'g>, places: usize) -> Result<Vec<Tensor<'g>>> {
        let one = self.state()[0];
        if places == 1 { Ok(vec![rows]) } else { rows.split(0, &vec![one; places]) }
    }
}

/// What computes a state from the one before it.
#[derive(Debug)]
struct Cell<'g> {
    functions: Vec<Function>,
    clip: Option<f32>,
    /// For each gate, `[out, in]`, of two directions `[2, in, out]`.
    recurrence: Vec<Tensor<'g>>,
    /// Of a GRU that resets what the product gives: what is added to that before.
    inner: Option<Tensor<'g>>,
    resets_product: bool,
    /// Of the gates i, o and f.
    peepholes: Vec<Tensor<'g>>,
    /// Whether what comes in is forgotten.
    coupled: bool,
}

impl<'g> Cell<'g> {
    /// The state by the gate's matrix.
    fn product(&self, gate: usize, state: Tensor<'g>) -> Result<Tensor<'g>> {
        let matrix = self.recurrence[gate];
        if matrix.shape().len() == 2 { state.dense_with(matrix, None) } else { state.matmul(matrix) }
    }

    fn function(&self, number: usize, sum: Tensor<'g>) -> Result<Tensor<'g>> {
        let sum = match self.clip {
            Some(most) => sum.clip(-most, most)?,
            None => sum,
        };
        self.functions[number].of(sum)
    }

    /// What the cell adds to a gate's sum.
    fn seen(&self, gate: usize, sum: Tensor<'g>, cell: Tensor<'g>) -> Result<Tensor<'g>> {
        match self.peepholes.get(gate) {
            Some(&peephole) => sum.add(cell.multiply(peephole)?),
            None => Ok(sum),
        }
    }

    /// The next state, from what comes from outside to each gate.
    fn next(&self, x: &[Tensor<'g>], state: &[Tensor<'g>]) -> Result<Vec<Tensor<'g>>> {
        match (x, state) {
            (&[x], &[h]) => Ok(vec![self.function(0, self.product(0, h)?.add(x)?)?]),
            (&[z, r, n], &[h]) => {
                let update = self.function(0, self.product(0, h)?.add(z)?)?;
                let sum = self.product(1, h)?.add(r)?;
                let new = if self.resets_product {
                    let product = self.product(2, h)?;
                    let product = if let Some(inner) = self.inner { product.add(inner)? } else { product };
                    self.function(0, sum)?.multiply(product)?
                } else {
                    self.product(2, self.function(0, sum)?.multiply(h)?)?
                };
                let new = self.function(1, new.add(n)?)?;
                Ok(vec![h.subtract(new)?.multiply(update)?.add(new)?])
            }
            (&[i, o, f, c], &[h, cell]) => {
                let new = self.function(1, self.product(3, h)?.add(c)?)?;
                let input = self.function(0, self.seen(0, self.product(0, h)?.add(i)?, cell)?)?;
                let forget = match self.coupled {
                    true => input.neg()?.add(1.0)?,
                    false => self.function(0, self.seen(2, self.product(2, h)?.add(f)?, cell)?)?,
                };
                let kept = forget.multiply(cell)?;
                let cell = input.multiply(new)?.add(kept)?;
                // As onnxruntime has it; by the text a clip might be for this as well.
                let shown = self.functions[2].of(cell)?;
                let output = self.function(0, self.seen(1, self.product(1, h)?.add(o)?, cell)?)?;
                Ok(vec![output.multiply(shown)?, cell])
            }
            _ => Err(crate::Error::argument("recurrent", format!("{} gates of {} states", x.len(), state.len()))),
        }
    }
}

/// The longest sequence that is written out.
const MOST_STEPS: usize = 4096;

fn layer<'g>(call: &mut Call<'_, '_, 'g>, kind: Kind) -> Result<Vec<Value<'g>>> {
    let (directions, backwards) = match call.node.text("direction")?.unwrap_or("forward") {
        "forward" => (1, false),
        "reverse" => (1, true),
        "bidirectional" => (2, false),
        other => return Err(call.node.wrong(format_args!("attribute `direction`: `{other}`"))),
    };
    let examples_first = call.node.flag("layout", false)?;
    let (x, shape) = (call.tensor(0)?, call.shape(2)?);
    let x = if examples_first && x.shape().len() == 3 { x.transpose(&[1, 0, 2])? } else { x };
    let (&[length, batch, inputs], &[.., hidden]) = (&x.shape()[..], &shape[..]) else {
        return Err(call.node.wrong(format_args!("an input {} with weights {shape} of the state", x.shape())));
    };
    if length > MOST_STEPS {
        let longer = format_args!("a sequence of {length} places; at most {MOST_STEPS} are written out");
        return Err(call.node.unsupported(longer));
    }
    if call.node.int("hidden_size")?.is_some_and(|said| usize::try_from(said) != Ok(hidden)) {
        return Err(call.node.wrong(format_args!("attribute `hidden_size`: expected {hidden}")));
    }
    let (gates, sizes) = (kind.gates(), Sizes { length, directions, batch, hidden });
    // A few for each product with the state.
    call.import.count(length.saturating_mul(4 * gates))?;
    let width = gates * hidden;
    let [weight, recurrence] = [(1, inputs), (2, hidden)].map(|(index, inner)| {
        let tensor = given(call, index, &[directions, width, inner])?;
        tensor.ok_or_else(|| call.node.wrong(format_args!("input {index} is missing")))
    });
    let bias = given(call, 3, &[directions, 2 * width])?;
    let resets_product = kind == Kind::Gru && call.node.flag("linear_before_reset", false)?;
    let [outer, inner] = biases(call, bias, sizes, width, resets_product)?;
    let x = from_outside(call, x, weight?, outer, sizes, gates)?;
    let peepholes = if kind == Kind::Lstm { given(call, 7, &[directions, 3 * hidden])? } else { None };
    let peepholes = match peepholes {
        Some(all) => all.split(1, &[hidden; 3])?,
        None => Vec::new(),
    };
    let cell = Cell {
        functions: functions(call, kind, directions)?,
        clip: call.node.has("clip").then(|| call.node.number("clip", 0.0)).transpose()?,
        recurrence: by_gates(recurrence?, sizes, gates)?,
        inner: inner.map(|row| for_all(row, sizes)).transpose()?,
        resets_product,
        peepholes: peepholes.into_iter().map(|row| for_all(row, sizes)).collect::<Result<_>>()?,
        coupled: kind == Kind::Lstm && call.node.flag("input_forget", false)?,
    };
    if let Some(clip) = cell.clip.filter(|&clip| clip < 0.0) {
        return Err(call.node.wrong(format_args!("attribute `clip`: {clip}")));
    }
    let masks = masks(call, sizes)?;
    let mut state = Vec::new();
    for index in [5, 6].into_iter().take(if kind == Kind::Lstm { 2 } else { 1 }) {
        let turned = [batch, directions, hidden];
        let start = match examples_first {
            true => given(call, index, &turned)?.map(|start| start.transpose(&[1, 0, 2])).transpose()?,
            false => given(call, index, &[directions, batch, hidden])?,
        };
        state.push(match start {
            Some(start) => start.reshape(sizes.state())?,
            None => call.graph().constant(0.0, sizes.state())?,
        });
    }
    // Where two directions meet, each place has the second one's counterpart from the other end.
    let places: Vec<usize> = if backwards { (0..length).rev().collect() } else { (0..length).collect() };
    let mut hiddens = vec![state[0]; length];
    for place in places {
        let next = cell.next(&x[place * gates..][..gates], &state)?;
        hiddens[place] = next[0];
        state = match masks.get(place) {
            None => next,
            Some(&mask) => {
                hiddens[place] = mask.select(next[0], 0.0)?;
                next.into_iter().zip(state).map(|(next, last)| mask.select(next, last)).collect::<Result<_>>()?
            }
        };
    }
    let mut y = call.graph().concat(&hiddens, 0)?.reshape([length, directions, batch, hidden])?;
    if directions == 2 {
        let halves = y.split(1, &[1, 1])?;
        y = call.graph().concat(&[halves[0], halves[1].flip(&[0])?], 1)?;
    }
    let y = if examples_first { y.transpose(&[2, 0, 1, 3])? } else { y };
    let last = state.into_iter().map(|last| {
        let last = last.reshape([directions, batch, hidden])?;
        if examples_first { last.transpose(&[1, 0, 2]) } else { Ok(last) }
    });
    std::iter::once(Ok(y)).chain(last).map(|output| output.map(Value::floats)).collect()
}

/// An input of this shape, if it is there.
fn given<'g>(call: &mut Call<'_, '_, 'g>, index: usize, expected: &[usize]) -> Result<Option<Tensor<'g>>> {
    let input = call.optional(index)?;
    match input.map(|input| input.shape()).filter(|shape| shape[..] != *expected) {
        Some(shape) => Err(call.node.wrong(format_args!("input {index}: expected {expected:?}, got {shape}"))),
        None => Ok(input),
    }
}

/// What is added to what comes from outside, and what to the product with the state alone, which is so where a GRU resets
/// that; each `[D, ...]`.
fn biases<'g>(
    call: &Call<'_, '_, 'g>,
    bias: Option<Tensor<'g>>,
    sizes: Sizes,
    width: usize,
    resets_product: bool,
) -> Result<[Option<Tensor<'g>>; 2]> {
    let Some(bias) = bias else { return Ok([None; 2]) };
    let Sizes { directions, hidden, .. } = sizes;
    let parts = match resets_product {
        true => bias.split(1, &[width, width - hidden, hidden])?,
        false => bias.split(1, &[width; 2])?,
    };
    match parts[..] {
        [outer, gates, inner] => {
            let none = call.graph().constant(0.0, [directions, hidden])?;
            Ok([Some(outer.add(call.graph().concat(&[gates, none], 1)?)?), Some(inner)])
        }
        _ => Ok([Some(parts[0].add(parts[1])?), None]),
    }
}

/// What each gate gets from outside at each place, place after place.
fn from_outside<'g>(
    call: &Call<'_, '_, 'g>,
    x: Tensor<'g>,
    weight: Tensor<'g>,
    bias: Option<Tensor<'g>>,
    sizes: Sizes,
    gates: usize,
) -> Result<Vec<Tensor<'g>>> {
    let Sizes { length, directions, batch, hidden } = sizes;
    let (rows, inputs, width) = (length * batch, x.shape()[2], gates * hidden);
    let sums = match directions {
        1 => x.reshape([rows, inputs])?.matmul_nt(weight.reshape([width, inputs])?)?,
        _ => call.graph().concat(&[x, x.flip(&[0])?], 0)?.reshape([2, rows, inputs])?.matmul_nt(weight)?,
    };
    let sums = match bias {
        Some(bias) => sums.add(bias.reshape(sizes.row(width))?)?,
        None => sums,
    };
    let sums = sums.reshape([directions, length, batch, gates, hidden])?.transpose(&[1, 3, 0, 2, 4])?;
    sizes.split(sums.reshape(sizes.rows(length * gates, hidden))?, length * gates)
}

/// The matrix of each gate.
fn by_gates<'g>(matrices: Tensor<'g>, sizes: Sizes, gates: usize) -> Result<Vec<Tensor<'g>>> {
    let Sizes { directions, hidden, .. } = sizes;
    match (directions, gates) {
        (1, 1) => Ok(vec![matrices.reshape([hidden, hidden])?]),
        (1, _) => matrices.reshape([gates * hidden, hidden])?.split(0, &vec![hidden; gates]),
        // A product with what is turned over already can do more at once.
        (_, 1) => Ok(vec![matrices.transpose(&[0, 2, 1])?]),
        _ => matrices.transpose(&[0, 2, 1])?.split(2, &vec![hidden; gates]),
    }
}

/// A row for each direction, `[D, H]`, for each example of a state.
fn for_all<'g>(row: Tensor<'g>, sizes: Sizes) -> Result<Tensor<'g>> {
    row.reshape(sizes.row(sizes.hidden))?.expand(sizes.state())
}

/// For each place where an example's sequence goes on, where not all of them are as long as the longest.
fn masks<'g>(call: &mut Call<'_, '_, 'g>, sizes: Sizes) -> Result<Vec<Tensor<'g>>> {
    let Sizes { length, directions, batch, hidden } = sizes;
    let lengths = if call.has(4) { call.ints(4)? } else { Vec::new() };
    if !lengths.is_empty() && lengths.len() != batch {
        return Err(call.node.wrong(format_args!("input 4: expected {batch} lengths, got {}", lengths.len())));
    }
    if let Some(wrong) = lengths.iter().find(|&&own| !(1..=length as i64).contains(&own)) {
        return Err(call.node.unsupported(format_args!("a sequence of {wrong} places among {length}")));
    }
    if lengths.iter().all(|&own| own == length as i64) {
        return Ok(Vec::new());
    }
    let count = length.saturating_mul(directions * batch);
    if count > MOST_CELLS {
        return Err(call.node.unsupported(format_args!("lengths of more than {MOST_CELLS} places")));
    }
    let mut there = Vec::with_capacity(count);
    for place in 0..length {
        for direction in 0..directions {
            let place = if direction == 1 { length - 1 - place } else { place };
            there.extend(lengths.iter().map(|&own| f32::from((place as i64) < own)));
        }
    }
    let there = numbers(call, &sizes.rows(length, 1), there)?.expand(sizes.rows(length, hidden))?;
    sizes.split(there, length)
}
