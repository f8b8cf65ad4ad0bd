//! The window rule: PyTorch's output sizes in floor and ceil mode, and which cells a window holds.

use omma::reference::pool::Axis;

fn axis(input: usize, kernel: usize, stride: usize, begin: usize, end: usize, ceil_mode: bool) -> Axis {
    Axis { input, kernel, stride, begin, end, ceil_mode }
}

#[test]
fn floor_mode_drops_what_does_not_fill_a_window() {
    assert_eq!(axis(28, 2, 2, 0, 0, false).windows(), 14);
    assert_eq!(axis(7, 2, 2, 0, 0, false).windows(), 3);
    assert_eq!(axis(112, 3, 2, 1, 1, false).windows(), 56);
    assert_eq!(axis(1, 1, 1, 0, 0, false).windows(), 1);
}

#[test]
fn ceil_mode_keeps_a_cut_off_window() {
    let seven = axis(7, 2, 2, 0, 0, true);
    assert_eq!(seven.windows(), 4);
    assert_eq!(seven.cells(3), 6..7);
    // The window has 2 cells, but the padded input ends after one.
    assert_eq!(seven.padded_cells(3), 1);
    assert_eq!(seven.padded_cells(2), 2);
}

#[test]
fn ceil_mode_drops_a_window_that_starts_in_the_end_padding() {
    // Padded length 6, windows at 0, 2, 4, of which the last begins on the padding after the input's 3 cells.
    let late = axis(3, 2, 2, 1, 1, true);
    assert_eq!(late.windows(), 2);
    // Without the rule 1 + ceil((5 + 2 - 2) / 3) = 3 windows, the last at 6 - 1 = 5, beyond the input.
    assert_eq!(axis(5, 2, 3, 1, 1, true).windows(), 2);
    // One more cell, and it stays.
    assert_eq!(axis(6, 2, 3, 1, 1, true).windows(), 3);
    assert_eq!(axis(6, 2, 3, 1, 1, true).cells(2), 5..6);
}

#[test]
fn padding_holds_no_cells() {
    let padded = axis(5, 3, 2, 1, 1, false);
    assert_eq!(padded.windows(), 3);
    assert_eq!([0, 1, 2].map(|window| padded.cells(window)), [0..2, 1..4, 3..5]);
    assert_eq!([0, 1, 2].map(|window| padded.padded_cells(window)), [3, 3, 3]);
    let lopsided = axis(4, 3, 1, 2, 0, false);
    assert_eq!(lopsided.windows(), 4);
    assert_eq!([lopsided.cells(0), lopsided.cells(3)], [0..1, 1..4]);
}

/// Over every small axis: windows are never empty, and a cell lies in at most `overlap` of them.
#[test]
fn every_small_axis() {
    for input in 1..8 {
        for kernel in 1..5 {
            for (stride, begin, end) in
                (1..5).flat_map(|s| (0..kernel).flat_map(move |b| (0..kernel).map(move |e| (s, b, e))))
            {
                for ceil_mode in [false, true] {
                    let axis = axis(input, kernel, stride, begin, end, ceil_mode);
                    if kernel > input + begin + end {
                        continue;
                    }
                    let mut covers = vec![0; input];
                    for window in 0..axis.windows() {
                        assert!(!axis.cells(window).is_empty(), "{axis:?} window {window}");
                        assert!(axis.cells(window).len() <= axis.padded_cells(window), "{axis:?} window {window}");
                        axis.cells(window).for_each(|cell| covers[cell] += 1);
                    }
                    assert!(covers.iter().all(|&count| count <= axis.overlap()), "{axis:?}: {covers:?}");
                }
            }
        }
    }
}
