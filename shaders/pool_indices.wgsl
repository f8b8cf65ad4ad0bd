// Where the maxima of a pooling stand: from winners, numbers of taps as pool.wgsl leaves them, to numbers of cells in [depth,
// height, width] or in the whole tensor, of planar tensors. common/volume.wgsl says which cells a window holds.
// One invocation computes one index. Memory traffic: 8 bytes an index. No barriers. Not timed by itself.
// Preconditions: of an adaptive pooling (input + 1) (output + 1) < 2^30 on each axis.
// Needs common/grid.wgsl, common/divide.wgsl, common/volume.wgsl.

override WORKGROUP: u32 = 64u;
/// Cells are numbered through all planes, each with its rows in turn; else by themselves.
override WHOLE: bool = false;
/// Neighbours along the first axis have neighbouring numbers, not those along the last.
override COLUMN_MAJOR: bool = false;

@group(0) @binding(1) var<storage, read> winner: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices_of: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn indices(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.outer * params.out_depth * params.out_height * params.out_width {
        return;
    }
    let place = place_of(index, params.out_depth, params.out_height, params.out_width);
    let column = div_rem(u32(winner[index]), params.kernel_width);
    let row = div_rem(column.x, params.kernel_height);
    let i = cell_of(depth_axis(), span_of(depth_axis(), place.depth), row.x);
    let j = cell_of(height_axis(), span_of(height_axis(), place.height), row.y);
    let k = cell_of(width_axis(), span_of(width_axis(), place.width), column.y);
    var cell = (i * params.in_height + j) * params.in_width + k;
    if COLUMN_MAJOR {
        cell = i + params.in_depth * (j + params.in_height * k);
    }
    if WHOLE {
        cell += place.outer * params.in_depth * params.in_height * params.in_width;
    }
    indices_of[index] = cell;
}
