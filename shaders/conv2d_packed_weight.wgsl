// Weight gradient of a 2-d convolution of stride and dilation 1, f32, for adapters that run shaders on a CPU. Needs
// common/grid.wgsl, common/conv2d.wgsl and common/packed.wgsl, and images packed by conv2d_pack.wgsl: x with its border, dy
// without one.
//
// The maths is that of conv2d.wgsl, the reasons for packing are those of conv2d_packed.wgsl. One invocation computes {{ rows }} output
// channels by the {{ kernel_width }} taps of {{ strip }} rows of the kernel, over a slice of the images' rows: for {{ quads }} fours of a row it loads {{ rows * quads }}
// fours of dy and {{ strip * (quads + span - 1) }} of x for {{ rows * strip * kernel_width * quads }} multiply-adds of fours. Slices go to planes of their own in `partial`, which
// pointwise.wgsl adds.
//
// All sums live through the loop, more than a processor has registers, so each is one number and not a four: what is kept
// and fetched again in every turn is a quarter.
//
// Ladder, measured as that of conv2d_packed.wgsl: tiles of 8 channels, sums of fours 1; 6 channels and single sums 0.53.
//
// No workgroup memory, no barriers. No compiler in the chain unrolls loops: the text is a template.
//
// Preconditions. Element counts, and invocations of a dispatch, are below 2^32. A software adapter (lavapipe) silently
// ends the loops of an invocation after 65,535 iterations in all, so there
// ceil(N*OH / splits) * (1 + ceil(OW / {{ 4 * quads }})) <= 65,535.

override WORKGROUP: u32 = 16u;
const ROWS = {{ rows }}u;
const QUADS = {{ quads }}u;
const STRIP = {{ strip }}u;
const KERNEL_WIDTH = {{ kernel_width }}u;
{% set rows = range(rows) | list %}
{% set seen_quads = range(quads + span - 1) | list %}
{% set quads = range(quads) | list %}
{% set strip = range(strip) | list %}
{% set taps = range(kernel_width) | list %}
{# The four pixels that tap k of four q sees, out of the fours PREFIX0, PREFIX1 and so on. #}
{% macro window(prefix, q, k) -%}
vec4({% for i in range(4 * q + k, 4 * q + k + 4) %}{{ prefix }}{{ i // 4 }}.{{ "xyzw"[i % 4] }}{{ ", " if not loop.last }}{% endfor %})
{%- endmacro %}

{{ fours("packed_x", 1, texture) }}
{{ fours("packed_dy", 2, texture) }}

@compute @workgroup_size(WORKGROUP)
fn grad_weight(invocation: Invocation) {
    let row_tiles = bound(packed_tiles(QUADS), {{ "texels(textureDimensions(packed_dy))" if texture else "arrayLength(&packed_dy)" }});
    let pitch = packed_pitch(QUADS);
    let lines = packed_lines();
    let strips = tiles(params.kernel_height, STRIP);
    let channel_tiles = tiles(params.out_channels, ROWS);
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let first_ky = index % strips * STRIP;
    let c = index / strips % params.in_channels;
    let first_row = index / strips / params.in_channels % channel_tiles * ROWS;
    let slice = index / strips / params.in_channels / channel_tiles;
    if slice >= params.splits { return; }
    let dy_pitch = row_tiles * QUADS;
{% for r in rows %}
    let plane{{ r }} = min(first_row + {{ r }}u, params.out_channels - 1u) * params.out_height * dy_pitch;
{% endfor %}
{% for t in strip %}
    // What a strip has too much is computed again and not stored.
    let ky{{ t }} = min(first_ky + {{ t }}u, params.kernel_height - 1u);
{% for r in rows %}
{% for k in taps %}
    var sum{{ r }}_{{ t }}_{{ k }} = 0.0;
{% endfor %}
{% endfor %}
{% endfor %}

    let all_lines = params.batch * params.out_height;
    let length = tiles(all_lines, params.splits);
    let end = min((slice + 1u) * length, all_lines);
    for (var line = slice * length; line < end; line++) {
        let n = line / params.out_height;
        let oy = line - n * params.out_height;
        let x_line = (n * params.in_channels + c) * lines + oy;
        let dy_line = (n * params.out_channels * params.out_height + oy) * dy_pitch;
        for (var tile = 0u; tile < row_tiles; tile++) {
            let at = tile * QUADS;
{% for q in quads %}
{% for r in rows %}
            let dy{{ q }}_{{ r }} = packed_dy_at(plane{{ r }} + dy_line + at + {{ q }}u);
{% endfor %}
{% endfor %}
{% for t in strip %}
{% for s in seen_quads %}
            let x{{ t }}_{{ s }} = packed_x_at((x_line + ky{{ t }}) * pitch + at + {{ s }}u);
{% endfor %}
{% for q in quads %}
{% for k in taps %}
            let seen{{ t }}_{{ q }}_{{ k }} = {{ window("x" ~ t ~ "_", q, k) }};
{% for r in rows %}
            {% for l in range(4) %}
            sum{{ r }}_{{ t }}_{{ k }} = fma(dy{{ q }}_{{ r }}.{{ "xyzw"[l] }}, seen{{ t }}_{{ q }}_{{ k }}.{{ "xyzw"[l] }}, sum{{ r }}_{{ t }}_{{ k }});
{% endfor %}
{% endfor %}
{% endfor %}
{% endfor %}
{% endfor %}
        }
    }

    let filter_length = params.in_channels * params.kernel_height * KERNEL_WIDTH;
    let into = (slice * params.out_channels + first_row) * filter_length;
{% for t in strip %}
    if first_ky + {{ t }}u < params.kernel_height {
        let into{{ t }} = into + (c * params.kernel_height + ky{{ t }}) * KERNEL_WIDTH;
{% for r in rows %}
        if first_row + {{ r }}u < params.out_channels {
{% for k in taps %}
            partial[into{{ t }} + {{ r }}u * filter_length + {{ k }}u] = sum{{ r }}_{{ t }}_{{ k }};
{% endfor %}
        }
{% endfor %}
    }
{% endfor %}
}
