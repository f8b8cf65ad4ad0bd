//! What the command prints. `println!` panics where standard output is closed or full; here the work goes on.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use omma::{Error, Result, wgpu};

/// Standard output, up to the first line that cannot be written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    failure: Option<io::Error>,
}

impl Output {
    /// Prints a line. After a failure this does nothing: the work matters more than what is said about it.
    pub(crate) fn line(&mut self, line: impl Display) {
        if self.failure.is_none() {
            self.failure = writeln!(io::stdout().lock(), "{line}").err();
        }
    }

    /// Whether nobody reads any further.
    pub(crate) fn is_closed(&self) -> bool {
        self.failure.is_some()
    }

    /// To be called when all is done.
    ///
    /// # Errors
    /// When a line could not be written, unless the reader had left: `head` has read what it wanted.
    pub(crate) fn finish(self) -> Result<()> {
        let failure = self.failure.or_else(|| io::stdout().lock().flush().err());
        match failure {
            Some(failure) if failure.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output")(failure)),
            _ => Ok(()),
        }
    }
}

/// Says a line on standard error; where that cannot be written there is nobody to tell.
pub(crate) fn remark(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The adapter and its driver.
pub(crate) fn adapter(info: &wgpu::AdapterInfo) -> String {
    format!("{} ({}), driver {} {}", info.name, info.backend, info.driver, info.driver_info)
}

/// The text in one line.
pub(crate) fn one_line(text: impl Display) -> String {
    text.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
