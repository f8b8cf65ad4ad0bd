// Softmax cross-entropy of logits x [rows, classes] against labels [rows], and the share of right answers.
//   forward:    loss[r] = log(sum over k of exp(x[r, k] - m)) - (x[r, label] - m), m = max over k of x[r, k]
//   grad_input: dx[r, k] = dloss (softmax(x[r])[k] - [k == label]) / rows, for the cotangent dloss of the MEAN loss
//   correct:    1 where the label is the first of the largest logits, else 0 (also where a logit is not a number)
// A label >= classes makes the row's loss and gradient not-a-number, and it is not correct.
// With `gradient`, forward writes dx as well, for a dloss of 1: the exponentials are then computed for both.
// Variants:
//   serial:    one invocation a row; no barriers. Legal for 3 * (classes + 1) <= 65,535 (lavapipe's limit of loop
//              iterations, loop exits counted).
//   together:  one workgroup takes all rows, an invocation one after the other, and gives their mean; barriers at the end.
//              Legal for 3 * (classes + 2) * ceil(rows / WORKGROUP) <= 65,535.
//   workgroup: one workgroup a row (it reduces by a tree of fixed order in workgroup memory; barriers in uniform control
//              flow). Legal for 3 * ceil(classes / WORKGROUP) <= 65,000. Not for correct.
// Forms: `fours` for classes that are a number of fours, else `elements`.
// Memory traffic, bytes an element: forward 8 (4 of them likely cached), grad_input 16 (8 likely cached), correct 4.
// On two cores of a CPU (lavapipe, AVX2), 4096 rows of 1000, ms of the mean loss, and with its gradient (omma bench ops
// --filter "softmax cross" --variants): workgroup 79 and 115; serial by elements through a texture 8.9 and 24, by fours from
// a buffer 32 and 53, through a texture 3.6 and 9.8: 2.8 and 2.1 times what a copy moves. Not timed on a GPU.
// Precondition: WORKGROUP is a power of two. Needs common/grid.wgsl, common/nan.wgsl, common/tree.wgsl,
// common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    rows: u32,
    /// Of the form `fours`, in fours.
    classes: u32,
}

{% set forward = entry == "forward" %}
{% set element = "vec4<f32>" if form == "fours" else "f32" %}
@group(0) @binding(0) var<uniform> params: Params;
{{ both("x", 1, form != "fours", texture) }}
@group(0) @binding(2) var<storage, read> labels: array<u32>;
{% if entry == "grad_input" %}
/// [1]: the cotangent of the mean loss.
@group(0) @binding(3) var<storage, read> dloss: array<f32>;
{% else %}
/// [rows]: the loss, or for `correct` 1 or 0; `together`, [1]: their mean.
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
{% endif %}
{% if gradient %}
@group(0) @binding(4) var<storage, read_write> dx: array<{{ element }}>;
{% endif %}

{% set at = "x_at" if form == "fours" else "x_element" %}

/// How many elements a row has. The text hides that it is a uniform, since lavapipe could compile loops anew for it.
fn row_length() -> u32 {
{% if texture %}
    return min(params.classes, 4u * texels(textureDimensions(x)));
{% else %}
    return min(params.classes, arrayLength(&x));
{% endif %}
}

/// Whether an element of a row, or each of a four, has the label's number.
fn class_of(k: u32) -> {{ "vec4<u32>" if form == "fours" else "u32" }} {
    return {{ "4u * k + vec4<u32>(0u, 1u, 2u, 3u)" if form == "fours" else "k" }};
}

{% set classes = "(4u * params.classes)" if form == "fours" else "params.classes" %}

{% if entry == "correct" %}
fn of_row(row: u32, local: u32) -> f32 {
    let start = row * params.classes;
    let label = labels[row];
    let own = {{ element }}(x_element(row * {{ classes }} + min(label, {{ classes }} - 1u)));
    let length = row_length();
    var largest = label < {{ classes }};
    for (var k = 0u; k < length; k += 1u) {
        let other = {{ at }}(start + k);
        largest &= all(select(own >= other, own > other, class_of(k) < {{ "vec4(label)" if form == "fours" else "label" }}));
    }
    return select(0.0, 1.0, largest);
}
{% else %}
// The loops below run over the elements first, first + step, ...: all of them, or one invocation's share.

fn maximum_of(start: u32, first: u32, step: u32) -> f32 {
    let length = row_length();
    // An invocation without a share repeats the last element, which changes no maximum.
    var largest = {{ at }}(start + min(first, length - 1u));
    for (var k = first; k < length; k += step) {
        largest = max(largest, {{ at }}(start + k));
    }
    return {{ "max(max(largest.x, largest.y), max(largest.z, largest.w))" if form == "fours" else "largest" }};
}

fn exponentials_of(start: u32, first: u32, step: u32, largest: f32) -> f32 {
    let length = row_length();
    var sum = {{ element }}();
    for (var k = first; k < length; k += step) {
        sum += exp({{ at }}(start + k) - largest);
    }
    return {{ "(sum.x + sum.y) + (sum.z + sum.w)" if form == "fours" else "sum" }};
}

{% if gradient %}
fn write_gradient(row: u32, first: u32, step: u32, largest: f32, sum: f32) {
    let start = row * params.classes;
    let label = labels[row];
    var factor = {{ "1.0" if forward else "dloss[0]" }} / f32(params.rows);
    if label >= {{ classes }} {
        factor = not_a_number();
    }
    let length = row_length();
    for (var k = first; k < length; k += step) {
        let probability = exp({{ at }}(start + k) - largest) / sum;
        let expected = select({{ element }}(), {{ element }}(1.0), class_of(k) == {{ "vec4(label)" if form == "fours" else "label" }});
        dx[start + k] = factor * (probability - expected);
    }
}
{% endif %}

/// The loss of a row; its gradient is written.
fn of_row(row: u32, local: u32) -> f32 {
    let start = row * params.classes;
{% if rows == "workgroup" %}
    let step = WORKGROUP;
    let largest = tree_maximum(maximum_of(start, local, step), local);
    let sum = tree_sum(exponentials_of(start, local, step, largest), local);
{% else %}
    let step = 1u;
    let largest = maximum_of(start, local, step);
    let sum = exponentials_of(start, local, step, largest);
{% endif %}
{% if gradient %}
    write_gradient(row, local, step, largest, sum);
{% endif %}
    let label = labels[row];
    if label >= {{ classes }} {
        return not_a_number();
    }
    return log(sum) - (x_element(row * {{ classes }} + label) - largest);
}
{% endif %}

{% if rows == "serial" %}
@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(at: Invocation) {
    let row = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if row < params.rows {
        {{ "_" if entry == "grad_input" else "y[row]" }} = of_row(row, 0u);
    }
}
{% elif rows == "together" %}
@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(@builtin(local_invocation_index) local: u32) {
    let rows = min(params.rows, arrayLength(&labels));
    var sum = 0.0;
    for (var row = local; row < rows; row += WORKGROUP) {
        sum += of_row(row, 0u);
    }
    let all_rows = tree_sum(sum, local);
    if local == 0u {
        y[0] = all_rows / f32(rows);
    }
}
{% else %}
@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_workgroup(group, groups);
    if row >= params.rows {
        return;
    }
    let loss = of_row(row, local);
{% if forward %}
    if local == 0u {
        y[row] = loss;
    }
{% endif %}
}
{% endif %}
