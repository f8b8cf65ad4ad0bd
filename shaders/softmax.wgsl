// Softmax over the classes of a view [outer, classes, inner]; a row is the classes of one (outer, inner) pair.
//   forward:    y[k] = exp(x[k] - max x) / sum over j of exp(x[j] - max x)
//   grad_input: dx[k] = y[k] (dy[k] - sum over j of y[j] dy[j])
// Variants:
//   forward, grad_input: one invocation a row; no barriers. Legal for 3 * (classes + 1) <= 65,535 (lavapipe's limit of
//   loop iterations, loop exits counted).
//   forward_workgroup, grad_input_workgroup: one workgroup a row (it reduces by a tree of fixed order in workgroup
//   memory; barriers in uniform control flow). Legal for 3 * ceil(classes / WORKGROUP) <= 65,000.
// Memory traffic, bytes an element: forward 16 (12 of them likely cached), grad_input 20 (12 of them likely cached).
// Precondition: WORKGROUP is a power of two. Needs common/grid.wgsl, common/tree.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    classes: u32,
    inner: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> output: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

fn row_count() -> u32 {
    return params.outer * params.inner;
}

/// The address of a row's first class; the next classes follow at steps of `inner`.
fn row_start(row: u32) -> u32 {
    let o = row / params.inner;
    return o * params.classes * params.inner + (row - o * params.inner);
}

// The loops below run over the classes first, first + step, ...: all of them, or one invocation's share.

fn maximum_of(start: u32, first: u32, step: u32) -> f32 {
    // An invocation without a share repeats the last class, which changes no maximum.
    var largest = x[start + min(first, params.classes - 1u) * params.inner];
    for (var k = first; k < params.classes; k += step) {
        largest = max(largest, x[start + k * params.inner]);
    }
    return largest;
}

fn exponentials_of(start: u32, first: u32, step: u32, largest: f32) -> f32 {
    var sum = 0.0;
    for (var k = first; k < params.classes; k += step) {
        sum += exp(x[start + k * params.inner] - largest);
    }
    return sum;
}

fn write_softmax(start: u32, first: u32, step: u32, largest: f32, sum: f32) {
    for (var k = first; k < params.classes; k += step) {
        let at = start + k * params.inner;
        y[at] = exp(x[at] - largest) / sum;
    }
}

fn product_of(start: u32, first: u32, step: u32) -> f32 {
    var sum = 0.0;
    for (var k = first; k < params.classes; k += step) {
        let at = start + k * params.inner;
        sum += output[at] * dy[at];
    }
    return sum;
}

fn write_gradient(start: u32, first: u32, step: u32, product: f32) {
    for (var k = first; k < params.classes; k += step) {
        let at = start + k * params.inner;
        dx[at] = output[at] * (dy[at] - product);
    }
}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let row = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if row >= row_count() {
        return;
    }
    let start = row_start(row);
    let largest = maximum_of(start, 0u, 1u);
    let sum = exponentials_of(start, 0u, 1u, largest);
    write_softmax(start, 0u, 1u, largest, sum);
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let row = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if row >= row_count() {
        return;
    }
    let start = row_start(row);
    write_gradient(start, 0u, 1u, product_of(start, 0u, 1u));
}

@compute @workgroup_size(WORKGROUP)
fn forward_workgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_workgroup(group, groups);
    if row >= row_count() {
        return;
    }
    let start = row_start(row);
    let largest = tree_maximum(maximum_of(start, local, WORKGROUP), local);
    let sum = tree_sum(exponentials_of(start, local, WORKGROUP, largest), local);
    write_softmax(start, local, WORKGROUP, largest, sum);
}

@compute @workgroup_size(WORKGROUP)
fn grad_input_workgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_workgroup(group, groups);
    if row >= row_count() {
        return;
    }
    let start = row_start(row);
    let product = tree_sum(product_of(start, local, WORKGROUP), local);
    write_gradient(start, local, WORKGROUP, product);
}
