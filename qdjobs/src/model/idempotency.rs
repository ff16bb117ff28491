//! Decides when an enqueue with an idempotency key repeats an earlier one, and when it conflicts with it.
//!
//! Does not look up the job that holds a key: see `store/sqlite/queries/insert.rs` and
//! `store/memory/state.rs`. The allowed characters and length of a key are in `job/checks.rs`.
//!
//! Depends on `job` and `json/`.

use std::collections::HashMap;

use crate::model::clock::Timestamp;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{JobId, NewJob};
use crate::model::json;

/// The stored job that holds an idempotency key, with the fields that are compared with a new job of the same
/// key.
pub(crate) struct Holder {
    pub(crate) id: JobId,
    pub(crate) task_name: String,
    pub(crate) params: String,
}

impl Holder {
    /// The answer to an enqueue under the key of this job. If the new job has the same task and params, it is
    /// the id of this job. Otherwise, it is a conflict.
    pub(crate) fn answer_to(&self, new: &NewJob) -> Result<JobId> {
        if self.task_name == new.task_name && json::is_same(&self.params, &new.params) {
            return Ok(self.id);
        }
        let what = if self.task_name == new.task_name {
            "its params differ".to_owned()
        } else {
            format!("its task is `{}`", self.task_name)
        };
        let id = self.id;
        Err(Error::new(
            ErrorKind::Conflict,
            format!("job {id} already has the idempotency key `{}`, and {what}; nothing was stored", shown(new)),
        )
        .help(format!(
            "if both calls mean the same job, pass the same task and params; otherwise use another key. The key \
             is free again when job {id} is deleted"
        )))
    }
}

/// Checks the jobs of one insert. Each job must be valid, and no two different jobs may have the same key.
pub(crate) fn check_all(jobs: &[NewJob], now: Timestamp) -> Result<()> {
    jobs.iter().try_for_each(|job| job.check(now))?;
    let mut keys: HashMap<&str, &NewJob> = HashMap::new();
    for job in jobs {
        let Some(key) = &job.idempotency_key else { continue };
        let first = *keys.entry(key).or_insert(job);
        if first.task_name != job.task_name || !json::is_same(&first.params, &job.params) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "two different jobs of this call have the idempotency key `{}`; nothing was stored",
                    shown(job)
                ),
            )
            .help("give each job its own key"));
        }
    }
    Ok(())
}

fn shown(job: &NewJob) -> &str {
    job.idempotency_key.as_deref().unwrap_or_default()
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
        assert!(held("{broken").answer_to(&job("mail", "{broken")).is_ok(), "the same text");
    }

    #[test]
    fn another_task_or_other_params_are_a_conflict_that_names_the_holder() {
        let holder = held(r#"{"n":1}"#);
        for (other, words) in [
            (job("ping", r#"{"n":1}"#), "its task is `mail`"),
            (job("mail", r#"{"n":2}"#), "its params differ"),
            (job("mail", r#"{"n":1,"m":null}"#), "its params differ"),
            (job("mail", "{broken"), "its params differ"),
        ] {
            let error = holder.answer_to(&other).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            assert!(
                error.to_string().contains("job 7 already has the idempotency key `k`")
                    && error.to_string().contains(words),
                "{error}"
            );
        }
    }

    #[test]
    fn params_that_differ_only_as_the_text_of_raw_json_are_a_conflict() {
        for (one, other) in [
            (r#"{"n": 18446744073709551616}"#, r#"{"n": 18446744073709551617}"#),
            (r#"{"a": [1, -9223372036854775809], "b": 1}"#, r#"{"b": 1, "a": [1, -9223372036854775810]}"#),
            (r#"{"n": 18446744073709551616}"#, r#"{"n": 18446744073709551616.0}"#),
            (r#"{"raw": {"a": 1, "a": 2}}"#, r#"{"raw": {"a": 3, "a": 2}}"#),
            (r#"{"raw": {"a": 1, "a": 2}}"#, r#"{"raw": {"a": 2}}"#),
        ] {
            let error = held(one).answer_to(&job("mail", other)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{one} {other}");
            check_all(&[job("mail", one), job("mail", other)], Timestamp::UNIX_EPOCH).unwrap_err();
        }
        for (one, other) in [
            (
                r#"{"n": [18446744073709551616, {}], "t": "\u00e4 18446744073709551616", "x": 0.10}"#,
                r#"{ "x": 1e-1,"t":"ä 18446744073709551616","n":[18446744073709551616,{ }]}"#,
            ),
            (r#"{"raw": {"a": 1, "b": [], "a": 2}}"#, r#"{"raw":{"b":[],"a":1,"a":2}}"#),
        ] {
            assert_eq!(held(one).answer_to(&job("mail", other)).unwrap(), JobId(7), "{one} {other}");
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
}
