// 2-d convolution, f32, NCHW, for GPUs: an implicit matrix product through workgroup memory. Needs common/grid.wgsl.
//
// The maths is that of conv2d.wgsl, written as a product: result[row, column] = sum over k of left[row, k] * right[k, column].
//
//   entry point   row                       column                      k
//   forward       output channel of a group pixel of y, over n too      (c, ky, kx)
//   grad_input    input channel of a group  pixel of dx, over n too     (o, ky, kx), of the phase's taps
//   grad_weight   output channel of a group (c, ky, kx) of the group    pixel of y, over n too, of the slice
//
// Neither operand is laid out as a matrix: index maps fetch its elements from where they lie. A workgroup of 16x16
// computes 64x64 results. It walks k in slabs of 16: each invocation fetches four elements of either operand (the four share
// their k, so one decoding serves them), a barrier, then each multiplies its 4x4 results, from two vec4 of workgroup memory
// for every k. An operand element is fetched from memory once for 64 results. 8.5 KiB of workgroup memory.
//
// grad_input takes the phases of the stride one by one: pixels of dx whose position is equal modulo the stride meet the same
// taps, so no multiplication by an inserted zero is left.
//
// grad_weight cuts the N*OH*OW axis into `splits` slices, which sum_partials of conv2d.wgsl adds.
//
// Preconditions. Element counts are below 2^32. A software adapter (lavapipe) silently ends the loops of an invocation after
// 65,535 iterations in all, so there 5 * ceil(length of k / 16) + 2 * (KH + KW) <= 65,535, the length of k being
//   forward Cg*KH*KW, grad_input Og*KH*KW, grad_weight ceil(N*OH*OW / splits).

struct Params {
    batch: u32,
    in_channels: u32,
    in_height: u32,
    in_width: u32,
    out_channels: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_height: u32,
    stride_width: u32,
    pad_top: u32,
    pad_left: u32,
    dilation_height: u32,
    dilation_width: u32,
    groups: u32,
    splits: u32,
}

// Without a bias the host binds w again in its place.
override HAS_BIAS: bool = false;

const TILE = 64u;
const SLAB = 16u;
// In vec4: the 16 of a tile and one more, so that a column of the slab does not fall into one memory bank.
const PITCH = 17u;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

@group(0) @binding(0) var<uniform> params: Params;

// forward
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// grad_input
@group(0) @binding(1) var<storage, read> input_w: array<f32>;
@group(0) @binding(2) var<storage, read> input_dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

// grad_weight
@group(0) @binding(1) var<storage, read> weight_x: array<f32>;
@group(0) @binding(2) var<storage, read> weight_dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

var<workgroup> left: array<vec4<f32>, SLAB * PITCH>;
var<workgroup> right: array<vec4<f32>, SLAB * PITCH>;

fn tiles(length: u32, tile: u32) -> u32 {
    return (length + tile - 1u) / tile;
}

// A loop's bound, unchanged: the length of a buffer with that axis is never smaller. Were the bound visibly a uniform,
// lavapipe would fold its value in and, where that simplifies the shader much, compile it anew for every dispatch.
fn bound(value: u32, length: u32) -> u32 {
    return min(value, length);
}

// What a workgroup computes: the corner of its 64x64 results, its group, and what is left of its index.
struct Block {
    row: u32,
    column: u32,
    group: u32,
    rest: u32,
}

fn block_at(index: u32, rows: u32, columns: u32) -> Block {
    let across = tiles(columns, TILE);
    let down = tiles(rows, TILE);
    let group = index / across / down;
    return Block(index / across % down * TILE, index % across * TILE, group % params.groups, group / params.groups);
}

// Four neighbours of a flattened [n, height, width].
struct Position {
    n: vec4<u32>,
    row: vec4<u32>,
    column: vec4<u32>,
}

fn position(index: vec4<u32>, height: u32, width: u32) -> Position {
    let line = index / width;
    return Position(line / height, line % height, index - line * width);
}

