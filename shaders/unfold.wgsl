// Windows along one axis side by side: x [outer, channels, length, inner], y [outer, positions, channels, taps, inner].
//   unfold: y[n, p, c, t, i]  = x[n, c, p*stride + t*dilation - pad, i], 0 where that place lies outside of x
//   fold:   dx[n, c, l, i]    = sum over p and t with p*stride + t*dilation - pad = l of dy[n, p, c, t, i]   (its gradient)
// With one tap and as many positions as the axis is long it exchanges channels and axis; with a dilation of 0 it repeats.
// What follows a fold (common/chain.wgsl) is computed before a result is stored.
// One invocation makes one element of the result or, in the form `fours`, where inner is a number of them, a four. Memory
// traffic: 4 bytes read and 4 written an element of y by unfold; 4 read an element of dy and 4 written an element of dx by
// fold, which adds in the order of the taps. No barriers.
// Preconditions: element counts are below 2^30, (length + pad) and (taps - 1) * dilation too, stride is at least 1, and taps
// are at most 65,535. Needs common/grid.wgsl, common/divide.wgsl, common/texture.wgsl, common/read.wgsl, common/functions.wgsl
// and common/chain.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,
    channels: u32,
    length: u32,
    inner: u32,
    positions: u32,
    taps: u32,
    stride: u32,
    dilation: u32,
    pad: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
{% if form == "fours" %}
{{ fours("source", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> result: array<vec4<f32>>;
{% else %}
{{ scalars("source", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
{% endif %}
{% for operand in operands %}
{% if operand.channel or form != "fours" %}
{{ scalars("values" ~ loop.index0, loop.index0 + 3, operand.texture) }}
{% else %}
{{ fours("values" ~ loop.index0, loop.index0 + 3, operand.texture) }}
{% endif %}
{% endfor %}
{% set element, at = ("vec4<f32>", "source_at") if form == "fours" else ("f32", "source_element") %}

@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    if index >= params.count {
        return;
    }
    let row = div_rem(index, params.inner);
{% if entry == "unfold" %}
    let tap = div_rem(row.x, params.taps);
    let channel = div_rem(tap.x, params.channels);
    let position = div_rem(channel.x, params.positions);
    // Before the axis the place wraps round to a huge number: one test serves both ends.
    let place = position.y * params.stride + tap.y * params.dilation - params.pad;
    let seen = place < params.length;
    let line = (position.x * params.channels + channel.y) * params.length + select(0u, place, seen);
    result[index] = select({{ element }}(), {{ at }}(line * params.inner + row.y), seen);
{% else %}
    let place = div_rem(row.x, params.length);
    let channel = div_rem(place.x, params.channels);
    var sum = {{ element }}();
    // Never less than the taps: visibly a uniform it would have lavapipe compile the loop anew at every dispatch.
    let taps = min(params.taps, {{ "4u * texels(textureDimensions(source))" if texture else "arrayLength(&source)" }});
    for (var tap = 0u; tap < taps; tap++) {
        // A distance below 0 wraps round to a huge number.
        let distance = place.y + params.pad - tap * params.dilation;
        if distance <= place.y + params.pad {
            let position = div_rem(distance, params.stride);
            if position.y == 0u && position.x < params.positions {
                let line = ((channel.x * params.positions + position.x) * params.channels + channel.y) * params.taps + tap;
                sum += {{ at }}(line * params.inner + row.y);
            }
        }
    }
{% for operand in operands %}
{% if operand.channel %}
    let operand{{ loop.index0 }} = vec4(values{{ loop.index0 }}_element(channel.y));
{% elif form == "fours" %}
    let operand{{ loop.index0 }} = values{{ loop.index0 }}_at(index);
{% else %}
    let operand{{ loop.index0 }} = vec4(values{{ loop.index0 }}_element(index));
{% endif %}
{% endfor %}
    let value = chain({{ "sum" if form == "fours" else "vec4(sum)" }}{% for operand in operands %}, operand{{ loop.index0 }}{% endfor %});
    result[index] = value{{ ".x" if form != "fours" }};
{% endif %}
}
