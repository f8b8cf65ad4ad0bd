// What an optimizer's step needs beside its parameters, once for all of them: the norm of all gradients together and the
// numbers that depend on the step, t = updates so far, this one included.
//   squares: partial[lane] = sum of g^2 over the fours lane, lane + lanes, lane + 2 lanes, ... of a run of gradients, in
//            order, g = mean (gradient + gathered), cut off at clip_value with CLIP. Between parameters the gradients'
//            buffer holds anything; `valid` says how many elements of each 64 count.
//   prepare: norm = sqrt(sum of all partial sums), scale = min(1, max_norm / (norm + 1e-6)), as PyTorch's
//            clip_grad_norm_; a norm that is not finite makes a scale of 0 or not-a-number, or with SKIP the action SKIP.
//            1 - beta^t by repeated squaring. The averages' decay is min(decay, (1 + t) / (10 + t)) with WARMUP.
// One invocation of squares adds one lane. prepare is one workgroup: its lanes add partial sums, then a tree does.
// Memory traffic: squares reads 4 bytes a parameter (8 with gathered), prepare 4 a lane. Barriers: those of the tree.
// With the update behind it (optimizer.wgsl: sgd with momentum, clipped and averaged) it takes 35 ms for 4,096,000 parameters
// on two cores of a CPU (lavapipe, AVX2; omma bench ops --filter clipped --variants), from buffers 97. Not timed on a GPU.
// Preconditions: at most 65,535 fours a lane.
// Needs common/grid.wgsl, common/texture.wgsl, common/read.wgsl, common/nan.wgsl, common/update.wgsl, common/tree.wgsl.

override WORKGROUP: u32 = 64u;
override CLIP: bool = false;
override SKIP_NONFINITE: bool = false;
override WARMUP: bool = false;

struct Params {
    /// squares: fours of the run. prepare: partial sums.
    count: u32,
    /// squares: where its partial sums begin, and their number.
    first: u32,
    lanes: u32,
    /// Steps that gather the gradients of one update.
    every: u32,
    /// 1 / every.
    mean: f32,
    clip_value: f32,
    /// prepare, as all below. Below 0: there is no limit.
    max_norm: f32,
    momentum: f32,
    /// 1 - dampening.
    damping: f32,
    /// 1 - beta2.
    second_complement: f32,
    average_complement: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
{% if entry == "squares" %}
{{ fours("gradients", 1, texture) }}
{{ scalars("valid", 2, texture) }}
{% if gathered %}
{{ fours("gathered", 4, texture) }}
{% endif %}
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn squares(at: Invocation) {
    let lane = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if lane >= params.lanes {
        return;
    }
    var sum = vec4<f32>();
    for (var index = lane; index < params.count; index += params.lanes) {
        var gradient = gradients_at(index){{ " + gathered_at(index)" if gathered }};
        gradient *= params.mean;
        if CLIP {
            gradient = clipped(gradient, params.clip_value);
        }
        let place = f32((index & 15u) * 4u) + vec4(0.0, 1.0, 2.0, 3.0);
        sum += select(vec4<f32>(), gradient * gradient, place < vec4(valid_element(index >> 4u)));
    }
    partial[params.first + lane] = (sum.x + sum.y) + (sum.z + sum.w);
}
{% else %}
/// [1]: the learning rate.
@group(0) @binding(1) var<storage, read> rate: array<f32>;
/// [1]: the number of the step, from 1.
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> update: Update;
{% if momentum %}
/// [1]: what stands for the optimizer's own momentum, unless it is negative.
@group(0) @binding(4) var<storage, read> other_momentum: array<f32>;
{% endif %}
{% if norm %}
@group(0) @binding({{ 5 if momentum else 4 }}) var<storage, read> lane_sums: array<f32>;
{% endif %}

/// 1 - beta^t from 1 - beta, for both betas, by repeated squaring of beta in complement form: with u = 1 - a and
/// v = 1 - b, 1 - a b = u + v (1 - u). Nothing cancels, unlike in 1 - pow(beta, t), and no step is too large.
fn bias_correction(complement: vec2<f32>, t: u32) -> vec2<f32> {
    var result = vec2<f32>(0.0, 0.0);
    var square = complement;
    for (var bits = t; bits > 0u; bits >>= 1u) {
        if (bits & 1u) == 1u {
            result += square * (1.0 - result);
        }
        square += square * (1.0 - square);
    }
    return result;
}

@compute @workgroup_size(WORKGROUP)
fn prepare(@builtin(local_invocation_index) local: u32) {
{% if norm %}
    var own = 0.0;
    for (var lane = local; lane < params.count; lane += WORKGROUP) {
        own += lane_sums[lane];
    }
    let squares = tree_sum(own, local);
{% endif %}
    if local > 0u {
        return;
    }
    let t = step[0] / params.every;
    var momentum = params.momentum;
{% if momentum %}
    if other_momentum[0] >= 0.0 {
        momentum = other_momentum[0];
    }
{% endif %}
    let corrections = bias_correction(vec2(1.0 - momentum, params.second_complement), t);
    var average_complement = params.average_complement;
    if WARMUP {
        // 1 - (1 + t) / (10 + t)
        average_complement = max(average_complement, 9.0 / (10.0 + f32(t)));
    }
    var action = select(GATHER, APPLY, t * params.every == step[0]);
    var scale = 1.0;
{% if norm %}
    let norm = sqrt(squares);
    if params.max_norm >= 0.0 {
        let most = params.max_norm / (norm + 1e-6);
        scale = select(min(1.0, most), most, is_nan(most));
    }
    // By its bits: compilers may assume that nothing is infinite.
    let finite = (bitcast<u32>(norm) & 0x7f800000u) != 0x7f800000u;
    if SKIP_NONFINITE && !finite && action == APPLY {
        action = SKIP;
    }
{% endif %}
    let damping = select(params.damping, 1.0, t == 1u);
    update =
        Update(rate[0], momentum, corrections.x, corrections.y, scale, damping, average_complement, action);
}
{% endif %}
