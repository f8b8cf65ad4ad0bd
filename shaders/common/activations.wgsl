// Activations, four elements at a time, each beside its derivative; see common/functions.wgsl for what holds of all of
// them. Needs common/elementary.wgsl.

fn relu(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4<f32>(), x < vec4<f32>());
}

fn relu_grad(y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return select(dy, vec4<f32>(), y <= vec4<f32>());
}

fn relu6(x: vec4<f32>) -> vec4<f32> {
    return clip(x, vec4<f32>(), vec4(6.0));
}

fn relu6_grad(y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return select(dy, vec4<f32>(), (y <= vec4<f32>()) | (y >= vec4(6.0)));
}

fn clip(x: vec4<f32>, low: vec4<f32>, high: vec4<f32>) -> vec4<f32> {
    return select(select(x, low, x < low), high, x > high);
}

/// Of x, since y does not tell whether x was on a bound or beyond.
fn clip_grad(x: vec4<f32>, dy: vec4<f32>, low: vec4<f32>, high: vec4<f32>) -> vec4<f32> {
    return select(dy, vec4<f32>(), (x < low) | (x > high));
}

fn leaky_relu(x: vec4<f32>, slope: vec4<f32>) -> vec4<f32> {
    return select(x, slope * x, x < vec4<f32>());
}

/// The slope must not be negative: then the sign of y would no longer tell the sign of x.
fn leaky_relu_grad(y: vec4<f32>, dy: vec4<f32>, slope: vec4<f32>) -> vec4<f32> {
    return select(dy, slope * dy, y <= vec4<f32>());
}

/// The slope is learned: of [`leaky_relu`] by the slope, and by x of any sign is [`leaky_relu_grad`] with x for y.
fn prelu_grad_slope(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), x * dy, x < vec4<f32>());
}

/// ELU, SELU and CELU: scale x above 0, alpha (exp(rate x) - 1) below.
fn elu(x: vec4<f32>, scale: vec4<f32>, alpha: vec4<f32>, rate: vec4<f32>) -> vec4<f32> {
    return select(alpha * exp_minus_one(min(rate * x, vec4<f32>())), scale * x, !(x <= vec4<f32>()));
}

fn elu_grad(y: vec4<f32>, dy: vec4<f32>, scale: vec4<f32>, alpha: vec4<f32>, rate: vec4<f32>) -> vec4<f32> {
    return dy * select(rate * (y + alpha), scale, y > vec4<f32>());
}

/// 1 / (1 + exp(-x)), with the exponential of -|x| only, which cannot overflow.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(x));
    return select(vec4(1.0), e, x < vec4<f32>()) / (1.0 + e);
}

fn sigmoid_grad(y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * (y * (1.0 - y));
}

/// The derivative of sigmoid as a function of x: sigmoid(x) sigmoid(-x), without a difference.
fn sigmoid_slope(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(x));
    return e / ((1.0 + e) * (1.0 + e));
}

fn hard_sigmoid(x: vec4<f32>) -> vec4<f32> {
    return clip((x + 3.0) / 6.0, vec4<f32>(), vec4(1.0));
}

fn hard_sigmoid_grad(y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return select(dy / 6.0, vec4<f32>(), (y <= vec4<f32>()) | (y >= vec4(1.0)));
}

/// log(sigmoid(x)) = min(x, 0) - log(1 + exp(-|x|)).
fn log_sigmoid(x: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), x, x < vec4<f32>()) - log_one_plus(exp(-abs(x)));
}

fn log_sigmoid_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * sigmoid(-x);
}

/// tanh as the built-in should be. Some drivers' built-in overflows for large |x| or cancels for small |x|.
/// The polynomial is that of Cephes' tanhf, for |x| < 0.625.
fn tanh_safe(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-2.0 * abs(x));
    let large = sign(x) * (1.0 - e) / (1.0 + e);
    let z = x * x;
    let series = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z
        - 3.33332819422e-1;
    return select(large, x + x * z * series, abs(x) < vec4(0.625));
}

