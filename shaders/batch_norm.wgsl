// The sums of a batch normalisation over a view [outer, channels, inner]; M = outer * inner elements a channel. What is done
// to single elements stands in common/functions.wgsl.
//   mean = sum x / M     variance = sum (x - mean)^2 / M
//   factor = gamma / sqrt(variance + epsilon)     term = beta - mean factor
//   dbeta = sum dy       dgamma = sum dy (x - mean) / sqrt(variance + epsilon)
// statistics and grad_partial do one lane of a channel an invocation, see common/channel.wgsl; merge, grad_merge, fold
// and running do one channel an invocation. So reductions have two stages, in a fixed order and without barriers.
// Statistics are (mean, M2 = sum of squared deviations), by Welford's recurrence within a lane and Chan's between
// lanes, both on differences from a first value: a mean that is large against the deviation costs no accuracy.
// Memory traffic, bytes an element: statistics 4, grad_partial 8.
// `omma bench ops --filter "batch norm" --variants` on two cores of a CPU (lavapipe, AVX2), 16 x 64 planes of 56 x 56, where a
// copy moved 3.2 GB/s: 20.2 ms forward in training (61 % of that), 27.2 the gradient (75 %). Not timed on a GPU.
// Preconditions: 1 <= lanes <= M, lanes <= 65,535, at most 65,535 elements a lane (the limit of loop
// iterations on lavapipe).
// Needs common/grid.wgsl, common/divide.wgsl, common/channel.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    outer: u32,
    channels: u32,
    inner: u32,
    lanes: u32,
    epsilon: f32,
    /// Weight of the new statistic in `running`.
    momentum: f32,
    /// What `running` multiplies the new variance by: M / (M - 1) makes it unbiased.
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;

// statistics: x -> lane_moments
@group(0) @binding(1) var<storage, read> x: array<f32>;
/// [channels, lanes] of (mean, M2).
@group(0) @binding(2) var<storage, read_write> lane_moments: array<vec2<f32>>;
// merge: moments -> batch_mean, batch_variance (biased)
@group(0) @binding(1) var<storage, read> moments: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> batch_mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> batch_variance: array<f32>;
// grad_partial: x, mean, variance, dy -> lane_gradients
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> variance: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
/// [channels, lanes] of (sum of dy xhat, sum of dy): dgamma and dbeta.
@group(0) @binding(5) var<storage, read_write> lane_gradients: array<vec2<f32>>;
// grad_merge: gradients -> gamma_gradient, beta_gradient
@group(0) @binding(1) var<storage, read> gradients: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> gamma_gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> beta_gradient: array<f32>;
// fold: fold_mean, fold_variance, gamma, beta -> factor, term
@group(0) @binding(1) var<storage, read> fold_mean: array<f32>;
@group(0) @binding(2) var<storage, read> fold_variance: array<f32>;
@group(0) @binding(3) var<storage, read> gamma: array<f32>;
@group(0) @binding(4) var<storage, read> beta: array<f32>;
@group(0) @binding(5) var<storage, read_write> factor: array<f32>;
@group(0) @binding(6) var<storage, read_write> term: array<f32>;
// running: new_mean, new_variance -> running_mean, running_variance (updated)
@group(0) @binding(1) var<storage, read> new_mean: array<f32>;
@group(0) @binding(2) var<storage, read> new_variance: array<f32>;
@group(0) @binding(3) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> running_variance: array<f32>;

fn view_of_params() -> ChannelView {
    return ChannelView(params.outer, params.channels, params.inner, params.lanes);
}

fn inverse_deviation(variance: f32) -> f32 {
    return inverseSqrt(variance + params.epsilon);
}

@compute @workgroup_size(WORKGROUP)
fn statistics(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.channels * params.lanes {
        return;
    }
    let view = view_of_params();
    let lane = lane_of(view, index);
    var cursor = lane.first;
    let pivot = x[cursor.address];
    // Of the differences from the pivot.
    var average = 0.0;
    var squares = 0.0;
    for (var n = 1u; n <= lane.length; n += 1u) {
        let difference = x[cursor.address] - pivot;
        let deviation = difference - average;
        average += deviation / f32(n);
        squares += deviation * (difference - average);
        cursor = next_element(view, cursor, lane.step);
    }
    lane_moments[lane.slot] = vec2<f32>(pivot + average, squares);
}

@compute @workgroup_size(WORKGROUP)
fn merge(at: Invocation) {
    let channel = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if channel >= params.channels {
        return;
    }
    let view = view_of_params();
    let start = channel * params.lanes;
    let pivot = moments[start].x;
    // Of the lanes so far: elements, mean of the differences from the pivot, squared deviations.
    var count = 0.0;
    var average = 0.0;
    var squares = 0.0;
    for (var lane = 0u; lane < params.lanes; lane += 1u) {
        let added = moments[start + lane];
        let length = f32(lane_length(view, lane));
        let deviation = (added.x - pivot) - average;
        let share = length / (count + length);
        average += deviation * share;
        squares += added.y + deviation * deviation * count * share;
        count += length;
    }
    batch_mean[channel] = pivot + average;
    batch_variance[channel] = squares / count;
}

@compute @workgroup_size(WORKGROUP)
fn grad_partial(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index >= params.channels * params.lanes {
        return;
    }
    let view = view_of_params();
    let lane = lane_of(view, index);
    let center = mean[lane.channel];
    var cursor = lane.first;
    // The factor 1 / deviation is common to the sum of dy xhat: it is applied at the end.
    var sums = vec2<f32>(0.0, 0.0);
    for (var n = 0u; n < lane.length; n += 1u) {
        let cotangent = dy[cursor.address];
        sums += cotangent * vec2<f32>(x[cursor.address] - center, 1.0);
        cursor = next_element(view, cursor, lane.step);
    }
    sums.x *= inverse_deviation(variance[lane.channel]);
    lane_gradients[lane.slot] = sums;
}

@compute @workgroup_size(WORKGROUP)
fn grad_merge(at: Invocation) {
    let channel = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if channel >= params.channels {
        return;
    }
    var sums = vec2<f32>(0.0, 0.0);
    for (var lane = 0u; lane < params.lanes; lane += 1u) {
        sums += gradients[channel * params.lanes + lane];
    }
    gamma_gradient[channel] = sums.x;
    beta_gradient[channel] = sums.y;
}

@compute @workgroup_size(WORKGROUP)
fn fold(at: Invocation) {
    let channel = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if channel >= params.channels {
        return;
    }
    let scale = gamma[channel] * inverse_deviation(fold_variance[channel]);
    factor[channel] = scale;
    term[channel] = beta[channel] - fold_mean[channel] * scale;
}

@compute @workgroup_size(WORKGROUP)
fn running(at: Invocation) {
    let channel = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if channel >= params.channels {
        return;
    }
    let kept = 1.0 - params.momentum;
    let variance = params.factor * new_variance[channel];
    running_mean[channel] = kept * running_mean[channel] + params.momentum * new_mean[channel];
    running_variance[channel] = kept * running_variance[channel] + params.momentum * variance;
}
