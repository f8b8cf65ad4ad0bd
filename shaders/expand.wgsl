// Copies along axes: y[i0, i1, i2, i3, i4] = x[i0 * stride0 + ... + i4 * stride4], f32, where the stride of a copied axis
// is 0. What has fewer axes has extents of 1 in front.
//
// One invocation computes {{ "one element" if form == "elements" else "four elements" }} of y:
//   elements  any
//   rows      the last axis is not copied: it, and all other strides, are numbers of fours, which both sides count in
//   copies    the last axis is copied, a number of fours, which y counts in
// Memory traffic: x once for every copy, of `copies` a fourth of that, y once. No barriers.
// On two cores of a CPU (lavapipe, AVX2) 64 numbers become 16 x 64 planes of 56 x 56 in 12.6 ms (omma bench ops --filter
// expand): 0.65 of what a copy moves, which need not only write. Not timed on a GPU.
// Preconditions: fewer than 2^30 {{ "elements" if form == "elements" else "fours" }}.
// Needs common/grid.wgsl, common/divide.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,
    extent1: u32,
    extent2: u32,
    extent3: u32,
    extent4: u32,
    stride0: u32,
    stride1: u32,
    stride2: u32,
    stride3: u32,
    stride4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<{{ "vec4<f32>" if form == "rows" else "f32" }}>;
@group(0) @binding(2) var<storage, read_write> y: array<{{ "f32" if form == "elements" else "vec4<f32>" }}>;

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.count { return; }
    let i4 = div_rem(index, params.extent4);
    let i3 = div_rem(i4.x, params.extent3);
    let i2 = div_rem(i3.x, params.extent2);
    let i1 = div_rem(i2.x, params.extent1);
    let source = i1.x * params.stride0 + i1.y * params.stride1 + i2.y * params.stride2 + i3.y * params.stride3
        + i4.y * params.stride4;
    y[index] = {{ "vec4(x[source])" if form == "copies" else "x[source]" }};
}
