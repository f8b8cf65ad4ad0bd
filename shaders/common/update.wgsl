// What an optimizer's kernels share: the numbers that one step has for all parameters, and gradients cut off one by one.
// Needs common/nan.wgsl.

struct Update {
    rate: f32,
    /// sgd's and rmsprop's momentum, beta1 of the others.
    momentum: f32,
    /// 1 - beta1^t and 1 - beta2^t.
    first_correction: f32,
    second_correction: f32,
    /// What gradients are multiplied by, so that their norm keeps within its limit.
    scale: f32,
    /// 1 - dampening, or 1 in the first step.
    damping: f32,
    /// 1 - decay of the averaged weights.
    average_complement: f32,
    action: u32,
}

// Add up gradients and change nothing else; update; or leave all as it is but the sum of gradients, which starts anew.
const GATHER = 0u;
const APPLY = 1u;
const SKIP = 2u;

/// Within -limit..=limit; not-a-number stays.
fn clipped(gradient: vec4<f32>, limit: f32) -> vec4<f32> {
    return select(clamp(gradient, vec4(-limit), vec4(limit)), gradient, are_nan(gradient));
}
