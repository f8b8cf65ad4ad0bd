//! Compiling the kernels of a plan: each once, on all cores.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::parallel::in_parallel;
use super::store::Store;
use super::{Gpu, Pipeline, PipelineSource, pipelines};
use crate::error::{Error, Result};

/// How far the compilation of a session's kernels is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compiling<'a> {
    /// Kernels compiled.
    pub done: usize,
    /// Kernels that there are to compile: what the device has from another session is not among them.
    pub total: usize,
    /// The one that was just done: `conv2d.forward[tiled]`.
    pub label: &'a str,
}

/// What a device is at while a session starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Starting<'a> {
    /// A kernel was compiled.
    Compiling(Compiling<'a>),
    /// A variant of a node's kernel is about to be timed ([`PlanOptions::tune`](crate::PlanOptions::tune)).
    Timing {
        /// The node that it is timed for.
        node: &'a str,
        /// `conv2d.forward`
        kernel: &'a str,
        /// `tiled`
        variant: &'a str,
    },
    /// All that was to be timed is.
    Timed,
}

/// Whom a device tells how far starting is.
pub(super) struct Watcher(Box<dyn Fn(Starting<'_>) + Send + Sync>);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher")
    }
}

impl Gpu {
    /// Tells `watcher` from now on, on the thread that starts a session, what of it may take long. The first one stays.
    pub fn watch(&self, watcher: impl Fn(Starting<'_>) + Send + Sync + 'static) {
        self.inner.watcher.get_or_init(|| Watcher(Box::new(watcher)));
    }

    pub(crate) fn tell(&self, starting: Starting<'_>) {
        if let Some(Watcher(watcher)) = self.inner.watcher.get() {
            watcher(starting);
        }
    }

    /// The pipelines of `sources`, in order. Those that the device has not got are compiled, and `progress` hears of each.
    ///
    /// # Errors
    /// That of the first source that fails, when the device refuses one or is lost.
    pub(crate) fn pipelines(
        &self,
        sources: &[PipelineSource],
        progress: &mut dyn FnMut(Compiling<'_>),
    ) -> Result<Vec<Arc<Pipeline>>> {
        let there = &self.inner.pipelines;
        let missing = there.missing(sources);
        let (mut done, total) = (0, missing.len());
        let compile = |index: usize| self.compile(missing[index]).map(|pipeline| there.add(missing[index], pipeline));
        in_parallel(total, &compile, &mut |index| {
            done += 1;
            let compiling = Compiling { done, total, label: &missing[index].label };
            progress(compiling);
            self.tell(Starting::Compiling(compiling));
        })?;
        if let (true, Some(store)) = (total > 0, &self.inner.store) {
            store.save();
        }
        let found = |source: &PipelineSource| {
            there.get(source).ok_or_else(|| Error::Validation(format!("{}: it was not compiled", source.label)))
        };
        sources.iter().map(found).collect()
    }

    fn compile(&self, source: &PipelineSource) -> Result<Pipeline> {
        let cache = self.inner.store.as_ref().map(Store::cache);
        let pipeline = self.guard(&source.label, || pipelines::compile(&self.inner.device, source, cache))?;
        self.inner.counters.pipelines.fetch_add(1, Ordering::Relaxed);
        Ok(pipeline)
    }
}
