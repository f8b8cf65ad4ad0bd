// Dropout: y = scale x where an element is kept, 0 where it is dropped; dx = the same function of dy, with the same
// Params and step, so that the entry serves the gradient too and no mask is stored.
// Element e is kept iff word c % 4 of Philox(counter = (c / 4, step, 0, 0), key = (seed, stream)) >= threshold, for the
// place c = e / plane, with threshold = round(p 2^32) and scale = 1 / (1 - p) from the host.
// One invocation computes 4 consecutive elements from one Philox call, or where `planes` is set, which plane > 1 needs,
// from two at most; elements past `count` in the last vector lie in the buffer's padding and are computed harmlessly.
// Memory traffic: 8 bytes an element. No barriers.
// `omma bench ops --filter dropout --variants` on two cores of a CPU (lavapipe, AVX2), 16 x 64 planes of 56 x 56, where a copy moved
// 3.2 GB/s: 10.6 ms through a texture (77 % of that), 13.9 from a buffer. Not timed on a GPU.
// Needs common/grid.wgsl, common/philox.wgsl, common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,
    plane: u32,
    threshold: u32,
    scale: f32,
    seed: u32,
    stream: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [1]: the training step, which makes every step's mask another one.
@group(0) @binding(1) var<storage, read> step: array<u32>;
{{ fours("x", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn block(number: u32) -> vec4<u32> {
    return philox(vec4<u32>(number, step[0], 0u, 0u), vec2<u32>(params.seed, params.stream));
}

/// A word for each element of a four.
fn words(index: u32) -> vec4<u32> {
{% if planes %}
    // Four elements lie in at most three planes, whose words are in one block or in two neighbouring ones.
    let places = (index * 4u + vec4<u32>(0u, 1u, 2u, 3u)) / params.plane;
    let blocks = places / 4u;
    let first = block(blocks.x);
    var second = first;
    if blocks.w != blocks.x {
        second = block(blocks.w);
    }
    var words: vec4<u32>;
    for (var lane = 0u; lane < 4u; lane += 1u) {
        let four = select(second, first, blocks[lane] == blocks.x);
        words[lane] = four[places[lane] % 4u];
    }
    return words;
{% else %}
    return block(index);
{% endif %}
}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index * 4u >= params.count {
        return;
    }
    let keep = words(index) >= vec4<u32>(params.threshold);
    y[index] = select(vec4<f32>(0.0), params.scale * x_at(index), keep);
}
