// How pixels of a convolution's output, or of dx, walk over the image that they are computed from. Needs common/conv2d.wgsl
// and common/phases.wgsl.

const NOWHERE = 0xffffffffu;

/// How a position of the output walks over the input along one axis: it meets `taps` on the way, first, first + step and
/// so on, and moves by `stride` at each.
struct Walk {
    taps: Taps,
    stride: u32,
}

/// A pixel of the output: where it goes, in fours of channels or, planar, in elements (NOWHERE for one too many), and what
/// it sees first.
struct Pixel {
    into: u32,
    n: u32,
    row: u32,
    column: u32,
}

fn forward_pixel(index: u32) -> Pixel {
    if index >= params.batch * params.out_height * params.out_width {
        return Pixel(NOWHERE, 0u, 0u, 0u);
    }
    let line = index / params.out_width;
    let n = line / params.out_height;
    let row = (line - n * params.out_height) * params.stride_height - params.pad_top;
{% if by_rows %}
    let column = index - line * params.out_width;
{% else %}
    let column = (index - line * params.out_width) * params.stride_width - params.pad_left;
{% endif %}
    return Pixel(index * (params.out_channels / 4u), n, row, column);
}

/// The first position of dy along one axis that a position of dx meets; one before the first wraps round.
fn first_met(position: u32, pad: u32, tap: u32, dilation: u32, stride: u32) -> u32 {
    return u32((i32(position + pad) - i32(tap * dilation)) / i32(stride));
}

/// What a line, or a column, of a phase of dx sees first.
fn gradient_line(line: u32, phase: u32, taps: Taps) -> u32 {
    let y = line * params.stride_height + phase;
    return first_met(y, params.pad_top, taps.first, params.dilation_height, params.stride_height);
}

fn gradient_column(column: u32, phase: u32, taps: Taps) -> u32 {
    let x = column * params.stride_width + phase;
    return first_met(x, params.pad_left, taps.first, params.dilation_width, params.stride_width);
}

fn gradient_pixel(index: u32, phase: vec2<u32>, vertical: Taps, horizontal: Taps) -> Pixel {
    let phase_height = tiles(params.in_height, params.stride_height);
    let phase_width = tiles(params.in_width, params.stride_width);
    let line = index / phase_width;
    let n = line / phase_height;
    let y = (line - n * phase_height) * params.stride_height + phase.x;
    let x = (index - line * phase_width) * params.stride_width + phase.y;
    if n >= params.batch || y >= params.in_height || x >= params.in_width {
        return Pixel(NOWHERE, 0u, 0u, 0u);
    }
{% if planar %}
    let into = (n * params.in_channels * params.in_height + y) * params.in_width + x;
{% else %}
    let into = ((n * params.in_height + y) * params.in_width + x) * (params.in_channels / 4u);
{% endif %}
    let row = gradient_line(line - n * phase_height, phase.x, vertical);
    let column = gradient_column(index - line * phase_width, phase.y, horizontal);
    return Pixel(into, n, row, column);
}
