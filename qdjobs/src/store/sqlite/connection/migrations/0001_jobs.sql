-- Tables, indexes, and the trigger that fills in defaults for a plain SQL INSERT: schema version 1 of qdjobs.
-- The statements that use them are in queries/sql.rs.
-- Published migrations are never edited; a change is a new file.
-- All tables have the prefix qdjobs_, since the file may be the application's own.
-- Instants are microseconds since 1970 in UTC. JSON is text.
--
-- Programs with a SQLite as old as 3.37 use this schema, too: they read it, insert by plain SQL, dump and restore it.
-- So it contains no json_valid(): 3.37 to 3.41 return 0 for json_valid(NULL) and not NULL, and a CHECK would refuse
-- NULL. And 3.38 to 3.40 mark all functions of JSON as unsafe: if one is in a CHECK, they cannot read the schema while
-- `PRAGMA trusted_schema` is off. The table-valued function json_tree() is safe in all of them.

CREATE TABLE qdjobs_jobs (
    -- AUTOINCREMENT: an id is never used twice, so an old link cannot show another user's job.
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    task_name    TEXT    NOT NULL CONSTRAINT "task_name has 1 to 100 characters" CHECK (length(task_name) BETWEEN 1 AND 100),
    name         TEXT    CONSTRAINT "name has 1 to 100 bytes" CHECK (length(CAST(name AS BLOB)) BETWEEN 1 AND 100),
    -- NULL if the params are large: then they are in qdjobs_params. The trigger qdjobs_jobs_defaults below parses the
    -- params of a plain INSERT.
    params       TEXT    DEFAULT '{}'
                         CONSTRAINT "params is a JSON object"
                         CHECK (params IS NULL OR substr(ltrim(params, char(32, 9, 10, 13)), 1, 1) = '{')
                         CONSTRAINT "params has at most 1 MiB" CHECK (length(params) <= 1048576),
    -- If NULL is inserted, the trigger qdjobs_jobs_defaults below sets the default of the task.
    queue        TEXT    CONSTRAINT "queue has 1 to 100 characters" CHECK (length(queue) BETWEEN 1 AND 100),
    priority     INTEGER CONSTRAINT "priority fits 32 bits" CHECK (priority BETWEEN -2147483648 AND 2147483647),
    status       TEXT    NOT NULL DEFAULT 'pending'
                         CONSTRAINT "status is pending, running, completed, failed or cancelled"
                         -- Not IN: SQLite builds a temporary b-tree for a list of constants, at every write.
                         CHECK (status = 'pending' OR status = 'running' OR status = 'completed' OR status = 'failed'
                                OR status = 'cancelled'),
    attempt      INTEGER NOT NULL DEFAULT 0 CHECK (attempt BETWEEN 0 AND 4294967295),
    retry_count  INTEGER NOT NULL DEFAULT 0 CHECK (retry_count BETWEEN 0 AND 4294967295),
    max_retries  INTEGER CONSTRAINT "max_retries is not negative" CHECK (max_retries BETWEEN 0 AND 4294967295),
    crash_count  INTEGER NOT NULL DEFAULT 0 CHECK (crash_count BETWEEN 0 AND 4294967295),
    -- The most suspected poison jobs that the workers of a process hold together, this one included; NULL if it was never
    -- suspected. Below 1, it stands for 1, and counts the deaths as the only suspected one.
    max_suspected INTEGER,
    scheduled_at INTEGER CONSTRAINT "scheduled_at is microseconds between 1970 and 9999"
                         CHECK (scheduled_at BETWEEN 0 AND 253402207200999999),
    -- julianday and not unixepoch('subsec'): the SQLite of the inserting program computes it, and that may be
    -- old.
    created_at   INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000),
    started_at   INTEGER,
    completed_at INTEGER,
    worker_id    INTEGER,
    result       TEXT,
    error        TEXT,
    progress     REAL    CHECK (progress BETWEEN 0.0 AND 1.0),
    progress_message TEXT,
    metadata     TEXT,
    -- At most one job has a given key. An enqueue that repeats a key returns the stored job.
    idempotency_key TEXT    CONSTRAINT "idempotency_key has 1 to 200 bytes" CHECK (length(CAST(idempotency_key AS BLOB)) BETWEEN 1 AND 200),
    -- Whether a pending job may be claimed. One number, so that jobs that may not be claimed cost no time:
    --   0      scheduled: scheduled_at is in the future
    --   1      available
    --   2      available, and a suspected poison job (crash_count is above 1): a process holds at most max_suspected
    --   3..15  reserved for later versions: blocked by a limit, waiting for another job, paused
    -- qdjobs sets it. It keeps its last value while the job runs and after the job has ended.
    availability INTEGER CHECK (availability BETWEEN 0 AND 15)
                         CONSTRAINT "availability is set by qdjobs: leave it out"
                         CHECK (availability IS NULL OR (queue IS NOT NULL AND priority IS NOT NULL AND max_retries IS NOT NULL
                                                         AND scheduled_at IS NOT NULL))
) STRICT;

