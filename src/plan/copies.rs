//! Recording the copies of tensors into textures, and what is done once for many steps.

use std::sync::atomic::Ordering;

use super::{Session, TEXTURE_WIDTH, TextureCopy};

impl Session {
    /// Copies tensors into textures.
    pub(super) fn copy(&self, encoder: &mut wgpu::CommandEncoder, copies: &[TextureCopy]) {
        for copy in copies {
            let (buffer, texture) = (&self.buffers[&copy.from.buffer], &self.textures[copy.texture]);
            // Whole rows, then what is left.
            let (rows, rest) = ((copy.texels() / TEXTURE_WIDTH) as u32, (copy.texels() % TEXTURE_WIDTH) as u32);
            const ROW: u32 = 16 * TEXTURE_WIDTH as u32;
            for (y, width, height) in [(0, TEXTURE_WIDTH as u32, rows), (rows, rest, 1)] {
                if width == 0 || height == 0 {
                    continue;
                }
                let offset = copy.from.offset + u64::from(y) * u64::from(ROW);
                let layout = wgpu::TexelCopyBufferLayout { offset, bytes_per_row: Some(ROW), rows_per_image: None };
                let origin = wgpu::Origin3d { x: 0, y, z: 0 };
                encoder.copy_buffer_to_texture(
                    wgpu::TexelCopyBufferInfo { buffer, layout },
                    wgpu::TexelCopyTextureInfo { origin, ..texture.as_image_copy() },
                    wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
                );
            }
        }
    }

    /// Renews what was copied and computed of variables that the host, or another session, has changed.
    pub(super) fn renew_kept(&self, encoder: &mut wgpu::CommandEncoder) {
        let values = &self.variables.version;
        let version = match self.plan.changes_variables {
            true => {
                // Whoever looks between the recording and the submission, which may be the host's, sees the old values.
                let submitted = values.clone();
                encoder.on_submitted_work_done(move || _ = submitted.changed());
                values.changed()
            }
            false => values.current(),
        };
        let [given, computed] = &self.plan.kept_copies;
        if (given.is_empty() && self.plan.kept_steps == 0) || self.kept.load(Ordering::Acquire) == version {
            return;
        }
        self.copy(encoder, given);
        self.record(encoder, &self.dispatches[..self.plan.kept_steps]);
        self.copy(encoder, computed);
        // An encoder that is dropped unsubmitted has done nothing.
        let kept = self.kept.clone();
        encoder.on_submitted_work_done(move || kept.store(version, Ordering::Release));
    }

    /// Forgets what is kept.
    pub(super) fn forget_kept(&self) {
        self.kept.store(0, Ordering::Release);
    }
}
