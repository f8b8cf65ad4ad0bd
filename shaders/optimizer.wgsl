// Optimizers over flat parameter buffers, w = weights, g = gradients, lr = rate[0].
//   sgd:  g += weight_decay w; v = momentum v + g; w -= lr v, or with NESTEROV w -= lr (g + momentum v)
//   adam: g += weight_decay w, or with DECOUPLED (AdamW) w -= lr weight_decay w
//         m = beta1 m + (1 - beta1) g; s = beta2 s + (1 - beta2) g^2
//         w -= lr (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon), t = step[0], which is 1 in the first step
// The betas come as 1 - beta, rounded once by the host: 1 - 0.999f would have lost ten bits.
// One invocation updates 4 consecutive parameters; those past `count` in the last vector lie in the buffers' padding
// and are updated harmlessly (zeros stay zeros).
// Memory traffic, bytes a parameter: sgd 20, adam 28. No barriers. On a software adapter everything is read from copies in
// textures, what is updated, too. Needs common/grid.wgsl, common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;
override NESTEROV: bool = false;
override DECOUPLED: bool = false;

struct Params {
    count: u32,
    weight_decay: f32,
    /// sgd only.
    momentum: f32,
    /// adam only, as the two below: 1 - beta1.
    beta1_complement: f32,
    beta2_complement: f32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [1]: the learning rate.
@group(0) @binding(1) var<storage, read> rate: array<f32>;
{#- What is updated: read from a texture, or where it is written. -#}
{% macro updated(name, binding, copy) %}
@group(0) @binding({{ binding }}) var<storage, read_write> {{ name }}: array<vec4<f32>>;
{% if texture %}
{{ fours(name ~ "_copy", copy, texture) }}
fn {{ name }}_at(index: u32) -> vec4<f32> { return {{ name }}_copy_at(index); }
{% else %}
fn {{ name }}_at(index: u32) -> vec4<f32> { return {{ name }}[index]; }
{% endif %}
{% endmacro %}
{% if adam %}
// rate, step, gradients -> weights, first_moment, second_moment (all updated)
@group(0) @binding(2) var<storage, read> step: array<u32>;
{{ fours("gradients", 3, texture) }}
{{ updated("weights", 4, 7) }}
{{ updated("first_moment", 5, 8) }}
{{ updated("second_moment", 6, 9) }}
{% else %}
// rate, gradients -> weights, velocity (both updated)
{{ fours("gradients", 2, texture) }}
{{ updated("weights", 3, 5) }}
{{ updated("velocity", 4, 6) }}
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

{% if adam %}
@compute @workgroup_size(WORKGROUP)
fn adam(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index * 4u >= params.count {
        return;
    }
    var weight = weights_at(index);
    var gradient = gradients_at(index);
    if DECOUPLED {
        weight -= rate[0] * params.weight_decay * weight;
    } else {
        gradient += params.weight_decay * weight;
    }
    // beta m + (1 - beta) g, written with 1 - beta alone.
    let first_before = first_moment_at(index);
    let second_before = second_moment_at(index);
    let first = first_before + params.beta1_complement * (gradient - first_before);
    let second = second_before + params.beta2_complement * (gradient * gradient - second_before);
    first_moment[index] = first;
    second_moment[index] = second;
    let correction = bias_correction(vec2<f32>(params.beta1_complement, params.beta2_complement), step[0]);
    let deviation = sqrt(second / correction.y);
    weights[index] = weight - rate[0] * (first / correction.x) / (deviation + params.epsilon);
}
{% else %}
@compute @workgroup_size(WORKGROUP)
fn sgd(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index * 4u >= params.count {
        return;
    }
    let weight = weights_at(index);
    let gradient = gradients_at(index) + params.weight_decay * weight;
    let speed = params.momentum * velocity_at(index) + gradient;
    velocity[index] = speed;
    let direction = select(speed, gradient + params.momentum * speed, NESTEROV);
    weights[index] = weight - rate[0] * direction;
}
{% endif %}
