//! Mutants of the contract of a store.

use super::{Mutant, api, contract};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "close-leaves-waiters",
        breaks: "a closing queue answers every waiter",
        file: "qdjobs/src/store/reply.rs",
        old: "deliver(&slot, Err(unanswered));",
        new: "drop((slot, unanswered));",
        killed_by: contract("sqlite::in_a_file::close::a_closed_store_refuses_every_request"),
    },
    Mutant {
        name: "running-job-deleted",
        breaks: "a running job is not deleted by command",
        file: "qdjobs/src/store/command.rs",
        old: "JobCommand::Delete(_), Status::Running) => {
                (true,",
        new: "JobCommand::Delete(_), Status::Running) => {
                (!matches!(self, JobCommand::Delete(_)),",
        killed_by: api("queue::a_command_that_does_not_apply_is_a_conflict_with_a_help_line"),
    },
];