-- For claims: only the available jobs, within one task and queue in the order in which they are claimed.
CREATE INDEX qdjobs_ready ON qdjobs_jobs (task_name, queue, priority DESC, scheduled_at)
    WHERE status = 'pending' AND availability = 1;

-- The same for suspected poison jobs.
CREATE INDEX qdjobs_suspected ON qdjobs_jobs (task_name, queue, priority DESC, scheduled_at)
    WHERE status = 'pending' AND availability = 2;

-- For the timer: the first entry is the next instant at which a job is due.
CREATE INDEX qdjobs_scheduled ON qdjobs_jobs (scheduled_at) WHERE status = 'pending' AND availability = 0;

-- The jobs that a worker runs, for their release and rescue, and how many of them are suspected poison jobs.
CREATE INDEX qdjobs_running ON qdjobs_jobs (worker_id, availability, max_suspected) WHERE status = 'running';

-- The rare final statuses, which people search for among millions of completed jobs.
CREATE INDEX qdjobs_failed ON qdjobs_jobs (id) WHERE status = 'failed';
CREATE INDEX qdjobs_cancelled ON qdjobs_jobs (id) WHERE status = 'cancelled';

-- The job that holds an idempotency key. Jobs without a key are not in this index.
CREATE UNIQUE INDEX qdjobs_idempotency_key ON qdjobs_jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- The key of a job never changes. So a statement that finds a key held by another job can refuse it by an UPDATE
-- that changes the key.
CREATE TRIGGER qdjobs_jobs_idempotency_key BEFORE UPDATE OF idempotency_key ON qdjobs_jobs
    WHEN NEW.idempotency_key IS NOT OLD.idempotency_key BEGIN
    SELECT RAISE(ABORT, 'idempotency_key is held by a job of another task or with other params');
END;

-- Params of more than 500 bytes. Each change of a job rewrites its whole row. Large params are written once
-- here, so that a claim only reads them and a finish does not touch them. For a plain INSERT, the trigger
-- below moves the params here.
CREATE TABLE qdjobs_params (
    job_id       INTEGER PRIMARY KEY,
    params       TEXT    NOT NULL
                         CONSTRAINT "params is a JSON object"
                         CHECK (substr(ltrim(params, char(32, 9, 10, 13)), 1, 1) = '{')
                         CONSTRAINT "params has at most 1 MiB" CHECK (length(params) <= 1048576)
) STRICT;

