//! A fully connected layer: y\[n, o\] = bias\[o\] + sum over i of x\[n, i\] · w\[o, i\].
//!
//! x: \[batch, inputs\], w: \[outputs, inputs\], y: \[batch, outputs\]. The bias gradient is
//! [`channel_sum`](super::reduce::channel_sum) with an inner size of 1.

use super::Checked;

/// y from x, w and an optional bias of length `outputs`.
#[must_use]
pub fn forward(batch: usize, inputs: usize, outputs: usize, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Checked {
    debug_assert_eq!(x.len(), batch * inputs, "x is [batch, inputs]");
    debug_assert_eq!(w.len(), outputs * inputs, "w is [outputs, inputs]");
    let mut y = Checked::zeros(batch * outputs, inputs + 1);
    for n in 0..batch {
        for o in 0..outputs {
            for i in 0..inputs {
                y.add(n * outputs + o, x[n * inputs + i] * w[o * inputs + i]);
            }
            if let Some(bias) = bias {
                y.add(n * outputs + o, bias[o]);
            }
        }
    }
    y
}

/// dx from w and dy.
#[must_use]
pub fn grad_input(batch: usize, inputs: usize, outputs: usize, w: &[f64], dy: &[f64]) -> Checked {
    debug_assert_eq!(w.len(), outputs * inputs, "w is [outputs, inputs]");
    debug_assert_eq!(dy.len(), batch * outputs, "dy is [batch, outputs]");
    let mut dx = Checked::zeros(batch * inputs, outputs);
    for n in 0..batch {
        for o in 0..outputs {
            for i in 0..inputs {
                dx.add(n * inputs + i, w[o * inputs + i] * dy[n * outputs + o]);
            }
        }
    }
    dx
}

/// dw from x and dy.
#[must_use]
pub fn grad_weight(batch: usize, inputs: usize, outputs: usize, x: &[f64], dy: &[f64]) -> Checked {
    debug_assert_eq!(x.len(), batch * inputs, "x is [batch, inputs]");
    debug_assert_eq!(dy.len(), batch * outputs, "dy is [batch, outputs]");
    let mut dw = Checked::zeros(outputs * inputs, batch);
    for n in 0..batch {
        for o in 0..outputs {
            for i in 0..inputs {
                dw.add(o * inputs + i, x[n * inputs + i] * dy[n * outputs + o]);
            }
        }
    }
    dw
}
