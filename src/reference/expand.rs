//! Copies along axes of extent 1, by NumPy's rules of broadcasting, and the sums that lead back.

use super::Checked;

/// The values of an array of shape `from` for each element of one of shape `to`: shapes are aligned at their last axes, and
/// an axis of extent 1, or none, is repeated.
#[must_use]
pub fn forward(from: &[usize], to: &[usize], x: &[f64]) -> Vec<f64> {
    debug_assert_eq!(x.len(), from.iter().product::<usize>(), "x has this shape");
    let missing = to.len() - from.len();
    (0..to.iter().product())
        .map(|element: usize| {
            let (mut rest, mut index, mut stride) = (element, 0, 1);
            for axis in (0..to.len()).rev() {
                let place = rest % to[axis];
                rest /= to[axis];
                if axis >= missing && from[axis - missing] > 1 {
                    index += place * stride;
                    stride *= from[axis - missing];
                }
            }
            x[index]
        })
        .collect()
}

/// y\[group, c\] = sum over outer and inner of x\[group, outer, c, inner\]. What x may be off by is added up as well.
#[must_use]
pub fn grad_input([groups, outer, channels, inner]: [usize; 4], x: &Checked) -> Checked {
    debug_assert_eq!(x.values.len(), groups * outer * channels * inner, "x has this view");
    let mut y = Checked::zeros(groups * channels, (outer * inner).max(x.terms));
    for (index, (value, magnitude)) in x.values.iter().zip(&x.magnitude).enumerate() {
        let (group, channel) = (index / (outer * channels * inner), index / inner % channels);
        y.add(group * channels + channel, *value);
        // Beside the roundings of the sum, each term has its own.
        y.magnitude[group * channels + channel] += magnitude;
    }
    y
}
