//! The memory plan: which tensor lies where, decided before anything is allocated.
//!
//! wgpu tracks usage by whole buffers, so a dispatch must not read one slab and write the same: tensors are coloured over
//! a few slabs such that the operands a dispatch reads and those it writes never share one. Within a slab, tensors whose
//! lifetimes do not overlap share bytes (first fit in order of execution). Dispatches that could run beside each other wait
//! for each other where one writes a slab that the other uses, so what they use is kept apart as well where that is cheap.

/// WebGPU's default for `min_storage_buffer_offset_alignment`, which is also the largest any device asks for.
pub(super) const ALIGNMENT: u64 = 256;

pub(super) fn align(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGNMENT)
}

/// This part of the memory at its peak may go into keeping the tensors of neighbours apart. It is seldom spent in the end:
/// room that one tensor leaves others use.
const SLACK: u64 = 25;

/// When a tensor is used last whose memory is never given to another.
pub(super) const FOREVER: usize = usize::MAX;

/// A tensor to place.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) bytes: u64,
    /// When it is written first.
    pub(super) first: usize,
    /// When it is used last, or [`FOREVER`].
    pub(super) last: usize,
}

/// Where a block went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) slab: usize,
    pub(super) offset: u64,
}

#[derive(Debug, Default)]
struct Slab {
    size: u64,
    /// Placed blocks with their offsets.
    blocks: Vec<(u64, Block)>,
}

impl Slab {
    /// The lowest offset where `block` meets nothing that lives at the same time.
    fn first_fit(&self, block: &Block) -> u64 {
        let mut living: Vec<(u64, u64)> = self
            .blocks
            .iter()
            .filter(|(_, other)| other.first <= block.last && block.first <= other.last)
            .map(|(offset, other)| (*offset, offset + align(other.bytes)))
            .collect();
        living.sort_unstable();
        let mut offset = 0;
        for (start, end) in living {
            if offset + align(block.bytes) <= start {
                break;
            }
            offset = offset.max(end);
        }
        offset
    }
}

/// The most bytes that are in use at once.
fn peak(blocks: &[Block]) -> u64 {
    let used = |step: usize| {
        blocks.iter().filter(|block| block.first <= step && step <= block.last).map(|block| align(block.bytes)).sum()
    };
    blocks.iter().map(|block| used(block.first)).max().unwrap_or(0)
}

/// Places every block; `conflicts` are pairs (read, written) of blocks in one dispatch, which must not share a slab, and
/// `apart` are pairs that had better not. Returns the placements and the slabs' sizes. No slab grows past `max_slab` unless
/// one block alone is larger.
pub(super) fn place(
    blocks: &[Block],
    conflicts: &[(usize, usize)],
    apart: &[(usize, usize)],
    max_slab: u64,
) -> (Vec<Placement>, Vec<u64>) {
    let mut slabs: Vec<Slab> = Vec::new();
    let mut placements: Vec<Option<Placement>> = vec![None; blocks.len()];
    let neighbours = |pairs: &[(usize, usize)]| {
        let mut of: Vec<Vec<usize>> = vec![Vec::new(); blocks.len()];
        for &(a, b) in pairs {
            of[a].push(b);
            of[b].push(a);
        }
        of
    };
    let (conflicts, apart) = (neighbours(conflicts), neighbours(apart));
    let mut slack = peak(blocks) / SLACK;
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&index| (blocks[index].first, index));
    for index in order {
        let block = &blocks[index];
        let size = align(block.bytes);
        let of = |others: &[usize]| -> Vec<usize> {
            others.iter().filter_map(|&other| placements[other].map(|place| place.slab)).collect()
        };
        let (forbidden, unwanted) = (of(&conflicts[index]), of(&apart[index]));
        let fit = |slab: usize| {
            let offset = slabs[slab].first_fit(block);
            let end = offset + size;
            (end <= max_slab || end == size).then(|| (end.saturating_sub(slabs[slab].size), slab, offset))
        };
        let fits: Vec<_> = (0..slabs.len()).filter(|slab| !forbidden.contains(slab)).filter_map(fit).collect();
        let new = (size, slabs.len(), 0);
        let cheapest = fits.iter().copied().min().unwrap_or(new);
        let better = fits.into_iter().filter(|(_, slab, _)| !unwanted.contains(slab)).min().unwrap_or(new);
        let more = better.0.saturating_sub(cheapest.0);
        let (_, slab, offset) = match slack.checked_sub(more) {
            Some(rest) => {
                slack = rest;
                better
            }
            None => cheapest,
        };
        if slab == slabs.len() {
            slabs.push(Slab::default());
        }
        slabs[slab].size = slabs[slab].size.max(offset + size);
        slabs[slab].blocks.push((offset, block.clone()));
        placements[index] = Some(Placement { slab, offset });
    }
    let sizes = slabs.iter().map(|slab| slab.size).collect();
    // The loop above placed every index.
    (placements.into_iter().flatten().collect(), sizes)
}

