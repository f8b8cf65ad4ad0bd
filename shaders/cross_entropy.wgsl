// Losses of x [outer, classes, inner] against labels [outer, inner], example by example, and their gradient.
//   expected: q[c] = weight[c] * ((1 - smoothing) * [c == label] + smoothing / classes)
//   forward:  loss = sum over c of q[c] * (log(sum over k of exp(x[k] - m)) - (x[c] - m)), m the largest x;
//             of logarithms of probabilities: loss = -(sum over c of q[c] * x[c]);
//             counted = weight[label]
//   grad_input: dx[c] = dloss * (Q * softmax(x)[c] - q[c]), Q the sum of q; of logarithms of probabilities -dloss * q[c]
// Without weights they are 1. An ignored label makes loss, counted and dx zero; another label that is no class makes them
// not-a-number.
// Variants:
//   serial:    one invocation an example or, in the form `across`, four; no barriers. Legal for 3 * (classes + 1) <= 65,535
//              (lavapipe's limit of loop iterations, loop exits counted).
//   workgroup: one workgroup an example (it reduces by a tree of fixed order in workgroup memory; barriers in uniform
//              control flow), in the form `elements`. Legal for 3 * ceil(classes / WORKGROUP) <= 65,000.
// Forms:
//   along     inner is 1, classes are a number of fours
//   across    inner is a number of fours: four examples side by side
//   elements  any
// Memory traffic: forward reads x twice; of logarithms of probabilities once, without smoothing one element; grad_input
// three times, and of logarithms nothing, and writes it once. Caches hold a row of few classes.
// On two cores of a CPU (lavapipe, AVX2), 4096 rows of 1000, smoothed, ms of the loss, and with its gradient (omma bench ops
// --filter smoothed --variants): serial by elements through a texture 8.1 and 36, by fours from a buffer 35 and 95, through
// a texture 4.3 and 13.4: 2.0 and 1.3 times what a copy moves. `workgroup` is for GPUs, where nothing was timed.
// Precondition: WORKGROUP is a power of two. Needs common/grid.wgsl, common/divide.wgsl, common/nan.wgsl, common/tree.wgsl,
// common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    /// Of `along`, in fours.
    classes: u32,
    /// Of `across`, in fours.
    inner: u32,
    ignored: u32,
    smoothing: f32,
}

{% set along = form == "along" %}
{% set across = form == "across" %}
{% set element = "f32" if form == "elements" else "vec4<f32>" %}
{% set of_row = "vec4<f32>" if across else "f32" %}
{% set label_of_row = "vec4<u32>" if across else "u32" %}
{% set of_class = "vec4<f32>" if along else "f32" %}
{% set classes = "(4u * params.classes)" if along else "params.classes" %}
@group(0) @binding(0) var<uniform> params: Params;
{{ both("x", 1, form == "elements", texture) }}
{% set at = "x_element" if form == "elements" else "x_at" %}
@group(0) @binding(2) var<storage, read> labels: array<{{ label_of_row }}>;
{% if weighted %}
@group(0) @binding(3) var<storage, read> weights: array<{{ of_class }}>;
{% endif %}
{% set next = 4 if weighted else 3 %}
{% if entry == "forward" %}
@group(0) @binding({{ next }}) var<storage, read_write> loss: array<{{ of_row }}>;
@group(0) @binding({{ next + 1 }}) var<storage, read_write> counted: array<{{ of_row }}>;
{% else %}
@group(0) @binding({{ next }}) var<storage, read> dloss: array<{{ of_row }}>;
@group(0) @binding({{ next + 1 }}) var<storage, read_write> dx: array<{{ element }}>;
{% endif %}

/// How many elements a row has, of `along` how many fours. The text hides that it is a uniform, since lavapipe could compile
/// loops anew for it.
fn row_length() -> u32 {
    return min(params.classes, {{ "4u * texels(textureDimensions(x))" if texture else "arrayLength(&x)" }});
}

/// The sum over a row's classes, or over those of each of four.
fn total(sum: {{ element }}) -> {{ of_row }} {
    return {{ "(sum.x + sum.y) + (sum.z + sum.w)" if along else "sum" }};
}

/// The weight of a class, or of four.
fn weight_of(k: u32) -> {{ of_class }} {
    return {{ "weights[k]" if weighted else of_class ~ "(1.0)" }};
}

/// The weight of an example's own class.
fn own_weight(own: {{ label_of_row }}) -> {{ of_row }} {
{% if not weighted %}
    return {{ of_row }}(1.0);
{% elif along %}
    return weights[own / 4u][own % 4u];
{% elif across %}
    return vec4(weights[own.x], weights[own.y], weights[own.z], weights[own.w]);
{% else %}
    return weights[own];
{% endif %}
}

/// What an example has for its own class.
fn own_x(start: u32, own: {{ label_of_row }}) -> {{ of_row }} {
{% if along %}
    return x_element(4u * start + own);
{% elif across %}
    let at = start + own * params.inner;
    return vec4(x_at(at.x).x, x_at(at.y).y, x_at(at.z).z, x_at(at.w).w);
{% else %}
    return x_element(start + own * params.inner);
{% endif %}
}

