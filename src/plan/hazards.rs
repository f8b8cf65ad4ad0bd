//! Which dispatches must wait for which, and where wgpu lets them wait.
//!
//! wgpu tracks whole buffers. Between two dispatches of a compute pass it records a barrier wherever a buffer that one
//! of them writes is used by both, whichever parts they touch, and a barrier lets everything before it end. What a buffer
//! was used for before the pass is settled by one barrier ahead of the pass. So dispatches that are independent run beside
//! each other where they are the first of their pass to use their buffers, and where no buffer that one writes is the
//! other's.

use std::collections::HashMap;
use std::hash::Hash;

use super::build::Key;
use super::{BufferRef, Location, TextureCopy};

/// What dispatches share: a buffer, of which they use parts, or a tensor that has no place yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Memory {
    Buffer(BufferRef),
    Tensor(Key),
}

/// One operand of a dispatch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touch {
    pub(super) memory: Memory,
    /// The bytes of the buffer; of a tensor it is all.
    from: u64,
    to: u64,
    pub(super) write: bool,
}

impl Touch {
    pub(super) fn new(place: Result<Location, Key>, write: bool) -> Self {
        match place {
            Ok(at) => Self { memory: Memory::Buffer(at.buffer), from: at.offset, to: at.offset + at.bytes, write },
            Err(key) => Self { memory: Memory::Tensor(key), from: 0, to: u64::MAX, write },
        }
    }
}

/// Of each dispatch the earlier ones that must have ended: what it reads is written, and what it writes was read.
pub(super) fn dependences(dispatches: &[Vec<Touch>]) -> Vec<Vec<usize>> {
    let mut history: HashMap<Memory, Vec<(usize, Touch)>> = HashMap::new();
    let mut all = Vec::with_capacity(dispatches.len());
    for (index, touches) in dispatches.iter().enumerate() {
        let mut on = Vec::new();
        for touch in touches {
            let meets = |&&(_, other): &&(usize, Touch)| {
                (touch.write || other.write) && touch.from < other.to && other.from < touch.to
            };
            on.extend(history.get(&touch.memory).into_iter().flatten().filter(meets).map(|&(earlier, _)| earlier));
        }
        for touch in touches {
            let before = history.entry(touch.memory).or_default();
            // Who must wait for what is overwritten here must wait for this dispatch.
            let covered = |other: &Touch| touch.write && touch.from <= other.from && other.to <= touch.to;
            before.retain(|&(earlier, other)| earlier == index || !covered(&other));
            before.push((index, *touch));
        }
        on.sort_unstable();
        on.dedup();
        all.push(on);
    }
    all
}

/// The fewest barriers that dispatches need in this order: each stands as late as it can.
pub(super) fn needed(dependences: &[Vec<usize>]) -> usize {
    let (mut barriers, mut last) = (0, 0);
    for (index, on) in dependences.iter().enumerate() {
        if on.last().is_some_and(|&latest| latest >= last) {
            (barriers, last) = (barriers + 1, index);
        }
    }
    barriers
}

/// What a dispatch or a copy does with a buffer or texture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    Read,
    Copied,
    Write,
}

/// wgpu's rule: between equal uses that change nothing there is no barrier.
fn waits(before: Usage, now: Usage) -> bool {
    before != now || now == Usage::Write
}

/// One dispatch, as wgpu sees it.
#[derive(Debug)]
pub(super) struct Tracked {
    /// Its buffers and textures, each once.
    uses: HashMap<BufferRef, Usage>,
    copies: Vec<TextureCopy>,
}

impl Tracked {
    /// A dispatch that binds these, and writes where the flag is set, after these copies.
    pub(super) fn new(bindings: impl Iterator<Item = (BufferRef, bool)>, copies: Vec<TextureCopy>) -> Self {
        let mut uses = HashMap::new();
        for (buffer, write) in bindings {
            let usage = uses.entry(buffer).or_insert(Usage::Read);
            if write {
                *usage = Usage::Write;
            }
        }
        Self { uses, copies }
    }
}

/// How whatever was seen last used each buffer.
#[derive(Debug, Default)]
struct State(HashMap<BufferRef, Usage>);

impl State {
    /// Whether something must wait before it can use these.
    fn waits(&self, uses: &HashMap<BufferRef, Usage>) -> bool {
        uses.iter().any(|(buffer, &now)| self.0.get(buffer).is_some_and(|&before| waits(before, now)))
    }

    fn set(&mut self, uses: &HashMap<BufferRef, Usage>) {
        self.0.extend(uses);
    }
}

/// The dispatches with which a compute pass should begin, so that those that have no buffer in common wait for each other
/// nowhere where they may `overlap`; as few as that takes. Copies end a pass as well.
pub(super) fn passes(dispatches: &[Tracked], overlap: bool) -> Vec<bool> {
    let begins = |(index, dispatch): (usize, &Tracked)| index == 0 || !dispatch.copies.is_empty();
    let mut begins: Vec<bool> = dispatches.iter().enumerate().map(begins).collect();
    if !overlap {
        return begins;
    }
    // Since the pass began, and since the last barrier.
    let (mut pass, mut beside) = (State::default(), State::default());
    let mut first = 0;
    for (index, Tracked { uses, .. }) in dispatches.iter().enumerate() {
        if begins[index] {
            (pass, beside, first) = (State::default(), State::default(), index);
        } else if beside.waits(uses) {
            (beside, first) = (State::default(), index);
        } else if pass.waits(uses) {
            // It need not wait for its neighbours, so they begin a pass.
            begins[first] = true;
            pass = State::default();
            dispatches[first..index].iter().for_each(|neighbour| pass.set(&neighbour.uses));
        }
        pass.set(uses);
        beside.set(uses);
    }
    begins
}

