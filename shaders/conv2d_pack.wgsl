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
// One invocation copies a line of an image, four elements of a weight, or what a row of the kernel sees at one place. A line
// starts anywhere, but is read in fours, each once: on a CPU adapter four numbers that lie together cost what one costs. No
// barriers.
//
// Ladder of rows, conv2 of LeNet-5, batch 64, parts of the time (omma profile lenet5 --training, lavapipe 22.3, two cores
// with AVX-512): an invocation for four elements, which divides to know its place, 1; one for a row, which counts, 0.63.
//
// Preconditions: below 2^30 invocations of rows; for the loops of a software adapter (lavapipe), pitch and K / 4 <= 65,535.

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
    let across = div_rem(index, params.out_width);
    let down = div_rem(across.x, params.in_height);
    if down.x >= params.batch { return; }
    let length = params.in_channels * params.kernel_width;
    let fours = tiles(length, 4u);
    let count = bound(fours, arrayLength(&packed));
    let left = across.y * params.stride_width - params.pad_left;
    let line = down.x * params.in_channels * params.in_height + down.y;
    // Column of the kernel and channel of the next position.
    var next = vec2<u32>();
    for (var four = 0u; four < count; four++) {
        let place0 = next;
{% for l in range(1, 5) %}
        let after{{ l }} = vec2(place{{ l - 1 }}.x, place{{ l - 1 }}.y + 1u);
        let place{{ l }} = select(after{{ l }}, vec2(after{{ l }}.x + 1u, 0u), after{{ l }}.y == params.in_channels);
{% endfor %}
        let x = left + vec4(place0.x, place1.x, place2.x, place3.x) * params.dilation_width;
        let c = vec4(place0.y, place1.y, place2.y, place3.y);
        let seen = (4u * four + LANES < vec4(length)) & (x < vec4(params.in_width));
        let at = select(vec4<u32>(), (line + c * params.in_height) * params.in_width + x, seen);
        packed[index * fours + four] = select(vec4<f32>(), source_elements(at), seen);
        next = place4;
    }
}
