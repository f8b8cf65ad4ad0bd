//! Training: a classifier over byte images, with its training, evaluation and prediction sessions over one set of
//! variables.

mod classifier;
mod plateau;
mod schedule;
mod settings;

pub use classifier::{Classifier, Progress, Score};
pub use plateau::Plateau;
pub use schedule::{OneCycle, Schedule};
pub use settings::{Job, Settings};
