//! The kernel that moves the elements of a box, and how a box is brought to as few axes as it can have.

use crate::error::Result;
use crate::plan::{Candidate, Kernel, Lowering, Operand, Params, Shader, shader, word};
use crate::reference::strided::Along;

/// Axes that the kernel knows.
pub(super) const RANK: usize = 6;
const NAME: &str = "strided";
/// What the kernel is told of each axis.
const WORDS: usize = 7;

/// Count, fill and bases, then the axes, the innermost first.
#[derive(Debug, Clone)]
pub(crate) struct StridedParams {
    count: u32,
    fill: f32,
    bases: [u32; 2],
    axes: [[u32; WORDS]; RANK],
}

macro_rules! fields {
    ($($axis:literal)*) => {
        &[
            ("count", "u32"), ("fill", "f32"), ("x_base", "u32"), ("y_base", "u32"),
            $(
                (concat!("extent_", $axis), "u32"), (concat!("x_", $axis), "u32"), (concat!("y_", $axis), "u32"),
                (concat!("start_", $axis), "u32"), (concat!("step_", $axis), "u32"), (concat!("limit_", $axis), "u32"),
                (concat!("dilation_", $axis), "u32"),
            )*
        ]
    };
}

impl Params for StridedParams {
    const FIELDS: &'static [(&'static str, &'static str)] = fields!(0 1 2 3 4 5);

    fn words(&self) -> Vec<u32> {
        let head = [self.count, self.fill.to_bits(), self.bases[0], self.bases[1]];
        head.into_iter().chain(self.axes.into_iter().flatten()).collect()
    }
}

pub(crate) static SHADER: Shader = shader!("strided", StridedParams, ["grid", "divide", "texture", "read"]);

/// One axis of a box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::ops) struct Axis {
    pub(in crate::ops) extent: usize,
    /// Elements between neighbours in the source: of places, or, where it is bounded, of what stands there.
    pub(in crate::ops) from: i64,
    /// Elements between neighbours in the target.
    pub(in crate::ops) to: i64,
    pub(in crate::ops) bounds: Option<Bounds>,
}

/// An axis along which not every place has an element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::ops) struct Bounds {
    start: i64,
    step: i64,
    dilation: i64,
    /// Positions from here on have nothing.
    limit: i64,
}

impl Bounds {
    /// Whether neighbours of the result are neighbours of the source.
    fn is_shift(self) -> bool {
        (self.step, self.dilation) == (1, 1)
    }
}

/// The elements of a box that are moved.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Moves {
    /// The outermost first.
    pub(in crate::ops) axes: Vec<Axis>,
    /// Where the first element comes from and where it goes.
    pub(in crate::ops) from: i64,
    pub(in crate::ops) to: i64,
    /// What stands where there is nothing.
    pub(in crate::ops) fill: f32,
}

impl Moves {
    /// Adds an axis inside the others, along which places have these elements of an axis of `extent` elements that are
    /// `from` apart. The target's neighbours are `to` apart.
    pub(super) fn push(&mut self, along: Along, extent: usize, from: usize, to: usize) {
        let Along { length, start, step, dilation } = along;
        let (from, to) = (from as i64, to as i64);
        let filled = dilation == 1 && [0, length - 1].iter().all(|&place| along.element(place, extent).is_some());
        self.axes.push(if filled {
            self.from += start * from;
            Axis { extent: length, from: step * from, to, bounds: None }
        } else {
            let limit = (extent as i64 - 1) * dilation + 1;
            Axis { extent: length, from, to, bounds: Some(Bounds { start, step, dilation, limit }) }
        });
    }

