//! What a caller may decide about a plan.

/// Kernel preferences and diagnostics. The default is right for everything but tests and strange drivers.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    pub(crate) prefer: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) guard: bool,
    pub(crate) fuse: bool,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { prefer: Vec::new(), exclude: Vec::new(), guard: false, fuse: true }
    }
}

impl PlanOptions {
    /// Gives every operation a dispatch of its own: activations, sums and normalisations are not computed where their
    /// argument is. To find out which operation of a network takes the time, or goes wrong.
    pub fn without_fusion(mut self) -> Self {
        self.fuse = false;
        self
    }

    /// Takes this kernel variant (`naive`, `tiled`, ...) wherever it is legal.
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
