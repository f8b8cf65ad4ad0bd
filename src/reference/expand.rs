//! Copies along axes of extent 1, by NumPy's rules of broadcasting. The gradient is
//! [`channel_sum`](super::reduce::channel_sum).

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
