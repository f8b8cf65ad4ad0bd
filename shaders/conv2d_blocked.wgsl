// 2-d convolution, f32, NCHW, for adapters that run shaders on a CPU. Needs common/grid.wgsl and common/conv2d.wgsl.
//
// The maths is that of conv2d.wgsl. There every multiplication loads both operands; on a CPU adapter a load inside a
// loop costs as much as tens of multiply-adds, workgroup memory is no faster, and a barrier is worse than both. So here
// one invocation computes a tile in registers, {{ rows }} rows by {{ columns }} columns: each term of the sums loads
// {{ rows }} + {{ columns }} operands for {{ rows }} * {{ columns }} multiply-adds. No workgroup memory, no barriers.
//
//   entry point   rows                        columns                    sum over
//   forward       output channels of a group  pixels of y, over n too    ky, kx, input channels of the group
//   grad_input    input channels of a group   pixels of dx, over n too   ky, kx, output channels of the group
//   grad_weight   output channels of a group  (c, ky, kx) of the group   the slice's share of n, oy; and ox
//
// Channels are the innermost loop, so what depends on pixel and tap alone is computed once a tap. No compiler in the
// chain unrolls loops or keeps indexed arrays in registers: the text is a template over `rows` and `columns`, the latter
// a multiple of 4. Loads that reach past an edge are clamped and then masked; what a tile has too much is not stored.
//
// grad_weight cuts the N*OH axis into `splits` slices, which pointwise.wgsl adds.
//
// conv2d.wgsl has the ladder that this is a rung of. A driver compiles 8 columns in half the time of 16: fc3 of LeNet-5,
// forward and input gradient, in the first step of a training 0.3 and 0.3 s in place of 0.6 and 0.75 (lavapipe, AVX2); of
// large images 8 take 1.2 times as long to compute.
//
// Preconditions. Element counts, and invocations of a dispatch, are below 2^32. A software adapter (lavapipe) silently
// ends the loops of an invocation after 65,535 iterations in all, so there, with Cg = C/groups and Og = O/groups:
//   forward       KH * (1 + KW * (1 + Cg)) <= 65,535
//   grad_input    KH * (1 + KW * (1 + Og)) <= 65,535
//   grad_weight   ceil(N*OH / splits) * (1 + OW) <= 65,535

override WORKGROUP: u32 = 16u;
const ROWS = {{ rows }}u;
const COLUMNS = {{ columns }}u;
const LANES = vec4<u32>(0u, 1u, 2u, 3u);

