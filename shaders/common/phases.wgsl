// Phases of a stride: pixels of dx whose position is equal modulo the stride meet the same taps of the kernel.

// The taps that pixels of one phase meet along one axis: `count` of them, first, first + step and so on.
struct Taps {
    first: u32,
    step: u32,
    count: u32,
}

fn phase_taps(distance: u32, kernel: u32, stride: u32, dilation: u32) -> Taps {
    // Tap t meets the phase when t * dilation equals the distance modulo the stride: periodic in t, if it ever happens.
    var first = 0u;
    while first < kernel && first * dilation % stride != distance % stride { first += 1u; }
    var step = 1u;
    while step < kernel && step * dilation % stride != 0u { step += 1u; }
    return Taps(first, step, (kernel - first + step - 1u) / step);
}
