//! An iterator that works ahead on a thread.

use std::fmt;

use crate::error::Result;

/// Runs an iterator on a thread of its own, up to [`Prefetch::AHEAD`] finished items ahead of whoever takes them. In a
/// browser, where there are no threads, each item is made when it is asked for.
///
/// The items end after the first error. A panic of the iterator arrives as an error, and dropping a `Prefetch` stops
/// its thread: the drop waits for the item in the making and no longer.
///
/// ```
/// use omma::data::Prefetch;
///
/// let squares = Prefetch::new((0..5).map(|x| Ok(x * x)));
/// assert_eq!(squares.collect::<omma::Result<Vec<_>>>()?, [0, 1, 4, 9, 16]);
/// # Ok::<(), omma::Error>(())
/// ```
pub struct Prefetch<T> {
    source: Option<source::Source<T>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// How many finished items wait at most: one to take at once, and one more to even out the times they need.
    pub const AHEAD: usize = 2;

    /// Starts the thread. If the system refuses one, that error is the only item.
    pub fn new(items: impl Iterator<Item = Result<T>> + Send + 'static) -> Self {
        Self { source: Some(source::Source::start(items, Self::AHEAD)) }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.source.as_mut()?.next();
        if !matches!(item, Some(Ok(_))) {
            self.source = None;
        }
        item
    }
}

impl<T> std::iter::FusedIterator for Prefetch<T> {}

impl<T> fmt::Debug for Prefetch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefetch").field("ended", &self.source.is_none()).finish()
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod source {
    use std::any::Any;
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::thread::{Builder, JoinHandle};

    use crate::error::{Error, Result};

    /// The receiving end of the thread. `None` only while it is taken apart.
    pub(super) struct Source<T> {
        items: Option<Receiver<Result<T>>>,
        thread: Option<JoinHandle<()>>,
    }

    impl<T: Send + 'static> Source<T> {
        pub(super) fn start(items: impl Iterator<Item = Result<T>> + Send + 'static, ahead: usize) -> Self {
            let (sender, receiver) = sync_channel(ahead);
            let refused = sender.clone();
            let work = move || {
                for item in items {
                    let last = item.is_err();
                    // Sending fails when the receiver is gone: nobody wants the rest.
                    if sender.send(item).is_err() || last {
                        break;
                    }
                }
            };
            let thread = match Builder::new().name("omma-prefetch".into()).spawn(work) {
                Ok(thread) => Some(thread),
                Err(error) => {
                    // There is room for one item, and the receiver is here.
                    let _ = refused.try_send(Err(Error::argument("prefetch", format!("no thread: {error}"))));
                    None
                }
            };
            Self { items: Some(receiver), thread }
        }
    }

    impl<T> Source<T> {
        pub(super) fn next(&mut self) -> Option<Result<T>> {
            if let Ok(item) = self.items.as_ref()?.recv() {
                return Some(item);
            }
            // The thread dropped its end: it is done, or it panicked.
            let panic = self.thread.take()?.join().err()?;
            Some(Err(Error::argument("prefetch", format!("the thread panicked: {}", message(panic.as_ref())))))
        }
    }

    impl<T> Drop for Source<T> {
        fn drop(&mut self) {
            self.items = None; // first, or a thread that waits for room would wait for ever
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }

    /// The text of a panic, which is a string in all but exotic cases.
    fn message(panic: &(dyn Any + Send)) -> &str {
        let text = panic.downcast_ref::<&str>().copied();
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
    }
}

#[cfg(target_arch = "wasm32")]
mod source {
    use crate::error::Result;

    /// The iterator itself.
    pub(super) struct Source<T>(Box<dyn Iterator<Item = Result<T>> + Send>);

    impl<T: Send + 'static> Source<T> {
        pub(super) fn start(items: impl Iterator<Item = Result<T>> + Send + 'static, _ahead: usize) -> Self {
            Self(Box::new(items))
        }
    }

    impl<T> Source<T> {
        pub(super) fn next(&mut self) -> Option<Result<T>> {
            self.0.next()
        }
    }
}
