// The end of a batch normalisation's statistics where the kernel that computed x has left those of its tiles
// (common/moments.wgsl): x itself is not read again. Needs common/grid.wgsl.
//
//   mean = sum x / M     variance = sum (x - mean)^2 / M     over the M elements of a channel
//
// One workgroup does one channel: an invocation joins every WORKGROUP-th tile, then the invocations are joined as a tree, all
// in a fixed order. Joined are (elements, mean, sum of squared deviations) by Chan, Golub and LeVeque (1979), the means as
// differences from the first tile's: a mean that is large against the deviation costs no accuracy.
//
// Memory traffic: 8 bytes a tile and channel. One array in workgroup memory, one barrier a level of the tree.
// It has never been timed on a GPU, for which it is meant.
//
// Preconditions: WORKGROUP is a power of two; 1 <= M < 2^32; at most 65,535 - 8 tiles an invocation (the limit of loop
// iterations on lavapipe).

override WORKGROUP: u32 = 64u;

struct Params {
    channels: u32,
    tiles: u32,
    /// Elements of a tile, and of the last one, which may have fewer.
    length: u32,
    last: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [channels, tiles] of (mean, sum of squared deviations).
@group(0) @binding(1) var<storage, read> moments: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> batch_mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> batch_variance: array<f32>;

/// (elements, mean, sum of squared deviations) of each invocation.
var<workgroup> parts: array<vec3<f32>, WORKGROUP>;

fn joined(one: vec3<f32>, other: vec3<f32>) -> vec3<f32> {
    let count = one.x + other.x;
    // Either may be empty, or both.
    let share = other.x / max(count, 1.0);
    let deviation = other.y - one.y;
    return vec3(count, one.y + deviation * share, one.z + other.z + deviation * deviation * one.x * share);
}

@compute @workgroup_size(WORKGROUP)
fn merge(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = flat_workgroup(group, groups);
    if channel >= params.channels {
        return;
    }
    let start = channel * params.tiles;
    let pivot = moments[start].x;
    var part = vec3<f32>();
    for (var tile = lane; tile < params.tiles; tile += WORKGROUP) {
        let added = moments[start + tile];
        let length = select(params.length, params.last, tile == params.tiles - 1u);
        part = joined(part, vec3(f32(length), added.x - pivot, added.y));
    }
    parts[lane] = part;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        if lane < width {
            parts[lane] = joined(parts[lane], parts[lane + width]);
        }
        workgroupBarrier();
    }
    if lane == 0u {
        let whole = parts[0];
        batch_mean[channel] = pivot + whole.y;
        batch_variance[channel] = whole.z / whole.x;
    }
}
