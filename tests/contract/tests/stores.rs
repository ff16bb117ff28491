//! Every store against the one contract. The promises are in `src/`.

use qdjobs::Clock;
use qdjobs::store::memory::MemoryStore;
use qdjobs_contract::{Subject, store_contract};

fn memory(clock: Clock) -> Subject {
    Subject::single(MemoryStore::new(clock), ())
}

store_contract!(in_memory, memory);

#[test]
fn the_memory_store_by_the_system_clock() {
    qdjobs_contract::check_by_the_system_clock(memory);
    qdjobs_contract::check_that_due_jobs_are_claimed_on_time(memory);
}

#[cfg(feature = "sqlite")]
#[expect(clippy::unwrap_used, reason = "a store that does not open fails its test")]
mod sqlite {
    use qdjobs::Clock;
    use qdjobs::store::sqlite::{SqliteOptions, SqliteStore};
    use qdjobs_contract::{Subject, store_contract};

    /// A new file, in a directory that goes when the test is over.
    fn one(clock: Clock) -> Subject {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("jobs.db"), SqliteOptions::default(), clock).unwrap();
        Subject::single(store, dir)
    }

    store_contract!(in_a_file, one);

    #[test]
    fn one_store_by_the_system_clock() {
        qdjobs_contract::check_by_the_system_clock(one);
        qdjobs_contract::check_that_due_jobs_are_claimed_on_time(one);
    }
}

/// The SQLite of the system may be a version with which only one store may open a file.
#[cfg(feature = "bundled")]
#[expect(clippy::unwrap_used, reason = "a store that does not open fails its test")]
mod sqlite_pairs {
    use std::path::Path;
    use std::sync::Arc;

    use qdjobs::Clock;
    use qdjobs::store::sqlite::{SqliteOptions, SqliteStore};
    use qdjobs_contract::pair::Split;
    use qdjobs_contract::{Subject, store_contract};

    fn two(clock: Clock, split: Split) -> Subject {
        let dir = tempfile::tempdir().unwrap();
        // Without the reserve for a full disk, which is made anew for each worker that comes.
        let open = |path: &Path| {
            let mut options = SqliteOptions::default();
            options.disk_reserve = 0;
            SqliteStore::open(path, options, clock.clone()).unwrap()
        };
        let path = dir.path().join("jobs.db");
        let (first, second): (Arc<SqliteStore>, Arc<SqliteStore>) = (open(&path), open(&path));
        Subject::pair(first, second, split, dir)
    }

    fn callers_and_workers(clock: Clock) -> Subject {
        two(clock, Split::CallersAndWorkers)
    }

    fn inserts_and_the_rest(clock: Clock) -> Subject {
        two(clock, Split::InsertsAndTheRest)
    }

    store_contract!(in_two_processes_of_callers_and_workers, callers_and_workers);
    store_contract!(in_two_processes_of_inserts_and_the_rest, inserts_and_the_rest);

    #[test]
    fn a_pair_by_the_system_clock() {
        qdjobs_contract::check_by_the_system_clock(callers_and_workers);
    }

    /// A manual clock wakes every store, so only the clock of the system shows whether one process learns of
    /// a job that another has stored for later.
    #[test]
    fn a_job_that_one_process_stores_for_later_is_claimed_on_time_by_another() {
        qdjobs_contract::check_that_due_jobs_are_claimed_on_time(callers_and_workers);
    }
}
