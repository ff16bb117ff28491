//! Mutants of decisions: retries, leases, poison jobs.

use super::{Mutant, contract, unit};

const LEASE: &str = "qdjobs/src/model/lease.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "rescue-after-one-look",
        breaks: "a silent worker is presumed dead only after a whole lease",
        file: LEASE,
        old: "if now.saturating_sub(seen.since) >= self.lease {",
        new: "if now.saturating_sub(seen.since) >= self.lease / 1_000_000 {",
        killed_by: unit(
            "model::lease::tests::a_worker_without_a_heartbeat_for_a_whole_lease_is_reported_and_one_with_heartbeats_is_not",
        ),
    },
    Mutant {
        name: "rescue-after-a-gap",
        breaks: "a monitor with a gap in its observations starts again",
        file: LEASE,
        old: "if gap {",
        new: "if gap && self.lease.is_zero() {",
        killed_by: unit("model::lease::tests::a_monitor_with_a_gap_in_its_observations_starts_again"),
    },
    Mutant {
        name: "crash-limit-removed",
        breaks: "a job whose worker died three times is failed",
        file: "qdjobs/src/model/crash_count.rs",
        old: "if crash_count < crashes_max {",
        new: "if crash_count < crashes_max.max(1_000) {",
        killed_by: contract("sqlite::in_a_file::poison::a_job_is_failed_with_its_third_crash_and_says_so"),
    },
    Mutant {
        name: "crash-counted-for-all",
        breaks: "a crash is counted only for the suspected job of a dead worker",
        file: "qdjobs/src/model/crash_count.rs",
        old: "suspected.is_none() || crash_count > 0;",
        new: "suspected.is_none() || crash_count < u32::MAX;",
        killed_by: contract(
            "sqlite::in_a_file::poison::a_crash_is_counted_for_the_suspected_job_of_a_dead_worker_alone",
        ),
    },
    Mutant {
        name: "suspected-flag-ignored",
        breaks: "a suspected poison job that is due again is marked as suspected",
        file: "qdjobs/src/model/availability.rs",
        old: "Availability::Scheduled } else { Availability::due(suspected) }",
        new: "Availability::Scheduled } else { Availability::due(suspected && at > now) }",
        killed_by: contract(
            "sqlite::in_a_file::poison::a_suspected_job_stays_suspected_through_a_retry_or_a_release",
        ),
    },
    Mutant {
        name: "nul-stored",
        breaks: "an error text is stored without NUL, which not every database can store",
        file: "qdjobs/src/model/job/checks.rs",
        old: "    let text = stored_text(text);
    if",
        new: "    let text = Cow::Borrowed(text);
    if",
        killed_by: contract("sqlite::in_a_file::finish::nul_in_errors_and_reasons_is_replaced"),
    },
];
