// Weight gradient of a 2-d convolution, f32 (the operands may be f16), NCHW, for GPUs: an implicit matrix product. Needs
// common/grid.wgsl, common/divide.wgsl, common/conv2d.wgsl, common/functions.wgsl, common/chain.wgsl, common/tile.wgsl and,
// for products of cooperative matrices within a slab, common/cooperative.wgsl after common/enable.wgsl.
//
//   dw[o, (c, ky, kx)] = sum over pixels (n, oy, ox) of dy[o, pixel] * x[pixel, (c, ky, kx)]
//
// with terms outside the image left out, group by group. The tiles are those of conv2d_tiled.wgsl: a workgroup of {{ side }}x{{ side }}
// computes {{ 4 * side * blocks }} output channels by {{ 4 * side * blocks }} elements of their filters, and walks the pixels in slabs of {{ side // blocks }} through
// workgroup memory, two barriers each. A fetched element serves {{ 4 * side * blocks }} results. {{ 2 * (side // blocks) * (side * blocks + 1) * 16 }} bytes of workgroup
// memory, other sizes for cooperative matrices.
//
// The pixels may be cut into `splits` slices, each with a plane of its own in `result`, which pointwise.wgsl
// adds.
//
// This is for GPUs, on which it has been neither timed nor run; on a software adapter it is only checked.
//
// Preconditions. Element counts are below 2^32, N*OH*OW below 2^30. A software adapter (lavapipe) silently ends the loops of
// an invocation after 65,535 iterations in all, so there ceil(N*OH*OW / {{ side // blocks }} / splits) <= 65,535.

struct GradWeight {
    /// The rows' first planes of dy, and which rows there are.
    outputs: vec4<u32>,
    rows: vec4<bool>,
    /// The columns' planes of x, and how far they are from the pixel's own position.
    channels: vec4<u32>,
    top: vec4<u32>,
    start: vec4<u32>,
    columns: vec4<bool>,
    end: u32,
    slice: u32,
}

fn grad_weight_left(view: GradWeight, k: u32) -> vec4<f32> {
    let plane = params.out_height * params.out_width;
    let image = div_rem(k, plane);
    let at = (image.x * params.out_channels + view.outputs) * plane + image.y;
    return factor_at(at, view.rows & vec4(k < view.end));
}

fn grad_weight_right(view: GradWeight, k: u32) -> vec4<f32> {
    let line = div_rem(k, params.out_width);
    let image = div_rem(line.x, params.out_height);
    // Left of or above the image the position wraps round to a huge number: one test serves both edges.
    let row = view.top + image.y * params.stride_height;
    let column = view.start + line.y * params.stride_width;
    let seen = view.columns & vec4(k < view.end)
        & (row < vec4(params.in_height)) & (column < vec4(params.in_width));
    let plane = image.x * params.in_channels + view.channels;
    return image_at((plane * params.in_height + row) * params.in_width + column, seen);
}

fn grad_weight_target(view: GradWeight, columns: vec4<u32>) -> Target {
    let length = params.in_channels / params.groups * params.kernel_height * params.kernel_width;
    return Target(view.slice * params.out_channels * length + columns, columns < vec4(length));
}

@compute @workgroup_size({{ workgroup }})
fn grad_weight({{ arguments }}) {
    let at = {{ local_at }};
    let depth = params.in_channels / params.groups;
    let rows = params.out_channels / params.groups;
    let columns = depth * params.kernel_height * params.kernel_width;
    let block = block_at(flat_workgroup(id, count), rows, columns, params.groups);
{{ unless("block.rest < params.splits") }}
    let pixels = bound(params.batch * params.out_height * params.out_width, factor_length());
    let slice = slice_of(block.rest, params.splits, pixels);
    let share = share_of(at.y * SIDE + at.x, block);
    // (c, ky, kx), as if the kernel were an image and the channels its batch.
    let tap = positions(share.columns, params.kernel_height, params.kernel_width);
    let view = GradWeight(
        block.group * rows + share.rows,
        share.rows < vec4(rows),
        block.group * depth + tap.n,
        tap.row * params.dilation_height - params.pad_top,
        tap.column * params.dilation_width - params.pad_left,
        share.columns < vec4(columns),
        slice.y,
        block.rest,
    );
{{ multiply_cooperative("grad_weight") if cooperative else multiply("grad_weight") }}
{{ store_cooperative("grad_weight_target", "rows", "block.group * rows", "columns") if cooperative else store_all("grad_weight_target", "rows", "block.group * rows", "columns") }}
}