    /// Axes that are one become one.
    fn merge(&mut self) {
        let mut merged: Vec<Axis> = Vec::new();
        for axis in self.axes.iter().filter(|axis| axis.extent > 1 || axis.bounds.is_some()) {
            match merged.last_mut() {
                Some(outer) if joins(outer, axis) => {
                    let extent = axis.extent as i64;
                    let bounds = outer.bounds.map(|Bounds { start, limit, .. }| Bounds {
                        start: start * extent,
                        step: 1,
                        dilation: 1,
                        limit: limit * extent,
                    });
                    *outer = Axis { extent: outer.extent * axis.extent, bounds, ..*axis };
                }
                _ => merged.push(*axis),
            }
        }
        if merged.is_empty() {
            merged.push(Axis { extent: 1, from: 1, to: 1, bounds: None });
        }
        self.axes = merged;
    }

    /// Number of elements.
    fn count(&self) -> usize {
        self.axes.iter().map(|axis| axis.extent).product()
    }

    /// Whether the target is written from its begin to its end.
    fn is_dense(&self) -> bool {
        let mut elements = 1;
        self.to == 0
            && self.axes.iter().rev().all(|axis| {
                let fits = axis.to == elements;
                elements *= axis.extent as i64;
                fits
            })
    }

    /// The same in fours, where fours are moved together.
    fn fours(&self) -> Option<Self> {
        let four = |number: i64| (number % 4 == 0).then_some(number / 4);
        let mut fours = Self { from: four(self.from)?, to: four(self.to)?, ..self.clone() };
        let (inner, others) = fours.axes.split_last_mut()?;
        for axis in others {
            (axis.from, axis.to) = (four(axis.from)?, four(axis.to)?);
        }
        if (inner.from, inner.to) != (1, 1) || !inner.bounds.is_none_or(Bounds::is_shift) {
            return None;
        }
        inner.extent = four(inner.extent as i64)? as usize;
        if let Some(bounds) = &mut inner.bounds {
            (bounds.start, bounds.limit) = (four(bounds.start)?, four(bounds.limit)?);
        }
        Some(fours)
    }

    /// Adds the dispatch that moves them.
    pub(in crate::ops) fn lower(mut self, cx: &mut Lowering<'_>, name: &str, [from, to]: [Operand; 2]) -> Result<()> {
        self.merge();
        let (fours, dense) = (self.fours(), self.is_dense());
        let form = choose_form(cx, name, &[("fours", fours.is_some())], dense)?;
        let textured = reads_texture(cx, name, from, self.count())?;
        let from = if textured { from.textured() } else { from };
        let moves = fours.filter(|_| form == "fours").unwrap_or(self);
        // A bit for each axis, the innermost first.
        let mask = |is: fn(&Bounds) -> bool| {
            let bits = moves.axes.iter().rev().enumerate();
            bits.map(|(bit, axis)| u32::from(axis.bounds.as_ref().is_some_and(is)) << bit).sum::<u32>()
        };
        let kernel = Kernel::new(&SHADER, "forward")
            .variant(form)
            .template("form", form)
            .template("rank", moves.axes.len())
            .template("bounded", mask(|_| true))
            .template("dilated", mask(|bounds| bounds.dilation != 1))
            .template("dense", u8::from(dense))
            .template("texture", u8::from(textured));
        let count = moves.count();
        let invocations = if form == "gathered" { count.div_ceil(4) } else { count };
        cx.dispatch_flat(kernel, &moves.params()?, &[from, to], invocations)
    }

    fn params(&self) -> Result<StridedParams> {
        // Negative numbers wrap around in the kernel's arithmetic, too.
        let wrapped = |number: i64| number as u32;
        let mut axes = [[0; WORDS]; RANK];
        for (words, axis) in axes.iter_mut().zip(self.axes.iter().rev()) {
            // Nobody looks at the bounds of an axis that has none.
            let none = Bounds { start: 0, step: 1, dilation: 1, limit: axis.extent as i64 };
            let Bounds { start, step, dilation, limit } = axis.bounds.unwrap_or(none);
            *words = [axis.extent as i64, axis.from, axis.to, start, step, limit, dilation].map(wrapped);
        }
        let bases = [self.from, self.to].map(wrapped);
        Ok(StridedParams { count: word(NAME, self.count())?, fill: self.fill, bases, axes })
    }
}

