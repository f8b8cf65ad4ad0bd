// Running totals that stay on the device between readbacks.
//   accumulate: total[0] += weight * value[0]; total[1] += weight      (the mean so far is total[0] / total[1])
// One invocation, one workgroup. Memory traffic: 20 bytes. No barriers.

struct Params {
    weight: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> value: array<f32>;
@group(0) @binding(2) var<storage, read_write> total: array<f32>;

@compute @workgroup_size(1)
fn accumulate() {
    total[0] += params.weight * value[0];
    total[1] += params.weight;
}
