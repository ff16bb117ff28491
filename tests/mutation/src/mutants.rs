//! What is broken, and who has to notice: [`SABOTAGES`].
//!
//! Leans on nothing. Rows stand in the order of a job's life. An old text is as short as it can be and still stand in its file
//! once; the new one compiles.

use crate::Result;
use crate::cargo::Test;

/// One place of the product, broken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sabotage {
    pub(crate) name: &'static str,
    /// What is no longer so.
    pub(crate) breaks: &'static str,
    /// In the workspace.
    pub(crate) file: &'static str,
    pub(crate) old: &'static str,
    pub(crate) new: &'static str,
    /// The test that has to turn red.
    pub(crate) caught_by: Test,
}

impl Sabotage {
    /// The text of the file with the old text replaced, which has to stand in it exactly once.
    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        if self.new == self.old {
            return Err("breaks nothing: the new text is the old one".to_owned());
        }
        match text.matches(self.old).count() {
            1 => Ok(text.replacen(self.old, self.new, 1)),
            0 => Err(format!("its old text is not in {}: {:?}", self.file, self.old)),
            many => Err(format!("its old text stands {many} times in {}: {:?}", self.file, self.old)),
        }
    }
}

const fn within(name: &'static str) -> Test {
    Test { package: "qdjobs", target: None, name }
}

const fn on_disk(name: &'static str) -> Test {
    Test { package: "qdjobs-tests", target: Some("disk_faults"), name }
}

const fn processes(name: &'static str) -> Test {
    Test { package: "qdjobs-tests", target: Some("process"), name }
}

const fn it(name: &'static str) -> Test {
    Test { package: "qdjobs-tests", target: Some("api"), name }
}

/// A promise of the contract, checked on the store in a file.
const fn contract(name: &'static str) -> Test {
    Test { package: "qdjobs-contract", target: Some("stores"), name }
}

const SQL: &str = "qdjobs/src/store/sqlite/queries/sql.rs";
const CLAIM: &str = "qdjobs/src/store/sqlite/queries/claim.rs";
const FINISH: &str = "qdjobs/src/store/sqlite/queries/finish.rs";
const TRANSACTION: &str = "qdjobs/src/store/sqlite/transaction.rs";
const COMMIT: &str = "qdjobs/src/store/sqlite/writer/commit.rs";
const UPKEEP: &str = "qdjobs/src/store/sqlite/writer/upkeep.rs";
const REQUESTS: &str = "qdjobs/src/store/engine/requests.rs";
const RUN: &str = "qdjobs/src/store/engine/run.rs";
const VERBS: &str = "qdjobs/src/store/engine/verbs.rs";
const LEAVING: &str = "qdjobs/src/store/engine/leaving.rs";
const AVAILABILITY: &str = "qdjobs/src/model/availability.rs";
const OPEN: &str = "qdjobs/src/store/sqlite/connection/open.rs";
const SCHEMA: &str = "qdjobs/src/store/sqlite/connection/migrations/0001_jobs.sql";
const WORKER_EXECUTION: &str = "qdjobs/src/worker/execution.rs";
const WORKER_SHARED: &str = "qdjobs/src/worker/shared.rs";
const WORKER_START: &str = "qdjobs/src/worker/start.rs";
const WORKER_STOP: &str = "qdjobs/src/worker/stop.rs";
const HEARTBEATS: &str = "qdjobs/src/worker/supervisor/heartbeat.rs";
const RESCUER: &str = "qdjobs/src/worker/supervisor/rescuer.rs";
const LEASE: &str = "qdjobs/src/model/lease.rs";

// Broken in one way, and caught by two tests: by one that holds the time, and by one with real processes.
const HEARTBEAT: &str = "        if now >= self.next {
            self.send(worker, now);";
const BEAT_AFTER_THE_TASKS: &str = "        if now >= self.next {
            let until = worker.shared.elapsed() + Duration::from_secs(600);
            worker.dispatchers.iter().for_each(|dispatcher| dispatcher.wait_idle(until));
            self.send(worker, now);";
