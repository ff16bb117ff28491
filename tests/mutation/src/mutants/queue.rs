//! Mutants of the queue.

use super::{Mutant, api};

pub(super) const MUTANTS: &[Mutant] = &[Mutant {
    name: "params-not-checked",
    breaks: "params by name are checked against their task before anything is stored",
    file: "qdjobs/src/queue/request.rs",
    old: "Ok(check_params(def, &text)?)",
    new: "Ok(check_params(def, &text).unwrap_or(text))",
    killed_by: api("queue::a_job_by_name_is_checked_against_its_task_before_anything_is_stored"),
}];
