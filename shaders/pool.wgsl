// Poolings over up to three axes, dilated and adaptive ones too: common/volume.wgsl says which cells a window holds.
//   max:      y = the largest value, winner = the first tap in row-major order that has it, as max_pool2d.wgsl.
//   average:  y = sum / divisor, which counts the taps in the input or, with COUNT_INCLUDE_PAD, in the padded input.
//   lp:       y = (sum |x|^P)^(1/P), computed as m (sum (|x|/m)^P)^(1/P) with m = max |x|: nothing overflows that must not.
//             dx = sum of dy sign(x) (|x|/y)^(P-1), and 0 where y = 0.
//   draw:     stochastic pooling (Zeiler & Fergus, "Stochastic pooling for regularization of deep convolutional neural
//             networks", 2013). With a = max(x, 0), y = the first value in row-major order at which the running sum of a
//             exceeds u sum(a), winner = its tap; y = 0 and winner = -1 where all a are 0. u = floor(r / 2^8) / 2^24, r =
//             word n % 4 of Philox(counter = (n / 4, step, 1, 0), key = (seed, stream)), n the number of the window in
//             planar order. Only sums, a product and comparisons: every adapter draws the same. Where the sum of a is not
//             finite the winner is that of max.
//   weighted: y = sum(a^2) / sum(a), what draw gives on average, with a/m as for lp; mean = sum(a) / taps.
//             dx = sum of dy (2a - y) / sum(a) where x > 0, else 0.
// grad_input of max and draw: dx = sum of dy over the windows whose winner is this cell.
// Winners are kept as floats, exact below 2^24: bits of small integers are subnormal floats.
// One invocation computes one element of y or dx, or (`four`) those of four channels that lie together, where
// inner is a number of fours and given in fours: gathers, no atomics.
// Memory traffic: forward reads each input once or (lp, draw, weighted) twice for each window that holds it, caches hold
// the overlap, and writes 4 bytes an output, 8 with winners or means; grad_input reads 4 to 12 bytes for each window that
// holds the cell and writes 4. Large operands may be read through textures. No barriers.
// Drawing from 2 x 2 in 16 x 64 channels-last planes of 56 x 56 (`omma bench ops --filter stochastic`, interleaved, two cores of
// lavapipe, AVX2) takes 22 ms and its gradient 27 by elements, 9.6 and 9.5 in fours.
// Where at most 27 windows without gaps hold a cell, grad_input is unrolled. `omma bench ops --filter "pool 3d" --variants`
// on two cores of a CPU (lavapipe, AVX2), maxima of 2 x 2 x 2 in 16 x 8 volumes of 8 x 56 x 56: 89 ms, 313 with loops. Not
// timed on a GPU.
// Preconditions: every window holds a cell of the input; loops of one invocation run at most 65,535 times, exits counted;
// of an adaptive pooling (input + 1) (output + 1) < 2^30 on each axis.
// Needs common/grid.wgsl, common/divide.wgsl, common/volume.wgsl, common/nan.wgsl, common/philox.wgsl, common/texture.wgsl,
// common/read.wgsl.

override WORKGROUP: u32 = 64u;
override COUNT_INCLUDE_PAD: bool = false;
override P: f32 = 2.0;

/// The number of a tap in its window.
fn tap_of(i: u32, j: u32, k: u32) -> u32 {
    return (i * params.kernel_height + j) * params.kernel_width + k;
}

{% if four %}
alias Value = vec4<f32>;
alias Flag = vec4<bool>;
alias Bits = vec4<u32>;
{% else %}
alias Value = f32;
alias Flag = bool;
alias Bits = u32;
{% endif %}
{% set better = "are_better" if four else "is_better" %}
{% set of = "_at" if four else "_element" %}
{% macro operand(name, binding) %}{{ fours(name, binding, texture) if four else scalars(name, binding, texture) }}{% endmacro %}

/// Not-a-number passes.
fn positive(value: Value) -> Value {
    return select(value, Value(), value <= Value());
}

fn is_finite(value: Value) -> Flag {
    return (bitcast<Bits>(value) & Bits(0x7f800000u)) != Bits(0x7f800000u);
}

/// ratio^exponent for a ratio of at least 0.
fn power(ratio: Value, exponent: f32) -> Value {
    if exponent == 0.0 { return select(Value(), Value(1.0), ratio > Value()); }
    if exponent == 0.5 { return sqrt(ratio); }
    if exponent == 1.0 { return ratio; }
    if exponent == 2.0 { return ratio * ratio; }
    return select(Value(), pow(ratio, Value(exponent)), ratio > Value());
}

fn divisor(depth: Span, height: Span, width: Span) -> f32 {
    if COUNT_INCLUDE_PAD {
        let taps = padded_taps(depth_axis(), depth) * padded_taps(height_axis(), height);
        return f32(taps * padded_taps(width_axis(), width));
    }
    return f32((depth.end - depth.first) * (height.end - height.first) * (width.end - width.first));
}

fn kernel_taps() -> f32 {
    return f32(params.kernel_depth * params.kernel_height * params.kernel_width);
}

