//! The idempotency key of a job: what may be one, and when an enqueue is the repetition of an earlier one.
//!
//! Pure: leans on `job` and on JSON. Who looks up which job holds a key, and under which lock, is a store's business.

use std::collections::HashMap;

use serde_json::Value;

use crate::model::clock::Timestamp;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{JobId, NewJob};

/// Longest idempotency key of a job, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 200;

/// The stored job that holds an idempotency key, as far as it says what a repetition is.
pub(crate) struct Holder {
    pub(crate) id: JobId,
    pub(crate) task_name: String,
    pub(crate) params: String,
}

impl Holder {
    /// The answer to an enqueue under the key of this job: this job, if that is what is asked for.
    pub(crate) fn answer_to(&self, new: &NewJob) -> Result<JobId> {
        if self.task_name == new.task_name && is_same_json(&self.params, &new.params) {
            return Ok(self.id);
        }
        let what = if self.task_name == new.task_name {
            "with other params".to_owned()
        } else {
            format!("of the task `{}`", self.task_name)
        };
        Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "the idempotency key `{}` is held by job {} {what}; nothing was stored",
                shown(new),
                self.id
            ),
        )
        .help("choose another key for this job; the key is free again when that job is deleted"))
    }
}

/// Checks the jobs of one insert: first each by itself, then that no two of them claim one key for different things.
pub(crate) fn check_all(jobs: &[NewJob], now: Timestamp) -> Result<()> {
    jobs.iter().try_for_each(|job| job.check(now))?;
    let mut keys: HashMap<&str, &NewJob> = HashMap::new();
    for job in jobs {
        let Some(key) = &job.idempotency_key else { continue };
        let first = *keys.entry(key).or_insert(job);
        if first.task_name != job.task_name || !is_same_json(&first.params, &job.params) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "two different jobs of this call have the idempotency key `{}`; nothing was stored",
                    shown(job)
                ),
            )
            .help("give each its own key"));
        }
    }
    Ok(())
}

/// Checks a key: 1 to 200 bytes without control characters.
pub(crate) fn check_key(key: &str) -> Result<()> {
    if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && !key.chars().any(char::is_control) {
        return Ok(());
    }
    let shown: String = key.chars().take(IDEMPOTENCY_KEY_BYTES_MAX).collect();
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("`{}` cannot be the idempotency key of a job", shown.escape_debug()),
    )
    .help(format!("1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes without control characters, as in welcome-42")))
}

fn shown(job: &NewJob) -> &str {
    job.idempotency_key.as_deref().unwrap_or_default()
}

/// Whether two texts say the same: a job enqueued by its type and one by name or by plain SQL differ in the order of the
/// members, and in spaces.
fn is_same_json(one: &str, other: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    one == other || value(one).is_some_and(|one| value(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(task_name: &str, params: &str) -> NewJob {
        NewJob { idempotency_key: Some("k".into()), ..NewJob::new(task_name, params) }
    }

    fn held(params: &str) -> Holder {
        Holder { id: JobId(7), task_name: "mail".into(), params: params.into() }
    }

    #[test]
    fn the_same_task_and_params_are_a_repetition_whatever_their_order_and_spaces() {
        let holder = held(r#"{"to":"ann","n":1}"#);
        for params in [r#"{"to":"ann","n":1}"#, r#"{"n": 1, "to": "ann"}"#] {
            assert_eq!(holder.answer_to(&job("mail", params)).unwrap(), JobId(7));
        }
        assert!(held("{broken").answer_to(&job("mail", "{broken")).is_ok(), "the very same text");
    }

    #[test]
    fn another_task_or_other_params_are_a_conflict_that_names_the_holder() {
        let holder = held(r#"{"n":1}"#);
        for (other, words) in [
            (job("ping", r#"{"n":1}"#), "of the task `mail`"),
            (job("mail", r#"{"n":2}"#), "with other params"),
            (job("mail", r#"{"n":1,"m":null}"#), "with other params"),
            (job("mail", "{broken"), "with other params"),
        ] {
            let error = holder.answer_to(&other).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            assert!(
                error.to_string().contains("`k` is held by job 7") && error.to_string().contains(words),
                "{error}"
            );
        }
    }

    #[test]
    fn two_different_jobs_of_one_call_cannot_share_a_key() {
        let now = Timestamp::UNIX_EPOCH;
        let keyless = NewJob::new("mail", "{}");
        check_all(&[job("mail", "{}"), keyless.clone(), job("mail", "{ }"), keyless], now).unwrap();
        for other in [job("ping", "{}"), job("mail", r#"{"n":1}"#)] {
            let error = check_all(&[job("mail", "{}"), other], now).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
    }

    #[test]
    fn keys_outside_their_range_are_refused() {
        for key in ["a", "order 12/ü", &"k".repeat(200)] {
            check_key(key).unwrap();
        }
        for key in ["", &"k".repeat(201), &"ü".repeat(101), "a\nb", "a\0b"] {
            assert_eq!(check_key(key).unwrap_err().kind(), ErrorKind::InvalidInput, "{key:?}");
        }
    }
}