/// How many elements an invocation moves: the fours of these forms, the four that lie next to each other in a target that is
/// written from its begin to its end, or one.
pub(in crate::ops) fn choose_form(
    cx: &mut Lowering<'_>,
    name: &str,
    fours: &[(&'static str, bool)],
    dense: bool,
) -> Result<&'static str> {
    let refusal = |fits: bool, what: &str| (!fits).then(|| what.to_string());
    let fours = fours.iter().map(|&(form, fits)| Candidate::unless(form, refusal(fits, "only for whole fours")));
    let gathered = Candidate::unless("gathered", refusal(dense, "only where a whole tensor is written"));
    let elements = Candidate::unless("elements", None);
    // Invocations side by side of a GPU had better write side by side.
    let others = cx.by_class([[gathered.clone(), elements.clone()], [elements, gathered]]);
    cx.choose(name, fours.chain(others).collect())
}

/// Whether so many elements of an input are read through a texture. All of it would be copied for them, which a small share
/// is not worth.
pub(in crate::ops) fn reads_texture(cx: &mut Lowering<'_>, name: &str, from: Operand, moved: usize) -> Result<bool> {
    /// One element in so many is enough.
    const SHARE: usize = 5;
    let source = match from {
        Operand::Input(input) => cx.inputs[input].elements(),
        _ => moved,
    };
    Ok(SHARE * moved >= source && cx.choose_textures(name, source.max(moved))?)
}

/// Whether two axes, one around the other, are one.
fn joins(outer: &Axis, inner: &Axis) -> bool {
    let extent = inner.extent as i64;
    inner.bounds.is_none()
        && (outer.from, outer.to) == (inner.from * extent, inner.to * extent)
        && outer.bounds.is_none_or(Bounds::is_shift)
}

#[cfg(test)]
mod tests {
    use super::{Along, Axis, Moves};

    fn moves(axes: &[(Along, usize)]) -> Moves {
        let mut moves = Moves { axes: Vec::new(), from: 0, to: 0, fill: 0.0 };
        let product = |extents: &mut dyn Iterator<Item = usize>| extents.product::<usize>();
        for (index, &(along, extent)) in axes.iter().enumerate() {
            let rest = &axes[index + 1..];
            let from = product(&mut rest.iter().map(|(_, extent)| *extent));
            let to = product(&mut rest.iter().map(|(along, _)| along.length));
            moves.push(along, extent, from, to);
        }
        moves.merge();
        moves
    }

    #[test]
    fn what_lies_together_is_one_axis() {
        let whole = |extent| (Along::whole(extent), extent);
        assert_eq!(moves(&[whole(2), whole(3), whole(5)]).axes.len(), 1);
        // Rows 1 and 2 of 4, and the same with a row of padding on both sides.
        let cut = moves(&[whole(2), (Along { length: 2, start: 1, step: 1, dilation: 1 }, 4), whole(5)]);
        assert_eq!(
            cut.axes,
            [(2, 20, 10), (10, 1, 1)].map(|(extent, from, to)| Axis { extent, from, to, bounds: None })
        );
        assert_eq!((cut.from, cut.is_dense(), cut.fours().is_some()), (5, true, false));
        let padded = moves(&[whole(2), (Along { length: 6, start: -1, step: 1, dilation: 1 }, 4), whole(8)]);
        assert_eq!(padded.axes.len(), 2);
        let fours = padded.fours().map(|fours| fours.axes).unwrap_or_default();
        assert_eq!(
            fours.last().map(|axis| (axis.extent, axis.bounds.map(|b| (b.start, b.limit)))),
            Some((12, Some((-2, 8))))
        );
        // Backwards nothing lies together.
        let flipped = moves(&[whole(2), (Along { length: 4, start: 3, step: -1, dilation: 1 }, 4), whole(8)]);
        assert_eq!((flipped.axes.len(), flipped.from), (3, 24));
    }
}
