//! Batches: every image once, the promised order, and a thread that ends.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ndarray::{Axis, s};
use omma::data::{Augment, Batch, Dataset, Loader, Prefetch};
use omma::{Error, Result};

use super::numbered;

/// Longer than any thread needs, even on a busy machine: a test that waits so long has found a hang.
const HANG: Duration = Duration::from_secs(60);

fn batches(loader: &Loader, epoch: u64) -> Vec<Batch> {
    loader.epoch(epoch).collect::<Result<_>>().unwrap()
}

/// Runs a closure on a thread and fails instead of waiting for ever.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(HANG).expect("the work hangs or panicked")
}

#[test]
fn each_batch_holds_the_images_it_names() {
    let dataset = Arc::new(numbered(23));
    for loader in [Loader::new(dataset.clone(), 5).unwrap(), Loader::new(dataset.clone(), 5).unwrap().shuffle(3)] {
        for batch in batches(&loader, 1) {
            assert_eq!(batch.images.dim(), (batch.len(), 1, 4, 3));
            assert!(batch.images.is_standard_layout());
            for (slot, &index) in batch.indices.iter().enumerate() {
                assert_eq!(batch.images.index_axis(Axis(0), slot), dataset.images().index_axis(Axis(0), index));
                assert_eq!(batch.labels[slot], dataset.labels()[index]);
            }
        }
    }
}

#[test]
fn sizes_of_batches() {
    // Images, batch size, whether the rest is dropped, and the sizes that come out.
    let cases: [(usize, usize, bool, &[usize]); 9] = [
        (10, 4, false, &[4, 4, 2]),
        (10, 4, true, &[4, 4]),
        (8, 4, false, &[4, 4]),
        (8, 4, true, &[4, 4]),
        (3, 4, false, &[3]),
        (3, 4, true, &[]),
        (3, 1, false, &[1, 1, 1]),
        (1, 1, true, &[1]),
        (7, usize::MAX, false, &[7]),
    ];
    for (count, size, drop_last, expected) in cases {
        let loader = Loader::new(Arc::new(numbered(count)), size).unwrap().drop_last(drop_last);
        let sizes: Vec<usize> = batches(&loader, 0).iter().map(Batch::len).collect();
        assert_eq!(sizes, expected, "{count} images by {size}");
        assert_eq!(loader.batches(), expected.len(), "{count} images by {size}");
    }
}

#[test]
fn a_batch_size_of_zero_is_an_error() {
    let error = Loader::new(Arc::new(numbered(3)), 0).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error:?}");
    assert_eq!(error.to_string(), "Loader::new: the batch size is 0, expected at least 1");
}

#[test]
fn a_seed_and_an_epoch_decide_the_order() {
    let order = |count, seed, epoch| {
        let loader = Loader::new(Arc::new(numbered(count)), 8).unwrap().shuffle(seed);
        let dealt: Vec<usize> = batches(&loader, epoch).into_iter().flat_map(|batch| batch.indices).collect();
        assert_eq!(dealt, loader.order(epoch));
        dealt
    };
    let mut seen = HashSet::new();
    for seed in [0, 1, u64::MAX] {
        for epoch in [0, 1, 2, u64::MAX] {
            let first = order(100, seed, epoch);
            assert_eq!(first, order(100, seed, epoch), "seed {seed}, epoch {epoch}");
            let mut sorted = first.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..100).collect::<Vec<_>>(), "each image once");
            assert!(seen.insert(first), "seed {seed}, epoch {epoch}: an order came twice");
        }
    }
    assert_eq!(Loader::new(Arc::new(numbered(9)), 2).unwrap().order(5), (0..9).collect::<Vec<_>>());
}

/// Written down once: a change of these would give every user other results for the same seed.
#[test]
fn the_order_is_the_same_on_every_machine_and_version() {
    let order = |seed, epoch| Loader::new(Arc::new(numbered(12)), 4).unwrap().shuffle(seed).order(epoch);
    assert_eq!(order(0, 0), [10, 6, 7, 9, 3, 4, 2, 5, 1, 11, 0, 8]);
    assert_eq!(order(42, 7), [9, 11, 2, 7, 10, 4, 3, 0, 5, 1, 8, 6]);
}

#[test]
fn every_place_is_reached_equally() {
    // 2,000 orders of 10: each image is expected 200 times in each place, with a standard deviation of 13.4.
    let loader = Loader::new(Arc::new(numbered(10)), 10).unwrap().shuffle(11);
    let mut counts = [[0_i32; 10]; 10];
    for epoch in 0..2000 {
        for (place, image) in loader.order(epoch).into_iter().enumerate() {
            counts[place][image] += 1;
        }
    }
    assert!(counts.iter().flatten().all(|count| (count - 200).abs() < 80), "{counts:?}");
}

