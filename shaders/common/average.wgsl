// The divisor of an average pooling. Needs common/window.wgsl.

override COUNT_INCLUDE_PAD: bool = false;

/// The divisor's factor along one axis.
fn extent(window: u32, kernel: u32, stride: u32, pad_begin: u32, size: u32, pad_end: u32) -> u32 {
    if COUNT_INCLUDE_PAD {
        let start = window * stride;
        return min(start + kernel, pad_begin + size + pad_end) - start;
    }
    let cells = window_cells(window, kernel, stride, pad_begin, size);
    return cells.y - cells.x;
}

fn extent_h(window: u32) -> u32 {
    let p = params;
    return extent(window, p.kernel_height, p.stride_height, p.pad_top, p.in_height, p.pad_bottom);
}

fn extent_w(window: u32) -> u32 {
    let p = params;
    return extent(window, p.kernel_width, p.stride_width, p.pad_left, p.in_width, p.pad_right);
}
