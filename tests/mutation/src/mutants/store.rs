//! Mutants of the contract of a store.

use super::{Mutant, api};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "close-leaves-waiters",
        breaks: "a closing queue answers every waiter",
        file: "qdjobs/src/store/pending.rs",
        old: "deliver(&slot, Err(unanswered));",
        new: "drop((slot, unanswered));",
        killed_by: api("contract::in_a_sqlite_file::a_closed_store_says_so_to_everybody"),
    },
    Mutant {
        name: "running-job-deleted",
        breaks: "a running job is not deleted by command",
        file: "qdjobs/src/store/mod.rs",
        old: "(_, Status::Running) => {
                (true,",
        new: "(_, Status::Running) => {
                (!matches!(self, JobCommand::Delete(_)),",
        killed_by: api("queue::a_command_that_does_not_apply_is_a_conflict_with_a_help_line"),
    },
];
