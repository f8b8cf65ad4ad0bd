// Channel sums over views [groups, outer, channels, inner], and their gradient.
//   y[g, c] = scale * sum over o, i of x[g, o, c, i]        dx[g, o, c, i] = scale * dy[g, c]
// in two stages, without barriers and in a fixed order:
//   partial_sums: one invocation adds one lane's elements of a channel (see common/channel.wgsl), in order. With a
//                 single lane this is the whole sum, and it is scaled.
//   finish:       one invocation adds a channel's partial sums, in order, and scales.
//   broadcast:    one invocation computes one element of dx, or a vec4; `lanes` is not used.
// Forms:
//   elements  any view
//   planes    inner is a number of fours, which an invocation adds as such, and at last the four sums
//   channels  inner is 1, channels are a number of fours: an invocation works on four channels
// Memory traffic: partial_sums reads 4 bytes an element and writes 4 a lane; finish reads those; broadcast writes 4
// bytes an element. No barriers.
// `omma bench ops --filter "global avg pool" --variants` on two cores of a CPU (lavapipe, AVX2), the means of 16 x 64 planes of
// 56 x 56: 0.9 ms in `planes` through a texture, 12.3 from a buffer, 2.9 in `elements` through a texture; `channels`, whose image
// was brought into that layout first, took 3.2 of 9.1. Not timed on a GPU.
// Preconditions: 1 <= lanes <= outer * inner, lanes <= 65,535, and at most 65,535 elements, or fours, a lane (the limit of
// loop iterations on lavapipe).
// Needs common/grid.wgsl, common/divide.wgsl, common/channel.wgsl, common/texture.wgsl, common/read.wgsl,
// common/functions.wgsl, common/chain.wgsl, common/epilogue.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    groups: u32,
    outer: u32,
    /// Of `channels`, fours of channels.
    channels: u32,
    /// Of `planes`, in fours.
    inner: u32,
    lanes: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;

{% set element = "f32" if form == "elements" else "vec4<f32>" %}
{% set result = "vec4<f32>" if form == "channels" else "f32" %}
{% if entry == "partial_sums" %}
{% if form == "elements" %}
{{ scalars("x", 1, texture) }}
{% else %}
{{ fours("x", 1, texture) }}
{% endif %}
/// [groups, channels, lanes]
@group(0) @binding(2) var<storage, read_write> partial: array<{{ result }}>;

fn total(sum: {{ element }}) -> {{ result }} {
    return {{ "(sum.x + sum.y) + (sum.z + sum.w)" if form == "planes" else "sum" }};
}

@compute @workgroup_size(WORKGROUP)
fn partial_sums(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let of_group = params.channels * params.lanes;
    let place = div_rem(index, of_group);
    if place.x >= params.groups {
        return;
    }
    let view = ChannelView(params.outer, params.channels, params.inner, params.lanes);
    let lane = lane_of(view, place.y);
    var cursor = lane.first;
    cursor.address += place.x * params.outer * params.channels * params.inner;
    var sum = {{ element }}();
    for (var n = 0u; n < lane.length; n += 1u) {
        sum += {{ "x_element" if form == "elements" else "x_at" }}(cursor.address);
{% if form == "channels" %}
        cursor.address += lane.step.address;
{% else %}
        cursor = next_element(view, cursor, lane.step);
{% endif %}
    }
    partial[place.x * of_group + lane.slot] = total(sum) * select(1.0, params.scale, params.lanes == 1u);
}
{% elif entry == "finish" %}
@group(0) @binding(1) var<storage, read> lane_sums: array<{{ result }}>;
@group(0) @binding(2) var<storage, read_write> y: array<{{ result }}>;

@compute @workgroup_size(WORKGROUP)
fn finish(at: Invocation) {
    let channel = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if channel >= params.groups * params.channels {
        return;
    }
    var sum = {{ result }}();
    for (var lane = 0u; lane < params.lanes; lane += 1u) {
        sum += lane_sums[channel * params.lanes + lane];
    }
    y[channel] = sum * params.scale;
}
{% else %}
{% if form == "channels" %}
{{ fours("dy", 1, texture) }}
{% else %}
{{ scalars("dy", 1, texture) }}
{% endif %}
@group(0) @binding(2) var<storage, read_write> dx: array<{{ element }}>;
{{ finishing(1 if form == "elements" else 4) }}

@compute @workgroup_size(WORKGROUP)
fn broadcast(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let row = div_rem(index, params.inner).x;
    let place = div_rem(row, params.channels);
    let group = div_rem(place.x, params.outer).x;
    if group >= params.groups {
        return;
    }
    let gradient = {{ "dy_at" if form == "channels" else "dy_element" }}(group * params.channels + place.y);
    dx[index] = finished({{ element }}(gradient * params.scale), index);
}
{% endif %}
