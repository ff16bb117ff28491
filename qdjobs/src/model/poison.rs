//! Who is to attribute_crash when a worker dies, and what becomes of the jobs it held: [`attribute_crash`].
//!
//! Pure: leans on `job`. That a worker is dead is decided in `lease`; a store writes what is said here.
//!
//! A job that ends its process (an abort, a stack overflow, too much memory) takes every other job in it along, at each of its
//! attempts. So crashes are counted apart from failures. A job with a crash counted is a *suspect*; a worker holds at most one
//! suspect beside jobs that are none. If that worker dies too, its suspect alone is counted, and the others go back unharmed. The
//! first death costs each of them one crash at most, since nobody knows yet which it was.

use std::collections::BTreeMap;

use crate::model::job::JobId;

/// How often a worker may die while it runs a job, before the job is failed, unless the queue says otherwise.
pub const CRASHES_MAX: u32 = 3;

/// The judgement on the jobs of a dead worker.
#[derive(Debug, PartialEq)]
pub(crate) struct Attribution {
    /// Those for which a crash is counted.
    pub(crate) crashes: BTreeMap<JobId, Crash>,
    /// What is put on record with all others, which are released.
    pub(crate) spared: String,
}

/// What becomes of a job for which a crash is counted.
#[derive(Debug, PartialEq)]
pub(crate) struct Crash {
    /// The job's error.
    pub(crate) error: String,
    /// It was one too many: the job has failed for good.
    pub(crate) is_last: bool,
}

/// Judges the jobs that a dead worker held, each with the crashes counted so far; with the crash number `crashes_max` a job ends.
pub(crate) fn attribute_crash(held: &[(JobId, u32)], crashes_max: u32) -> Attribution {
    let suspect = held.iter().find(|(_, crash_count)| *crash_count > 0).map(|(id, _)| *id);
    let is_blamed = |crash_count: u32| suspect.is_none() || crash_count > 0;
    let blamed = held.iter().filter(|(_, crash_count)| is_blamed(*crash_count));
    let crashes = blamed.map(|&(id, crash_count)| (id, crash(crash_count.saturating_add(1), crashes_max)));
    let spared = suspect.map_or_else(String::new, |id| {
        format!("the worker died; job {id}, which it held too, is blamed, since a worker has died with that one before")
    });
    Attribution { crashes: crashes.collect(), spared }
}

fn crash(crash_count: u32, crashes_max: u32) -> Crash {
    if crash_count < crashes_max {
        return Crash { error: "the worker died while it ran this job".into(), is_last: false };
    }
    let times = if crash_count == 1 { "once".to_owned() } else { format!("{crash_count} times") };
    let error = format!(
        "the worker died {times} while it ran this job, which is not run again: look for what ends the process (an abort, a stack \
         overflow, too much memory), then retry it by hand"
    );
    Crash { error, is_last: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(held: &[(i64, u32)]) -> Vec<(i64, bool)> {
        let held: Vec<_> = held.iter().map(|&(id, crash_count)| (JobId(id), crash_count)).collect();
        let attribute_crash = attribute_crash(&held, CRASHES_MAX);
        attribute_crash.crashes.iter().map(|(id, crash)| (id.0, crash.is_last)).collect()
    }

    #[test]
    fn without_a_suspect_each_is_counted_once() {
        assert_eq!(counted(&[(1, 0), (2, 0)]), [(1, false), (2, false)]);
        assert_eq!(counted(&[]), []);
    }

    #[test]
    fn a_suspect_is_blamed_alone_and_named_to_the_others() {
        assert_eq!(counted(&[(1, 0), (2, 1), (3, 0)]), [(2, false)]);
        let attribute_crash = attribute_crash(&[(JobId(1), 0), (JobId(2), 1)], CRASHES_MAX);
        assert!(
            attribute_crash.spared.contains("job 2, which it held too, is blamed"),
            "{}",
            attribute_crash.spared
        );
    }

    #[test]
    fn the_last_crash_ends_the_job_and_says_how_many_there_were() {
        assert_eq!(counted(&[(1, 2)]), [(1, true)]);
        // Counted when the limit was higher.
        assert_eq!(counted(&[(1, 7)]), [(1, true)]);
        assert!(crash(3, 3).error.starts_with("the worker died 3 times while it ran this job"));
        assert!(crash(1, 1).error.starts_with("the worker died once while it ran this job"));
        assert!(!crash(u32::MAX - 1, u32::MAX).is_last);
    }
}