{% set quads = range(columns // 4) | list %}
{% set rows = range(rows) | list %}
{# A quad is four columns. One term: the operands of all rows and columns, and their products. #}
{% macro multiply(row_source, column_source) %}
{% for q in quads %}
            let column{{ q }} = select(vec4<f32>(), vec4(
{% for lane in "xyzw" %}
                {{ column_source }}[at{{ q }}.{{ lane }} + column_step],
{% endfor %}
            ), seen{{ q }});
{% endfor %}
{% for r in rows %}
            let row{{ r }} = {{ row_source }}[base{{ r }} + row_step];
{% for q in quads %}
            sum{{ r }}_{{ q }} = fma(vec4(row{{ r }}), column{{ q }}, sum{{ r }}_{{ q }});
{% endfor %}
{% endfor %}
{% endmacro %}
{# Row r lies at origin + r * pitch of the output, lane l of a quad at place. #}
{% macro store(target, origin, pitch) %}
{% for r in rows %}
    if first_row + {{ r }}u < row_count {
        let into = {{ origin }} + {{ r }}u * {{ pitch }};
{% for q in quads %}
{% for l in "xyzw" %}
        if inside{{ q }}.{{ l }} { {{ target }}[into + place{{ q }}.{{ l }}] = sum{{ r }}_{{ q }}.{{ l }}; }
{% endfor %}
{% endfor %}
    }
{% endfor %}
{% endmacro %}
{# Which tile of which group this invocation computes; what is left of its index is `rest`. #}
{% macro locate() %}
    let row_tiles = tiles(row_count, ROWS);
    let column_tiles = tiles(column_count, COLUMNS);
    let tile = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let first_column = tile % column_tiles * COLUMNS;
    let first_row = tile / column_tiles % row_tiles * ROWS;
    let group = tile / column_tiles / row_tiles % params.groups;
    let rest = tile / column_tiles / row_tiles / params.groups;
{% for q in quads %}
    let index{{ q }} = min(first_column + {{ 4 * q }}u, column_count) + LANES;
{% for r in rows %}
    var sum{{ r }}_{{ q }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% endmacro %}
{% macro seen_any() %}any({% for q in quads %}seen{{ q }}{{ " | " if not loop.last }}{% endfor %}){% endmacro %}
@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let in_plane = params.in_height * params.in_width;
    let out_plane = params.out_height * params.out_width;
    let taps = params.kernel_height * params.kernel_width;
    let kernel_height = bound(params.kernel_height, arrayLength(&w));
    let kernel_width = bound(params.kernel_width, arrayLength(&w));
    let depth = bound(params.in_channels / params.groups, arrayLength(&w));
    let row_count = params.out_channels / params.groups;
    let column_count = params.batch * out_plane;
{{ locate() }}
    if rest > 0u { return; }
    let first_output = group * row_count + first_row;
{% for r in rows %}
    let output{{ r }} = min(first_output + {{ r }}u, params.out_channels - 1u);
    let base{{ r }} = output{{ r }} * depth * taps;
{% endfor %}
    if HAS_BIAS {
{% for r in rows %}
{% for q in quads %}
        sum{{ r }}_{{ q }} += bias[output{{ r }}];
{% endfor %}
{% endfor %}
    }
{% for q in quads %}
    let pixel{{ q }} = positions(index{{ q }}, params.out_height, params.out_width);
    let inside{{ q }} = pixel{{ q }}.n < vec4(params.batch);
    let plane{{ q }} = (pixel{{ q }}.n * params.in_channels + group * depth) * in_plane;
    let place{{ q }} = pixel{{ q }}.n * params.out_channels * out_plane + index{{ q }} % out_plane;
    let top{{ q }} = pixel{{ q }}.row * params.stride_height - params.pad_top;
    let left{{ q }} = pixel{{ q }}.column * params.stride_width - params.pad_left;
{% endfor %}

    for (var ky = 0u; ky < kernel_height; ky++) {
        for (var kx = 0u; kx < kernel_width; kx++) {
{% for q in quads %}
            // Left of or above the image the position wraps round to a huge number: one test serves both edges.
            let y{{ q }} = top{{ q }} + ky * params.dilation_height;
            let x{{ q }} = left{{ q }} + kx * params.dilation_width;
            let seen{{ q }} = inside{{ q }} & (y{{ q }} < vec4(params.in_height)) & (x{{ q }} < vec4(params.in_width));
            let at{{ q }} = select(vec4<u32>(), plane{{ q }} + y{{ q }} * params.in_width + x{{ q }}, seen{{ q }});
{% endfor %}
            var row_step = ky * params.kernel_width + kx;
            var column_step = 0u;
            // Nothing to add where the tap misses the whole tile.
            let terms = select(0u, depth, {{ seen_any() }});
            for (var c = 0u; c < terms; c++) {
{{ multiply("w", "x") }}
                row_step += taps;
                column_step += in_plane;
            }
        }
    }
{{ store("y", "first_output * out_plane", "out_plane") }}
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(invocation: Invocation) {
    let in_plane = params.in_height * params.in_width;
    let out_plane = params.out_height * params.out_width;
    let taps = params.kernel_height * params.kernel_width;
    let kernel_height = bound(params.kernel_height, arrayLength(&input_w));
    let kernel_width = bound(params.kernel_width, arrayLength(&input_w));
    let depth = bound(params.out_channels / params.groups, arrayLength(&input_w));
    let row_count = params.in_channels / params.groups;
    // Pixels one phase of the stride after the other: those of a phase meet the same taps, so tiles skip the others.
    let phases = vec2(params.stride_height, params.stride_width);
    let phase_height = tiles(params.in_height, phases.x);
    let phase_width = tiles(params.in_width, phases.y);
    let column_count = phases.x * phases.y * params.batch * phase_height * phase_width;
{{ locate() }}
    if rest > 0u { return; }
{% for r in rows %}
    let base{{ r }} = (group * depth * row_count + min(first_row + {{ r }}u, row_count - 1u)) * taps;
{% endfor %}
{% for q in quads %}
    let pixel{{ q }} = positions(index{{ q }}, phase_height, phase_width);
    let phase{{ q }} = pixel{{ q }}.n / params.batch;
    let n{{ q }} = pixel{{ q }}.n % params.batch;
    let iy{{ q }} = pixel{{ q }}.row * phases.x + phase{{ q }} / phases.y;
    let ix{{ q }} = pixel{{ q }}.column * phases.y + phase{{ q }} % phases.y;
    let inside{{ q }} = (phase{{ q }} < vec4(phases.x * phases.y))
        & (iy{{ q }} < vec4(params.in_height)) & (ix{{ q }} < vec4(params.in_width));
    let plane{{ q }} = (n{{ q }} * params.out_channels + group * depth) * out_plane;
    let place{{ q }} = n{{ q }} * params.in_channels * in_plane + iy{{ q }} * params.in_width + ix{{ q }};
{% endfor %}

    for (var ky = 0u; ky < kernel_height; ky++) {
{% for q in quads %}
        // The output that saw this pixel through this tap, if there is one. A negative distance wraps round.
        let down{{ q }} = iy{{ q }} + params.pad_top - ky * params.dilation_height;
        let y{{ q }} = down{{ q }} / phases.x;
        let level{{ q }} = inside{{ q }} & (y{{ q }} * phases.x == down{{ q }}) & (y{{ q }} < vec4(params.out_height));
{% endfor %}
        for (var kx = 0u; kx < kernel_width; kx++) {
{% for q in quads %}
            let across{{ q }} = ix{{ q }} + params.pad_left - kx * params.dilation_width;
            let x{{ q }} = across{{ q }} / phases.y;
            let seen{{ q }} = level{{ q }}
                & (x{{ q }} * phases.y == across{{ q }}) & (x{{ q }} < vec4(params.out_width));
            let at{{ q }} = select(vec4<u32>(), plane{{ q }} + y{{ q }} * params.out_width + x{{ q }}, seen{{ q }});
{% endfor %}
            var row_step = ky * params.kernel_width + kx;
            var column_step = 0u;
            let terms = select(0u, depth, {{ seen_any() }});
            for (var o = 0u; o < terms; o++) {
{{ multiply("input_w", "input_dy") }}
                row_step += row_count * taps;
                column_step += out_plane;
            }
        }
    }
{{ store("dx", "(group * row_count + first_row) * in_plane", "in_plane") }}
}

@compute @workgroup_size(WORKGROUP)
fn grad_weight(invocation: Invocation) {
    let in_plane = params.in_height * params.in_width;
    let out_plane = params.out_height * params.out_width;
    let depth = params.in_channels / params.groups;
    let row_count = params.out_channels / params.groups;
    let column_count = depth * params.kernel_height * params.kernel_width;
{{ locate() }}
    if rest >= params.splits { return; }
    let first_output = group * row_count + first_row;
{% for r in rows %}
    let base{{ r }} = min(first_output + {{ r }}u, params.out_channels - 1u) * out_plane;
{% endfor %}
{% for q in quads %}
    // (c, ky, kx), as if the kernel were an image and the channels its batch.
    let tap{{ q }} = positions(index{{ q }}, params.kernel_height, params.kernel_width);
    let inside{{ q }} = tap{{ q }}.n < vec4(depth);
    let plane{{ q }} = (tap{{ q }}.n + group * depth) * in_plane;
    let place{{ q }} = index{{ q }};
    let top{{ q }} = tap{{ q }}.row * params.dilation_height - params.pad_top;
    let left{{ q }} = tap{{ q }}.column * params.dilation_width - params.pad_left;
{% endfor %}

    let out_width = bound(params.out_width, arrayLength(&weight_dy));
    let lines = params.batch * params.out_height;
    let length = tiles(lines, params.splits);
    let end = min((rest + 1u) * length, lines);
    for (var line = rest * length; line < end; line++) {
        let n = line / params.out_height;
        let oy = line % params.out_height;
{% for q in quads %}
        let y{{ q }} = oy * params.stride_height + top{{ q }};
        let level{{ q }} = inside{{ q }} & (y{{ q }} < vec4(params.in_height));
        let line{{ q }} = plane{{ q }} + n * params.in_channels * in_plane + y{{ q }} * params.in_width;
{% endfor %}
        var row_step = n * params.out_channels * out_plane + oy * params.out_width;
        let column_step = 0u;
        for (var ox = 0u; ox < out_width; ox++) {
{% for q in quads %}
            let x{{ q }} = ox * params.stride_width + left{{ q }};
            let seen{{ q }} = level{{ q }} & (x{{ q }} < vec4(params.in_width));
            let at{{ q }} = select(vec4<u32>(), line{{ q }} + x{{ q }}, seen{{ q }});
{% endfor %}
{{ multiply("weight_dy", "weight_x") }}
            row_step += 1u;
        }
    }
{{ store("partial", "(rest * params.out_channels + first_output) * column_count", "column_count") }}
}
