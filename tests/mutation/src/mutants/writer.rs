//! Mutants of the writer: the commit, a full disk, and which thread writes.

use super::{Mutant, process, unit};

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
        name: "no-autocommit-check",
        breaks: "after an error that has ended the transaction nothing of the batch is stored",
        file: "qdjobs/src/store/sqlite/transaction.rs",
        old: "!self.has_leftovers && !self.conn.is_autocommit()",
        new: "!self.has_leftovers",
        killed_by: unit(
            "store::sqlite::writer::tests::a_trigger_that_rolls_back_refuses_all_callers_and_stores_nothing",
        ),
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
        name: "lock-released-too-early",
        breaks: "a worker keeps its lock until it is released",
        file: "qdjobs/src/store/sqlite/writer/commit.rs",
        old: "let dead_sockets = std::mem::take(&mut tx.dead_sockets);",
        new: "let dead_sockets = std::mem::take(&mut tx.dead_sockets);
        self.workers.are_gone(&batch.effects.gone);",
        killed_by: unit("store::sqlite::writer::tests::a_worker_keeps_its_lock_file_until_it_is_removed"),
    },
    Mutant {
        name: "earlier-due-instant-leaves-the-thread-asleep",
        breaks: "a caller that writes an earlier due job itself wakes the writing thread",
        file: "qdjobs/src/store/sqlite/writer/thread.rs",
        old: "due.is_none_or(|due| next < due)",
        new: "due.is_none()",
        killed_by: unit(
            "store::sqlite::writer::thread::tests::a_caller_that_stores_an_earlier_due_job_wakes_the_thread",
        ),
    },
];
