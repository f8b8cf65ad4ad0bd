//! The numbers of a training run, epoch by epoch: metrics.csv, the curves' points, and a line to print.

use std::path::{Path, PathBuf};

use omma::Result;
use omma::files::write_atomically;
use omma::train::Score;

use crate::pictures::EpochRow;

#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    table: String,
    rows: Vec<EpochRow>,
}

impl Record {
    /// Writes the table's header: a folder that cannot be written is found out before it costs a training.
    ///
    /// # Errors
    /// When metrics.csv cannot be written into `out`.
    pub(super) fn start(out: &Path) -> Result<Self> {
        let header = "epoch,train_loss,train_accuracy,test_loss,test_accuracy,seconds,images_per_second\n";
        let record = Self { path: out.join("metrics.csv"), table: header.into(), rows: Vec::new() };
        record.write()?;
        Ok(record)
    }

    /// Adds an epoch to the table on disk and returns what there is to say about it.
    ///
    /// # Errors
    /// When metrics.csv cannot be written.
    pub(super) fn add(&mut self, epoch: usize, train: Score, test: Score, seconds: f64) -> Result<String> {
        let speed = train.images as f64 / seconds;
        self.table.push_str(&format!(
            "{epoch},{:.6},{:.6},{:.6},{:.6},{seconds:.3},{speed:.1}\n",
            train.loss, train.accuracy, test.loss, test.accuracy
        ));
        self.rows.push(EpochRow {
            epoch,
            train_loss: train.loss,
            train_accuracy: train.accuracy,
            test_loss: test.loss,
            test_accuracy: test.accuracy,
        });
        self.write()?;
        Ok(format!(
            "epoch {epoch:2}  loss {:.4}  accuracy {:5.2} %  test loss {:.4}  test accuracy {:5.2} %  {seconds:.1} s  {speed:.0} images/s",
            train.loss,
            100.0 * train.accuracy,
            test.loss,
            100.0 * test.accuracy
        ))
    }

    /// The epochs so far.
    pub(super) fn rows(&self) -> &[EpochRow] {
        &self.rows
    }

    fn write(&self) -> Result<()> {
        write_atomically(&self.path, self.table.as_bytes())
    }
}
