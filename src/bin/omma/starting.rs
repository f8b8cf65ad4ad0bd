//! How far the start of a session is, on standard error where that is a terminal: one line, which goes when it is done.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use omma::{Gpu, Starting};

/// What is done sooner is not worth a line.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is shown, of one start after the other.
#[derive(Default)]
struct Line {
    /// When the start began of which something was heard last.
    since: Option<Instant>,
    timing: bool,
    bar: Option<ProgressBar>,
}

impl Line {
    fn hear(&mut self, starting: Starting<'_>) {
        let (text, ends) = match starting {
            // While kernels are timed, each candidate's session compiles its own.
            Starting::Compiling(step) => {
                let text = format!("compiling kernels, {} of {}: {}", step.done, step.total, step.label);
                (text, step.done == step.total && !self.timing)
            }
            Starting::Timing { node, kernel, variant } => {
                self.timing = true;
                (format!("timing {kernel}[{variant}] of {node}"), false)
            }
            Starting::Timed => {
                self.timing = false;
                (String::new(), true)
            }
            _ => return,
        };
        if ends {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            self.since = None;
        } else if self.since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            self.bar.get_or_insert_with(ProgressBar::new_spinner).set_message(text);
        }
    }
}

/// Shows how far sessions on this device are whenever they start.
pub(crate) fn show(gpu: &Gpu) {
    let line = Mutex::new(Line::default());
    gpu.watch(move |starting| {
        if let Ok(mut line) = line.lock() {
            line.hear(starting);
        }
    });
}

#[cfg(test)]
mod tests {
    use omma::Starting;

    use super::{Line, PATIENCE};

    #[test]
    fn a_line_is_shown_after_a_while_and_goes_at_the_end() {
        let timing = Starting::Timing { node: "conv", kernel: "conv2d.forward", variant: "tiled" };
        let mut line = Line::default();
        line.hear(timing);
        assert!(line.bar.is_none(), "it may be done at once");
        line.since = line.since.map(|since| since - 2 * PATIENCE);
        line.hear(timing);
        let shown = line.bar.as_ref().map(|bar| bar.message());
        assert_eq!(shown.as_deref(), Some("timing conv2d.forward[tiled] of conv"));
        line.hear(Starting::Timed);
        assert!(line.bar.is_none() && line.since.is_none());
    }
}
