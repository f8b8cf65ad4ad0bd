// Textures as flat arrays of vec4<f32>.

// The host makes every texture so wide.
const TEXTURE_WIDTH = 2048u;

fn texel(index: u32) -> vec2<u32> {
    return vec2(index % TEXTURE_WIDTH, index / TEXTURE_WIDTH);
}

fn texels(size: vec2<u32>) -> u32 {
    return size.x * size.y;
}
