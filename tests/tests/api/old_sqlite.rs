//! Programs with an older SQLite than that of qdjobs insert, read, dump and restore. Runs the ones of this machine:
//! the shell `sqlite3`, Python, and the program that `QDJOBS_OLD_SQLITE` names, in the gate `tests/old_sqlite` with
//! SQLite 3.37.0. One that is not there is skipped. With `QDJOBS_NO_SKIPS`, it fails the test, and so does a program
//! that `QDJOBS_OLD_SQLITE` names in vain.

#![expect(clippy::print_stdout, reason = "the log names the versions that ran")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use qdjobs::prelude::*;
use qdjobs::store::Filter;
use qdjobs::store::sqlite::check;
use qdjobs::{JobId, Status};

use crate::support::{Soon, Workspace, connect};

#[task("old.length")]
fn length(text: String) -> usize {
    text.len()
}

/// Executes the SQL of its standard input, or dumps the file, and prints as the shell `sqlite3` does.
const PYTHON: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
if sys.argv[2:] == ['.dump']:
    for line in db.iterdump():
        print(line)
else:
    statement = ''
    for line in sys.stdin:
        statement += line
        if sqlite3.complete_statement(statement):
            for row in db.execute(statement):
                print('|'.join('' if value is None else str(value) for value in row))
            statement = ''
";

/// A program with a SQLite of its own.
struct Program {
    version: String,
    command: Vec<String>,
}

impl Program {
    fn all() -> Vec<Program> {
        let own = std::env::var("QDJOBS_OLD_SQLITE").ok();
        let programs = [Program::of(&["sqlite3", "-bail"]), Program::of(&["python3", "-c", PYTHON])];
        let found = programs.into_iter().chain(own.as_deref().map(|own| Program::of(&[own])));
        let found = found.filter(|program| program.is_there(own.as_deref())).collect();
        if own.is_none() {
            skip("QDJOBS_OLD_SQLITE names no program");
        }
        found
    }

    /// With the version that it answers; without one if it does not answer.
    fn of(command: &[&str]) -> Program {
        let command = command.iter().map(|&part| part.to_owned()).collect();
        let program = Program { version: String::new(), command };
        let answer = program.run(Path::new(":memory:"), None, "SELECT sqlite_version();\n");
        let answer = answer.filter(|answer| answer.status.success());
        let version = answer.map_or_else(String::new, |answer| text(&answer.stdout).trim().to_owned());
        Program { version, ..program }
    }

    /// Whether it answers. The `wanted` one has to.
    fn is_there(&self, wanted: Option<&str>) -> bool {
        let (name, is_there) = (&self.command[0], !self.version.is_empty());
        if is_there {
            println!("{name} has SQLite {}", self.version);
        } else {
            assert_ne!(Some(name.as_str()), wanted, "QDJOBS_OLD_SQLITE names a program that does not run");
            skip(&format!("`{name}` is not there"));
        }
        is_there
    }

    /// The name of its command, for the name of a file.
    fn name(&self) -> String {
        self.command[0].replace(['/', '\\', ':'], "-")
    }

    fn run(&self, file: &Path, argument: Option<&str>, sql: &str) -> Option<Output> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).arg(file).args(argument);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().ok()?;
        process.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        Some(process.wait_with_output().unwrap())
    }

    /// The lines that it prints.
    fn lines(&self, file: &Path, sql: &str) -> Vec<String> {
        self.printed(file, None, sql).lines().map(str::to_owned).collect()
    }

    fn dump(&self, file: &Path) -> String {
        self.printed(file, Some(".dump"), "")
    }

    fn printed(&self, file: &Path, argument: Option<&str>, sql: &str) -> String {
        let answer = self.run(file, argument, sql).unwrap();
        assert!(answer.status.success(), "SQLite {}: {}", self.version, text(&answer.stderr));
        text(&answer.stdout).to_owned()
    }

    /// The error with which it refuses.
    fn refused(&self, file: &Path, sql: &str) -> String {
        let answer = self.run(file, None, sql).unwrap();
        assert!(!answer.status.success(), "SQLite {} accepts {sql}", self.version);
        text(&answer.stderr).to_owned()
    }
}

