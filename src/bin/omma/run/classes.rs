//! The classes that a model finds.

use std::path::PathBuf;

use clap::Args;
use omma::onnx::Array;
use omma::{Error, Result};

use crate::output::Output;

/// Which classes are printed, and how.
#[derive(Debug, Args)]
pub(crate) struct Classes {
    /// Print the classes with the largest numbers; FILE has a line for each class
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// How many classes to print of each example
    #[arg(long, value_name = "N", default_value_t = 5, requires = "labels", allow_negative_numbers = true)]
    top: usize,
    /// Turn the numbers into probabilities, for a model whose last layer does not
    #[arg(long, requires = "labels")]
    softmax: bool,
}

impl Classes {
    /// The lines of the file, without empty ones at its end.
    pub(super) fn labels(&self) -> Result<Option<Vec<String>>> {
        let Some(path) = &self.labels else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let labels: Vec<String> = text.trim_end().lines().map(|line| line.trim().into()).collect();
        match text.trim().is_empty() {
            true => Err(Error::data(path, "there is no label in it")),
            false => Ok(Some(labels)),
        }
    }

    /// Prints the largest numbers of the first output of floats that has one for each label.
    pub(super) fn print(&self, labels: &[String], outputs: &[(String, Array)], out: &mut Output) -> Result<()> {
        let classes = labels.len();
        let fits = |array: &Array| {
            let shape = array.shape();
            let row = if shape.len() < 2 { shape } else { &shape[1..] };
            array.element_type().is_float() && row.iter().product::<usize>() == classes && !array.is_empty()
        };
        let (name, array) = outputs.iter().find(|(_, array)| fits(array)).ok_or_else(|| {
            let shapes: Vec<String> = outputs.iter().map(|(name, array)| format!("{name} {array}")).collect();
            let message = format!("{classes} labels, and no output has so many numbers: {}", shapes.join(", "));
            Error::Argument { op: "--labels".into(), message }
        })?;
        let numbers = array.to_f32().unwrap_or_default();
        let what = if self.softmax { "probabilities, by softmax of" } else { "the numbers of" };
        out.line(format_args!("{what} output {name}:"));
        for (example, row) in numbers.chunks(classes).enumerate() {
            let mut ranked: Vec<(usize, f32)> = self.shares(row).into_iter().enumerate().collect();
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
            for (class, number) in ranked.into_iter().take(self.top) {
                let example = if numbers.len() > classes { format!("{example}: ") } else { String::new() };
                out.line(format_args!("{example}{number:>12.6}  {}", labels[class]));
            }
        }
        Ok(())
    }

    fn shares(&self, row: &[f32]) -> Vec<f32> {
        if !self.softmax {
            return row.to_vec();
        }
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = row.iter().map(|number| (number - most).exp()).collect();
        let sum: f32 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }
}
