// Optimizers over flat parameter buffers, with PyTorch's formulas: w = weights, g = gradients, lr = learning rate.
//   g = mean (g + gathered), cut off at clip_value with CLIP, times the scale that limits the norm of all gradients
//   g += weight_decay w, or with DECOUPLED w -= lr weight_decay w
//   sgd:      v = momentum v + damping g; w -= lr v, or with NESTEROV w -= lr (g + momentum v); without momentum w -= lr g
//   adam:     m = beta1 m + (1 - beta1) g; s = beta2 s + (1 - beta2) g^2
//             w -= lr (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon)
//   rmsprop:  s = alpha s + (1 - alpha) g^2; centered: a = alpha a + (1 - alpha) g and s - a^2 in the place of s
//             u = g / (sqrt(s) + epsilon); w -= lr u, or with momentum v = momentum v + u; w -= lr v
//   adagrad:  s += g^2; w -= lr g / (sqrt(s) + epsilon)
//   lion:     w -= lr sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g
//   at last the averaged weights: a += (1 - decay) (w - a)
// What depends on the step alone comes from optimizer_prepare. beta2 and alpha come as 1 - beta2, rounded once by the host.
// One invocation updates 4 consecutive parameters; what lies in the padding between parameters is changed, too, and read
// by nobody.
// Memory traffic, bytes a parameter: 4 for the gradient, 8 for each thing that is updated, the weights included: sgd 12,
// with momentum 20, adam 28. No barriers. What a software adapter gains by reading copies in textures elsewhere it loses here
// by making them, one for everything that is updated: of 4,096,000 parameters (lavapipe, AVX2, two cores; three runs of
// `omma bench ops --filter update`) sgd with momentum took 23.8 to 28.9 ms from textures and 17.2 to 21.4 from the buffers, adam
// 24.0 to 41.7 and 19.7 to 32.3, lion 22.9 to 30.6 and 24.6 to 26.5. Not timed on a GPU.
// Needs common/grid.wgsl, common/nan.wgsl, common/update.wgsl.

override WORKGROUP: u32 = 64u;
override CLIP: bool = false;
override DECOUPLED: bool = false;
override NESTEROV: bool = false;

struct Params {
    count: u32,
    mean: f32,
    clip_value: f32,
    weight_decay: f32,
    /// 1 - beta2, or 1 - alpha.
    second_complement: f32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> update: Update;
@group(0) @binding(2) var<storage, read> gradients: array<vec4<f32>>;
{% for name in updated %}
@group(0) @binding({{ 2 + loop.index }}) var<storage, read_write> {{ name }}: array<vec4<f32>>;
{% endfor %}

/// beta a + (1 - beta) b, written with 1 - beta alone.
fn mixed(a: vec4<f32>, b: vec4<f32>, complement: f32) -> vec4<f32> {
    return a + complement * (b - a);
}

@compute @workgroup_size(WORKGROUP)
fn {{ rule }}(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index * 4u >= params.count {
        return;
    }
    var gradient = gradients[index];
{% if "gradient_sum" in updated %}
    gradient += gradient_sum[index];
    gradient_sum[index] = select(vec4<f32>(), gradient, update.action == GATHER);
{% endif %}
    if update.action != APPLY {
        return;
    }
    gradient *= params.mean;
    if CLIP {
        gradient = clipped(gradient, params.clip_value);
    }
    gradient *= update.scale;
    var weight = weights[index];
    if DECOUPLED {
        weight -= update.rate * params.weight_decay * weight;
    } else {
        gradient += params.weight_decay * weight;
    }
{% if rule == "sgd" %}
    var direction = gradient;
{% if "momentum_buffer" in updated %}
    let speed = update.momentum * momentum_buffer[index] + update.damping * gradient;
    momentum_buffer[index] = speed;
    direction = select(speed, gradient + update.momentum * speed, NESTEROV);
{% endif %}
    weight -= update.rate * direction;
{% elif rule == "adam" %}
    let first = mixed(exp_avg[index], gradient, 1.0 - update.momentum);
    let second = mixed(exp_avg_sq[index], gradient * gradient, params.second_complement);
    exp_avg[index] = first;
    exp_avg_sq[index] = second;
    let deviation = sqrt(second / update.second_correction);
    weight -= update.rate * (first / update.first_correction) / (deviation + params.epsilon);
{% elif rule == "rmsprop" %}
    var second = mixed(square_avg[index], gradient * gradient, params.second_complement);
    square_avg[index] = second;
{% if "grad_avg" in updated %}
    let mean = mixed(grad_avg[index], gradient, params.second_complement);
    grad_avg[index] = mean;
    second -= mean * mean;
    // Rounding may have left less than nothing.
    second = select(max(second, vec4<f32>()), second, are_nan(second));
{% endif %}
    var direction = gradient / (sqrt(second) + params.epsilon);
{% if "momentum_buffer" in updated %}
    direction += update.momentum * momentum_buffer[index];
    momentum_buffer[index] = direction;
{% endif %}
    weight -= update.rate * direction;
{% elif rule == "adagrad" %}
    let total = sum[index] + gradient * gradient;
    sum[index] = total;
    weight -= update.rate * gradient / (sqrt(total) + params.epsilon);
{% else %}
    let before = exp_avg[index];
    exp_avg[index] = mixed(before, gradient, params.second_complement);
    let direction = mixed(before, gradient, 1.0 - update.momentum);
    weight -= update.rate * select(sign(direction), direction, are_nan(direction));
{% endif %}
    weights[index] = weight;
{% if "average" in updated %}
    average[index] = mixed(average[index], weight, update.average_complement);
{% endif %}
}
