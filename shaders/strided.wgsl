// Elements of a box moved to other places: y[y_base + sum of i_k y_k] = x[x_base + sum of i_k x_k], where (i_k) runs over the
// extents of up to six axes, the innermost being axis 0. Transposes, slices, padding and joining are all this.
// An axis may be bounded (bit k of `bounded`): its position start_k + i_k step_k stands for i_k, and beyond limit_k there is
// nothing and the result is `fill`; or dilated too (bit k of `dilated`): only every dilation_k-th position has something, at
// position / dilation_k. Negative strides, starts and steps wrap around.
// One invocation moves one element (`elements`), one four where all strides, extents and bounds but those of axis 0 are
// numbers of them (`fours`: all are then given in fours), or the four elements that lie next to each other in y (`gathered`,
// where y is written from its begin to its end, `dense`: y_base = 0 and the y_k follow from the extents).
// Memory traffic: 8 bytes an element moved, more where neighbours of y are far apart in x. No barriers. Transposes do not go
// through workgroup memory, and no form was timed on a GPU. On two cores of a CPU (lavapipe, AVX2), 16 x 64 planes of 56 x
// 56 (omma bench ops): two halves joined in 9.2 ms, a transpose in 16.1, padding in 13.7.
// Preconditions: places of y are different ones; count < 2^30. Needs common/grid.wgsl, common/divide.wgsl,
// common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,
    fill: f32,
    x_base: u32,
    y_base: u32,
{% for axis in range(6) %}
    extent_{{ axis }}: u32,
    x_{{ axis }}: u32,
    y_{{ axis }}: u32,
    start_{{ axis }}: u32,
    step_{{ axis }}: u32,
    limit_{{ axis }}: u32,
    dilation_{{ axis }}: u32,
{% endfor %}
}

@group(0) @binding(0) var<uniform> params: Params;
{% if form == "fours" %}
{{ fours("x", 1, texture) }}
{% else %}
{{ scalars("x", 1, texture) }}
{% endif %}
@group(0) @binding(2) var<storage, read_write> y: array<{{ "f32" if form == "elements" else "vec4<f32>" }}>;

struct Place {
    x: u32,
    y: u32,
    inside: bool,
}

fn place_of(index: u32) -> Place {
    var x_place = params.x_base;
    var y_place = {{ "index" if dense else "params.y_base" }};
    var inside = true;
    var rest = index;
{% for axis in range(rank) %}
{% if loop.last %}
    let i{{ axis }} = rest;
{% else %}
    let split{{ axis }} = div_rem(rest, params.extent_{{ axis }});
    let i{{ axis }} = split{{ axis }}.y;
    rest = split{{ axis }}.x;
{% endif %}
{% if not dense %}
    y_place += i{{ axis }} * params.y_{{ axis }};
{% endif %}
{% set is_dilated = dilated // 2 ** axis % 2 == 1 %}
{% if bounded // 2 ** axis % 2 == 0 %}
    x_place += i{{ axis }} * params.x_{{ axis }};
{% else %}
    let position{{ axis }} = params.start_{{ axis }} + i{{ axis }} * params.step_{{ axis }};
{% if not is_dilated %}
    x_place += position{{ axis }} * params.x_{{ axis }};
    inside &= position{{ axis }} < params.limit_{{ axis }};
{% else %}
    // A negative position is no number that div_rem takes, but then the limit, of positions, says that nothing is there.
    let element{{ axis }} = div_rem(position{{ axis }} & 0x3fffffffu, params.dilation_{{ axis }});
    x_place += element{{ axis }}.x * params.x_{{ axis }};
    inside &= position{{ axis }} < params.limit_{{ axis }} && element{{ axis }}.y == 0u;
{% endif %}
{% endif %}
{% endfor %}
    return Place(x_place, y_place, inside);
}

{% macro moved(place, at) %}
{% if not bounded %}
x_{{ at }}({{ place }}.x)
{%- elif at == "at" %}
select(vec4(params.fill), x_at({{ place }}.x), {{ place }}.inside)
{%- else %}
select(params.fill, x_element({{ place }}.x), {{ place }}.inside)
{%- endif %}
{% endmacro %}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
{% if form == "gathered" %}
    if 4u * index >= params.count {
        return;
    }
    // The last four may have fewer elements.
{% for k in range(4) %}
    let place{{ k }} = place_of(min(4u * index + {{ k }}u, params.count - 1u));
{% endfor %}
    y[index] = vec4(
{% for k in range(4) %}
        {{ moved("place%d" | format(k), "element") }},
{% endfor %}
    );
{% else %}
    if index >= params.count {
        return;
    }
    let place = place_of(index);
    y[place.y] = {{ moved("place", "at" if form == "fours" else "element") }};
{% endif %}
}
