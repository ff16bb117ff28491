//! Mutants of opening a file, the schema, and what an error of SQLite means.

use super::{Mutant, api, contract, disk, unit};

const OPEN: &str = "qdjobs/src/store/sqlite/connection/open.rs";
const SCHEMA: &str = "qdjobs/src/store/sqlite/connection/migrations/0001_jobs.sql";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "mode-0600-not-set",
        breaks: "only the owner can read the files of a queue",
        file: OPEN,
        old: "mode(&mut options, 0o600)",
        new: "mode(&mut options, 0o644)",
        killed_by: api("faults::the_files_of_a_queue_are_private_to_their_owner_whatever_the_umask"),
    },
    Mutant {
        name: "log-not-checkpointed",
        breaks: "a commit that a dead process did not sync loses no later commit",
        file: "qdjobs/src/store/sqlite/connection/open.rs",
        old: "    checkpoint_found_log(&conn, options)?;",
        new: "    let _ = checkpoint_found_log;",
        killed_by: unit(
            "store::sqlite::connection::open::tests::a_commit_that_a_dead_process_could_not_sync_does_not_lose_later_commits",
        ),
    },
    Mutant {
        name: "log-begun-without-a-write",
        breaks: "what can be read after an open survives a power failure",
        file: OPEN,
        old: "Ok(false) => match BusyRetry::new(options.busy_timeout).retry(|| begin_log(conn)) {",
        new: "Ok(false) => match BusyRetry::new(options.busy_timeout).retry(|| Ok(())) {",
        killed_by: unit(
            "store::sqlite::connection::open::tests::what_can_be_read_after_the_open_survives_a_power_cut_although_its_own_sync_failed",
        ),
    },
    Mutant {
        name: "files-not-looked-at-before-a-commit",
        breaks: "nothing is confirmed in a file that is no longer the one of its name",
        file: "qdjobs/src/store/sqlite/writer/commit.rs",
        old: "        self.check_files()?;\n        let committed",
        new: "        let committed",
        killed_by: api("files::nothing_is_confirmed_in_a_file_that_is_not_the_one_of_its_name"),
    },
    Mutant {
        name: "files-looked-at-too-seldom",
        breaks: "a call that waits learns within a second that its file was replaced",
        file: "qdjobs/src/store/sqlite/writer/mod.rs",
        old: "const FILES_EVERY: Duration = Duration::from_millis(500);",
        new: "const FILES_EVERY: Duration = Duration::from_secs(25);",
        killed_by: api("files::a_call_that_waits_for_a_job_notices_that_its_file_was_replaced"),
    },
    Mutant {
        name: "missing-link-ignored",
        breaks: "a link that is removed halts the queue that was opened by it",
        file: "qdjobs/src/store/sqlite/files/open_files.rs",
        old: ".elapsed() < LINK_SWAP_MAX {",
        new: ".elapsed() < LINK_SWAP_MAX * 1_000_000 {",
        killed_by: api("files::a_link_that_is_removed_halts_the_queue_that_was_opened_by_it"),
    },
    Mutant {
        name: "coarse-directory-time-trusted",
        breaks: "a directory without fractions of seconds counts as unchanged only after some seconds",
        file: "qdjobs/src/store/sqlite/files/open_files.rs",
        old: "let tick = if nanos == 0 { COARSE_TICK_MAX } else { TICK_MAX };",
        new: "let tick = if nanos == 1 { COARSE_TICK_MAX } else { TICK_MAX };",
        killed_by: unit(
            "store::sqlite::files::open_files::tests::a_directory_counts_as_unchanged_only_if_its_file_system_would_show_a_later_change",
        ),
    },
    Mutant {
        name: "replaced-while-opened",
        breaks: "a database that is replaced between the connections of a queue is not used",
        file: "qdjobs/src/store/sqlite/mod.rs",
        old: "    if !files.is_same_database(&before) {",
        new: "    if false && !files.is_same_database(&before) {",
        killed_by: unit(
            "store::sqlite::tests::a_database_that_is_replaced_between_its_connections_is_not_used",
        ),
    },
    Mutant {
        name: "second-name-of-a-restore-stays",
        breaks: "a restore ends an interrupted one",
        file: "qdjobs/src/store/sqlite/tools/swap.rs",
        old: "let is_interrupted = file_names::left_by_restore(&found).is_some();",
        new: "let is_interrupted = file_names::left_by_restore(&found).is_none() && false;",
        killed_by: api(
            "restore::an_interrupted_restore_says_so_at_the_next_open_and_the_next_restore_ends_it",
        ),
    },
    Mutant {
        name: "second-name-salvaged",
        breaks: "a database by its second name is not salvaged without its log",
        file: "qdjobs/src/store/sqlite/tools/check.rs",
        old: "may_have_log(path).map_err(error::at(path))? { refused }",
        new: "may_have_log(path).map_err(error::at(path))? && false { refused }",
        killed_by: api(
            "restore::a_second_name_of_a_database_is_neither_restored_nor_salvaged_and_one_of_a_backup_is",
        ),
    },
    Mutant {
        name: "old-sqlite-opened",
        breaks: "a SQLite without STRICT tables is refused in one sentence, before it creates a file",
        file: OPEN,
        old: "    system_sqlite::refuse_old(machine.sqlite_version)?;\n",
        new: "    let _ = system_sqlite::refuse_old;\n",
        killed_by: unit(
            "store::sqlite::tests::a_sqlite_without_strict_tables_is_refused_before_the_database_is_created",
        ),
    },
    Mutant {
        name: "single-file-mounts-not-looked-at",
        breaks: "a database that is mounted alone is refused",
        file: OPEN,
        old: "refuse_second_name(&found, machine.mounts.as_deref())",
        new: "refuse_second_name(&found, None)",
        killed_by: unit(
            "store::sqlite::tests::a_database_that_is_mounted_alone_is_refused_before_it_is_opened",
        ),
    },
    Mutant {
        name: "pragma-not-read-back",
        breaks: "a pragma that SQLite does not set as requested is an error",
        file: OPEN,
        old: "if now == value {",
        new: "if now == value || true {",
        killed_by: unit(
            "store::sqlite::connection::open::tests::a_pragma_that_sqlite_does_not_set_as_requested_is_an_error",
        ),
    },
    Mutant {
        name: "newer-schema-opened",
        breaks: "a database of a newer version is refused unchanged",
        file: "qdjobs/src/store/sqlite/connection/migrate.rs",
        old: "if min_writer > SCHEMA_VERSION {",
        new: "if min_writer > SCHEMA_VERSION + 1_000_000 {",
        killed_by: api("faults::a_database_of_a_newer_version_is_refused_unchanged"),
    },
    Mutant {
        name: "schema-without-version-opened",
        breaks: "tables without a version are refused unchanged",
        file: "qdjobs/src/store/sqlite/connection/migrate.rs",
        old: "(0, Some(tables)) => ",
        new: "(0, Some(tables)) if tables.is_empty() => ",
        killed_by: api("faults::tables_without_a_version_are_refused_unchanged"),
    },
    Mutant {
        name: "wal-switch-ignored",
        breaks: "a switch to WAL mode that fails is an error",
        file: OPEN,
        old: "    rows.next()?;
    mode.ok_or",
        new: "    mode.ok_or",
        killed_by: disk("each_operation::opening_and_closing_survive_each_failing_operation"),
    },
    Mutant {
        name: "corrupt-file-written",
        breaks: "a file that is found corrupt while it is opened stays unchanged, and so does its log",
        file: "qdjobs/src/store/sqlite/connection/open.rs",
        old: "if configured.as_ref().is_err_and(Error::is_fatal) {",
        new: "if configured.as_ref().is_ok_and(|()| false) {",
        killed_by: disk("corruption::a_corrupt_file_works_or_ends_in_a_clear_error_and_is_never_deleted"),
    },
    Mutant {
        name: "relaxed-sync",
        breaks: "what was confirmed survives a power cut",
        file: OPEN,
        old: "Durability::Full => 2,",
        new: "Durability::Full => 1,",
        killed_by: disk(
            "power_loss::a_power_cut_loses_nothing_confirmed_and_keeps_nothing_that_certainly_failed",
        ),
    },
    Mutant {
        name: "commit-error-reported-as-certain",
        breaks: "an error in the commit is reported as unconfirmed",
        file: "qdjobs/src/store/sqlite/connection/error.rs",
        old: "Error::new(ErrorKind::Indeterminate, message)",
        new: "Error::new(ErrorKind::Storage, message)",
        killed_by: disk("each_operation::enqueues_survive_each_failing_operation"),
    },
    Mutant {
        name: "halt-removed",
        breaks: "after a failed sync nothing more is confirmed",
        file: "qdjobs/src/store/sqlite/connection/error.rs",
        old: "ffi::SQLITE_IOERR_FSYNC
",
        new: "ffi::SQLITE_IOERR_DATA
",
        killed_by: disk(
            "failed_sync::after_a_failed_sync_nothing_more_is_confirmed_and_what_was_confirmed_is_stored",
        ),
    },
    Mutant {
        name: "fork-not-noticed",
        breaks: "a queue in a fork of its process is refused",
        file: "qdjobs/src/store/sqlite/connection/fork_guard.rs",
        old: "if process == self.process { Ok(()) }",
        new: "if process == self.process || process > 0 { Ok(()) }",
        killed_by: disk("fork::a_queue_in_a_forked_child_is_refused_and_the_parents_continues"),
    },
    Mutant {
        name: "idempotency-index-dropped",
        breaks: "at most one job has an idempotency key, even if plain SQL stores it",
        file: SCHEMA,
        old: "CREATE UNIQUE INDEX qdjobs_idempotency_key",
        new: "CREATE INDEX qdjobs_idempotency_key",
        killed_by: contract(
            "sqlite::in_a_file::insert::the_same_job_under_its_key_is_stored_once_whatever_became_of_it",
        ),
    },
    Mutant {
        name: "deferred-transaction",
        breaks: "a write waits for a lock that another connection holds",
        file: "qdjobs/src/store/sqlite/connection/error.rs",
        old: "prepare_cached(\"BEGIN IMMEDIATE\")",
        new: "prepare_cached(\"BEGIN\")",
        killed_by: api("faults::a_write_that_meets_a_lock_waits_until_it_is_released"),
    },
    Mutant {
        name: "delete-leaves-history",
        breaks: "a deleted job is gone with its history",
        file: SCHEMA,
        old: "DELETE FROM qdjobs_attempts WHERE job_id = OLD.id;",
        new: "DELETE FROM qdjobs_attempts WHERE job_id = -OLD.id;",
        killed_by: contract("sqlite::in_a_file::command::a_deleted_job_is_gone_with_its_history"),
    },
    Mutant {
        name: "checkpoint-leaves-the-next-log-unmarked",
        breaks: "a log that a queue has written to is known by its mark",
        file: "qdjobs/src/store/sqlite/writer/log_marker.rs",
        old: "} else if salts.is_some() && salts != self.marked {",
        new: "} else if salts.is_none() && salts != self.marked {",
        killed_by: api("files::a_log_that_a_last_commit_began_gets_its_mark_soon"),
    },
    Mutant {
        name: "mark-forgets-the-log-before",
        breaks: "a crash or a power failure never makes the log of a database foreign",
        file: "qdjobs/src/store/sqlite/connection/log_mark.rs",
        old: "[&MAGIC[..], &new, &before].concat()",
        new: "[&MAGIC[..], &new, if before > new { &before } else { &new }].concat()",
        killed_by: unit(
            "store::sqlite::connection::log_mark::tests::no_crash_and_no_power_failure_makes_a_log_foreign",
        ),
    },
    Mutant {
        name: "backup-keeps-the-mark",
        breaks: "a backup beside the log of the database that it replaced is refused",
        file: "qdjobs/src/store/sqlite/tools/backup.rs",
        old: "    log_mark::write(&conn)?;",
        new: "",
        killed_by: api("files::a_database_beside_the_log_of_another_file_is_refused_and_not_changed"),
    },
    Mutant {
        name: "restore-without-the-lock",
        breaks: "a database that is in use is not replaced",
        file: "qdjobs/src/store/sqlite/tools/swap.rs",
        old: "PRAGMA locking_mode = EXCLUSIVE",
        new: "PRAGMA locking_mode = NORMAL",
        killed_by: api("restore::a_database_that_is_in_use_is_not_replaced"),
    },
    Mutant {
        name: "restore-gives-ids-again",
        breaks: "no job gets an id that a job of the replaced database had",
        file: "qdjobs/src/store/sqlite/tools/restore.rs",
        old: "prepare(&copy, place.last_id())",
        new: "prepare(&copy, place.last_id() / 1_000)",
        killed_by: api("restore::no_job_gets_an_id_that_a_job_of_the_replaced_database_had"),
    },
    Mutant {
        name: "nan-stored",
        breaks: "a value that would be read back as another one is refused when it is stored",
        file: "qdjobs/src/model/json/strict.rs",
        old: "        match value.is_finite() {
            true => self.inner.serialize_f64(value),",
        new: "        match value.is_finite() || value.is_nan() {
            true => self.inner.serialize_f64(value),",
        killed_by: unit(
            "task::tests::params_that_would_be_read_back_as_other_values_are_refused_by_their_place",
        ),
    },
];
