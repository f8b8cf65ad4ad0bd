//! What an operation is given to turn itself into dispatches.

use std::sync::Arc;

use super::constants::Constants;
use super::format::Format;
use super::kernel::{Access, Dispatch, FlatOperand, Kernel, Operand, Params, fold_grid};
use super::{Choice, Location, Moments, PlanOptions};
use crate::error::{Error, Result};
use crate::gpu::{Capabilities, DeviceClass};
use crate::graph::chain::Chain;
use crate::graph::{Op, TensorType};

/// Texels in a row of every texture; the shaders have the same number. A power of two, small enough that little is wasted
/// on a last row, and large enough that WebGPU's default of 8,192 rows hold 256 MiB.
pub(crate) const TEXTURE_WIDTH: usize = 2048;

/// A kernel variant that an operation could use, and whether it may here.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The variant's name.
    pub name: &'static str,
    /// Why it is refused, or `None`.
    pub refusal: Option<String>,
}

impl Candidate {
    /// Legal when `refusal` is `None`.
    pub(crate) fn unless(name: &'static str, refusal: Option<String>) -> Self {
        Self { name, refusal }
    }
}

/// Collects the dispatches of one node.
#[derive(Debug)]
pub(crate) struct Lowering<'a> {
    pub(crate) title: String,
    pub(super) op: Arc<dyn Op>,
    /// The operation's inputs, then the operands of its epilogue.
    pub(crate) inputs: Vec<TensorType>,
    pub(crate) outputs: Vec<TensorType>,
    /// Which outputs the step fetches or another node reads.
    pub(super) needed: Vec<bool>,
    /// What is computed of the first output before it is stored: only for operations that ask for it.
    pub(crate) epilogue: Chain,
    /// Whether a later node takes the statistics of the one output.
    pub(crate) observed: bool,
    /// Those that a kernel leaves of the output; of a node that takes them, those that are there of its input.
    pub(crate) moments: Option<Moments>,
    /// How each input lies in memory.
    pub(super) formats: Vec<Format>,
    /// How the dispatches read each input and write each output.
    pub(super) reads: Vec<Format>,
    pub(super) writes: Vec<Format>,
    /// How the filter lies where what is lowered is a part of the node: the plan converts no parts.
    pub(crate) partial: Option<Format>,
    /// Whether the node's filter stays as it is, so that it is packed once for many steps.
    pub(crate) keeps_filter: bool,
    /// Bytes that such filters may still take when packed, beside the variables themselves.
    pub(crate) room_for_filters: u64,
    /// Where each input lives, when that is fixed before memory is planned.
    pub(crate) residences: Vec<Option<Location>>,
    pub(crate) capabilities: &'a Capabilities,
    pub(crate) options: &'a PlanOptions,
    pub(crate) dispatches: Vec<Dispatch>,
    /// Bytes of each scratch.
    pub(crate) scratch: Vec<u64>,
    pub(crate) choices: Vec<Choice>,
    pub(super) constants: Constants,
}