// The rows of an invocation's 4x4 results.
struct Results {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn add_term(results: Results, k: u32, at: vec2<u32>) -> Results {
    let l = left[k * PITCH + at.y];
    let r = right[k * PITCH + at.x];
    return Results(
        fma(vec4(l.x), r, results.a),
        fma(vec4(l.y), r, results.b),
        fma(vec4(l.z), r, results.c),
        fma(vec4(l.w), r, results.d),
    );
}

fn add_slab(before: Results, at: vec2<u32>) -> Results {
    var results = before;
    for (var k = 0u; k < SLAB; k += 4u) {
        results = add_term(results, k, at);
        results = add_term(results, k + 1u, at);
        results = add_term(results, k + 2u, at);
        results = add_term(results, k + 3u, at);
    }
    return results;
}

// In the following, invocation (at.x, at.y) fetches left[rows 4*at.y.., k = at.x] and right[k = at.y, columns 4*at.x..].

@compute @workgroup_size(16, 16)
fn forward(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = local.xy;
    let in_plane = params.in_height * params.in_width;
    let out_plane = params.out_height * params.out_width;
    let taps = params.kernel_height * params.kernel_width;
    let depth = params.in_channels / params.groups;
    let rows = params.out_channels / params.groups;
    let block = block_at(flat_workgroup(id, count), rows, params.batch * out_plane);
    if block.rest > 0u { return; }

    let output = block.group * rows + min(block.row + 4u * at.y + FOUR, vec4(rows - 1u));
    let pixel = position(block.column + 4u * at.x + FOUR, params.out_height, params.out_width);
    let inside = pixel.n < vec4(params.batch);
    let plane = (pixel.n * params.in_channels + block.group * depth) * in_plane;
    let top = pixel.row * params.stride_height - params.pad_top;
    let start = pixel.column * params.stride_width - params.pad_left;

    var results = Results();
    let length = bound(depth * taps, arrayLength(&w));
    for (var slab = 0u; slab < length; slab += SLAB) {
        let left_k = slab + at.x;
        let l = output * length + min(left_k, length - 1u);
        let right_k = slab + at.y;
        let tap = right_k % taps;
        // Left of or above the image the position wraps round to a huge number: one test serves both edges.
        let row = top + tap / params.kernel_width * params.dilation_height;
        let column = start + tap % params.kernel_width * params.dilation_width;
        let seen = inside & (row < vec4(params.in_height)) & (column < vec4(params.in_width)) & vec4(right_k < length);
        let r = select(vec4<u32>(), plane + right_k / taps * in_plane + row * params.in_width + column, seen);
        workgroupBarrier();
        left[at.x * PITCH + at.y] = select(vec4<f32>(), vec4(w[l.x], w[l.y], w[l.z], w[l.w]), left_k < length);
        right[at.y * PITCH + at.x] = select(vec4<f32>(), vec4(x[r.x], x[r.y], x[r.z], x[r.w]), seen);
        workgroupBarrier();
        results = add_slab(results, at);
    }

    if HAS_BIAS {
        results.a += bias[output.x];
        results.b += bias[output.y];
        results.c += bias[output.z];
        results.d += bias[output.w];
    }
    let into = pixel.n * params.out_channels * out_plane + pixel.row * params.out_width + pixel.column;
    let row = block.row + 4u * at.y;
    if row < rows { store_y(into + output.x * out_plane, results.a, inside); }
    if row + 1u < rows { store_y(into + output.y * out_plane, results.b, inside); }
    if row + 2u < rows { store_y(into + output.z * out_plane, results.c, inside); }
    if row + 3u < rows { store_y(into + output.w * out_plane, results.d, inside); }
}

fn store_y(into: vec4<u32>, values: vec4<f32>, inside: vec4<bool>) {
    if inside.x { y[into.x] = values.x; }
    if inside.y { y[into.y] = values.y; }
    if inside.z { y[into.z] = values.z; }
    if inside.w { y[into.w] = values.w; }
}

// The taps that pixels of one phase meet along one axis: first, first + step, ... of them `count`.
struct Taps {
    first: u32,
    step: u32,
    count: u32,
}

fn phase_taps(distance: u32, kernel: u32, stride: u32, dilation: u32) -> Taps {
    // Tap t meets the phase when t * dilation equals the distance modulo the stride: periodic in t, if it ever happens.
    var first = 0u;
    while first < kernel && first * dilation % stride != distance % stride { first += 1u; }
    var step = 1u;
    while step < kernel && step * dilation % stride != 0u { step += 1u; }
    return Taps(first, step, (kernel - first + step - 1u) / step);
}

@compute @workgroup_size(16, 16)
fn grad_input(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = local.xy;
    let in_plane = params.in_height * params.in_width;
    let out_plane = params.out_height * params.out_width;
    let kernel_plane = params.kernel_height * params.kernel_width;
    let depth = params.out_channels / params.groups;
    let rows = params.in_channels / params.groups;
    let height = tiles(params.in_height, params.stride_height);
    let width = tiles(params.in_width, params.stride_width);
    let block = block_at(flat_workgroup(id, count), rows, params.batch * height * width);
    let phase = vec2(block.rest / params.stride_width, block.rest % params.stride_width);
    if phase.x >= params.stride_height { return; }

    let kernel_height = bound(params.kernel_height, arrayLength(&input_w));
    let kernel_width = bound(params.kernel_width, arrayLength(&input_w));
    let vertical = phase_taps(phase.x + params.pad_top, kernel_height, params.stride_height, params.dilation_height);
    let horizontal = phase_taps(phase.y + params.pad_left, kernel_width, params.stride_width, params.dilation_width);
    let taps = max(vertical.count * horizontal.count, 1u);
    let length = depth * vertical.count * horizontal.count;

    let input = min(block.row + 4u * at.y + FOUR, vec4(rows - 1u));
    let pixel = position(block.column + 4u * at.x + FOUR, height, width);
    let pixel_row = pixel.row * params.stride_height + phase.x;
    let pixel_column = pixel.column * params.stride_width + phase.y;
    let inside = (pixel.n < vec4(params.batch)) & (pixel_row < vec4(params.in_height)) & (pixel_column < vec4(params.in_width));
    let plane = (pixel.n * params.out_channels + block.group * depth) * out_plane;

    var results = Results();
    for (var slab = 0u; slab < length; slab += SLAB) {
        let left_k = min(slab + at.x, length - 1u);
        let left_tap = left_k % taps;
        let left_ky = vertical.first + left_tap / horizontal.count * vertical.step;
        let left_kx = horizontal.first + left_tap % horizontal.count * horizontal.step;
        let l = ((block.group * depth + left_k / taps) * rows + input) * kernel_plane + left_ky * params.kernel_width + left_kx;
        let right_k = slab + at.y;
        let right_tap = right_k % taps;
        let right_ky = vertical.first + right_tap / horizontal.count * vertical.step;
        let right_kx = horizontal.first + right_tap % horizontal.count * horizontal.step;
        // The output that saw the pixel through the tap. A negative distance wraps round and is beyond the output.
        let row = (pixel_row + params.pad_top - right_ky * params.dilation_height) / params.stride_height;
        let column = (pixel_column + params.pad_left - right_kx * params.dilation_width) / params.stride_width;
        let seen = inside & (row < vec4(params.out_height)) & (column < vec4(params.out_width)) & vec4(right_k < length);
        let r = select(vec4<u32>(), plane + right_k / taps * out_plane + row * params.out_width + column, seen);
        workgroupBarrier();
        left[at.x * PITCH + at.y] =
            select(vec4<f32>(), vec4(input_w[l.x], input_w[l.y], input_w[l.z], input_w[l.w]), slab + at.x < length);
        right[at.y * PITCH + at.x] = select(vec4<f32>(), vec4(input_dy[r.x], input_dy[r.y], input_dy[r.z], input_dy[r.w]), seen);
        workgroupBarrier();
        results = add_slab(results, at);
    }

    let into = (pixel.n * params.in_channels + block.group * rows) * in_plane + pixel_row * params.in_width + pixel_column;
    let row = block.row + 4u * at.y;
    if row < rows { store_dx(into + input.x * in_plane, results.a, inside); }
    if row + 1u < rows { store_dx(into + input.y * in_plane, results.b, inside); }
    if row + 2u < rows { store_dx(into + input.z * in_plane, results.c, inside); }
    if row + 3u < rows { store_dx(into + input.w * in_plane, results.d, inside); }
}

fn store_dx(into: vec4<u32>, values: vec4<f32>, inside: vec4<bool>) {
    if inside.x { dx[into.x] = values.x; }
    if inside.y { dx[into.y] = values.y; }
    if inside.z { dx[into.z] = values.z; }
    if inside.w { dx[into.w] = values.w; }
}

@compute @workgroup_size(16, 16)
fn grad_weight(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = local.xy;
    let in_plane = params.in_height * params.in_width;
    let out_plane = params.out_height * params.out_width;
    let depth = params.in_channels / params.groups;
    let rows = params.out_channels / params.groups;
    let columns = depth * params.kernel_height * params.kernel_width;
    let block = block_at(flat_workgroup(id, count), rows, columns);
    if block.rest >= params.splits { return; }

    let output = block.group * rows + min(block.row + 4u * at.y + FOUR, vec4(rows - 1u));
    // (c, ky, kx), as if the kernel were an image and the channels its batch.
    let weight = block.column + 4u * at.x + FOUR;
    let tap = position(weight, params.kernel_height, params.kernel_width);
    let inside = weight < vec4(columns);
    let top = tap.row * params.dilation_height - params.pad_top;
    let start = tap.column * params.dilation_width - params.pad_left;

    var results = Results();
    let pixels = params.batch * out_plane;
    let slice = tiles(pixels, params.splits);
    let end = min((block.rest + 1u) * slice, pixels);
    for (var slab = block.rest * slice; slab < end; slab += SLAB) {
        let left_k = min(slab + at.x, end - 1u);
        let n = left_k / out_plane;
        let l = (n * params.out_channels + output) * out_plane + (left_k - n * out_plane);
        let pixel = position(vec4(slab + at.y), params.out_height, params.out_width);
        let row = pixel.row * params.stride_height + top;
        let column = pixel.column * params.stride_width + start;
        let seen = inside & (row < vec4(params.in_height)) & (column < vec4(params.in_width)) & vec4(slab + at.y < end);
        let plane = (pixel.n * params.in_channels + block.group * depth + tap.n) * in_plane;
        let r = select(vec4<u32>(), plane + row * params.in_width + column, seen);
        workgroupBarrier();
        left[at.x * PITCH + at.y] =
            select(vec4<f32>(), vec4(weight_dy[l.x], weight_dy[l.y], weight_dy[l.z], weight_dy[l.w]), slab + at.x < end);
        right[at.y * PITCH + at.x] = select(vec4<f32>(), vec4(weight_x[r.x], weight_x[r.y], weight_x[r.z], weight_x[r.w]), seen);
        workgroupBarrier();
        results = add_slab(results, at);
    }

    let into = block.rest * params.out_channels * columns + weight;
    let row = block.row + 4u * at.y;
    if row < rows { store_partial(into + output.x * columns, results.a, inside); }
    if row + 1u < rows { store_partial(into + output.y * columns, results.b, inside); }
    if row + 2u < rows { store_partial(into + output.z * columns, results.c, inside); }
    if row + 3u < rows { store_partial(into + output.w * columns, results.d, inside); }
}

fn store_partial(into: vec4<u32>, values: vec4<f32>, inside: vec4<bool>) {
    if inside.x { partial[into.x] = values.x; }
    if inside.y { partial[into.y] = values.y; }
    if inside.z { partial[into.z] = values.z; }
    if inside.w { partial[into.w] = values.w; }
}
