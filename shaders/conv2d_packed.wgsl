// 2-d convolution of stride and dilation 1, f32, for adapters that run shaders on a CPU. Needs common/grid.wgsl,
// common/conv2d.wgsl, common/texture.wgsl and common/packed.wgsl, and operands packed by conv2d_pack.wgsl.
//
// The maths is that of conv2d.wgsl. On a CPU adapter a load from a buffer within a loop is a loop itself, over the lanes;
// a load from a texture is none, and brings four numbers. So both operands come packed, in textures: the image with its
// border of zeros, rows padded to fours; the weight with {{ rows }} output channels side by side. Four neighbours of a
// row meet all {{ kernel_width }} taps of a kernel's row within {{ span }} loads, and nothing is masked until the end.
//
// correlate    One invocation computes {{ rows }} channels of {{ quads }} times four neighbours of y: for each channel of x
//              and row of the kernel it loads {{ quads * span + kernel_width * rows // 4 }} fours for {{ rows * quads * kernel_width }} multiply-adds of fours. The input gradient
//              is the same with dy for x and the weight transposed.
// grad_weight  One invocation computes {{ rows }} output channels by the {{ kernel_width }} taps of one row of the kernel, over a slice of
//              the images' rows: for each four of dy's row it loads {{ rows + span }} fours for {{ rows * kernel_width }} multiply-adds of fours.
//              Slices go to planes of their own in `partial`, which sum_partials of conv2d.wgsl adds.
//
// No workgroup memory, no barriers. No compiler in the chain unrolls loops: the text is a template.
//
// Preconditions. Element counts, and invocations of a dispatch, are below 2^32. A software adapter (lavapipe) silently
// ends the loops of an invocation after 65,535 iterations in all, so there:
//   correlate    C * (1 + KH)                                <= 65,535
//   grad_weight  ceil(N*OH / splits) * (1 + ceil(OW / 4))    <= 65,535

