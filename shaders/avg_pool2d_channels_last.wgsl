// 2-d average pooling of channels-last images [N, in_height, in_width, C] to [N, out_height, out_width, C], C a multiple of 4.
// The maths is that of avg_pool2d.wgsl. One invocation computes four channels of a pixel: of y (forward), of dx (grad_input).
// Memory traffic: forward reads each input about kernel / stride times and writes 4 bytes an output; grad_input reads 4 bytes
// for each window that covers the cell and writes 4.
// No barriers. Preconditions: those of avg_pool2d.wgsl.
// Needs common/grid.wgsl, common/divide.wgsl, common/window.wgsl, common/average.wgsl, common/texture.wgsl, common/read.wgsl,
// common/functions.wgsl, common/chain.wgsl, common/epilogue.wgsl.

override WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>;

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
    var sum = vec4<f32>();
    for (var row = rows.x; row < rows.y; row += 1u) {
        let start = (row - params.pad_top) * params.in_width;
        for (var column = columns.x; column < columns.y; column += 1u) {
            sum += x[(plane + start + (column - params.pad_left)) * params.quads + place.w];
        }
    }
    y[index] = finished(sum / f32(extent_h(place.y) * extent_w(place.z)), index);
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
        let height = extent_h(row);
        for (var column = columns.x; column < columns.y; column += 1u) {
            let window = plane + row * params.out_width + column;
            sum += dy[window * params.quads + place.w] / f32(height * extent_w(column));
        }
    }
    dx[index] = finished(sum, index);
}