/// The barriers that wgpu records between the dispatches of a step, in passes that begin so.
pub(super) fn recorded(dispatches: &[Tracked], begins: &[bool]) -> usize {
    let mut barriers = 0;
    let (mut outside, mut pass) = (State::default(), State::default());
    let mut index = 0;
    while index < dispatches.len() {
        for TextureCopy { from, texture } in &dispatches[index].copies {
            let uses = HashMap::from([(from.buffer, Usage::Copied), (BufferRef::Texture(*texture), Usage::Write)]);
            barriers += usize::from(outside.waits(&uses));
            outside.set(&uses);
        }
        let end = begins.iter().skip(index + 1).position(|&begins| begins);
        let end = end.map_or(dispatches.len(), |after| index + 1 + after);
        // One barrier before the pass is for every first use in it.
        let mut ahead = false;
        pass.0.clear();
        for dispatch in &dispatches[index..end] {
            let first = |(buffer, now): (&BufferRef, &Usage)| {
                !pass.0.contains_key(buffer) && outside.0.get(buffer).is_some_and(|&before| waits(before, *now))
            };
            ahead |= dispatch.uses.iter().any(first);
            barriers += usize::from(pass.waits(&dispatch.uses));
            pass.set(&dispatch.uses);
        }
        barriers += usize::from(ahead);
        outside.set(&pass.0);
        index = end;
    }
    barriers
}

#[cfg(test)]
mod tests {
    use super::{Key, Location, Touch, Tracked, dependences, needed, passes, recorded};
    use crate::plan::{BufferRef, TextureCopy};

    fn tensor(number: usize, write: bool) -> Touch {
        Touch::new(Err(Key::Scratch(0, number)), write)
    }

    fn part(offset: u64, bytes: u64, write: bool) -> Touch {
        Touch::new(Ok(Location { buffer: BufferRef::Gradients(0), offset, bytes }), write)
    }

    /// Numbers of slabs that a dispatch reads and writes.
    fn tracked(read: &[usize], written: &[usize]) -> Tracked {
        let slab = |write| move |&slab: &usize| (BufferRef::Slab(slab), write);
        Tracked::new(read.iter().map(slab(false)).chain(written.iter().map(slab(true))), Vec::new())
    }

    #[test]
    fn what_shares_a_tensor_or_a_part_of_a_buffer_waits() {
        let (read, write) = (|n| tensor(n, false), |n| tensor(n, true));
        let steps = [vec![write(0)], vec![read(0), write(1)], vec![read(0), write(2)], vec![write(0)], vec![read(0)]];
        let on = dependences(&steps);
        assert_eq!(on, [vec![], vec![0], vec![0], vec![0, 1, 2], vec![3]]);
        assert_eq!(needed(&on), 3, "the two that read need not wait for each other");

        let steps =
            [vec![part(0, 64, true)], vec![part(64, 64, true)], vec![part(32, 64, false)], vec![part(128, 4, false)]];
        let on = dependences(&steps);
        assert_eq!(on, [vec![], vec![], vec![0, 1], vec![]]);
        assert_eq!(needed(&on), 1);
    }

    #[test]
    fn wgpu_waits_for_whole_buffers() {
        // A chain over two slabs: every use changes what the one before used.
        let chain = [tracked(&[], &[0]), tracked(&[0], &[1]), tracked(&[1], &[0]), tracked(&[0], &[1])];
        let begins = passes(&chain, true);
        assert_eq!(begins, [true, false, false, false], "no pass is of use");
        assert_eq!(recorded(&chain, &begins), 3);
        // Reading again what was read waits for nothing; writing twice does.
        let steps = [tracked(&[0], &[1]), tracked(&[0], &[2]), tracked(&[0], &[2])];
        assert_eq!(recorded(&steps, &passes(&steps, true)), 1);
    }

    #[test]
    fn neighbours_begin_a_pass() {
        // Two that write slabs which were used before, then one that reads both.
        let steps = [tracked(&[0], &[1, 2]), tracked(&[0], &[1]), tracked(&[0], &[2]), tracked(&[1, 2], &[3])];
        let apart = passes(&steps, false);
        assert_eq!((apart.as_slice(), recorded(&steps, &apart)), ([true, false, false, false].as_slice(), 3));
        let beside = passes(&steps, true);
        assert_eq!((beside.as_slice(), recorded(&steps, &beside)), ([true, true, false, false].as_slice(), 2));
    }

    #[test]
    fn copies_end_a_pass_and_wait() {
        let from = Location { buffer: BufferRef::Slab(0), offset: 0, bytes: 64 };
        let copied = Tracked { copies: vec![TextureCopy { from, texture: 0 }], ..tracked(&[], &[1]) };
        let steps = [tracked(&[], &[0]), copied, tracked(&[0], &[1])];
        let begins = passes(&steps, false);
        assert_eq!(begins, [true, true, false]);
        // Before the copy out of the slab, before it is read as a slab again, and before the second write.
        assert_eq!(recorded(&steps, &begins), 3);
    }
}
