// Copies of a tensor between formats.
//   images:  [N, C, H, W] (planar) and [N, H, W, C] (channels-last), C a multiple of 4
//   filters: [O, C, KH, KW] (planar) and [KH, KW, C, O] (taps-first), O a multiple of 4
//
// One invocation moves a block of 4 channels by up to 4 pixels, or 4 outputs by up to 4 taps. The planes are addressed as
// scalars, since a plane may begin anywhere; the channels as vectors. Memory traffic: 8 bytes an element. No barriers.
// Needs common/grid.wgsl, common/divide.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    /// Images, or channels of a filter.
    rows: u32,
    /// Channels, or outputs, in fours.
    quads: u32,
    /// Pixels of a plane, or taps.
    pixels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<f32>;
@group(0) @binding(2) var<storage, read_write> vectors: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> target_planes: array<f32>;

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

fn gather(block: Block) {
    for (var pixel = 0u; pixel < block.pixels; pixel += 1u) {
        let start = block.plane + pixel;
        let step = block.plane_step;
        let four = vec4(planes[start], planes[start + step], planes[start + 2u * step], planes[start + 3u * step]);
        vectors[block.vector + pixel * block.vector_step] = four;
    }
}

fn scatter(block: Block) {
    for (var pixel = 0u; pixel < block.pixels; pixel += 1u) {
        let four = source[block.vector + pixel * block.vector_step];
        let into = block.plane + pixel;
        target_planes[into] = four.x;
        target_planes[into + block.plane_step] = four.y;
        target_planes[into + 2u * block.plane_step] = four.z;
        target_planes[into + 3u * block.plane_step] = four.w;
    }
}

@compute @workgroup_size(WORKGROUP)
fn to_channels_last(at: Invocation) {
    gather(image_block(at));
}

@compute @workgroup_size(WORKGROUP)
fn from_channels_last(at: Invocation) {
    scatter(image_block(at));
}

@compute @workgroup_size(WORKGROUP)
fn to_taps_first(at: Invocation) {
    gather(filter_block(at));
}

@compute @workgroup_size(WORKGROUP)
fn from_taps_first(at: Invocation) {
    scatter(filter_block(at));
}