-- The default options of each task, as last published by a worker. They apply to jobs inserted by plain SQL.
CREATE TABLE qdjobs_tasks (
    name         TEXT    PRIMARY KEY,
    queue        TEXT    NOT NULL,
    priority     INTEGER NOT NULL,
    max_retries  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- INSERT INTO qdjobs_jobs (task_name, params) VALUES (…) is a supported way to enqueue from any language.
-- This trigger sets the columns that the insert leaves out. Inserts by qdjobs itself set all columns.
CREATE TRIGGER qdjobs_jobs_defaults AFTER INSERT ON qdjobs_jobs WHEN NEW.availability IS NULL BEGIN
    SELECT RAISE(ABORT, 'params is a JSON object, and not NULL') WHERE NEW.params IS NULL;
    -- A text that ends too early gets the name of its rule. json_tree() below finds all others.
    SELECT RAISE(ABORT, 'params is a JSON object') WHERE substr(rtrim(NEW.params, char(32, 9, 10, 13)), -1) <> '}';
    SELECT RAISE(ABORT, 'metadata is JSON')
        WHERE substr(rtrim(NEW.metadata, char(32, 9, 10, 13)), -1)
              <> CASE substr(ltrim(NEW.metadata, char(32, 9, 10, 13)), 1, 1)
                 WHEN '{' THEN '}' WHEN '[' THEN ']' WHEN '"' THEN '"'
                 ELSE substr(rtrim(NEW.metadata, char(32, 9, 10, 13)), -1) END;
    -- SQLite accepts any bytes as text, and reads most letters of another encoding as U+FFFD. So a text is
    -- refused if it matches U+FFFD although it contains none.
    SELECT RAISE(ABORT, 'text is UTF-8, and this text has another encoding')
        WHERE replace(NEW.task_name || ' ' || NEW.params || ' ' || coalesce(NEW.name, '') || ' ' || coalesce(NEW.queue, '') || ' '
                      || coalesce(NEW.metadata, '') || ' ' || coalesce(NEW.idempotency_key, ''), char(65533), '')
              GLOB '*' || char(65533) || '*';
    -- json_tree() fails with `malformed JSON` if a text is no JSON. It also accepts JSON5 and returns it as JSON, which
    -- then differs from the text in more than blanks. Its first row is the whole text. The metadata may be any JSON, so
    -- they are compared as the only element of an array.
    SELECT RAISE(ABORT, 'params is a JSON object')
        WHERE (SELECT replace(replace(replace(replace(value, ' ', ''), char(9), ''), char(10), ''), char(13), '')
               FROM json_tree(NEW.params) LIMIT 1)
              IS NOT replace(replace(replace(replace(NEW.params, ' ', ''), char(9), ''), char(10), ''), char(13), '');
    SELECT RAISE(ABORT, 'metadata is JSON')
        WHERE NEW.metadata IS NOT NULL
            AND ((SELECT count(*) FROM json_each('[' || NEW.metadata || ']')) <> 1
                 OR (SELECT replace(replace(replace(replace(value, ' ', ''), char(9), ''), char(10), ''), char(13), '')
                     FROM json_tree('[' || NEW.metadata || ']') LIMIT 1)
                    IS NOT '[' || replace(replace(replace(replace(NEW.metadata, ' ', ''), char(9), ''), char(10), ''), char(13), '') || ']');
    INSERT INTO qdjobs_params (job_id, params) SELECT NEW.id, NEW.params WHERE length(NEW.params) > 500;
    UPDATE qdjobs_jobs SET
        params       = CASE WHEN length(NEW.params) <= 500 THEN NEW.params END,
        queue        = coalesce(NEW.queue, (SELECT queue FROM qdjobs_tasks WHERE name = NEW.task_name), 'default'),
        priority     = coalesce(NEW.priority, (SELECT priority FROM qdjobs_tasks WHERE name = NEW.task_name), 0),
        max_retries  = coalesce(NEW.max_retries, (SELECT max_retries FROM qdjobs_tasks WHERE name = NEW.task_name), 3),
        scheduled_at = coalesce(NEW.scheduled_at, NEW.created_at),
        availability = coalesce(NEW.scheduled_at, 0)
                       <= CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000
    WHERE id = NEW.id;
END;

-- Finished attempts, except a success at the first attempt or in a transaction of the task itself: its row in
-- qdjobs_jobs has the same data.
CREATE TABLE qdjobs_attempts (
    job_id       INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    ended_at     INTEGER NOT NULL,
    worker_id    INTEGER NOT NULL,
    outcome      TEXT    NOT NULL CHECK (outcome IN ('completed', 'failed', 'cancelled', 'released', 'crashed')),
    error        TEXT,
    PRIMARY KEY (job_id, attempt)
) STRICT, WITHOUT ROWID;

-- The jobs that crashed together, by their worker.
CREATE INDEX qdjobs_crashed ON qdjobs_attempts (worker_id) WHERE outcome = 'crashed';

-- A trigger and not a foreign key: it also holds for a DELETE from a database shell, where foreign keys are
-- off.
CREATE TRIGGER qdjobs_jobs_deleted AFTER DELETE ON qdjobs_jobs BEGIN
    DELETE FROM qdjobs_attempts WHERE job_id = OLD.id;
    DELETE FROM qdjobs_params WHERE job_id = OLD.id;
END;

-- Registered workers: running, or dead and not yet released. Only a change of `heartbeats` has a meaning, not
-- its value.
CREATE TABLE qdjobs_workers (
    id           INTEGER PRIMARY KEY,
    host         TEXT    NOT NULL,
    pid          INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    heartbeats   INTEGER NOT NULL DEFAULT 0,
    -- The datagram socket of its process. A message to it wakes the process when a job is available.
    wake_socket  TEXT
) STRICT;

-- One row, the mark of the current write-ahead log: 16 constant bytes, a random number for this log, and that of
-- the log before. So a log that belongs to another file, for example to one that a backup has replaced, is
-- refused.
CREATE TABLE qdjobs_log (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    mark         BLOB    NOT NULL
) STRICT;
-- 'qdjobs log mark' and a line feed, then zeros.
INSERT INTO qdjobs_log (id, mark) VALUES (1, X'71646a6f6273206c6f67206d61726b0a00000000000000000000000000000000');
