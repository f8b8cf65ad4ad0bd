// Reductions over one workgroup of WORKGROUP (a power of two) invocations, as a tree in a fixed order.
// Every invocation of the workgroup must call them: they contain barriers. All receive the result.

var<workgroup> tree: array<f32, WORKGROUP>;

fn tree_sum(value: f32, lane: u32) -> f32 {
    tree[lane] = value;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        if lane < width {
            tree[lane] += tree[lane + width];
        }
        workgroupBarrier();
    }
    let result = tree[0];
    // The array may be written again only after all have read.
    workgroupBarrier();
    return result;
}

fn tree_maximum(value: f32, lane: u32) -> f32 {
    tree[lane] = value;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        if lane < width {
            tree[lane] = max(tree[lane], tree[lane + width]);
        }
        workgroupBarrier();
    }
    let result = tree[0];
    workgroupBarrier();
    return result;
}
