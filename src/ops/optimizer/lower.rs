//! An optimizer's dispatches: the gradients' norm where it is wanted, the step's numbers, and the updates.

use super::{GRADIENTS, Optimizer, Rule, Update};
use crate::error::{Error, Result};
use crate::ops::{MAX_ITERATIONS, chain};
use crate::plan::{Access, FlatOperand, Kernel, Location, Lowering, Operand, Shader, params, runs, shader, word};

params! {
    UpdateParams {
        count: u32, mean: f32, clip_value: f32, weight_decay: f32, second_complement: f32, epsilon: f32,
    }
}
params! {
    PrepareParams {
        count: u32, first: u32, lanes: u32, every: u32, mean: f32, clip_value: f32, max_norm: f32, momentum: f32,
        damping: f32, second_complement: f32, average_complement: f32,
    }
}
pub(crate) static SHADER: Shader = shader!("optimizer", UpdateParams, ["grid", "texture", "read", "nan", "update"]);
pub(crate) static PREPARE: Shader =
    shader!("optimizer_prepare", PrepareParams, ["grid", "texture", "read", "nan", "update", "tree"]);

/// Words of the shaders' `Update`.
const UPDATE_WORDS: usize = 8;
/// Elements that one entry of the table of valid elements tells of: every parameter begins at a multiple of it.
const BLOCK: usize = 64;

/// Bytes that are copied into a texture at a time: the next ones then use the same texture.
const COPIED: u64 = 8 << 20;
/// Pieces of a parameter begin at a multiple of so many bytes: where a binding may, and a block.
const PIECE: u64 = 256;

/// Parameters that lie together in the flat buffers, or a piece of a single one.
struct Run {
    /// Their numbers, in the order of their places.
    members: Vec<usize>,
    /// The first one's place, and the bytes of all.
    location: Location,
    /// Whether weights decay.
    decays: bool,
}

impl Run {
    fn words(&self) -> usize {
        self.location.bytes as usize / 4
    }

    /// The same bytes of a part of the update's operands: its buffer is laid out like the parameters.
    fn operand(&self, update: &Update, cx: &Lowering<'_>, part: usize, access: Access) -> Result<Operand> {
        let location = match part {
            GRADIENTS => gradient_of(self.location)?,
            _ => Location { buffer: fixed(cx, update.input(part, self.members[0]))?.buffer, ..self.location },
        };
        Ok(Operand::Flat(FlatOperand { location, access }))
    }

    /// The run in pieces of so many bytes at most.
    fn pieces(&self, limit: u64) -> Vec<Self> {
        let (location, each) = (self.location, (limit / PIECE).max(1) * PIECE);
        let piece = |number: u64| {
            let begin = number * each;
            let bytes = each.min(location.bytes - begin);
            let location = Location { offset: location.offset + begin, bytes, ..location };
            Self { members: self.members.clone(), location, decays: self.decays }
        };
        (0..location.bytes.div_ceil(each)).map(piece).collect()
    }
}

fn fixed(cx: &Lowering<'_>, input: usize) -> Result<Location> {
    cx.residences[input].ok_or_else(|| Error::Graph("an optimizer's operand has no fixed place".into()))
}

fn gradient_of(parameter: Location) -> Result<Location> {
    parameter.gradient().ok_or_else(|| Error::Graph("only a parameter has an optimizer".into()))
}

/// Adds all dispatches.
pub(super) fn lower(update: &Update, cx: &mut Lowering<'_>) -> Result<()> {
    if update.count == 0 {
        return Ok(());
    }
    let locations = (0..update.count).map(|i| fixed(cx, update.input(0, i))).collect::<Result<Vec<Location>>>()?;
    place_gradients(update, cx, &locations)?;
    let runs = all_runs(update, cx, &locations);
    let prepared = cx.scratch(UPDATE_WORDS);
    let sums = match update.optimizer.needs_norm() {
        true => Some(squares(update, cx, &runs, &locations)?),
        false => None,
    };
    prepare(update, cx, prepared, sums)?;
    for run in runs {
        let textured = textured(update, cx, run.words())?;
        let pieces = if textured { run.pieces(COPIED) } else { vec![run] };
        pieces.iter().try_for_each(|piece| step(update, cx, piece, prepared, textured))?;
    }
    Ok(())
}

/// Whether what is updated is read through copies in textures.
fn textured(update: &Update, cx: &mut Lowering<'_>, words: usize) -> Result<bool> {
    let operands = 1 + update.optimizer.updated().len() as u32;
    let piece = words.min(COPIED as usize / 4);
    Ok(cx.texture_refusal(operands, piece.div_ceil(4)).is_none()
        && cx.choose_textures(update.optimizer.name(), words)?)
}

