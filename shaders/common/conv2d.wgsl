// What the conv2d files share: one Params, one set of bindings, so that the host drives them alike.
//
// x [N, C, H, W], w [O, C/groups, KH, KW], bias [O], y [N, O, OH, OW]; dx, dw, dy are gradients of the same shapes.
// Padding below and to the right shows in OH and OW only. `splits` is for grad_weight: how many slices cut its sum.

struct Params {
    batch: u32,
    in_channels: u32,
    in_height: u32,
    in_width: u32,
    out_channels: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_height: u32,
    stride_width: u32,
    pad_top: u32,
    pad_left: u32,
    dilation_height: u32,
    dilation_width: u32,
    groups: u32,
    splits: u32,
}

// Without a bias the host binds w again in its place.
override HAS_BIAS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;

// forward
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// grad_input
@group(0) @binding(1) var<storage, read> input_w: array<f32>;
@group(0) @binding(2) var<storage, read> input_dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

// grad_weight. `partial` is [splits, O, C/groups, KH, KW]; with one slice the host binds dw itself.
@group(0) @binding(1) var<storage, read> weight_x: array<f32>;
@group(0) @binding(2) var<storage, read> weight_dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

// How many tiles of the given size cover a length.
fn tiles(length: u32, size: u32) -> u32 {
    return (length + size - 1u) / size;
}

// A loop's bound, unchanged: the length of a buffer with that axis is never smaller. Were the bound visibly a uniform,
// lavapipe would fold its value in and, where that simplifies the shader much, compile it anew for every dispatch.
fn bound(value: u32, length: u32) -> u32 {
    return min(value, length);
}

// Four positions in a flattened [n, height, width].
struct Positions {
    n: vec4<u32>,
    row: vec4<u32>,
    column: vec4<u32>,
}

fn positions(index: vec4<u32>, height: u32, width: u32) -> Positions {
    let line = index / width;
    return Positions(line / height, line % height, index - line * width);
}
