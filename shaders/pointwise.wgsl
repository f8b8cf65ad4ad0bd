// Functions of single elements: y = f(x, ...), one or several after the other, of tensors of one shape, of values that each
// channel has one of, and of single values.
//
// Maths: the links of common/chain.wgsl, whose functions stand in common/functions.wgsl and the two that it names.
// One invocation computes {{ each }} times {{ "one element" if form == "elements" else "four elements" }}, far enough from one another that neighbours work side by side:
//   flat      no operand belongs to a channel: any elements
//   channels  channels are the last axis, in fours
//   planes    a channel's elements lie together, in fours
//   elements  they do, but not in fours; or none belongs to a channel, and the planes of a sum are no fours
// Elements past `count` in the last four lie in the buffer's padding and are computed harmlessly.
// Memory traffic: every operand of the result's shape once, the result once; of other operands one value an
// invocation. No barriers. `start` is what the chain begins with: nothing, what is `stored` in y, or the `sum` of planes of
// the result's elements that lie one after the other, added in order: then the traffic is that of all planes, too.
// `own`: the operand, counted from 1, that y holds at first, or 0.
// Operands come from buffers or from copies in textures (common/read.wgsl).
// `omma bench ops --filter "add +" --variants` on two cores of a CPU (lavapipe, AVX2), 16 x 64 planes of 56 x 56: 5.3 ms through
// textures, 7.5 from buffers, where a copy moved 3.2 GB/s: 2.3 times and 1.6 times that. Eight elements an invocation in a
// loop took the pointwise kernels of `omma profile efficientnet_b0 --training` from 178 to 153 ms, against four in the text
// (medians of interleaved runs). Not timed on a GPU.
// Preconditions. Of a sum, the elements of a plane are a number of fours but for `elements`; and since a software adapter
// (lavapipe) silently ends the loops of an invocation after 65,535 iterations in all, {{ each }} * (1 + planes) is at most that.
// Needs common/grid.wgsl, common/divide.wgsl, common/texture.wgsl, common/read.wgsl, common/functions.wgsl and what that
// needs, common/chain.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    /// Fours of the result; for `elements` its elements.
    count: u32,
    /// Of `channels`, fours of channels. Of `planes` and `elements`, what a row of one channel holds; of `flat` unused.
    columns: u32,
    /// How far an invocation's elements are from one another; of `planes` and `elements` within a row.
    step: u32,
    channels: u32,
    planes: u32,
}

{% set by_rows = form == "planes" or form == "elements" %}
{% set element = "f32" if form == "elements" else "vec4<f32>" %}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<{{ element }}>;
{% for operand in operands %}
{% set name = "values" ~ loop.index0 %}
{% set binding = loop.index if own and loop.index > own else loop.index + 1 %}
{% if loop.index == own %}
fn {{ name }}_at(index: u32) -> vec4<f32> { return vec4<f32>(y[index]); }
{% elif form == "elements" or (operand.channel and form == "planes") %}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<f32>;
fn {{ name }}_at(index: u32) -> vec4<f32> { return vec4({{ name }}[index]); }
{% else %}
{{ fours(name, binding, operand.texture) }}
{% endif %}
{% endfor %}
{% if start == "sum" %}
@group(0) @binding({{ 2 + operands | length }}) var<storage, read> parts: array<{{ element }}>;
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
{% if by_rows %}
    let place = div_rem(index, params.step);
    let row = place.x * params.columns;
    if row >= params.count { return; }
    let end = row + params.columns;
    let start = row + place.y;
    let channel = div_rem(place.x, params.channels).y;
{% else %}
    let end = params.count;
    let start = index;
    if index >= params.step { return; }
{% if form == "channels" %}
    let channel = div_rem(index, params.columns).y;
{% endif %}
{% endif %}
{% for operand in operands %}
{% if operand.channel %}
    let operand{{ loop.index0 }} = values{{ loop.index0 }}_at(channel);
{% elif operand.scalar %}
    let operand{{ loop.index0 }} = vec4(values{{ loop.index0 }}_at(0u).x);
{% endif %}
{% endfor %}
    var element = start;
    for (var turn = 0u; turn < {{ each }}u; turn++) {
        if element >= end { break; }
{% if start == "sum" %}
        var before = {{ element }}();
        // As `bound` of common/conv2d.wgsl.
        let planes = min(params.planes, arrayLength(&parts));
        for (var plane = 0u; plane < planes; plane++) {
            before += parts[plane * params.count + element];
        }
{% elif start == "stored" %}
        let before = y[element];
{% else %}
        let before = {{ element }}();
{% endif %}
        let value = chain({{ "vec4(before)" if form == "elements" else "before" }}
            {%- for operand in operands %}, {{ "operand" ~ loop.index0 if operand.channel or operand.scalar else "values" ~ loop.index0 ~ "_at(element)" }}{% endfor %});
        y[element] = value{{ ".x" if form == "elements" }};
        element += params.step;
    }
}
