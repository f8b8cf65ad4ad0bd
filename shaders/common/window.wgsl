// Windows of poolings, one axis at a time, in coordinates of the padded plane, so that none is negative; and the `Params`
// that all poolings are given. Needs common/divide.wgsl.

struct Params {
    /// Batch times channels; of channels-last images, the batch.
    planes: u32,
    /// Fours of channels of channels-last images, else 1.
    quads: u32,
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_height: u32,
    stride_width: u32,
    pad_top: u32,
    pad_left: u32,
    pad_bottom: u32,
    pad_right: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// Plane, row and column of an element, for planes of a given size.
fn unflatten(index: u32, height: u32, width: u32) -> vec3<u32> {
    let row = div_rem(index, width);
    return vec3<u32>(div_rem(row.x, height), row.y);
}

/// Image, row, column and four of channels of a four of channels-last images of a given size.
fn pixel_of(index: u32, height: u32, width: u32) -> vec4<u32> {
    let pixel = div_rem(index, params.quads);
    return vec4<u32>(unflatten(pixel.x, height, width), pixel.y);
}

/// A window's cells that lie in the input: first (x) and one past the last (y).
fn window_cells(window: u32, kernel: u32, stride: u32, pad: u32, size: u32) -> vec2<u32> {
    let start = window * stride;
    return vec2<u32>(max(start, pad), min(start + kernel, pad + size));
}

/// The windows that cover a cell: first (x) and one past the last (y).
fn covering_windows(cell: u32, kernel: u32, stride: u32, windows: u32) -> vec2<u32> {
    let first = div_rem(max(cell, kernel) - kernel, stride).x + 1u;
    return vec2<u32>(select(first, 0u, cell < kernel), min(div_rem(cell, stride).x + 1u, windows));
}

fn rows_of(window: u32) -> vec2<u32> {
    return window_cells(window, params.kernel_height, params.stride_height, params.pad_top, params.in_height);
}

fn columns_of(window: u32) -> vec2<u32> {
    return window_cells(window, params.kernel_width, params.stride_width, params.pad_left, params.in_width);
}

fn windows_over_row(cell: u32) -> vec2<u32> {
    return covering_windows(cell, params.kernel_height, params.stride_height, params.out_height);
}

fn windows_over_column(cell: u32) -> vec2<u32> {
    return covering_windows(cell, params.kernel_width, params.stride_width, params.out_width);
}

/// Where a cell, in coordinates of the padded plane, stands in a window.
fn window_place(row: u32, column: u32, window: vec2<u32>) -> u32 {
    let within = vec2(row, column) - window * vec2(params.stride_height, params.stride_width);
    return within.x * params.kernel_width + within.y;
}
