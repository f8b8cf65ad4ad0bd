// Windows of poolings over up to three axes, one axis at a time, in coordinates of the padded axis, so that none is
// negative; and the `Params` that all such poolings are given. Needs common/divide.wgsl.
//
// Tensors are [outer, depth, height, width, inner]: of planes inner is 1, of channels-last images outer is the batch and
// inner the channels, or fours of them. Tap t of window w stands on cell w stride + t dilation - begin. An ADAPTIVE pooling
// cuts an axis into `output` windows instead: window w goes from floor(w input / output) up to ceil((w + 1) input / output).

override ADAPTIVE: bool = false;
/// Whether there are gaps between the taps, on any axis.
override DILATED: bool = false;

struct Params {
    outer: u32,
    inner: u32,
    in_depth: u32,
    in_height: u32,
    in_width: u32,
    out_depth: u32,
    out_height: u32,
    out_width: u32,
    /// Of an adaptive pooling, the taps of its largest window.
    kernel_depth: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_depth: u32,
    stride_height: u32,
    stride_width: u32,
    dilation_depth: u32,
    dilation_height: u32,
    dilation_width: u32,
    begin_depth: u32,
    begin_height: u32,
    begin_width: u32,
    end_depth: u32,
    end_height: u32,
    end_width: u32,
    /// Of random numbers, where there are any.
    seed: u32,
    stream: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

struct Axis {
    input: u32,
    output: u32,
    kernel: u32,
    stride: u32,
    dilation: u32,
    begin: u32,
    end: u32,
}

fn depth_axis() -> Axis {
    let p = params;
    return Axis(
        p.in_depth, p.out_depth, p.kernel_depth, p.stride_depth, p.dilation_depth, p.begin_depth, p.end_depth,
    );
}

fn height_axis() -> Axis {
    let p = params;
    return Axis(
        p.in_height, p.out_height, p.kernel_height, p.stride_height, p.dilation_height, p.begin_height, p.end_height,
    );
}

fn width_axis() -> Axis {
    let p = params;
    return Axis(
        p.in_width, p.out_width, p.kernel_width, p.stride_width, p.dilation_width, p.begin_width, p.end_width,
    );
}

/// Where an element stands.
struct Place {
    outer: u32,
    depth: u32,
    height: u32,
    width: u32,
    inner: u32,
}

fn place_of(index: u32, depth: u32, height: u32, width: u32) -> Place {
    let cell = div_rem(index, params.inner);
    let row = div_rem(cell.x, width);
    let layer = div_rem(row.x, height);
    let volume = div_rem(layer.x, depth);
    return Place(volume.x, volume.y, layer.y, row.y, cell.y);
}

/// In how many steps of the dilation a distance is covered.
fn steps(axis: Axis, distance: u32) -> u32 {
    if DILATED {
        return div_rem(distance + axis.dilation - 1u, axis.dilation).x;
    }
    return distance;
}

/// One axis of a window.
struct Span {
    /// Where its first tap stands.
    start: u32,
    /// The taps that it has, in the input or not.
    taps: u32,
    /// The first tap in the input, and one past the last.
    first: u32,
    end: u32,
}

fn span_of(axis: Axis, window: u32) -> Span {
    var start = window * axis.stride;
    var taps = axis.kernel;
    if ADAPTIVE {
        start = div_rem(window * axis.input, axis.output).x;
        taps = div_rem((window + 1u) * axis.input + axis.output - 1u, axis.output).x - start;
    }
    let first = steps(axis, max(start, axis.begin) - start);
    return Span(start, taps, first, min(taps, steps(axis, axis.begin + axis.input - start)));
}

/// The cell of the input that a tap stands on.
fn cell_of(axis: Axis, span: Span, tap: u32) -> u32 {
    return span.start + tap * axis.dilation - axis.begin;
}

/// The taps of a window that stand in the padded input.
fn padded_taps(axis: Axis, span: Span) -> u32 {
    return min(span.taps, steps(axis, axis.begin + axis.input + axis.end - span.start));
}

/// Numbers, of taps or, of an adaptive pooling, of windows, among which those are whose windows hold a cell.
struct Candidates {
    first: u32,
    end: u32,
    step: u32,
}

fn candidates_of(axis: Axis, cell: u32) -> Candidates {
    if ADAPTIVE {
        let first = div_rem(cell * axis.output, axis.input).x;
        return Candidates(first, div_rem((cell + 1u) * axis.output - 1u, axis.input).x + 1u, 1u);
    }
    let at = cell + axis.begin;
    if DILATED {
        return Candidates(0u, min(axis.kernel, div_rem(at, axis.dilation).x + 1u), 1u);
    }
    return Candidates(div_rem(at, axis.stride).y, min(axis.kernel, at + 1u), axis.stride);
}

/// The window (x) that holds a cell by its tap (y), for a candidate; the window is past all others where there is none.
/// Later candidates have earlier windows, but for those of an adaptive pooling.
fn candidate_of(axis: Axis, cell: u32, number: u32) -> vec2<u32> {
    if ADAPTIVE {
        return vec2<u32>(number, cell - div_rem(number * axis.input, axis.output).x);
    }
    let window = div_rem(cell + axis.begin - number * axis.dilation, axis.stride);
    return vec2<u32>(select(0xffffffffu, window.x, window.y == 0u), number);
}

{#- For each tap of the window `place` that stands in the input: `i`, `j`, `k`, and `at`, the number of its cell. #}
{% macro each_cell() %}
    for (var i = depth.first; i < depth.end; i += 1u) {
        let layer = place.outer * params.in_depth + cell_of(depth_axis(), depth, i);
        for (var j = height.first; j < height.end; j += 1u) {
            let row = layer * params.in_height + cell_of(height_axis(), height, j);
            for (var k = width.first; k < width.end; k += 1u) {
                let at = (row * params.in_width + cell_of(width_axis(), width, k)) * params.inner + place.inner;
{{ caller() }}
            }
        }
    }
{% endmacro %}

/// The last window (x) that begins before a cell, and the tap (y) that it may hold it by.
fn last_window(axis: Axis, cell: u32) -> vec2<u32> {
    return div_rem(cell + axis.begin, axis.stride);
}

/// The same so many windows before; one that would be negative is past all others.
fn earlier(axis: Axis, last: vec2<u32>, windows: u32) -> vec2<u32> {
    return vec2<u32>(last.x - windows, last.y + windows * axis.stride);
}

/// The number of a window.
fn window_of(place: Place, i: u32, j: u32, k: u32) -> u32 {
    let line = (place.outer * params.out_depth + i) * params.out_height + j;
    return (line * params.out_width + k) * params.inner + place.inner;
}

{#- For each window that holds the cell `place`: `i`, `j`, `k`, window and tap on each axis, and `at`, its number. Unrolled
    where the most windows along each axis are given, not 0: of windows that slide, without gaps. #}
{% macro each_window(most_depth, most_height, most_width) %}
{% if most_depth %}
    let depths = last_window(depth_axis(), place.depth);
    let heights = last_window(height_axis(), place.height);
    let widths = last_window(width_axis(), place.width);
{% for a in range(most_depth) %}
{% for b in range(most_height) %}
{% for c in range(most_width) %}
    {
        let i = earlier(depth_axis(), depths, {{ a }}u);
        let j = earlier(height_axis(), heights, {{ b }}u);
        let k = earlier(width_axis(), widths, {{ c }}u);
        let is_window = (i.x < params.out_depth) & (j.x < params.out_height) & (k.x < params.out_width);
        let has_tap = (i.y < params.kernel_depth) & (j.y < params.kernel_height) & (k.y < params.kernel_width);
        if is_window & has_tap {
            let at = window_of(place, i.x, j.x, k.x);
{{ caller() }}
        }
    }
{% endfor %}
{% endfor %}
{% endfor %}
{% else %}
    let depths = candidates_of(depth_axis(), place.depth);
    let heights = candidates_of(height_axis(), place.height);
    let widths = candidates_of(width_axis(), place.width);
    for (var layer = depths.first; layer < depths.end; layer += depths.step) {
        let i = candidate_of(depth_axis(), place.depth, layer);
        if i.x >= params.out_depth { continue; }
        for (var row = heights.first; row < heights.end; row += heights.step) {
            let j = candidate_of(height_axis(), place.height, row);
            if j.x >= params.out_height { continue; }
            for (var column = widths.first; column < widths.end; column += widths.step) {
                let k = candidate_of(width_axis(), place.width, column);
                if k.x >= params.out_width { continue; }
                let at = window_of(place, i.x, j.x, k.x);
{{ caller() }}
            }
        }
    }
{% endif %}
{% endmacro %}
