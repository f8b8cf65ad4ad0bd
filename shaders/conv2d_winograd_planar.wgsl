// The transforms of conv2d_winograd.wgsl over planar images, for GPUs, f32. Needs common/grid.wgsl, common/divide.wgsl,
// common/transforms.wgsl, common/functions.wgsl and common/chain.wgsl.
//
// The 36 matrix products between them are one 1x1 convolution in 36 groups, forward or its gradient of the weight, over an
// image of one row whose pixels are tiles (conv2d_pointwise.wgsl or conv2d_tiled.wgsl, and conv2d_tiled_weight.wgsl, in f32):
//
//   entry point   one invocation           reads                        writes
//   weights       a filter of one channel  9 taps                       36 elements of u [36, O, C]
//   image         a tile of one channel    6x6 elements of the image    36 elements of v [36, C, tiles]
//   results       a tile of one channel    36 elements of m [36, O, tiles]
//                                                                       4x4 elements of y, and what follows
//   gradients     a tile of one channel    4x4 elements of dy           36 elements of z [36, O, tiles]
//   filters       a filter of one channel  36 elements of s [36, O, C]  9 taps of dw; of a call that goes on, added
//
// Neighbouring invocations have neighbouring tiles, or channels of one filter, so that the 36 elements of each are read and
// written side by side. Images are [N, C, H, W], the weight is [O, C, KH, KW]. For the gradient of the input the image is dy,
// the columns are the channels of x, and `weights` turns the filters round.
//
// Accuracy and what becomes of an infinity: as conv2d_winograd.wgsl.
//
// Not timed on a GPU: it stands behind the plain sums there, for `--tune` to choose. On a CPU it has no use.
//
// Memory traffic: the image 36/16 times, written and read, and so the results. No workgroup memory, no barriers. A training
// step keeps the transformed image of the forward pass for the gradient of the weight, where one call does for it.
//
// Preconditions. A 3x3 kernel, stride 1, no dilation, no groups; element counts are below 2^30.

{% set side = 4 if entry == "gradients" else 6 %}
override WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
{% for operand in operands %}
@group(0) @binding({{ loop.index0 + 3 }}) var<storage, read> values{{ loop.index0 }}: array<f32>;
{% endfor %}

{% if entry == "weights" %}
@compute @workgroup_size(WORKGROUP)
fn weights(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let place = div_rem(index, params.depth);
    if place.x >= params.columns { return; }
{% for i in range(3) %}
{% for j in range(3) %}
{% if transposed %}
    let g{{ i }}{{ j }} = source[9u * (place.y * params.columns + place.x) + {{ 8 - 3 * i - j }}u];
{% else %}
    let g{{ i }}{{ j }} = source[9u * index + {{ 3 * i + j }}u];
{% endif %}
{% endfor %}
{% endfor %}
{% for j in range(3) %}
{{ g("t", "g", j) }}
{% endfor %}
{% for i in range(6) %}
{{ g("u" ~ i, "t" ~ i, "") }}
{% for j in range(6) %}
    result[{{ 6 * i + j }}u * params.columns * params.depth + index] = u{{ i }}{{ j }};
{% endfor %}
{% endfor %}
}
{% elif entry == "image" or entry == "gradients" %}
{% set transform = a if entry == "gradients" else bt %}
@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let place = div_rem(index, params.tiles);
    let tile = tile_at(params.first + place.y);
    if place.x >= params.depth || tile.x >= params.batch { return; }
    // Above and left of the image a position wraps round to a huge number.
    let top = 4u * tile.y - params.pad_top;
    let left = 4u * tile.z - params.pad_left;
    let plane = tile.x * params.depth + place.x;
{% for i in range(side) %}
    let line{{ i }} = (plane * params.height + top + {{ i }}u) * params.width + left;
    let seen{{ i }} = top + {{ i }}u < params.height;
{% endfor %}
{% for j in range(side) %}
    let inside{{ j }} = left + {{ j }}u < params.width;
{% for i in range(side) %}
    let see{{ i }}{{ j }} = seen{{ i }} && inside{{ j }};
    let d{{ i }}{{ j }} = select(0.0, source[select(0u, line{{ i }} + {{ j }}u, see{{ i }}{{ j }})], see{{ i }}{{ j }});
{% endfor %}
{{ transform("t", "d", j) }}
{% endfor %}
{% for i in range(6) %}
{{ transform("v" ~ i, "t" ~ i, "") }}
{% for j in range(6) %}
    result[{{ 6 * i + j }}u * params.depth * params.tiles + index] = v{{ i }}{{ j }};
{% endfor %}
{% endfor %}
}
{% elif entry == "filters" %}
@compute @workgroup_size(WORKGROUP)
fn filters(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let count = params.depth * params.columns;
    if index >= count { return; }
{% for j in range(6) %}
{% for i in range(6) %}
    let s{{ i }}{{ j }} = source[{{ 6 * i + j }}u * count + index];
{% endfor %}
{{ gt("t", "s", j) }}
{% endfor %}
{% for i in range(3) %}
{{ gt("g" ~ i, "t" ~ i, "") }}
{% for j in range(3) %}
    result[9u * index + {{ 3 * i + j }}u] {{ "+=" if more else "=" }} g{{ i }}{{ j }};
{% endfor %}
{% endfor %}
}
{% else %}
@compute @workgroup_size(WORKGROUP)
fn results(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let place = div_rem(index, params.tiles);
    let tile = tile_at(params.first + place.y);
    if place.x >= params.columns || tile.x >= params.batch { return; }
{% for j in range(6) %}
{% for i in range(6) %}
    let m{{ i }}{{ j }} = source[{{ 6 * i + j }}u * params.columns * params.tiles + index];
{% endfor %}
{{ at("t", "m", j) }}
{% endfor %}
{% for operand in operands %}
{% if operand.channel %}
    let operand{{ loop.index0 }} = vec4(values{{ loop.index0 }}[place.x]);
{% elif operand.scalar %}
    let operand{{ loop.index0 }} = vec4(values{{ loop.index0 }}[0]);
{% endif %}
{% endfor %}
    let left = 4u * tile.z;
{% for j in range(4) %}
    let inside{{ j }} = left + {{ j }}u < params.out_width;
{% endfor %}
{% for i in range(4) %}
    let row{{ i }} = 4u * tile.y + {{ i }}u;
    if row{{ i }} < params.out_height {
{{ at("y" ~ i, "t" ~ i, "") }}
        let line = ((tile.x * params.columns + place.x) * params.out_height + row{{ i }}) * params.out_width + left;
{% for j in range(4) %}
        let at{{ j }} = select(line, line + {{ j }}u, inside{{ j }});
{% endfor %}
{% for operand in operands %}
{% if not operand.channel and not operand.scalar %}
{% set values = "values" ~ loop.index0 %}
        let operand{{ loop.index0 }} = vec4({{ values }}[at0], {{ values }}[at1], {{ values }}[at2], {{ values }}[at3]);
{% endif %}
{% endfor %}
        let y{{ i }} = chain(vec4(y{{ i }}0, y{{ i }}1, y{{ i }}2, y{{ i }}3){% for operand in operands %}, operand{{ loop.index0 }}{% endfor %});
{% for j in range(4) %}
        if inside{{ j }} { result[at{{ j }}] = y{{ i }}.{{ "xyzw"[j] }}; }
{% endfor %}
    }
{% endfor %}
}
{% endif %}
