// 2-d max pooling of channels-last images [N, in_height, in_width, C] to [N, out_height, out_width, C], C a multiple of 4.
// The maths is that of max_pool2d.wgsl. One invocation computes four channels of a pixel: of y and of the winners (forward), of dx (grad_input).
// Memory traffic: forward reads each input about kernel / stride times and writes 8 bytes an output; grad_input reads 8 bytes
// for each window that covers the cell and writes 4.
// No barriers. Preconditions: those of max_pool2d.wgsl.
// Needs common/grid.wgsl, common/divide.wgsl, common/window.wgsl, common/nan.wgsl, common/texture.wgsl, common/read.wgsl,
// common/functions.wgsl, common/chain.wgsl, common/epilogue.wgsl.

override WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> winner: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> won: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

{{ finishing(4) }}
@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * params.out_height * params.out_width * params.quads {
        return;
    }
    let place = pixel_of(index, params.out_height, params.out_width);
    let rows = rows_of(place.y);
    let columns = columns_of(place.z);
    let plane = place.x * params.in_height * params.in_width;
    let first = (rows.x - params.pad_top) * params.in_width + (columns.x - params.pad_left);
    var best_cell = vec4(window_place(rows.x, columns.x, place.yz));
    var best = x[(plane + first) * params.quads + place.w];
    for (var row = rows.x; row < rows.y; row += 1u) {
        let start = (row - params.pad_top) * params.in_width;
        for (var column = columns.x; column < columns.y; column += 1u) {
            let value = x[(plane + start + (column - params.pad_left)) * params.quads + place.w];
            let better = are_better(value, best);
            best = select(best, value, better);
            best_cell = select(best_cell, vec4(window_place(row, column, place.yz)), better);
        }
    }
    y[index] = finished(best, index);
    winner[index] = vec4<f32>(best_cell);
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.planes * params.in_height * params.in_width * params.quads {
        return;
    }
    let place = pixel_of(index, params.in_height, params.in_width);
    let y_padded = place.y + params.pad_top;
    let x_padded = place.z + params.pad_left;
    let rows = windows_over_row(y_padded);
    let columns = windows_over_column(x_padded);
    let plane = place.x * params.out_height * params.out_width;
    var sum = vec4<f32>();
    for (var row = rows.x; row < rows.y; row += 1u) {
        for (var column = columns.x; column < columns.y; column += 1u) {
            let window = (plane + row * params.out_width + column) * params.quads + place.w;
            let cell = f32(window_place(y_padded, x_padded, vec2(row, column)));
            sum += select(vec4<f32>(), dy[window], won[window] == vec4(cell));
        }
    }
    dx[index] = finished(sum, index);
}
