//! Operands and parameters that look like noise: the same values for the same name, whichever engine asks.

/// Values between -`amplitude` and `amplitude`.
fn noise(name: &str, count: usize, amplitude: f32) -> Vec<f32> {
    // FNV-1a of the name, so that tensors differ; then splitmix64 of the index, of which 24 bits fit a float.
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (0..count as u64)
        .map(|index| amplitude * (mixed(seed.wrapping_add(index)) >> 40) as f32 / 8_388_608.0 - amplitude)
        .collect()
}

fn mixed(state: u64) -> u64 {
    let z = state.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The images and the gradient that comes from behind.
pub(crate) fn image(name: &str, shape: &[usize]) -> Vec<f32> {
    noise(name, shape.iter().product(), 1.0)
}

/// The values of a parameter by its name in PyTorch; `None` for what every engine starts with: scales and statistics of
/// normalisations.
pub(crate) fn parameter(name: &str, shape: &[usize]) -> Option<Vec<f32>> {
    let count = shape.iter().product();
    match shape {
        // He's bound, so that signals neither die nor explode on their way.
        [_, inputs @ ..] if !inputs.is_empty() => {
            let fan_in: usize = inputs.iter().product();
            Some(noise(name, count, (6.0 / fan_in as f32).sqrt()))
        }
        _ if name.ends_with(".bias") => Some(noise(name, count, 0.1)),
        _ => None,
    }
}

/// Labels below `classes`.
pub(crate) fn labels(count: usize, classes: usize) -> Vec<u32> {
    (0..count).map(|index| (index * 7 % classes) as u32).collect()
}
