//! Results that take the place of an operand: a function of single elements may write over a tensor that nobody uses any
//! more. A kernel that reads a copy in a texture needs no care: the copy is made before it writes.

use std::collections::{HashMap, HashSet};

use super::build::{Builder, Key};
use super::hazards::{Touch, dependences, needed};
use super::kernel::{Access, Dispatch};

/// The name by which the options know it.
pub(super) const IN_PLACE: &str = "in_place";
/// A smaller tensor is not worth a kernel of its own.
const WORTH: u64 = 1 << 14;

/// Tensors whose memory is that of another one, which they replace.
#[derive(Debug, Default)]
pub(super) struct Replaced(HashMap<Key, Key>);

impl Replaced {
    /// The first of those that have one memory.
    pub(super) fn root(&self, key: Key) -> Key {
        self.0.get(&key).copied().unwrap_or(key)
    }

    /// The tensors with the one that they replace.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, Key)> {
        self.0.iter().map(|(&key, &root)| (key, root))
    }
}

impl Builder<'_> {
    /// Whether results may lie where operands are, which no longer are needed.
    pub(super) fn in_place(&self) -> bool {
        self.options.prefers(IN_PLACE) || !self.options.exclude.iter().any(|e| e == IN_PLACE)
    }

    /// The dispatches, such that they write over an operand of theirs wherever they can and nothing else uses it then or
    /// later; `None` where none does. Those of one group, which run beside each other, do not write over what one of them
    /// reads. `lasting` are tensors to keep.
    pub(super) fn replace(
        &self,
        lasting: &HashSet<Key>,
        groups: &[usize],
    ) -> Option<(Vec<(usize, Dispatch)>, Replaced)> {
        if !self.in_place() {
            return None;
        }
        let (mut dispatches, mut replaced) = (self.dispatches.clone(), Replaced::default());
        let mut uses: HashMap<Key, Vec<usize>> = HashMap::new();
        for (step, (node, dispatch)) in self.dispatches.iter().enumerate() {
            let keys = dispatch.operands.iter().filter_map(|&operand| self.resolve(*node, operand).0.err());
            keys.for_each(|key| uses.entry(key).or_default().push(step));
        }
        for step in self.plan.kept_steps..self.dispatches.len() {
            let (node, dispatch) = &self.dispatches[step];
            let places: Vec<_> = dispatch.operands.iter().map(|&operand| self.resolve(*node, operand)).collect();
            let Some(&(Err(result), Access::Write)) = places.first() else { continue };
            let dies = |number: &usize| {
                let (Err(key), Access::Read) = places[*number] else { return false };
                let (others, bytes) = (&uses[&key], self.bytes(key));
                bytes >= WORTH
                    && bytes == self.bytes(result)
                    && !lasting.contains(&key)
                    && others.last() == Some(&step)
                    && others.iter().rev().skip(1).all(|&other| groups[other] != groups[step])
            };
            let number = dispatch.over.iter().copied().find(dies).filter(|_| uses[&result].first() == Some(&step));
            let (Some(number), Some(&(Err(key), _))) = (number, number.and_then(|number| places.get(number))) else {
                continue;
            };
            replaced.0.insert(result, replaced.root(key));
            dispatches[step].1.write_over(number);
        }
        (!replaced.0.is_empty()).then_some((dispatches, replaced))
    }

    /// The fewest barriers that the dispatches of every step need in their order.
    pub(super) fn needed_barriers(&self, replaced: &Replaced) -> usize {
        let touches = |(node, dispatch): &(usize, Dispatch)| -> Vec<Touch> {
            let places = dispatch.operands.iter().map(|&operand| self.resolve(*node, operand));
            let touch = |(place, access): (Result<_, Key>, Access)| {
                Touch::new(place.map_err(|key| replaced.root(key)), access == Access::Write)
            };
            places.map(touch).collect()
        };
        let touches: Vec<Vec<Touch>> = self.dispatches[self.plan.kept_steps..].iter().map(touches).collect();
        needed(&dependences(&touches))
    }
}
