// 2-d max pooling of planes [in_height, in_width] to planes [out_height, out_width].
//   forward:    y[oy, ox] = max over the window's cells that lie in the input; argmax = iy * in_width + ix of the first
//               one in row-major order that has this value. Padding never wins. Not-a-number wins over every number.
//   grad_input: dx[iy, ix] = sum of dy over the windows whose argmax is this cell, rows then columns of windows.
//   grad_input_disjoint: the same where no two windows share a cell.
//   forward_pairs, grad_input_pairs: the same for windows and strides of 2, without padding, of planes whose width is a
//               multiple of 4 and whose height is one of 2.
// One invocation computes one element of y and argmax (forward), one of dx (grad_input), or the dx of a window and of
// the gap up to the next (grad_input_disjoint), or two neighbouring windows (pairs): gathers, no atomics.
// Memory traffic: forward reads each input about kernel / stride times (caches hold the overlap), writes 8 bytes an
// output; grad_input reads 8 bytes for each window that covers the cell and writes 4; grad_input_disjoint reads 8 bytes
// a window and writes 4 a cell. No barriers.
// Preconditions: pads smaller than the kernel, so that each window has an input cell;
// kernel_height * (kernel_width + 2) <= 65,535 (lavapipe's limit of loop iterations, loop exits counted), for
// grad_input_disjoint stride_height * (stride_width + 2) <= 65,535 and kernel <= stride on both axes.
// Needs common/grid.wgsl, common/divide.wgsl, common/window.wgsl, common/nan.wgsl.

override WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> argmax: array<u32>;
@group(0) @binding(1) var<storage, read> winner: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

// pairs
@group(0) @binding(1) var<storage, read> fours: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y_pairs: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> argmax_pairs: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read> winner_pairs: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> dy_pairs: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> dx_fours: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * params.out_height * params.out_width {
        return;
    }
    let place = unflatten(index, params.out_height, params.out_width);
    let rows = window_cells(place.y, params.kernel_height, params.stride_height, params.pad_top, params.in_height);
    let columns = window_cells(place.z, params.kernel_width, params.stride_width, params.pad_left, params.in_width);

    let plane = place.x * params.in_height * params.in_width;
    var best_cell = (rows.x - params.pad_top) * params.in_width + (columns.x - params.pad_left);
    var best = x[plane + best_cell];
    for (var row = rows.x; row < rows.y; row += 1u) {
        let start = (row - params.pad_top) * params.in_width;
        for (var column = columns.x; column < columns.y; column += 1u) {
            let cell = start + (column - params.pad_left);
            let value = x[plane + cell];
            if is_better(value, best) {
                best = value;
                best_cell = cell;
            }
        }
    }
    y[index] = best;
    argmax[index] = best_cell;
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * params.in_height * params.in_width {
        return;
    }
    let place = unflatten(index, params.in_height, params.in_width);
    let cell = place.y * params.in_width + place.z;
    let y_padded = place.y + params.pad_top;
    let x_padded = place.z + params.pad_left;
    let rows = covering_windows(y_padded, params.kernel_height, params.stride_height, params.out_height);
    let columns = covering_windows(x_padded, params.kernel_width, params.stride_width, params.out_width);

    let plane = place.x * params.out_height * params.out_width;
    var sum = 0.0;
    for (var row = rows.x; row < rows.y; row += 1u) {
        for (var column = columns.x; column < columns.y; column += 1u) {
            let window = plane + row * params.out_width + column;
            sum += select(0.0, dy[window], winner[window] == cell);
        }
    }
    dx[index] = sum;
}

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
    // No cell has the largest index.
    let target_cell = select(0xffffffffu, winner[window], inside);
    let gradient = dy[window];

    let first = max(field * stride, pad);
    let end = min(field * stride + stride, pad + size);
    for (var row = first.x; row < end.x; row += 1u) {
        for (var column = first.y; column < end.y; column += 1u) {
            let cell = (row - pad.x) * size.y + (column - pad.y);
            dx[place.x * size.x * size.y + cell] = select(0.0, gradient, cell == target_cell);
        }
    }
}

/// Two windows side by side: the four of their upper cells, that of the lower ones, and the first cell in its plane.
struct Pair {
    upper: u32,
    lower: u32,
    cell: u32,
}

fn pair_of(index: u32) -> Pair {
    let row_fours = params.in_width / 4u;
    // Planes have whole rows of windows, so that rows count through all of them.
    let place = div_rem(index, row_fours);
    let upper = 2u * place.x * row_fours + place.y;
    let row = div_rem(place.x, params.out_height).y;
    return Pair(upper, upper + row_fours, 2u * row * params.in_width + 4u * place.y);
}

@compute @workgroup_size(WORKGROUP)
fn forward_pairs(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * params.out_height * (params.in_width / 4u) {
        return;
    }
    let pair = pair_of(index);
    let upper = fours[pair.upper];
    let lower = fours[pair.lower];
    // Both windows at once, cell by cell in row-major order.
    var best = upper.xz;
    var cell = vec2<u32>(0u, 2u);
    let right = vec2<bool>(is_better(upper.y, best.x), is_better(upper.w, best.y));
    best = select(best, upper.yw, right);
    cell = select(cell, vec2<u32>(0u, 2u) + 1u, right);
    let below = vec2<bool>(is_better(lower.x, best.x), is_better(lower.z, best.y));
    best = select(best, lower.xz, below);
    cell = select(cell, vec2<u32>(0u, 2u) + params.in_width, below);
    let across = vec2<bool>(is_better(lower.y, best.x), is_better(lower.w, best.y));
    best = select(best, lower.yw, across);
    cell = select(cell, vec2<u32>(0u, 2u) + params.in_width + 1u, across);
    y_pairs[index] = best;
    argmax_pairs[index] = pair.cell + cell;
}

@compute @workgroup_size(WORKGROUP)
fn grad_input_pairs(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * params.out_height * (params.in_width / 4u) {
        return;
    }
    let pair = pair_of(index);
    let winner = winner_pairs[index].xxyy;
    let gradient = dy_pairs[index].xxyy;
    let cells = pair.cell + vec4<u32>(0u, 1u, 2u, 3u);
    dx_fours[pair.upper] = select(vec4<f32>(), gradient, winner == cells);
    dx_fours[pair.lower] = select(vec4<f32>(), gradient, winner == cells + params.in_width);
}
