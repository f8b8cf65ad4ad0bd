// Not-a-number, and comparisons that know it.

/// From a variable: WGSL refuses a constant expression that is not a number.
fn not_a_number() -> f32 {
    var bits = 0x7fc00000u;
    return bitcast<f32>(bits);
}

/// By its bits: compilers may assume that a comparison never sees one.
fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

/// Whether a later cell of a window replaces the best so far.
fn is_better(value: f32, best: f32) -> bool {
    return !is_nan(best) && (value > best || is_nan(value));
}

fn are_nan(values: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(values) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
}

/// [`is_better`] for each of four windows.
fn are_better(values: vec4<f32>, best: vec4<f32>) -> vec4<bool> {
    return !are_nan(best) & ((values > best) | are_nan(values));
}