{% if entry == "forward" %}
{{ operand("x", 1) }}
@group(0) @binding(2) var<storage, read_write> y: array<Value>;
{% if kind == "draw" %}
@group(0) @binding(3) var<storage, read> step: array<u32>;
{% endif %}
{% if second %}
/// Winners, or means.
@group(0) @binding({% if kind == "draw" %}4{% else %}3{% endif %}) var<storage, read_write> beside: array<Value>;
{% endif %}
{% if kind == "draw" %}
/// Uniform in [0, 1), for a window of one plane.
fn drawn(number: u32) -> f32 {
    let words = philox(vec4<u32>(number >> 2u, step[0], 1u, 0u), vec2<u32>(params.seed, params.stream));
    return f32(words[number & 3u] >> 8u) * 0x1p-24f;
}
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let size = params.out_depth * params.out_height * params.out_width;
    if index >= params.outer * size * params.inner {
        return;
    }
    let place = place_of(index, params.out_depth, params.out_height, params.out_width);
    let depth = span_of(depth_axis(), place.depth);
    let height = span_of(height_axis(), place.height);
    let width = span_of(width_axis(), place.width);
{% if kind == "max" %}
    var best = Value();
    var tap = Value(-1.0);
{% call each_cell() %}
                let value = x{{ of }}(at);
                let replaces = (tap < Value()) | {{ better }}(value, best);
                best = select(best, value, replaces);
                tap = select(tap, Value(f32(tap_of(i, j, k))), replaces);
{% endcall %}
    y[index] = best;
{% if second %}
    beside[index] = tap;
{% endif %}
{% elif kind == "average" %}
    var sum = Value();
{% call each_cell() %}
                sum += x{{ of }}(at);
{% endcall %}
    y[index] = sum / divisor(depth, height, width);
{% elif kind == "draw" %}
    var total = Value();
{% call each_cell() %}
                total += positive(x{{ of }}(at));
{% endcall %}
    let windows = (place.depth * params.out_height + place.height) * params.out_width + place.width;
    let plane = place.outer * params.inner + place.inner;
{% if four %}
    let first = 4u * plane * size + windows;
    let uniforms = vec4(drawn(first), drawn(first + size), drawn(first + 2u * size), drawn(first + 3u * size));
{% else %}
    let uniforms = drawn(plane * size + windows);
{% endif %}
    let threshold = uniforms * total;
    let is_sum = is_finite(total);
    var best = Value();
    var tap = Value(-1.0);
    var running = Value();
{% call each_cell() %}
                let value = x{{ of }}(at);
                running += positive(value);
                let none = tap < Value();
                let replaces = (is_sum & none & (running > threshold)) | (!is_sum & (none | {{ better }}(value, best)));
                best = select(best, value, replaces);
                tap = select(tap, Value(f32(tap_of(i, j, k))), replaces);
{% endcall %}
    y[index] = best;
{% if second %}
    beside[index] = tap;
{% endif %}
{% else %}
    var largest = Value();
{% call each_cell() %}
{% if kind == "lp" %}
                let size = abs(x{{ of }}(at));
{% else %}
                let size = positive(x{{ of }}(at));
{% endif %}
                largest = select(largest, size, {{ better }}(size, largest));
{% endcall %}
    // Zero, infinite or not a number: the result is that.
    let whole = (largest > Value()) & is_finite(largest);
    var sum = Value();
{% if kind == "lp" %}
{% call each_cell() %}
                sum += power(abs(x{{ of }}(at)) / largest, P);
{% endcall %}
    y[index] = select(largest, largest * power(sum, 1.0 / P), whole);
{% else %}
    var squares = Value();
{% call each_cell() %}
                let share = positive(x{{ of }}(at)) / largest;
                sum += share;
                squares += share * share;
{% endcall %}
    y[index] = select(largest, largest * (squares / sum), whole);
{% if second %}
    beside[index] = select(largest, largest * (sum / kernel_taps()), whole);
{% endif %}
{% endif %}
{% endif %}
}
{% else %}
{% if kind == "average" %}
{{ operand("dy", 1) }}
@group(0) @binding(2) var<storage, read_write> dx: array<Value>;
{% elif kind == "lp" %}
@group(0) @binding(1) var<storage, read> x: array<Value>;
{{ operand("y", 2) }}
{{ operand("dy", 3) }}
@group(0) @binding(4) var<storage, read_write> dx: array<Value>;
{% elif kind == "weighted" %}
@group(0) @binding(1) var<storage, read> x: array<Value>;
{{ operand("y", 2) }}
{{ operand("mean", 3) }}
{{ operand("dy", 4) }}
@group(0) @binding(5) var<storage, read_write> dx: array<Value>;
{% else %}
{{ operand("winner", 1) }}
{{ operand("dy", 2) }}
@group(0) @binding(3) var<storage, read_write> dx: array<Value>;
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.outer * params.in_depth * params.in_height * params.in_width * params.inner {
        return;
    }
    let place = place_of(index, params.in_depth, params.in_height, params.in_width);
    var sum = Value();
{% call each_window(most_depth, most_height, most_width) %}
{% if kind == "average" %}
                let depth = span_of(depth_axis(), i.x);
                let height = span_of(height_axis(), j.x);
                sum += dy{{ of }}(at) / divisor(depth, height, span_of(width_axis(), k.x));
{% elif kind == "lp" %}
                let norm = y{{ of }}(at);
                sum += select(Value(), dy{{ of }}(at) * power(abs(x[index]) / norm, P - 1.0), norm != Value());
{% elif kind == "weighted" %}
                let mean = mean{{ of }}(at);
                sum += dy{{ of }}(at) * ((x[index] - y{{ of }}(at)) / mean + x[index] / mean);
{% else %}
                let tap = Value(f32(tap_of(i.y, j.y, k.y)));
                sum += select(Value(), dy{{ of }}(at), winner{{ of }}(at) == tap);
{% endif %}
{% endcall %}
{% if kind == "lp" %}
    dx[index] = select(sum, -sum, x[index] < Value());
{% elif kind == "weighted" %}
    dx[index] = select(Value(), sum / kernel_taps(), x[index] > Value());
{% else %}
    dx[index] = sum;
{% endif %}
}
{% endif %}
