// Numbers as another element type: y = x, elementwise.
//   to f32: exact up to 2^24.
//   to u32: the fraction is dropped; what is negative, not-a-number or at least 2^32 becomes 2^32 - 1.
// One invocation converts one element. Memory traffic: 8 bytes an element. No barriers. Needs common/grid.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
{% if to == "u32" %}
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
{% else %}
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.count {
        return;
    }
    let value = x[index];
{% if to == "u32" %}
    // A comparison with not-a-number need not be false: its bits are seen as an integer's, and in these the numbers from 0
    // on are in order and what is none of them, or negative, comes behind. Only -0 is 0 nevertheless.
    let bits = bitcast<u32>(value);
    let known = bits < 0x4f800000u || bits == 0x80000000u;
    y[index] = select(0xffffffffu, u32(select(0.0, value, known)), known);
{% else %}
    y[index] = f32(value);
{% endif %}
}
