// 2-d convolution, f32, NCHW, for adapters that run shaders on a CPU. Needs common/grid.wgsl.
//
// The maths is that of conv2d.wgsl. There, every multiplication loads both operands; on a CPU adapter a load inside a loop
// costs as much as tens of multiply-adds, workgroup memory is no faster, and a barrier is worse than both. So here one
// invocation computes a tile in registers, {{ rows }} rows by {{ columns }} columns, and for each term of the sums loads
// {{ rows }} + {{ columns }} operands for {{ rows }} * {{ columns }} multiply-adds. No workgroup memory, no barriers.
//
//   entry point   rows                        columns                    sum over
//   forward       output channels of a group  pixels of y, over n too    ky, kx, input channels of the group
//   grad_input    input channels of a group   pixels of dx, over n too   ky, kx, output channels of the group
//   grad_weight   output channels of a group  (c, ky, kx) of the group   the slice's share of n, oy; and ox
//
// Channels are the innermost loop, so what depends on pixel and tap alone is computed once a tap. No compiler in the chain
// unrolls loops or keeps indexed arrays in registers: the text is a template over `rows` and `columns` (a multiple of 4).
// Loads of a tile that reach past an edge are clamped and then masked; what a tile has too much is not stored.
//
// grad_weight cuts the N*OH axis into `splits` slices, which sum_partials of conv2d.wgsl adds.
//
// Preconditions. Element counts, and invocations of a dispatch, are below 2^32. A software adapter (lavapipe) silently ends
// the loops of an invocation after 65,535 iterations in all, so there:
//   forward       KH * (1 + KW * (1 + Cg)) <= 65,535
//   grad_input    KH * (1 + KW * (1 + Og)) <= 65,535
//   grad_weight   ceil(N*OH / splits) * (1 + OW) <= 65,535
{% set quads = columns // 4 %}
{% set lanes = ["x", "y", "z", "w"] %}

struct Params {
    batch: u32,
    in_channels: u32,
    in_height: u32,
    in_width: u32,
    out_channels: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_height: u32,
    stride_width: u32,
    pad_top: u32,
    pad_left: u32,
    dilation_height: u32,
    dilation_width: u32,
    groups: u32,
    splits: u32,
}

override WORKGROUP: u32 = 16u;
// Without a bias the host binds w again in its place.
override HAS_BIAS: bool = false;

const ROWS = {{ rows }}u;
const COLUMNS = {{ columns }}u;
const LANES = vec4<u32>(0u, 1u, 2u, 3u);

@group(0) @binding(0) var<uniform> params: Params;

// forward
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// grad_input
@group(0) @binding(1) var<storage, read> input_w: array<f32>;
@group(0) @binding(2) var<storage, read> input_dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

// grad_weight
@group(0) @binding(1) var<storage, read> weight_x: array<f32>;
@group(0) @binding(2) var<storage, read> weight_dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

fn tiles(length: u32, tile: u32) -> u32 {
    return (length + tile - 1u) / tile;
}

// Four neighbouring pixels, counted over the whole batch.
struct Pixels {
    n: vec4<u32>,
    row: vec4<u32>,
    column: vec4<u32>,
}

fn pixels(first: u32, height: u32, width: u32) -> Pixels {
    let line = (first + LANES) / width;
    return Pixels(line / height, line % height, (first + LANES) - line * width);
}

// A loop's bound, unchanged: the length of the buffer that the loop walks is never smaller. Were the bound visibly a uniform,
// lavapipe would fold its value in and, where that simplifies the shader much, compile it anew for every dispatch.
fn bound(value: u32, length: u32) -> u32 {
    return min(value, length);
}

// Pixels of dx one phase of the stride after the other: the taps that meet one pixel meet its neighbours in this order too.
fn phase_pixels(first: u32, phase_height: u32, phase_width: u32) -> Pixels {
    let at = pixels(first, phase_height, phase_width);
    let phase = at.n / params.batch;
    // Past the last phase n stays beyond the batch.
    let n = select(at.n % params.batch, vec4(params.batch), phase >= vec4(params.stride_height * params.stride_width));
    return Pixels(n, at.row * params.stride_height + phase / params.stride_width, at.column * params.stride_width + phase % params.stride_width);
}

{# The rows' and the columns' operands of one term, and their products. #}
{% macro multiply(row_source, column_source) %}
{% for q in range(quads) %}
            let column{{ q }} = select(vec4<f32>(), vec4({% for l in lanes %}{{ column_source }}[at{{ q }}.{{ l }} + column_step]{{ ", " if not loop.last }}{% endfor %}), seen{{ q }});
{% endfor %}
{% for r in range(rows) %}
            let row{{ r }} = {{ row_source }}[base{{ r }} + row_step];
{% endfor %}
{% for r in range(rows) %}
{% for q in range(quads) %}
            sum{{ r }}_{{ q }} = fma(vec4(row{{ r }}), column{{ q }}, sum{{ r }}_{{ q }});
{% endfor %}
{% endfor %}
{% endmacro %}
{# Writes what lies inside the output: row r of the tile begins at `start`, columns are `place` with `length` of them. #}
{% macro store(target, start, places) %}
{% for r in range(rows) %}
    if first_row + {{ r }}u < row_count {
{% for q in range(quads) %}
{% for l in lanes %}
        if inside{{ q }}.{{ l }} { {{ target }}[{{ start }}{{ r }} + {{ places }}{{ q }}.{{ l }}] = sum{{ r }}_{{ q }}.{{ l }}; }
{% endfor %}
{% endfor %}
    }
{% endfor %}
{% endmacro %}
@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let in_plane = params.in_height * params.in_width;
    let out_plane = params.out_height * params.out_width;
    let taps = params.kernel_height * params.kernel_width;
    let kernel_height = bound(params.kernel_height, arrayLength(&w));
    let kernel_width = bound(params.kernel_width, arrayLength(&w));
    let depth = bound(params.in_channels / params.groups, arrayLength(&w));
    let row_count = params.out_channels / params.groups;
    let column_count = params.batch * out_plane;
    let row_tiles = tiles(row_count, ROWS);
    let column_tiles = tiles(column_count, COLUMNS);
    let tile = flat_workgroup(id, count) * WORKGROUP + local;
    let group = tile / column_tiles / row_tiles;
    if group >= params.groups { return; }
    let first_row = tile / column_tiles % row_tiles * ROWS;
    let first_column = tile % column_tiles * COLUMNS;
    let first_output = group * row_count + first_row;

{% for r in range(rows) %}
    let output{{ r }} = min(first_output + {{ r }}u, params.out_channels - 1u);
    let base{{ r }} = output{{ r }} * depth * taps;
    var start{{ r }} = 0.0;
{% endfor %}
    if HAS_BIAS {
{% for r in range(rows) %}
        start{{ r }} = bias[output{{ r }}];
{% endfor %}
    }
{% for r in range(rows) %}
{% for q in range(quads) %}
    var sum{{ r }}_{{ q }} = vec4(start{{ r }});
{% endfor %}
{% endfor %}
{% for q in range(quads) %}
    let pixels{{ q }} = pixels(min(first_column + {{ 4 * q }}u, column_count), params.out_height, params.out_width);
    let inside{{ q }} = pixels{{ q }}.n < vec4(params.batch);
    let plane{{ q }} = (pixels{{ q }}.n * params.in_channels + group * depth) * in_plane;
{% endfor %}

    for (var ky = 0u; ky < kernel_height; ky++) {
{% for q in range(quads) %}
        let row_at{{ q }} = pixels{{ q }}.row * params.stride_height + ky * params.dilation_height - params.pad_top;
{% endfor %}
        for (var kx = 0u; kx < kernel_width; kx++) {
{% for q in range(quads) %}
            let column_at{{ q }} = pixels{{ q }}.column * params.stride_width + kx * params.dilation_width - params.pad_left;
            let seen{{ q }} = (row_at{{ q }} < vec4(params.in_height)) & (column_at{{ q }} < vec4(params.in_width)) & inside{{ q }};
            let at{{ q }} = select(vec4<u32>(), plane{{ q }} + row_at{{ q }} * params.in_width + column_at{{ q }}, seen{{ q }});
{% endfor %}
            var row_step = ky * params.kernel_width + kx;
            var column_step = 0u;
            // Nothing to add where the tap misses the whole tile.
            let terms = select(0u, depth, any({% for q in range(quads) %}seen{{ q }}{{ " | " if not loop.last }}{% endfor %}));
            for (var c = 0u; c < terms; c++) {
{{ multiply("w", "x") }}
                row_step += taps;
                column_step += in_plane;
            }
        }
    }

{% for q in range(quads) %}
    let place{{ q }} = (pixels{{ q }}.n * params.out_channels) * out_plane + pixels{{ q }}.row * params.out_width + pixels{{ q }}.column;
{% endfor %}
{% for r in range(rows) %}
    let into{{ r }} = (first_output + {{ r }}u) * out_plane;
{% endfor %}
{{ store("y", "into", "place") }}
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let in_plane = params.in_height * params.in_width;
    let out_plane = params.out_height * params.out_width;
    let taps = params.kernel_height * params.kernel_width;
    let kernel_height = bound(params.kernel_height, arrayLength(&input_w));
    let kernel_width = bound(params.kernel_width, arrayLength(&input_w));
    let depth = bound(params.out_channels / params.groups, arrayLength(&input_w));
    let row_count = params.in_channels / params.groups;
    let phase_height = tiles(params.in_height, params.stride_height);
    let phase_width = tiles(params.in_width, params.stride_width);
    let images = params.batch * params.stride_height * params.stride_width;
    let column_count = images * phase_height * phase_width;
    let row_tiles = tiles(row_count, ROWS);
    let column_tiles = tiles(column_count, COLUMNS);
    let tile = flat_workgroup(id, count) * WORKGROUP + local;
    let group = tile / column_tiles / row_tiles;
    if group >= params.groups { return; }
    let first_row = tile / column_tiles % row_tiles * ROWS;
    let first_column = tile % column_tiles * COLUMNS;

{% for r in range(rows) %}
    let base{{ r }} = (group * depth * row_count + min(first_row + {{ r }}u, row_count - 1u)) * taps;
{% endfor %}
{% for r in range(rows) %}
{% for q in range(quads) %}
    var sum{{ r }}_{{ q }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% for q in range(quads) %}
    let pixels{{ q }} = phase_pixels(min(first_column + {{ 4 * q }}u, column_count), phase_height, phase_width);
    let inside{{ q }} = (pixels{{ q }}.n < vec4(params.batch)) & (pixels{{ q }}.row < vec4(params.in_height)) & (pixels{{ q }}.column < vec4(params.in_width));
    let plane{{ q }} = (pixels{{ q }}.n * params.out_channels + group * depth) * out_plane;
{% endfor %}

    for (var ky = 0u; ky < kernel_height; ky++) {
{% for q in range(quads) %}
        // The output that saw this pixel through this tap, if there is one. A negative distance wraps round.
        let row_distance{{ q }} = pixels{{ q }}.row + params.pad_top - ky * params.dilation_height;
        let row_at{{ q }} = row_distance{{ q }} / params.stride_height;
        let row_seen{{ q }} = (row_at{{ q }} * params.stride_height == row_distance{{ q }}) & (row_at{{ q }} < vec4(params.out_height)) & inside{{ q }};
{% endfor %}
        for (var kx = 0u; kx < kernel_width; kx++) {
{% for q in range(quads) %}
            let column_distance{{ q }} = pixels{{ q }}.column + params.pad_left - kx * params.dilation_width;
            let column_at{{ q }} = column_distance{{ q }} / params.stride_width;
            let seen{{ q }} = (column_at{{ q }} * params.stride_width == column_distance{{ q }}) & (column_at{{ q }} < vec4(params.out_width)) & row_seen{{ q }};
            let at{{ q }} = select(vec4<u32>(), plane{{ q }} + row_at{{ q }} * params.out_width + column_at{{ q }}, seen{{ q }});
{% endfor %}
            var row_step = ky * params.kernel_width + kx;
            var column_step = 0u;
            // Nothing to add where the tap misses the whole tile.
            let terms = select(0u, depth, any({% for q in range(quads) %}seen{{ q }}{{ " | " if not loop.last }}{% endfor %}));
            for (var o = 0u; o < terms; o++) {
{{ multiply("input_w", "input_dy") }}
                row_step += row_count * taps;
                column_step += out_plane;
            }
        }
    }

{% for q in range(quads) %}
    let place{{ q }} = (pixels{{ q }}.n * params.in_channels + group * row_count) * in_plane + pixels{{ q }}.row * params.in_width + pixels{{ q }}.column;
{% endfor %}
{% for r in range(rows) %}
    let into{{ r }} = (first_row + {{ r }}u) * in_plane;
{% endfor %}
{{ store("dx", "into", "place") }}
}

@compute @workgroup_size(WORKGROUP)
fn grad_weight(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let in_plane = params.in_height * params.in_width;
    let out_plane = params.out_height * params.out_width;
    let depth = params.in_channels / params.groups;
    let row_count = params.out_channels / params.groups;
    let column_count = depth * params.kernel_height * params.kernel_width;
    let row_tiles = tiles(row_count, ROWS);
    let column_tiles = tiles(column_count, COLUMNS);
    let tile = flat_workgroup(id, count) * WORKGROUP + local;
    let slice = tile / column_tiles / row_tiles / params.groups;
    if slice >= params.splits { return; }
    let group = tile / column_tiles / row_tiles % params.groups;
    let first_row = tile / column_tiles % row_tiles * ROWS;
    let first_column = tile % column_tiles * COLUMNS;
    let first_output = group * row_count + first_row;

{% for r in range(rows) %}
    let base{{ r }} = min(first_output + {{ r }}u, params.out_channels - 1u) * out_plane;
{% endfor %}
{% for r in range(rows) %}
{% for q in range(quads) %}
    var sum{{ r }}_{{ q }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% for q in range(quads) %}
    // (c, ky, kx), as if the kernel were an image and the channels its batch.
    let taps{{ q }} = pixels(min(first_column + {{ 4 * q }}u, column_count), params.kernel_height, params.kernel_width);
    let inside{{ q }} = taps{{ q }}.n < vec4(depth);
    let plane{{ q }} = (taps{{ q }}.n + group * depth) * in_plane;
    let row_offset{{ q }} = taps{{ q }}.row * params.dilation_height - params.pad_top;
    let column_offset{{ q }} = taps{{ q }}.column * params.dilation_width - params.pad_left;
{% endfor %}

    let out_width = bound(params.out_width, arrayLength(&weight_dy));
    let lines = params.batch * params.out_height;
    let length = tiles(lines, params.splits);
    let end = min((slice + 1u) * length, lines);
    for (var line = slice * length; line < end; line++) {
        let n = line / params.out_height;
        let oy = line % params.out_height;
{% for q in range(quads) %}
        let row_at{{ q }} = oy * params.stride_height + row_offset{{ q }};
        let row_seen{{ q }} = (row_at{{ q }} < vec4(params.in_height)) & inside{{ q }};
        let line{{ q }} = plane{{ q }} + n * params.in_channels * in_plane + row_at{{ q }} * params.in_width;
{% endfor %}
        var row_step = n * params.out_channels * out_plane + oy * params.out_width;
        let column_step = 0u;
        for (var ox = 0u; ox < out_width; ox++) {
{% for q in range(quads) %}
            let column_at{{ q }} = ox * params.stride_width + column_offset{{ q }};
            let seen{{ q }} = row_seen{{ q }} & (column_at{{ q }} < vec4(params.in_width));
            let at{{ q }} = select(vec4<u32>(), line{{ q }} + column_at{{ q }}, seen{{ q }});
{% endfor %}
{{ multiply("weight_dy", "weight_x") }}
            row_step += 1u;
        }
    }

    let weights = params.out_channels * column_count;
{% for q in range(quads) %}
    let place{{ q }} = slice * weights + first_column + {{ 4 * q }}u + LANES;
{% endfor %}
{% for r in range(rows) %}
    let into{{ r }} = (first_output + {{ r }}u) * column_count;
{% endfor %}
{{ store("partial", "into", "place") }}
}
