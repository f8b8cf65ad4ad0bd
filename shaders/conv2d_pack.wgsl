// Copies of a convolution's operands in the order in which conv2d_packed.wgsl reads them. Needs common/grid.wgsl,
// common/conv2d.wgsl, common/texture.wgsl and common/packed.wgsl.
//
//   images  [N, C, H, W] with a border of zeros, for stride and dilation 1:
//           [N, C, OH + KH - 1, pitch] of four pixels, where line l, pixel p is x[l - pad_top, p - pad_left], and pitch
//           is as many fours as the tiles of an output's row have and those that the last of them sees to its right
//   weight  [ceil(O / ROWS), C, KH, KW, ROWS] in fours, 0 where there is no channel, into a texture row by row
//
//   rows    [N, C, H, W] for any number of channels: [N, H, OW, K] in fours of K = KW * C, where position kx * C + c is
//           x[n, c, y, ox * stride - pad_left + kx * dilation], and 0 beyond the image and behind KW * C
//   straight            a filter [KH, KW, C, O], O a multiple of 4, as it is into a texture row by row
//   transposed(_buffer) the same as [KH, KW, O, C], C a multiple of 4, into a texture, or into a buffer
//
// With TRANSPOSED the weight is [C, O, KH, KW] and its taps run backwards: what the input gradient, itself a convolution
// of dy, multiplies with. A padding that is negative, as that gradient's may be, wraps round to a huge number.
//
// One invocation copies a line of an image, four elements of a weight, or a block of 4 by 4 of a filter. A line starts anywhere, but is read in fours,
// each once: on a CPU adapter four numbers that lie together cost what one costs. No barriers.
//
// Precondition, for the loops of a software adapter (lavapipe): pitch <= 65,535.

override WORKGROUP: u32 = 64u;
// Channels of a tile of conv2d_packed.wgsl, a multiple of 4.
override ROWS: u32 = 8u;
override TRANSPOSED: bool = false;
// Fours of a tile of conv2d_packed.wgsl.
override QUADS: u32 = 4u;

// images
@group(0) @binding(1) var<storage, read> fours: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> packed: array<vec4<f32>>;
// weight
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var packed_weight: texture_storage_2d<rgba32float, write>;
// straight, transposed
@group(0) @binding(1) var<storage, read> filter_fours: array<vec4<f32>>;
// rows, transposed_buffer
@group(0) @binding(2) var<storage, read_write> packed_fours: array<vec4<f32>>;

const LANES = vec4<u32>(0u, 1u, 2u, 3u);

// The four elements that begin `offset` (0 to 3) behind the first of eight: shifted by two, and then by one.
fn shifted(low: vec4<f32>, high: vec4<f32>, offset: u32) -> vec4<f32> {
    let two = (offset & 2u) != 0u;
    let four = select(low, vec4(low.zw, high.xy), two);
    let next = select(high.x, high.z, two);
    return select(four, vec4(four.yzw, next), (offset & 1u) != 0u);
}

@compute @workgroup_size(WORKGROUP)
fn images(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let lines = packed_lines();
    let plane = index / lines;
    if plane >= params.batch * params.in_channels { return; }
    // Left of or above the image the position wraps round to a huge number: one test serves both edges. What is read from
    // there, or beyond the end, is masked.
    let y = index % lines - params.pad_top;
    let visible = y < params.in_height;
    let start = (plane * params.in_height + select(0u, y, visible)) * params.in_width - params.pad_left;
    let pitch = bound(packed_pitch(QUADS), arrayLength(&packed));
    var low = fours[start >> 2u];
    for (var column = 0u; column < pitch; column++) {
        let high = fours[(start + column * 4u + 4u) >> 2u];
        let x = column * 4u + LANES - params.pad_left;
        let seen = (x < vec4(params.in_width)) & vec4(visible);
        packed[index * pitch + column] = select(vec4<f32>(), shifted(low, high, start & 3u), seen);
        low = high;
    }
}

