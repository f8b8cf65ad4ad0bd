// 2-d max pooling of planes [in_height, in_width] to planes [out_height, out_width].
//   forward:    y[oy, ox] = max over the window's cells that lie in the input; winner = ky * kernel_width + kx of the
//               first one in row-major order that has this value, its place in the window with padding. It is stored as a
//               float, exact below 2^24: bits of small integers are subnormal floats, which a read through a texture
//               need not keep. Padding never wins. Not-a-number wins over every number.
//   grad_input: dx[iy, ix] = sum of dy over the windows whose winner is this cell, rows then columns of windows.
//   grad_input_disjoint: the same where no two windows share a cell.
//   forward_pairs, grad_input_pairs: the same for windows and strides of 2, without padding, of planes whose width is a
//               multiple of 4 and whose height is one of 2.
// One invocation computes one element of y and winner (forward), one of dx (grad_input), or the dx of a window and of
// the gap up to the next (grad_input_disjoint), or two neighbouring windows (pairs): gathers, no atomics.
// Memory traffic: forward reads each input about kernel / stride times (caches hold the overlap), writes 8 bytes an
// output; grad_input reads 8 bytes for each window that covers the cell and writes 4; grad_input_disjoint reads 8 bytes
// a window and writes 4 a cell. The pairs may be read through textures. No barriers.
// Preconditions: pads smaller than the kernel, so that each window has an input cell;
// kernel_height * (kernel_width + 2) <= 65,535 (lavapipe's limit of loop iterations, loop exits counted), for
// grad_input_disjoint stride_height * (stride_width + 2) <= 65,535 and kernel <= stride on both axes.
// Needs common/grid.wgsl, common/divide.wgsl, common/window.wgsl, common/nan.wgsl, common/texture.wgsl, common/read.wgsl,
// common/functions.wgsl, common/chain.wgsl, common/epilogue.wgsl.

override WORKGROUP: u32 = 64u;

