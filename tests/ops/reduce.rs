//! `reduce` on the device.

use crate::support::of_rows;

#[test]
fn agrees_with_the_reference() {
    super::check("reduce");
}

#[test]
fn norms_of_infinities_and_of_the_largest_numbers() {
    const ALL: f32 = f32::INFINITY;
    // The norm of (3, 4, 0) in several units: those of the largest and smallest powers of two that f32 has room for.
    let large = 2.0_f32.powi(124);
    let small = f32::MIN_POSITIVE;
    let rows = [
        [ALL, 1.0, 0.0],
        [-ALL, ALL, 1e38],
        [3.0 * large, 4.0 * large, 0.0],
        [3.0 * small, 4.0 * small, 0.0],
        [0.0, 0.0, 0.0],
    ];
    let Some([y, dx]) = of_rows(rows.as_flattened(), 3, |x| x.l2_norm(1)) else { return };
    assert_eq!(y[..2], [ALL, ALL]);
    assert_eq!([dx[1], dx[2], dx[5]], [0.0; 3]);
    // Half a dozen roundings of divisions, squares, a root and a product.
    let close = |actual: f32, expected: f32| (actual / expected - 1.0).abs() <= 12.0 * f32::EPSILON;
    assert!(close(y[2], 5.0 * large) && close(y[3], 5.0 * small) && y[4] == 0.0, "{y:?}");
    for row in [6, 9] {
        assert!(close(dx[row], 0.6) && close(dx[row + 1], 0.8) && dx[row + 2] == 0.0, "{dx:?}");
    }
    assert_eq!(dx[12..], [0.0; 3]);
}
