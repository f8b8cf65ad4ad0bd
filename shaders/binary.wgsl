// Elementwise arithmetic on tensors of one shape.
//   add: y = a + b    multiply: y = a b    copy: y = a
// One invocation computes 4 consecutive elements; elements past `count` in the last vector lie in the buffer's padding
// and are computed harmlessly.
// Memory traffic: 12 bytes an element with two operands, 8 for a copy. No barriers.
// Needs common/grid.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
/// The result of `copy`, which has no b.
@group(0) @binding(2) var<storage, read_write> result: array<vec4<f32>>;

/// The vector this invocation computes.
fn vector_index(at: Invocation) -> u32 {
    return flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
}

fn is_outside(index: u32) -> bool {
    return index * 4u >= params.count;
}

@compute @workgroup_size(WORKGROUP)
fn add(at: Invocation) {
    let index = vector_index(at);
    if is_outside(index) {
        return;
    }
    y[index] = a[index] + b[index];
}

@compute @workgroup_size(WORKGROUP)
fn multiply(at: Invocation) {
    let index = vector_index(at);
    if is_outside(index) {
        return;
    }
    y[index] = a[index] * b[index];
}

@compute @workgroup_size(WORKGROUP)
fn copy(at: Invocation) {
    let index = vector_index(at);
    if is_outside(index) {
        return;
    }
    result[index] = a[index];
}
