//! Decides whether a pending job may be claimed, from its due time and from whether it is suspected:
//! [`Availability`].
//!
//! Does not choose among the jobs that may be claimed: see `store/sqlite/queries/claim.rs`. Whether a job
//! is a suspected poison job is decided in `crash_count.rs`.
//!
//! Depends on the clock's types. Reads no clock and no storage: a store writes the decided value into the
//! job's row.

use crate::model::clock::Timestamp;

/// Whether a pending job may be claimed. The numbers are those of the column `availability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    /// The job's `scheduled_at` is in the future.
    Scheduled = 0,
    /// The job may be claimed.
    Available = 1,
    /// The job may be claimed and is a suspected poison job. The workers of a process hold a limited number of them
    /// together.
    Suspected = 2,
}

impl Availability {
    /// The availability at `now` of a pending job that is due at `at`.
    pub(crate) fn of(at: Timestamp, now: Timestamp, suspected: bool) -> Availability {
        if at > now { Availability::Scheduled } else { Availability::due(suspected) }
    }

    /// The availability of a pending job that is due.
    pub(crate) fn due(suspected: bool) -> Availability {
        if suspected { Availability::Suspected } else { Availability::Available }
    }

    /// Whether the job may be claimed now.
    pub(crate) fn is_ready(self) -> bool {
        self != Availability::Scheduled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_available_from_its_instant_on_and_a_suspected_one_keeps_its_mark() {
        let at = |micros| Timestamp::from_microsecond(micros).unwrap();
        for suspected in [false, true] {
            let ready = if suspected { Availability::Suspected } else { Availability::Available };
            assert_eq!(Availability::of(at(2), at(1), suspected), Availability::Scheduled);
            assert_eq!(Availability::of(at(2), at(2), suspected), ready);
            assert_eq!(Availability::of(at(2), at(3), suspected), ready);
            assert!(ready.is_ready() && !Availability::Scheduled.is_ready());
        }
    }
}
