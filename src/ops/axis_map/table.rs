//! The tables of maps along an axis, built on the host.

use std::fmt;

use crate::graph::init::fnv1a;
use crate::reference::axis_map::Rows;

/// Numbers in a kernel's table are floats, which are exact up to here.
pub(super) const MOST: usize = 1 << 24;

/// Which elements of an axis are added up, with which weights, for each row of the result.
pub(super) struct Table {
    columns: usize,
    starts: Vec<usize>,
    entries: Vec<(usize, f32)>,
}

/// Two tables that map alike are one problem; their entries would fill pages.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.starts.iter().map(|&start| start as u64);
        let entries =
            self.entries.iter().map(|&(column, weight)| ((column as u64) << 32) | u64::from(weight.to_bits()));
        let bytes: Vec<u8> = words.chain(entries).flat_map(u64::to_le_bytes).collect();
        write!(f, "Table({} of {}, {:016x})", self.rows(), self.columns, fnv1a(&bytes))
    }
}

impl Table {
    /// Rows of (column, weight). Entries of one column become one, and none has a weight of 0.
    pub(super) fn new(columns: usize, rows: impl IntoIterator<Item = Vec<(usize, f64)>>) -> Self {
        let (mut starts, mut entries) = (vec![0], Vec::new());
        for mut row in rows {
            row.sort_by_key(|&(column, _)| column);
            row.dedup_by(|next, first| {
                let same = next.0 == first.0;
                if same {
                    first.1 += next.1;
                }
                same
            });
            let rounded = row.into_iter().map(|(column, weight)| (column, weight as f32));
            entries.extend(rounded.filter(|&(_, weight)| weight != 0.0));
            starts.push(entries.len());
        }
        Self { columns, starts, entries }
    }

    /// Rows of one element each.
    pub(super) fn picks(columns: usize, elements: impl IntoIterator<Item = usize>) -> Self {
        let entries: Vec<_> = elements.into_iter().map(|column| (column, 1.0)).collect();
        Self { columns, starts: (0..=entries.len()).collect(), entries }
    }

    pub(super) fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    fn row(&self, row: usize) -> &[(usize, f32)] {
        &self.entries[self.starts[row]..self.starts[row + 1]]
    }

    /// The number of entries in the longest row.
    pub(super) fn longest(&self) -> usize {
        (0..self.rows()).map(|row| self.row(row).len()).max().unwrap_or(0)
    }

    /// Whether every row is one element as it is, or nothing.
    pub(super) fn is_picks(&self) -> bool {
        self.longest() <= 1 && self.entries.iter().all(|&(_, weight)| weight == 1.0)
    }

    /// Whether the axis stays as it is.
    pub(super) fn is_identity(&self) -> bool {
        self.is_picks()
            && self.rows() == self.columns
            && (0..self.rows()).all(|row| self.row(row).first().is_some_and(|&(column, _)| column == row))
    }

    /// Rows and columns exchanged.
    pub(super) fn transposed(&self) -> Self {
        let mut entries: Vec<(usize, usize, f32)> = (0..self.rows())
            .flat_map(|row| self.row(row).iter().map(move |&(column, weight)| (column, row, weight)))
            .collect();
        // Stable: rows stay in order within a column.
        entries.sort_by_key(|&(column, ..)| column);
        let starts = (0..=self.columns).map(|row| entries.partition_point(|&(column, ..)| column < row)).collect();
        let entries = entries.into_iter().map(|(_, row, weight)| (row, weight)).collect();
        Self { columns: self.rows(), starts, entries }
    }

    /// The map of two neighbouring axes as one, of which this is the outer one's.
    pub(super) fn with_inner(&self, inner: &Self) -> Self {
        let row = |(outer, within): (usize, usize)| {
            let both = self.row(outer).iter().flat_map(|&(block, weight)| {
                inner
                    .row(within)
                    .iter()
                    .map(move |&(column, share)| (block * inner.columns + column, f64::from(weight) * f64::from(share)))
            });
            both.collect()
        };
        let rows = (0..self.rows()).flat_map(|outer| (0..inner.rows()).map(move |within| (outer, within)));
        Self::new(self.columns * inner.columns, rows.map(row))
    }

