//! What a caller may decide about a plan.

use std::path::PathBuf;
use std::sync::Arc;

use super::tuning::Tuning;
#[cfg(not(target_arch = "wasm32"))]
use crate::{
    error::Result,
    gpu::Gpu,
    graph::{Graph, Tensor},
};

/// Kernel preferences, tuning and diagnostics. The default is right for everything but tests and strange drivers.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    pub(crate) prefer: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) guard: bool,
    pub(crate) fuse: bool,
    pub(crate) half: bool,
    /// Whether cooperative matrices may be used unchecked, as only their check does.
    pub(crate) trial: bool,
    pub(crate) memory_budget: Option<u64>,
    /// Whether sessions time kernels, and the file of what they found.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "a browser's page cannot wait for timings"))]
    pub(crate) tune: Option<Option<PathBuf>>,
    /// What is known, to plan by.
    pub(crate) tuning: Option<Arc<Tuning>>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        let (prefer, exclude) = Default::default();
        Self {
            prefer,
            exclude,
            guard: false,
            fuse: true,
            half: false,
            trial: false,
            memory_budget: None,
            tune: None,
            tuning: None,
        }
    }
}

impl PlanOptions {
    /// Gives every operation a dispatch of its own: activations, sums and normalisations are not computed where their
    /// argument is. To find out which operation of a network takes the time, or goes wrong.
    pub fn without_fusion(mut self) -> Self {
        self.fuse = false;
        self
    }

    /// Keeps what a session allocates ([`MemoryReport::total`](crate::MemoryReport::total)) within so many bytes: where it
    /// would be more, cheap activations are computed a second time in the backward pass instead of being kept, and the results
    /// are the same bits; an inference does without the filters that Winograd's convolutions keep, and rounds as it does
    /// where `winograd` is excluded. A plan that needs more all the same is refused, before anything is allocated.
    pub fn memory_budget(mut self, bytes: u64) -> Self {
        self.memory_budget = Some(bytes);
        self
    }

    /// Lets convolutions and dense layers, forward and both gradients, take their operands in half precision (f16) where a
    /// kernel for it is the better one: on GPUs, half the memory is then read. Sums and results stay f32, and so do
    /// parameters, what the optimizer keeps, and all other operations. Software adapters gain nothing and go on in f32. On a
    /// device that was opened with [cooperative matrices](crate::GpuOptions::cooperative_matrices) kernels use these too.
    ///
    /// What it costs is accuracy. An operand is rounded to the nearest of 11 significant bits, which changes it by up to
    /// 2⁻¹¹ of itself, so that each product of two is off by up to 2·2⁻¹¹ + 2⁻²² of itself, and a sum by up to that much of
    /// Σ|terms|, beside the error of the same sum in f32. What is below 2⁻¹⁴ (6.1e-5) in magnitude is rounded to a multiple
    /// of 2⁻²⁴ (6.0e-8), and a device may take it for 0; what is 65,520 or more becomes infinite. Gradients may well be so
    /// small: scale a loss up, and the learning rate down, where they are.
    pub fn half_precision(mut self) -> Self {
        self.half = true;
        self
    }

    /// Takes this kernel variant (`naive`, `tiled`, ...) wherever it is legal. One of half precision (`tiled_half`,
    /// `cooperative`, ...) is so where it is named, with [`PlanOptions::half_precision`] or without.
    pub fn prefer(mut self, variant: impl Into<String>) -> Self {
        self.prefer.push(variant.into());
        self
    }

    /// Never takes this variant: `tiled`, or `conv2d.forward[tiled]` for one kernel only, as the text of a
    /// [`Plan`](crate::Plan) names them. For a driver that gets it wrong.
    pub fn exclude(mut self, variant: impl Into<String>) -> Self {
        self.exclude.push(variant.into());
        self
    }

    /// Lets sessions choose their kernels by the clock: where more than one is legal, each is timed on the session's own
    /// shapes, and the fastest taken. What is found is kept in `file`, if one is given, by adapter, driver and problem, and
    /// is not timed again: with one file the kernels, and so the bits of the results, stay the same. Without this call
    /// nothing that was ever timed has an influence.
    ///
    /// Making a session then waits for the device: for seconds, or for minutes on a slow device, and it needs memory for a
    /// second copy of the variables and tensors meanwhile. A file that is damaged or foreign, or cannot be written, costs a
    /// warning in the log and the time to find out anew. A browser's page cannot wait: there this changes nothing.
    pub fn tune(mut self, file: Option<PathBuf>) -> Self {
        self.tune = Some(file);
        self
    }

    /// The options with everything settled that a session of this graph would settle before it plans: cooperative matrices
    /// are checked, and kernels timed ([`PlanOptions::tune`]). What [`Plan::new`](crate::Plan::new) makes of them is the plan
    /// of a session that is given them, so that its memory is known before anything is allocated for it. With a call of
    /// [`PlanOptions::tune`] more they serve another graph: what this one has settled stays so.
    ///
    /// # Errors
    /// When the graph cannot be planned, or the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn resolved(&self, gpu: &Gpu, graph: &Graph, fetch: &[Tensor<'_>]) -> Result<Self> {
        super::cooperative::check(gpu, self)?;
        super::tune::tuned(gpu, graph, fetch, self)
    }

    /// Puts sentinel words behind every tensor, which [`Session::check_guards`] compares.
    ///
    /// [`Session::check_guards`]: crate::Session::check_guards
    pub fn guard(mut self) -> Self {
        self.guard = true;
        self
    }

    pub(crate) fn prefers(&self, variant: &str) -> bool {
        self.prefer.iter().any(|p| p == variant)
    }

    /// Whether a tensor of so many words is better read through a texture, where a device reads those faster.
    pub(crate) fn prefers_textures(&self, words: usize) -> bool {
        /// From so many words on, it gains more than the copy costs.
        const ENOUGH: usize = 4096;
        let asked = |name: &str| self.prefers(name);
        asked("textures") || (words >= ENOUGH && !asked("buffers") && !self.exclude.iter().any(|e| e == "textures"))
    }

    pub(crate) fn excludes(&self, kernel: &str, variant: &str) -> bool {
        self.exclude.iter().any(|e| e == variant || *e == format!("{kernel}[{variant}]"))
    }
}
