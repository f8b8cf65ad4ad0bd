// 2-d convolution, f32 (the operands may be f16), NCHW, for GPUs: an implicit matrix product. Needs common/grid.wgsl,
// common/divide.wgsl, common/conv2d.wgsl, common/phases.wgsl, common/functions.wgsl, common/chain.wgsl, common/tile.wgsl,
// common/moments.wgsl and, for products of cooperative matrices within a slab, common/cooperative.wgsl after common/enable.wgsl.
//
// The maths is that of conv2d.wgsl, written as a product: result[row, column] = sum of left[row, k] * right[k, column].
//
//   entry point   row                        column                     k
//   forward       output channel of a group  pixel of y, over n too     (c, ky, kx)
//   grad_input    input channel of a group   pixel of dx, over n too    (o, ky, kx) of the phase's taps
//
// Neither operand is laid out as a matrix: index maps fetch its elements from where they lie. A workgroup of {{ side }}x{{ side }}
// computes {{ 4 * side * blocks }}x{{ 4 * side * blocks }} results, an invocation {{ blocks * blocks }} times 4x4. It walks k in slabs of {{ side // blocks }}: an invocation stores four
// elements of either operand that it fetched before, barrier, fetches those of the next slab (they share their k, so one
// decoding serves the four) and adds to its results from {{ 2 * blocks }} vec4 of workgroup memory for every k, barrier. A fetched element
// serves {{ 4 * side * blocks }} results. {{ (2 * (side // blocks) * (side * blocks + 1) * 16) }} bytes of workgroup memory,
// other sizes for cooperative matrices (common/tile.wgsl).
//
// grad_input takes the phases of the stride one by one: pixels of dx whose position is equal modulo the stride meet the
// same taps, so no multiplication by an inserted zero is left.
//
// k may be cut into `splits` slices, each with a plane of its own in `result`, which pointwise.wgsl adds.
// Otherwise forward and grad_input compute what follows, bias included, before they store (common/chain.wgsl), and forward
// may leave the statistics that a batch normalisation wants of it (common/moments.wgsl).
//
// This is for GPUs, on which it has been neither timed nor run; on a software adapter it is only checked.
//
// Preconditions. Element counts are below 2^32, and lengths of k below 2^30. A software adapter (lavapipe) silently ends the
// loops of an invocation after 65,535 iterations in all, so there ceil(K / {{ side // blocks }} / splits) + 2 * (KH + KW) + {{ side * blocks }} <= 65,535, with K =
//   forward Cg*KH*KW, grad_input Og*KH*KW with Cg = C/groups and Og = O/groups.

struct Forward {
    /// Where the rows' filters begin, and which rows there are.
    filters: vec4<u32>,
    rows: vec4<bool>,
    /// The channel's plane of the columns' images, and the first pixel that they see.
    plane: vec4<u32>,
    top: vec4<u32>,
    start: vec4<u32>,
    columns: vec4<bool>,
    length: u32,
    slice: u32,
}

fn forward_left(view: Forward, k: u32) -> vec4<f32> {
    return factor_at(view.filters + k, view.rows & vec4(k < view.length));
}

fn forward_right(view: Forward, k: u32) -> vec4<f32> {
    let channel = div_rem(k, params.kernel_height * params.kernel_width);
    let tap = div_rem(channel.y, params.kernel_width);
    // Left of or above the image the position wraps round to a huge number: one test serves both edges.
    let row = view.top + tap.x * params.dilation_height;
    let column = view.start + tap.y * params.dilation_width;
    let seen = view.columns & vec4(k < view.length)
        & (row < vec4(params.in_height)) & (column < vec4(params.in_width));
    let plane = view.plane + channel.x * params.in_height * params.in_width;
    return image_at(plane + row * params.in_width + column, seen);
}

fn forward_target(view: Forward, columns: vec4<u32>) -> Target {
    let pixel = positions(columns, params.out_height, params.out_width);
    let plane = (view.slice * params.batch + pixel.n) * params.out_channels * params.out_height;
    return Target((plane + pixel.row) * params.out_width + pixel.column, pixel.n < vec4(params.batch));
}

@compute @workgroup_size({{ workgroup }})
fn forward({{ arguments }}) {
    let at = {{ local_at }};
    let out_plane = params.out_height * params.out_width;
    let depth = params.in_channels / params.groups;
    let rows = params.out_channels / params.groups;
    let block = block_at(flat_workgroup(id, count), rows, params.batch * out_plane, params.groups);
{{ unless("block.rest < params.splits") }}
    let length = bound(depth * params.kernel_height * params.kernel_width, factor_length());
    let slice = slice_of(block.rest, params.splits, length);
    let share = share_of(at.y * SIDE + at.x, block);
    let pixel = positions(share.columns, params.out_height, params.out_width);
    let view = Forward(
        (block.group * rows + share.rows) * length,
        share.rows < vec4(rows),
        (pixel.n * params.in_channels + block.group * depth) * params.in_height * params.in_width,
        pixel.row * params.stride_height - params.pad_top,
        pixel.column * params.stride_width - params.pad_left,
        pixel.n < vec4(params.batch),
        slice.y,
        block.rest,
    );
{{ multiply_cooperative("forward") if cooperative else multiply("forward") }}
{{ store_cooperative("forward_target", "rows", "block.group * rows", "out_plane") if cooperative else store_all("forward_target", "rows", "block.group * rows", "out_plane") }}
{{ leave_moments("rows", "block.group * rows", "params.batch * out_plane") if statistics }}
}

