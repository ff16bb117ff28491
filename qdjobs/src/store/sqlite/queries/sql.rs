//! The SQL text of every statement of the SQLite store, in the order of a job's life.
//!
//! The tables and indexes are in `connection/migrations/`. Which statement runs when is decided in the other
//! files of this folder.
//!
//! Depends on nothing.
//!
//! The comment of each says what it binds, what it returns and, where it matters, the index it uses. A test
//! prepares them all on a fresh schema and checks the plans of the hot ones. The columns of a partial index
//! (`status = 'pending' AND availability = 1`) are literal in each WHERE: bound, they would not match the
//! index.
//!
//! Whether a pending job may be claimed is decided by
//! [`Availability`](crate::model::availability::Availability) and bound. [`PROMOTE`], [`GIVE_BACK`] and
//! [`CLEAR_SHARED_CRASHES`] compute it from the crash count of the row, whose limit is `SUSPECTED_FROM`. A test
//! compares the first with the model; for the others, the contract compares this store with the one in memory.

use std::sync::LazyLock;

// -- insert

/// Binds task_name, name, params, queue, priority, max_retries, scheduled_at, created_at, metadata,
/// availability.
pub(in crate::store::sqlite) const INSERT: &str = "
    INSERT INTO qdjobs_jobs
        (task_name, name, params, queue, priority, max_retries, scheduled_at, created_at, metadata, availability)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// The most rows of an [`INSERT_MANY`]. In one run of `qdjobs-bench --only enqueue --quick`, a bulk enqueue with at most 8
/// rows reached 74 % of the rate of the bare engine, with 16 80 %, with 32 82 %.
pub(in crate::store::sqlite) const ROWS_OF_MANY: usize = 16;

/// [`INSERT`] for several jobs: a number of rows, and the statement for as many. The largest is first. Binds the values of
/// one job after the other; returns the id of each stored row. SQLite inserts the rows of VALUES in their order, so the ids
/// ascend in that order. It may return them in any order.
///
/// A statement for each job costs twice as much: each opens the table and its indexes, and writes the id sequence.
pub(in crate::store::sqlite) static INSERT_MANY: LazyLock<[(usize, String); 4]> = LazyLock::new(|| {
    [ROWS_OF_MANY, 8, 4, 2].map(|rows| {
        let further = ", (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)".repeat(rows - 1);
        (rows, format!("{INSERT}{further} RETURNING id"))
    })
});

/// As [`INSERT`], plus the schema version of this program. Changes no row if writers must know a later
/// schema. For a statement that is its own transaction.
pub(in crate::store::sqlite) const INSERT_ALONE: &str = "
    INSERT INTO qdjobs_jobs
        (task_name, name, params, queue, priority, max_retries, scheduled_at, created_at, metadata, availability)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE (SELECT min_writer FROM qdjobs_meta) <= ?11";

/// Binds id, params: large params, for which [`INSERT`] has bound NULL.
pub(in crate::store::sqlite) const INSERT_PARAMS: &str =
    "INSERT INTO qdjobs_params (job_id, params) VALUES (?1, ?2)";

/// As [`INSERT`], plus idempotency_key. Changes no row if the key is held.
pub(in crate::store::sqlite) const INSERT_KEYED: &str = "
    INSERT INTO qdjobs_jobs
        (task_name, name, params, queue, priority, max_retries, scheduled_at, created_at, metadata, availability, idempotency_key)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING";

/// Binds idempotency_key; returns id, task_name, params of the job that holds it.
pub(in crate::store::sqlite) const HOLDER: &str = "
    SELECT id, task_name, coalesce(params, (SELECT params FROM qdjobs_params WHERE job_id = qdjobs_jobs.id), 'null')
    FROM qdjobs_jobs INDEXED BY qdjobs_idempotency_key WHERE idempotency_key = ?1";

