// Copies of an image between [N, C, H, W] (planar) and [N, H, W, C] (channels-last), C a multiple of 4.
//
// One invocation moves a block of 4 channels by 4 pixels, transposed in registers. The planes are addressed as scalars, since
// a plane may begin anywhere; the channels as vectors. Memory traffic: 8 bytes an element. No barriers.
// Needs common/grid.wgsl, common/divide.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    batch: u32,
    /// Channels in fours, and pixels of a plane.
    quads: u32,
    pixels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<f32>;
@group(0) @binding(2) var<storage, read_write> vectors: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> target_planes: array<f32>;

/// Where a block begins: its first element in the planes, its first vector, and how many pixels of it there are.
struct Block {
    plane: u32,
    vector: u32,
    pixels: u32,
}

fn block_of(at: Invocation) -> Block {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let column_blocks = (params.pixels + 3u) / 4u;
    let place = div_rem(index, column_blocks);
    let image = div_rem(place.x, params.quads);
    if image.x >= params.batch {
        return Block(0u, 0u, 0u);
    }
    let first = place.y * 4u;
    let plane = place.x * 4u * params.pixels + first;
    let vector = (image.x * params.pixels + first) * params.quads + image.y;
    return Block(plane, vector, min(4u, params.pixels - first));
}

@compute @workgroup_size(WORKGROUP)
fn to_channels_last(at: Invocation) {
    let block = block_of(at);
    for (var pixel = 0u; pixel < block.pixels; pixel += 1u) {
        let start = block.plane + pixel;
        let four = vec4(
            planes[start],
            planes[start + params.pixels],
            planes[start + 2u * params.pixels],
            planes[start + 3u * params.pixels],
        );
        vectors[block.vector + pixel * params.quads] = four;
    }
}

@compute @workgroup_size(WORKGROUP)
fn to_planar(at: Invocation) {
    let block = block_of(at);
    for (var pixel = 0u; pixel < block.pixels; pixel += 1u) {
        let four = source[block.vector + pixel * params.quads];
        let into = block.plane + pixel;
        target_planes[into] = four.x;
        target_planes[into + params.pixels] = four.y;
        target_planes[into + 2u * params.pixels] = four.z;
        target_planes[into + 3u * params.pixels] = four.w;
    }
}
