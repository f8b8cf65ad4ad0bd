// How conv2d_pack.wgsl lays an image out and conv2d_packed.wgsl reads it. Needs common/conv2d.wgsl.

// Tiles of `quads` fours in a row of the output.
fn packed_tiles(quads: u32) -> u32 {
    return tiles(params.out_width, 4u * quads);
}

// Fours in a line: those of the output's tiles, and those that the last of them sees to its right.
fn packed_pitch(quads: u32) -> u32 {
    return packed_tiles(quads) * quads + tiles(params.kernel_width - 1u, 4u);
}

// Lines of an image, the border above and below included.
fn packed_lines() -> u32 {
    return params.out_height + params.kernel_height - 1u;
}