override WORKGROUP: u32 = 16u;
const ROWS = {{ rows }}u;
const QUADS = {{ quads }}u;
const KERNEL_WIDTH = {{ kernel_width }}u;
{% set rows = range(rows) | list %}
{% set quads = range(quads) | list %}
{% set spans = range(span) | list %}
{% set taps = range(kernel_width) | list %}
{# The four pixels that tap k sees, out of the fours PREFIX0, PREFIX1 and so on. #}
{% macro window(prefix, k) -%}
vec4({% for i in range(k, k + 4) %}{{ prefix }}{{ i // 4 }}.{{ "xyzw"[i % 4] }}{{ ", " if not loop.last }}{% endfor %})
{%- endmacro %}

// correlate: y [N, O, OH, OW], or dx
@group(0) @binding(1) var packed_x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var packed_w: texture_storage_2d<rgba32float, read>;

// grad_weight: dy packed as an image without a border
@group(0) @binding(2) var packed_dy: texture_storage_2d<rgba32float, read>;

@compute @workgroup_size(WORKGROUP)
fn correlate(invocation: Invocation) {
    let out_quads = tiles(params.out_width, 4u);
    let out_plane = params.out_height * params.out_width;
    let pitch = packed_pitch();
    let lines = packed_lines();
    let depth = bound(params.in_channels, texels(textureDimensions(packed_w)));
    let kernel_height = bound(params.kernel_height, texels(textureDimensions(packed_w)));
    let count = params.batch * params.out_height * out_quads;
    let column_tiles = tiles(count, QUADS);
    let tile = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let first_quad = tile % column_tiles * QUADS;
    let first_row = tile / column_tiles * ROWS;
    if first_row >= params.out_channels { return; }
{% for q in quads %}
    // What a tile has too much is computed again and not stored.
    let quad{{ q }} = min(first_quad + {{ q }}u, count - 1u);
    let line{{ q }} = quad{{ q }} / out_quads;
    let n{{ q }} = line{{ q }} / params.out_height;
    let at{{ q }} = (n{{ q }} * params.in_channels * lines + line{{ q }} % params.out_height) * pitch + quad{{ q }} % out_quads;
{% endfor %}
{% for r in rows %}
    var start{{ r }} = 0.0;
    if HAS_BIAS { start{{ r }} = bias[min(first_row + {{ r }}u, params.out_channels - 1u)]; }
{% for q in quads %}
    var sum{{ r }}_{{ q }} = vec4(start{{ r }});
{% endfor %}
{% endfor %}

    var weight_at = tile / column_tiles * params.in_channels * params.kernel_height * KERNEL_WIDTH * (ROWS / 4u);
    var step = 0u;
    for (var c = 0u; c < depth; c++) {
        for (var ky = 0u; ky < kernel_height; ky++) {
{% for q in quads %}
{% for s in spans %}
            let x{{ q }}_{{ s }} = textureLoad(packed_x, texel(at{{ q }} + step + {{ s }}u));
{% endfor %}
{% endfor %}
{% for k in taps %}
{% for h in range(rows | length // 4) %}
            let w{{ k }}_{{ h }} = textureLoad(packed_w, texel(weight_at + {{ k * (rows | length) // 4 + h }}u));
{% endfor %}
{% for q in quads %}
            let seen{{ k }}_{{ q }} = {{ window("x" ~ q ~ "_", k) }};
{% for r in rows %}
            sum{{ r }}_{{ q }} = fma(vec4(w{{ k }}_{{ r // 4 }}.{{ "xyzw"[r % 4] }}), seen{{ k }}_{{ q }}, sum{{ r }}_{{ q }});
{% endfor %}
{% endfor %}
{% endfor %}
            step += pitch;
            weight_at += KERNEL_WIDTH * (ROWS / 4u);
        }
        step += (lines - params.kernel_height) * pitch;
    }

{% for q in quads %}
    if first_quad + {{ q }}u < count {
        let column = quad{{ q }} % out_quads * 4u;
        let into{{ q }} = (n{{ q }} * params.out_channels + first_row) * out_plane
            + line{{ q }} % params.out_height * params.out_width + column;
{% for r in rows %}
        if first_row + {{ r }}u < params.out_channels {
{% for l in range(4) %}
            if column + {{ l }}u < params.out_width { y[into{{ q }} + {{ r }}u * out_plane + {{ l }}u] = sum{{ r }}_{{ q }}.{{ "xyzw"[l] }}; }
{% endfor %}
        }
{% endfor %}
    }
{% endfor %}
}

@compute @workgroup_size(WORKGROUP)
fn grad_weight(invocation: Invocation) {
    let out_quads = bound(tiles(params.out_width, 4u), texels(textureDimensions(packed_dy)));
    let pitch = packed_pitch();
    let lines = packed_lines();
    let row_tiles = tiles(params.out_channels, ROWS);
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let ky = index % params.kernel_height;
    let c = index / params.kernel_height % params.in_channels;
    let first_row = index / params.kernel_height / params.in_channels % row_tiles * ROWS;
    let slice = index / params.kernel_height / params.in_channels / row_tiles;
    if slice >= params.splits { return; }
{% for r in rows %}
    let plane{{ r }} = min(first_row + {{ r }}u, params.out_channels - 1u) * params.out_height * out_quads;
{% for k in taps %}
    var sum{{ r }}_{{ k }} = vec4<f32>();
{% endfor %}
{% endfor %}

    let all_lines = params.batch * params.out_height;
    let length = tiles(all_lines, params.splits);
    let end = min((slice + 1u) * length, all_lines);
    for (var line = slice * length; line < end; line++) {
        let n = line / params.out_height;
        let oy = line - n * params.out_height;
        let x_at = ((n * params.in_channels + c) * lines + oy + ky) * pitch;
        let dy_at = (n * params.out_channels * params.out_height + oy) * out_quads;
        for (var quad = 0u; quad < out_quads; quad++) {
{% for s in spans %}
            let x{{ s }} = textureLoad(packed_x, texel(x_at + quad + {{ s }}u));
{% endfor %}
{% for k in taps %}
            let seen{{ k }} = {{ window("x", k) }};
{% endfor %}
{% for r in rows %}
            let dy{{ r }} = textureLoad(packed_dy, texel(plane{{ r }} + dy_at + quad));
{% for k in taps %}
            sum{{ r }}_{{ k }} = fma(dy{{ r }}, seen{{ k }}, sum{{ r }}_{{ k }});
{% endfor %}
{% endfor %}
        }
    }

    let filter_length = params.in_channels * params.kernel_height * KERNEL_WIDTH;
    let into = (slice * params.out_channels + first_row) * filter_length
        + (c * params.kernel_height + ky) * KERNEL_WIDTH;
{% for r in rows %}
    if first_row + {{ r }}u < params.out_channels {
{% for k in taps %}
        partial[into + {{ r }}u * filter_length + {{ k }}u] = dot(sum{{ r }}_{{ k }}, vec4(1.0));
{% endfor %}
    }
{% endfor %}
}
