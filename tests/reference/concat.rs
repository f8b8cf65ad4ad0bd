//! Concatenation: hand-computed, and slices as its gradient.

use omma::reference::concat::place;
use omma::reference::strided::{Along, select};

use super::{Random, check_gradient};

#[test]
fn by_hand() {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
    let whole = place(2, &[(1, &a), (2, &b)], 2).values;
    assert_eq!(whole, [1.0, 2.0, 5.0, 6.0, 7.0, 8.0, 3.0, 4.0, 9.0, 10.0, 11.0, 12.0]);
}

#[test]
fn gradients() {
    for (outer, lengths, inner) in [(1, [1, 1, 1], 1), (3, [2, 1, 4], 1), (2, [3, 5, 1], 3)] {
        let mut random = Random(7);
        let parts = lengths.map(|length| random.uniform(outer * length * inner));
        let total: usize = lengths.iter().sum();
        let dy = random.uniform(outer * total * inner);
        let mut offset = 0;
        for (index, length) in lengths.into_iter().enumerate() {
            let along = [Along::whole(outer), Along { start: offset, ..Along::whole(length) }, Along::whole(inner)];
            let gradient = select(&[outer, total, inner], &along, 0.0, &dy);
            check_gradient("part", &parts[index], &dy, &gradient, |part| {
                let mut all: [(usize, &[f64]); 3] = [0, 1, 2].map(|i| (lengths[i], &parts[i][..]));
                all[index].1 = part;
                place(outer, &all, inner)
            });
            offset += length as i64;
        }
    }
}
