//! Mutants of the writer thread: transactions, batches, waiting claims.

use super::{Mutant, api, process, unit};

const WRITER: &str = "qdjobs/src/store/sqlite/writer/mod.rs";
const WRITER_APPLY: &str = "qdjobs/src/store/sqlite/writer/apply.rs";
const WRITER_SERVE: &str = "qdjobs/src/store/sqlite/writer/waiters.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "reserve-removed",
        breaks: "on a full disk running jobs can finish",
        file: WRITER,
        old: "self.reserve.spend(self.clock.elapsed());",
        new: "self.reserve.look_soon();",
        killed_by: process(
            "disk_full::on_a_full_disk_running_jobs_finish_nothing_is_lost_and_all_resumes_when_there_is_space",
        ),
    },
    Mutant {
        name: "answer-before-commit",
        breaks: "a request is answered after its effect is durable, never before",
        file: WRITER,
        old: "        self.answers.push(Box::new(move |commit| {
            let is_undone = match &answer {",
        new: "        reply.send(answer);
        let (reply, answer): (_, Result<()>) = (crate::store::Pending::new().0, Ok(()));
        self.answers.push(Box::new(move |commit| {
            let is_undone = match &answer {",
        killed_by: unit("store::sqlite::writer::tests::the_end_of_a_job_is_told_only_when_it_is_committed"),
    },
    Mutant {
        name: "no-savepoint",
        breaks: "one bad request fails alone and as a whole",
        file: WRITER_APPLY,
        old: "if !several {",
        new: "if !several || self.lonely < usize::MAX {",
        killed_by: api("faults::jobs_stored_together_are_all_refused_when_the_database_refuses_one"),
    },
    Mutant {
        name: "no-autocommit-check",
        breaks: "after an error that has ended the transaction nothing of the batch is stored",
        file: WRITER_APPLY,
        old: "Err(error) if error.is_fatal() || self.conn.is_autocommit() =>",
        new: "Err(error) if error.is_fatal() =>",
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
        killed_by: api(
            "contract::in_a_sqlite_file::a_heartbeat_counts_and_every_worker_is_read_oldest_first",
        ),
    },
    Mutant {
        name: "waiting-claim-not-served",
        breaks: "a waiting claim is answered when a job is stored",
        file: WRITER_SERVE,
        old: "(batch.ready > 0 || batch.look ||",
        new: "(batch.look ||",
        killed_by: api("contract::in_a_sqlite_file::a_standing_turn_is_answered_when_a_job_is_stored"),
    },
    Mutant {
        name: "unregistered-worker-claims",
        breaks: "an unregistered worker claims nothing",
        file: WRITER_APPLY,
        old: "if !verbs::is_registered(conn, turn.worker).map_err(fault::before_commit)? {",
        new: "if !verbs::is_registered(conn, turn.worker).map_err(fault::before_commit)? && turn.worker.0 == 0 {",
        killed_by: api("contract::in_a_sqlite_file::a_worker_that_is_not_enlisted_claims_nothing"),
    },
    Mutant {
        name: "claims-on-a-full-disk",
        breaks: "no job begins while the disk is full",
        file: WRITER_SERVE,
        old: "let may_claim = !self.reserve.is_spent();",
        new: "let may_claim = true;",
        killed_by: process(
            "disk_full::on_a_full_disk_running_jobs_finish_nothing_is_lost_and_all_resumes_when_there_is_space",
        ),
    },
    Mutant {
        name: "heartbeat-ignored",
        breaks: "a silent worker that has sent a heartbeat since the last look is not presumed dead",
        file: WRITER_APPLY,
        old: "Ok(found) if found == Some(heartbeats) =>",
        new: "Ok(found) if found.is_some() || found == Some(heartbeats) =>",
        killed_by: api("contract::in_a_sqlite_file::a_silent_worker_that_has_beaten_since_is_left_alone"),
    },
    Mutant {
        name: "lock-released-too-early",
        breaks: "a worker keeps its lock until it is released",
        file: WRITER_APPLY,
        old: "            Request::ReleaseWorker(worker, Release::ByWorker, reply) => {
",
        new: "            Request::ReleaseWorker(worker, Release::ByWorker, reply) => {
                self.lives.end(worker);
",
        killed_by: unit(
            "store::sqlite::writer::tests::a_worker_keeps_its_proof_of_life_until_it_is_off_the_list",
        ),
    },
];
