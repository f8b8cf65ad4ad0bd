// Division of unsigned integers through floats. The processors have no integer division: what drivers put in its place
// is at best as fast as this, and on a CPU many times slower, since it takes one lane of a vector after the other.

/// a / b and a % b, exactly, for a < 2^30 and 1 <= b < 2^30.
fn div_rem(a: u32, b: u32) -> vec2<u32> {
    // The float quotient is right to at least 20 bits, so its rest is divided once more; what is then left of rounding
    // is one step up or down. All three hold for any driver whose float division is off by a few last places.
    let inverse = 1.0 / f32(b);
    let estimate = u32(f32(a) * inverse);
    let rest = i32(a - estimate * b);
    let quotient = estimate + u32(i32(floor(f32(rest) * inverse)));
    let remainder = a - quotient * b;
    let step = select(select(0u, 1u, remainder >= b), 0xffffffffu, i32(remainder) < 0);
    return vec2<u32>(quotient + step, remainder - step * b);
}
