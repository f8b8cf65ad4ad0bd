// 2-d average pooling of planes [in_height, in_width] to planes [out_height, out_width].
//   forward:    y[oy, ox] = sum of the window's cells that lie in the input / divisor(oy, ox)
//   grad_input: dx[iy, ix] = sum of dy / divisor over the windows that cover this cell, rows then columns of windows.
// The divisor is the number of the window's cells in the input or, with COUNT_INCLUDE_PAD, in the padded input: cells
// beyond the padding (a window of the ceil mode may have some) never count.
// One invocation computes one element of y (forward) or of dx (grad_input): gathers, no atomics.
// Memory traffic: forward reads each input about kernel / stride times (caches hold the overlap) and writes 4 bytes an
// output; grad_input reads 4 bytes for each window that covers the cell and writes 4. No barriers.
// Preconditions: pads smaller than the kernel, so that each window has an input cell;
// kernel_height * (kernel_width + 2) <= 65,535 (lavapipe's limit of loop iterations, loop exits counted).
// Needs common/grid.wgsl, common/divide.wgsl, common/window.wgsl, common/average.wgsl, common/texture.wgsl, common/read.wgsl,
// common/functions.wgsl, common/chain.wgsl, common/epilogue.wgsl.

override WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

{{ finishing(1) }}
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
    var sum = 0.0;
    for (var row = rows.x; row < rows.y; row += 1u) {
        let start = plane + (row - params.pad_top) * params.in_width;
        for (var column = columns.x; column < columns.y; column += 1u) {
            sum += x[start + (column - params.pad_left)];
        }
    }
    y[index] = finished(sum / f32(extent_h(place.y) * extent_w(place.z)), index);
}

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
        let height = extent_h(row);
        for (var column = columns.x; column < columns.y; column += 1u) {
            sum += dy[plane + row * params.out_width + column] / f32(height * extent_w(column));
        }
    }
    dx[index] = finished(sum, index);
}
