// One-dimensional grids on three-dimensional hardware.
//
// A dispatch has at most 65,535 workgroups a dimension, so the host folds a count of workgroups into x, y and z,
// rounding up. This gives the flat index back. It can exceed the count by what the folding rounded up: kernels return
// when it does.
fn flat_workgroup(id: vec3<u32>, count: vec3<u32>) -> u32 {
    return id.x + count.x * (id.y + count.y * id.z);
}

/// What a kernel with a one-dimensional grid is told about its place in it. Kernels with barriers take the three one by
/// one instead: Chrome's compiler counts a whole structure as non-uniform where one member is.
struct Invocation {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
}
