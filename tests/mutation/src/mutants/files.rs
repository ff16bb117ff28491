//! Mutants of the files beside the database, and wake-ups.

use super::{Mutant, unit};

pub(super) const MUTANTS: &[Mutant] = &[Mutant {
    name: "missing-file-is-death",
    breaks: "only a free worker lock proves a death; a missing file proves nothing",
    file: "qdjobs/src/store/sqlite/files/worker_locks.rs",
    old: "Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => false,",
    new: "Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) => false,
            Err(_) => true,",
    killed_by: unit(
        "store::sqlite::files::worker_locks::tests::a_missing_lock_file_proves_nothing_and_an_unlocked_one_proves_a_death",
    ),
}];
