// The sums of a batch normalisation over channels-last images, or matrices: [rows, C], C a multiple of 4.
//
// The maths is that of batch_norm.wgsl. One invocation takes four channels of every `lanes`-th row; with one lane it writes
// the result, with several its part, which merge or grad_merge put together: a second stage, in a fixed order.
// Statistics are by Welford's recurrence within a lane and Chan's between lanes, both on differences from a first value.
//
// Memory traffic, bytes an element: statistics 4, grad_sums 8. No barriers. `omma bench ops --filter "batch norm training between"`
// times them as they are in networks; workgroups of 8, and not of 64, which is often one workgroup and so one core, took the
// statistics of `omma profile resnet18-64 --training` from 4.6 to 3.5 ms and the gradients' sums from 5.9 to 5.7 on two cores
// of a CPU (lavapipe, AVX2) that shared their time with others.
// Preconditions: 1 <= lanes <= rows, at most 65,535 rows a lane (the limit of loop iterations on lavapipe).
// Needs common/grid.wgsl, common/divide.wgsl, common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    rows: u32,
    /// Fours of channels.
    quads: u32,
    lanes: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
{% if entry == "statistics" %}
// x -> mean and variance, or a part: [lanes, quads] of them, the second the sum of squared deviations
{{ fours("x", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> second: array<vec4<f32>>;
{% elif entry == "grad_sums" %}
// x, mean, variance, dy -> dgamma and dbeta, or a part
{{ fours("x", 1, texture) }}
@group(0) @binding(2) var<storage, read> mean: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> variance: array<vec4<f32>>;
{{ fours("dy", 4, texture) }}
@group(0) @binding(5) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> second: array<vec4<f32>>;
{% else %}
// parts -> whole
@group(0) @binding(1) var<storage, read> first_parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> second_parts: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> second: array<vec4<f32>>;
{% endif %}

/// Rows of a lane.
fn length_of(lane: u32) -> u32 {
    return div_rem(params.rows - lane + params.lanes - 1u, params.lanes).x;
}

/// Lane (x) and four of channels (y) of an invocation.
fn place_of(at: Invocation) -> vec2<u32> {
    return div_rem(flat_workgroup(at.group, at.groups) * WORKGROUP + at.local, params.quads);
}

{% if entry == "statistics" %}
@compute @workgroup_size(WORKGROUP)
fn statistics(at: Invocation) {
    let place = place_of(at);
    if place.x >= params.lanes { return; }
    let length = length_of(place.x);
    let step = params.lanes * params.quads;
    var address = place.x * params.quads + place.y;
    let pivot = x_at(address);
    var average = vec4<f32>();
    var squares = vec4<f32>();
    for (var n = 1u; n <= length; n += 1u) {
        let difference = x_at(address) - pivot;
        let deviation = difference - average;
        average += deviation * (1.0 / f32(n));
        squares += deviation * (difference - average);
        address += step;
    }
    let slot = place.x * params.quads + place.y;
    first[slot] = pivot + average;
    second[slot] = squares{% if whole %} / f32(params.rows){% endif %};
}
{% elif entry == "merge" %}
@compute @workgroup_size(WORKGROUP)
fn merge(at: Invocation) {
    let place = place_of(at);
    if place.x > 0u { return; }
    let pivot = first_parts[place.y];
    // Of the lanes so far: rows, mean of the differences from the pivot, squared deviations.
    var count = 0.0;
    var average = vec4<f32>();
    var squares = vec4<f32>();
    for (var lane = 0u; lane < params.lanes; lane += 1u) {
        let slot = lane * params.quads + place.y;
        let length = f32(length_of(lane));
        let deviation = (first_parts[slot] - pivot) - average;
        let share = length / (count + length);
        average += deviation * share;
        squares += second_parts[slot] + deviation * deviation * count * share;
        count += length;
    }
    first[place.y] = pivot + average;
    second[place.y] = squares / count;
}
{% elif entry == "grad_sums" %}
@compute @workgroup_size(WORKGROUP)
fn grad_sums(at: Invocation) {
    let place = place_of(at);
    if place.x >= params.lanes { return; }
    let length = length_of(place.x);
    let step = params.lanes * params.quads;
    let slot = place.x * params.quads + place.y;
    let center = mean[place.y];
    var address = slot;
    // The factor 1 / deviation is common to the sum of dy xhat: it is applied at the end.
    var dgamma = vec4<f32>();
    var dbeta = vec4<f32>();
    for (var n = 0u; n < length; n += 1u) {
        let cotangent = dy_at(address);
        dgamma += cotangent * (x_at(address) - center);
        dbeta += cotangent;
        address += step;
    }
    first[slot] = dgamma * inverseSqrt(variance[place.y] + params.epsilon);
    second[slot] = dbeta;
}
{% else %}
@compute @workgroup_size(WORKGROUP)
fn grad_merge(at: Invocation) {
    let place = place_of(at);
    if place.x > 0u { return; }
    var dgamma = vec4<f32>();
    var dbeta = vec4<f32>();
    for (var lane = 0u; lane < params.lanes; lane += 1u) {
        dgamma += first_parts[lane * params.quads + place.y];
        dbeta += second_parts[lane * params.quads + place.y];
    }
    first[place.y] = dgamma;
    second[place.y] = dbeta;
}
{% endif %}
