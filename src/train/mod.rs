//! Training: a classifier over byte images, with its training, evaluation and prediction sessions over one set of
//! variables.

mod classifier;
mod plateau;
mod schedule;

pub use classifier::{Classifier, Progress, Score, Settings};
pub use plateau::Plateau;
pub use schedule::{OneCycle, Schedule};
