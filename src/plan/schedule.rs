//! The order of dispatches: what is independent stands together.
//!
//! A training step has more to do than one thing after the other: the gradient of a layer's weight beside that of its
//! input, running statistics beside everything, branches of a network beside each other. Small dispatches leave much of a
//! GPU idle, and a barrier after each keeps the next from filling it. So dispatches are taken in groups between which a
//! barrier stands: the first that is left, in the order of the graph, and after it those that follow soon and could run
//! beside it. What a group needs at once must not raise the memory that the plan needs at its peak.

use std::collections::HashMap;

use super::Step;
use super::build::{Builder, Key};
use super::hazards::{Memory, Touch, Tracked, dependences, passes, recorded};
use super::kernel::{Access, Dispatch, Operand};
use super::memory::align;
use crate::gpu::{BindingKind, DeviceClass};
use crate::graph::Tensor;

/// Dispatches that need memory are moved only so far; the others may come from anywhere.
const WINDOW: usize = 16;
/// Dispatches of a group. What each writes should have a slab of its own.
const MOST: usize = 4;

/// The new order, and the group of each place in it.
pub(super) struct Schedule {
    pub(super) order: Vec<usize>,
    pub(super) groups: Vec<usize>,
}

/// Finds the order; `dependences` are of the dispatches, `bytes` of the tensors, and what `kept` says must outlive the
/// step.
pub(super) fn schedule(
    dispatches: &[Vec<Touch>],
    dependences: &[Vec<usize>],
    bytes: impl Fn(Key) -> u64,
    kept: impl Fn(Key) -> bool,
) -> Schedule {
    let count = dispatches.len();
    let mut memory = Occupied::new(dispatches, bytes, kept);
    let mut group_of: Vec<Option<usize>> = vec![None; count];
    let mut schedule = Schedule { order: Vec::with_capacity(count), groups: Vec::with_capacity(count) };
    let mut group = 0;
    for first in 0..count {
        if group_of[first].is_some() {
            continue;
        }
        let mut members: Vec<usize> = Vec::new();
        for candidate in first..count {
            if candidate >= first + WINDOW && memory.made[candidate] > 0 {
                continue;
            }
            let waits = |&on: &usize| group_of[on].is_none_or(|of| of == group);
            if group_of[candidate].is_some() || dependences[candidate].iter().any(waits) {
                continue;
            }
            let clash = members.iter().any(|&member| share_a_buffer(&dispatches[member], &dispatches[candidate]));
            if !clash && memory.advance(candidate, first) {
                group_of[candidate] = Some(group);
                members.push(candidate);
            }
            if members.len() == MOST {
                break;
            }
        }
        schedule.groups.extend(members.iter().map(|_| group));
        schedule.order.append(&mut members);
        group += 1;
    }
    schedule
}

/// Whether one writes a buffer that the other uses: wgpu would put a barrier between them. Tensors that have no place yet
/// can be kept apart.
fn share_a_buffer(a: &[Touch], b: &[Touch]) -> bool {
    let buffers = |touches: &'_ [Touch]| {
        touches.iter().filter(|touch| matches!(touch.memory, Memory::Buffer(_))).copied().collect::<Vec<_>>()
    };
    let theirs = buffers(b);
    buffers(a).iter().any(|x| theirs.iter().any(|y| x.memory == y.memory && (x.write || y.write)))
}

/// The tensors of a dispatch that have no place yet, by number.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) read: Vec<usize>,
    pub(super) written: Vec<usize>,
}

/// Pairs of tensors that had better not share a slab, so that the dispatches of a group need not wait for each other.
pub(super) fn apart(uses: &[Uses], groups: &[usize]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (index, one) in uses.iter().enumerate() {
        let beside = (index + 1..uses.len()).take_while(|&other| groups[other] == groups[index]);
        for other in beside.map(|other| &uses[other]) {
            let of_one = one.read.iter().map(|&tensor| (tensor, false)).chain(one.written.iter().map(|&w| (w, true)));
            for (tensor, changed) in of_one {
                let theirs = other.read.iter().filter(|_| changed).chain(&other.written);
                pairs.extend(theirs.map(|&theirs| (tensor, theirs)));
            }
        }
    }
    pairs
}

/// The bytes that are in use at each dispatch.
struct Occupied {
    /// Bytes of the tensors that a dispatch is the first to use.
    made: Vec<u64>,
    live: Vec<u64>,
    peak: u64,
}

impl Occupied {
    fn new(dispatches: &[Vec<Touch>], bytes: impl Fn(Key) -> u64, kept: impl Fn(Key) -> bool) -> Self {
        let count = dispatches.len();
        let mut lives: HashMap<Key, (usize, usize)> = HashMap::new();
        for (index, touches) in dispatches.iter().enumerate() {
            for touch in touches {
                if let Memory::Tensor(key) = touch.memory {
                    lives.entry(key).or_insert((index, index)).1 = index;
                }
            }
        }
        let (mut made, mut live) = (vec![0; count], vec![0; count]);
        for (key, (first, last)) in lives {
            let last = if kept(key) { count - 1 } else { last };
            made[first] += bytes(key);
            live[first..=last].iter_mut().for_each(|live| *live += bytes(key));
        }
        let peak = live.iter().copied().max().unwrap_or(0);
        Self { made, live, peak }
    }

