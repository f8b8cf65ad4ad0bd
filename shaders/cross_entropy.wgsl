// Losses of x [outer, classes, inner] against labels [outer, inner], example by example, and their gradient.
//   expected: q[c] = weight[c] * ((1 - smoothing) * [c == label] + smoothing / classes)
//   forward:  loss = sum over c of q[c] * (log(sum over k of exp(x[k] - m)) - (x[c] - m)), m the largest x;
//             of logarithms of probabilities: loss = -(sum over c of q[c] * x[c]);
//             counted = weight[label]
//   grad_input: dx[c] = dloss * (Q * softmax(x)[c] - q[c]), Q the sum of q; of logarithms of probabilities -dloss * q[c]
// Without weights they are 1. An ignored label makes loss, counted and dx zero; another label that is no class makes them
// not-a-number.
// One invocation computes an example. Memory traffic: forward reads x once to three times (caches hold a row of few
// classes), grad_input three times, and writes it once. No barriers.
// Preconditions: 4 * (classes + 1) <= 65,535 (lavapipe's limit of loop iterations).
// Needs common/grid.wgsl, common/divide.wgsl, common/nan.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    classes: u32,
    inner: u32,
    ignored: u32,
    smoothing: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
{% if weighted %}
@group(0) @binding(3) var<storage, read> weights: array<f32>;
fn weight_of(k: u32) -> f32 { return weights[k]; }
{% else %}
fn weight_of(k: u32) -> f32 { return 1.0; }
{% endif %}
{% set next = 4 if weighted else 3 %}
{% if entry == "forward" %}
@group(0) @binding({{ next }}) var<storage, read_write> loss: array<f32>;
@group(0) @binding({{ next + 1 }}) var<storage, read_write> counted: array<f32>;
{% else %}
@group(0) @binding({{ next }}) var<storage, read> dloss: array<f32>;
@group(0) @binding({{ next + 1 }}) var<storage, read_write> dx: array<f32>;
{% endif %}

{% if logits %}
fn largest_of(start: u32) -> f32 {
    var largest = x[start];
    for (var k = 1u; k < params.classes; k += 1u) {
        largest = max(largest, x[start + k * params.inner]);
    }
    return largest;
}

fn exponentials_of(start: u32, largest: f32) -> f32 {
    var sum = 0.0;
    for (var k = 0u; k < params.classes; k += 1u) {
        sum += exp(x[start + k * params.inner] - largest);
    }
    return sum;
}
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let place = div_rem(index, params.inner);
    if place.x >= params.outer {
        return;
    }
    let start = place.x * params.classes * params.inner + place.y;
    let label = labels[index];
    let is_class = label < params.classes;
    let own = min(label, params.classes - 1u);
{% if ignores %}
    let counts = label != params.ignored;
{% else %}
    let counts = true;
{% endif %}
    let sharp = (1.0 - params.smoothing) * weight_of(own);
    let part = params.smoothing / f32(params.classes);
{% if logits %}
    let largest = largest_of(start);
    let sum = exponentials_of(start, largest);
{% endif %}
{% if entry == "forward" %}
{% if logits %}
    let scale = log(sum);
    var value = sharp * (scale - (x[start + own * params.inner] - largest));
{% else %}
    var value = -sharp * x[start + own * params.inner];
{% endif %}
{% if smooth %}
    for (var k = 0u; k < params.classes; k += 1u) {
        value += part * weight_of(k) * {{ "(scale - (x[start + k * params.inner] - largest))" if logits else "(-x[start + k * params.inner])" }};
    }
{% endif %}
    var weight = weight_of(own);
    if !is_class {
        value = not_a_number();
        weight = value;
    }
    loss[index] = select(0.0, value, counts);
    counted[index] = select(0.0, weight, counts);
{% else %}
    var factor = select(0.0, dloss[index], counts);
    if counts && !is_class {
        factor = not_a_number();
    }
{% if logits %}
    var total = sharp;
{% if smooth %}
    for (var k = 0u; k < params.classes; k += 1u) {
        total += part * weight_of(k);
    }
{% endif %}
{% endif %}
    for (var k = 0u; k < params.classes; k += 1u) {
        let element = start + k * params.inner;
        let expected = part * weight_of(k) + select(0.0, sharp, k == own);
{% if logits %}
        let wrong = total * (exp(x[element] - largest) / sum) - expected;
{% else %}
        let wrong = -expected;
{% endif %}
        dx[element] = {{ "select(0.0, factor * wrong, counts)" if ignores else "factor * wrong" }};
    }
{% endif %}
}
