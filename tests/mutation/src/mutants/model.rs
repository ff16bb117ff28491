//! Mutants of decisions: retries, leases, poison jobs.

use super::{Mutant, contract, unit};

const LEASE: &str = "qdjobs/src/model/lease.rs";
const CRASH_COUNT: &str = "qdjobs/src/model/crash_count.rs";
const SEARCH: &str =
    "sqlite::in_a_file::poison::the_search_for_poison_jobs_takes_about_log_n_deaths_and_fails_no_other_job";

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
        file: CRASH_COUNT,
        old: "then.crash_count >= crashes_max && (",
        new: "then.crash_count >= crashes_max.max(1_000) && (",
        killed_by: contract("sqlite::in_a_file::poison::a_job_is_failed_with_its_third_crash_and_says_so"),
    },
    Mutant {
        name: "suspected-from-the-first-crash",
        breaks: "after one death, all jobs of the worker run together again",
        file: CRASH_COUNT,
        old: "pub(crate) const SUSPECTED_FROM: u32 = 2;",
        new: "pub(crate) const SUSPECTED_FROM: u32 = 1;",
        killed_by: unit("model::crash_count::tests::nobody_is_suspected_after_one_death"),
    },
    Mutant {
        name: "fails-beside-other-jobs",
        breaks: "a job fails by its crashes only if no other job can be the cause",
        file: CRASH_COUNT,
        old: "(all.jobs == 1 || is_only_one)",
        new: "(all.jobs >= 1 || is_only_one)",
        killed_by: contract(SEARCH),
    },
    Mutant {
        name: "jobs-of-the-same-process-ignored",
        breaks: "a job of another worker of the process can be the cause of its death",
        file: CRASH_COUNT,
        old: "    let mut all = beside;",
        new: "    let mut all = Beside { jobs: beside.jobs.min(0), ..Beside::default() };",
        killed_by: contract(
            "sqlite::in_a_file::poison::jobs_of_all_workers_of_a_dead_process_can_be_its_cause",
        ),
    },
    Mutant {
        name: "explained-death-counted",
        breaks: "a death by which a job of the process has failed counts for no other one",
        file: CRASH_COUNT,
        old: "let is_counted = !beside.has_failed;",
        new: "let is_counted = !beside.has_failed || beside.jobs > 0;",
        killed_by: contract(
            "sqlite::in_a_file::poison::the_death_by_which_a_job_fails_counts_for_no_job_of_its_process",
        ),
    },
    Mutant {
        name: "group-not-halved",
        breaks: "each death halves how many suspected jobs are held together",
        file: CRASH_COUNT,
        old: "Some(max) => Some((max.min(before as i64) / 2).max(1)),",
        new: "Some(max) => Some(max.min(before as i64).max(1)),",
        killed_by: contract(
            "sqlite::in_a_file::poison::each_further_death_halves_the_group_for_those_that_were_held",
        ),
    },
    Mutant {
        name: "never-fails-beside-other-jobs",
        breaks: "after three deaths as the only suspected job, a job fails whatever else was held",
        file: CRASH_COUNT,
        old: "&& deaths_as_only_one >= DEATHS_AS_ONLY_ONE;",
        new: "&& deaths_as_only_one >= 1_000 * DEATHS_AS_ONLY_ONE;",
        killed_by: unit(
            "model::crash_count::tests::beside_jobs_that_were_not_suspected_it_takes_three_deaths",
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
