//! A convolutional network for sentences (Kim 2014, "Convolutional Neural Networks for Sentence Classification"): filters
//! of several widths over word vectors, the strongest response of each over the sentence.

use crate::error::Result;
use crate::graph::{Init, Tensor};
use crate::ops::conv2d::Conv1d;

/// The network's shape; [`TextCnn::new`] has the paper's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextCnn {
    vocabulary: usize,
    embedding: usize,
    widths: Vec<usize>,
    maps: usize,
}

impl TextCnn {
    /// Words in the vocabulary of the paper's data set MR, movie reviews: its table 1.
    pub const MOVIE_REVIEWS: usize = 18_765;

    /// For words numbered below `vocabulary`: vectors of 300, widths of 3, 4 and 5 words, 100 maps of each.
    pub fn new(vocabulary: usize) -> Self {
        Self { vocabulary, embedding: 300, widths: vec![3, 4, 5], maps: 100 }
    }

    /// Length of the word vectors.
    pub fn embedding(mut self, length: usize) -> Self {
        self.embedding = length;
        self
    }

    /// How many words filters span, and how many filters of each width there are.
    pub fn filters(mut self, widths: &[usize], maps: usize) -> Self {
        (self.widths, self.maps) = (widths.to_vec(), maps);
        self
    }

    /// The logits `[N, classes]` of sentences of word numbers, u32 `[N, words]`.
    ///
    /// # Errors
    /// When the sentences are not u32 of rank 2, are shorter than the widest filter, or the graph already has layers of
    /// these names.
    pub fn build<'g>(&self, words: Tensor<'g>, classes: usize) -> Result<Tensor<'g>> {
        let graph = words.graph();
        let table = graph.parameter("embedding.weight", [self.vocabulary, self.embedding], Init::XavierUniform)?;
        // [N, words, embedding] to [N, embedding, words].
        let x = table.gather(words, 0)?.transpose(&[0, 2, 1])?;
        let mut strongest = Vec::new();
        for width in &self.widths {
            let y = x.conv1d(&format!("conv{width}"), Conv1d::new(self.maps, *width))?.relu()?;
            strongest.push(y.global_max_pool1d()?.flatten()?);
        }
        graph.concat(&strongest, 1)?.dropout(0.5)?.dense("fc", classes)
    }
}