#[test]
fn the_batch_size_changes_neither_order_nor_augmentation() {
    let dataset = Arc::new(numbered(21));
    let augment = Augment::new(5).shift(1.0).unwrap().rotation(20.0).unwrap().flip(true);
    let whole = |size| {
        let loader = Loader::new(dataset.clone(), size).unwrap().shuffle(1).augment(augment.clone());
        let batches = batches(&loader, 3);
        let images: Vec<u8> = batches.iter().flat_map(|batch| batch.images.iter().copied()).collect();
        (images, batches.into_iter().flat_map(|batch| batch.indices).collect::<Vec<_>>())
    };
    let (images, indices) = whole(21);
    for size in [1, 4, 7, 20] {
        assert_eq!(whole(size), (images.clone(), indices.clone()), "batches of {size}");
    }
    let plain = dataset.images().slice(s![indices[0], .., .., ..]);
    assert_ne!(&images[..12], plain.as_slice().unwrap(), "augmentation did nothing");
}

#[test]
fn epochs_may_run_side_by_side() {
    let loader = Loader::new(Arc::new(numbered(30)), 7).unwrap().shuffle(2);
    let pairs: Vec<_> = loader.epoch(0).zip(loader.epoch(1)).map(|(a, b)| (a.unwrap(), b.unwrap())).collect();
    let (first, second): (Vec<Batch>, Vec<Batch>) = pairs.into_iter().unzip();
    assert_eq!(first, batches(&loader, 0));
    assert_eq!(second, batches(&loader, 1));
}

#[test]
fn dropping_an_epoch_ends_its_thread() {
    let dataset = Arc::new(numbered(1000));
    let loader = Loader::new(dataset.clone(), 1).unwrap();
    let held = Arc::strong_count(&dataset);
    for taken in [0, 1, 5] {
        let mut epoch = loader.epoch(0);
        assert!(epoch.by_ref().take(taken).all(|batch| batch.is_ok()));
        in_time(move || drop(epoch));
        assert_eq!(Arc::strong_count(&dataset), held, "a thread still holds the data after {taken} batches");
    }
}

#[test]
fn prefetch_works_ahead_but_not_far() {
    let made = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = mpsc::channel();
    let items = {
        let made = made.clone();
        (0..100).map(move |item| {
            let _ = sender.send(made.fetch_add(1, Ordering::SeqCst));
            Ok(item)
        })
    };
    let mut prefetch = Prefetch::new(items);
    // Nobody has taken anything: the waiting items and the one in the thread's hands are made, no more.
    let ahead = Prefetch::<i32>::AHEAD + 1;
    for item in 0..ahead {
        assert_eq!(receiver.recv_timeout(HANG).unwrap(), item);
    }
    assert_eq!(receiver.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout));
    assert_eq!(prefetch.next().unwrap().unwrap(), 0);
    assert_eq!(receiver.recv_timeout(HANG).unwrap(), ahead);
    assert_eq!(prefetch.map(|item| item.unwrap()).collect::<Vec<_>>(), (1..100).collect::<Vec<_>>());
    assert_eq!(made.load(Ordering::SeqCst), 100);
}

#[test]
fn an_error_ends_the_items() {
    let items = (0..10).map(|item| if item == 3 { Err(Error::Graph("three".into())) } else { Ok(item) });
    let mut prefetch = Prefetch::new(items);
    for item in 0..3 {
        assert_eq!(prefetch.next().unwrap().unwrap(), item);
    }
    assert_eq!(prefetch.next().unwrap().unwrap_err().to_string(), "graph: three");
    assert!(prefetch.next().is_none() && prefetch.next().is_none());
}

#[test]
fn a_panic_arrives_as_an_error() {
    let panics: [fn(i32) -> Result<i32>; 2] = [
        |item| if item < 2 { Ok(item) } else { panic!("a plain message") },
        |item| if item < 2 { Ok(item) } else { panic!("item {item}") },
    ];
    for (panic, message) in panics.into_iter().zip(["a plain message", "item 2"]) {
        let items: Vec<Result<i32>> = in_time(move || Prefetch::new((0..10).map(panic)).collect());
        assert_eq!(items.len(), 3);
        assert!(items[0].is_ok() && items[1].is_ok());
        let error = items[2].as_ref().unwrap_err().to_string();
        assert!(error.contains("the thread panicked") && error.ends_with(message), "{error}");
    }
}

#[test]
fn dropping_after_a_panic_or_in_the_middle_does_not_hang() {
    in_time(|| drop(Prefetch::new((0..10).map(|_| -> Result<i32> { panic!("at once") }))));
    in_time(|| drop(Prefetch::new(std::iter::repeat_with(|| Ok(0)))));
    // What the iterator owns is dropped with it.
    let owned = Arc::new(Mutex::new(0));
    let items = {
        let owned = owned.clone();
        (0..).map(move |item| {
            *owned.lock().unwrap() = item;
            Ok(item)
        })
    };
    in_time(move || drop(Prefetch::new(items)));
    assert_eq!(Arc::strong_count(&owned), 1);
}

#[test]
fn loaders_and_epochs_cross_threads() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Prefetch<Batch>>();
    send::<Loader>();
    sync::<Loader>();
    sync::<Dataset>();
}
