//! The same work on many things, on as many threads as there are cores.

use crate::error::Result;

/// Runs `job` for every number below `count`; the calling thread hears of each that succeeds through `done`. After a
/// failure no further job begins.
///
/// # Errors
/// That of the lowest number whose job fails: jobs begin in order, so this is the same one every time.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn in_parallel(
    count: usize,
    job: &(dyn Fn(usize) -> Result<()> + Sync),
    done: &mut dyn FnMut(usize),
) -> Result<()> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Sender, channel};

    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count);
    if threads <= 1 {
        return one_by_one(count, job, done);
    }
    let next = AtomicUsize::new(0);
    let work = |results: Sender<(usize, Result<()>)>| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            let result = job(index);
            if result.is_err() {
                next.store(count, Ordering::Relaxed);
            }
            if results.send((index, result)).is_err() {
                return;
            }
        }
    };
    let mut failure = None;
    std::thread::scope(|scope| {
        let (sender, results) = channel();
        let spawn = |sender| {
            let work = &work;
            std::thread::Builder::new().name("omma".into()).spawn_scoped(scope, move || work(sender))
        };
        // Where the system gives no thread, this one does the work.
        if (0..threads).filter(|_| spawn(sender.clone()).is_ok()).count() == 0 {
            work(sender.clone());
        }
        drop(sender);
        for (index, result) in results {
            match result {
                Ok(()) => done(index),
                Err(error) if failure.as_ref().is_none_or(|(first, _)| index < *first) => {
                    failure = Some((index, error))
                }
                Err(_) => {}
            }
        }
    });
    failure.map_or(Ok(()), |(_, error)| Err(error))
}

/// A browser's page has one thread.
#[cfg(target_arch = "wasm32")]
pub(super) fn in_parallel(count: usize, job: &dyn Fn(usize) -> Result<()>, done: &mut dyn FnMut(usize)) -> Result<()> {
    one_by_one(count, job, done)
}

fn one_by_one(count: usize, job: &dyn Fn(usize) -> Result<()>, done: &mut dyn FnMut(usize)) -> Result<()> {
    (0..count).try_for_each(|index| job(index).map(|()| done(index)))
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::failure::lock;
    use super::in_parallel;
    use crate::error::Error;

    #[test]
    fn every_number_is_done_once_and_heard_of() {
        for count in [0, 1, 2, 100] {
            let runs: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            let mut heard = BTreeSet::new();
            let job = |index: usize| {
                runs[index].fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            let result = in_parallel(count, &job, &mut |index| assert!(heard.insert(index)));
            assert!(result.is_ok());
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
            assert!(heard.into_iter().eq(0..count));
        }
    }

    #[test]
    fn the_first_failure_is_told_and_ends_the_work() {
        let begun = Mutex::new(Vec::new());
        let job = |index: usize| {
            lock(&begun).push(index);
            if index >= 3 { Err(Error::Session(index.to_string())) } else { Ok(()) }
        };
        for _ in 0..20 {
            lock(&begun).clear();
            let mut heard = 0;
            let result = in_parallel(10_000, &job, &mut |_| heard += 1);
            assert!(matches!(result, Err(Error::Session(text)) if text == "3"));
            assert_eq!(heard, 3);
            assert!(lock(&begun).len() < 10_000, "it goes on after a failure");
        }
    }
}
