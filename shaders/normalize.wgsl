// Images of bytes to floats: y = scale[c] x + offset[c], for x [outer, channels, inner] of u8 (NCHW), channels <= 4.
// Four bytes lie in one word, the first in its lowest bits. The host folds 1 / 255, mean and deviation into the
// factors.
// One invocation computes 4 consecutive elements, all of one channel where planes are a number of fours (WHOLE); elements
// past the end in the last vector lie in the buffer's padding and are computed harmlessly.
// The bytes come from a buffer on every device: as floats, in a texture, they need not keep their bits.
// Memory traffic: 5 bytes an element. No barriers. On two cores of a CPU (lavapipe, AVX2) 16 pictures of 3 x 224 x 224 take
// 7.6 ms (omma bench ops --filter "normalize bytes"), 0.93 of what a copy moves. Not timed on a GPU.
// Needs common/grid.wgsl, common/divide.wgsl.

override WORKGROUP: u32 = 64u;
override WHOLE: bool = false;

struct Params {
    /// outer * channels * inner.
    count: u32,
    channels: u32,
    inner: u32,
    scale_0: f32,
    scale_1: f32,
    scale_2: f32,
    scale_3: f32,
    offset_0: f32,
    offset_1: f32,
    offset_2: f32,
    offset_3: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

fn channel_of(element: u32) -> u32 {
    return div_rem(div_rem(element, params.inner).x, params.channels).y;
}

/// Entry c of a table of four, for each of four channels.
fn pick(table: vec4<f32>, c: vec4<u32>) -> vec4<f32> {
    let low = select(vec4<f32>(table.x), vec4<f32>(table.y), c == vec4<u32>(1u));
    let high = select(vec4<f32>(table.z), vec4<f32>(table.w), c == vec4<u32>(3u));
    return select(low, high, c >= vec4<u32>(2u));
}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index * 4u >= params.count {
        return;
    }
    let first = index * 4u;
    var channel = vec4<u32>(channel_of(first));
    if !WHOLE {
        channel = vec4<u32>(channel.x, channel_of(first + 1u), channel_of(first + 2u), channel_of(first + 3u));
    }
    let scale = pick(vec4<f32>(params.scale_0, params.scale_1, params.scale_2, params.scale_3), channel);
    let offset = pick(vec4<f32>(params.offset_0, params.offset_1, params.offset_2, params.offset_3), channel);
    let bytes = (vec4<u32>(x[index]) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
    y[index] = scale * vec4<f32>(bytes) + offset;
}
