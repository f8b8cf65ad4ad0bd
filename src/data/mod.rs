//! Data sets on the host: reading them, cutting them into batches, and varying the images.
//!
//! - [`Dataset`] holds 8-bit images with their labels; [`Dataset::mnist_like`] reads a directory of [IDX files](idx).
//! - [`Loader`] deals a data set out in batches, one epoch at a time, in a seeded order, prepared ahead on a thread.
//! - [`Augment`] shifts, turns, scales, mirrors and distorts the images as they are dealt.
//!
//! All randomness is counter-based: what happens to an image depends on the seed, the epoch and the image's index,
//! never on timing, on the batch size or on what was drawn before.
//!
//! ```
//! use std::sync::Arc;
//! use ndarray::Array4;
//! use omma::data::{Augment, Dataset, Loader};
//!
//! # fn main() -> omma::Result<()> {
//! // Ten images of one channel and 28x28 pixels; `Dataset::mnist_like(directory, Split::Train)` reads real ones.
//! let dataset = Dataset::new(Array4::zeros((10, 1, 28, 28)), vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9])?;
//! let augment = Augment::new(7).shift(2.0)?.rotation(10.0)?.scale(0.1)?;
//! let loader = Loader::new(Arc::new(dataset), 4)?.shuffle(7).augment(augment);
//! for epoch in 0..2 {
//!     let mut seen = 0;
//!     for batch in loader.epoch(epoch) {
//!         seen += batch?.len(); // 4, 4 and 2
//!     }
//!     assert_eq!(seen, 10);
//! }
//! # Ok(())
//! # }
//! ```

pub mod idx;

mod augment;
mod dataset;
mod loader;
mod prefetch;
mod random;
mod warp;

pub use augment::Augment;
pub use dataset::{Dataset, Split};
pub use loader::{Batch, Loader};
pub use prefetch::Prefetch;
pub use warp::{Affine, Warp};
