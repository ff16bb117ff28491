//! Mutants of the writer thread: transactions, batches, waiting claims.

use super::{Mutant, api, contract, process, unit};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "reserve-removed",
        breaks: "on a full disk running jobs can finish",
        file: "qdjobs/src/store/sqlite/writer/upkeep.rs",
        old: "self.reserve.release(self.clock.elapsed());",
        new: "self.reserve.check_soon();",
        killed_by: process(
            "disk_full::on_a_full_disk_running_jobs_finish_nothing_is_lost_and_all_resumes_when_there_is_space",
        ),
    },
    Mutant {
        name: "answer-before-commit",
        breaks: "a request is answered after its effect is durable, never before",
        file: "qdjobs/src/store/engine/requests.rs",
        old: "            Some(error) => self.fail(error),",
        new: "            Some(_) => self.send(),",
        killed_by: unit(
            "store::sqlite::writer::tests::the_end_of_a_job_is_answered_only_when_it_is_committed",
        ),
    },
    Mutant {
        name: "no-savepoint",
        breaks: "one bad request fails alone and as a whole",
        file: "qdjobs/src/store/engine/transaction_steps.rs",
        old: "let done = if several {",
        new: "let done = if several && !several {",
        killed_by: api("faults::jobs_stored_together_are_all_refused_when_the_database_refuses_one"),
    },
    Mutant {
        name: "no-autocommit-check",
        breaks: "after an error that has ended the transaction nothing of the batch is stored",
        file: "qdjobs/src/store/sqlite/transaction.rs",
        old: "!error.is_fatal() && !self.conn.is_autocommit()",
        new: "!error.is_fatal()",
        killed_by: api("faults::a_fault_that_ends_the_transaction_stores_nothing_of_the_refused_requests"),
    },
    Mutant {
        name: "wake-up-lost",
        breaks: "a queued request wakes the writer thread",
        file: "qdjobs/src/store/engine/requests.rs",
        old: "if std::mem::take(&mut state.asleep) {
            drop(state);",
        new: "if state.closed && std::mem::take(&mut state.asleep) {
            drop(state);",
        killed_by: contract(
            "sqlite::in_a_file::heartbeat::a_heartbeat_counts_and_every_worker_is_read_oldest_first",
        ),
    },
    Mutant {
        name: "waiting-claim-not-served",
        breaks: "a waiting claim is answered when a job is stored",
        file: "qdjobs/src/store/engine/transaction_steps.rs",
        old: "let may_have_more = batch.effects.ready > 0
        || batch.look",
        new: "let may_have_more = batch.look",
        killed_by: contract(
            "sqlite::in_a_file::waiting_claims::a_waiting_claim_is_answered_when_a_job_is_stored",
        ),
    },
    Mutant {
        name: "unregistered-worker-claims",
        breaks: "an unregistered worker claims nothing",
        file: "qdjobs/src/store/engine/transaction_steps.rs",
        old: "if !tx.is_registered(request.worker)? {",
        new: "if !tx.is_registered(request.worker)? && request.worker.0 == 0 {",
        killed_by: contract("sqlite::in_a_file::register::a_worker_that_is_not_registered_claims_nothing"),
    },
    Mutant {
        name: "claims-on-a-full-disk",
        breaks: "no job begins while the disk is full",
        file: "qdjobs/src/store/sqlite/transaction.rs",
        old: "        if self.is_full {
            return Ok(Vec::new());",
        new: "        if self.is_full && wanted.limit == 0 {
            return Ok(Vec::new());",
        killed_by: process(
            "disk_full::on_a_full_disk_running_jobs_finish_nothing_is_lost_and_all_resumes_when_there_is_space",
        ),
    },
    Mutant {
        name: "heartbeat-ignored",
        breaks: "a silent worker that has sent a heartbeat since the last look is not presumed dead",
        file: "qdjobs/src/store/engine/apply_requests.rs",
        old: "&& tx.heartbeats(worker)? != Some(heartbeats)",
        new: "&& tx.heartbeats(worker)?.is_none_or(|_| heartbeats == u64::MAX)",
        killed_by: contract(
            "sqlite::in_a_file::release::a_silent_worker_with_a_newer_heartbeat_is_left_alone",
        ),
    },
    Mutant {
        name: "lock-released-too-early",
        breaks: "a worker keeps its lock until it is released",
        file: "qdjobs/src/store/sqlite/writer/commit.rs",
        old: "let dead_sockets = std::mem::take(&mut tx.dead_sockets);",
        new: "let dead_sockets = std::mem::take(&mut tx.dead_sockets);
        self.workers.are_gone(&batch.effects.gone);",
        killed_by: unit("store::sqlite::writer::tests::a_worker_keeps_its_lock_file_until_it_is_removed"),
    },
];
