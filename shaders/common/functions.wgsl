// Functions of single elements, four elements at a time, each beside its derivative. Derivatives are written in terms of the
// OUTPUT y = f(x), so that a gradient needs no second tensor. Not-a-number passes through all of them.

fn identity(x: vec4<f32>) -> vec4<f32> {
    return x;
}

fn relu(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4<f32>(), x < vec4<f32>());
}

fn relu_grad(y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return select(dy, vec4<f32>(), y <= vec4<f32>());
}

/// The slope must not be negative: then the sign of y would no longer tell the sign of x.
fn leaky_relu(x: vec4<f32>, slope: f32) -> vec4<f32> {
    return select(x, slope * x, x < vec4<f32>());
}

fn leaky_relu_grad(y: vec4<f32>, dy: vec4<f32>, slope: f32) -> vec4<f32> {
    return select(dy, slope * dy, y <= vec4<f32>());
}

/// 1 / (1 + exp(-x)), with the exponential of -|x| only, which cannot overflow.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(x));
    return select(vec4(1.0), e, x < vec4<f32>()) / (1.0 + e);
}

fn sigmoid_grad(y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * (y * (1.0 - y));
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

fn add(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return a + b;
}

fn multiply(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return a * b;
}

fn inverse_deviation(variance: vec4<f32>, epsilon: f32) -> vec4<f32> {
    return inverseSqrt(variance + epsilon);
}

fn standardize(
    x: vec4<f32>,
    mean: vec4<f32>,
    variance: vec4<f32>,
    gamma: vec4<f32>,
    beta: vec4<f32>,
    epsilon: f32,
) -> vec4<f32> {
    return (x - mean) * (gamma * inverse_deviation(variance, epsilon)) + beta;
}

/// `dgamma` and `dbeta` are sums over `count` elements of a channel.
fn standardize_grad(
    x: vec4<f32>,
    mean: vec4<f32>,
    variance: vec4<f32>,
    gamma: vec4<f32>,
    dgamma: vec4<f32>,
    dbeta: vec4<f32>,
    dy: vec4<f32>,
    epsilon: f32,
    count: f32,
) -> vec4<f32> {
    let r = inverse_deviation(variance, epsilon);
    return gamma * r * (dy - (dbeta / count + dgamma / count * r * (x - mean)));
}

/// With mean and variance that do not depend on x.
fn scale_grad(variance: vec4<f32>, gamma: vec4<f32>, dy: vec4<f32>, epsilon: f32) -> vec4<f32> {
    return gamma * inverse_deviation(variance, epsilon) * dy;
}
