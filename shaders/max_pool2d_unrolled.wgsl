// 2-d max pooling with the window unrolled in the text, of planes and of channels-last images (C a multiple of 4).
//
// The maths is that of max_pool2d.wgsl. One invocation computes a vec4 (common/unrolled.wgsl) of y and of the winners
// (forward) or of dx (grad_input): gathers, no atomics. Cells beyond the input are replaced by the nearest one within it,
// which is in the window too, as padding is smaller than the window: a cell that is seen twice changes neither the maximum
// nor which cell is the first to have it. Windows that do not cover a cell are masked.
// Memory traffic: forward reads each input about kernel / stride times (caches hold the overlap), writes 8 bytes an
// output, 4 where nobody asks for the winners; grad_input reads 8 bytes for each window that covers the cell and writes 4.
// max_pool2d_strips.wgsl has the ladder that this is a rung of.
// No barriers. Preconditions: those of max_pool2d.wgsl.
// Needs common/grid.wgsl, common/divide.wgsl, common/window.wgsl, common/nan.wgsl, common/texture.wgsl, common/read.wgsl,
// common/unrolled.wgsl, common/functions.wgsl, common/chain.wgsl, common/epilogue.wgsl.

override WORKGROUP: u32 = 64u;

const STRIDE_HEIGHT = {{ stride_height }}u;
const STRIDE_WIDTH = {{ stride_width }}u;

{{ finishing(4) }}
{% if entry == "forward" %}
{{ cells("x", 1, texture, last) }}
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
{% if winners %}
@group(0) @binding(3) var<storage, read_write> winner: array<vec4<f32>>;
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if !lies_within(index, params.out_height, params.out_width) { return; }
    let place = place_of(index, params.out_height, params.out_width);
    let plane = place.plane * params.in_height;
{% for r in range(kernel_height) %}
    let row{{ r }} = nearest_cell(place.row, {{ r }}u, STRIDE_HEIGHT, params.pad_top, params.in_height);
    let start{{ r }} = (plane + (row{{ r }} - params.pad_top)) * params.in_width;
{% endfor %}
{% for c in range(kernel_width) %}
    let column{{ c }} = nearest_cell(place.column, {{ c }}u, STRIDE_WIDTH, params.pad_left, params.in_width);
    let offset{{ c }} = column{{ c }} - params.pad_left;
{% endfor %}
    var best = x_cells(start0 + offset0, place.quad);
{% if winners %}
    // Places in the window.
{% for r in range(kernel_height) %}
    let line{{ r }} = {{ kernel_width }}u * (row{{ r }} - place.row * STRIDE_HEIGHT);
{% endfor %}
{% for c in range(kernel_width) %}
    let within{{ c }} = column{{ c }} - place.column * STRIDE_WIDTH;
{% endfor %}
    var first = vec4<u32>(line0 + within0);
{% endif %}
{% for r in range(kernel_height) %}
{% for c in range(kernel_width) %}
{% if r + c > 0 %}
    let value{{ r }}_{{ c }} = x_cells(start{{ r }} + offset{{ c }}, place.quad);
    let better{{ r }}_{{ c }} = are_better(value{{ r }}_{{ c }}, best);
    best = select(best, value{{ r }}_{{ c }}, better{{ r }}_{{ c }});
{% if winners %}
    first = select(first, vec4<u32>(line{{ r }} + within{{ c }}), better{{ r }}_{{ c }});
{% endif %}
{% endif %}
{% endfor %}
{% endfor %}
    y[index] = finished(best, index);
{% if winners %}
    winner[index] = vec4<f32>(first);
{% endif %}
}
{% else %}
{{ cells("winner", 1, texture, last) }}
{{ cells("dy", 2, texture, last) }}
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if !lies_within(index, params.in_height, params.in_width) { return; }
    let place = place_of(index, params.in_height, params.in_width);
    let row = place.row + params.pad_top;
    let column = place.column + params.pad_left;
    // The last window of each axis that begins before the cell, and the cell's place in it.
    let last_row = row / STRIDE_HEIGHT;
    let last_column = column / STRIDE_WIDTH;
    let row_rest = row - last_row * STRIDE_HEIGHT;
    let column_rest = column - last_column * STRIDE_WIDTH;
    let plane = place.plane * params.out_height;
{% for r in range(windows_height) %}
    let start{{ r }} = (plane + min(last_row - {{ r }}u, Index(params.out_height - 1u))) * params.out_width;
    let line{{ r }} = row_rest + {{ r }}u * STRIDE_HEIGHT;
    // No window's number where it counts below zero.
    let has_row{{ r }} = covers(last_row - {{ r }}u, params.out_height, line{{ r }}, {{ kernel_height }}u);
{% endfor %}
{% for c in range(windows_width) %}
    let offset{{ c }} = min(last_column - {{ c }}u, Index(params.out_width - 1u));
    let within{{ c }} = column_rest + {{ c }}u * STRIDE_WIDTH;
    let has_column{{ c }} = covers(last_column - {{ c }}u, params.out_width, within{{ c }}, {{ kernel_width }}u);
{% endfor %}
    var sum = vec4<f32>();
{% for r in range(windows_height) | reverse %}
{% for c in range(windows_width) | reverse %}
    let won{{ r }}_{{ c }} = winner_cells(start{{ r }} + offset{{ c }}, place.quad)
        == vec4<f32>(vec4<u32>({{ kernel_width }}u * line{{ r }} + within{{ c }}));
    sum += select(
        vec4<f32>(),
        dy_cells(start{{ r }} + offset{{ c }}, place.quad),
        won{{ r }}_{{ c }} & vec4<bool>(has_row{{ r }} & has_column{{ c }}),
    );
{% endfor %}
{% endfor %}
    dx[index] = finished(sum, index);
}
{% endif %}
