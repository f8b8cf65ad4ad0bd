//! What became of a case, in memory and as the line in which a worker says it.

use omma::{Error, Result};
use serde_json::{Value, json};

/// What became of a case.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Pass,
    Unsupported(String),
    Fail(String),
    /// A failure after which the device is not to be used any more.
    Lost(String),
}

impl Verdict {
    /// Of what a case has computed: what is wrong with it, or nothing.
    pub(super) fn of(result: Result<Option<String>>) -> Self {
        match result {
            Ok(None) => Self::Pass,
            Ok(Some(reason)) => Self::Fail(reason),
            Err(Error::Unsupported(reason)) => Self::Unsupported(reason),
            Err(error @ (Error::DeviceLost(_) | Error::OutOfMemory(_))) => Self::Lost(error.to_string()),
            Err(error) => Self::Fail(error.to_string()),
        }
    }

    /// The word that stands before the case's name.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Unsupported(_) => "UNSUPPORTED",
            Self::Fail(_) | Self::Lost(_) => "FAIL",
        }
    }

    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Pass => None,
            Self::Unsupported(reason) | Self::Fail(reason) | Self::Lost(reason) => Some(reason),
        }
    }

    /// The same with another reason, made of its own.
    pub(super) fn explained(self, change: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Pass => Self::Pass,
            Self::Unsupported(reason) => Self::Unsupported(change(&reason)),
            Self::Fail(reason) => Self::Fail(change(&reason)),
            Self::Lost(reason) => Self::Lost(change(&reason)),
        }
    }

    /// The worse of two, the first of equals.
    pub(super) fn worse(self, other: Self) -> Self {
        let rank = |verdict: &Self| match verdict {
            Self::Pass => 0,
            Self::Unsupported(_) => 1,
            Self::Fail(_) => 2,
            Self::Lost(_) => 3,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }

    /// A line of JSON.
    pub(super) fn to_json(&self) -> Value {
        json!({ "verdict": self.word(), "reason": self.reason(), "lost": matches!(self, Self::Lost(_)) })
    }

    /// What such a line says; `None` of any other, which a driver may have written.
    pub(super) fn from_json(line: &Value) -> Option<Self> {
        let reason = || line["reason"].as_str().unwrap_or_default().to_string();
        match line["verdict"].as_str()? {
            "PASS" => Some(Self::Pass),
            "UNSUPPORTED" => Some(Self::Unsupported(reason())),
            "FAIL" if line["lost"] == true => Some(Self::Lost(reason())),
            "FAIL" => Some(Self::Fail(reason())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn a_line_says_the_verdict() {
        let reason = || "a \"reason\"\nof two lines".to_string();
        for verdict in
            [Verdict::Pass, Verdict::Unsupported(reason()), Verdict::Fail(reason()), Verdict::Lost(String::new())]
        {
            let line = verdict.to_json().to_string();
            assert_eq!(line.lines().count(), 1);
            assert_eq!(serde_json::from_str(&line).ok().and_then(|line| Verdict::from_json(&line)), Some(verdict));
        }
        assert_eq!(serde_json::from_str("{\"verdict\": 3}").ok().and_then(|line| Verdict::from_json(&line)), None);
    }

    #[test]
    fn a_failure_is_worse_than_what_is_not_supported() {
        let (unsupported, fail) = (Verdict::Unsupported("a".into()), Verdict::Fail("b".into()));
        assert_eq!(unsupported.clone().worse(fail.clone()), fail);
        assert_eq!(fail.clone().worse(unsupported.clone()), fail);
        assert_eq!(Verdict::Pass.worse(unsupported.clone()), unsupported);
    }
}
