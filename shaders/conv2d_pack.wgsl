// Copies of a convolution's operands in the order in which its kernels read them. Needs common/grid.wgsl,
// common/divide.wgsl, common/conv2d.wgsl, common/texture.wgsl, common/read.wgsl and common/packed.wgsl.
//
//   images  [N, C, H, W] with a border of zeros, for stride and dilation 1:
//           [N, C, OH + KH - 1, pitch] of four pixels, where line l, pixel p is x[l - pad_top, p - pad_left], and pitch
//           is as many fours as the tiles of an output's row have and those that the last of them sees to its right
//   weight  [ceil(O / ROWS), C, KH, KW, ROWS] in fours, 0 where there is no channel
//   rows    [N, C, H, W] for any number of channels: [N, H, OW, K] in fours of K = KW * C, where position kx * C + c is
//           x[n, c, y, ox * stride - pad_left + kx * dilation], and 0 beyond the image and behind KW * C
//
// With TRANSPOSED the weight is [C, O, KH, KW] and its taps run backwards: what the input gradient, itself a convolution
// of dy, multiplies with. A padding that is negative, as that gradient's may be, wraps round to a huge number.
//
// One invocation copies a line of an image, or four elements. A line starts anywhere, but is read in fours, each once: on a
// CPU adapter four numbers that lie together cost what one costs. No barriers.
//
// Preconditions: below 2^30 invocations of rows; for the loops of a software adapter (lavapipe), pitch <= 65,535.

override WORKGROUP: u32 = 64u;
// Channels of a tile of conv2d_packed.wgsl, a multiple of 4.
override ROWS: u32 = 8u;
override TRANSPOSED: bool = false;
// Fours of a tile of conv2d_packed.wgsl.
override QUADS: u32 = 4u;

{{ fours("source", 1, texture) }}
{{ elements("source") }}
@group(0) @binding(2) var<storage, read_write> packed: array<vec4<f32>>;

const LANES = vec4<u32>(0u, 1u, 2u, 3u);

// Four elements of the source.
fn source_elements(at: vec4<u32>) -> vec4<f32> {
    return vec4(source_element(at.x), source_element(at.y), source_element(at.z), source_element(at.w));
}

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
    var low = source_at(start >> 2u);
    for (var column = 0u; column < pitch; column++) {
        let high = source_at((start + column * 4u + 4u) >> 2u);
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
    packed[index] = select(vec4<f32>(), source_elements(at), seen);
}

@compute @workgroup_size(WORKGROUP)
fn rows(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let length = params.in_channels * params.kernel_width;
    let place = div_rem(index, tiles(length, 4u));
    let across = div_rem(place.x, params.out_width);
    let down = div_rem(across.x, params.in_height);
    if down.x >= params.batch { return; }
    // Column of the kernel and channel of the first position, and of those behind it.
    let first = div_rem(4u * place.y, params.in_channels);
{% for l in range(1, 4) %}
{% set before = "first" if l == 1 else "next" ~ (l - 1) %}
    let wraps{{ l }} = {{ before }}.y + 1u == params.in_channels;
    let next{{ l }} = select(vec2({{ before }}.x, {{ before }}.y + 1u), vec2({{ before }}.x + 1u, 0u), wraps{{ l }});
{% endfor %}
    let kx = vec4(first.x, next1.x, next2.x, next3.x);
    let c = vec4(first.y, next1.y, next2.y, next3.y);
    let x = across.y * params.stride_width - params.pad_left + kx * params.dilation_width;
    let seen = (4u * place.y + LANES < vec4(length)) & (x < vec4(params.in_width));
    let rows = (down.x * params.in_channels + c) * params.in_height + down.y;
    let at = select(vec4<u32>(), rows * params.in_width + x, seen);
    packed[index] = select(vec4<f32>(), source_elements(at), seen);
}