    /// The same sums in two steps: every row in pieces of so many entries, then the pieces.
    pub(super) fn cut(&self, length: usize) -> [Self; 2] {
        let (mut starts, mut pieces) = (vec![0], vec![0]);
        for row in 0..self.rows() {
            let (begin, end) = (self.starts[row], self.starts[row + 1]);
            starts.extend((begin..end).step_by(length).map(|start| (start + length).min(end)));
            pieces.push(starts.len() - 1);
        }
        let count = starts.len() - 1;
        let sums = Self { columns: count, starts: pieces, entries: (0..count).map(|piece| (piece, 1.0)).collect() };
        [Self { columns: self.columns, starts, entries: self.entries.clone() }, sums]
    }

    /// For the reference.
    pub(super) fn view(&self) -> Rows<'_> {
        Rows { starts: &self.starts, entries: &self.entries }
    }

    /// The entries that each row is to have, where they are few and most rows have all of them.
    pub(super) fn taps(&self) -> Option<usize> {
        /// A kernel's text has each of them.
        const FEW: usize = 16;
        let longest = self.longest().max(1);
        (longest == 1 || (longest <= FEW && longest * self.rows() <= 2 * self.entries.len())).then_some(longest)
    }

    /// Whether some weight is not 1.
    pub(super) fn is_weighted(&self) -> bool {
        self.entries.iter().any(|&(_, weight)| weight != 1.0)
    }

    /// As the kernel reads it.
    pub(super) fn words(&self) -> Vec<f32> {
        let Some(taps) = self.taps() else {
            let rows =
                (0..self.rows()).flat_map(|row| [(self.rows() + self.starts[row]) as f32, self.row(row).len() as f32]);
            return rows.chain(self.entries.iter().flat_map(|&(column, weight)| [column as f32, weight])).collect();
        };
        let all = |of: fn((usize, f32)) -> f32, none: f32| {
            let taps = (0..taps).flat_map(move |tap| (0..self.rows()).map(move |row| (tap, row)));
            taps.map(move |(tap, row)| self.row(row).get(tap).map_or(none, |&entry| of(entry)))
        };
        let mut words: Vec<f32> = all(|(column, _)| column as f32, -1.0).collect();
        if self.is_weighted() {
            words.extend(all(|(_, weight)| weight, 0.0));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    fn rows(table: &Table) -> Vec<Vec<(usize, f32)>> {
        (0..table.rows()).map(|row| table.row(row).to_vec()).collect()
    }

    #[test]
    fn entries_of_one_column_are_one() {
        let table = Table::new(3, [vec![(2, 0.25), (0, 0.5), (2, 0.25)], vec![(1, 0.5), (1, -0.5)]]);
        assert_eq!(rows(&table), [vec![(0, 0.5), (2, 0.5)], vec![]]);
        assert_eq!(rows(&table.transposed()), [vec![(0, 0.5)], vec![], vec![(0, 0.5)]]);
        // Two entries a row: columns of the first ones and of the second, then their weights.
        assert_eq!(table.words(), [0.0, -1.0, 2.0, -1.0, 0.5, 0.0, 0.5, 0.0]);
        assert!(!table.is_picks());
        let skewed = Table::new(3, [vec![(0, 1.0), (1, 0.5), (2, 1.0)], vec![], vec![(1, 1.0)]]);
        assert_eq!(skewed.words(), [3.0, 3.0, 6.0, 0.0, 6.0, 1.0, 0.0, 1.0, 1.0, 0.5, 2.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn picks_are_known() {
        let table = Table::picks(3, [2, 0]);
        assert!(table.is_picks() && !table.is_identity());
        // Nobody wants column 1.
        assert_eq!(table.transposed().words(), [1.0, -1.0, 0.0]);
        assert!(Table::picks(2, [0, 1]).is_identity());
        assert!(!Table::picks(3, [0, 1]).is_identity());
    }

    #[test]
    fn two_axes_are_one() {
        let halves = Table::new(2, [vec![(0, 0.5), (1, 0.5)]]);
        let both = halves.with_inner(&Table::picks(3, [2, 0]));
        assert_eq!((both.columns, rows(&both)), (6, vec![vec![(2, 0.5), (5, 0.5)], vec![(0, 0.5), (3, 0.5)]]));
    }

    #[test]
    fn pieces_are_the_whole() {
        let table = Table::new(9, [(0..7).map(|column| (column, 0.5)).collect(), vec![], vec![(8, 2.0)]]);
        let [pieces, sums] = table.cut(3);
        assert_eq!((pieces.rows(), pieces.longest(), sums.rows(), sums.longest()), (4, 3, 3, 3));
        assert_eq!(pieces.entries, table.entries);
        assert_eq!(rows(&sums), [vec![(0, 1.0), (1, 1.0), (2, 1.0)], vec![], vec![(3, 1.0)]]);
    }
}
