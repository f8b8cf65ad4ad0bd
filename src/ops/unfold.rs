//! Windows along one axis side by side, and back again: what makes a convolution along three axes one along two.
//!
//! y[n, p, c, t, i] = x[n, c, p·stride + t·dilation - pad, i] for x `[outer, channels, length, inner]` and y `[outer,
//! positions, channels, taps, inner]`; its gradient adds up what was made of each element. With one tap it exchanges two
//! axes, with a dilation of 0 it repeats one.

use super::MAX_ITERATIONS;
use super::batch_norm::BatchNorm;
use super::chain::{element_textures, finish, with_bias};
use crate::error::{Error, Result};
use crate::graph::chain::{Chain, Extent};
use crate::graph::{Evaluation, GradientContext, Op, Shape, Tensor, TensorType};
use crate::plan::{Candidate, Format, Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::Checked;
pub(super) use crate::reference::unfold::{self as reference, Geometry};
use crate::selftest::OpCase;

const NAME: &str = "unfold";

params! {
    /// In units of what an invocation moves.
    UnfoldParams {
        count: u32, channels: u32, length: u32, inner: u32, positions: u32, taps: u32, stride: u32, dilation: u32,
        pad: u32,
    }
}
pub(crate) static SHADER: Shader = shader!("unfold", UnfoldParams, ["grid", "divide", "texture", "read"], chain);

/// What a plain axis of one tap makes: axis and channels exchanged.
pub(super) fn exchange(outer: usize, channels: usize, length: usize, inner: usize) -> Geometry {
    let positions = length;
    Geometry { outer, channels, length, inner, positions, taps: 1, stride: 1, dilation: 1, pad: 0 }
}

/// An axis of length 1, repeated.
pub(super) fn repeat(outer: usize, times: usize, inner: usize) -> Geometry {
    let one = exchange(outer, 1, 1, inner);
    Geometry { taps: times, dilation: 0, ..one }
}

impl<'g> Tensor<'g> {
    /// The windows of a tensor that has as many elements as `geometry` says, as a tensor of this shape.
    pub(super) fn unfold_windows(self, layer: &str, geometry: Geometry, shape: impl Into<Shape>) -> Result<Self> {
        self.window(layer, geometry, false, shape.into())
    }

    /// Windows back at their places, added where they overlap.
    pub(crate) fn fold_windows(self, layer: &str, geometry: Geometry, shape: impl Into<Shape>) -> Result<Self> {
        self.window(layer, geometry, true, shape.into())
    }

    fn window(self, layer: &str, geometry: Geometry, back: bool, shape: Shape) -> Result<Self> {
        let Geometry { channels, length, positions, taps, .. } = geometry;
        // Exchanged axes of which one has a length of 1 stay where they are.
        if taps == 1 && length == positions && geometry.pad == 0 && (channels == 1 || length == 1) {
            return self.reshape(shape);
        }
        self.graph().apply_one(Window { geometry, back, output: TensorType::f32(shape) }, layer, &[self])
    }
}

/// x -> y, or dy -> dx
#[derive(Debug)]
struct Window {
    geometry: Geometry,
    back: bool,
    output: TensorType,
}

impl Op for Window {
    fn name(&self) -> &'static str {
        if self.back { "fold" } else { NAME }
    }

    fn attributes(&self) -> String {
        let Geometry { taps, stride, dilation, pad, .. } = self.geometry;
        format!("taps {taps}, stride {stride}, dilation {dilation}, padding {pad}")
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        let taps = self.geometry.taps;
        if taps > MAX_ITERATIONS {
            let message = format!("{taps} taps of a window are more than {MAX_ITERATIONS}");
            return Err(Error::argument(self.name(), message));
        }
        Ok(vec![self.output.clone()])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        Ok(vec![Some(dy.window(cx.layer(), self.geometry, !self.back, cx.input(0).shape())?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        // What is moved keeps its errors, and of a sum they add up.
        let of = if self.back { reference::grad_input } else { reference::forward };
        let (x, moved) = (cx.checked(0), of(&self.geometry, cx.inputs[0]));
        let magnitude = of(&self.geometry, &x.magnitude).values;
        vec![Checked { magnitude, terms: x.terms * moved.terms, ..moved }]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        /// Where the shader's divisions end.
        const MOST: usize = 1 << 30;
        let Geometry { outer, channels, length, inner, positions, taps, stride, dilation, pad } = self.geometry;
        let elements = self.output.elements().max(cx.inputs[0].elements());
        let reach = (taps - 1).saturating_mul(dilation);
        let largest = elements.max(length.saturating_add(pad)).max(reach).max(stride);
        if largest >= MOST {
            let message = format!("a tensor or window of {largest} elements is too large");
            return Err(Error::argument(self.name(), message));
        }
        // What has a value for each index of axis 1 comes after, where the channels are another axis.
        let shape = &self.output.shape;
        let channel = cx.epilogue.operands.contains(&Extent::Channel);
        let apart = channel && shape.get(..2) != Some(&[outer, channels]);
        let epilogue = if apart { std::mem::take(&mut cx.epilogue) } else { Chain::default() };
        let (chain, mut values) = with_bias(cx, &[], Format::Planar);
        let entry = self.name();
        let refusal = (!inner.is_multiple_of(4)).then(|| "only where rows are whole fours".to_string());
        let candidates = vec![Candidate::unless("fours", refusal), Candidate::unless("elements", None)];
        let form = cx.choose(entry, candidates)?;
        let textured = cx.choose_textures(entry, elements)?;
        let source = if textured { Operand::Input(0).textured() } else { Operand::Input(0) };
        let textures = if textured { element_textures(cx, &chain, &mut values, 1) } else { vec![false; values.len()] };
        let width = if form == "fours" { 4 } else { 1 };
        let count = self.output.elements() / width;
        let params = UnfoldParams {
            count: word(NAME, count)?,
            channels: word(NAME, channels)?,
            length: word(NAME, length)?,
            inner: word(NAME, inner / width)?,
            positions: word(NAME, positions)?,
            taps: word(NAME, taps)?,
            stride: word(NAME, stride)?,
            dilation: word(NAME, dilation)?,
            pad: word(NAME, pad)?,
        };
        let kernel = Kernel::new(&SHADER, entry)
            .variant(form)
            .template("entry", entry)
            .template("form", form)
            .template("texture", u8::from(textured))
            .chain(&chain, &textures);
        let operands = [&[source, Operand::Output(0)][..], &values].concat();
        cx.dispatch_flat(kernel, &params, &operands, count)?;
        if apart {
            cx.epilogue = epilogue;
            return finish(cx, &[], Format::Planar);
        }
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        self.back
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        let Geometry { outer, channels, length, inner, positions, taps, stride, dilation, pad } = self.geometry;
        let plain = taps == 1 && stride == 1 && pad == 0 && length == positions;
        cx.keeps_examples(false)?;
        let exchanged = [("perm", (&[0, 2, 1, 3][..]).into())];
        match (plain, self.back) {
            (true, false) => {
                let x = cx.input_as(0, &[outer, channels, length, inner])?;
                cx.finish_as(&[outer, length, channels, inner], "Transpose", &[&x], &exchanged)
            }
            (true, true) => {
                let y = cx.input_as(0, &[outer, length, channels, inner])?;
                cx.finish_as(&[outer, channels, length, inner], "Transpose", &[&y], &exchanged)
            }
            (false, true) if dilation == 0 => Err(cx.refused("a sum of what was repeated")),
            (false, true) => {
                // A transposed convolution whose taps are each one of the windows' elements.
                let y = cx.input_as(0, &[outer, positions, channels, taps, inner])?;
                let order = [("perm", (&[0, 2, 3, 1, 4][..]).into())];
                let y = cx.between("Transpose", &[&y], &order);
                let shape = [outer, channels * taps, positions, inner];
                let target = cx.integers(shape.into_iter().map(|extent| extent as i64))?;
                let y = cx.between("Reshape", &[&y, &target], &[]);
                let one = |index: usize| f32::from(u8::from(index / taps % taps == index % taps));
                let weight = (0..channels * taps * taps).map(one).collect();
                let weight = cx.floats(&[channels * taps, 1, taps, 1], weight)?;
                let whole = (positions - 1) * stride + (taps - 1) * dilation + 1;
                let (behind, more) = (whole.saturating_sub(pad + length), (pad + length).saturating_sub(whole));
                if more >= stride.max(dilation) {
                    return Err(cx.refused("elements in no window"));
                }
                let attributes = [
                    ("group", channels.into()),
                    ("kernel_shape", (&[taps, 1][..]).into()),
                    ("strides", (&[stride, 1][..]).into()),
                    ("dilations", (&[dilation, 1][..]).into()),
                    ("pads", (&[pad, 0, behind, 0][..]).into()),
                    ("output_padding", (&[more, 0][..]).into()),
                ];
                cx.finish_as(&[outer, channels, length, inner], "ConvTranspose", &[&y, &weight], &attributes)
            }
            (false, false) => {
                let x = cx.input_as(0, &[outer, channels, length, inner])?;
                let reach = (positions - 1) * stride + (taps - 1) * dilation + 1;
                let behind = reach.saturating_sub(pad + length) as i64;
                let (amounts, zero) = (cx.integers([0, 0, pad as i64, 0, 0, 0, behind, 0])?, cx.number(0.0)?);
                let padded = cx.between("Pad", &[&x, &amounts, &zero], &[]);
                let places = (0..positions).flat_map(|p| (0..taps).map(move |t| (p * stride + t * dilation) as i64));
                let places = cx.integers(places)?;
                let windows = cx.between("Gather", &[&padded, &places], &[("axis", 2_usize.into())]);
                let shape = [outer, channels, positions, taps, inner];
                let shape = cx.integers(shape.into_iter().map(|extent| extent as i64))?;
                let windows = cx.between("Reshape", &[&windows, &shape], &[]);
                let order = [("perm", (&[0, 2, 1, 3, 4][..]).into())];
                let shape = [outer, positions, channels, taps, inner];
                cx.finish_as(&shape, "Transpose", &[&windows], &order)
            }
        }
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let plain = exchange(2, 3, 5, 7);
    let window = Geometry { positions: 5, taps: 3, pad: 1, ..plain };
    let problems = [
        ("axes exchanged", plain),
        ("a window of three", window),
        ("fours", Geometry { inner: 12, ..window }),
        (
            "stride, dilation and padding",
            Geometry { length: 11, positions: 4, stride: 3, dilation: 2, pad: 2, ..window },
        ),
        (
            "stride beyond the taps",
            Geometry { length: 11, positions: 3, taps: 2, stride: 4, pad: 0, inner: 4, ..window },
        ),
        ("padding beyond the taps", Geometry { length: 2, positions: 8, taps: 2, pad: 4, ..window }),
        ("a repetition", repeat(3, 5, 6)),
        ("a repetition in fours", repeat(3, 67, 8)),
        ("many elements", Geometry { length: 31, positions: 31, inner: 29 * 16, ..window }),
    ];
    let case = |(name, g): (&str, Geometry)| {
        OpCase::new(format!("unfold {name}"), move |cx| {
            let x = cx.normal("x", [g.outer, g.channels, g.length, g.inner])?;
            x.unfold_windows("", g, [g.outer * g.positions, g.channels * g.taps, g.inner]).map(|y| vec![y])
        })
    };
    let mut cases: Vec<OpCase> = problems.into_iter().map(case).collect();
    // The gradient of a fold is an unfold.
    cases.push(OpCase::new("unfold back", move |cx| {
        let g = Geometry { length: 11, positions: 4, stride: 3, dilation: 2, pad: 2, ..window };
        let y = cx.normal("y", [g.outer, g.positions, g.channels, g.taps, g.inner])?;
        y.fold_windows("", g, [g.outer, g.channels, g.length, g.inner]).map(|x| vec![x])
    }));
    // What follows is computed with it, or after it where channels are no axis of the result.
    for (inner, title) in [(7, "elements"), (8, "fours")] {
        let case = OpCase::new(format!("unfold back and what follows, {title}"), move |cx| {
            let g = Geometry { inner, ..window };
            let y = cx.normal("y", [g.outer, g.positions, g.channels, g.taps, g.inner])?;
            let x = y.fold_windows("", g, [g.outer, g.channels, g.length, g.inner])?;
            Ok(vec![x.batch_norm("bn", BatchNorm::default())?.add(cx.normal("more", x.shape())?)?.relu()?])
        });
        cases.push(case.randomize_parameters().in_single_precision());
    }
    cases.push(
        OpCase::new("unfold back and a batch norm of other channels", |cx| {
            let g = repeat(4, 3, 6);
            let y = cx.normal("y", [4, 3, 6])?;
            y.fold_windows("", g, [2, 2, 6])?.batch_norm("bn", BatchNorm::default()).map(|y| vec![y])
        })
        .randomize_parameters()
        .in_single_precision(),
    );
    cases
}
