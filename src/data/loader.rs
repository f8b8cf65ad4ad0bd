//! Batches of a data set, epoch by epoch.

use std::sync::Arc;

use ndarray::Array4;
use rand::seq::SliceRandom;

use super::random::{Purpose, stream};
use super::{Augment, Dataset, Prefetch};
use crate::error::{Error, Result};

/// Some images of a data set with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The images, `[N, C, H, W]`, row-major.
    pub images: Array4<u8>,
    /// One label an image.
    pub labels: Vec<u32>,
    /// Where each image stands in the data set.
    pub indices: Vec<usize>,
}

impl Batch {
    /// The number of images, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }
}

/// Deals a data set out in batches. Each epoch goes once through all the images, in their own order or in a seeded one;
/// the last batch is smaller where the batch size does not divide the number of images.
#[derive(Clone, Debug)]
pub struct Loader {
    dataset: Arc<Dataset>,
    batch_size: usize,
    shuffle: Option<u64>,
    drop_last: bool,
    augment: Option<Augment>,
}

impl Loader {
    /// Batches in the data set's order, the smaller last one included: what evaluation needs.
    ///
    /// # Errors
    /// When the batch size is 0.
    pub fn new(dataset: Arc<Dataset>, batch_size: usize) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::argument("Loader::new", "the batch size is 0, expected at least 1"));
        }
        Ok(Self { dataset, batch_size, shuffle: None, drop_last: false, augment: None })
    }

    /// Deals the images in an order that the seed and the epoch's number decide, the same on every machine.
    pub fn shuffle(self, seed: u64) -> Self {
        Self { shuffle: Some(seed), ..self }
    }

    /// Leaves the smaller last batch out, so that all have one size. A data set smaller than a batch then gives none.
    pub fn drop_last(self, drop_last: bool) -> Self {
        Self { drop_last, ..self }
    }

    /// Varies each image as it is dealt.
    pub fn augment(self, augment: Augment) -> Self {
        Self { augment: Some(augment), ..self }
    }

    /// The data set.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// The number of images in a batch, the last one aside.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The number of batches in an epoch.
    pub fn batches(&self) -> usize {
        match self.drop_last {
            true => self.dataset.len() / self.batch_size,
            false => self.dataset.len().div_ceil(self.batch_size),
        }
    }

    /// The order in which an epoch deals the images, those of a batch left out at the end included.
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if let Some(seed) = self.shuffle {
            order.shuffle(&mut stream(Purpose::Shuffle, seed, epoch));
        }
        order
    }

    /// The batches of one epoch, prepared on a thread ahead of their use. Any epoch may be asked for, in any order and
    /// as often as wanted.
    pub fn epoch(&self, epoch: u64) -> Prefetch<Batch> {
        let loader = self.clone();
        let order = self.order(epoch);
        Prefetch::new((0..self.batches()).map(move |number| {
            let start = number * loader.batch_size;
            let end = order.len().min(start.saturating_add(loader.batch_size));
            loader.batch(epoch, order[start..end].to_vec())
        }))
    }

    /// One batch, of images that exist.
    fn batch(&self, epoch: u64, indices: Vec<usize>) -> Result<Batch> {
        let (mut images, labels) = self.dataset.gather(&indices);
        if let Some(augment) = self.augment.as_ref().filter(|augment| !augment.is_identity()) {
            augment.apply(epoch, &indices, &mut images)?;
        }
        Ok(Batch { images, labels, indices })
    }
}
