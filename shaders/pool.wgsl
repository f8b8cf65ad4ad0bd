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
// indices: from winners to numbers of cells in [depth, height, width] or in the whole tensor, of planar tensors.
// Places are kept as floats, exact below 2^24: bits of small integers are subnormal floats.
// One invocation computes one element of y, dx or the indices: gathers, no atomics.
// Memory traffic: forward reads each input once or (lp, draw, weighted) twice for each window that holds it, caches hold
// the overlap, and writes 4 bytes an output, 8 with winners or means; grad_input reads 4 to 12 bytes for each window that
// holds the cell and writes 4. Large operands may be read through textures. No barriers.
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

/// Not-a-number passes.
fn positive(value: f32) -> f32 {
    return select(value, 0.0, value <= 0.0);
}

fn is_finite(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
}

/// ratio^exponent for a ratio of at least 0.
fn power(ratio: f32, exponent: f32) -> f32 {
    if exponent == 0.0 { return select(0.0, 1.0, ratio > 0.0); }
    if exponent == 0.5 { return sqrt(ratio); }
    if exponent == 1.0 { return ratio; }
    if exponent == 2.0 { return ratio * ratio; }
    return select(0.0, pow(ratio, exponent), ratio > 0.0);
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
{{ scalars("x", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
{% if kind == "draw" %}
@group(0) @binding(3) var<storage, read> step: array<u32>;
{% endif %}
{% if second %}
/// Winners, or means.
@group(0) @binding({% if kind == "draw" %}4{% else %}3{% endif %}) var<storage, read_write> beside: array<f32>;
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
    var best = 0.0;
    var tap = -1.0;
{% call each_cell() %}
                let value = x_element(at);
                if tap < 0.0 || is_better(value, best) {
                    best = value;
                    tap = f32(tap_of(i, j, k));
                }
{% endcall %}
    y[index] = best;
{% if second %}
    beside[index] = tap;
{% endif %}
{% elif kind == "average" %}
    var sum = 0.0;
{% call each_cell() %}
                sum += x_element(at);
{% endcall %}
    y[index] = sum / divisor(depth, height, width);
{% elif kind == "draw" %}
    var total = 0.0;
{% call each_cell() %}
                total += positive(x_element(at));
{% endcall %}
    let windows = (place.depth * params.out_height + place.height) * params.out_width + place.width;
    let number = (place.outer * params.inner + place.inner) * size + windows;
    let words = philox(vec4<u32>(number >> 2u, step[0], 1u, 0u), vec2<u32>(params.seed, params.stream));
    let threshold = f32(words[number & 3u] >> 8u) * 0x1p-24f * total;
    let is_sum = is_finite(total);
    var best = 0.0;
    var tap = -1.0;
    var running = 0.0;
{% call each_cell() %}
                let value = x_element(at);
                running += positive(value);
                if select(tap < 0.0 || is_better(value, best), tap < 0.0 && running > threshold, is_sum) {
                    best = value;
                    tap = f32(tap_of(i, j, k));
                }
{% endcall %}
    y[index] = best;
{% if second %}
    beside[index] = tap;
{% endif %}
{% else %}
    var largest = 0.0;
{% call each_cell() %}
{% if kind == "lp" %}
                let size = abs(x_element(at));
{% else %}
                let size = positive(x_element(at));
{% endif %}
                largest = select(largest, size, is_better(size, largest));
{% endcall %}
    // Zero, infinite or not a number: the result is that.
    let whole = largest > 0.0 && is_finite(largest);
    var sum = 0.0;
{% if kind == "lp" %}
{% call each_cell() %}
                sum += power(abs(x_element(at)) / largest, P);
{% endcall %}
    y[index] = select(largest, largest * power(sum, 1.0 / P), whole);
{% else %}
    var squares = 0.0;
{% call each_cell() %}
                let share = positive(x_element(at)) / largest;
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
{% elif entry == "grad_input" %}
{% if kind == "average" %}
{{ scalars("dy", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
{% elif kind == "lp" %}
@group(0) @binding(1) var<storage, read> x: array<f32>;
{{ scalars("y", 2, texture) }}
{{ scalars("dy", 3, texture) }}
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
{% elif kind == "weighted" %}
@group(0) @binding(1) var<storage, read> x: array<f32>;
{{ scalars("y", 2, texture) }}
{{ scalars("mean", 3, texture) }}
{{ scalars("dy", 4, texture) }}
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
{% else %}
{{ scalars("winner", 1, texture) }}
{{ scalars("dy", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.outer * params.in_depth * params.in_height * params.in_width * params.inner {
        return;
    }
    let place = place_of(index, params.in_depth, params.in_height, params.in_width);
    var sum = 0.0;
{% call each_window(most_depth, most_height, most_width) %}
{% if kind == "average" %}
                let depth = span_of(depth_axis(), i.x);
                let height = span_of(height_axis(), j.x);
                sum += dy_element(at) / divisor(depth, height, span_of(width_axis(), k.x));
{% elif kind == "lp" %}
                let norm = y_element(at);
                sum += select(0.0, dy_element(at) * power(abs(x[index]) / norm, P - 1.0), norm != 0.0);
{% elif kind == "weighted" %}
                let shares = vec2(x[index] - y_element(at), x[index]) / mean_element(at);
                sum += dy_element(at) * (shares.x + shares.y);
{% else %}
                let tap = f32(tap_of(i.y, j.y, k.y));
                sum += select(0.0, dy_element(at), winner_element(at) == tap);
{% endif %}
{% endcall %}
{% if kind == "lp" %}
    dx[index] = select(sum, -sum, x[index] < 0.0);
{% elif kind == "weighted" %}
    dx[index] = select(0.0, sum / kernel_taps(), x[index] > 0.0);
{% else %}
    dx[index] = sum;
{% endif %}
}
{% else %}
/// Cells are numbered through all planes, each with its rows in turn; else by themselves.
override WHOLE: bool = false;
/// Neighbours along the first axis have neighbouring numbers, not those along the last.
override COLUMN_MAJOR: bool = false;

@group(0) @binding(1) var<storage, read> winner: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices_of: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn indices(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.outer * params.out_depth * params.out_height * params.out_width {
        return;
    }
    let place = place_of(index, params.out_depth, params.out_height, params.out_width);
    let column = div_rem(u32(winner[index]), params.kernel_width);
    let row = div_rem(column.x, params.kernel_height);
    let i = cell_of(depth_axis(), span_of(depth_axis(), place.depth), row.x);
    let j = cell_of(height_axis(), span_of(height_axis(), place.height), row.y);
    let k = cell_of(width_axis(), span_of(width_axis(), place.width), column.y);
    var cell = (i * params.in_height + j) * params.in_width + k;
    if COLUMN_MAJOR {
        cell = i + params.in_depth * (j + params.in_height * k);
    }
    if WHOLE {
        cell += place.outer * params.in_depth * params.in_height * params.in_width;
    }
    indices_of[index] = cell;
}
{% endif %}
