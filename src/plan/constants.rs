//! What is written to the device once: values that never change, and the tables that kernels look things up in.

use super::memory::align;
use super::{BufferRef, Location};

/// The places and values of a plan's constants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Constants {
    /// What they take.
    pub(super) bytes: u64,
    /// Offset, number and value of what is one value.
    fills: Vec<(u64, usize, f32)>,
    /// Offset and values of what is not.
    tables: Vec<(u64, Vec<f32>)>,
}

impl Constants {
    fn place(&mut self, elements: usize) -> Location {
        let location = Location { buffer: BufferRef::Constants, offset: self.bytes, bytes: elements as u64 * 4 };
        self.bytes += align(location.bytes);
        location
    }

    /// A place for so many times one value.
    pub(super) fn fill(&mut self, elements: usize, value: f32) -> Location {
        let location = self.place(elements);
        self.fills.push((location.offset, elements, value));
        location
    }

    /// A place for these values, the same for equal ones.
    pub(super) fn table(&mut self, values: Vec<f32>) -> Location {
        match self.tables.iter().find(|(_, known)| *known == values) {
            Some(&(offset, _)) => Location { buffer: BufferRef::Constants, offset, bytes: values.len() as u64 * 4 },
            None => {
                let location = self.place(values.len());
                self.tables.push((location.offset, values));
                location
            }
        }
    }

    /// Offsets and values.
    pub(super) fn values(&self) -> impl Iterator<Item = (u64, Vec<f32>)> + '_ {
        let fills = self.fills.iter().map(|&(offset, count, value)| (offset, vec![value; count]));
        fills.chain(self.tables.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::Constants;

    #[test]
    fn equal_tables_are_one() {
        let mut constants = Constants::default();
        let one = constants.table(vec![1.0, 2.0]);
        let other = constants.table(vec![1.0, 3.0]);
        constants.fill(2, 1.0);
        let bytes = constants.bytes;
        assert!(one.offset != other.offset);
        assert_eq!((constants.table(vec![1.0, 2.0]), constants.bytes), (one, bytes));
        assert_eq!(constants.values().count(), 3);
    }
}
