// What the matrix products of Winograd's convolutions have in common (conv2d_winograd_product.wgsl,
// conv2d_winograd_weight.wgsl): their `Params`, their first operand and who computes what.
// Needs common/grid.wgsl, common/texture.wgsl, common/read.wgsl.

const LANES = {{ lanes }}u;
const COLUMNS = {{ quads * lanes }}u;

struct Params {
    tiles: u32,
    /// Channels of v and of the other transform, in fours: the latter are the columns of the product.
    depth: u32,
    columns: u32,
    /// From one element to the next, in fours: of images, of filters and of results or their gradients.
    v_plane: u32,
    u_plane: u32,
    m_plane: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
{{ fours("v", 1, texture) }}

struct Block {
    /// Of the 36. The grid is folded, so there may be elements too many.
    element: u32,
    first_row: u32,
    /// This invocation's first, in fours.
    column: u32,
}

/// The block that a workgroup computes of products of so many rows.
fn block_of(invocation: Invocation, rows: u32, rows_of_block: u32) -> Block {
    let index = flat_workgroup(invocation.group, invocation.groups);
    let across = (params.columns + COLUMNS - 1u) / COLUMNS;
    let down = (rows + rows_of_block - 1u) / rows_of_block;
    let column = index % across * COLUMNS + invocation.local;
    return Block(index / across / down, index / across % down * rows_of_block, column);
}
