// Elementary functions, four elements at a time, each beside its derivative; see common/functions.wgsl for what holds of
// all of them. Names that WGSL has for a built-in end in `_of`. Needs common/nan.wgsl.

fn negative(x: vec4<f32>) -> vec4<f32> {
    return -x;
}

fn abs_of(x: vec4<f32>) -> vec4<f32> {
    return abs(x);
}

fn abs_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return select(select(vec4<f32>(), dy, x > vec4<f32>()), -dy, x < vec4<f32>());
}

fn sign_of(x: vec4<f32>) -> vec4<f32> {
    return select(select(select(vec4<f32>(), vec4(1.0), x > vec4<f32>()), vec4(-1.0), x < vec4<f32>()), x, are_nan(x));
}

fn floor_of(x: vec4<f32>) -> vec4<f32> {
    return floor(x);
}

fn ceil_of(x: vec4<f32>) -> vec4<f32> {
    return ceil(x);
}

/// Half to even.
fn round_of(x: vec4<f32>) -> vec4<f32> {
    return round(x);
}

fn square(x: vec4<f32>) -> vec4<f32> {
    return x * x;
}

fn square_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * (2.0 * x);
}

fn sqrt_of(x: vec4<f32>) -> vec4<f32> {
    return sqrt(x);
}

fn sqrt_grad(y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return 0.5 * dy / y;
}

fn reciprocal(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / x;
}

fn reciprocal_grad(y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return -dy * (y * y);
}

fn exp_of(x: vec4<f32>) -> vec4<f32> {
    return exp(x);
}

fn log_of(x: vec4<f32>) -> vec4<f32> {
    return log(x);
}

/// e^x - 1 for x <= 0. Near 0, where the difference would cancel, x times a polynomial that interpolates (e^x - 1) / x at
/// the Chebyshev nodes of [-0.5, 0], to 1.6e-9 of it.
fn exp_minus_one(x: vec4<f32>) -> vec4<f32> {
    let series = ((((1.1234042e-3 * x + 8.1896136e-3) * x + 4.1630073e-2) * x + 1.6666242e-1) * x + 4.9999982e-1) * x + 1.0;
    return select(exp(x) - 1.0, x * series, x > vec4(-0.5));
}

/// log(1 + u) for 0 <= u <= 1, to a few ULP of it everywhere: 2 atanh(s) for s = u / (2 + u) <= 1/3, where a polynomial
/// interpolates atanh(s) / s in s^2 at the Chebyshev nodes, to 4.1e-9 of it.
fn log_one_plus(u: vec4<f32>) -> vec4<f32> {
    let s = u / (2.0 + u);
    let z = s * s;
    let series = (((1.4078889e-1 * z + 1.3982579e-1) * z + 2.0012298e-1) * z + 3.3333161e-1) * z + 1.0;
    return 2.0 * s * series;
}

/// erf(x) for |x| <= 1, by the polynomial of Cephes' erff (Moshier 1989): off by 1.3e-9 of it but for roundings.
fn erf_near(x: vec4<f32>) -> vec4<f32> {
    let z = x * x;
    let high = ((7.853861353153693e-5 * z - 8.010193625184903e-4) * z + 5.188327685732524e-3) * z - 2.685381193529856e-2;
    return x * (((high * z + 1.128358514861418e-1) * z - 3.761262582423300e-1) * z + 1.128379165726710);
}

/// erfc(z) = exp(-z^2) / z times a polynomial in 1 / z^2, for z >= 1, by those of Cephes' erfcf: off by 3.1e-8 of it but for
/// roundings, of which z^2 has one and the exponential of it 3 + 2 z^2.
fn erfc_far(z: vec4<f32>) -> vec4<f32> {
    let t = 1.0 / (z * z);
    let near = ((((((((2.326819970068386e-2 * t - 1.387039388740657e-1) * t + 3.687424674597105e-1) * t
        - 5.824733027278666e-1) * t + 6.210004621745983e-1) * t - 4.944515323274145e-1) * t + 3.404879937665872e-1) * t
        - 2.741127028184656e-1) * t + 5.638259427386472e-1);
    let far = (((((((-1.047766399936249e+1 * t + 1.297719955372516e+1) * t - 7.495518717768503e+0) * t
        + 2.921019019210786e+0) * t - 1.015265279202700e+0) * t + 4.218463358204948e-1) * t - 2.820767439740514e-1) * t
        + 5.641895067754075e-1);
    return exp(-z * z) / z * select(far, near, z < vec4(2.0));
}

/// Beyond 1 as 1 - erfc(|x|); from 4 on that is 1.
fn erf_of(x: vec4<f32>) -> vec4<f32> {
    let z = abs(x);
    let far = 1.0 - erfc_far(clamp(z, vec4(1.0), vec4(4.0)));
    let y = select(select(far, -far, x < vec4<f32>()), erf_near(x), z < vec4(1.0));
    return select(y, x, are_nan(x));
}

/// exp(-x^2), which is 0 from 14 on.
fn bell(x: vec4<f32>) -> vec4<f32> {
    let z = min(abs(x), vec4(14.0));
    return select(exp(-z * z), x, are_nan(x));
}

fn erf_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * (1.128379167 * bell(x));
}

/// sin(x + quarters * pi / 2). The built-ins are only good to 2^-11. The nearest multiple of pi / 2 is taken away in three
/// parts, of which the first two have so few bits that products with whole numbers up to 2^13 are exact; what is left has
/// the polynomials of Cephes' sinf and cosf (Moshier 1989), off by 3.8e-9 of it but for roundings.
fn wave(x: vec4<f32>, quarters: i32) -> vec4<f32> {
    let n = round(0.636619772 * x);
    let r = ((x - n * 1.5703125) - n * 4.83751296997070312e-4) - n * 7.54978995489188216e-8;
    let z = r * r;
    let sine = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
    let cosine = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
    let quadrant = vec4<i32>(n) + quarters;
    let y = select(sine, cosine, (quadrant & vec4(1)) != vec4(0));
    return select(y, -y, (quadrant & vec4(2)) != vec4(0));
}

fn sin_of(x: vec4<f32>) -> vec4<f32> {
    return wave(x, 0);
}

fn sin_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * wave(x, 1);
}

fn cos_of(x: vec4<f32>) -> vec4<f32> {
    return wave(x, 1);
}

fn cos_grad(x: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return dy * wave(x, 2);
}
