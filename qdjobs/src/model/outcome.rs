//! What an attempt of a task returned, as it is stored: [`Outcome`], the result as JSON text or an error.
//!
//! What becomes of the job is decided in `retry.rs`. Which return types a task may have is decided in
//! `task/output.rs`.
//!
//! Depends on `json/`, the limits of `job/checks.rs` and the task's error.

use super::error::{Error, ErrorKind, Result};
use super::job::JSON_BYTES_MAX;
use super::json::Unstorable;
use super::task_error::TaskError;

/// How an attempt ended: the result as JSON text, or the failure.
pub type Outcome = Result<String, TaskError>;

/// The JSON text of a task's result; an error if it cannot be written or exceeds the size limit of a row.
pub(crate) fn result_json(written: std::result::Result<String, Unstorable>) -> Result<String> {
    let text = written.map_err(|refused| {
        let place = if refused.path.is_empty() { String::new() } else { format!("`{}`: ", refused.path) };
        let message = format!("the result of the task cannot be stored: {place}{}", refused.flaw);
        Error::new(ErrorKind::InvalidInput, message).help(refused.flaw.help())
    })?;
    if text.len() > JSON_BYTES_MAX {
        let message =
            format!("the result of the task has {} bytes of JSON, more than {JSON_BYTES_MAX}", text.len());
        let help = "store the data in a file or a table of your own and return its name or id";
        return Err(Error::new(ErrorKind::TooLarge, message).help(help));
    }
    Ok(text)
}