    /// Moves a dispatch before an earlier one, if the peak stays what it is.
    fn advance(&mut self, dispatch: usize, before: usize) -> bool {
        let between = &mut self.live[before..dispatch];
        let fits = between.iter().all(|live| live + self.made[dispatch] <= self.peak);
        if fits {
            between.iter_mut().for_each(|live| *live += self.made[dispatch]);
        }
        fits
    }
}

impl Builder<'_> {
    /// Gives the dispatches of every step their order, where the device gains by it, and every dispatch its group.
    pub(super) fn reorder(&mut self, fetched: &[(&Tensor<'_>, Key)]) -> Vec<usize> {
        let touch = |node: usize, operand: Operand| {
            let (place, access) = self.resolve(node, operand);
            Touch::new(place, access == Access::Write)
        };
        let touches = |(node, dispatch): &(usize, Dispatch)| -> Vec<Touch> {
            dispatch.operands.iter().map(|&operand| touch(*node, operand)).collect()
        };
        let of_step = self.plan.kept_steps;
        let touches: Vec<Vec<Touch>> = self.dispatches[of_step..].iter().map(touches).collect();
        let mut groups: Vec<usize> = (0..self.dispatches.len()).collect();
        if self.overlaps() {
            let kept = |key: Key| fetched.iter().any(|&(_, other)| other == key);
            let schedule = schedule(&touches, &dependences(&touches), |key| align(self.bytes(key)), kept);
            let order =
                schedule.order.iter().map(|&index| self.dispatches[of_step + index].clone()).collect::<Vec<_>>();
            self.dispatches.splice(of_step.., order);
            groups.splice(of_step.., schedule.groups.iter().map(|group| of_step + group));
        }
        groups
    }

    /// Whether dispatches are to run beside each other. A CPU adapter runs one after the other anyhow.
    fn overlaps(&self) -> bool {
        const NAME: &str = "overlap";
        let refused = self.capabilities.class == DeviceClass::Cpu || self.options.exclude.iter().any(|e| e == NAME);
        !refused || self.options.prefers(NAME)
    }

    /// Cuts the dispatches of every step into compute passes.
    pub(super) fn begin_passes(&mut self, steps: &mut [Step]) {
        let tracked = |step: &Step| {
            let bindings = step.bindings.iter().map(|&(at, kind)| (at.buffer, kind == BindingKind::ReadWrite));
            Tracked::new(bindings, step.copies.clone())
        };
        let steps = &mut steps[self.plan.kept_steps..];
        let tracked: Vec<Tracked> = steps.iter().map(tracked).collect();
        let begins = passes(&tracked, self.overlaps());
        self.plan.barriers.recorded = recorded(&tracked, &begins);
        for (step, begins) in steps.iter_mut().zip(begins) {
            step.begins_pass = begins;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Schedule, Touch, Uses, apart, dependences, schedule};
    use crate::plan::{BufferRef, Location};

    fn tensor(number: usize, write: bool) -> Touch {
        Touch::new(Err(Key::Scratch(0, number)), write)
    }

    /// Tensors that a dispatch reads, and one that it writes.
    fn step(read: &[usize], written: usize) -> Vec<Touch> {
        read.iter().map(|&number| tensor(number, false)).chain([tensor(written, true)]).collect()
    }

    /// With tensors of so many times the bytes of their number.
    fn of(steps: &[Vec<Touch>], size: u64) -> Schedule {
        let bytes = |key: Key| if let Key::Scratch(_, number) = key { size * number as u64 } else { 0 };
        schedule(steps, &dependences(steps), bytes, |_| false)
    }

    #[test]
    fn branches_advance_together() {
        let steps = [step(&[], 1), step(&[1], 2), step(&[2], 3), step(&[1], 4), step(&[4], 5), step(&[3, 5], 6)];
        let Schedule { order, groups } = of(&steps, 0);
        assert_eq!(order, [0, 1, 3, 2, 4, 5]);
        assert_eq!(groups, [0, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn nothing_is_moved_that_would_need_more_memory() {
        // In the declared order the most is 100 and 1 at once; with the branch of 50 beside that of 100 it would be more.
        let steps = [step(&[], 1), step(&[1], 100), step(&[100], 2), step(&[1], 50), step(&[2, 50], 3)];
        let Schedule { order, groups } = of(&steps, 1);
        assert_eq!(order, [0, 1, 2, 3, 4]);
        assert_eq!(groups, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_writes_parts_of_one_buffer_does_not_stand_together() {
        let gradient = |offset| Touch::new(Ok(Location { buffer: BufferRef::Gradients(0), offset, bytes: 4 }), true);
        let weight = |read, offset| vec![tensor(read, false), gradient(offset)];
        // Two gradients of weights, of which one stands beside what else can be computed.
        let steps = [step(&[], 1), weight(1, 0), weight(1, 4), step(&[1], 2), step(&[2], 3)];
        let Schedule { order, groups } = of(&steps, 0);
        assert_eq!(order, [0, 1, 3, 2, 4]);
        assert_eq!(groups, [0, 1, 1, 2, 2]);
    }

    #[test]
    fn what_a_group_writes_is_kept_apart_from_all_that_it_uses() {
        let uses = |read: &[usize], written: &[usize]| Uses { read: read.to_vec(), written: written.to_vec() };
        let all = [uses(&[0], &[1]), uses(&[0, 2], &[3]), uses(&[1], &[4])];
        assert_eq!(apart(&all, &[0, 0, 1]), [(0, 3), (1, 0), (1, 2), (1, 3)]);
    }
}
