//! Mutants of the SQL statements, and of completion in a transaction of the application.

use super::{Mutant, api, contract, unit};

const SQL: &str = "qdjobs/src/store/sqlite/queries/sql.rs";
const STAYS_SUSPECTED: &str =
    "sqlite::in_a_file::poison::a_suspected_job_stays_suspected_through_a_retry_or_a_release";

const INSERT: &str = "qdjobs/src/store/sqlite/queries/insert.rs";
const MANY: &str =
    "sqlite::in_a_file::insert::many_jobs_of_every_kind_come_back_in_their_order_as_they_were_given";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "ids-of-many-reversed",
        breaks: "the ids of an insert come in the order of its jobs",
        file: INSERT,
        old: "ids.sort_unstable();",
        new: "ids.sort_unstable_by(|a, b| b.cmp(a));",
        killed_by: contract(MANY),
    },
    Mutant {
        name: "bulk-stored-one-by-one",
        breaks: "the jobs of a call are stored by few statements",
        file: INSERT,
        old: "find(|(rows, _)| *rows <= jobs.len())",
        new: "find(|(rows, _)| *rows <= 0 * jobs.len())",
        killed_by: unit("store::sqlite::writer::tests::the_jobs_of_one_call_are_stored_by_few_statements"),
    },
    Mutant {
        name: "large-params-of-many-dropped",
        breaks: "a job keeps its params, also if many are stored by one statement",
        file: INSERT,
        old: "            self.write_large_params(id.0, job)?;\n",
        new: "",
        killed_by: contract(MANY),
    },
    Mutant {
        name: "ignored-job-of-many-confirmed",
        breaks: "a job that a trigger of the application ignores is not confirmed",
        file: INSERT,
        old: "if new_ids.len() != rows.len() {",
        new: "if new_ids.is_empty() {",
        killed_by: unit(
            "store::sqlite::writer::tests::an_insert_that_a_trigger_of_the_application_ignores_is_refused",
        ),
    },
    Mutant {
        name: "effects-come-too-late",
        breaks: "an attempt whose job has failed meanwhile commits no effects",
        file: "qdjobs/src/store/sqlite/external_tx.rs",
        old: "Some(_) => Err(ended_before(claim)),",
        new: "Some(_) => Ok(()),",
        killed_by: api(
            "transactions::an_attempt_whose_job_has_failed_meanwhile_cannot_complete_it_and_its_rows_are_not_stored",
        ),
    },
    Mutant {
        name: "deferred-transaction-not-told",
        breaks: "a transaction that did not begin with IMMEDIATE is told so",
        file: "qdjobs/src/store/sqlite/external_tx.rs",
        old: "ErrorKind::Busy if !is_outermost => error::begun_deferred(conn),",
        new: "ErrorKind::Busy if is_outermost => error::begun_deferred(conn),",
        killed_by: api(
            "transactions::a_transaction_that_did_not_begin_with_immediate_is_told_so_when_it_cannot_enqueue",
        ),
    },
    Mutant {
        name: "held-key-without-an-id",
        breaks: "the statement of other drivers returns the id of the job that holds a key",
        file: SQL,
        old: "             THEN idempotency_key END\n    RETURNING id\";",
        new: "             THEN idempotency_key END WHERE task_name <> excluded.task_name\n    RETURNING id\";",
        killed_by: api("transactions::a_job_with_a_key_is_stored_once_in_whatever_way_it_is_enqueued"),
    },
    Mutant {
        name: "completion-statement-not-fenced",
        breaks: "the statement of an attempt that has lost its job changes no row",
        file: SQL,
        old: "WHERE id = json_extract(?1, '$.id') AND status = 'running' AND attempt",
        new: "WHERE id = json_extract(?1, '$.id') AND attempt",
        killed_by: api("transactions::a_statement_of_an_attempt_that_has_lost_its_job_changes_no_row"),
    },
    Mutant {
        name: "priority-ignored",
        breaks: "higher priority goes first",
        file: "qdjobs/src/store/sqlite/queries/claim.rs",
        old: "Ok((Reverse(priority), at, row.get(2)?))",
        new: "Ok((Reverse(0 * priority), at, row.get(2)?))",
        killed_by: contract(
            "sqlite::in_a_file::claim::a_limit_cuts_the_line_behind_the_first_of_all_queues_and_tasks",
        ),
    },
    Mutant {
        name: "priority-not-in-the-index",
        breaks: "of the jobs of one task those of higher priority are claimed first",
        file: SQL,
        old: "ORDER BY priority DESC, scheduled_at, id LIMIT ?3\";

/// As [`READY`], for suspected poison jobs; max_suspected follows.
",
        new: "ORDER BY scheduled_at, id LIMIT ?3\";

/// As [`READY`], for suspected poison jobs; max_suspected follows.
",
        killed_by: contract(
            "sqlite::in_a_file::claim::higher_priority_goes_first_then_earlier_due_then_lower_id",
        ),
    },
    Mutant {
        name: "unmarked-job-claimed",
        breaks: "only a job that is marked as running is started",
        file: "qdjobs/src/store/sqlite/queries/claim.rs",
        old: "if marked != claimed.len() - before {",
        new: "if marked > claimed.len() - before {",
        killed_by: api("faults::a_job_that_cannot_be_marked_as_running_is_not_started"),
    },
    Mutant {
        name: "suspicion-lost-when-given-back",
        breaks: "a suspected poison job that is retried or released stays suspected",
        file: SQL,
        old: "1 + (crash_count + ?10 > 1) ELSE 0 END",
        new: "1 + (crash_count + ?10 > 1000) ELSE 0 END",
        killed_by: contract(STAYS_SUSPECTED),
    },
    Mutant {
        name: "suspicion-lost-when-due",
        breaks: "a suspected poison job whose wait is over stays suspected",
        file: SQL,
        old: "SET availability = 1 + (crash_count > 1) WHERE id IN",
        new: "SET availability = 1 + (crash_count > 1000) WHERE id IN",
        killed_by: contract(STAYS_SUSPECTED),
    },
    Mutant {
        name: "held-suspected-jobs-not-counted",
        breaks: "a claim counts the suspected poison jobs that its worker holds",
        file: SQL,
        old: "AND status = 'running' AND availability = 2\";",
        new: "AND status = 'running' AND availability = 3\";",
        killed_by: contract(
            "sqlite::in_a_file::poison::after_a_second_death_a_worker_holds_half_of_those_that_were_held_at_both",
        ),
    },
    Mutant {
        name: "suspected-jobs-of-one-worker-counted",
        breaks: "the workers of a process count the suspected poison jobs that they hold together",
        file: SQL,
        old: "WHERE qdjobs_workers.id BETWEEN ?1 AND ?2 AND status",
        new: "WHERE qdjobs_workers.id = ?1 AND qdjobs_workers.id = ?2 AND status",
        killed_by: contract(
            "sqlite::in_a_file::poison::a_job_does_not_fail_for_one_of_another_worker_of_its_process",
        ),
    },
    Mutant {
        name: "released-neighbors-ignored",
        breaks: "the jobs of a worker that was released first can be the cause of the death of its process",
        file: SQL,
        old: "AND beside.worker_id <> ?3\n        AND",
        new: "AND beside.worker_id = ?3\n        AND",
        killed_by: contract(
            "sqlite::in_a_file::poison::jobs_of_all_workers_of_a_dead_process_can_be_its_cause",
        ),
    },
    Mutant {
        name: "earlier-death-of-the-process",
        breaks: "a death of a worker before a job began is not one of its process",
        file: SQL,
        old: "AND beside.ended_at >= ?4",
        new: "AND ?4 IS NOT NULL",
        killed_by: contract(
            "sqlite::in_a_file::poison::a_death_before_the_job_began_is_not_one_of_its_process",
        ),
    },
    Mutant {
        name: "explained-by-another-attempt",
        breaks: "only a job that failed by this very attempt is the cause of a death",
        file: SQL,
        old: "status = 'failed' AND qdjobs_jobs.attempt = beside.attempt",
        new: "status = 'failed' AND qdjobs_jobs.attempt >= beside.attempt",
        killed_by: contract(
            "sqlite::in_a_file::poison::a_job_that_failed_elsewhere_explains_no_later_death_of_its_process",
        ),
    },
    Mutant {
        name: "explained-at-another-time",
        breaks: "a poison job explains only the crashes of its process at the same time",
        file: SQL,
        old: "death.started_at <= other.ended_at AND other.started_at <= death.ended_at",
        new: "death.started_at <= other.ended_at OR other.started_at <= death.ended_at",
        killed_by: contract(
            "sqlite::in_a_file::poison::a_job_explains_no_death_of_its_process_at_another_time",
        ),
    },
    Mutant {
        name: "shared-crashes-of-one-worker-cleared",
        breaks: "a poison job explains the crashes that another worker of its process counted",
        file: SQL,
        old: "THEN worker_id | 4294967295 ELSE",
        new: "THEN worker_id ELSE",
        killed_by: contract(
            "sqlite::in_a_file::poison::a_job_does_not_fail_for_one_of_another_worker_of_its_process",
        ),
    },
    Mutant {
        name: "shared-crashes-kept",
        breaks: "the crashes that a poison job has caused no longer count for the others",
        file: SQL,
        old: "WHERE qdjobs_jobs.id = shared.job_id AND",
        new: "WHERE qdjobs_jobs.id = -shared.job_id AND",
        killed_by: contract(
            "sqlite::in_a_file::poison::a_job_that_fails_by_its_crashes_clears_those_that_crashed_with_it",
        ),
    },
    Mutant {
        name: "earlier-crashes-explained",
        breaks: "a poison job explains only the crashes since it was last retried by hand",
        file: SQL,
        old: "ORDER BY attempt DESC LIMIT (SELECT crash_count FROM qdjobs_jobs WHERE id = ?1)),",
        new: "ORDER BY attempt DESC LIMIT 1000 + (SELECT crash_count FROM qdjobs_jobs WHERE id = ?1)),",
        killed_by: contract(
            "sqlite::in_a_file::poison::a_job_that_was_retried_by_hand_clears_only_what_crashed_with_it_since",
        ),
    },
    Mutant {
        name: "promoted-too-early",
        breaks: "a scheduled job is not claimed before its time",
        file: SQL,
        old: "AND availability = 0 AND scheduled_at <= ?1 ORDER BY",
        new: "AND availability = 0 AND scheduled_at <= ?1 + 1 ORDER BY",
        killed_by: contract("sqlite::in_a_file::claim::a_scheduled_job_is_not_claimed_a_microsecond_early"),
    },
    Mutant {
        name: "scheduled-at-ignored",
        breaks: "a job for later waits",
        file: "qdjobs/src/model/availability.rs",
        old: "if at > now {",
        new: "if at > now && at < now {",
        killed_by: contract("sqlite::in_a_file::claim::a_scheduled_job_is_not_claimed_a_microsecond_early"),
    },
    Mutant {
        name: "no-attempt-in-the-fence",
        breaks: "a finish under an earlier attempt is refused",
        file: SQL,
        old: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3",
        new: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND ?2 = ?2 AND worker_id = ?3",
        killed_by: contract("sqlite::in_a_file::finish::the_claim_of_an_earlier_attempt_is_lost"),
    },
    Mutant {
        name: "no-worker-in-the-fence",
        breaks: "a finish by another worker is refused",
        file: SQL,
        old: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3",
        new: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND ?3 = ?3",
        killed_by: contract(
            "sqlite::in_a_file::finish::a_finish_shown_with_another_attempt_or_worker_is_lost",
        ),
    },
    Mutant {
        name: "status-not-compared",
        breaks: "an ended job does not end a second time with another status",
        file: SQL,
        old: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3",
        new: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND attempt = ?2 AND worker_id = ?3",
        killed_by: contract(
            "sqlite::in_a_file::finish::a_job_that_ended_under_exactly_this_claim_is_not_lost",
        ),
    },
    Mutant {
        name: "retry-after-the-end",
        breaks: "a late finish does not retry an ended job",
        file: SQL,
        old: "worker_id = NULL
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND coalesce(worker_id, 0) = ?3",
        new: "worker_id = NULL
    WHERE id = ?1 AND attempt = ?2 AND coalesce(worker_id, 0) = ?3",
        killed_by: contract(
            "sqlite::in_a_file::finish::a_job_that_ended_under_exactly_this_claim_is_not_lost",
        ),
    },
    Mutant {
        name: "progress-of-a-lost-claim",
        breaks: "an attempt whose claim is lost reports no progress",
        file: SQL,
        old: "UPDATE qdjobs_jobs SET progress = ?4, progress_message = ?5
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3",
        new: "UPDATE qdjobs_jobs SET progress = ?4, progress_message = ?5
    WHERE id = ?1 AND ?2 = ?2 AND ?3 = ?3",
        killed_by: contract("sqlite::in_a_file::progress::progress_under_a_lost_claim_is_not_shown"),
    },
    Mutant {
        name: "release-counted-as-retry",
        breaks: "a released job loses no retry",
        file: SQL,
        old: "retry_count = retry_count + ?9,",
        new: "retry_count = retry_count + 1,",
        killed_by: contract("sqlite::in_a_file::finish::a_released_job_loses_no_retry"),
    },
    Mutant {
        name: "release-keeps-the-attempt",
        breaks: "a job that is released before it began is as if never claimed",
        file: SQL,
        old: "attempt = max(attempt - (1 - ?8), 0),",
        new: "attempt = attempt - 0 * ?8,",
        killed_by: contract(
            "sqlite::in_a_file::finish::a_job_released_before_it_began_is_as_if_never_claimed",
        ),
    },
    Mutant {
        name: "history-row-missing",
        breaks: "each failed attempt is recorded",
        file: "qdjobs/src/store/sqlite/queries/finish.rs",
        old: "if leaving.is_first_success() {",
        new: "if leaving.is_first_success() || attempt == 1 {",
        killed_by: contract(
            "sqlite::in_a_file::read::a_history_is_oldest_first_and_without_the_running_attempt",
        ),
    },
    Mutant {
        name: "crash-counted-as-failure",
        breaks: "a crash of the worker costs the job no retry",
        file: SQL,
        old: "retry_count = retry_count + ?9,",
        new: "retry_count = retry_count + ?9 + ?10,",
        killed_by: contract(
            "sqlite::in_a_file::release::the_jobs_of_a_dead_worker_are_due_again_with_a_crash_counted",
        ),
    },
];
