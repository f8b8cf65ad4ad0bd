//! Networks made of the graph's operations.

mod lenet5;

pub use lenet5::lenet5;