/// Binds one JSON text: an array of objects, as `external_tx` writes it; returns the id of each job, in this order.
/// For a caller's own transaction on another driver. A delay counts from `created_at`, which the schema sets by the
/// database's clock. If the same job already holds the key, that job is updated without a change, so that its id is
/// returned. If another job holds it, the update would remove that job's key, and a trigger refuses it.
pub(in crate::store::sqlite) const INSERT_JSON: &str = "
    INSERT INTO qdjobs_jobs
        (task_name, name, params, queue, priority, max_retries, metadata, idempotency_key, scheduled_at)
    SELECT json_extract(value, '$.task_name'), json_extract(value, '$.name'), json_extract(value, '$.params'),
           json_extract(value, '$.queue'), json_extract(value, '$.priority'), json_extract(value, '$.max_retries'),
           json_extract(value, '$.metadata'), json_extract(value, '$.idempotency_key'),
           coalesce(json_extract(value, '$.at'),
                    json_extract(value, '$.after')
                        + CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000)
    FROM json_each(?1) WHERE true ORDER BY key
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO UPDATE SET idempotency_key =
        CASE WHEN task_name = excluded.task_name
              AND json(coalesce(params, (SELECT params FROM qdjobs_params WHERE job_id = qdjobs_jobs.id)))
                  IS json(excluded.params)
             THEN idempotency_key END
    RETURNING id";

/// Binds name, queue, priority, max_retries.
pub(in crate::store::sqlite) const PUBLISH: &str = "
    INSERT INTO qdjobs_tasks (name, queue, priority, max_retries) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (name) DO UPDATE
        SET queue = excluded.queue, priority = excluded.priority, max_retries = excluded.max_retries
        WHERE (queue, priority, max_retries) IS NOT (excluded.queue, excluded.priority, excluded.max_retries)";

// -- claim

/// Binds id, host, pid, started_at, wake_socket.
pub(in crate::store::sqlite) const REGISTER_WORKER: &str = "
    INSERT INTO qdjobs_workers (id, host, pid, started_at, wake_socket) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (id) DO NOTHING";

/// Binds worker. One row if it is registered.
pub(in crate::store::sqlite) const IS_REGISTERED: &str = "SELECT 1 FROM qdjobs_workers WHERE id = ?1";

