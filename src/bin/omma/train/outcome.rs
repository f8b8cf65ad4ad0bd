//! What a training run leaves to look at.

use std::path::Path;

use ndarray::{Array3, ArrayD, Axis, Ix4, s};
use omma::data::Dataset;
use omma::train::Classifier;
use omma::{Error, Result};

use crate::pictures::{self, EpochRow, Mistake, Stage};

/// Mean and deviation of each channel's pixels, in 0..=1.
pub(super) fn statistics(dataset: &Dataset) -> (Vec<f32>, Vec<f32>) {
    let images = dataset.images();
    images
        .axis_iter(Axis(1))
        .map(|channel| {
            let count = channel.len() as f64;
            // Sums of bytes and their squares are exact in u64.
            let (sum, squares) = channel.iter().fold((0_u64, 0_u64), |(sum, squares), &pixel| {
                (sum + u64::from(pixel), squares + u64::from(pixel).pow(2))
            });
            let mean = sum as f64 / count / 255.0;
            let variance = squares as f64 / count / 255.0_f64.powi(2) - mean * mean;
            // Images of one colour have no deviation to divide by.
            (mean as f32, variance.max(1e-6).sqrt() as f32)
        })
        .unzip()
}

/// Draws all pictures and returns how many test images were read right, of how many.
pub(super) fn draw(
    classifier: &mut Classifier,
    test: &Dataset,
    batch: usize,
    rows: &[EpochRow],
    out: &Path,
) -> Result<(usize, usize)> {
    let names: Vec<String> = (0..test.classes()).map(|class| class.to_string()).collect();
    let name = |class: usize| names.get(class).cloned().unwrap_or_default();
    let mut matrix = vec![vec![0_u32; test.classes()]; test.classes()];
    let mut mistakes = Vec::new();
    for start in (0..test.len()).step_by(batch) {
        let end = (start + batch).min(test.len());
        let probabilities = classifier.predict_blocking(test.images().slice(s![start..end, .., .., ..]))?;
        for (row, index) in probabilities.axis_iter(Axis(0)).zip(start..end) {
            // The first of equal maxima, as the device counts it.
            let best = row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
            let Some((guess, &confidence)) = best else { continue };
            let truth = test.labels()[index] as usize;
            matrix[truth][guess] += 1;
            if guess != truth {
                let image = test.images().slice(s![index, 0, .., ..]).to_owned();
                mistakes.push(Mistake { image, truth: name(truth), guess: name(guess), confidence });
            }
        }
    }
    pictures::curves(&out.join("curves.png"), rows)?;
    pictures::confusion(&out.join("confusion.png"), &matrix, &names)?;
    pictures::mistakes(&out.join("mistakes.png"), &mistakes, test.len())?;
    first_filters(classifier, out)?;
    feature_maps(classifier, test, &names, out)?;
    Ok((test.len() - mistakes.len(), test.len()))
}

/// The kernels of the first layer that has any.
fn first_filters(classifier: &Classifier, out: &Path) -> Result<()> {
    let variables = classifier.variables().read_all_blocking()?;
    let filters = variables.into_iter().find(|(_, values)| values.ndim() == 4);
    let Some((name, values)) = filters else { return Ok(()) };
    let values = values.into_dimensionality::<Ix4>().map_err(|error| Error::Session(error.to_string()))?;
    pictures::filters(&out.join("filters.png"), values.view(), &name)
}

fn feature_maps(classifier: &mut Classifier, test: &Dataset, names: &[String], out: &Path) -> Result<()> {
    let image = test.images().slice(s![0..1, .., .., ..]);
    let stages: Vec<Stage> = classifier
        .layers_blocking(image)?
        .into_iter()
        .filter_map(|(name, values)| planes(values).map(|maps| Stage { name, maps }))
        .collect();
    let probabilities = classifier.predict_blocking(image)?;
    let probabilities: Vec<(String, f32)> = names.iter().cloned().zip(probabilities.iter().copied()).collect();
    pictures::feature_maps(&out.join("feature_maps.png"), image.slice(s![0, 0, .., ..]), &stages, &probabilities)
}

/// `[1, C, H, W]` or `[1, C]` as `[C, H, W]`.
fn planes(values: ArrayD<f32>) -> Option<Array3<f32>> {
    let size = match *values.shape() {
        [1, c, h, w] => (c, h, w),
        [1, c] => (c, 1, 1),
        _ => return None,
    };
    Array3::from_shape_vec(size, values.into_iter().collect()).ok()
}