/// Prints what is not tested. With `QDJOBS_NO_SKIPS`, the test fails instead.
fn skip(reason: &str) {
    assert!(std::env::var_os("QDJOBS_NO_SKIPS").is_none(), "may not be skipped: {reason}");
    println!("skipped: {reason}");
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Params whose result is the length of the text in them.
fn params(length: usize) -> String {
    format!(r#"{{"text": "{}"}}"#, "x".repeat(length))
}

/// The statement as SQL text without a parameter.
fn literal(statement: &qdjobs::store::SqlStatement) -> String {
    let json = format!("'{}'", statement.json.replace('\'', "''"));
    format!("{};\n", statement.sql.replace("?1", &json))
}

fn completed(queue: &JobQueue, id: i64) -> usize {
    queue.handle::<usize>(JobId(id)).soon().unwrap()
}

const SOUND: &str = "PRAGMA integrity_check;\n";

#[test]
fn a_program_with_an_older_sqlite_inserts_small_and_large_jobs_and_reads_them() {
    for program in Program::all() {
        for trusted in ["ON", "OFF"] {
            let (workspace, queue) = Workspace::with_queue();
            let file = workspace.db();
            let session = |sql: &str| {
                let lines = program.lines(&file, &format!("PRAGMA trusted_schema = {trusted};\n{sql}"));
                lines.iter().map(|line| line.parse().unwrap()).collect::<Vec<i64>>()
            };
            let insert = |length: usize, further: &str| {
                format!(
                    "INSERT INTO qdjobs_jobs (task_name, params, metadata, scheduled_at)
                     VALUES ('old.length', '{}', '{{\"by\": [1, 2.50]}}', {further}) RETURNING id;\n",
                    params(length)
                )
            };
            let ids = session(&[insert(5, "NULL"), insert(5_000, "NULL"), insert(6_000, "0")].concat());

            let key = |length: usize, key| Length::new("x".repeat(length)).idempotency_key(key);
            let jobs = [key(7, "small"), key(7_000, "large"), Length::new("x").request(), key(7, "small")];
            let statement = literal(&queue.insert_statement(jobs).unwrap());
            let first = session(&statement);
            let again = session(&statement);
            assert_eq!((first[0], first[1], first[3]), (again[0], again[1], first[0]), "{first:?} {again:?}");
            assert!(first[1] < first[2] && first[2] < again[2]);
            let other = literal(&queue.insert_statement([key(7_001, "large")]).unwrap());
            assert!(
                program.refused(&file, &other).contains("idempotency_key is held by a job of another task")
            );

            let worker = Worker::new(&queue).task::<Length>().start().unwrap();
            let results: Vec<_> = [&ids[..], &first[..], &again[2..3]].concat();
            let results: Vec<_> = results.into_iter().map(|id| completed(&queue, id)).collect();
            assert_eq!(results, [5, 5_000, 6_000, 7, 7_000, 1, 7, 1]);
            worker.stop().unwrap();

            let read = "SELECT sum(length(coalesce(j.params, p.params))) FROM qdjobs_jobs j
                        LEFT JOIN qdjobs_params p ON p.job_id = j.id WHERE status = 'completed';\n";
            assert!(session(read)[0] > 18_000);
            assert_eq!(program.lines(&file, &format!("PRAGMA trusted_schema = {trusted};\n{SOUND}")), ["ok"]);
            assert_eq!(session("DELETE FROM qdjobs_jobs;\nSELECT count(*) FROM qdjobs_params;\n"), [0]);
        }
    }
}

#[test]
fn a_program_with_an_older_sqlite_gets_the_rule_that_its_insert_breaks() {
    for program in Program::all() {
        let (workspace, queue) = Workspace::with_queue();
        for (column, value, rule) in [
            ("params", "'[1]'", "params is a JSON object"),
            ("params", "'{'", "params is a JSON object"),
            ("params", "'{]}'", "malformed JSON"),
            ("params", "NULL", "params is a JSON object, and not NULL"),
            ("metadata", "'{'", "metadata is JSON"),
            ("metadata", "'1,2'", "metadata is JSON"),
            ("name", "CAST(x'e9' AS TEXT)", "text is UTF-8"),
            ("queue", "''", "queue has 1 to 100 characters"),
            ("priority", "'high'", "qdjobs_jobs.priority"),
        ] {
            let insert =
                format!("INSERT INTO qdjobs_jobs (task_name, {column}) VALUES ('old.length', {value});\n");
            let error = program.refused(&workspace.db(), &insert);
            assert!(error.contains(rule), "SQLite {}: {rule}: {error}", program.version);
        }
        assert_eq!(queue.counts().unwrap().total(), 0);
    }
}

#[test]
fn a_dump_of_an_older_sqlite_is_restored_by_any_and_its_jobs_run() {
    let programs = Program::all();
    let (workspace, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).task::<Length>().start().unwrap();
    for length in [3, 3_000] {
        Length::new("x".repeat(length)).enqueue(&queue).unwrap().soon().unwrap();
    }
    worker.stop().unwrap();
    let small = Length::new("four").idempotency_key("small").enqueue(&queue).unwrap().id();
    let large = Length::new("x".repeat(4_000)).idempotency_key("large").enqueue(&queue).unwrap().id();
    let gone = Length::new("x").enqueue(&queue).unwrap().id();
    queue.delete(gone).unwrap();

    for (from, into) in programs.iter().flat_map(|from| programs.iter().map(move |into| (from, into))) {
        let restored = workspace.dir().join(format!("{}-{}.db", from.name(), into.name()));
        let dump = from.dump(&workspace.db());
        assert_eq!(into.lines(&restored, &dump), [] as [&str; 0]);
        assert_eq!(into.lines(&restored, SOUND), ["ok"]);
        let queue = JobQueue::open(&restored).unwrap();
        assert_eq!(queue.counts().unwrap().of(Status::Completed), 2);
        let again = Length::new("x".repeat(4_000)).idempotency_key("large").enqueue(&queue).unwrap().id();
        assert_eq!(again, large);
        let worker = Worker::new(&queue).task::<Length>().start().unwrap();
        assert_eq!((completed(&queue, small.0), completed(&queue, large.0)), (4, 4_000));
        worker.stop().unwrap();
        let next = Length::new("x").enqueue(&queue).unwrap().id();
        assert!(next > gone, "an id is never used twice: {next}");
        assert_eq!(queue.list(Filter::default()).unwrap().jobs.len(), 5);
        drop(queue);
        let findings = check(&restored).unwrap();
        assert!(findings.is_sound(), "{findings:?}");
        drop(connect(&restored));
    }
}

#[test]
fn every_sql_statement_of_the_guides_runs_with_an_older_sqlite() {
    for program in Program::all() {
        let (workspace, _queue) = Workspace::with_queue();
        for page in ["enqueueing.md", "deployment.md", "sql_schema.md"] {
            let page =
                std::fs::read_to_string(format!("{}/../qdjobs/docs/{page}", env!("CARGO_MANIFEST_DIR")))
                    .unwrap();
            let blocks: Vec<_> =
                page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
            assert!(!blocks.is_empty());
            for block in blocks {
                program.lines(&workspace.db(), block);
            }
        }
    }
}
