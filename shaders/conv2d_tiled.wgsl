// 2-d convolution, f32, NCHW, for GPUs: an implicit matrix product. Needs common/grid.wgsl, common/conv2d.wgsl,
// common/tile.wgsl and common/phases.wgsl.
//
// The maths is that of conv2d.wgsl, written as a product: result[row, column] = sum of left[row, k] * right[k, column].
//
//   entry point   row                        column                     k
//   forward       output channel of a group  pixel of y, over n too     (c, ky, kx)
//   grad_input    input channel of a group   pixel of dx, over n too    (o, ky, kx) of the phase's taps
//   grad_weight   output channel of a group  (c, ky, kx) of the group   pixel of y, over n too, of the slice
//
// Neither operand is laid out as a matrix: index maps fetch its elements from where they lie. A workgroup of 16x16
// computes 64x64 results. It walks k in slabs of 16: each invocation fetches four elements of either operand (they
// share their k, so one decoding serves the four), barrier, adds to its 4x4 results from two vec4 of workgroup memory
// for every k, barrier. A fetched element serves 64 results. 8.5 KiB of workgroup memory.
//
// grad_input takes the phases of the stride one by one: pixels of dx whose position is equal modulo the stride meet the
// same taps, so no multiplication by an inserted zero is left.
//
// grad_weight cuts the N*OH*OW axis into `splits` slices, which sum_partials of conv2d.wgsl adds.
//
// Preconditions. Element counts are below 2^32. A software adapter (lavapipe) silently ends the loops of an invocation
// after 65,535 iterations in all, so there 5 * ceil(length of k / 16) + 2 * (KH + KW) <= 65,535, the length of k being
//   forward Cg*KH*KW, grad_input Og*KH*KW, grad_weight ceil(N*OH*OW / splits), with Cg = C/groups and Og = O/groups.

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

// Invocation (at.x, at.y) fetches left[rows from 4*at.y, k = at.x] and right[k = at.y, columns from 4*at.x].

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
    let pixel = positions(block.column + 4u * at.x + FOUR, params.out_height, params.out_width);
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
        let seen = inside & vec4(right_k < length)
            & (row < vec4(params.in_height)) & (column < vec4(params.in_width));
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

@compute @workgroup_size(16, 16)
fn grad_input(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = local.xy;
    let in_plane = params.in_height * params.in_width;
    let out_plane = params.out_height * params.out_width;
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
    let pixel = positions(block.column + 4u * at.x + FOUR, height, width);
    let pixel_row = pixel.row * params.stride_height + phase.x;
    let pixel_column = pixel.column * params.stride_width + phase.y;
    let inside = (pixel.n < vec4(params.batch))
        & (pixel_row < vec4(params.in_height)) & (pixel_column < vec4(params.in_width));
    let plane = (pixel.n * params.out_channels + block.group * depth) * out_plane;

    var results = Results();
    for (var slab = 0u; slab < length; slab += SLAB) {
        let left_k = slab + at.x;
        let o = block.group * depth + min(left_k, length - 1u) / taps;
        let left_tap = phase_tap(min(left_k, length - 1u) % taps, vertical, horizontal);
        let l = ((o * rows + input) * params.kernel_height + left_tap.x) * params.kernel_width + left_tap.y;
        let right_k = slab + at.y;
        let tap = phase_tap(right_k % taps, vertical, horizontal);
        // The output that saw the pixel through the tap. A negative distance wraps round and is beyond the output.
        let row = (pixel_row + params.pad_top - tap.x * params.dilation_height) / params.stride_height;
        let column = (pixel_column + params.pad_left - tap.y * params.dilation_width) / params.stride_width;
        let seen = inside & vec4(right_k < length)
            & (row < vec4(params.out_height)) & (column < vec4(params.out_width));
        let r = select(vec4<u32>(), plane + right_k / taps * out_plane + row * params.out_width + column, seen);
        workgroupBarrier();
        left[at.x * PITCH + at.y] =
            select(vec4<f32>(), vec4(input_w[l.x], input_w[l.y], input_w[l.z], input_w[l.w]), left_k < length);
        right[at.y * PITCH + at.x] =
            select(vec4<f32>(), vec4(input_dy[r.x], input_dy[r.y], input_dy[r.z], input_dy[r.w]), seen);
        workgroupBarrier();
        results = add_slab(results, at);
    }

    let into = (pixel.n * params.in_channels + block.group * rows) * in_plane
        + pixel_row * params.in_width + pixel_column;
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
    let tap = positions(weight, params.kernel_height, params.kernel_width);
    let inside = weight < vec4(columns);
    let top = tap.row * params.dilation_height - params.pad_top;
    let start = tap.column * params.dilation_width - params.pad_left;

    var results = Results();
    let pixels = params.batch * out_plane;
    let slice = tiles(pixels, params.splits);
    let end = min((block.rest + 1u) * slice, pixels);
    for (var slab = block.rest * slice; slab < end; slab += SLAB) {
        let left_k = slab + at.x;
        let left_pixel = min(left_k, end - 1u);
        let l = (left_pixel / out_plane * params.out_channels + output) * out_plane + left_pixel % out_plane;
        let right_k = slab + at.y;
        let pixel = positions(vec4(right_k), params.out_height, params.out_width);
        let row = pixel.row * params.stride_height + top;
        let column = pixel.column * params.stride_width + start;
        let seen = inside & vec4(right_k < end)
            & (row < vec4(params.in_height)) & (column < vec4(params.in_width));
        let plane = (pixel.n * params.in_channels + block.group * depth + tap.n) * in_plane;
        let r = select(vec4<u32>(), plane + row * params.in_width + column, seen);
        workgroupBarrier();
        left[at.x * PITCH + at.y] =
            select(vec4<f32>(), vec4(weight_dy[l.x], weight_dy[l.y], weight_dy[l.z], weight_dy[l.w]), left_k < end);
        right[at.y * PITCH + at.x] =
            select(vec4<f32>(), vec4(weight_x[r.x], weight_x[r.y], weight_x[r.z], weight_x[r.w]), seen);
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