@compute @workgroup_size(WORKGROUP)
fn weight(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let taps = params.kernel_height * params.kernel_width;
    let row = index * 4u % ROWS + LANES;
    let place = index * 4u / ROWS;
    let tap = place % taps;
    let c = place / taps % params.in_channels;
    let tile = place / taps / params.in_channels;
    if tile >= tiles(params.out_channels, ROWS) { return; }
    let o = tile * ROWS + row;
    let seen = o < vec4(params.out_channels);
    var at = (o * params.in_channels + c) * taps + tap;
    if TRANSPOSED { at = (c * params.out_channels + o) * taps + (taps - 1u - tap); }
    at = select(vec4<u32>(), at, seen);
    let four = vec4(source[at.x], source[at.y], source[at.z], source[at.w]);
    textureStore(packed_weight, texel(index), select(vec4<f32>(), four, seen));
}

@compute @workgroup_size(WORKGROUP)
fn rows(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let length = params.in_channels * params.kernel_width;
    let fours_of_row = tiles(length, 4u);
    let pixel = index / fours_of_row;
    let line = pixel / params.out_width;
    let n = line / params.in_height;
    if n >= params.batch { return; }
    let position = 4u * (index - pixel * fours_of_row) + LANES;
    let kx = position / params.in_channels;
    let c = position - kx * params.in_channels;
    let x = (pixel - line * params.out_width) * params.stride_width - params.pad_left + kx * params.dilation_width;
    let seen = (position < vec4(length)) & (x < vec4(params.in_width));
    let y = line - n * params.in_height;
    let at = select(vec4<u32>(), ((n * params.in_channels + c) * params.in_height + y) * params.in_width + x, seen);
    let four = vec4(source[at.x], source[at.y], source[at.z], source[at.w]);
    packed_fours[index] = select(vec4<f32>(), four, seen);
}

@compute @workgroup_size(WORKGROUP)
fn straight(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let fours = params.kernel_height * params.kernel_width * params.in_channels * (params.out_channels / 4u);
    if index >= fours { return; }
    textureStore(packed_weight, texel(index), filter_fours[index]);
}

/// Four channels by four outputs of a tap: where they go, the first four and the way to the next.
struct Transposed {
    block: mat4x4<f32>,
    first: u32,
    step: u32,
}

fn transposed_block(index: u32) -> Transposed {
    let columns = params.out_channels / 4u;
    let rows = params.in_channels / 4u;
    // Channels change fastest, so that neighbours write side by side.
    let tap = index / (rows * columns);
    let rest = index - tap * rows * columns;
    let column = rest / rows;
    let row = rest - column * rows;
    let at = (tap * params.in_channels + 4u * row) * columns + column;
    let block = mat4x4(filter_fours[at], filter_fours[at + columns], filter_fours[at + 2u * columns], filter_fours[at + 3u * columns]);
    return Transposed(transpose(block), (tap * params.out_channels + 4u * column) * rows + row, rows);
}

fn is_block(index: u32) -> bool {
    let taps = params.kernel_height * params.kernel_width;
    return index < taps * (params.in_channels / 4u) * (params.out_channels / 4u);
}

@compute @workgroup_size(WORKGROUP)
fn transposed(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    if !is_block(index) { return; }
    let four = transposed_block(index);
    textureStore(packed_weight, texel(four.first), four.block[0]);
    textureStore(packed_weight, texel(four.first + four.step), four.block[1]);
    textureStore(packed_weight, texel(four.first + 2u * four.step), four.block[2]);
    textureStore(packed_weight, texel(four.first + 3u * four.step), four.block[3]);
}

@compute @workgroup_size(WORKGROUP)
fn transposed_buffer(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    if !is_block(index) { return; }
    let four = transposed_block(index);
    packed_fours[four.first] = four.block[0];
    packed_fours[four.first + four.step] = four.block[1];
    packed_fours[four.first + 2u * four.step] = four.block[2];
    packed_fours[four.first + 3u * four.step] = four.block[3];
}
