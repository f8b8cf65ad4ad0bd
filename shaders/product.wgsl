// Products over the middle axis of a view [outer, length, inner], and their gradient.
//   forward:    y[o, i] = product over a of x[o, a, i]
//   grad_input: dx[o, a, i] = dy[o, i] * product over b other than a of x[o, b, i], without a division, so that it is
//               right where elements are 0: products of what stands before are stored, then multiplied by those of what
//               stands behind.
// One invocation computes a row. Memory traffic: forward reads each element once; grad_input reads it twice, writes dx
// twice and reads it once. No barriers.
// Preconditions: 2 * (length + 1) <= 65,535 (lavapipe's limit of loop iterations).
// Needs common/grid.wgsl, common/divide.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    length: u32,
    inner: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
{% if entry == "forward" %}
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
{% else %}
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let row = div_rem(index, params.inner);
    if row.x >= params.outer {
        return;
    }
    let start = row.x * params.length * params.inner + row.y;
    // The text hides that the bound is a uniform, since lavapipe could compile loops anew for it.
    let length = min(params.length, arrayLength(&x));
{% if entry == "forward" %}
    var product = 1.0;
    for (var n = 0u; n < length; n += 1u) {
        product *= x[start + n * params.inner];
    }
    y[index] = product;
{% else %}
    var before = dy[index];
    for (var n = 0u; n < length; n += 1u) {
        dx[start + n * params.inner] = before;
        before *= x[start + n * params.inner];
    }
    var behind = 1.0;
    for (var n = length; n > 0u; n -= 1u) {
        let element = start + (n - 1u) * params.inner;
        dx[element] *= behind;
        behind *= x[element];
    }
{% endif %}
}
