// Copies of a tensor between formats.
//   images:  [N, C, H, W] (planar) and [N, H, W, C] (channels-last), C a multiple of 4
//   filters: [O, C, KH, KW] (planar) and [KH, KW, C, O] (taps-first), O a multiple of 4
//   halves:  row-major f32 (planar) to row-major f16, two in a word; each is rounded to the nearest
//
// One invocation moves a block of 4 channels by up to 4 pixels, or 4 outputs by up to 4 taps. Channels are addressed in fours,
// and so are the planes where each is a number of them (`aligned`). Memory traffic: 8 bytes an element. To halves, an
// invocation rounds 4 elements, with 6 bytes of traffic for each. No barriers.
// Needs common/grid.wgsl, common/divide.wgsl, common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    /// Images, or channels of a filter.
    rows: u32,
    /// Channels, or outputs, in fours; the elements to round, in fours.
    quads: u32,
    /// Pixels of a plane, or taps.
    pixels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
{{ fours("source", 1, texture) }}
{{ elements("source") }}
{% if gather or aligned %}
@group(0) @binding(2) var<storage, read_write> result: array<vec4<f32>>;
{% else %}
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
{% endif %}

/// Where a block begins, its first element in the planes and its first vector; how far the next plane and the next vector
/// are; and how many pixels it has.
struct Block {
    plane: u32,
    plane_step: u32,
    vector: u32,
    vector_step: u32,
    pixels: u32,
}

/// Row, four of channels, and first pixel of an invocation's block.
fn block_at(at: Invocation) -> vec3<u32> {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let place = div_rem(index, (params.pixels + 3u) / 4u);
    return vec3<u32>(div_rem(place.x, params.quads), 4u * place.y);
}

fn image_block(at: Invocation) -> Block {
    let place = block_at(at);
    if place.x >= params.rows { return Block(0u, 0u, 0u, 0u, 0u); }
    let plane = (place.x * params.quads + place.y) * 4u * params.pixels + place.z;
    let vector = (place.x * params.pixels + place.z) * params.quads + place.y;
    return Block(plane, params.pixels, vector, params.quads, min(4u, params.pixels - place.z));
}

fn filter_block(at: Invocation) -> Block {
    let place = block_at(at);
    if place.x >= params.rows { return Block(0u, 0u, 0u, 0u, 0u); }
    let filter_length = params.rows * params.pixels;
    let plane = 4u * place.y * filter_length + place.x * params.pixels + place.z;
    let vector = (place.z * params.rows + place.x) * params.quads + place.y;
    return Block(plane, filter_length, vector, params.rows * params.quads, min(4u, params.pixels - place.z));
}

{% if gather %}
/// From planes into channels.
fn move_block(block: Block) {
{% if aligned %}
    if block.pixels == 0u { return; }
    let first = block.plane / 4u;
    let step = block.plane_step / 4u;
    let planes = mat4x4(
        source_at(first), source_at(first + step), source_at(first + 2u * step), source_at(first + 3u * step));
    let vectors = transpose(planes);
{% for pixel in range(4) %}
    result[block.vector + {{ pixel }}u * block.vector_step] = vectors[{{ pixel }}];
{% endfor %}
{% else %}
    for (var pixel = 0u; pixel < block.pixels; pixel += 1u) {
        let start = block.plane + pixel;
        let step = block.plane_step;
        result[block.vector + pixel * block.vector_step] = vec4(
            source_element(start),
            source_element(start + step),
            source_element(start + 2u * step),
            source_element(start + 3u * step),
        );
    }
{% endif %}
}
{% else %}
/// From channels into planes.
fn move_block(block: Block) {
{% if aligned %}
    if block.pixels == 0u { return; }
    let step = block.vector_step;
    let vectors = mat4x4(
        source_at(block.vector),
        source_at(block.vector + step),
        source_at(block.vector + 2u * step),
        source_at(block.vector + 3u * step),
    );
    let planes = transpose(vectors);
{% for channel in range(4) %}
    result[(block.plane + {{ channel }}u * block.plane_step) / 4u] = planes[{{ channel }}];
{% endfor %}
{% else %}
    for (var pixel = 0u; pixel < block.pixels; pixel += 1u) {
        let four = source_at(block.vector + pixel * block.vector_step);
        let into = block.plane + pixel;
        result[into] = four.x;
        result[into + block.plane_step] = four.y;
        result[into + 2u * block.plane_step] = four.z;
        result[into + 3u * block.plane_step] = four.w;
    }
{% endif %}
}
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn image(at: Invocation) {
    move_block(image_block(at));
}

@compute @workgroup_size(WORKGROUP)
fn weight(at: Invocation) {
    move_block(filter_block(at));
}

@group(0) @binding(2) var<storage, read_write> halves: array<vec2<u32>>;

/// The bits of the f16 nearest to each of two values, the even one where two are as near: in integers, as the rounding of
/// pack2x16float is the device's own affair, and so is what it makes of a value that is too large. That becomes infinite.
fn nearest_halves(values: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(values);
    let magnitude = bits & vec2(0x7fffffffu);
    // 13 bits of the significand go, and the exponent counts from 15 instead of 127.
    let normal = (magnitude + 0xfffu + ((magnitude >> vec2(13u)) & vec2(1u)) - 0x38000000u) >> vec2(13u);
    // Below 2^-14 an f16 is a multiple of 2^-24, and so is an f32 of 0.5 to 1.
    let small = bitcast<vec2<u32>>(bitcast<vec2<f32>>(magnitude) + 0.5) - 0x3f000000u;
    var half_bits = select(normal, small, magnitude < vec2(0x38800000u));
    // From 65520 on, halfway from the largest to what would be the next.
    half_bits = select(half_bits, vec2(0x7c00u), magnitude >= vec2(0x477ff000u));
    half_bits = select(half_bits, vec2(0x7e00u), magnitude > vec2(0x7f800000u));
    half_bits |= (bits >> vec2(16u)) & vec2(0x8000u);
    return half_bits.x | (half_bits.y << 16u);
}

@compute @workgroup_size(WORKGROUP)
fn to_half(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.quads { return; }
    let four = source_at(index);
    halves[index] = vec2(nearest_halves(four.xy), nearest_halves(four.zw));
}
