//! What is compared: one file an engine, all behind the same two traits.

mod burn;
mod burn_nets;
mod omma;
mod tract;
mod tract_resnet;

pub(crate) use self::burn::Burn;
pub(crate) use self::omma::Omma;
pub(crate) use self::tract::Tract;

use crate::cases::Case;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Something that computes.
pub(crate) trait Engine {
    fn name(&self) -> &'static str;

    /// The engine's version and what it computes on.
    fn description(&self) -> String;

    /// Makes a case ready; `None` where the engine has nothing for such work.
    fn prepare(&self, case: &Case) -> Result<Option<Box<dyn Prepared>>>;
}

/// A case that can be repeated.
pub(crate) trait Prepared {
    /// Does the work once, until the device rests.
    fn run(&mut self) -> Result<()>;

    /// What the latest run computed: the result of a convolution, logits, or the loss of a training step.
    fn result(&mut self) -> Result<Vec<f32>>;
}