/// Gradients lie as their parameters do. What is not computed into its place is copied there.
fn place_gradients(update: &Update, cx: &mut Lowering<'_>, parameters: &[Location]) -> Result<()> {
    for (index, &parameter) in parameters.iter().enumerate() {
        let (place, gradient) = (gradient_of(parameter)?, update.input(GRADIENTS, index));
        if cx.residences[gradient] != Some(place) {
            let format = cx.format(update.input(0, index));
            cx.read_in(Operand::Input(gradient), format);
            let to = Operand::Flat(FlatOperand { location: place, access: Access::Write });
            chain::copy(cx, Operand::Input(gradient), to, cx.inputs[gradient].elements())?;
        }
    }
    Ok(())
}

/// The parameters' runs: those that decay, then those that do not, which lie apart.
fn all_runs(update: &Update, cx: &Lowering<'_>, parameters: &[Location]) -> Vec<Run> {
    let limit = cx.capabilities.limits.max_storage_buffer_binding_size;
    let axes = |index: usize| cx.inputs[update.input(0, index)].shape.len();
    let decays = |index: usize| update.optimizer.bias_decay || axes(index) > 1;
    let mut all = Vec::new();
    for kind in [true, false] {
        let chosen: Vec<usize> = (0..update.count).filter(|&index| decays(index) == kind).collect();
        let places: Vec<Location> = chosen.iter().map(|&index| parameters[index]).collect();
        for run in runs(&places, limit) {
            let (first, last) = (places[run[0]], places[run[run.len() - 1]]);
            let location = Location { bytes: last.offset + last.bytes - first.offset, ..first };
            let members = run.into_iter().map(|index| chosen[index]).collect();
            // A single parameter may be larger than a kernel can bind.
            all.extend(Run { members, location, decays: kind }.pieces(limit));
        }
    }
    all
}

/// Sums the squares of all gradients to some partial sums; the scratch and their number.
fn squares(update: &Update, cx: &mut Lowering<'_>, runs: &[Run], parameters: &[Location]) -> Result<(usize, usize)> {
    // As many as keep the device busy, and more where one would run too long.
    let most = cx.by_class([1 << 8, 1 << 14]);
    let lanes = |run: &Run| {
        let fours = run.words().div_ceil(4);
        fours.div_ceil(4).min(most).max(fours.div_ceil(MAX_ITERATIONS))
    };
    let total: usize = runs.iter().map(lanes).sum();
    let partial = cx.scratch(total);
    let gathered = update.part("gradient_sum");
    let mut first = 0;
    for run in runs {
        let (words, lanes) = (run.words(), lanes(run));
        let fours = words.div_ceil(4);
        let operands = 2 + u32::from(gathered.is_some());
        let textured = cx.texture_refusal(operands, fours).is_none() && cx.choose_textures("gradient_norm", words)?;
        let access = if textured { Access::Texture } else { Access::Read };
        // How many elements of each block count: padding between parameters may hold anything.
        let members = run.members.iter().map(|&member| parameters[member].bytes.min(run.location.bytes) as usize / 4);
        let valid: Vec<f32> = members
            .flat_map(|count| (0..count.div_ceil(BLOCK)).map(move |block| (count - block * BLOCK).min(BLOCK) as f32))
            .collect();
        let valid = cx.table(valid);
        let mut operands = vec![
            run.operand(update, cx, GRADIENTS, access)?,
            if textured { valid.textured() } else { valid },
            Operand::ScratchWrite(partial),
        ];
        if let Some(part) = gathered {
            operands.push(run.operand(update, cx, part, access)?);
        }
        let params = PrepareParams {
            count: word(update.optimizer.name(), fours)?,
            first: word(update.optimizer.name(), first)?,
            lanes: word(update.optimizer.name(), lanes)?,
            ..prepare_params(&update.optimizer)
        };
        let kernel = Kernel::new(&PREPARE, "squares")
            .flag("CLIP", update.optimizer.clip_value.is_some())
            .template("entry", "squares")
            .template("gathered", u8::from(gathered.is_some()))
            .template("texture", u8::from(textured));
        cx.dispatch_flat(kernel, &params, &operands, lanes)?;
        first += lanes;
    }
    Ok((partial, total))
}

