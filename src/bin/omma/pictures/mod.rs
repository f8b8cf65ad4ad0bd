//! The pictures that a training run leaves behind, drawn in plain software: no window, no system font, no GPU.
//!
//! | file | shows |
//! |---|---|
//! | [`curves()`] | loss and accuracy by epoch |
//! | [`confusion()`] | which class is taken for which |
//! | [`filters()`] | the kernels of the first convolution |
//! | [`feature_maps()`] | one digit on its way through the layers |
//! | [`mistakes()`] | misread digits, the most confident first |
//!
//! Every function writes one PNG and returns after it stands complete at its path; the folder must be there.
//! [`canvas`] draws, [`axis`] divides values, [`text`] sets the bundled font, [`palette`] holds the colours.

mod axis;
mod canvas;
mod confusion;
mod curves;
mod feature_maps;
mod filters;
mod mistakes;
mod palette;
mod text;

use ndarray::{Array2, Array3};

pub(crate) use confusion::confusion;
pub(crate) use curves::curves;
pub(crate) use feature_maps::feature_maps;
pub(crate) use filters::filters;
pub(crate) use mistakes::mistakes;

/// What one epoch of training came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpochRow {
    /// The epoch's number, from 1.
    pub(crate) epoch: usize,
    /// Mean loss over the training set.
    pub(crate) train_loss: f64,
    /// Share of the training set that was read right, 0..=1.
    pub(crate) train_accuracy: f64,
    /// Mean loss over the test set.
    pub(crate) test_loss: f64,
    /// Share of the test set that was read right, 0..=1.
    pub(crate) test_accuracy: f64,
}

/// What one layer makes of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// The layer's name.
    pub(crate) name: String,
    /// Its output `[C, H, W]`; a dense layer's is `[C, 1, 1]`.
    pub(crate) maps: Array3<f32>,
}

/// A picture that was taken for another class.
#[derive(Clone, Debug)]
pub(crate) struct Mistake {
    /// The picture, light on black.
    pub(crate) image: Array2<u8>,
    /// The class it is.
    pub(crate) truth: String,
    /// The class it was taken for.
    pub(crate) guess: String,
    /// The probability given to the guess, 0..=1.
    pub(crate) confidence: f32,
}

/// A share as a percentage with `digits` decimals, and a no-break space before the sign.
fn percent(share: f64, digits: usize) -> String {
    format!("{:.digits$}\u{a0}%", share * 100.0)
}

/// A whole number with a comma every three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_string();
    for start in (first..digits.len()).step_by(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&digits[start..start + 3]);
    }
    text
}

/// A signed number with a true minus sign.
fn signed(value: f32, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    // A value that rounds to zero has no sign.
    let zero = text.chars().all(|c| matches!(c, '0' | '.'));
    if value < 0.0 && !zero { format!("\u{2212}{text}") } else { text }
}

/// "1 epoch", "2 epochs".
fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(percent(0.98754, 2), "98.75\u{a0}%");
        assert_eq!([grouped(7), grouped(2000), grouped(1_234_567)], ["7", "2,000", "1,234,567"]);
        assert_eq!([signed(-0.125, 3), signed(-0.001, 2), signed(0.5, 1)], ["\u{2212}0.125", "0.00", "0.5"]);
        assert_eq!([counted(1, "epoch"), counted(12, "epoch")], ["1 epoch", "12 epochs"]);
    }

    #[test]
    fn every_picture_copes_with_the_least_there_can_be() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let lost = f64::NAN;
        let row = EpochRow { epoch: 1, train_loss: lost, train_accuracy: 0.0, test_loss: lost, test_accuracy: lost };
        curves(&at("curves-none.png"), &[])?;
        curves(&at("curves-lost.png"), &[row])?;
        confusion(&at("confusion-none.png"), &[], &[])?;
        // A matrix of too few cells is padded with zeros.
        confusion(&at("confusion-ragged.png"), &[vec![1], vec![]], &["a".into(), "b".into()])?;
        filters(&at("filters-none.png"), ndarray::Array4::zeros((0, 1, 5, 5)).view(), "conv1")?;
        filters(&at("filters-lost.png"), ndarray::Array4::from_elem((1, 1, 1, 1), f32::NAN).view(), "conv1")?;
        let stage = Stage { name: "empty".into(), maps: Array3::zeros((0, 0, 0)) };
        feature_maps(&at("maps.png"), Array2::zeros((0, 0)).view(), &[stage], &[("a".into(), f32::NAN)])?;
        mistakes(&at("mistakes-none.png"), &[], 0)?;
        let mistake =
            Mistake { image: Array2::zeros((0, 0)), truth: "".into(), guess: "".into(), confidence: f32::NAN };
        mistakes(&at("mistakes-empty.png"), &[mistake], 0)?;
        // No picture leaves the file that it was first written to.
        for entry in std::fs::read_dir(folder.path())? {
            let path = entry?.path();
            image::open(&path)?;
        }
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 9);
        Ok(())
    }

    #[test]
    fn a_picture_that_cannot_be_written_is_an_error_with_its_path() {
        let folder = std::env::temp_dir().join("omma-there-is-no-such-folder");
        let text = mistakes(&folder.join("mistakes.png"), &[], 1).map_err(|error| error.to_string());
        assert!(text.is_err_and(|text| text.contains("mistakes.png")));
    }
}
