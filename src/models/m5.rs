//! M5 (Dai et al. 2017, "Very Deep Convolutional Neural Networks for Raw Waveforms", table 1): sounds told apart by their
//! samples alone, as for keyword spotting.

use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv1d;

/// The logits `[N, classes]` of sounds `[N, C, samples]`: the paper has one channel, 8,000 samples a second, 4 seconds.
///
/// # Errors
/// When the sounds are not f32 of rank 3, are too short, or the graph already has layers of these names.
pub fn m5(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    let mut x = x;
    for (number, settings) in
        (1..).zip([Conv1d::new(128, 80).stride(4), Conv1d::new(128, 3), Conv1d::new(256, 3), Conv1d::new(512, 3)])
    {
        // The norm would take a bias away again.
        let settings = settings.without_bias();
        x = x.conv1d(&format!("conv{number}"), settings)?.batch_norm(&format!("bn{number}"), BatchNorm::default())?;
        x = x.relu()?.max_pool1d(4)?;
    }
    x.global_avg_pool1d()?.flatten()?.dense("fc1", classes)
}
