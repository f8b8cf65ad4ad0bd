// Weight gradient of a depthwise 2-d convolution, f32: as many groups as channels, each with one output. Needs
// common/grid.wgsl, common/divide.wgsl, common/conv2d.wgsl, common/texture.wgsl, common/read.wgsl and common/tree.wgsl.
//
//   dw[c, ky, kx] = sum over n, oy, ox of dy[n, c, oy, ox] * x[n, c, oy*stride + ky*dilation - pad, ...]
//
// terms outside the image left out. The pixels of dy are cut into `splits` slices; each goes to a plane of its own in
// `partial`, [splits, C, KH, KW], which pointwise.wgsl adds.
//
// fours: images are [N, H, W, C] in fours of channels, a slice is a number of lines. One invocation adds a slice of four
// channels: it walks down the lines in strips of {{ columns }} columns, keeps the rows of x that the next line sees again in
// registers, and all sums. Every element of x is read about 1 + (KW - 1) / {{ columns }} times, of dy once.
//
// planar: images are [N, C, H, W], a slice is a number of pixels. One workgroup adds a slice of one channel, its invocations
// take every 64th pixel of it with all taps, and a tree adds their sums: the only barriers, in uniform control flow. Every
// element of dy is read once, of x once a tap, mostly from a cache. 256 bytes of workgroup memory.
//
// No compiler in the chain unrolls loops: the text is a template.
//
// The ladder on two cores of a CPU (lavapipe, AVX2), 3x3, 32 channels of 112x112, milliseconds (omma bench conv --filter
// "depthwise 3x3 [1, 32" --variants): conv2d.wgsl 34.4; planar 19.0; without the copies to this layout, fours from buffers
// 5.3, from textures 1.2. `planar` is for GPUs, where it has not been timed.
//
// Preconditions. fours: C is a multiple of 4. Element counts are below 2^30. A software adapter (lavapipe) silently ends the
// loops of an invocation after 65,535 iterations in all, so there, with L = ceil(N*OH / splits), P = ceil(N*OH*OW / splits):
// fours 3 * ceil(OW / {{ columns }}) * L <= 65,535, planar ceil(P / 64) + 6 * KH * KW <= 65,535.

override WORKGROUP: u32 = 64u;
{% set taps = kernel_height * kernel_width %}
{% set height = (kernel_height - 1) * dilation_height + 1 %}
{% set width = (columns - 1) * stride_width + (kernel_width - 1) * dilation_width + 1 %}
{% set kept = [height - stride_height, 0] | max %}

