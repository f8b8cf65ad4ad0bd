// Dropout: y = scale x where an element is kept, 0 where it is dropped; dx = the same function of dy, with the same
// Params and step, so that the entry serves the gradient too and no mask is stored.
// Element e is kept iff word e % 4 of Philox(counter = (e / 4, step, 0, 0), key = (seed, stream)) >= threshold, with
// threshold = round(p 2^32) and scale = 1 / (1 - p) from the host.
// One invocation computes 4 consecutive elements from one Philox call; elements past `count` in the last vector lie in
// the buffer's padding and are computed harmlessly.
// Memory traffic: 8 bytes an element. No barriers.
// Needs common/grid.wgsl, common/philox.wgsl, common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,
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

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index * 4u >= params.count {
        return;
    }
    let words = philox(vec4<u32>(index, step[0], 0u, 0u), vec2<u32>(params.seed, params.stream));
    let keep = words >= vec4<u32>(params.threshold);
    y[index] = select(vec4<f32>(0.0), params.scale * x_at(index), keep);
}
