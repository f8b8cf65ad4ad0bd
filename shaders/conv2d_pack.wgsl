// Copies of a convolution's operands in the order in which conv2d_packed.wgsl reads them, in textures, whose texels are
// counted row by row. Needs common/grid.wgsl, common/conv2d.wgsl, common/texture.wgsl and common/packed.wgsl.
//
//   images  [N, C, H, W] with a border of zeros, for stride and dilation 1:
//           [N, C, OH + KH - 1, pitch] of four pixels, where line l, pixel p is x[l - pad_top, p - pad_left], and pitch
//           is as many fours as the output has in a row and those that the last of them sees to its right
//   weight  [ceil(O / ROWS), C, KH, KW, ROWS] in fours, 0 where there is no channel
//
// With TRANSPOSED the weight is [C, O, KH, KW] and its taps run backwards: what the input gradient, itself a convolution
// of dy, multiplies with. A padding that is negative, as that gradient's may be, wraps round to a huge number.
//
// One invocation copies four elements: each read once, at most. No barriers, no loops.

override WORKGROUP: u32 = 64u;
// Channels of a tile of conv2d_packed.wgsl, a multiple of 4.
override ROWS: u32 = 8u;
override TRANSPOSED: bool = false;

@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var packed: texture_storage_2d<rgba32float, write>;

const LANES = vec4<u32>(0u, 1u, 2u, 3u);

@compute @workgroup_size(WORKGROUP)
fn images(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let pitch = packed_pitch();
    let lines = packed_lines();
    let line = index / pitch;
    let plane = line / lines;
    if plane >= params.batch * params.in_channels { return; }
    // Left of or above the image the position wraps round to a huge number: one test serves both edges.
    let y = line % lines - params.pad_top;
    let x = index % pitch * 4u + LANES - params.pad_left;
    let seen = (x < vec4(params.in_width)) & vec4(y < params.in_height);
    let at = select(vec4<u32>(), (plane * params.in_height + y) * params.in_width + x, seen);
    let four = vec4(source[at.x], source[at.y], source[at.z], source[at.w]);
    textureStore(packed, texel(index), select(vec4<f32>(), four, seen));
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
    textureStore(packed, texel(index), select(vec4<f32>(), four, seen));
}
