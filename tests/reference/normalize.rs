//! Byte images to numbers, by hand.

use omma::reference::normalize;

use super::{Random, assert_near};

#[test]
fn by_hand() {
    let y = normalize::forward(2, 2, 1, &[0.0, 100.0, 255.0, 7.0], &[1.0 / 255.0, 2.0], &[-0.5, 1.0]);
    assert_near("y", &y.values, &[-0.5, 201.0, 0.5, 15.0], 1e-12);
    assert_near("magnitude", &y.magnitude, &[0.5, 201.0, 1.5, 15.0], 1e-12);
    assert_eq!(y.terms, 2);
}

#[test]
fn each_channel_has_its_own_scale() {
    let (batch, channels, inner) = (3, 5, 7);
    let mut random = Random(8);
    let x: Vec<f64> = (0..batch * channels * inner).map(|_| random.below(256) as f64).collect();
    let (scale, offset) = (random.uniform(channels), random.uniform(channels));
    let y = normalize::forward(batch, channels, inner, &x, &scale, &offset).values;
    for n in 0..batch {
        for c in 0..channels {
            for i in 0..inner {
                let index = (n * channels + c) * inner + i;
                assert_eq!(y[index], x[index] * scale[c] + offset[c]);
            }
        }
    }
}
