//! Files that rot: flipped bits, lost pages, foreign bytes in the database or its log. Opening and using such a file ends in a
//! clear error or works; nothing panics, nothing hangs, nothing is deleted.
//!
//! Leans on `room`.

use std::sync::Arc;
use std::time::Duration;

use qdjobs::store::sqlite::{Durability, SqliteStore};
use qdjobs::store::{Control, Filter, Finish, Query, Store, TaskSet, Turn, Want, WorkerCard};
use qdjobs::{Due, Error, ErrorKind, JobId, NewJob, Verdict, WorkerId};
use qdjobs_disk::Dice;

use crate::room::{Room, Seed, answer, assert_no_thread_panicked, number};

/// Damaged files in the short form.
const FILES: u64 = 80;

const ANN: WorkerId = WorkerId(0xa);
const BOB: WorkerId = WorkerId(0xb);

fn turn(store: &dyn Store, worker: WorkerId, done: Vec<Finish>, limit: usize) -> qdjobs::Result<Vec<Finish>> {
    let want = Want { limit, tasks: Arc::new(TaskSet::new(["mail", "ping"])), queues: None, stand: false };
    let turned = answer(store.turn(Turn { worker, done: Arc::new(done), want }))?;
    let verdict = Verdict::Complete { result: "{}".into() };
    let finish = |job: qdjobs::store::Claimed| Finish {
        claim: job.claim,
        started_at: job.claimed_at,
        verdict: verdict.clone(),
    };
    Ok(turned.claimed.into_iter().map(finish).collect())
}

/// A file with some hundred jobs in every state; with a log beside it if its process was killed.
fn fill(room: &Room, killed: bool) {
    let store = room.open();
    for worker in [ANN, BOB] {
        answer(store.enlist(WorkerCard::new(worker, "host", 7))).unwrap();
    }
    for n in 0..40 {
        let jobs = (0..8).map(|m| {
            let text = "x".repeat(if m == 0 { 9_000 } else { 40 });
            let task = if m % 2 == 0 { "mail" } else { "ping" };
            let mut job = NewJob::new(task, format!("{{\"n\":{n},\"text\":\"{text}\"}}"));
            job.priority = m % 3;
            job.due = if m == 7 { Due::After(Duration::from_secs(60)) } else { Due::Now };
            job
        });
        answer(store.insert(jobs.collect())).unwrap();
        let done = turn(&*store, ANN, Vec::new(), 4).unwrap();
        turn(&*store, ANN, done, 0).unwrap();
    }
    turn(&*store, BOB, Vec::new(), 9).unwrap();
    if killed {
        room.disk.kill(0);
    }
}

/// Damages a file here and there.
fn rot(dice: &mut Dice, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len() as u64;
    let page = 4096 * dice.below(len.div_ceil(4096)) as usize;
    let end = bytes.len().min(page + 4096);
    match dice.below(6) {
        0 => bytes.truncate(dice.below(len) as usize),
        1 => bytes[page..end].fill(0),
        2 => bytes[page..end].fill_with(|| dice.roll() as u8),
        3 => {
            // A page in the place of another, as a write that went astray.
            let from = 4096 * dice.below(len / 4096) as usize;
            if from + 4096 <= bytes.len() && end == page + 4096 {
                bytes.copy_within(from..from + 4096, page);
            }
        }
        _ => {
            for _ in 0..1 + dice.below(20) {
                let at = dice.below(len) as usize;
                bytes[at] ^= 1 << dice.below(8);
            }
        }
    }
}

/// Everything that a store can be asked, until it has stopped.
fn use_up(store: &SqliteStore) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut told = |error: Option<Error>| errors.extend(error);
    told(answer(store.rescue(BOB)).err());
    told(answer(store.beat(ANN)).err());
    let mut done = Vec::new();
    for _ in 0..6 {
        match turn(store, ANN, done, 64) {
            Ok(next) => done = next,
            Err(error) => {
                told(Some(error));
                break;
            }
        };
    }
    told(answer(store.insert(vec![NewJob::new("mail", "{}")])).err());
    for id in [1, 7, 100, 300].map(JobId) {
        for command in [Control::Retry(id), Control::Cancel(id), Control::Delete(id)] {
            let answers = answer(store.control(vec![command]));
            told(answers.and_then(|mut it| it.remove(0)).err());
        }
        told(answer(store.inspect(Query::Job(id))).err());
        told(answer(store.inspect(Query::Attempts(id))).err());
    }
    for query in [Query::List(Filter::default()), Query::Counts, Query::Workers] {
        told(answer(store.inspect(query)).err());
    }
    told(answer(store.leave(ANN)).err());
    errors
}

/// Whether the damage was told.
fn damage_one(seed: u64) -> bool {
    let _seed = Seed(seed);
    let mut dice = Dice::new(seed);
    let room = Room::new(dice.roll());
    let killed = dice.once_in(2);
    fill(&room, killed);
    let file = if killed && dice.once_in(2) { "jobs.db-wal" } else { "jobs.db" };
    assert!(room.disk.damage(file, |bytes| rot(&mut dice, bytes)), "there is a {file}");
    let read = |name: &String| room.disk.read(name);
    let files = room.disk.files();
    let before: Vec<_> = files.iter().map(read).collect();

    let opened = qdjobs_disk::as_process(1, || room.try_open(Durability::Full));
    let found = match &opened {
        Ok(store) => use_up(store).iter().any(|error| {
            use ErrorKind::{
                Conflict, Corrupt, Indeterminate, InvalidInput, LeaseLost, NotFound, Setup, Stopped, Storage,
            };
            let kind = error.kind();
            let damaged = matches!(kind, Corrupt | Indeterminate | Stopped | Storage | Setup);
            // What was rotten may be a status or a number, which is then told as it is read.
            let as_read = matches!(kind, Conflict | InvalidInput | LeaseLost | NotFound);
            assert!(damaged || as_read, "{error}");
            matches!(kind, Corrupt | Stopped)
        }),
        Err(error) => {
            let kinds = [ErrorKind::Corrupt, ErrorKind::Storage, ErrorKind::Setup, ErrorKind::NewerSchema];
            assert!(kinds.contains(&error.kind()), "{error}");
            let after: Vec<_> = files.iter().map(read).collect();
            assert!(after == before, "who refuses a file leaves it and its log as they are: {error}");
            true
        }
    };
    drop(opened);
    assert!(room.disk.files().iter().any(|name| name == "jobs.db"), "nothing is deleted");
    found
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures")]
fn a_damaged_file_ends_in_a_clear_error_or_works_and_is_never_deleted() {
    if let Some(seed) = number("QDJOBS_SEED") {
        damage_one(seed);
        return assert_no_thread_panicked();
    }
    let files = number("QDJOBS_CUTS").unwrap_or(FILES);
    let told = (0..files).filter(|seed| damage_one(*seed)).count();
    println!("damaged files: {files}, of which {told} were told to be damaged");
    assert!(told as u64 * 4 > files, "the damage reaches nothing: {told} of {files}");
    assert_no_thread_panicked();
}
