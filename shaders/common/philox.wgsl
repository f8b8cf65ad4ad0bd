// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a counter-based generator.
// The same key and counter give the same 128 bits on every adapter, in any order of evaluation.

/// The low and the high word of a 32 x 32 -> 64 bit product, from 16-bit halves: WGSL has no wide multiply.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    // Neither sum can overflow: (2^16 - 1)^2 + (2^16 - 1) < 2^32.
    let middle = a_high * b_low + ((a_low * b_low) >> 16u);
    let carry = a_low * b_high + (middle & 0xffffu);
    return vec2<u32>(a * b, a_high * b_high + (middle >> 16u) + (carry >> 16u));
}

fn philox_round(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    let first = multiply_wide(0xd2511f53u, counter.x);
    let second = multiply_wide(0xcd9e8d57u, counter.z);
    return vec4<u32>(second.y ^ counter.y ^ key.x, second.x, first.y ^ counter.w ^ key.y, first.x);
}

/// Four random words for a counter under a key.
fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var words = counter;
    var round_key = key;
    for (var round = 0u; round < 10u; round += 1u) {
        words = philox_round(words, round_key);
        round_key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return words;
}
