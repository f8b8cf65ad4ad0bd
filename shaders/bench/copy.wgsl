// The memory ceiling: a copy.
//
// Maths: none. One invocation: a vec4.
// Memory traffic: every byte of both buffers once. No barriers.
// The buffers hold a whole number of workgroups, so that nothing is compared but what the device itself compares.

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> result: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.y * groups.x + group.x) * WORKGROUP + lane;
    result[at] = source[at];
}
