// Functions of single elements, four elements at a time: what plans compute one after the other (common/chain.wgsl). Here
// stand arithmetic, masks and batch normalisation, in common/activations.wgsl and common/elementary.wgsl the others.
// Needs common/nan.wgsl and common/elementary.wgsl.
//
// A number that the host knows is an argument like any other. A derivative is written in terms of the OUTPUT y = f(x) where
// that loses nothing, so that a gradient needs no second tensor and what made x need not store it; else of x. It stands
// below its function. Not-a-number passes through all of them but the masks: no comparison holds of it.
//
// Accuracy. WGSL promises correct rounding of sums and products, 2.5 ULP of a quotient, 2 of inverseSqrt and what follows
// for sqrt, 3 + 2 |x| ULP of exp, of log 2^-21 between 0.5 and 2, else 3 ULP, of sin and cos 2^-11; of pow, sinh, cosh and
// tanh only what follows from these. The error of exp grows with |x| because drivers compute it as exp2(x log2 e) and round
// the product. With eps = 2^-23, an ULP is at most eps |y|, and a result is held to 4 eps times the magnitude that
// src/reference derives from the above for the formula that stands here: e^x (1 + |x|) for an exponential, |y| for a
// quotient, the absolute terms of a sum. So formulas are chosen that do not cancel: exponentials of -|x| alone, which
// cannot overflow either, and polynomials where a built-in has no more than an absolute accuracy.

fn identity(x: vec4<f32>) -> vec4<f32> {
    return x;
}

// Arithmetic of two tensors.

fn add(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return a + b;
}

fn subtract(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return a - b;
}

fn multiply(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return a * b;
}

fn divide(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return a / b;
}

/// By the divisor, of which a / b is y.
fn divide_grad(b: vec4<f32>, y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return -dy * y / b;
}

/// Which four are the lesser, where not-a-number is.
fn minimum(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return select(b, a, ((a < b) & !are_nan(b)) | are_nan(a));
}

/// By a. Both have half of it where they are equal.
fn minimum_grad(a: vec4<f32>, dy: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return select(select(vec4<f32>(), 0.5 * dy, a == b), dy, a < b);
}

fn maximum(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return select(b, a, ((a > b) & !are_nan(b)) | are_nan(a));
}

fn maximum_grad(a: vec4<f32>, dy: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return select(select(vec4<f32>(), 0.5 * dy, a == b), dy, a > b);
}

/// As IEEE 754 has it: what is infinite, 0 or 1 is told by its bits, and pow sees none of it.
fn power(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let zero = vec4<f32>();
    let one = vec4(1.0);
    let size_bits = bitcast<vec4<u32>>(a) & vec4(0x7fffffffu);
    let infinite = size_bits == vec4(0x7f800000u);
    let infinity = bitcast<vec4<f32>>((size_bits & vec4(0u)) | vec4(0x7f800000u));
    let nothing = size_bits == vec4(0u);
    let grows = (nothing & (b < zero)) | (infinite & (b > zero));
    let vanishes = (nothing & (b > zero)) | (infinite & (b < zero));
    let unit = (abs(a) == one) | (b == zero);
    let plain = pow(select(abs(a), one, nothing | infinite | unit), b);
    let size = select(select(select(plain, infinity, grows), zero, vanishes), one, unit);
    // A negative base has a power where the exponent is whole; its sign is that of the base where it is odd.
    let odd = abs(b) - 2.0 * floor(0.5 * abs(b)) == one;
    let negative = (bitcast<vec4<u32>>(a) >> vec4(31u)) == vec4(1u);
    let whole = select(size, -size, negative & odd);
    let none = bitcast<vec4<f32>>(size_bits | vec4(0x7fc00000u));
    let outside = negative & !nothing & !infinite & !(floor(b) == b);
    return select(select(whole, none, outside | are_nan(a) | are_nan(b)), one, (a == one) | (b == zero));
}

/// By the base.
fn power_grad_base(a: vec4<f32>, dy: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return select(dy * (b * power(a, b - 1.0)), vec4<f32>(), b == vec4<f32>());
}

/// By the exponent. Zero where the base is not positive.
fn power_grad_exponent(a: vec4<f32>, y: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    let positive = (a > vec4<f32>()) | are_nan(a);
    return select(vec4<f32>(), dy * (y * log(select(vec4(1.0), a, positive))), positive);
}

// Masks: 1 where something holds, 0 where it does not. What is not 0 holds.

fn mask(holds: vec4<bool>) -> vec4<f32> {
    return select(vec4<f32>(), vec4(1.0), holds);
}

fn holds(mask: vec4<f32>) -> vec4<bool> {
    // Not `!=`, which is false of not-a-number on some drivers.
    return !(mask == vec4<f32>());
}

fn equal(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return mask(a == b);
}

fn not_equal(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return mask(!(a == b));
}

fn less(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return mask(a < b);
}

fn less_or_equal(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return mask(a <= b);
}

fn greater(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return mask(a > b);
}

fn greater_or_equal(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return mask(a >= b);
}

fn logical_and(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return mask(holds(a) & holds(b));
}

fn logical_or(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return mask(holds(a) | holds(b));
}

fn logical_not(a: vec4<f32>) -> vec4<f32> {
    return mask(!holds(a));
}

fn choose(condition: vec4<f32>, a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return select(b, a, holds(condition));
}

fn choose_grad_first(condition: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), dy, holds(condition));
}

fn choose_grad_second(condition: vec4<f32>, dy: vec4<f32>) -> vec4<f32> {
    return select(dy, vec4<f32>(), holds(condition));
}

// Batch normalisation.

fn inverse_deviation(variance: vec4<f32>, epsilon: vec4<f32>) -> vec4<f32> {
    return inverseSqrt(variance + epsilon);
}

fn standardize(
    x: vec4<f32>,
    mean: vec4<f32>,
    variance: vec4<f32>,
    gamma: vec4<f32>,
    beta: vec4<f32>,
    epsilon: vec4<f32>,
) -> vec4<f32> {
    return (x - mean) * (gamma * inverse_deviation(variance, epsilon)) + beta;
}

/// With mean and variance that do not depend on x, of which the other two are made.
fn scale_and_shift(x: vec4<f32>, factor: vec4<f32>, term: vec4<f32>) -> vec4<f32> {
    return x * factor + term;
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
    epsilon: vec4<f32>,
    count: vec4<f32>,
) -> vec4<f32> {
    let r = inverse_deviation(variance, epsilon);
    return gamma * r * (dy - (dbeta / count + dgamma / count * r * (x - mean)));
}

/// With mean and variance that do not depend on x.
fn scale_grad(variance: vec4<f32>, gamma: vec4<f32>, dy: vec4<f32>, epsilon: vec4<f32>) -> vec4<f32> {
    return gamma * inverse_deviation(variance, epsilon) * dy;
}