{% if entry == "forward" %}
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> winner: array<f32>;
{% elif entry == "forward_pairs" %}
{{ fours("x", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> y: array<vec2<f32>>;
{% if winners %}
@group(0) @binding(3) var<storage, read_write> winner: array<vec2<f32>>;
{% endif %}
{% elif entry == "grad_input_pairs" %}
{{ pairs("winner", 1, texture) }}
{{ pairs("dy", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;
{% else %}
@group(0) @binding(1) var<storage, read> winner: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
{% endif %}

{{ finishing(4 if entry == "grad_input_pairs" else 2 if entry == "forward_pairs" else 1) }}
{% if entry == "forward" %}
@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * params.out_height * params.out_width {
        return;
    }
    let place = unflatten(index, params.out_height, params.out_width);
    let rows = rows_of(place.y);
    let columns = columns_of(place.z);

    let plane = place.x * params.in_height * params.in_width;
    var best_cell = window_place(rows.x, columns.x, place.yz);
    var best = x[plane + (rows.x - params.pad_top) * params.in_width + (columns.x - params.pad_left)];
    for (var row = rows.x; row < rows.y; row += 1u) {
        let start = plane + (row - params.pad_top) * params.in_width;
        for (var column = columns.x; column < columns.y; column += 1u) {
            let value = x[start + (column - params.pad_left)];
            if is_better(value, best) {
                best = value;
                best_cell = window_place(row, column, place.yz);
            }
        }
    }
    y[index] = finished(best, index);
    winner[index] = f32(best_cell);
}
{% elif entry == "grad_input" %}
@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * params.in_height * params.in_width {
        return;
    }
    let place = unflatten(index, params.in_height, params.in_width);
    let y_padded = place.y + params.pad_top;
    let x_padded = place.z + params.pad_left;
    let rows = windows_over_row(y_padded);
    let columns = windows_over_column(x_padded);

    let plane = place.x * params.out_height * params.out_width;
    var sum = 0.0;
    for (var row = rows.x; row < rows.y; row += 1u) {
        for (var column = columns.x; column < columns.y; column += 1u) {
            let window = plane + row * params.out_width + column;
            let cell = f32(window_place(y_padded, x_padded, vec2(row, column)));
            sum += select(0.0, dy[window], winner[window] == cell);
        }
    }
    dx[index] = finished(sum, index);
}
{% elif entry == "grad_input_disjoint" %}
@compute @workgroup_size(WORKGROUP)
fn grad_input_disjoint(at: Invocation) {
    // Fields of stride by stride cells; the last may lie beyond the last window.
    let stride = vec2<u32>(params.stride_height, params.stride_width);
    let pad = vec2<u32>(params.pad_top, params.pad_left);
    let size = vec2<u32>(params.in_height, params.in_width);
    let fields = (size + pad + stride - 1u) / stride;
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * fields.x * fields.y {
        return;
    }
    let place = unflatten(index, fields.x, fields.y);
    let field = place.yz;
    let windows = vec2<u32>(params.out_height, params.out_width);
    let inside = all(field < windows);
    let nearest = min(field, windows - 1u);
    let window = (place.x * windows.x + nearest.x) * windows.y + nearest.y;
    // No cell has a negative place.
    let target_cell = select(-1.0, winner[window], inside);
    let gradient = dy[window];

    let first = max(field * stride, pad);
    let end = min(field * stride + stride, pad + size);
    for (var row = first.x; row < end.x; row += 1u) {
        for (var column = first.y; column < end.y; column += 1u) {
            let cell = (row - pad.x) * size.y + (column - pad.y);
            let to = place.x * size.x * size.y + cell;
            // Right of the window, places are those of its next row.
            let won = column - field.y * stride.y < params.kernel_width
                && f32(window_place(row, column, field)) == target_cell;
            dx[to] = finished(select(0.0, gradient, won), to);
        }
    }
}

{% else %}
/// Of two windows side by side, the four of their upper cells and that of the lower ones.
fn fours_of(index: u32) -> vec2<u32> {
    let row_fours = params.in_width / 4u;
    // Planes have whole rows of windows, so that rows count through all of them.
    let place = div_rem(index, row_fours);
    let upper = 2u * place.x * row_fours + place.y;
    return vec2(upper, upper + row_fours);
}

{% if entry == "forward_pairs" %}
@compute @workgroup_size(WORKGROUP)
fn forward_pairs(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * params.out_height * (params.in_width / 4u) {
        return;
    }
    let fours = fours_of(index);
    let upper = x_at(fours.x);
    let lower = x_at(fours.y);
    // Both windows at once, cell by cell in row-major order.
    var best = upper.xz;
    var cell = vec2<f32>();
    let right = vec2<bool>(is_better(upper.y, best.x), is_better(upper.w, best.y));
    best = select(best, upper.yw, right);
    cell = select(cell, vec2(1.0), right);
    let below = vec2<bool>(is_better(lower.x, best.x), is_better(lower.z, best.y));
    best = select(best, lower.xz, below);
    cell = select(cell, vec2(2.0), below);
    let across = vec2<bool>(is_better(lower.y, best.x), is_better(lower.w, best.y));
    best = select(best, lower.yw, across);
    cell = select(cell, vec2(3.0), across);
    y[index] = finished(best, index);
{% if winners %}
    winner[index] = cell;
{% endif %}
}
{% else %}
@compute @workgroup_size(WORKGROUP)
fn grad_input_pairs(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * params.out_height * (params.in_width / 4u) {
        return;
    }
    let fours = fours_of(index);
    let winners = winner_pair(index).xxyy;
    let gradient = dy_pair(index).xxyy;
    let of_upper = select(vec4<f32>(), gradient, winners == vec4(0.0, 1.0, 0.0, 1.0));
    let of_lower = select(vec4<f32>(), gradient, winners == vec4(2.0, 3.0, 2.0, 3.0));
    dx[fours.x] = finished(of_upper, fours.x);
    dx[fours.y] = finished(of_lower, fours.y);
}
{% endif %}
{% endif %}
