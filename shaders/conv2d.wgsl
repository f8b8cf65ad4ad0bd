// 2-d convolution (cross-correlation), f32, NCHW: the readable rung. Needs common/grid.wgsl and common/conv2d.wgsl.
//
//   y[n, o, oy, ox]  = bias[o] + sum over c, ky, kx of x[n, g*Cg + c, iy, ix] * w[o, c, ky, kx]
//   dx[n, c, iy, ix] =           sum over o, ky, kx of dy[n, o, oy, ox]       * w[o, c - g*Cg, ky, kx]
//   dw[o, c, ky, kx] =           sum over n, oy, ox of dy[n, o, oy, ox]       * x[n, g*Cg + c, iy, ix]
//
// with iy = oy*stride + ky*dilation - pad (likewise ix), terms outside the image left out, g = o / Og the group of an
// output channel, Cg = C/groups, Og = O/groups. A dense layer is a 1x1 kernel on 1x1 images.
//
// One invocation computes one output element and reads both operands of each term from memory; no workgroup memory, no
// barriers. Sums run in a fixed order.
//
// grad_weight cuts the N*OH*OW axis into `splits` slices, each with a plane of its own in `partial`; pointwise.wgsl
// adds the planes, also those of the other conv2d files.
//
// The ladder: `omma bench conv --filter "[1, 128, 28, 28]" --variants`, 3x3 to 128 channels, milliseconds on two cores of a CPU
// (lavapipe, AVX2) whose chains of multiply-adds reach 54 GFLOP/s:
//   forward  input gradient  weight gradient
//   818      1534            1090   this
//    84       133             104   conv2d_tiled.wgsl, which is for GPUs, in small tiles, 48, 68, 48 in large ones
//    38        54              53   conv2d_blocked.wgsl
//    10.7      12.4            12.6 conv2d_packed.wgsl
//     7.4       5.3            10.7 conv2d_channels_last.wgsl, with the copies to that layout and back
//     5.4       4.5             8.5 conv2d_winograd.wgsl, with them too
//
// Preconditions. Element counts, and invocations of a dispatch, are below 2^32. A software adapter (lavapipe) silently
// ends the loops of an invocation after 65,535 iterations in all, so there:
//   forward       Cg * (1 + KH * (1 + KW)) <= 65,535
//   grad_input    Og * (1 + KH * (1 + KW)) <= 65,535
//   grad_weight   ceil(N*OH*OW / splits)   <= 65,535

override WORKGROUP: u32 = 64u;

// The two axes are treated alike: vec2(vertical, horizontal).
fn in_size() -> vec2<u32> { return vec2(params.in_height, params.in_width); }
fn out_size() -> vec2<u32> { return vec2(params.out_height, params.out_width); }
fn stride() -> vec2<u32> { return vec2(params.stride_height, params.stride_width); }
fn pad() -> vec2<u32> { return vec2(params.pad_top, params.pad_left); }
fn dilation() -> vec2<u32> { return vec2(params.dilation_height, params.dilation_width); }

fn flat_index(plane: u32, size: vec2<u32>, at: vec2<u32>) -> u32 {
    return (plane * size.x + at.x) * size.y + at.y;
}

fn position(index: u32, size: vec2<u32>) -> vec2<u32> {
    return vec2(index / size.y % size.x, index % size.y);
}

fn weight_index(o: u32, c: u32, tap: vec2<u32>) -> u32 {
    let group_channels = params.in_channels / params.groups;
    return flat_index(o * group_channels + c, vec2(params.kernel_height, params.kernel_width), tap);
}

@compute @workgroup_size(WORKGROUP)
fn forward(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let plane = index / (params.out_height * params.out_width);
    if plane >= params.batch * params.out_channels { return; }
    let n = plane / params.out_channels;
    let o = plane % params.out_channels;
    let origin = position(index, out_size()) * stride() - pad();
    let kernel_height = bound(params.kernel_height, arrayLength(&w));
    let kernel_width = bound(params.kernel_width, arrayLength(&w));
    let group_channels = bound(params.in_channels / params.groups, arrayLength(&w));
    let first_channel = o / (params.out_channels / params.groups) * group_channels;

    var sum = 0.0;
    if HAS_BIAS { sum = bias[o]; }
    for (var c = 0u; c < group_channels; c++) {
        for (var ky = 0u; ky < kernel_height; ky++) {
            for (var kx = 0u; kx < kernel_width; kx++) {
                // Left of or above the image the position wraps round to a huge number: one test serves both edges.
                let at = origin + vec2(ky, kx) * dilation();
                if all(at < in_size()) {
                    let source = flat_index(n * params.in_channels + first_channel + c, in_size(), at);
                    sum += x[source] * w[weight_index(o, c, vec2(ky, kx))];
                }
            }
        }
    }
    y[index] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let plane = index / (params.in_height * params.in_width);
    if plane >= params.batch * params.in_channels { return; }
    let n = plane / params.in_channels;
    let group_channels = params.in_channels / params.groups;
    let c = plane % params.in_channels % group_channels;
    let padded = position(index, in_size()) + pad();
    let kernel_height = bound(params.kernel_height, arrayLength(&input_w));
    let kernel_width = bound(params.kernel_width, arrayLength(&input_w));
    let group_outputs = bound(params.out_channels / params.groups, arrayLength(&input_w));
    let first_output = plane % params.in_channels / group_channels * group_outputs;

    var sum = 0.0;
    for (var o = first_output; o < first_output + group_outputs; o++) {
        for (var ky = 0u; ky < kernel_height; ky++) {
            for (var kx = 0u; kx < kernel_width; kx++) {
                // The output that saw this pixel through this tap, if there is one. A negative distance wraps round.
                let distance = padded - vec2(ky, kx) * dilation();
                let at = distance / stride();
                if all(at * stride() == distance) && all(at < out_size()) {
                    let source = flat_index(n * params.out_channels + o, out_size(), at);
                    sum += input_dy[source] * input_w[weight_index(o, c, vec2(ky, kx))];
                }
            }
        }
    }
    dx[index] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn grad_weight(invocation: Invocation) {
    let index = flat_workgroup(invocation.group, invocation.groups) * WORKGROUP + invocation.local;
    let group_channels = params.in_channels / params.groups;
    let kernel = vec2(params.kernel_height, params.kernel_width);
    let filter_length = group_channels * kernel.x * kernel.y;
    let slice = index / filter_length / params.out_channels;
    if slice >= params.splits { return; }
    let o = index / filter_length % params.out_channels;
    let c = index % filter_length / (kernel.x * kernel.y);
    let offset = position(index, kernel) * dilation() - pad();
    let channel = o / (params.out_channels / params.groups) * group_channels + c;

    let pixels = params.batch * params.out_height * params.out_width;
    let length = tiles(pixels, params.splits);
    let end = min((slice + 1u) * length, pixels);
    var sum = 0.0;
    for (var pixel = slice * length; pixel < end; pixel++) {
        let n = pixel / (params.out_height * params.out_width);
        let at = position(pixel, out_size());
        let source = at * stride() + offset;
        if all(source < in_size()) {
            sum += weight_dy[flat_index(n * params.out_channels + o, out_size(), at)]
                * weight_x[flat_index(n * params.in_channels + channel, in_size(), source)];
        }
    }
    partial[index] = sum;
}
