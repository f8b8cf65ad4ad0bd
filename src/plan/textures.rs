//! Which tensors are copied into which textures, and when.
//!
//! A kernel of a CPU adapter reads a texture many times as fast as a buffer, and copying one into the other is cheap. A
//! tensor is copied before the first dispatch that reads it so; the copy serves later ones that are near. Variables that the
//! plan does not change are copied once and keep their texture.

use std::collections::HashMap;

use super::{BufferRef, Location, TextureCopy};

/// A copy that was not used for so many dispatches gives its texture to others; it is cheap to make again.
const PATIENCE: usize = 8;

/// One copy, and which dispatches need it.
#[derive(Debug, Clone)]
struct Life {
    from: Location,
    first: usize,
    last: usize,
    /// Beyond the step.
    kept: bool,
    texture: usize,
}

/// Collects the reads of a plan.
#[derive(Debug)]
pub(super) struct Textures {
    /// Whether variables stay as they are.
    constant: bool,
    lives: Vec<Life>,
    /// The copy that is up to date.
    current: HashMap<Location, usize>,
}

impl Textures {
    pub(super) fn new(constant: bool) -> Self {
        Self { constant, lives: Vec::new(), current: HashMap::new() }
    }

    /// Dispatch `step` reads what is there.
    pub(super) fn read(&mut self, from: Location, step: usize) {
        let kept = self.constant && matches!(from.buffer, BufferRef::Parameters(_) | BufferRef::State(_));
        let lives = &self.lives;
        match self.current.get(&from).copied().filter(|&life| kept || lives[life].last + PATIENCE >= step) {
            Some(life) => self.lives[life].last = step,
            None => {
                self.current.insert(from, self.lives.len());
                self.lives.push(Life { from, first: step, last: step, kept, texture: 0 });
            }
        }
    }

    /// What is there changes.
    pub(super) fn written(&mut self, at: Location) {
        let apart = |from: &Location| {
            from.buffer != at.buffer || from.offset + from.bytes <= at.offset || at.offset + at.bytes <= from.offset
        };
        self.current.retain(|from, _| apart(from));
    }

    /// Gives every copy a texture: one that is free and whose size fits best, or a new one.
    pub(super) fn assign(mut self) -> Assigned {
        /// Texels, and the last dispatch that needs it.
        struct Texture {
            texels: usize,
            busy: usize,
        }
        let mut textures: Vec<Texture> = Vec::new();
        for life in &mut self.lives {
            let texels = TextureCopy { from: life.from, texture: 0 }.texels();
            let busy = if life.kept { usize::MAX } else { life.last };
            let free = (0..textures.len()).filter(|&index| !life.kept && textures[index].busy < life.first);
            let best = free.min_by_key(|&index| textures[index].texels.abs_diff(texels));
            life.texture = best.unwrap_or_else(|| {
                textures.push(Texture { texels: 0, busy: 0 });
                textures.len() - 1
            });
            let texture = &mut textures[life.texture];
            (texture.texels, texture.busy) = (texture.texels.max(texels), busy);
        }
        Assigned { lives: self.lives, texels: textures.into_iter().map(|texture| texture.texels).collect() }
    }
}

/// The copies with their textures.
#[derive(Debug)]
pub(super) struct Assigned {
    lives: Vec<Life>,
    texels: Vec<usize>,
}

impl Assigned {
    /// The texture with the copy that dispatch `step` reads.
    pub(super) fn of(&self, from: Location, step: usize) -> usize {
        let here = |life: &&Life| life.from == from && (life.kept || (life.first..=life.last).contains(&step));
        self.lives.iter().find(here).map_or(0, |life| life.texture)
    }

    /// The copies to make before dispatch `step`.
    pub(super) fn before(&self, step: usize) -> Vec<TextureCopy> {
        self.lives.iter().filter(|life| !life.kept && life.first == step).map(Life::copy).collect()
    }

    /// Texels of each texture, and the copies that are kept.
    pub(super) fn into_parts(self) -> (Vec<usize>, Vec<TextureCopy>) {
        let kept = self.lives.iter().filter(|life| life.kept).map(Life::copy).collect();
        (self.texels, kept)
    }
}

impl Life {
    fn copy(&self) -> TextureCopy {
        TextureCopy { from: self.from, texture: self.texture }
    }
}
