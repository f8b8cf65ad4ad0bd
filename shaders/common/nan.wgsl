// Comparisons that know not-a-number.

/// By its bits: compilers may assume that a comparison never sees one.
fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

/// Whether a later cell of a window replaces the best so far.
fn is_better(value: f32, best: f32) -> bool {
    return !is_nan(best) && (value > best || is_nan(value));
}
