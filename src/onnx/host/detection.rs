//! What detectors do with their boxes.

use super::{Call, Operator};
use crate::error::Result;
use crate::onnx::Array;
use crate::onnx::element::Number;

pub(super) const OPERATORS: &[Operator] = &[("NonMaxSuppression", non_max_suppression)];

/// A box by two opposite corners, in order.
#[derive(Clone, Copy)]
struct Corners([f64; 4]);

impl Corners {
    fn of(box_: [f64; 4], centred: bool) -> Self {
        let [a, b, c, d] = box_;
        match centred {
            // Centre, width and height.
            true => Self([b - d / 2.0, a - c / 2.0, b + d / 2.0, a + c / 2.0]),
            false => Self([a.min(c), b.min(d), a.max(c), b.max(d)]),
        }
    }

    fn area(self) -> f64 {
        let Self([top, left, bottom, right]) = self;
        (bottom - top) * (right - left)
    }

    /// Intersection over union.
    fn overlap(self, other: Self) -> f64 {
        let (Self(a), Self(b)) = (self, other);
        let both = Self([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
        if both.0[2] <= both.0[0] || both.0[3] <= both.0[1] {
            return 0.0;
        }
        both.area() / (self.area() + other.area() - both.area())
    }
}

/// Of each class of each image the boxes by falling score, without those that overlap a better one too much.
fn non_max_suppression(call: &Call<'_>) -> Result<Vec<Array>> {
    let (boxes, scores) = (call.of::<f32>(0)?, call.of::<f32>(1)?);
    let (&[images, count, 4], &[score_images, classes, score_count]) = (boxes.shape(), scores.shape()) else {
        return Err(call.node.wrong(format_args!("boxes {:?} and scores {:?}", boxes.shape(), scores.shape())));
    };
    if images != score_images || count != score_count {
        return Err(call.node.wrong(format_args!("boxes {:?} and scores {:?}", boxes.shape(), scores.shape())));
    }
    let number = |index: usize| match call.get(index) {
        Some(_) => Ok(call.numbers(index)?.first().copied().map(Number::float)),
        None => Ok(None),
    };
    let most = number(2)?.unwrap_or(0.0).max(0.0) as usize;
    let (overlap, least) = (number(3)?.unwrap_or(0.0), number(4)?);
    let centred = call.node.flag("center_point_box", false)?;
    // Each box beside all that are kept.
    call.spend([images, classes, count, most.min(count)].iter().fold(1, |all, &extent| all.saturating_mul(extent)))?;
    let mut selected: Vec<i64> = Vec::new();
    for image in 0..images {
        let corner =
            |index: usize| Corners::of(std::array::from_fn(|at| f64::from(boxes[[image, index, at]])), centred);
        let corners: Vec<Corners> = (0..count).map(corner).collect();
        for class in 0..classes {
            let score = |index: usize| f64::from(scores[[image, class, index]]);
            let mut order: Vec<usize> = (0..count).filter(|&at| least.is_none_or(|least| score(at) > least)).collect();
            order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
            let mut kept: Vec<usize> = Vec::new();
            for at in order {
                if kept.len() >= most {
                    break;
                }
                if kept.iter().all(|&better| corners[better].overlap(corners[at]) <= overlap) {
                    kept.push(at);
                    selected.extend([image as i64, class as i64, at as i64]);
                }
            }
        }
    }
    Ok(vec![Array::new(&[selected.len() / 3, 3], selected)?])
}
