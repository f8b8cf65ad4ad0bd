//! A labelled set of 8-bit images in memory.

use std::path::Path;

use ndarray::{Array4, Axis};

use super::idx;
use crate::error::{Error, Result};

/// Which part of a data set to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// What a network learns from.
    Train,
    /// What is held out to measure it.
    Test,
}

impl Split {
    /// What the file names of this split begin with, the standard one first.
    pub(super) fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train"],
            Self::Test => &["t10k", "test"],
        }
    }
}

/// Images as `[N, C, H, W]` bytes, row-major, one label each.
///
/// There is at least one image, every image has at least one pixel, and every label is below [`Dataset::classes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    images: Array4<u8>,
    labels: Vec<u32>,
    classes: usize,
}

impl Dataset {
    /// A data set of images and labels in the same order. The number of classes is the largest label plus one, unless
    /// [`Dataset::with_classes`] says otherwise.
    ///
    /// # Errors
    /// When there is no pixel, the numbers of images and labels differ, or a label is too large to count the classes.
    pub fn new(images: Array4<u8>, labels: Vec<u32>) -> Result<Self> {
        let count = images.len_of(Axis(0));
        if images.is_empty() {
            return Err(Error::argument("Dataset::new", format!("no pixels in images of shape {:?}", images.shape())));
        }
        if labels.len() != count {
            return Err(Error::shape("Dataset::new", format!("{count} labels"), labels.len()));
        }
        let largest = labels.iter().copied().max().unwrap_or(0);
        let classes = usize::try_from(largest).ok().and_then(|label| label.checked_add(1));
        let classes =
            classes.ok_or_else(|| Error::argument("Dataset::new", format!("label {largest} is too large")))?;
        // Batches and augmentation go over slices: settle the layout once, without a copy where it is right already.
        let images = if images.is_standard_layout() { images } else { images.as_standard_layout().into_owned() };
        Ok(Self { images, labels, classes })
    }

    /// Reads one split of a directory in MNIST's format: MNIST itself, Fashion-MNIST, EMNIST and others alike.
    /// [`idx::locate`] tells how the files may be named.
    ///
    /// EMNIST stores its images transposed, columns first. They are returned as they are in the file: a network learns
    /// them just as well. Use [`Dataset::transposed`] to look at them upright, or to mix them with other digits.
    ///
    /// # Errors
    /// When the files are not found or cannot be read, are not what their format says, or differ in their number of
    /// images and labels.
    pub fn mnist_like(dir: impl AsRef<Path>, split: Split) -> Result<Self> {
        let (image_path, label_path) = idx::locate(dir, split)?;
        let images = idx::read_images(&image_path)?;
        let labels = idx::read_labels(&label_path)?;
        let count = images.len_of(Axis(0));
        if labels.len() != count {
            let message = format!("{} labels for the {count} images of {}", labels.len(), image_path.display());
            return Err(Error::data(label_path, message));
        }
        Self::new(images.insert_axis(Axis(1)), labels.into_iter().map(u32::from).collect())
    }

    /// The same images and labels with another number of classes: that of the training split, for instance, where the
    /// test split lacks the last class. It must exceed every label.
    ///
    /// # Errors
    /// When a label is not below `classes`.
    pub fn with_classes(self, classes: usize) -> Result<Self> {
        match self.labels.iter().find(|&&label| usize::try_from(label).is_ok_and(|label| label >= classes)) {
            Some(label) => {
                Err(Error::argument("Dataset::with_classes", format!("label {label} with {classes} classes")))
            }
            None => Ok(Self { classes, ..self }),
        }
    }

    /// Each image with its rows and columns exchanged.
    pub fn transposed(self) -> Self {
        let images = self.images.permuted_axes([0, 1, 3, 2]).as_standard_layout().into_owned();
        Self { images, ..self }
    }

    /// The images and labels at these indices, in this order; the number of classes stays.
    ///
    /// # Errors
    /// When there is no index, or one is not that of an image.
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        if let Some(index) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(Error::argument("Dataset::select", format!("index {index} in {} images", self.len())));
        }
        if indices.is_empty() {
            return Err(Error::argument("Dataset::select", "no indices"));
        }
        let (images, labels) = self.gather(indices);
        Ok(Self { images, labels, classes: self.classes })
    }

    /// Copies images and labels; the indices are in range.
    pub(super) fn gather(&self, indices: &[usize]) -> (Array4<u8>, Vec<u32>) {
        (self.images.select(Axis(0), indices), indices.iter().map(|&index| self.labels[index]).collect())
    }

    /// The number of images, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Channels, height and width of every image.
    pub fn image_shape(&self) -> [usize; 3] {
        let (_, channels, height, width) = self.images.dim();
        [channels, height, width]
    }

    /// All images, `[N, C, H, W]`, row-major.
    pub fn images(&self) -> &Array4<u8> {
        &self.images
    }

    /// All labels, one an image.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The number of classes: every label is below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many images each class has.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[label as usize] += 1;
        }
        counts
    }
}
