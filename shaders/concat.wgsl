// Concatenation along one axis, one part at a time: whole [outer, total, inner], part [outer, length, inner].
//   place:   whole[o, offset + l, i] = part[o, l, i]   (the rest of whole is left as it is)
//   extract: part[o, l, i] = whole[o, offset + l, i]   (its gradient; also a slice or a split)
// One invocation moves one element. Memory traffic: 8 bytes an element of the part. No barriers.
// Precondition: offset + length <= total. Needs common/grid.wgsl, common/divide.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    length: u32,
    offset: u32,
    total: u32,
    inner: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

/// Where an element of the part lies in the whole.
fn whole_index(index: u32) -> u32 {
    let row = div_rem(index, params.length * params.inner).x;
    return index + (row * (params.total - params.length) + params.offset) * params.inner;
}

@compute @workgroup_size(WORKGROUP)
fn place(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.outer * params.length * params.inner {
        return;
    }
    y[whole_index(index)] = x[index];
}

@compute @workgroup_size(WORKGROUP)
fn extract(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.outer * params.length * params.inner {
        return;
    }
    y[index] = x[whole_index(index)];
}
