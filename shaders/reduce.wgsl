// Channel sums over a view [outer, channels, inner], and their gradient.
//   y[c] = scale * sum over o, i of x[o, c, i]        dx[o, c, i] = scale * dy[c]
// in two stages, without barriers and in a fixed order:
//   partial_sums: one invocation adds one lane's elements of a channel (see common/channel.wgsl), in order. With a
//                 single lane this is the whole sum, and it is scaled.
//   finish:       one invocation adds a channel's partial sums, in order, and scales.
//   broadcast:    one invocation computes one element of dx; `lanes` is not used.
// Memory traffic: partial_sums reads 4 bytes an element and writes 4 a lane; finish reads those; broadcast writes 4
// bytes an element. No barriers.
// Preconditions: 1 <= lanes <= outer * inner, lanes <= 65,535, and at most 65,535 elements a lane (the limit of loop
// iterations on lavapipe).
// Needs common/grid.wgsl, common/divide.wgsl, common/channel.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    channels: u32,
    inner: u32,
    lanes: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
/// [channels, lanes]
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;
@group(0) @binding(1) var<storage, read> lane_sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn partial_sums(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.channels * params.lanes {
        return;
    }
    let view = ChannelView(params.outer, params.channels, params.inner, params.lanes);
    let lane = lane_of(view, index);
    var cursor = lane.first;
    var sum = 0.0;
    for (var n = 0u; n < lane.length; n += 1u) {
        sum += x[cursor.address];
        cursor = next_element(view, cursor, lane.step);
    }
    partial[lane.slot] = sum * select(1.0, params.scale, params.lanes == 1u);
}

@compute @workgroup_size(WORKGROUP)
fn finish(at: Invocation) {
    let channel = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if channel >= params.channels {
        return;
    }
    var sum = 0.0;
    for (var lane = 0u; lane < params.lanes; lane += 1u) {
        sum += lane_sums[channel * params.lanes + lane];
    }
    y[channel] = sum * params.scale;
}

@compute @workgroup_size(WORKGROUP)
fn broadcast(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.outer * params.channels * params.inner {
        return;
    }
    let channel = div_rem(div_rem(index, params.inner).x, params.channels).y;
    dx[index] = dy[channel] * params.scale;
}
