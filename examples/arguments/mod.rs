//! What the examples' arguments say.
#![allow(dead_code, reason = "every example takes what it needs")]

use std::error::Error;
use std::path::PathBuf;

/// How many the first argument asks for, and so many where there is none.
pub(crate) fn count(what: &str, default: usize) -> Result<usize, Box<dyn Error>> {
    let Some(text) = std::env::args_os().nth(1) else { return Ok(default) };
    let text = text.to_string_lossy();
    text.parse().map_err(|_| format!("{what}: expected a whole number, got `{text}`").into())
}

/// The file that the second argument names, or this one.
pub(crate) fn file(default: &str) -> PathBuf {
    std::env::args_os().nth(2).map_or_else(|| default.into(), PathBuf::from)
}