fn prepare_params(optimizer: &Optimizer) -> PrepareParams {
    let dampening = match optimizer.rule {
        Rule::Sgd { dampening, .. } => dampening,
        _ => 0.0,
    };
    PrepareParams {
        every: optimizer.every,
        mean: mean(optimizer),
        clip_value: optimizer.clip_value.unwrap_or_default(),
        max_norm: optimizer.clip_norm.unwrap_or(-1.0),
        momentum: optimizer.first_momentum().unwrap_or_default(),
        damping: 1.0 - dampening,
        second_complement: second_complement(optimizer),
        average_complement: optimizer.ema.map_or(0.0, complement),
        ..PrepareParams::default()
    }
}

/// 1 - beta, rounded once.
fn complement(beta: f32) -> f32 {
    (1.0 - f64::from(beta)) as f32
}

fn second_complement(optimizer: &Optimizer) -> f32 {
    match optimizer.rule {
        Rule::Adam { betas, .. } | Rule::Lion { betas } => complement(betas[1]),
        Rule::RmsProp { alpha, .. } => complement(alpha),
        Rule::Sgd { .. } | Rule::Adagrad { .. } => 0.0,
    }
}

fn mean(optimizer: &Optimizer) -> f32 {
    (1.0 / f64::from(optimizer.every)) as f32
}

/// Computes what the step's numbers are, from so many partial sums, if there are any.
fn prepare(update: &Update, cx: &mut Lowering<'_>, prepared: usize, sums: Option<(usize, usize)>) -> Result<()> {
    let optimizer = &update.optimizer;
    let momentum = optimizer.first_momentum().is_some();
    let count = word(optimizer.name(), sums.map_or(0, |(_, count)| count))?;
    let mut operands = vec![Operand::Input(0), Operand::Input(1), Operand::ScratchWrite(prepared)];
    operands.extend(momentum.then_some(Operand::Input(2)));
    operands.extend(sums.map(|(partial, _)| Operand::ScratchRead(partial)));
    let kernel = Kernel::new(&PREPARE, "prepare")
        .constant("WORKGROUP", cx.workgroup_size() as f64)
        .flag("SKIP_NONFINITE", optimizer.skip_nonfinite)
        .flag("WARMUP", optimizer.ema_warmup)
        .template("entry", "prepare")
        .template("momentum", u8::from(momentum))
        .template("norm", u8::from(sums.is_some()));
    cx.dispatch(kernel, &PrepareParams { count, ..prepare_params(optimizer) }, &operands, 1)
}

/// Updates the parameters of a run.
fn step(update: &Update, cx: &mut Lowering<'_>, run: &Run, prepared: usize, textured: bool) -> Result<()> {
    let (optimizer, words) = (&update.optimizer, run.words());
    let names = optimizer.updated();
    let read = if textured { Access::Texture } else { Access::Read };
    let mut operands = vec![Operand::ScratchRead(prepared), run.operand(update, cx, GRADIENTS, read)?];
    for access in [Access::Write, Access::Texture].into_iter().take(if textured { 2 } else { 1 }) {
        for part in update.updated_parts() {
            operands.push(run.operand(update, cx, part, access)?);
        }
    }
    let (rule, epsilon) = match optimizer.rule {
        Rule::Sgd { .. } => ("sgd", 0.0),
        Rule::Adam { epsilon, .. } => ("adam", epsilon),
        Rule::RmsProp { epsilon, .. } => ("rmsprop", epsilon),
        Rule::Adagrad { epsilon } => ("adagrad", epsilon),
        Rule::Lion { .. } => ("lion", 0.0),
    };
    let decoupled = matches!(optimizer.rule, Rule::Adam { decoupled: true, .. } | Rule::Lion { .. });
    let params = UpdateParams {
        count: word(optimizer.name(), words)?,
        mean: mean(optimizer),
        clip_value: optimizer.clip_value.unwrap_or_default(),
        weight_decay: if run.decays { optimizer.weight_decay } else { 0.0 },
        second_complement: second_complement(optimizer),
        epsilon,
    };
    // What a workgroup updates lies together, for the caches; and see the shader on EACH.
    let [workgroup, each] = cx.by_class([[8, 16], [cx.workgroup_size(), 1]]);
    let kernel = Kernel::new(&SHADER, rule)
        .constant("WORKGROUP", workgroup as f64)
        .constant("EACH", each as f64)
        .flag("CLIP", optimizer.clip_value.is_some())
        .flag("DECOUPLED", decoupled)
        .flag("NESTEROV", matches!(optimizer.rule, Rule::Sgd { nesterov: true, .. }))
        .template("rule", rule)
        .template("texture", u8::from(textured))
        .value("updated", names.into());
    cx.dispatch(kernel, &params, &operands, words.div_ceil(4 * workgroup * each))
}
