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
// One invocation updates EACH fours of parameters, and a workgroup what lies together; what lies in the padding between
// parameters is changed, too, and read by nobody.
// Memory traffic, bytes a parameter: 4 for the gradient, 8 for each thing that is updated, the weights included: sgd 12,
// with momentum 20, adam 28. No barriers. A software adapter reads all of it from copies in textures, some megabytes at a
// time, so that the copies stay small. Not timed on a GPU.
// Ladder, `omma bench ops --filter update` on two cores of a CPU (lavapipe, AVX2), 4,096,000 parameters, ms of sgd with
// momentum, adam and lion: one four an invocation from the buffers 94, 128, 103; sixteen from textures 22, 30, 23. Of the
// step of a ResNet-18 (`omma profile resnet18-64 --training`) the same took 207 ms and 61, the textures alone 114, and the
// sixteen alone 147.
// Needs common/grid.wgsl, common/texture.wgsl, common/read.wgsl, common/nan.wgsl, common/update.wgsl.

override WORKGROUP: u32 = 64u;
override EACH: u32 = 1u;
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
{{ fours("gradients", 2, texture) }}
{#- What is updated: read from a copy, or where it is written. #}
{% for name in updated %}
@group(0) @binding({{ 2 + loop.index }}) var<storage, read_write> {{ name }}: array<vec4<f32>>;
{% if texture %}
{{ fours(name ~ "_copy", 2 + loop.length + loop.index, texture) }}
fn {{ name }}_at(index: u32) -> vec4<f32> { return {{ name }}_copy_at(index); }
{% else %}
fn {{ name }}_at(index: u32) -> vec4<f32> { return {{ name }}[index]; }
{% endif %}
{% endfor %}

/// beta a + (1 - beta) b, written with 1 - beta alone.
fn mixed(a: vec4<f32>, b: vec4<f32>, complement: f32) -> vec4<f32> {
    return a + complement * (b - a);
}

@compute @workgroup_size(WORKGROUP)
fn {{ rule }}(at: Invocation) {
    let first = flat_workgroup(at.group, at.groups) * WORKGROUP * EACH + at.local;
    // Loaded once for all turns: to a CPU adapter each of its numbers is as dear as one of the vectors.
    let now = update;
    for (var turn = 0u; turn < EACH; turn++) {
        let index = first + turn * WORKGROUP;
        if index * 4u >= params.count {
            break;
        }
        var gradient = gradients_at(index);
{% if "gradient_sum" in updated %}
        gradient += gradient_sum_at(index);
        gradient_sum[index] = select(vec4<f32>(), gradient, now.action == GATHER);
{% endif %}
        if now.action != APPLY {
            continue;
        }
        gradient *= params.mean;
        if CLIP {
            gradient = clipped(gradient, params.clip_value);
        }
        gradient *= now.scale;
        var weight = weights_at(index);
        if DECOUPLED {
            weight -= now.rate * params.weight_decay * weight;
        } else {
            gradient += params.weight_decay * weight;
        }
{% if rule == "sgd" %}
        var direction = gradient;
{% if "momentum_buffer" in updated %}
        let speed = now.momentum * momentum_buffer_at(index) + now.damping * gradient;
        momentum_buffer[index] = speed;
        direction = select(speed, gradient + now.momentum * speed, NESTEROV);
{% endif %}
        weight -= now.rate * direction;
{% elif rule == "adam" %}
        let first = mixed(exp_avg_at(index), gradient, 1.0 - now.momentum);
        let second = mixed(exp_avg_sq_at(index), gradient * gradient, params.second_complement);
        exp_avg[index] = first;
        exp_avg_sq[index] = second;
        let deviation = sqrt(second / now.second_correction);
        weight -= now.rate * (first / now.first_correction) / (deviation + params.epsilon);
{% elif rule == "rmsprop" %}
        var second = mixed(square_avg_at(index), gradient * gradient, params.second_complement);
        square_avg[index] = second;
{% if "grad_avg" in updated %}
        let mean = mixed(grad_avg_at(index), gradient, params.second_complement);
        grad_avg[index] = mean;
        second -= mean * mean;
        // Rounding may have left less than nothing.
        second = select(max(second, vec4<f32>()), second, are_nan(second));
{% endif %}
        var direction = gradient / (sqrt(second) + params.epsilon);
{% if "momentum_buffer" in updated %}
        direction += now.momentum * momentum_buffer_at(index);
        momentum_buffer[index] = direction;
{% endif %}
        weight -= now.rate * direction;
{% elif rule == "adagrad" %}
        let total = sum_at(index) + gradient * gradient;
        sum[index] = total;
        weight -= now.rate * gradient / (sqrt(total) + params.epsilon);
{% else %}
        let before = exp_avg_at(index);
        exp_avg[index] = mixed(before, gradient, params.second_complement);
        let direction = mixed(before, gradient, 1.0 - now.momentum);
        weight -= now.rate * select(sign(direction), direction, are_nan(direction));
{% endif %}
        weights[index] = weight;
{% if "average" in updated %}
        average[index] = mixed(average_at(index), weight, now.average_complement);
{% endif %}
    }
}