fn tanh_safe_grad(y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * ((1.0 - y) * (1.0 + y));
}

fn silu(x: vec4<f32>) -> vec4<f32> {
    return x * sigmoid(x);
}

fn silu_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * (sigmoid(x) + x * sigmoid_slope(x));
}

fn hard_swish(x: vec4<f32>) -> vec4<f32> {
    return x * hard_sigmoid(x);
}

fn hard_swish_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * select(select((x + 1.5) / 3.0, vec4(1.0), x >= vec4(3.0)), vec4<f32>(), x <= vec4(-3.0));
}

/// x tanh(log(1 + exp(x))) as a fraction of exponentials of -|x|, which are added and never subtracted.
fn mish(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(x));
    let negative = x < vec4<f32>();
    let above = select(1.0 + 2.0 * e, e * (e + 2.0), negative);
    return x * (above / (above + select(2.0 * e * e, vec4(2.0), negative)));
}

fn mish_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(x));
    let negative = x < vec4<f32>();
    let above = select(1.0 + 2.0 * e, e * (e + 2.0), negative);
    let below = above + select(2.0 * e * e, vec4(2.0), negative);
    let bend = 4.0 * e * (1.0 + e) * select(e, vec4(1.0), negative) / (below * below);
    return dy * (above / below + x * bend);
}

/// log(1 + exp(beta x)) / beta, x itself where beta x is above the threshold.
fn softplus(x: vec4<f32>, beta: vec4<f32>, threshold: vec4<f32>) -> vec4<f32> {
    let z = beta * x;
    let y = (select(z, vec4<f32>(), z < vec4<f32>()) + log_one_plus(exp(-abs(z)))) / beta;
    return select(y, x, z > threshold);
}

fn softplus_grad(x: vec4<f32>, dy: vec4<f32>, beta: vec4<f32>, threshold: vec4<f32>) -> vec4<f32> {
    let z = beta * x;
    return select(dy * sigmoid(z), dy, z > threshold);
}

fn softsign(x: vec4<f32>) -> vec4<f32> {
    return x / (1.0 + abs(x));
}

fn softsign_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    let d = 1.0 + abs(x);
    return dy / d / d;
}

/// The normal distribution's function, (1 + erf(x / sqrt 2)) / 2, of which the lower tail is erfc's and does not cancel.
fn normal(x: vec4<f32>) -> vec4<f32> {
    let z = 0.70710678 * x;
    let tail = 0.5 * erfc_far(clamp(abs(z), vec4(1.0), vec4(14.0)));
    return select(select(1.0 - tail, tail, z < vec4<f32>()), 0.5 + 0.5 * erf_near(z), abs(z) < vec4(1.0));
}

fn gelu(x: vec4<f32>) -> vec4<f32> {
    return x * normal(x);
}

fn gelu_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * (normal(x) + x * (0.39894228 * bell(0.70710678 * x)));
}

/// x (1 + tanh(u)) / 2 = x sigmoid(2 u) for u = sqrt(2 / pi) (x + 0.044715 x^3): this is 2 u. Beyond 16 the sigmoid is 0
/// or 1, and the cube might overflow.
fn gelu_tanh_inner(x: vec4<f32>) -> vec4<f32> {
    let z = clamp(x, vec4(-16.0), vec4(16.0));
    return 1.5957691 * (z + 0.044715 * z * z * z);
}

fn gelu_tanh(x: vec4<f32>) -> vec4<f32> {
    return x * sigmoid(gelu_tanh_inner(x));
}

fn gelu_tanh_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    let z = clamp(x, vec4(-16.0), vec4(16.0));
    let inner = gelu_tanh_inner(x);
    return dy * (sigmoid(inner) + x * sigmoid_slope(inner) * (1.5957691 * (1.0 + 0.134145 * z * z)));
}
