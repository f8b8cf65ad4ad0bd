// Softmax over the classes of a view [outer, classes, inner]; a row is the classes of one (outer, inner) pair.
//   forward:    y[k] = exp(x[k] - max x) / sum over j of exp(x[j] - max x)
//   grad_input: dx[k] = y[k] (dy[k] - sum over j of y[j] dy[j])
// Variants:
//   serial:    one invocation a row; no barriers. Legal for 3 * (classes + 1) <= 65,535 (lavapipe's limit of loop
//              iterations, loop exits counted).
//   workgroup: one workgroup a row (it reduces by a tree of fixed order in workgroup memory; barriers in uniform control
//              flow), in the form `elements`. Legal for 3 * ceil(classes / WORKGROUP) <= 65,000.
// Forms:
//   along     inner is 1, classes are a number of fours
//   across    inner is a number of fours: an invocation takes four rows side by side
//   elements  any view
// Memory traffic, bytes an element: forward 16 (12 of them likely cached), grad_input 20 (12 of them likely cached).
// On two cores of a CPU (lavapipe, AVX2), 4096 rows of 1000, ms forward and gradient (omma bench ops --filter "softmax ["
// --variants): workgroup 103 and 97; serial by elements through textures 17.7 and 19.7, by fours from buffers 51 and 65,
// through textures 9.9 and 9.2: 2.0 and 3.3 times what a copy moves. Not timed on a GPU.
// Precondition: WORKGROUP is a power of two. Needs common/grid.wgsl, common/divide.wgsl, common/tree.wgsl,
// common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    /// Of `along`, in fours.
    classes: u32,
    /// Of `across`, in fours.
    inner: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
{% set element = "f32" if form == "elements" else "vec4<f32>" %}
{% set of_row = "vec4<f32>" if form == "across" else "f32" %}
{% macro operand(name, binding) %}
{% if form == "elements" %}{{ scalars(name, binding, texture) }}{% else %}{{ fours(name, binding, texture) }}{% endif %}
{% endmacro %}
{% set at = "_element" if form == "elements" else "_at" %}
{% set first_operand = "x" if entry == "forward" else "output" %}
{{ operand(first_operand, 1) }}
{% if entry == "grad_input" %}
{{ operand("dy", 2) }}
{% endif %}
@group(0) @binding({{ 2 if entry == "forward" else 3 }}) var<storage, read_write> result: array<{{ element }}>;

/// How many elements a row has. The text hides that it is a uniform, since lavapipe could compile loops anew for it.
fn row_length() -> u32 {
    return min(params.classes, 4u * arrayLength(&result));
}

fn row_count() -> u32 {
    return params.outer * params.inner;
}

/// The address of a row's first element; the next follow at steps of `inner`.
fn row_start(row: u32) -> u32 {
    let place = div_rem(row, params.inner);
    return place.x * params.classes * params.inner + place.y;
}

/// The sum over a row, or over each of four.
fn total(sum: {{ element }}) -> {{ of_row }} {
    return {{ "(sum.x + sum.y) + (sum.z + sum.w)" if form == "along" else "sum" }};
}

// The loops below run over the elements first, first + step, ...: all of them, or one invocation's share.

{% if entry == "forward" %}
fn maximum_of(start: u32, first: u32, step: u32) -> {{ of_row }} {
    let length = row_length();
    // An invocation without a share repeats the last element, which changes no maximum.
    var largest = x{{ at }}(start + min(first, length - 1u) * params.inner);
    for (var k = first; k < length; k += step) {
        largest = max(largest, x{{ at }}(start + k * params.inner));
    }
    return {{ "max(max(largest.x, largest.y), max(largest.z, largest.w))" if form == "along" else "largest" }};
}

fn exponentials_of(start: u32, first: u32, step: u32, largest: {{ of_row }}) -> {{ of_row }} {
    let length = row_length();
    var sum = {{ element }}();
    for (var k = first; k < length; k += step) {
        sum += exp(x{{ at }}(start + k * params.inner) - largest);
    }
    return total(sum);
}

fn write_softmax(start: u32, first: u32, step: u32, largest: {{ of_row }}, sum: {{ of_row }}) {
    let length = row_length();
    for (var k = first; k < length; k += step) {
        let place = start + k * params.inner;
        result[place] = exp(x{{ at }}(place) - largest) / sum;
    }
}
{% else %}
fn product_of(start: u32, first: u32, step: u32) -> {{ of_row }} {
    let length = row_length();
    var sum = {{ element }}();
    for (var k = first; k < length; k += step) {
        let place = start + k * params.inner;
        sum += output{{ at }}(place) * dy{{ at }}(place);
    }
    return total(sum);
}

fn write_gradient(start: u32, first: u32, step: u32, product: {{ of_row }}) {
    let length = row_length();
    for (var k = first; k < length; k += step) {
        let place = start + k * params.inner;
        result[place] = output{{ at }}(place) * (dy{{ at }}(place) - product);
    }
}
{% endif %}

{% if rows == "serial" %}
@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(at: Invocation) {
    let row = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if row >= row_count() {
        return;
    }
    let start = row_start(row);
{% if entry == "forward" %}
    let largest = maximum_of(start, 0u, 1u);
    let sum = exponentials_of(start, 0u, 1u, largest);
    write_softmax(start, 0u, 1u, largest, sum);
{% else %}
    write_gradient(start, 0u, 1u, product_of(start, 0u, 1u));
{% endif %}
}
{% else %}
@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_workgroup(group, groups);
    if row >= row_count() {
        return;
    }
    let start = row_start(row);
{% if entry == "forward" %}
    let largest = tree_maximum(maximum_of(start, local, WORKGROUP), local);
    let sum = tree_sum(exponentials_of(start, local, WORKGROUP, largest), local);
    write_softmax(start, local, WORKGROUP, largest, sum);
{% else %}
    let product = tree_sum(product_of(start, local, WORKGROUP), local);
    write_gradient(start, local, WORKGROUP, product);
{% endif %}
}
{% endif %}