/// Binds task_name, queue; returns the next pair after it that has ready jobs. It takes at most two seeks in
/// qdjobs_ready, even if a pair has many jobs. With `(task_name, queue) > (?1, ?2)`, SQLite would start *at*
/// that pair and step over all of its jobs.
pub(in crate::store::sqlite) const NEXT_READY_PAIR: &str = "
    SELECT * FROM (
        SELECT task_name, queue FROM qdjobs_jobs INDEXED BY qdjobs_ready
        WHERE status = 'pending' AND availability = 1 AND task_name = ?1 AND queue > ?2 ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT * FROM (
        SELECT task_name, queue FROM qdjobs_jobs INDEXED BY qdjobs_ready
        WHERE status = 'pending' AND availability = 1 AND task_name > ?1 ORDER BY task_name, queue LIMIT 1)
    LIMIT 1";

/// As [`NEXT_READY_PAIR`], for suspected poison jobs.
pub(in crate::store::sqlite) const NEXT_SUSPECTED_PAIR: &str = "
    SELECT * FROM (
        SELECT task_name, queue FROM qdjobs_jobs INDEXED BY qdjobs_suspected
        WHERE status = 'pending' AND availability = 2 AND task_name = ?1 AND queue > ?2 ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT * FROM (
        SELECT task_name, queue FROM qdjobs_jobs INDEXED BY qdjobs_suspected
        WHERE status = 'pending' AND availability = 2 AND task_name > ?1 ORDER BY task_name, queue LIMIT 1)
    LIMIT 1";

/// One row if a suspected poison job waits to be claimed.
pub(in crate::store::sqlite) const HAS_SUSPECTED: &str = "
    SELECT 1 FROM qdjobs_jobs INDEXED BY qdjobs_suspected WHERE status = 'pending' AND availability = 2 LIMIT 1";

/// Binds the first and the last worker id of a process; returns how many suspected poison jobs its workers hold, and
/// the smallest max_suspected among them.
pub(in crate::store::sqlite) const HELD_SUSPECTED: &str = "
    SELECT count(*), min(coalesce(max_suspected, 1))
    FROM qdjobs_workers CROSS JOIN qdjobs_jobs INDEXED BY qdjobs_running ON worker_id = qdjobs_workers.id
    WHERE qdjobs_workers.id BETWEEN ?1 AND ?2 AND status = 'running' AND availability = 2";

/// Binds task_name, queue, limit; returns priority, scheduled_at, id in claim order. Reads only qdjobs_ready.
pub(in crate::store::sqlite) const READY: &str = "
    SELECT priority, scheduled_at, id FROM qdjobs_jobs INDEXED BY qdjobs_ready
    WHERE status = 'pending' AND availability = 1 AND task_name = ?1 AND queue = ?2
    ORDER BY priority DESC, scheduled_at, id LIMIT ?3";

/// Binds task_name, queue, limit; returns the jobs to claim, in claim order. No code of this crate leaves a
/// job without params. If one exists, its attempt fails, and other jobs are not delayed.
pub(in crate::store::sqlite) const FIRST_READY: &str = "
    SELECT id, attempt, coalesce(params, (SELECT params FROM qdjobs_params WHERE job_id = qdjobs_jobs.id), 'null'),
           name, priority, retry_count, max_retries, created_at, scheduled_at, metadata, idempotency_key
    FROM qdjobs_jobs INDEXED BY qdjobs_ready
    WHERE status = 'pending' AND availability = 1 AND task_name = ?1 AND queue = ?2
    ORDER BY priority DESC, scheduled_at, id LIMIT ?3";

/// As [`READY`], for suspected poison jobs; max_suspected follows.
pub(in crate::store::sqlite) const SUSPECTED: &str = "
    SELECT priority, scheduled_at, id, max_suspected FROM qdjobs_jobs INDEXED BY qdjobs_suspected
    WHERE status = 'pending' AND availability = 2 AND task_name = ?1 AND queue = ?2
    ORDER BY priority DESC, scheduled_at, id LIMIT ?3";

/// As [`FIRST_READY`], for the job with the bound id.
pub(in crate::store::sqlite) const READY_JOB: &str = "
    SELECT id, attempt, coalesce(params, (SELECT params FROM qdjobs_params WHERE job_id = qdjobs_jobs.id), 'null'),
           name, priority, retry_count, max_retries, created_at, scheduled_at, metadata, idempotency_key
    FROM qdjobs_jobs WHERE id = ?1";

/// Binds task_name, queue, limit, worker, now; claims the jobs of [`FIRST_READY`]. A single statement with
/// RETURNING would cost a fifth more, because it first builds a table of its rows.
pub(in crate::store::sqlite) const CLAIM: &str = "
    UPDATE qdjobs_jobs
    SET status = 'running', attempt = attempt + 1, worker_id = ?4, started_at = ?5, progress = NULL, progress_message = NULL
    WHERE id IN (SELECT id FROM qdjobs_jobs INDEXED BY qdjobs_ready
                 WHERE status = 'pending' AND availability = 1 AND task_name = ?1 AND queue = ?2
                 ORDER BY priority DESC, scheduled_at, id LIMIT ?3)";

/// Binds id, worker, now; claims one job that [`FIRST_READY`] or [`READY_JOB`] has returned.
pub(in crate::store::sqlite) const CLAIM_ONE: &str = "
    UPDATE qdjobs_jobs
    SET status = 'running', attempt = attempt + 1, worker_id = ?2, started_at = ?3, progress = NULL, progress_message = NULL
    WHERE id = ?1 AND status = 'pending' AND availability > 0";

// -- heartbeat

/// Binds worker. Changes no row if the worker is not registered.
pub(in crate::store::sqlite) const HEARTBEAT: &str =
    "UPDATE qdjobs_workers SET heartbeats = heartbeats + 1 WHERE id = ?1";

/// Returns id, attempt, worker_id, crash_count, max_suspected, started_at of running jobs whose worker is not registered. No
/// code of this crate leaves such jobs; a change by hand in a database shell can. Reads qdjobs_running, which
/// contains only running jobs.
pub(in crate::store::sqlite) const ORPHANS: &str = "
    SELECT id, attempt, worker_id, crash_count, max_suspected, started_at FROM qdjobs_jobs INDEXED BY qdjobs_running
    WHERE status = 'running' AND (worker_id IS NULL OR worker_id NOT IN (SELECT id FROM qdjobs_workers))";

// -- progress

/// Binds id, attempt, worker, progress, progress_message.
pub(in crate::store::sqlite) const REPORT_PROGRESS: &str = "
    UPDATE qdjobs_jobs SET progress = ?4, progress_message = ?5
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3";

// -- finish, and every other way out of `running`. All bind id, attempt, worker first, and change no row if
// the claim is lost.

/// Binds result, started_at, now.
pub(in crate::store::sqlite) const COMPLETE: &str = "
    UPDATE qdjobs_jobs
    SET status = 'completed', result = ?4, started_at = ?5, completed_at = ?6, error = NULL,
        progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3";

/// Binds one JSON text: an object with id, attempt, worker_id, result, started_at, completed_at. It is
/// [`COMPLETE`] for a caller's own transaction on another driver, and returns one row if the claim held the job.
/// The job's own row records the attempt.
pub(in crate::store::sqlite) const COMPLETE_JSON: &str = "
    UPDATE qdjobs_jobs
    SET status = 'completed', result = json_extract(?1, '$.result'), started_at = json_extract(?1, '$.started_at'),
        completed_at = json_extract(?1, '$.completed_at'), error = NULL,
        progress = CASE WHEN progress IS NOT NULL THEN 1.0 END
    WHERE id = json_extract(?1, '$.id') AND status = 'running' AND attempt = json_extract(?1, '$.attempt')
        AND worker_id = json_extract(?1, '$.worker_id')
    RETURNING id";

/// Binds error, started_at, now, status, crashes. For `failed` and `cancelled`.
pub(in crate::store::sqlite) const END: &str = "
    UPDATE qdjobs_jobs
    SET status = ?7, error = ?4, started_at = ?5, completed_at = ?6, crash_count = crash_count + ?8
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3";

/// Makes a job pending again. Binds error (NULL keeps it), started_at, scheduled_at (NULL keeps it), due, begun,
/// retries, crashes, max_suspected (NULL keeps it). `begun` is 1 if the attempt counts, and 0 if its number is used
/// again; an orphan that was never claimed keeps 0. For an orphan without a worker, the worker is 0.
pub(in crate::store::sqlite) const GIVE_BACK: &str = "
    UPDATE qdjobs_jobs
    SET status = 'pending', attempt = max(attempt - (1 - ?8), 0), retry_count = retry_count + ?9, crash_count = crash_count + ?10,
        error = coalesce(?4, error), scheduled_at = coalesce(?6, scheduled_at),
        availability = CASE WHEN ?7 THEN 1 + (crash_count + ?10 > 1) ELSE 0 END, max_suspected = coalesce(?11, max_suspected),
        started_at = CASE WHEN ?8 THEN ?5 ELSE
            (SELECT started_at FROM qdjobs_attempts WHERE job_id = ?1 ORDER BY attempt DESC LIMIT 1) END,
        worker_id = NULL
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND coalesce(worker_id, 0) = ?3";

/// Binds id, attempt, started_at, ended_at, worker, outcome, error.
pub(in crate::store::sqlite) const RECORD_ATTEMPT: &str = "
    INSERT OR REPLACE INTO qdjobs_attempts (job_id, attempt, started_at, ended_at, worker_id, outcome, error)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Binds id, attempt, worker; returns the status if the job has ended under exactly this claim. A job that
/// failed by a crash is excluded: if its worker was only suspended, the claim of that worker is lost.
pub(in crate::store::sqlite) const ENDED_UNDER: &str = "
    SELECT status FROM qdjobs_jobs
    WHERE id = ?1 AND status IN ('completed', 'failed', 'cancelled') AND attempt = ?2 AND worker_id = ?3
        AND NOT EXISTS (SELECT 1 FROM qdjobs_attempts WHERE job_id = ?1 AND attempt = ?2 AND outcome = 'crashed')";

/// Binds id, attempt, worker, outcome: one row if the history has this attempt.
pub(in crate::store::sqlite) const HAS_ATTEMPT: &str = "
    SELECT 1 FROM qdjobs_attempts WHERE job_id = ?1 AND attempt = ?2 AND worker_id = ?3 AND outcome = ?4";

// -- promote

/// Binds now, limit. Reads qdjobs_scheduled up to now.
pub(in crate::store::sqlite) const PROMOTE: &str = "
    UPDATE qdjobs_jobs SET availability = 1 + (crash_count > 1) WHERE id IN (
        SELECT id FROM qdjobs_jobs INDEXED BY qdjobs_scheduled
        WHERE status = 'pending' AND availability = 0 AND scheduled_at <= ?1 ORDER BY scheduled_at LIMIT ?2)";

/// The next instant at which a job is due: the first entry of qdjobs_scheduled.
pub(in crate::store::sqlite) const NEXT_DUE: &str = "
    SELECT scheduled_at FROM qdjobs_jobs INDEXED BY qdjobs_scheduled
    WHERE status = 'pending' AND availability = 0 AND scheduled_at IS NOT NULL ORDER BY scheduled_at LIMIT 1";

// -- release

/// Binds worker. The transaction that deletes the row also releases the jobs of the worker.
pub(in crate::store::sqlite) const REMOVE_WORKER: &str = "DELETE FROM qdjobs_workers WHERE id = ?1";

/// Binds worker; returns id, attempt, worker_id, crash_count, max_suspected, started_at of the jobs that it holds.
pub(in crate::store::sqlite) const HELD_BY: &str = "
    SELECT id, attempt, worker_id, crash_count, max_suspected, started_at FROM qdjobs_jobs INDEXED BY qdjobs_running
    WHERE status = 'running' AND worker_id = ?1";

/// Binds the first and the last worker id of a process, a worker and an instant; returns for each job that another
/// worker of the process holds, or held when it was released as dead after that instant, the crash count before that
/// death, and whether the job has failed by it. Leaves out the jobs that the worker itself holds.
pub(in crate::store::sqlite) const HELD_BESIDE: &str = "
    SELECT crash_count, 0 FROM qdjobs_jobs INDEXED BY qdjobs_running
    WHERE status = 'running' AND worker_id BETWEEN ?1 AND ?2 AND worker_id <> ?3
    UNION ALL
    SELECT max(crash_count - 1, 0), status = 'failed' AND qdjobs_jobs.attempt = beside.attempt
    FROM qdjobs_attempts AS beside INDEXED BY qdjobs_crashed CROSS JOIN qdjobs_jobs ON qdjobs_jobs.id = beside.job_id
    WHERE beside.outcome = 'crashed' AND beside.worker_id BETWEEN ?1 AND ?2 AND beside.worker_id <> ?3
        AND beside.ended_at >= ?4
        AND (status <> 'running' OR qdjobs_jobs.worker_id IS NOT ?3)";

/// Binds the id of a job that has failed by its last crash. For each other pending or running job, subtracts the
/// crashes that both share. Those of the failed job are its last ones, as many as its crash count: earlier ones
/// were counted before it was retried by hand. What a job's deaths as the only suspected one have shown is forgotten.
pub(in crate::store::sqlite) const CLEAR_SHARED_CRASHES: &str = "
    WITH crash (worker_id, started_at, ended_at) AS (
            SELECT worker_id, started_at, ended_at FROM qdjobs_attempts WHERE job_id = ?1 AND outcome = 'crashed'
            ORDER BY attempt DESC LIMIT (SELECT crash_count FROM qdjobs_jobs WHERE id = ?1)),
        -- The ids of its process, as `WorkerId::process`.
        death (worker_id, started_at, ended_at, first, last) AS (
            SELECT *,
                CASE WHEN worker_id >> 32 > 0 THEN worker_id >> 32 << 32 ELSE worker_id END,
                CASE WHEN worker_id >> 32 > 0 THEN worker_id | 4294967295 ELSE worker_id END
            FROM crash),
        crashed (job_id, attempt) AS (
            SELECT DISTINCT other.job_id, other.attempt
            FROM death CROSS JOIN qdjobs_attempts AS other INDEXED BY qdjobs_crashed
                ON other.worker_id BETWEEN death.first AND death.last
            WHERE other.outcome = 'crashed' AND other.job_id <> ?1
                AND (other.worker_id = death.worker_id
                     OR (death.started_at <= other.ended_at AND other.started_at <= death.ended_at)
                     -- The clock was set back.
                     OR death.ended_at < death.started_at OR other.ended_at < other.started_at)),
        shared (job_id, crashes) AS (SELECT job_id, count(*) FROM crashed GROUP BY job_id)
    UPDATE qdjobs_jobs SET
        crash_count = max(crash_count - shared.crashes, 0),
        availability = CASE WHEN crash_count - shared.crashes > 1 THEN availability ELSE min(availability, 1) END,
        max_suspected = CASE WHEN crash_count - shared.crashes > 1 THEN max(max_suspected, 1) END
    FROM shared
    WHERE qdjobs_jobs.id = shared.job_id AND status IN ('pending', 'running') AND crash_count > 0";

// -- command. All bind id. The caller has checked that the job's status permits the command.

/// Binds id, now, availability.
pub(in crate::store::sqlite) const RETRY_BY_HAND: &str = "
    UPDATE qdjobs_jobs
    SET status = 'pending', availability = ?3, scheduled_at = ?2, retry_count = 0, crash_count = 0, max_suspected = NULL, completed_at = NULL,
        worker_id = NULL, result = NULL, progress = NULL, progress_message = NULL
    WHERE id = ?1";

/// Binds id, now.
pub(in crate::store::sqlite) const CANCEL: &str = "
    UPDATE qdjobs_jobs SET status = 'cancelled', completed_at = ?2, error = NULL WHERE id = ?1";

/// Binds id. A trigger deletes the history and the large params.
pub(in crate::store::sqlite) const DELETE: &str = "DELETE FROM qdjobs_jobs WHERE id = ?1";

// -- read

/// The columns of a job, in the order in which `rows::job` reads them.
pub(in crate::store::sqlite) const JOB_COLUMNS: &str = "
    id, task_name, name, coalesce(params, (SELECT params FROM qdjobs_params WHERE job_id = qdjobs_jobs.id), 'null'),
    queue, priority, status, attempt, retry_count, max_retries, crash_count, scheduled_at,
    created_at, started_at, completed_at, worker_id, result, error, progress, progress_message, metadata,
    idempotency_key";

/// Binds id.
pub(in crate::store::sqlite) const ATTEMPTS: &str = "
    SELECT attempt, started_at, ended_at, worker_id, outcome, error FROM qdjobs_attempts WHERE job_id = ?1 ORDER BY attempt";

/// The number of jobs in each status.
pub(in crate::store::sqlite) const COUNTS: &str = "SELECT status, count(*) FROM qdjobs_jobs GROUP BY status";

/// The registered workers, oldest first, with the number of jobs that each holds.
pub(in crate::store::sqlite) const WORKERS: &str = "
    SELECT id, host, pid, started_at, heartbeats,
           (SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' AND worker_id = qdjobs_workers.id)
    FROM qdjobs_workers ORDER BY started_at, id";

/// Binds worker.
pub(in crate::store::sqlite) const HEARTBEATS: &str = "SELECT heartbeats FROM qdjobs_workers WHERE id = ?1";

/// Binds worker.
pub(in crate::store::sqlite) const WAKE_SOCKET: &str = "SELECT wake_socket FROM qdjobs_workers WHERE id = ?1";

/// Binds the socket of this process; returns the sockets of the workers of other processes.
pub(in crate::store::sqlite) const WAKE_SOCKETS: &str =
    "SELECT DISTINCT wake_socket FROM qdjobs_workers WHERE wake_socket IS NOT NULL AND wake_socket IS NOT ?1";

/// The statements that run for each job, with the text that each query plan must contain.
#[cfg(test)]
pub(in crate::store::sqlite) const HOT: &[(&str, &str)] = &[
    (HOLDER, "INDEX qdjobs_idempotency_key (idempotency_key=?)"),
    (NEXT_READY_PAIR, "COVERING INDEX qdjobs_ready (task_name=? AND queue>?)"),
    (READY, "COVERING INDEX qdjobs_ready (task_name=? AND queue=?)"),
    (FIRST_READY, "INDEX qdjobs_ready (task_name=? AND queue=?)"),
    (NEXT_SUSPECTED_PAIR, "COVERING INDEX qdjobs_suspected (task_name=? AND queue>?)"),
    (HAS_SUSPECTED, "COVERING INDEX qdjobs_suspected"),
    (HELD_SUSPECTED, "COVERING INDEX qdjobs_running (worker_id=? AND availability=?)"),
    (HELD_BESIDE, "qdjobs_crashed (worker_id>? AND worker_id<?)"),
    (SUSPECTED, "INDEX qdjobs_suspected (task_name=? AND queue=?)"),
    (READY_JOB, "INTEGER PRIMARY KEY"),
    (CLAIM_ONE, "INTEGER PRIMARY KEY"),
    (CLAIM, "COVERING INDEX qdjobs_ready (task_name=? AND queue=?)"),
    (REPORT_PROGRESS, "INTEGER PRIMARY KEY"),
    (COMPLETE, "INTEGER PRIMARY KEY"),
    (COMPLETE_JSON, "INTEGER PRIMARY KEY"),
    (END, "INTEGER PRIMARY KEY"),
    (GIVE_BACK, "INTEGER PRIMARY KEY"),
    (ENDED_UNDER, "INTEGER PRIMARY KEY"),
    (HAS_ATTEMPT, "PRIMARY KEY (job_id=? AND attempt=?)"),
    (PROMOTE, "INDEX qdjobs_scheduled (scheduled_at<?)"),
    (NEXT_DUE, "COVERING INDEX qdjobs_scheduled"),
    (HELD_BY, "INDEX qdjobs_running (worker_id=?)"),
    (ORPHANS, "qdjobs_running"),
];
