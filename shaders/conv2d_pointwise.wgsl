// 1x1 convolutions of stride 1 without padding, and dense layers, f32 (the operands may be f16), NCHW, for GPUs: matrix
// products whose operands lie in memory as they are, image by image. Needs common/grid.wgsl, common/divide.wgsl,
// common/conv2d.wgsl, common/functions.wgsl, common/chain.wgsl, common/tile.wgsl, common/moments.wgsl and, for products of cooperative
// matrices, common/cooperative.wgsl after common/enable.wgsl.
//
//   entry point   result                   row     k   left operand   right operand
//   forward       y[n, row, pixel]         o       c   w[o, c]        x[n, c, pixel]
//   grad_input    dx[n, row, pixel]        c       o   w[o, c]        dy[n, o, pixel]
//
// group by group; a column is a pixel, over n too. Tiles, slices of k and what follows the product are those of
// conv2d_tiled.wgsl, which is the predecessor of this kernel and computes the same sums in the same order. That one finds the
// channel and the tap of each k by two divisions and looks whether a pixel is inside; here the next k is a plane further on.
// Where a plane has a multiple of four pixels, four columns are one load and one store of 16 bytes, else four of 4 bytes.
//
// Neighbouring invocations bring what lies together: of x and dy pixels or, where an image has but one, channels; of w
// channels, which are k in forward and rows in grad_input.
//
// Memory traffic: as conv2d_tiled.wgsl, a fetched element serves {{ 4 * side * blocks }} results. Not timed on a GPU.
//
// Preconditions. A 1x1 kernel, stride 1, no padding. Element counts are below 2^32, C and O below 2^30. A software adapter
// (lavapipe) silently ends the loops of an invocation after 65,535 iterations in all, so there, with K the channels of a group
// that are added up, ceil(K / {{ side // blocks }} / splits) + {{ side * blocks }} <= 65,535.

struct View {
    /// Where the rows' filters begin, and which rows there are.
    filters: vec4<u32>,
    rows: vec4<bool>,
    /// The columns' pixels in the first channel that is added up, and which columns there are.
    pixels: vec4<u32>,
    columns: vec4<bool>,
    /// From one k to the next, in the operands as they are fetched.
    left_step: u32,
    right_step: u32,
    length: u32,
    slice: u32,
}

fn product_left(view: View, k: u32) -> vec4<f32> {
    return factor_at(view.filters + k * view.left_step, view.rows & vec4(k < view.length));
}

fn product_right(view: View, k: u32) -> vec4<f32> {
{% if image_fours %}
    return image_four(view.pixels.x + k * view.right_step, view.columns.x && k < view.length);
{% else %}
    return image_at(view.pixels + k * view.right_step, view.columns & vec4(k < view.length));
{% endif %}
}

// A plane's pixels are one row.
fn product_target(view: View, columns: vec4<u32>) -> Target {
    let pixels = params.in_height * params.in_width;
    let channels = params.{{ "in" if entry == "grad_input" else "out" }}_channels;
    let image = columns / pixels;
    let plane = (view.slice * params.batch + image) * channels;
    return Target(plane * pixels + columns - image * pixels, image < vec4(params.batch));
}

@compute @workgroup_size({{ workgroup }})
fn {{ entry }}({{ arguments }}) {
    let at = {{ local_at }};
    let pixels = params.in_height * params.in_width;
{% if entry == "grad_input" %}
    let depth = bound(params.out_channels / params.groups, factor_length());
    let rows = params.in_channels / params.groups;
{% else %}
    let depth = bound(params.in_channels / params.groups, factor_length());
    let rows = params.out_channels / params.groups;
{% endif %}
    let block = block_at(flat_workgroup(id, count), rows, params.batch * pixels, params.groups);
{{ unless("block.rest < params.splits") }}
    let slice = slice_of(block.rest, params.splits, depth);
    let share = share_of(at.y * SIDE + at.x, block);
    let image = share.columns / pixels;
    let first = (image * params.groups + block.group) * depth * pixels + share.columns - image * pixels;
    let view = View(
{% if entry == "grad_input" %}
        block.group * depth * rows + share.rows,
{% else %}
        (block.group * rows + share.rows) * depth,
{% endif %}
        share.rows < vec4(rows),
        first{{ " / 4u" if image_fours }},
        image < vec4(params.batch),
        {{ "rows" if entry == "grad_input" else "1u" }},
        pixels{{ " / 4u" if image_fours }},
        slice.y,
        block.rest,
    );
{{ multiply_cooperative("product") if cooperative else multiply("product") }}
{{ store_cooperative("product_target", "rows", "block.group * rows", "pixels") if cooperative else store_all("product_target", "rows", "block.group * rows", "pixels") }}
{{ leave_moments("rows", "block.group * rows", "params.batch * pixels") if statistics }}
}
