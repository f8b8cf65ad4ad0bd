//! Which axes a reduction goes over, and what remains.

use crate::error::{Error, Result};
use crate::graph::Shape;

/// The axes of a reduction: one (`1`), some (`[2, 3]`) or all (`..`). They are dropped from the shape, unless
/// [`Axes::keep`] leaves them there with an extent of 1. A result without axes is a tensor `[1]`.
///
/// ```
/// use omma::{Axes, Graph, Mode};
///
/// let graph = Graph::new(Mode::Evaluation);
/// let x = graph.input("x", [2, 3, 5, 7])?;
/// assert_eq!(x.sum([2, 3])?.shape().to_string(), "[2, 3]");
/// assert_eq!(x.mean(Axes::from(1).keep())?.shape().to_string(), "[2, 1, 5, 7]");
/// assert_eq!(x.max(..)?.shape().to_string(), "[1]");
/// # Ok::<(), omma::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axes {
    /// `None` for all.
    which: Option<Vec<usize>>,
    keep: bool,
}

impl Axes {
    /// Leaves the axes in the shape, with an extent of 1.
    pub fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// How a reduction of this shape goes.
    pub(super) fn of(&self, op: &str, shape: &Shape) -> Result<Reduced> {
        let mut reduced = vec![self.which.is_none(); shape.len()];
        for &axis in self.which.iter().flatten() {
            match reduced.get_mut(axis) {
                Some(twice @ true) => {
                    *twice = true;
                    return Err(Error::argument(op, format!("axis {axis} is named twice")));
                }
                Some(one) => *one = true,
                None => return Err(Error::shape(op, format!("more than {axis} axes"), shape)),
            }
        }
        let kept = shape.iter().zip(&reduced).filter_map(|(&extent, &reduced)| match reduced {
            false => Some(extent),
            true => self.keep.then_some(1),
        });
        let mut output: Vec<usize> = kept.collect();
        if output.is_empty() {
            output.push(1);
        }
        // Axes of one fate are one axis; those of extent 1 have none.
        let mut runs: Vec<Run> = Vec::new();
        for (&extent, &reduced) in shape.iter().zip(&reduced).filter(|(extent, _)| **extent > 1) {
            match runs.last_mut() {
                Some(run) if run.reduced == reduced => run.extent *= extent,
                _ => runs.push(Run { extent, reduced }),
            }
        }
        Ok(Reduced { runs, output: output.into() })
    }
}

impl From<std::ops::RangeFull> for Axes {
    fn from(_: std::ops::RangeFull) -> Self {
        Self { which: None, keep: false }
    }
}

impl From<usize> for Axes {
    fn from(axis: usize) -> Self {
        Self::from([axis])
    }
}

impl<const N: usize> From<[usize; N]> for Axes {
    fn from(axes: [usize; N]) -> Self {
        Self::from(&axes[..])
    }
}

impl From<&[usize]> for Axes {
    fn from(axes: &[usize]) -> Self {
        Self { which: Some(axes.to_vec()), keep: false }
    }
}

/// Neighbouring axes that are all reduced or all kept, as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) extent: usize,
    pub(super) reduced: bool,
}

/// A reduction of a shape. Neighbouring runs differ in whether they are reduced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reduced {
    pub(super) runs: Vec<Run>,
    pub(super) output: Shape,
}

impl Reduced {
    /// The view `[groups, outer, channels, inner]` that takes as many of the reduced runs as one reduction can, which are the
    /// last two; they are taken out. `None` when nothing is left to reduce.
    pub(super) fn next_view(&mut self) -> Option<[usize; 4]> {
        let runs = &mut self.runs;
        let last = runs.iter().rposition(|run| run.reduced)?;
        let extent = |runs: &[Run]| -> usize { runs.iter().map(|run| run.extent).product() };
        let behind = extent(&runs[last + 1..]);
        if behind > 1 {
            let view = [extent(&runs[..last]), runs[last].extent, behind, 1];
            runs.remove(last);
            return Some(view);
        }
        // What is kept between two reduced runs are the channels.
        match runs[..last].iter().rposition(|run| run.reduced) {
            Some(first) => {
                let view =
                    [extent(&runs[..first]), runs[first].extent, extent(&runs[first + 1..last]), runs[last].extent];
                runs.remove(last);
                runs.remove(first);
                Some(view)
            }
            None => {
                let view = [1, 1, extent(&runs[..last]), runs[last].extent];
                runs.remove(last);
                Some(view)
            }
        }
    }

    /// The views `[outer, axis, inner]` whose middle axes are to be reduced, one after the other, from the last on.
    pub(super) fn views(&self) -> Vec<[usize; 3]> {
        let mut runs = self.runs.clone();
        let mut views = Vec::new();
        while let Some(last) = runs.iter().rposition(|run| run.reduced) {
            let extent = |runs: &[Run]| runs.iter().map(|run| run.extent).product();
            views.push([extent(&runs[..last]), runs[last].extent, extent(&runs[last + 1..])]);
            runs.remove(last);
        }
        views
    }
}

#[cfg(test)]
mod tests {
    use super::{Axes, Run};
    use crate::error::Result;

    #[test]
    fn axes_of_one_fate_are_one() -> Result<()> {
        let reduced = Axes::from([1, 2, 4]).of("sum", &[2, 3, 5, 1, 7].into())?;
        // The kept axis of extent 1 parts nothing.
        let run = |extent, reduced| Run { extent, reduced };
        assert_eq!(reduced.runs, [run(2, false), run(105, true)]);
        assert_eq!(&reduced.output[..], [2, 1]);
        assert_eq!(reduced.views(), [[2, 105, 1]]);
        let apart = Axes::from([0, 2]).keep().of("sum", &[2, 3, 5, 7].into())?;
        assert_eq!(&apart.output[..], [1, 3, 1, 7]);
        assert_eq!(apart.views(), [[6, 5, 7], [1, 2, 21]]);
        Ok(())
    }

    #[test]
    fn sums_over_any_axes_are_few() -> Result<()> {
        let views = |shape: &[usize], axes: &[usize]| -> Result<Vec<[usize; 4]>> {
            let mut reduced = Axes::from(axes).of("sum", &shape.into())?;
            Ok(std::iter::from_fn(|| reduced.next_view()).collect())
        };
        assert_eq!(views(&[2, 3, 4, 5], &[0, 2, 3])?, [[1, 2, 3, 20]]);
        assert_eq!(views(&[1, 3, 4, 5], &[0, 2, 3])?, [[1, 1, 3, 20]]);
        assert_eq!(views(&[2, 3, 4], &[0, 1, 2])?, [[1, 1, 1, 24]]);
        assert_eq!(views(&[2, 3, 4], &[1])?, [[2, 3, 4, 1]]);
        assert_eq!(views(&[2, 3, 5, 4, 5], &[1, 3])?, [[30, 4, 5, 1], [2, 3, 25, 1]]);
        assert_eq!(views(&[2, 3, 4, 5], &[0, 2])?, [[6, 4, 5, 1], [1, 2, 15, 1]]);
        assert!(views(&[3, 1], &[1])?.is_empty());
        Ok(())
    }
}
