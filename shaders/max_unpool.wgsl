// The inverse of a max pooling over up to three axes, as far as it has one: values go back to where they came from.
//   forward:    y[cell] = x[w] of the last window w, in row-major order, that holds the cell and whose index names it, else 0.
//   grad_input: dx[w] = dy[index[w]] where w is that window, else 0.
// Indices number the cells of [depth, height, width]; one that names a cell outside its window names none. The windows are
// those of the pooling (common/volume.wgsl): y is the pooling's input in size, x its output. Planar tensors.
// One invocation computes one element of y or of dx: gathers, no atomics.
// Memory traffic: forward reads 4 bytes, and 4 for the value, for each window that holds the cell, and writes 4; grad_input
// reads 4 bytes for each window that holds the named cell, and 4 of dy, and writes 4. No barriers.
// Preconditions: those of pool.wgsl.
// Needs common/grid.wgsl, common/divide.wgsl, common/volume.wgsl.

override WORKGROUP: u32 = 64u;
/// Cells are numbered through all planes, else in each by themselves.
override WHOLE: bool = false;

{% if entry == "forward" %}
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let size = params.in_depth * params.in_height * params.in_width;
    if index >= params.outer * size {
        return;
    }
    let place = place_of(index, params.in_depth, params.in_height, params.in_width);
    let cell = select(index - place.outer * size, index, WHOLE);
    var value = 0.0;
    var found = false;
    // From the last window to the first.
{% call each_window(most_depth, most_height, most_width) %}
                if !found && indices[at] == cell {
                    found = true;
                    value = x[at];
                }
{% endcall %}
    y[index] = value;
}
{% else %}
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let windows = params.out_depth * params.out_height * params.out_width;
    if index >= params.outer * windows {
        return;
    }
    let size = params.in_depth * params.in_height * params.in_width;
    let start = div_rem(index, windows).x * size;
    let cell = indices[index];
    // One that is before the plane wraps around, beyond it.
    let own = cell - select(0u, start, WHOLE);
    if own >= size {
        dx[index] = 0.0;
        return;
    }
    let place = place_of(start + own, params.in_depth, params.in_height, params.in_width);
    var last = 0xffffffffu;
    // From the last window to the first.
{% call each_window(most_depth, most_height, most_width) %}
                if last == 0xffffffffu && indices[at] == cell {
                    last = at;
                }
{% endcall %}
    dx[index] = select(0.0, dy[start + own], last == index);
}
{% endif %}