#[cfg(test)]
mod tests {
    use super::{Block, Placement, place};

    fn check(blocks: &[Block], conflicts: &[(usize, usize)], placements: &[Placement]) {
        assert_eq!(blocks.len(), placements.len());
        for (i, (a, p)) in blocks.iter().zip(placements).enumerate() {
            for (b, q) in blocks.iter().zip(placements).skip(i + 1) {
                let together = a.first <= b.last && b.first <= a.last;
                let apart = p.slab != q.slab || p.offset + a.bytes <= q.offset || q.offset + b.bytes <= p.offset;
                assert!(!together || apart, "{a:?} at {p:?} overlaps {b:?} at {q:?}");
            }
        }
        for &(read, written) in conflicts {
            assert_ne!(placements[read].slab, placements[written].slab, "{read} and {written} share a slab");
        }
    }

    #[test]
    fn a_chain_needs_two_slabs_of_its_largest_tensors() {
        let blocks: Vec<Block> = (0..10).map(|step| Block { bytes: 1024, first: step, last: step + 1 }).collect();
        let conflicts: Vec<(usize, usize)> = (0..9).map(|i| (i, i + 1)).collect();
        let (placements, slabs) = place(&blocks, &conflicts, &[], u64::MAX);
        check(&blocks, &conflicts, &placements);
        assert_eq!(slabs, [1024, 1024]);
    }

    #[test]
    fn neighbours_are_kept_apart_where_there_is_room() {
        // Two pairs that live one after the other; those of a pair are written by neighbours.
        let block = |bytes, first| Block { bytes, first, last: first + 1 };
        let small = [block(8192, 0), block(256, 0), block(8192, 2), block(256, 2)];
        let (placements, slabs) = place(&small, &[], &[(0, 1), (2, 3)], u64::MAX);
        check(&small, &[(0, 1), (2, 3)], &placements);
        assert_eq!(slabs, [8192, 256]);
        // Where it would cost more than a part of the peak of 8,448 bytes, they share a slab.
        let large = [block(8192, 0), block(256, 0), block(256, 2), block(8192, 2)];
        let (placements, slabs) = place(&large, &[(0, 1)], &[(2, 3)], u64::MAX);
        check(&large, &[(0, 1)], &placements);
        assert_eq!(slabs, [8448, 256]);
        assert_eq!(placements[2].slab, placements[3].slab);
    }

    #[test]
    fn random_graphs_keep_their_tensors_apart() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..50 {
            let count = 40;
            let mut blocks: Vec<Block> =
                (0..count).map(|step| Block { bytes: 4 + random(5000), first: step, last: step }).collect();
            let mut conflicts = Vec::new();
            for step in 1..count {
                for _ in 0..3 {
                    let read = random(step as u64) as usize;
                    blocks[read].last = blocks[read].last.max(step);
                    conflicts.push((read, step));
                }
            }
            let (placements, slabs) = place(&blocks, &conflicts, &[], 8192);
            check(&blocks, &conflicts, &placements);
            assert!(slabs.iter().all(|&size| size <= 8192));
        }
    }
}
