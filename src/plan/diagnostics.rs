//! Finding kernels that leave words unwritten or write past their tensors.

use super::memory::align;
use super::{BufferRef, Location, Session};
use crate::error::{Error, Result};

/// What an unwritten word holds after [`Session::poison`]: a NaN that names itself in a dump.
const POISON: u32 = 0x7fc0_dead;
/// What stands behind every tensor under [`PlanOptions::guard`].
const SENTINEL: u32 = 0x5e17_1e15;

impl Session {
    /// Fills all activation memory with NaN and renews the sentinels, so that a value nobody wrote shows itself.
    ///
    /// # Errors
    /// When the device fails.
    pub fn poison(&self) -> Result<()> {
        let fill = |key: BufferRef, bytes: u64, word: u32, offset: u64| {
            let words = vec![word; (bytes / 4) as usize];
            self.gpu.write_buffer("poison", &self.buffers[&key], offset, bytemuck::cast_slice(&words))
        };
        for (index, &bytes) in self.plan.slabs.iter().enumerate() {
            fill(BufferRef::Slab(index), bytes, POISON, 0)?;
        }
        for texture in &self.textures {
            let words = vec![POISON; texture.width() as usize * texture.height() as usize * 4];
            self.gpu.write_texture("poison", texture, bytemuck::cast_slice(&words))?;
        }
        self.forget_kept();
        for &(arena, bytes) in &self.plan.gradients {
            fill(BufferRef::Gradients(arena), bytes, POISON, 0)?;
        }
        self.plan.guards.iter().try_for_each(|guard| fill(guard.buffer, guard.bytes, SENTINEL, guard.offset))
    }

    /// Whether every sentinel behind a tensor is still there ([`PlanOptions::guard`](crate::PlanOptions::guard), then [`Session::poison`]).
    ///
    /// A tensor that took a dead one's place may legitimately cover its sentinel; those are left out.
    ///
    /// # Errors
    /// When a sentinel was overwritten, with its place.
    pub async fn check_guards(&self) -> Result<()> {
        let covered = |guard: &Location| {
            self.plan.steps.iter().flat_map(|step| &step.bindings).any(|(at, _)| {
                at.buffer == guard.buffer
                    && at.offset < guard.offset + guard.bytes
                    && guard.offset < at.offset + align(at.bytes)
            })
        };
        for guard in self.plan.guards.iter().filter(|guard| !covered(guard)) {
            let bytes = self.readbacks.read(&self.gpu, &[self.region(guard)], None)?;
            let words: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes.await?);
            if let Some(index) = words.iter().position(|&word| word != SENTINEL) {
                let place = guard.offset + index as u64 * 4;
                return Err(Error::Session(format!("a kernel wrote past a tensor: {:?} byte {place}", guard.buffer)));
            }
        }
        Ok(())
    }

    /// [`Session::check_guards`], blocking.
    ///
    /// # Errors
    /// See [`Session::check_guards`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn check_guards_blocking(&self) -> Result<()> {
        pollster::block_on(self.check_guards())
    }
}