impl Lowering<'_> {
    /// The device's kind, for ranking variants.
    pub(crate) fn class(&self) -> DeviceClass {
        self.capabilities.class
    }

    /// The first of two on a CPU, the second on a GPU.
    pub(crate) fn by_class<T>(&self, [cpu, gpu]: [T; 2]) -> T {
        match self.class() {
            DeviceClass::Cpu => cpu,
            DeviceClass::Gpu => gpu,
        }
    }

    /// The legal candidate that was the fastest on this problem, where the plan is tuned, else the first one: the caller
    /// lists them best first. The options may prefer or exclude variants by name.
    pub(crate) fn choose(&mut self, kernel: &str, candidates: Vec<Candidate>) -> Result<&'static str> {
        let excluded = |name: &str| self.options.excludes(kernel, name).then(|| "excluded".to_string());
        let candidates: Vec<Candidate> = candidates
            .into_iter()
            .map(|c| Candidate { refusal: c.refusal.or_else(|| excluded(c.name)), ..c })
            .collect();
        let legal: Vec<&'static str> = candidates.iter().filter(|c| c.refusal.is_none()).map(|c| c.name).collect();
        let preferred = legal.iter().find(|name| self.options.prefers(name));
        // What the caller prefers is not for the clock to decide.
        let open = legal.len() > 1 && preferred.is_none();
        let tuning = self.options.tuning.as_ref().filter(|_| open);
        let problem = tuning.map(|_| self.problem(kernel, &legal));
        let fastest = tuning.zip(problem.as_ref()).and_then(|(tuning, problem)| tuning.fastest(problem));
        let fastest = fastest.and_then(|fastest| legal.iter().find(|name| **name == fastest));
        let Some(&chosen) = preferred.or(fastest).or(legal.first()) else {
            let reasons: Vec<String> =
                candidates.iter().map(|c| format!("{}: {}", c.name, c.refusal.as_deref().unwrap_or("legal"))).collect();
            return Err(Error::NoKernel { op: format!("{} ({kernel})", self.title), reason: reasons.join("; ") });
        };
        let (node, kernel) = (self.title.clone(), kernel.to_string());
        self.choices.push(Choice { node, kernel, chosen, candidates, problem });
        Ok(chosen)
    }

    /// All that a choice depends on, as text: nodes of one problem have the same candidates and take the same time.
    fn problem(&self, kernel: &str, candidates: &[&str]) -> String {
        let list = |types: &[TensorType], formats: &[Format]| {
            let one = |(ty, format): (&TensorType, &Format)| match format {
                Format::Planar => ty.to_string(),
                _ => format!("{ty} {format:?}"),
            };
            types.iter().zip(formats).map(one).collect::<Vec<_>>().join(", ")
        };
        let inputs = list(&self.inputs, &self.formats);
        let outputs = list(&self.outputs, &vec![Format::Planar; self.outputs.len()]);
        let mut text = format!("{kernel} of {}: {:?} ({inputs}) -> ({outputs})", candidates.join(", "), self.op);
        if !self.epilogue.is_empty() {
            text += &format!(" then {:?}", self.epilogue);
        }
        if self.observed {
            text += "; its statistics are wanted";
        }
        // What packs the filter is then no part of a step.
        if self.keeps_filter {
            text += "; the filter is kept";
        }
        // What the node chose before, such as the kernel whose operands are now in question.
        self.choices.iter().for_each(|choice| text += &format!("; {}[{}]", choice.kernel, choice.chosen));
        text
    }

    /// The format of an operation that works in either: that of its input number `leading`, unless the options say
    /// otherwise. Its image inputs are then read and its image outputs written so.
    pub(crate) fn follow(&mut self, kernel: &str, leading: usize) -> Result<Format> {
        let ty = self.inputs[leading].clone();
        self.lay_out(kernel, &ty, self.formats[leading])
    }

    /// The format of an operation that makes an image out of what is none: that which convolutions of this device prefer.
    pub(crate) fn originate(&mut self, kernel: &str) -> Result<Format> {
        let format = match self.class() {
            DeviceClass::Cpu if self.capabilities.subgroup().is_some() => Format::ChannelsLast,
            _ => Format::Planar,
        };
        let ty = self.outputs[0].clone();
        self.lay_out(kernel, &ty, format)
    }

    fn lay_out(&mut self, kernel: &str, ty: &TensorType, preferred: Format) -> Result<Format> {
        let last = "channels_last";
        let mut candidates = vec![Candidate::unless("planar", None), Candidate::unless(last, Format::refusal(ty))];
        if preferred == Format::ChannelsLast {
            candidates.reverse();
        }
        if Format::ChannelsLast.coincides(Format::Planar, ty) || self.choose(kernel, candidates)? != last {
            return Ok(Format::Planar);
        }
        let images = |types: &[TensorType]| -> Vec<Format> {
            let format = |ty: &TensorType| if ty.shape.len() == 4 { Format::ChannelsLast } else { Format::Planar };
            types.iter().map(format).collect()
        };
        (self.reads, self.writes) = (images(&self.inputs), images(&self.outputs));
        Ok(Format::ChannelsLast)
    }

    /// How an input lies in memory.
    pub(crate) fn format(&self, input: usize) -> Format {
        self.formats[input]
    }

    /// Reads an input in this format.
    pub(crate) fn read_in(&mut self, operand: Operand, format: Format) {
        if let Operand::Input(number) | Operand::InputTexture(number) = operand {
            self.reads[number] = format;
        }
    }

    /// Writes the outputs in this format.
    pub(crate) fn write_in(&mut self, format: Format) {
        self.writes.fill(format);
    }

    /// How the inputs are read so far, and the outputs written.
    pub(crate) fn reads(&self) -> &[Format] {
        &self.reads
    }

    pub(crate) fn writes(&self) -> &[Format] {
        &self.writes
    }

    /// Temporary memory for `elements` words; returns its number.
    pub(crate) fn scratch(&mut self, elements: usize) -> usize {
        self.scratch.push(elements as u64 * 4);
        self.scratch.len() - 1
    }

    /// A table that is written to the device once; nodes with equal ones share it.
    pub(crate) fn table(&mut self, values: Vec<f32>) -> Operand {
        Operand::Flat(FlatOperand { location: self.constants.table(values), access: Access::Read })
    }

    /// Whether anybody reads this output; one that nobody does need not be written.
    pub(crate) fn needs(&self, output: usize) -> bool {
        self.needed[output]
    }

    /// Number of the operation's own inputs.
    pub(crate) fn own_inputs(&self) -> usize {
        self.inputs.len() - self.epilogue.operands.len()
    }

    /// The epilogue's operands.
    pub(crate) fn epilogue_operands(&self) -> Vec<Operand> {
        (self.own_inputs()..self.inputs.len()).map(Operand::Input).collect()
    }

    /// Whether a kernel whose operands have up to so many words reads as many of them as it can through textures.
    pub(crate) fn choose_textures(&mut self, kernel: &str, words: usize) -> Result<bool> {
        let refusal = self.texture_refusal(1, words.div_ceil(4));
        let mut candidates = vec![Candidate::unless("textures", refusal), Candidate::unless("buffers", None)];
        if !self.options.prefers_textures(words) {
            candidates.reverse();
        }
        Ok(self.choose(&format!("{kernel}.read"), candidates)? == "textures")
    }

    /// Why a kernel cannot read `count` operands of up to so many texels through textures.
    pub(crate) fn texture_refusal(&self, count: u32, texels: usize) -> Option<String> {
        texture_refusal(self.capabilities, count, texels)
    }

    /// Why a variant cannot have operands in half precision.
    pub(crate) fn half_refusal(&self, variant: &str) -> Option<String> {
        if self.partial.is_some() {
            return Some("the operands are parts of tensors".into());
        }
        if !self.options.half && !self.options.prefers(variant) {
            return Some("half precision is not asked for".into());
        }
        // Mesa's software adapter has it only with f16 arithmetic.
        let widens = self.capabilities.downlevel.contains(wgpu::DownlevelFlags::SHADER_F16_IN_F32);
        (!widens).then(|| "the adapter cannot widen f16 to f32".into())
    }

    /// Lets the operands be read through textures, as many of them as the device allows beside so many others; says which.
    pub(crate) fn through_textures<'o>(
        &self,
        operands: impl IntoIterator<Item = &'o mut Operand>,
        others: u32,
    ) -> Vec<bool> {
        let most = self.capabilities.limits.max_storage_textures_per_shader_stage;
        let mut left = most.saturating_sub(others);
        let through = |operand: &mut Operand| {
            let textured = operand.textured();
            let can = textured != *operand && left > 0;
            if can {
                left -= 1;
                *operand = textured;
            }
            can
        };
        operands.into_iter().map(through).collect()
    }

    /// Adds a dispatch of `workgroups` workgroups, folded over the three dimensions.
    pub(crate) fn dispatch(
        &mut self,
        kernel: Kernel,
        params: &impl Params,
        operands: &[Operand],
        workgroups: usize,
    ) -> Result<()> {
        let limit = self.capabilities.limits.max_compute_workgroups_per_dimension;
        let workgroups = fold_grid(&self.title, workgroups as u64, limit)?;
        self.dispatches.push(Dispatch {
            kernel,
            operands: operands.to_vec(),
            spans: Vec::new(),
            params: params.words(),
            workgroups,
            over: Vec::new(),
        });
        Ok(())
    }

    /// Adds a dispatch of at least `invocations` invocations in one-dimensional workgroups of the shader's `WORKGROUP`.
    pub(crate) fn dispatch_flat(
        &mut self,
        kernel: Kernel,
        params: &impl Params,
        operands: &[Operand],
        invocations: usize,
    ) -> Result<()> {
        let size = self.workgroup_size();
        let kernel = kernel.constant("WORKGROUP", size as f64);
        self.dispatch(kernel, params, operands, invocations.div_ceil(size))
    }

    /// Invocations of a one-dimensional workgroup: a full wave on every GPU, a few vectors on a CPU.
    pub(crate) fn workgroup_size(&self) -> usize {
        64
    }
}

/// Why a kernel cannot read `count` operands of up to so many texels through textures.
pub(super) fn texture_refusal(capabilities: &Capabilities, count: u32, texels: usize) -> Option<String> {
    let limits = &capabilities.limits;
    let (most, side) = (limits.max_storage_textures_per_shader_stage, limits.max_texture_dimension_2d as usize);
    if capabilities.class != DeviceClass::Cpu {
        return Some("only for software adapters".into());
    }
    if count > most {
        return Some(format!("it needs {count} storage textures, the device allows {most}"));
    }
    (TEXTURE_WIDTH > side || texels > side * TEXTURE_WIDTH)
        .then(|| format!("{texels} texels do not fit into a texture whose sides are at most {side}"))
}

/// A size as a shader's u32.
pub(crate) fn word(op: &str, size: usize) -> Result<u32> {
    u32::try_from(size).map_err(|_| Error::argument(op, format!("{size} does not fit in 32 bits")))
}
