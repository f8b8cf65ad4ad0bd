// 2-d convolution of stride and dilation 1, f32, for adapters that run shaders on a CPU. Needs common/grid.wgsl,
// common/conv2d.wgsl, common/texture.wgsl, common/read.wgsl and common/packed.wgsl, and operands packed by conv2d_pack.wgsl.
//
// The maths is that of conv2d.wgsl. On a CPU adapter a load from a buffer is a loop over the lanes, a load from a texture is
// many times cheaper, and each variable that a loop changes is blended under a mask in every turn. So both operands come
// packed and through textures: the image with its border of zeros and rows of fours, the weight with {{ rows }} output channels
// side by side.
//
// One invocation computes {{ rows }} channels of {{ quads }} neighbouring fours of y: for each channel of x and row of the kernel it
// loads {{ quads + span - 1 }} fours of x, for all {{ kernel_width }} taps, and {{ kernel_width * ((rows + 3) // 4) }} of w for {{ rows * quads * kernel_width }} multiply-adds of fours. Nothing is masked until the end. The
// input gradient is the same with dy for x and the weight transposed.
//
// A store costs a CPU adapter as much as many multiply-adds, and four numbers that lie together little more than one: so rows
// of whole fours are stored by fours, and channels that are fewer than a tile's make it smaller.
//
// Ladder, conv1 of LeNet-5, batch 64, parts of the time (omma profile lenet5 --training, lavapipe 22.3, two cores with
// AVX-512): tiles of 8 channels that are stored one by one 1; 6 channels, by fours 0.65. Of 1x1 kernels with 58 channels
// (stage 2 of omma profile shufflenet_v2 --training, AVX2) it takes 0.36 of the time of conv2d_blocked.wgsl, copies included.
//
// No workgroup memory, no barriers. No compiler in the chain unrolls loops: the text is a template.
//
// Preconditions. Element counts, and invocations of a dispatch, are below 2^32. A software adapter (lavapipe) silently
// ends the loops of an invocation after 65,535 iterations in all, so there C * (1 + KH) <= 65,535.

override WORKGROUP: u32 = 16u;
const ROWS = {{ rows }}u;
const QUADS = {{ quads }}u;
const KERNEL_WIDTH = {{ kernel_width }}u;
{% set row_fours = (rows + 3) // 4 %}
const ROW_FOURS = {{ row_fours }}u;
{% set rows = range(rows) | list %}
{% set seen_quads = range(quads + span - 1) | list %}
{% set quads = range(quads) | list %}
{% set taps = range(kernel_width) | list %}
{# The four pixels that tap k of four q sees, out of the fours x0, x1 and so on. #}
{% macro window(q, k) -%}
vec4({% for i in range(4 * q + k, 4 * q + k + 4) %}x{{ i // 4 }}.{{ "xyzw"[i % 4] }}{{ ", " if not loop.last }}{% endfor %})
{%- endmacro %}

{{ fours("packed_x", 1, 1) }}
{{ fours("packed_w", 2, 1) }}
{% if aligned %}
@group(0) @binding(4) var<storage, read_write> y_fours: array<vec4<f32>>;
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn correlate(invocation: Invocation) {
    let out_plane = params.out_height * params.out_width;
    let row_tiles = packed_tiles(QUADS);
    let pitch = packed_pitch(QUADS);
    let lines = packed_lines();
    let depth = bound(params.in_channels, texels(textureDimensions(packed_w)));
    let kernel_height = bound(params.kernel_height, texels(textureDimensions(packed_w)));
    let out_lines = params.batch * params.out_height;
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let first_quad = index % row_tiles * QUADS;
    let line = index / row_tiles % out_lines;
    let channel_tile = index / row_tiles / out_lines;
    let first_row = channel_tile * ROWS;
    if first_row >= params.out_channels { return; }
    let n = line / params.out_height;
    let oy = line % params.out_height;
{% for r in rows %}
    var start{{ r }} = 0.0;
    if HAS_BIAS { start{{ r }} = bias[min(first_row + {{ r }}u, params.out_channels - 1u)]; }
{% for q in quads %}
    var sum{{ r }}_{{ q }} = vec4(start{{ r }});
{% endfor %}
{% endfor %}

    var x_at = (n * params.in_channels * lines + oy) * pitch + first_quad;
    var w_at = channel_tile * params.in_channels * params.kernel_height * KERNEL_WIDTH * ROW_FOURS;
    for (var c = 0u; c < depth; c++) {
        for (var ky = 0u; ky < kernel_height; ky++) {
{% for s in seen_quads %}
            let x{{ s }} = packed_x_at(x_at + {{ s }}u);
{% endfor %}
{% for k in taps %}
{% for h in range(row_fours) %}
            let w{{ k }}_{{ h }} = packed_w_at(w_at + {{ k * row_fours + h }}u);
{% endfor %}
{% for q in quads %}
            let seen{{ k }}_{{ q }} = {{ window(q, k) }};
{% for r in rows %}
            sum{{ r }}_{{ q }} = fma(vec4(w{{ k }}_{{ r // 4 }}.{{ "xyzw"[r % 4] }}), seen{{ k }}_{{ q }}, sum{{ r }}_{{ q }});
{% endfor %}
{% endfor %}
{% endfor %}
            x_at += pitch;
            w_at += KERNEL_WIDTH * ROW_FOURS;
        }
        x_at += (lines - params.kernel_height) * pitch;
    }

    // What a tile has too much is not stored.
    let into = (n * params.out_channels + first_row) * out_plane + oy * params.out_width;
{% for q in quads %}
    let column{{ q }} = (first_quad + {{ q }}u) * 4u;
{% for r in rows %}
    if first_row + {{ r }}u < params.out_channels {
        let into{{ q }}_{{ r }} = into + {{ r }}u * out_plane + column{{ q }};
{% if aligned %}
        if column{{ q }} < params.out_width { y_fours[into{{ q }}_{{ r }} / 4u] = sum{{ r }}_{{ q }}; }
{% else %}
{% for l in range(4) %}
        if column{{ q }} + {{ l }}u < params.out_width { y[into{{ q }}_{{ r }} + {{ l }}u] = sum{{ r }}_{{ q }}.{{ "xyzw"[l] }}; }
{% endfor %}
{% endif %}
    }
{% endfor %}
{% endfor %}
}
