// Softmax cross-entropy of logits x [rows, classes] against labels [rows], and the share of right answers.
//   forward:    loss[r] = log(sum over k of exp(x[r, k] - m)) - (x[r, label] - m), m = max over k of x[r, k]
//   grad_input: dx[r, k] = dloss (softmax(x[r])[k] - [k == label]) / rows, for the cotangent of the MEAN loss
//   correct:    1 where the label is the first of the largest logits, else 0 (also where a logit is not a number)
// A label >= classes makes the row's loss and gradient not-a-number, and it is not correct.
// Variants:
//   forward, grad_input, correct: one invocation a row; no barriers. Legal for 3 * (classes + 1) <= 65,535 (lavapipe's
//   limit of loop iterations, loop exits counted).
//   forward_workgroup, grad_input_workgroup: one workgroup a row (it reduces by a tree of fixed order in workgroup
//   memory; barriers in uniform control flow). Legal for 3 * ceil(classes / WORKGROUP) <= 65,000.
// Memory traffic, bytes an element: forward 8 (4 of them likely cached), grad_input 16 (8 likely cached), correct 4.
// Precondition: WORKGROUP is a power of two. Needs common/grid.wgsl, common/tree.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    rows: u32,
    classes: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
/// [rows]: the loss, or for `correct` 1 or 0.
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
/// [1]: the cotangent of the mean loss.
@group(0) @binding(3) var<storage, read> dloss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

/// From a variable: WGSL refuses a constant expression that is not a number.
fn not_a_number() -> f32 {
    var bits = 0x7fc00000u;
    return bitcast<f32>(bits);
}

// The loops below run over the classes first, first + step, ...: all of them, or one invocation's share.

fn maximum_of(start: u32, first: u32, step: u32) -> f32 {
    // An invocation without a share repeats the last class, which changes no maximum.
    var largest = x[start + min(first, params.classes - 1u)];
    for (var k = first; k < params.classes; k += step) {
        largest = max(largest, x[start + k]);
    }
    return largest;
}

fn exponentials_of(start: u32, first: u32, step: u32, largest: f32) -> f32 {
    var sum = 0.0;
    for (var k = first; k < params.classes; k += step) {
        sum += exp(x[start + k] - largest);
    }
    return sum;
}

fn loss_of(row: u32, largest: f32, sum: f32) -> f32 {
    let label = labels[row];
    if label >= params.classes {
        return not_a_number();
    }
    return log(sum) - (x[row * params.classes + label] - largest);
}

fn write_gradient(row: u32, first: u32, step: u32, largest: f32, sum: f32) {
    let start = row * params.classes;
    let label = labels[row];
    var factor = dloss[0] / f32(params.rows);
    if label >= params.classes {
        factor = not_a_number();
    }
    for (var k = first; k < params.classes; k += step) {
        let probability = exp(x[start + k] - largest) / sum;
        dx[start + k] = factor * (probability - select(0.0, 1.0, k == label));
    }
}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let row = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if row >= params.rows {
        return;
    }
    let start = row * params.classes;
    let largest = maximum_of(start, 0u, 1u);
    y[row] = loss_of(row, largest, exponentials_of(start, 0u, 1u, largest));
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let row = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if row >= params.rows {
        return;
    }
    let start = row * params.classes;
    let largest = maximum_of(start, 0u, 1u);
    write_gradient(row, 0u, 1u, largest, exponentials_of(start, 0u, 1u, largest));
}

@compute @workgroup_size(WORKGROUP)
fn forward_workgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_workgroup(group, groups);
    if row >= params.rows {
        return;
    }
    let start = row * params.classes;
    let largest = tree_maximum(maximum_of(start, local, WORKGROUP), local);
    let sum = tree_sum(exponentials_of(start, local, WORKGROUP, largest), local);
    if local == 0u {
        y[row] = loss_of(row, largest, sum);
    }
}

@compute @workgroup_size(WORKGROUP)
fn grad_input_workgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_workgroup(group, groups);
    if row >= params.rows {
        return;
    }
    let start = row * params.classes;
    let largest = tree_maximum(maximum_of(start, local, WORKGROUP), local);
    let sum = tree_sum(exponentials_of(start, local, WORKGROUP, largest), local);
    write_gradient(row, local, WORKGROUP, largest, sum);
}

@compute @workgroup_size(WORKGROUP)
fn correct(at: Invocation) {
    let row = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if row >= params.rows {
        return;
    }
    let start = row * params.classes;
    let label = labels[row];
    let own = x[start + min(label, params.classes - 1u)];
    var largest = label < params.classes;
    for (var k = 0u; k < params.classes; k += 1u) {
        let other = x[start + k];
        largest &= select(own >= other, own > other, k < label);
    }
    y[row] = select(0.0, 1.0, largest);
}