{{ fours("x_fours", 1, texture) }}
{{ fours("dy_fours", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> partial_fours: array<vec4<f32>>;
{#- What a strip sees of one row of x, zero outside of the image. #}
{% macro load_row(name, row) %}
            let row_{{ name }} = {{ row }};
            let line_{{ name }} = (n * params.in_height + row_{{ name }}) * params.in_width * quads + quad;
{% for c in range(width) %}
            let seen_{{ name }}_{{ c }} = row_{{ name }} < params.in_height && inside{{ c }};
            let at_{{ name }}_{{ c }} = select(0u, line_{{ name }} + column{{ c }}, seen_{{ name }}_{{ c }});
            let {{ name }}_{{ c }} = select(vec4<f32>(), x_fours_at(at_{{ name }}_{{ c }}), seen_{{ name }}_{{ c }});
{% endfor %}
{% endmacro %}

@compute @workgroup_size(WORKGROUP)
fn fours(invocation: Invocation) {
    let quads = params.in_channels / 4u;
    let index = div_rem(flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local, quads);
    let slice = index.x;
    let quad = index.y;
    if slice >= params.splits { return; }
    let lines = params.batch * params.out_height;
    let length = tiles(lines, params.splits);
    let end = min((slice + 1u) * length, lines);
{% for t in range(taps) %}
    var sum{{ t }} = vec4<f32>();
{% endfor %}
    for (var first = 0u; first < params.out_width; first += {{ columns }}u) {
        let left = first * {{ stride_width }}u - params.pad_left;
{% for c in range(width) %}
        // Left of or above the image the position wraps round to a huge number: one test serves both edges.
        let inside{{ c }} = left + {{ c }}u < params.in_width;
        let column{{ c }} = (left + {{ c }}u) * quads;
{% endfor %}
        var line = slice * length;
        while line < end {
            // As far as the slice reaches within one image.
            let image = div_rem(line, params.out_height);
            let n = image.x;
            let stop = min(end, (n + 1u) * params.out_height);
            var top = image.y * {{ stride_height }}u - params.pad_top;
{% for r in range(kept) %}
{{ load_row("first" ~ r, "top + " ~ r ~ "u") }}
{% for c in range(width) %}
            var x{{ r }}_{{ c }} = first{{ r }}_{{ c }};
{% endfor %}
{% endfor %}
            for (; line < stop; line++) {
{% for r in range(kept, height) %}
{{ load_row("x" ~ r, "top + " ~ r ~ "u") }}
{% endfor %}
{% for p in range(columns) %}
                let inside_y{{ p }} = first + {{ p }}u < params.out_width;
                let at_y{{ p }} = select(0u, (line * params.out_width + first + {{ p }}u) * quads + quad, inside_y{{ p }});
                let dy{{ p }} = select(vec4<f32>(), dy_fours_at(at_y{{ p }}), inside_y{{ p }});
{% for ky in range(kernel_height) %}
{% for kx in range(kernel_width) %}
                sum{{ ky * kernel_width + kx }} = fma(x{{ ky * dilation_height }}_{{ p * stride_width + kx * dilation_width }}, dy{{ p }}, sum{{ ky * kernel_width + kx }});
{% endfor %}
{% endfor %}
{% endfor %}
                top += {{ stride_height }}u;
{% for r in range(kept) %}
{% for c in range(width) %}
                x{{ r }}_{{ c }} = x{{ r + stride_height }}_{{ c }};
{% endfor %}
{% endfor %}
            }
        }
    }
    // Four filters are as many fours as one has elements.
    let into = (slice * quads + quad) * {{ taps }}u;
{% for f in range(taps) %}
    partial_fours[into + {{ f }}u] = vec4({% for i in range(4 * f, 4 * f + 4) %}sum{{ i % taps }}.{{ "xyzw"[i // taps] }}{{ ", " if not loop.last }}{% endfor %});
{% endfor %}
}

@compute @workgroup_size(WORKGROUP)
fn planar(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups);
    let slice = index / params.in_channels;
    let channel = index % params.in_channels;
    if slice >= params.splits { return; }
    let out_plane = params.out_height * params.out_width;
    let pixels = params.batch * out_plane;
    let length = tiles(pixels, params.splits);
    let end = min((slice + 1u) * length, pixels);
{% for t in range(taps) %}
    var sum{{ t }} = 0.0;
{% endfor %}
    for (var pixel = slice * length + lane; pixel < end; pixel += WORKGROUP) {
        let image = div_rem(pixel, out_plane);
        let at = div_rem(image.y, params.out_width);
        let plane = image.x * params.in_channels + channel;
        let dy = weight_dy[plane * out_plane + image.y];
{% for ky in range(kernel_height) %}
        let row{{ ky }} = at.x * {{ stride_height }}u + {{ ky * dilation_height }}u - params.pad_top;
        let line{{ ky }} = (plane * params.in_height + row{{ ky }}) * params.in_width;
{% for kx in range(kernel_width) %}
{% set t = ky * kernel_width + kx %}
        let column{{ t }} = at.y * {{ stride_width }}u + {{ kx * dilation_width }}u - params.pad_left;
        let seen{{ t }} = row{{ ky }} < params.in_height && column{{ t }} < params.in_width;
        sum{{ t }} += select(0.0, weight_x[select(0u, line{{ ky }} + column{{ t }}, seen{{ t }})], seen{{ t }}) * dy;
{% endfor %}
{% endfor %}
    }
    let into = index * {{ taps }}u;
{% for t in range(taps) %}
    let total{{ t }} = tree_sum(sum{{ t }}, lane);
    if lane == 0u { partial[into + {{ t }}u] = total{{ t }}; }
{% endfor %}
}
