//! Which tensors are copied into which textures, and when.
//!
//! A kernel of a CPU adapter reads a texture many times as fast as a buffer, and copying one into the other is cheap. A
//! tensor is copied before the first dispatch that reads it so; the copy serves later ones that are near. Variables that the
//! plan does not change are copied once and keep their texture.

use std::collections::HashMap;

use super::{Location, TextureCopy};

/// A copy that was not used for so many dispatches gives its texture to others; it is cheap to make again.
const PATIENCE: usize = 8;

/// Whether a copy is made once and lasts beyond the step, as long as the variables stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Once {
    Never,
    /// Of a variable.
    Given,
    /// Of what a dispatch with this number has made of variables, at a place that others then use. The copy follows at once.
    Computed {
        by: usize,
    },
}

/// One copy, and which dispatches need it.
#[derive(Debug, Clone)]
struct Life {
    from: Location,
    first: usize,
    last: usize,
    once: Once,
    texture: usize,
}

/// Collects the reads of a plan.
#[derive(Debug)]
pub(super) struct Textures {
    /// How many dispatches, the first ones, are not of every step.
    kept_steps: usize,
    lives: Vec<Life>,
    /// The copy that is up to date.
    current: HashMap<(Location, Once), usize>,
}

impl Textures {
    pub(super) fn new(kept_steps: usize) -> Self {
        Self { kept_steps, lives: Vec::new(), current: HashMap::new() }
    }

    /// Dispatch `step` reads what is there.
    pub(super) fn read(&mut self, from: Location, step: usize, once: Once) {
        let lives = &self.lives;
        let near = |life: usize| once != Once::Never || lives[life].last + PATIENCE >= step;
        match self.current.get(&(from, once)).copied().filter(|&life| near(life)) {
            Some(life) => self.lives[life].last = step,
            None => {
                self.current.insert((from, once), self.lives.len());
                let first = match once {
                    Once::Computed { by } => by + 1,
                    _ => step,
                };
                self.lives.push(Life { from, first, last: step, once, texture: 0 });
            }
        }
    }

    /// What is there changes.
    pub(super) fn written(&mut self, at: Location) {
        let apart = |from: &Location| {
            from.buffer != at.buffer || from.offset + from.bytes <= at.offset || at.offset + at.bytes <= from.offset
        };
        self.current.retain(|(from, once), _| *once != Once::Never || apart(from));
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
            let kept = life.once != Once::Never;
            let busy = if kept { usize::MAX } else { life.last };
            let free = (0..textures.len()).filter(|&index| !kept && textures[index].busy < life.first);
            let best = free.min_by_key(|&index| textures[index].texels.abs_diff(texels));
            life.texture = best.unwrap_or_else(|| {
                textures.push(Texture { texels: 0, busy: 0 });
                textures.len() - 1
            });
            let texture = &mut textures[life.texture];
            (texture.texels, texture.busy) = (texture.texels.max(texels), busy);
        }
        Assigned {
            kept_steps: self.kept_steps,
            lives: self.lives,
            texels: textures.into_iter().map(|texture| texture.texels).collect(),
        }
    }
}

/// The copies with their textures.
#[derive(Debug)]
pub(super) struct Assigned {
    kept_steps: usize,
    lives: Vec<Life>,
    texels: Vec<usize>,
}

impl Assigned {
    /// The texture with the copy that dispatch `step` reads.
    pub(super) fn of(&self, from: Location, step: usize, once: Once) -> usize {
        let here = |life: &&Life| (life.from, life.once) == (from, once) && (life.first..=life.last).contains(&step);
        self.lives.iter().find(here).map_or(0, |life| life.texture)
    }

    /// The copies to make before dispatch `step`.
    pub(super) fn before(&self, step: usize) -> Vec<TextureCopy> {
        // What the last one of the dispatches that are not of every step has computed is copied behind it.
        let now = |life: &&Life| match life.once {
            Once::Never => true,
            Once::Given => false,
            Once::Computed { .. } => step < self.kept_steps,
        };
        self.lives.iter().filter(|life| life.first == step).filter(now).map(Life::copy).collect()
    }

    /// Texels of each texture, and the copies that are kept: those to make before the dispatches that are not of every step,
    /// and those to make after them.
    pub(super) fn into_parts(self) -> (Vec<usize>, [Vec<TextureCopy>; 2]) {
        let given = |life: &&Life| life.once == Once::Given;
        let computed = |life: &&Life| matches!(life.once, Once::Computed { .. }) && life.first == self.kept_steps;
        let kept = [
            self.lives.iter().filter(given).map(Life::copy).collect(),
            self.lives.iter().filter(computed).map(Life::copy).collect(),
        ];
        (self.texels, kept)
    }
}

impl Life {
    fn copy(&self) -> TextureCopy {
        TextureCopy { from: self.from, texture: self.texture }
    }
}
