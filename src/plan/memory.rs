//! The memory plan: which tensor lies where, decided before anything is allocated.
//!
//! wgpu tracks usage by whole buffers, so a dispatch must not read one slab and write the same: tensors are coloured over
//! a few slabs such that the operands a dispatch reads and those it writes never share one. Within a slab, tensors whose
//! lifetimes do not overlap share bytes (first fit in order of execution).

/// WebGPU's default for `min_storage_buffer_offset_alignment`, which is also the largest any device asks for.
pub(super) const ALIGNMENT: u64 = 256;

pub(super) fn align(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGNMENT)
}

/// A tensor to place.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) bytes: u64,
    /// First step that writes it.
    pub(super) first: usize,
    /// Last step that uses it.
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

/// Places every block; `conflicts` are pairs (read, written) of blocks in one dispatch. Returns the placements and the
/// slabs' sizes. No slab grows past `max_slab` unless one block alone is larger.
pub(super) fn place(blocks: &[Block], conflicts: &[(usize, usize)], max_slab: u64) -> (Vec<Placement>, Vec<u64>) {
    let mut slabs: Vec<Slab> = Vec::new();
    let mut placements: Vec<Option<Placement>> = vec![None; blocks.len()];
    let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); blocks.len()];
    for &(read, written) in conflicts {
        neighbours[read].push(written);
        neighbours[written].push(read);
    }
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&index| (blocks[index].first, index));
    for index in order {
        let block = &blocks[index];
        let taken: Vec<usize> = neighbours[index].iter().filter_map(|&n| placements[n].map(|p| p.slab)).collect();
        let fit = |slab: usize| {
            let offset = slabs[slab].first_fit(block);
            let end = offset + align(block.bytes);
            (end <= max_slab || end == align(block.bytes)).then(|| (end.saturating_sub(slabs[slab].size), slab, offset))
        };
        let best = (0..slabs.len()).filter(|slab| !taken.contains(slab)).filter_map(fit).min();
        let (_, slab, offset) = best.unwrap_or_else(|| {
            slabs.push(Slab::default());
            (0, slabs.len() - 1, 0)
        });
        slabs[slab].size = slabs[slab].size.max(offset + align(block.bytes));
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
        let (placements, slabs) = place(&blocks, &conflicts, u64::MAX);
        check(&blocks, &conflicts, &placements);
        assert_eq!(slabs, [1024, 1024]);
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
            let (placements, slabs) = place(&blocks, &conflicts, 8192);
            check(&blocks, &conflicts, &placements);
            assert!(slabs.iter().all(|&size| size <= 8192));
        }
    }
}
