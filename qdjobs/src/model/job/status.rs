//! The status of a job: [`Status`], its names in SQL and JSON, and a diagram of all transitions.
//!
//! Decides no transition. After an attempt `model/retry.rs` decides, after the death of a worker
//! `model/crash_count.rs`, for a command by hand `store/command.rs`. Whether a pending job may be claimed is
//! decided in `model/availability.rs`.
//!
//! ```text
//!                 claim                       finish: Ok
//!   pending ───────────────────▶ running ───────────────────▶ completed
//!      ▲ │ cancel                 │  │ └───────────────────▶ failed      (no retries left, or permanent)
//!      │ └──────▶ cancelled ◀─────┘  │    the task cancels
//!      └─────────────────────────────┘
//!        retry (after its backoff) · release (the worker stops) · rescue (the worker died)
//!        (with the last crash that is allowed, a rescue ends in failed)
//!
//!   failed, cancelled ──retry by hand──▶ pending
//! ```
//!
//! Depends on serde and on the crate's error type.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::model::error::{Error, ErrorKind, Result};

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Waits for a free worker, or for its `scheduled_at`.
    Pending,
    /// Claimed by a worker.
    Running,
    /// Ended with a result.
    Completed,
    /// Ended with an error; it is not retried automatically.
    Failed,
    /// Cancelled by a person or by the task itself.
    Cancelled,
}

impl Status {
    /// All statuses, in the order in which a job can reach them.
    pub const ALL: [Status; 5] =
        [Status::Pending, Status::Running, Status::Completed, Status::Failed, Status::Cancelled];

    /// The status as SQL, JSON and texts spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }

    /// Whether a job in this status has ended. Only a retry by hand starts it again.
    pub const fn is_ended(self) -> bool {
        matches!(self, Status::Completed | Status::Failed | Status::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = Error;

    fn from_str(word: &str) -> Result<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| {
            let words = Status::ALL.map(Status::as_str).join(", ");
            Error::new(ErrorKind::InvalidInput, format!("`{word}` is not a status of a job"))
                .help(format!("use one of: {words}"))
        })
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Status, D::Error> {
        let word = std::borrow::Cow::<str>::deserialize(deserializer)?;
        word.parse().map_err(|error: Error| D::Error::custom(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_parsed_from_their_words_and_the_error_for_another_word_lists_them() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().unwrap(), status);
        }
        let error = "bogus".parse::<Status>().unwrap_err().to_string();
        assert!(
            error.contains("bogus") && error.contains("pending, running, completed, failed, cancelled"),
            "{error}"
        );
    }
}
