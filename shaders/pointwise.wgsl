// Pointwise functions of one tensor, each beside its derivative, which is written in terms of the OUTPUT y = f(x):
// the gradient needs no second tensor.
//   forward:    y = f(x)
//   grad_input: dx = dy f'(x)
// A template: the host renders it with `function` = relu, leaky_relu, sigmoid or tanh_safe.
// One invocation computes 4 consecutive elements; elements past `count` in the last vector lie in the buffer's padding
// and are computed harmlessly.
// Memory traffic: 8 bytes an element forward, 12 backward. No barriers. Not-a-number passes through all of them.
// Needs common/grid.wgsl.

override WORKGROUP: u32 = 64u;
/// Slope of leaky_relu for x < 0. It must not be negative: then the sign of y no longer tells the sign of x.
override SLOPE: f32 = 0.01;

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> output: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

fn relu(x: f32) -> f32 {
    return select(x, 0.0, x < 0.0);
}

fn relu_grad(y: f32) -> f32 {
    return select(1.0, 0.0, y <= 0.0);
}

fn leaky_relu(x: f32) -> f32 {
    return select(x, SLOPE * x, x < 0.0);
}

fn leaky_relu_grad(y: f32) -> f32 {
    return select(1.0, SLOPE, y <= 0.0);
}

/// 1 / (1 + exp(-x)), with the exponential of -|x| only, which cannot overflow.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(1.0, e, x < 0.0) / (1.0 + e);
}

fn sigmoid_grad(y: f32) -> f32 {
    return y * (1.0 - y);
}

/// tanh as the built-in should be. Some drivers' built-in overflows for large |x| or cancels for small |x|.
/// The polynomial is that of Cephes' tanhf, for |x| < 0.625.
fn tanh_safe(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    let large = sign(x) * (1.0 - e) / (1.0 + e);
    let z = x * x;
    let series = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z
        - 3.33332819422e-1;
    return select(large, x + x * z * series, abs(x) < 0.625);
}

fn tanh_safe_grad(y: f32) -> f32 {
    return (1.0 - y) * (1.0 + y);
}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index * 4u >= params.count {
        return;
    }
    let v = x[index];
    y[index] = vec4<f32>({{ function }}(v.x), {{ function }}(v.y), {{ function }}(v.z), {{ function }}(v.w));
}

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    if index * 4u >= params.count {
        return;
    }
    let v = output[index];
    let slope = vec4<f32>(
        {{ function }}_grad(v.x),
        {{ function }}_grad(v.y),
        {{ function }}_grad(v.z),
        {{ function }}_grad(v.w),
    );
    dx[index] = slope * dy[index];
}