/// Whether a class, or each of four, is the example's own, or that of each of four examples.
fn is_own(k: u32, own: {{ label_of_row }}) -> {{ "bool" if form == "elements" else "vec4<bool>" }} {
    return {{ "4u * k + vec4(0u, 1u, 2u, 3u) == vec4(own)" if along else label_of_row ~ "(k) == own" }};
}

{% if logits %}
/// Over the elements first, first + step, ...: all of them, or one invocation's share.
fn largest_of(start: u32, first: u32, step: u32) -> {{ of_row }} {
    let length = row_length();
    // An invocation without a share repeats the last element, which changes no maximum.
    var largest = {{ at }}(start + min(first, length - 1u) * params.inner);
    for (var k = first; k < length; k += step) {
        largest = max(largest, {{ at }}(start + k * params.inner));
    }
    return {{ "max(max(largest.x, largest.y), max(largest.z, largest.w))" if along else "largest" }};
}
{% endif %}

{% set together = rows == "workgroup" %}
@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
{% if together %}
    let index = flat_workgroup(group, groups);
    let first = local;
    let step = WORKGROUP;
{% else %}
    let index = flat_workgroup(group, groups) * WORKGROUP + local;
    let first = 0u;
    let step = 1u;
{% endif %}
    let place = div_rem(index, params.inner);
    if place.x >= params.outer {
        return;
    }
    let start = place.x * params.classes * params.inner + place.y;
    let length = row_length();
    let label = labels[index];
    let is_class = label < {{ label_of_row }}({{ classes }});
    let own = min(label, {{ label_of_row }}({{ classes }} - 1u));
{% if ignores %}
    let counts = label != {{ label_of_row }}(params.ignored);
{% endif %}
    let sharp = (1.0 - params.smoothing) * own_weight(own);
    let part = params.smoothing / f32({{ classes }});
{% set sums_x = smooth and entry == "forward" %}
{% set sums_weights = smooth and weighted and logits %}
{% if logits %}
    let largest = {{ "tree_maximum(largest_of(start, first, step), local)" if together else "largest_of(start, first, step)" }};
    var exponentials = {{ element }}();
{% endif %}
{% if sums_x %}
    var weighted_x = {{ element }}();
{% endif %}
{% if sums_weights %}
    var class_weights = {{ of_class }}();
{% endif %}
{% if logits or sums_x %}
    for (var k = first; k < length; k += step) {
        let below = {{ at }}(start + k * params.inner){{ " - largest" if logits }};
{% if logits %}
        exponentials += exp(below);
{% endif %}
{% if sums_x %}
        weighted_x += part * weight_of(k) * below;
{% endif %}
{% if sums_weights %}
        class_weights += weight_of(k);
{% endif %}
    }
{% endif %}
{% if logits %}
    let sum = {{ "tree_sum(exponentials, local)" if together else "total(exponentials)" }};
{% if smooth %}
    let all_weights = {{ "f32(" ~ classes ~ ")" if not weighted else "tree_sum(class_weights, local)" if together else "(class_weights.x + class_weights.y) + (class_weights.z + class_weights.w)" if along else "class_weights" }};
{% endif %}
{% endif %}
{% if sums_x %}
    let part_of_x = {{ "tree_sum(weighted_x, local)" if together else "total(weighted_x)" }};
{% endif %}
{% if entry == "forward" %}
{% if logits %}
    let scale = log(sum);
    var value = sharp * (scale - (own_x(start, own) - largest));
{% if smooth %}
    // Nothing cancels: the first is not negative, the second not positive.
    value += part * all_weights * scale - part_of_x;
{% endif %}
{% else %}
    var value = -sharp * own_x(start, own);
{% if smooth %}
    value -= part_of_x;
{% endif %}
{% endif %}
    let nothing = {{ of_row }}(not_a_number());
    value = select(nothing, value, is_class);
    let weight = select(nothing, own_weight(own), is_class);
    if first == 0u {
        loss[index] = {{ "select(" ~ of_row ~ "(), value, counts)" if ignores else "value" }};
        counted[index] = {{ "select(" ~ of_row ~ "(), weight, counts)" if ignores else "weight" }};
    }
{% else %}
    let factor = select({{ of_row }}(not_a_number()), dloss[index], is_class);
{% if logits %}
    let expected_in_all = sharp{{ " + part * all_weights" if smooth }};
{% endif %}
    for (var k = first; k < length; k += step) {
        let element = start + k * params.inner;
        let expected = part * weight_of(k) + select({{ element }}(), {{ element }}(sharp), is_own(k, own));
{% if logits %}
        let wrong = expected_in_all * (exp({{ at }}(element) - largest) / sum) - expected;
{% else %}
        let wrong = -expected;
{% endif %}
        dx[element] = {{ "select(" ~ element ~ "(), factor * wrong, " ~ ("vec4(counts)" if along else "counts") ~ ")" if ignores else "factor * wrong" }};
    }
{% endif %}
}
