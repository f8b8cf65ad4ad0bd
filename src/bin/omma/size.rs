//! `--size`: how large what a network takes is to be.

use omma::Result;
use omma::models::Input;

use crate::argument;

/// Height and width of images, or the length of sounds and texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    first: usize,
    second: Option<usize>,
}

/// Reads `224` or `224x320`.
pub(crate) fn size(text: &str) -> Result<Size, String> {
    let number = |text: &str| text.parse::<usize>().ok().filter(|&number| number > 0);
    let read = match text.split_once('x') {
        Some((first, second)) => number(first).zip(number(second)).map(|(first, second)| (first, Some(second))),
        None => number(text).map(|first| (first, None)),
    };
    let (first, second) = read.ok_or_else(|| format!("expected H or HxW as in 224 or 224x320, got `{text}`"))?;
    Ok(Size { first, second })
}

impl Size {
    /// The input with this size.
    pub(crate) fn of(self, input: Input) -> Result<Input> {
        let Self { first, second } = self;
        match (input, second) {
            (Input::Image { channels, .. }, _) => Ok(Input::Image { channels, size: [first, second.unwrap_or(first)] }),
            (Input::Sound { .. }, None) => Ok(Input::Sound { samples: first }),
            (Input::Text { .. }, None) => Ok(Input::Text { words: first }),
            (_, Some(second)) => {
                let message = "expected one number, the length of what the network takes";
                Err(argument("--size", format!("{message}, got {first}x{second}")))
            }
            (_, None) => Err(argument("--size", "expected a network of images, sounds or texts")),
        }
    }
}
