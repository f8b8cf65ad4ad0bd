// 2-d average pooling with the window unrolled in the text, of planes and of channels-last images (C a multiple of 4).
//
// The maths is that of avg_pool2d.wgsl. One invocation computes a vec4 (common/unrolled.wgsl) of y (forward) or of dx
// (grad_input): gathers, no atomics. Cells that are not in the input and windows that do not cover a cell are masked.
// Memory traffic: forward reads each input about kernel / stride times (caches hold the overlap) and writes 4 bytes an
// output; grad_input reads 4 bytes for each window that covers the cell and writes 4.
// avg_pool2d_strips.wgsl has the ladder that this is a rung of.
// No barriers. Preconditions: those of avg_pool2d.wgsl.
// Needs common/grid.wgsl, common/divide.wgsl, common/window.wgsl, common/texture.wgsl, common/read.wgsl,
// common/unrolled.wgsl, common/functions.wgsl, common/chain.wgsl, common/epilogue.wgsl.

override WORKGROUP: u32 = 64u;
override COUNT_INCLUDE_PAD: bool = false;

const STRIDE_HEIGHT = {{ stride_height }}u;
const STRIDE_WIDTH = {{ stride_width }}u;

/// The divisor's factor along one axis.
fn extent(window: Index, kernel: u32, stride: u32, pad: u32, size: u32, pad_end: u32) -> vec4<f32> {
    let start = window * stride;
    if COUNT_INCLUDE_PAD {
        return vec4<f32>(vec4<u32>(min(start + kernel, Index(pad + size + pad_end)) - start));
    }
    return vec4<f32>(vec4<u32>(min(start + kernel, Index(pad + size)) - max(start, Index(pad))));
}

fn extent_h(window: Index) -> vec4<f32> {
    let p = params;
    return extent(window, {{ kernel_height }}u, STRIDE_HEIGHT, p.pad_top, p.in_height, p.pad_bottom);
}

fn extent_w(window: Index) -> vec4<f32> {
    let p = params;
    return extent(window, {{ kernel_width }}u, STRIDE_WIDTH, p.pad_left, p.in_width, p.pad_right);
}

{{ finishing(4) }}
{% if entry == "forward" %}
{{ cells("x", 1, texture, last) }}
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if !lies_within(index, params.out_height, params.out_width) { return; }
    let place = place_of(index, params.out_height, params.out_width);
    let plane = place.plane * params.in_height;
{% for r in range(kernel_height) %}
    let row{{ r }} = nearest_cell(place.row, {{ r }}u, STRIDE_HEIGHT, params.pad_top, params.in_height);
    let start{{ r }} = (plane + (row{{ r }} - params.pad_top)) * params.in_width;
    let has_row{{ r }} = row{{ r }} == place.row * STRIDE_HEIGHT + {{ r }}u;
{% endfor %}
{% for c in range(kernel_width) %}
    let column{{ c }} = nearest_cell(place.column, {{ c }}u, STRIDE_WIDTH, params.pad_left, params.in_width);
    let offset{{ c }} = column{{ c }} - params.pad_left;
    let has_column{{ c }} = column{{ c }} == place.column * STRIDE_WIDTH + {{ c }}u;
{% endfor %}
    var sum = vec4<f32>();
{% for r in range(kernel_height) %}
{% for c in range(kernel_width) %}
    sum += select(
        vec4<f32>(),
        x_cells(start{{ r }} + offset{{ c }}, place.quad),
        has_row{{ r }} & has_column{{ c }},
    );
{% endfor %}
{% endfor %}
    y[index] = finished(sum / (extent_h(place.row) * extent_w(place.column)), index);
}
{% else %}
{{ cells("dy", 1, texture, last) }}
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if !lies_within(index, params.in_height, params.in_width) { return; }
    let place = place_of(index, params.in_height, params.in_width);
    let row = place.row + params.pad_top;
    let column = place.column + params.pad_left;
    // The last window of each axis that begins before the cell.
    let last_row = row / STRIDE_HEIGHT;
    let last_column = column / STRIDE_WIDTH;
    let plane = place.plane * params.out_height;
{% for r in range(windows_height) %}
    let row{{ r }} = min(last_row - {{ r }}u, Index(params.out_height - 1u));
    let start{{ r }} = (plane + row{{ r }}) * params.out_width;
    let height{{ r }} = extent_h(row{{ r }});
    let has_row{{ r }} = covers(last_row - {{ r }}u, params.out_height, row - row{{ r }} * STRIDE_HEIGHT, {{ kernel_height }}u);
{% endfor %}
{% for c in range(windows_width) %}
    let column{{ c }} = min(last_column - {{ c }}u, Index(params.out_width - 1u));
    let width{{ c }} = extent_w(column{{ c }});
    let has_column{{ c }} =
        covers(last_column - {{ c }}u, params.out_width, column - column{{ c }} * STRIDE_WIDTH, {{ kernel_width }}u);
{% endfor %}
    var sum = vec4<f32>();
{% for r in range(windows_height) | reverse %}
{% for c in range(windows_width) | reverse %}
    sum += select(
        vec4<f32>(),
        dy_cells(start{{ r }} + column{{ c }}, place.quad) / (height{{ r }} * width{{ c }}),
        has_row{{ r }} & has_column{{ c }},
    );
{% endfor %}
{% endfor %}
    dx[index] = finished(sum, index);
}
{% endif %}