struct GradInput {
    rows: vec4<u32>,
    seen_rows: vec4<bool>,
    /// The first plane of dy of the columns' images, the position there that the first taps meet, and which there are.
    plane: vec4<u32>,
    row: vec4<u32>,
    column: vec4<u32>,
    columns: vec4<bool>,
    phase: vec2<u32>,
    /// The phase's taps, and how far the position moves back from one to the next.
    vertical: Taps,
    horizontal: Taps,
    walk: vec2<u32>,
    first_output: u32,
    length: u32,
    slice: u32,
}

// The channel of dy of a term, counted from the group's first, and the number of its tap among those of the phase.
fn term(view: GradInput, k: u32) -> vec3<u32> {
    let channel = div_rem(k, max(view.vertical.count * view.horizontal.count, 1u));
    let tap = div_rem(channel.y, max(view.horizontal.count, 1u));
    return vec3(channel.x, tap);
}

fn grad_input_left(view: GradInput, k: u32) -> vec4<f32> {
    let at = term(view, k);
    let filters = (view.first_output + at.x) * (params.in_channels / params.groups) + view.rows;
    let ky = view.vertical.first + at.y * view.vertical.step;
    let kx = view.horizontal.first + at.z * view.horizontal.step;
    let element = (filters * params.kernel_height + ky) * params.kernel_width + kx;
    return factor_at(element, view.seen_rows & vec4(k < view.length));
}

fn grad_input_right(view: GradInput, k: u32) -> vec4<f32> {
    let at = term(view, k);
    // Left of or above dy the position wraps round to a huge number.
    let row = view.row - at.y * view.walk.x;
    let column = view.column - at.z * view.walk.y;
    let seen = view.columns & vec4(k < view.length)
        & (row < vec4(params.out_height)) & (column < vec4(params.out_width));
    let plane = view.plane + at.x * params.out_height * params.out_width;
    return image_at(plane + row * params.out_width + column, seen);
}

// A pixel of dx as its phase counts them, in the image.
fn grad_input_target(view: GradInput, columns: vec4<u32>) -> Target {
    let height = tiles(params.in_height, params.stride_height);
    let width = tiles(params.in_width, params.stride_width);
    let pixel = positions(columns, height, width);
    let row = pixel.row * params.stride_height + view.phase.x;
    let column = pixel.column * params.stride_width + view.phase.y;
    let inside = (pixel.n < vec4(params.batch)) & (row < vec4(params.in_height)) & (column < vec4(params.in_width));
    let plane = (view.slice * params.batch + pixel.n) * params.in_channels * params.in_height;
    return Target((plane + row) * params.in_width + column, inside);
}

// What the first tap of a phase sees, from the phase's first pixel on.
fn first_seen(distance: u32, tap: u32, dilation: u32, stride: u32) -> u32 {
    return u32((i32(distance) - i32(tap * dilation)) / i32(stride));
}

@compute @workgroup_size({{ workgroup }})
fn grad_input({{ arguments }}) {
    let at = {{ local_at }};
    let p = params;
    let depth = p.out_channels / p.groups;
    let rows = p.in_channels / p.groups;
    let height = tiles(p.in_height, p.stride_height);
    let width = tiles(p.in_width, p.stride_width);
    let block = block_at(flat_workgroup(id, count), rows, p.batch * height * width, p.groups);
    let number = block.rest / p.splits;
    let phase = vec2(number / p.stride_width, number % p.stride_width);
{{ unless("phase.x < p.stride_height") }}

    let kernel_height = bound(p.kernel_height, factor_length());
    let kernel_width = bound(p.kernel_width, factor_length());
    let distance = phase + vec2(p.pad_top, p.pad_left);
    let vertical = phase_taps(distance.x, kernel_height, p.stride_height, p.dilation_height);
    let horizontal = phase_taps(distance.y, kernel_width, p.stride_width, p.dilation_width);
    let length = depth * vertical.count * horizontal.count;
    let slice = slice_of(block.rest % p.splits, p.splits, length);
    let share = share_of(at.y * SIDE + at.x, block);
    let pixel = positions(share.columns, height, width);
    let view = GradInput(
        share.rows,
        share.rows < vec4(rows),
        (pixel.n * p.out_channels + block.group * depth) * p.out_height * p.out_width,
        pixel.row + first_seen(distance.x, vertical.first, p.dilation_height, p.stride_height),
        pixel.column + first_seen(distance.y, horizontal.first, p.dilation_width, p.stride_width),
        pixel.n < vec4(p.batch),
        phase,
        vertical,
        horizontal,
        // Exact: a step of the taps is what brings the position to a multiple of the stride again.
        vec2(vertical.step * p.dilation_height / p.stride_height, horizontal.step * p.dilation_width / p.stride_width),
        block.group * depth,
        slice.y,
        block.rest % p.splits,
    );
{{ multiply_cooperative("grad_input") if cooperative else multiply("grad_input") }}
{{ store_cooperative("grad_input_target", "rows", "block.group * rows", "p.in_height * p.in_width") if cooperative else store_all("grad_input_target", "rows", "block.group * rows", "p.in_height * p.in_width") }}
}
