//! Recording the copies of tensors into textures.

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

    /// Renews the copies of variables that the host, or another session, has changed.
    pub(super) fn renew_copies(&self, encoder: &mut wgpu::CommandEncoder) {
        let version = match self.plan.changes_variables {
            true => self.variables.changed(),
            false => self.variables.version(),
        };
        if self.plan.kept_copies.is_empty() || self.copied.load(Ordering::Acquire) == version {
            return;
        }
        self.copy(encoder, &self.plan.kept_copies);
        // An encoder that is dropped unsubmitted has copied nothing.
        let copied = self.copied.clone();
        encoder.on_submitted_work_done(move || copied.store(version, Ordering::Release));
    }

    /// Forgets the kept copies.
    pub(super) fn forget_copies(&self) {
        self.copied.store(0, Ordering::Release);
    }
}