const DRAIN: &str = "        // 1. No further claims:";
const DRAIN_WITHOUT_BEATS: &str = "        supervisor.stop();
        struct Stopped;
        impl Stopped {
            fn stop(self) {}
        }
        let supervisor = Stopped;
        // 1. No further claims:";

/// The table.
pub(crate) const SABOTAGES: &[Sabotage] = &[
    // -- the file
    Sabotage {
        name: "mode-0600-not-set",
        breaks: "the files of a queue are their owner's alone",
        file: OPEN,
        old: "mode(&mut options, 0o600)",
        new: "mode(&mut options, 0o644)",
        caught_by: it("faults::the_files_of_a_queue_are_its_owners_alone_whatever_the_umask"),
    },
    Sabotage {
        name: "log-not-written-back",
        breaks: "a commit that only the dead could not sync takes no later one with it",
        file: OPEN,
        old: "    checkpoint_found_log(&conn)?;",
        new: "    let _ = checkpoint_found_log;",
        caught_by: within(
            "store::sqlite::open::tests::a_commit_that_only_the_dead_could_not_sync_takes_no_later_one_with_it",
        ),
    },
    Sabotage {
        name: "pragma-not-read-back",
        breaks: "a pragma that SQLite does not take is an error",
        file: OPEN,
        old: "if now == value {",
        new: "if now == value || true {",
        caught_by: within(
            "store::sqlite::open::tests::a_pragma_that_sqlite_does_not_take_as_it_was_set_is_an_error",
        ),
    },
    Sabotage {
        name: "newer-schema-opened",
        breaks: "a database of a newer version is refused untouched",
        file: "qdjobs/src/store/sqlite/connection/migrate.rs",
        old: "if min_writer > SCHEMA_VERSION {",
        new: "if min_writer > SCHEMA_VERSION + 1_000_000 {",
        caught_by: it("faults::a_database_of_a_newer_version_is_refused_untouched"),
    },
    Sabotage {
        name: "torn-schema-opened",
        breaks: "tables of which nothing says who made them are refused untouched",
        file: "qdjobs/src/store/sqlite/connection/migrate.rs",
        old: "(0, Some(tables)) => ",
        new: "(0, Some(tables)) if tables.is_empty() => ",
        caught_by: it("faults::tables_of_which_nothing_says_who_made_them_are_refused_untouched"),
    },
    // -- the disk
    Sabotage {
        name: "wal-switch-not-heard",
        breaks: "a switch to WAL mode that fails is an error",
        file: OPEN,
        old: "    rows.next()?;
    mode.ok_or",
        new: "    mode.ok_or",
        caught_by: on_disk("nth::opening_and_closing_survive_each_failing_operation"),
    },
    Sabotage {
        name: "damaged-file-written",
        breaks: "a file that is found damaged while it is opened stays as it is, and so does its log",
        file: OPEN,
        old: "if configured.as_ref().is_err_and(Error::is_fatal) {",
        new: "if configured.as_ref().is_ok_and(|()| false) {",
        caught_by: on_disk("rot::a_damaged_file_ends_in_a_clear_error_or_works_and_is_never_deleted"),
    },
    Sabotage {
        name: "relaxed-sync",
        breaks: "what was confirmed survives a power cut",
        file: OPEN,
        old: "Durability::Full => 2,",
        new: "Durability::Full => 1,",
        caught_by: on_disk(
            "cuts::a_power_cut_takes_nothing_that_was_confirmed_and_leaves_nothing_that_certainly_failed",
        ),
    },
    Sabotage {
        name: "commit-error-told-as-certain",
        breaks: "a fault in the commit is told as what it is: nobody knows whether it is stored",
        file: "qdjobs/src/store/sqlite/connection/error.rs",
        old: "Error::new(ErrorKind::Indeterminate, message)",
        new: "Error::new(ErrorKind::Storage, message)",
        caught_by: on_disk("nth::enqueues_survive_each_failing_operation"),
    },
    Sabotage {
        name: "fail-stop-removed",
        breaks: "after a sync that failed nothing more is promised",
        file: "qdjobs/src/store/sqlite/connection/error.rs",
        old: "ffi::SQLITE_IOERR_FSYNC
",
        new: "ffi::SQLITE_IOERR_DATA
",
        caught_by: on_disk(
            "stop::after_a_sync_that_failed_nothing_more_is_promised_and_what_was_promised_is_there",
        ),
    },
    Sabotage {
        name: "reserve-removed",
        breaks: "on a full disk what runs can finish",
        file: UPKEEP,
        old: "self.reserve.release(self.clock.elapsed());",
        new: "self.reserve.check_soon();",
        caught_by: processes(
            "disk_full::on_a_full_disk_running_jobs_finish_nothing_is_lost_and_all_resumes_when_there_is_room",
        ),
    },
    Sabotage {
        name: "fork-not-noticed",
        breaks: "a queue in a fork of its process is refused",
        file: "qdjobs/src/store/sqlite/connection/fork_guard.rs",
        old: "if process == self.process { Ok(()) }",
        new: "if process == self.process || process > 0 { Ok(()) }",
        caught_by: on_disk("fork::a_queue_in_a_forked_child_is_refused_and_the_parents_goes_on"),
    },
    // -- insert
    Sabotage {
        name: "params-not-checked",
        breaks: "params by name are checked against their task before anything is stored",
        file: "qdjobs/src/queue/request.rs",
        old: "Ok(check_params(def, &text)?)",
        new: "Ok(check_params(def, &text).unwrap_or(text))",
        caught_by: it("queue::a_job_by_name_is_checked_against_its_task_before_anything_is_stored"),
    },
    Sabotage {
        name: "unique-index-dropped",
        breaks: "at most one job holds an idempotency key, whoever stores it",
        file: SCHEMA,
        old: "CREATE UNIQUE INDEX qdjobs_idempotency_key",
        new: "CREATE INDEX qdjobs_idempotency_key",
        caught_by: contract("sqlite::in_a_file::insert::the_same_job_under_its_key_is_stored_once_whatever_became_of_it"),
    },
    // -- one transaction for many
    Sabotage {
        name: "deferred-transaction",
        breaks: "a write that meets a lock waits for it",
        file: "qdjobs/src/store/sqlite/connection/error.rs",
        old: "prepare_cached(\"BEGIN IMMEDIATE\")",
        new: "prepare_cached(\"BEGIN\")",
        caught_by: it("faults::a_write_that_meets_a_lock_waits_until_it_is_let_go"),
    },
    Sabotage {
        name: "answer-without-a-commit",
        breaks: "a request is answered after its effect is durable, never before",
        file: REQUESTS,
        old: "            Some(error) => self.fail(error),",
        new: "            Some(_) => self.send(),",
        caught_by: within("store::sqlite::writer::tests::the_end_of_a_job_is_answered_only_when_it_is_committed"),
    },
    Sabotage {
        name: "no-savepoint",
        breaks: "one bad request fails alone and as a whole",
        file: RUN,
        old: "let done = if several {",
        new: "let done = if several && !several {",
        caught_by: it("faults::jobs_stored_together_are_all_refused_when_the_database_refuses_one"),
    },
    Sabotage {
        name: "no-autocommit-check",
        breaks: "after a fault that has ended the transaction nothing of the batch is stored",
        file: TRANSACTION,
        old: "!error.is_fatal() && !self.conn.is_autocommit()",
        new: "!error.is_fatal()",
        caught_by: it("faults::a_fault_that_ends_the_transaction_stores_nothing_of_those_who_are_told_so"),
    },
    Sabotage {
        name: "wake-up-lost",
        breaks: "who leaves a request wakes the thread that writes",
        file: REQUESTS,
        old: "if std::mem::take(&mut state.asleep) {
            drop(state);",
        new: "if state.closed && std::mem::take(&mut state.asleep) {
            drop(state);",
        caught_by: contract("sqlite::in_a_file::heartbeat::a_heartbeat_counts_and_every_worker_is_read_oldest_first"),
    },
    Sabotage {
        name: "waiting-claim-not-served",
        breaks: "a worker that waits is answered when a job is stored",
        file: RUN,
        old: "let may_have_more = batch.effects.ready > 0
        || batch.look",
        new: "let may_have_more = batch.look",
        caught_by: contract("sqlite::in_a_file::waiting_claims::a_waiting_claim_is_answered_when_a_job_is_stored"),
    },
    Sabotage {
        name: "close-leaves-waiters",
        breaks: "a queue that closes answers everybody who waits",
        file: "qdjobs/src/store/pending.rs",
        old: "deliver(&slot, Err(unanswered));",
        new: "drop((slot, unanswered));",
        caught_by: contract("sqlite::in_a_file::close::a_closed_store_refuses_every_request"),
    },
    // -- claim
    Sabotage {
        name: "not-registered-claims",
        breaks: "a worker that is not on the list claims nothing",
        file: RUN,
        old: "if !tx.is_registered(request.worker)? {",
        new: "if !tx.is_registered(request.worker)? && request.worker.0 == 0 {",
        caught_by: contract("sqlite::in_a_file::register::a_worker_that_is_not_registered_claims_nothing"),
    },
    Sabotage {
        name: "effects-come-too-late",
        breaks: "an attempt whose job has failed meanwhile commits no effects",
        file: SQL,
        old: "WHERE id = json_extract(?1, '$.id') AND status = 'running' AND attempt",
        new: "WHERE id = json_extract(?1, '$.id') AND attempt",
        caught_by: it(
            "transaction::an_attempt_whose_job_has_failed_meanwhile_cannot_complete_it_and_its_rows_are_not_there",
        ),
    },
    Sabotage {
        name: "priority-ignored",
        breaks: "higher priority goes first",
        file: CLAIM,
        old: "heads.push((Reverse(priority),",
        new: "heads.push((Reverse(0 * priority),",
        caught_by: contract("sqlite::in_a_file::claim::a_limit_cuts_the_line_behind_the_first_of_all_queues_and_tasks"),
    },
    Sabotage {
        name: "priority-not-in-the-index",
        breaks: "of the jobs of one task those of higher priority are claimed first",
        file: SQL,
        old: "ORDER BY priority DESC, scheduled_at, id LIMIT ?3\";

/// The same for suspected poison jobs.
",
        new: "ORDER BY scheduled_at, id LIMIT ?3\";

/// The same for suspected poison jobs.
",
        caught_by: contract("sqlite::in_a_file::claim::higher_priority_goes_first_then_earlier_due_then_lower_id"),
    },
    Sabotage {
        name: "claims-what-it-did-not-mark",
        breaks: "only a job that is marked as running is started",
        file: CLAIM,
        old: "if marked != claimed.len() - before {",
        new: "if marked > claimed.len() - before {",
        caught_by: it("faults::a_job_that_cannot_be_marked_as_running_is_not_started"),
    },
    Sabotage {
        name: "promoted-too-early",
        breaks: "a scheduled job is not claimed before its time",
        file: SQL,
        old: "AND availability = 0 AND scheduled_at <= ?1 ORDER BY",
        new: "AND availability = 0 AND scheduled_at <= ?1 + 1 ORDER BY",
        caught_by: contract("sqlite::in_a_file::claim::a_scheduled_job_is_not_claimed_a_microsecond_early"),
    },
    Sabotage {
        name: "scheduled-at-ignored",
        breaks: "a job for later waits",
        file: AVAILABILITY,
        old: "if at > now {",
        new: "if at > now && at < now {",
        caught_by: contract("sqlite::in_a_file::claim::a_scheduled_job_is_not_claimed_a_microsecond_early"),
    },
    Sabotage {
        name: "claims-on-a-full-disk",
        breaks: "nothing new begins while the disk is full",
        file: TRANSACTION,
        old: "        if self.is_full {
            return Ok(Vec::new());",
        new: "        if self.is_full && wanted.limit == 0 {
            return Ok(Vec::new());",
        caught_by: processes(
            "disk_full::on_a_full_disk_running_jobs_finish_nothing_is_lost_and_all_resumes_when_there_is_room",
        ),
    },
    // -- the fence
    Sabotage {
        name: "no-attempt-in-the-fence",
        breaks: "a finish under an earlier attempt is refused",
        file: SQL,
        old: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3",
        new: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND ?2 = ?2 AND worker_id = ?3",
        caught_by: contract("sqlite::in_a_file::finish::the_claim_of_an_earlier_attempt_is_lost"),
    },
    Sabotage {
        name: "no-worker-in-the-fence",
        breaks: "a finish by another worker is refused",
        file: SQL,
        old: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3",
        new: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND ?3 = ?3",
        caught_by: contract("sqlite::in_a_file::finish::a_finish_shown_with_another_attempt_or_worker_is_lost"),
    },
    Sabotage {
        name: "status-not-compared",
        breaks: "a job that has ended does not end a second time, in another way",
        file: SQL,
        old: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3",
        new: "progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND attempt = ?2 AND worker_id = ?3",
        caught_by: contract("sqlite::in_a_file::finish::a_job_that_ended_under_exactly_this_claim_is_not_lost"),
    },
    Sabotage {
        name: "retry-after-the-end",
        breaks: "a job that has ended is not retried by a late finish",
        file: SQL,
        old: "worker_id = NULL
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND coalesce(worker_id, 0) = ?3",
        new: "worker_id = NULL
    WHERE id = ?1 AND attempt = ?2 AND coalesce(worker_id, 0) = ?3",
        caught_by: contract("sqlite::in_a_file::finish::a_job_that_ended_under_exactly_this_claim_is_not_lost"),
    },
    Sabotage {
        name: "progress-of-a-lost-claim",
        breaks: "an attempt that has lost its job reports no progress of it",
        file: SQL,
        old: "UPDATE qdjobs_jobs SET progress = ?4, progress_message = ?5
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3",
        new: "UPDATE qdjobs_jobs SET progress = ?4, progress_message = ?5
    WHERE id = ?1 AND ?2 = ?2 AND ?3 = ?3",
        caught_by: contract("sqlite::in_a_file::progress::progress_under_a_lost_claim_is_not_shown"),
    },
    // -- finish
    Sabotage {
        name: "release-counted-as-retry",
        breaks: "a job that is given back loses no retry",
        file: SQL,
        old: "retry_count = retry_count + ?9,",
        new: "retry_count = retry_count + 1,",
        caught_by: contract("sqlite::in_a_file::finish::a_released_job_loses_no_retry"),
    },
    Sabotage {
        name: "release-keeps-the-attempt",
        breaks: "a job that was given back before it began is as if never claimed",
        file: SQL,
        old: "attempt = attempt - (1 - ?8),",
        new: "attempt = attempt - 0 * ?8,",
        caught_by: contract("sqlite::in_a_file::finish::a_job_released_before_it_began_is_as_if_never_claimed"),
    },
    Sabotage {
        name: "history-row-missing",
        breaks: "each failed attempt is on record",
        file: FINISH,
        old: "if attempt == 1 && outcome == AttemptOutcome::Completed {",
        new: "if attempt == 1 {",
        caught_by: contract("sqlite::in_a_file::read::a_history_is_oldest_first_and_without_the_running_attempt"),
    },
    Sabotage {
        name: "short-wait-not-due",
        breaks: "a wait shorter than an instant can tell is none",
        file: LEAVING,
        old: "let availability = Availability::of(at, now, ticket.suspected);",
        new: "let availability =
                    if wait.is_zero() { Availability::due(ticket.suspected) } else { Availability::Scheduled };",
        caught_by: contract("sqlite::in_a_file::finish::a_wait_shorter_than_an_instant_can_tell_is_none"),
    },
    // -- rescue and leave
    Sabotage {
        name: "silent-though-it-beats",
        breaks: "a silent worker that has beaten since it was looked at is not taken for dead",
        file: VERBS,
        old: "&& tx.heartbeats(worker)? != Some(heartbeats)",
        new: "&& tx.heartbeats(worker)?.is_none_or(|_| heartbeats == u64::MAX)",
        caught_by: contract("sqlite::in_a_file::release::a_silent_worker_with_a_newer_heartbeat_is_left_alone"),
    },
    Sabotage {
        name: "rescue-by-a-single-look",
        breaks: "a silent worker is watched for a whole lease",
        file: LEASE,
        old: "if now.saturating_sub(seen.since) >= self.lease {",
        new: "if now.saturating_sub(seen.since) >= self.lease / 1_000_000 {",
        caught_by: within("lease::tests::a_worker_without_a_heartbeat_for_a_whole_lease_is_reported_and_one_with_heartbeats_is_not"),
    },
    Sabotage {
        name: "rescue-after-a-gap",
        breaks: "whoever was away itself starts to watch anew",
        file: LEASE,
        old: "if gap {",
        new: "if gap && self.lease.is_zero() {",
        caught_by: within("lease::tests::a_monitor_with_a_gap_in_its_observations_starts_again"),
    },
    Sabotage {
        name: "missing-file-is-death",
        breaks: "only the operating system's lock proves a death; a missing file proves nothing",
        file: "qdjobs/src/store/sqlite/files/worker_locks.rs",
        old: "Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => false,",
        new: "Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) => false,
            Err(_) => true,",
        caught_by: within(
            "store::sqlite::live::tests::a_file_that_is_not_there_proves_nothing_and_one_that_nobody_locks_proves_a_death",
        ),
    },
    Sabotage {
        name: "crash-counted-as-failure",
        breaks: "a crash of the worker costs the job no retry",
        file: SQL,
        old: "retry_count = retry_count + ?9,",
        new: "retry_count = retry_count + ?9 + ?10,",
        caught_by: contract("sqlite::in_a_file::release::the_jobs_of_a_dead_worker_are_due_again_with_a_crash_counted"),
    },
    Sabotage {
        name: "lock-file-released-before-the-commit",
        breaks: "a worker keeps its proof of life until it is off the list",
        file: COMMIT,
        old: "let dead_sockets = std::mem::take(&mut tx.dead_sockets);",
        new: "let dead_sockets = std::mem::take(&mut tx.dead_sockets);
        self.workers.are_gone(&batch.effects.gone);",
        caught_by: within(
            "store::sqlite::writer::tests::a_worker_keeps_its_lock_file_until_it_is_removed",
        ),
    },
    Sabotage {
        name: "crash-limit-removed",
        breaks: "a job whose worker died three times is failed",
        file: "qdjobs/src/model/poison.rs",
        old: "if crash_count < crashes_max {",
        new: "if crash_count < crashes_max.max(1_000) {",
        caught_by: contract("sqlite::in_a_file::poison::a_job_is_failed_with_its_third_crash_and_says_so"),
    },
    Sabotage {
        name: "bystanders-blamed",
        breaks: "of the jobs of a dead worker its suspect alone is blamed",
        file: "qdjobs/src/model/poison.rs",
        old: "suspected.is_none() || crash_count > 0;",
        new: "suspected.is_none() || crash_count < u32::MAX;",
        caught_by: contract("sqlite::in_a_file::poison::a_crash_is_counted_for_the_suspected_job_of_a_dead_worker_alone"),
    },
    Sabotage {
        name: "time-by-the-wall-clock",
        breaks: "leases and timeouts take no notice of the wall clock",
        file: WORKER_SHARED,
        old: "self.queue.clock().monotonic()",
        new: "self.queue.clock().now().duration_since(crate::Timestamp::UNIX_EPOCH).unsigned_abs()",
        caught_by: processes("clocks::jumps_of_the_wall_clock_take_no_lease_and_no_time_from_running_jobs"),
    },
    Sabotage {
        name: "rescue-by-the-wall-clock",
        breaks: "a worker that stands still is taken for dead after its lease, whatever the wall clock does",
        file: RESCUER,
        old: "(state.id, state.heartbeats)), asked_at)",
        new: "(state.id, state.heartbeats)),
                worker.shared.queue.clock().now().duration_since(crate::Timestamp::UNIX_EPOCH).unsigned_abs())",
        caught_by: processes(
            "clocks::a_worker_that_stands_still_is_taken_for_dead_after_its_lease_though_the_wall_clock_goes_back",
        ),
    },
    // -- control
    Sabotage {
        name: "delete-leaves-history",
        breaks: "a deleted job is gone with its history",
        file: SCHEMA,
        old: "DELETE FROM qdjobs_attempts WHERE job_id = OLD.id;",
        new: "DELETE FROM qdjobs_attempts WHERE job_id = -OLD.id;",
        caught_by: contract("sqlite::in_a_file::command::a_deleted_job_is_gone_with_its_history"),
    },
    Sabotage {
        name: "running-job-deleted",
        breaks: "a job that runs is not deleted by hand",
        file: "qdjobs/src/store/command.rs",
        old: "(_, Status::Running) => {
                (true,",
        new: "(_, Status::Running) => {
                (!matches!(self, JobCommand::Delete(_)),",
        caught_by: it("queue::a_control_that_makes_no_sense_is_a_conflict_that_says_what_to_do"),
    },
    // -- the worker
    Sabotage {
        name: "worker-number-not-random",
        breaks: "no two lives of a worker have one number",
        file: WORKER_START,
        old: "let rng = Rng::new();",
        new: "let rng = Rng::seeded(u64::from(std::process::id()));",
        caught_by: it("worker::each_start_of_a_worker_has_a_number_of_its_own"),
    },
    Sabotage {
        name: "worker-number-reused",
        breaks: "a worker that was taken for dead comes back under a new number",
        file: WORKER_SHARED,
        old: "WorkerId(self.rng.id())",
        new: "self.worker_id()",
        caught_by: it(
            "worker::a_worker_that_was_taken_for_dead_goes_on_under_a_new_number_and_its_late_result_is_refused",
        ),
    },
    Sabotage {
        name: "heartbeat-waits-for-tasks",
        breaks: "no task can keep its worker from beating",
        file: HEARTBEATS,
        old: HEARTBEAT,
        new: BEAT_AFTER_THE_TASKS,
        caught_by: it("worker::a_worker_beats_while_its_tasks_run_and_until_the_last_of_them_has_ended"),
    },
    Sabotage {
        name: "heartbeat-waits-for-tasks-beside-another-process",
        breaks: "no task can have its worker taken for dead",
        file: HEARTBEATS,
        old: HEARTBEAT,
        new: BEAT_AFTER_THE_TASKS,
        caught_by: processes(
            "blocked::a_worker_whose_threads_and_runtime_are_all_busy_keeps_its_jobs_for_five_leases",
        ),
    },
    Sabotage {
        name: "heartbeat-stopped-before-the-drain",
        breaks: "a worker that stops heartbeats until its last job has ended",
        file: WORKER_STOP,
        old: DRAIN,
        new: DRAIN_WITHOUT_BEATS,
        caught_by: it("worker::a_worker_beats_while_its_tasks_run_and_until_the_last_of_them_has_ended"),
    },
    Sabotage {
        name: "heartbeat-stopped-before-the-drain-beside-another-process",
        breaks: "a worker that drains is not taken for dead",
        file: WORKER_STOP,
        old: DRAIN,
        new: DRAIN_WITHOUT_BEATS,
        caught_by: processes(
            "signals::a_worker_that_ends_its_last_job_for_five_leases_after_sigterm_is_not_taken_for_dead",
        ),
    },
    Sabotage {
        name: "panic-ends-the-thread",
        breaks: "a task that panics costs no thread",
        file: WORKER_EXECUTION,
        old: "catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(&*panic)))",
        new: "if std::thread::panicking() { Err(panicked(&\"\")) } else { run() }",
        caught_by: it("worker::a_panic_in_every_slot_fails_each_job_with_its_message_and_costs_no_slot"),
    },
];
