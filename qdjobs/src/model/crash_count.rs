//! Decides for which of a dead worker's jobs a crash is counted, and with which crash a job fails:
//! [`attribute_crash`].
//!
//! Does not decide whether a worker is dead: see `lease.rs` and the worker locks.
//! `store/engine/apply_requests.rs` passes the jobs to this file; `store/engine/leave_running.rs` computes
//! their new rows. That a worker claims at most one suspected job at a time is decided in
//! `store/sqlite/queries/claim.rs` and `store/memory/state.rs`.
//!
//! Depends on `job`.
//!
//! A job that crashes its process (an abort, a stack overflow, out of memory) interrupts every other job in
//! it, at each of its attempts. So crashes are counted apart from failures. A job with a counted crash is a
//! *suspected poison job*. A worker holds at most one of them, together with jobs that are not suspected. If
//! that worker crashes too, the crash is counted for the suspected job alone, and the others are released. At
//! the first crash the cause is unknown, so one crash is counted for each job of the worker.

use std::collections::BTreeMap;

pub(crate) use crate::model::job::CRASHES_MAX;
use crate::model::job::JobId;

/// What becomes of the jobs of a worker that crashed.
#[derive(Debug, PartialEq)]
pub(crate) struct Attribution {
    /// The jobs for which a crash is counted.
    pub(crate) crashes: BTreeMap<JobId, Crash>,
    /// The error text of the attempts of all other jobs, which are released.
    pub(crate) released_note: String,
}

/// A crash that is counted for a job.
#[derive(Debug, PartialEq)]
pub(crate) struct Crash {
    /// The job's error.
    pub(crate) error: String,
    /// Whether the crash count has reached its limit, so that the job becomes `failed`.
    pub(crate) is_last: bool,
}

/// Decides for which of the jobs that a crashed worker `held` the crash is counted. Each entry is a job and
/// its crash count so far. A job fails with crash number `crashes_max`.
pub(crate) fn attribute_crash(held: &[(JobId, u32)], crashes_max: u32) -> Attribution {
    let suspected = held.iter().find(|(_, crash_count)| *crash_count > 0).map(|(id, _)| *id);
    let is_charged = |crash_count: u32| suspected.is_none() || crash_count > 0;
    let charged = held.iter().filter(|(_, crash_count)| is_charged(*crash_count));
    let crashes = charged.map(|&(id, crash_count)| (id, crash(crash_count.saturating_add(1), crashes_max)));
    let released_note = suspected.map_or_else(String::new, |id| {
        format!(
            "the worker died; the crash is counted for job {id}, which ran on the same worker and has crashed a \
             worker before"
        )
    });
    Attribution { crashes: crashes.collect(), released_note }
}

fn crash(crash_count: u32, crashes_max: u32) -> Crash {
    if crash_count < crashes_max {
        return Crash { error: "the worker died while it ran this job".into(), is_last: false };
    }
    let times = if crash_count == 1 { "once".to_owned() } else { format!("{crash_count} times") };
    let error = format!(
        "the worker died {times} while it ran this job, so the job has failed: find what ends the process (an \
         abort, a stack overflow, too much memory), then retry the job by hand"
    );
    Crash { error, is_last: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(held: &[(i64, u32)]) -> Vec<(i64, bool)> {
        let held: Vec<_> = held.iter().map(|&(id, crash_count)| (JobId(id), crash_count)).collect();
        attribute_crash(&held, CRASHES_MAX).crashes.iter().map(|(id, crash)| (id.0, crash.is_last)).collect()
    }

    #[test]
    fn without_a_suspected_job_a_crash_is_counted_for_each() {
        assert_eq!(counted(&[(1, 0), (2, 0)]), [(1, false), (2, false)]);
        assert_eq!(counted(&[]), []);
    }

    #[test]
    fn the_crash_is_counted_for_the_suspected_job_alone_and_the_record_of_the_others_names_it() {
        assert_eq!(counted(&[(1, 0), (2, 1), (3, 0)]), [(2, false)]);
        let note = attribute_crash(&[(JobId(1), 0), (JobId(2), 1)], CRASHES_MAX).released_note;
        assert!(note.contains("the crash is counted for job 2"), "{note}");
    }

    #[test]
    fn the_last_crash_fails_the_job_and_its_error_says_how_many_there_were() {
        assert_eq!(counted(&[(1, 2)]), [(1, true)]);
        // Counted when the limit was higher.
        assert_eq!(counted(&[(1, 7)]), [(1, true)]);
        assert!(crash(3, 3).error.starts_with("the worker died 3 times while it ran this job"));
        assert!(crash(1, 1).error.starts_with("the worker died once while it ran this job"));
        assert!(!crash(u32::MAX - 1, u32::MAX).is_last);
    }
}
