// Concatenation along one axis, one part at a time: whole [outer, total], part [outer, length], the axes from the joined one
// on taken together.
//   place:   whole[o, offset + l] = part[o, l]   (the rest of whole is left as it is)
//   extract: part[o, l] = whole[o, offset + l]   (its gradient; also a slice or a split)
// One invocation moves one element or, in the form `fours`, where length, offset and total are numbers of them, a four: they
// are given in that unit. Memory traffic: 8 bytes an element of the part. No barriers.
// Precondition: offset + length <= total. Needs common/grid.wgsl, common/divide.wgsl, common/texture.wgsl, common/read.wgsl,
// common/functions.wgsl, common/chain.wgsl, common/epilogue.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    length: u32,
    offset: u32,
    total: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
{% if form == "fours" %}
{{ fours("x", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
{% else %}
{{ scalars("x", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
{% endif %}
{{ finishing(4 if form == "fours" else 1) }}

@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let row = div_rem(index, params.length).x;
    if row >= params.outer {
        return;
    }
    let whole = index + row * (params.total - params.length) + params.offset;
{% set to, from = ("whole", "index") if entry == "place" else ("index", "whole") %}
    y[{{ to }}] = finished({{ "x_at" if form == "fours" else "x_element" }}({{ from }}), {{ to }});
}
