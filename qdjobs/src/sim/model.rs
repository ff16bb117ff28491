//! What must hold: [`Model`] keeps what callers were told and what handlers did, and judges each state of the books by it.
//!
//! Leans on what an snapshot reads. Judges what is committed and nothing else: how the product came there is its own business.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::trace::{Trace, note};
use crate::store::sqlite::testing::snapshot::{JobRow, Snapshot};

/// Deaths of a worker after which the job it ran is failed.
const CRASHES_MAX: i64 = crate::model::poison::CRASHES_MAX as i64;

/// What a rule that does not hold says.
pub(super) type Verdict = Result<(), String>;

/// What its caller knows of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nothing: no answer yet, its process died, or the answer was that nobody knows.
    Unknown,
    /// It is stored under this number.
    Stored(i64),
    /// It is not stored.
    Refused,
}

/// How a handler ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Ok(String),
    Failed,
    Permanent,
    Cancelled,
}

#[derive(Debug)]
struct Run {
    worker: i64,
    end: Option<End>,
}

/// What is known of a worker when the list changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its process is dead.
    Dead,
    /// It was told to stop; `excused` as below.
    Leaving { excused: bool },
    /// It works; `excused` if something kept its process from beating since it was last seen to.
    Works { excused: bool },
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) books: Snapshot,
    /// The last of them that no power cut may take back. What is read after a sync has failed may be no more than what the
    /// operating system remembers, until somebody has synced: nobody was told of it.
    firm: Snapshot,
    words: BTreeMap<u64, Word>,
    runs: BTreeMap<(i64, i64), Run>,
    retried_by_hand: BTreeSet<i64>,
    cancelled_by_hand: BTreeSet<i64>,
    deleted_by_hand: BTreeSet<i64>,
    /// Of each worker, its heartbeats and when they were last seen to change.
    heartbeats: BTreeMap<i64, (i64, Duration)>,
    latest_wall: i64,
}

macro_rules! hold {
    ($holds:expr, $($otherwise:tt)*) => { if !$holds { return Err(format!($($otherwise)*)); } };
}

impl Model {
    // ---- What callers ask and hear -------------------------------------------------------------------------------

    pub(super) fn asks_to_store(&mut self, tag: u64) {
        self.words.insert(tag, Word::Unknown);
    }

    pub(super) fn hears(&mut self, tag: u64, word: Word) -> Verdict {
        self.words.insert(tag, word);
        match word {
            Word::Stored(id) => {
                hold!(
                    self.books.jobs.get(&id).is_some_and(|job| tag_of(job) == tag)
                        || self.deleted_by_hand.contains(&id),
                    "job {id} was acknowledged and is not in the books"
                );
            }
            Word::Refused => hold!(
                !self.books.jobs.values().any(|job| tag_of(job) == tag),
                "the job with the tag {tag} was refused and is in the books"
            ),
            Word::Unknown => {}
        }
        Ok(())
    }

    pub(super) fn asks_to_retry(&mut self, id: i64) {
        self.retried_by_hand.insert(id);
    }

    pub(super) fn asks_to_cancel(&mut self, id: i64) {
        self.cancelled_by_hand.insert(id);
    }

    pub(super) fn asks_to_delete(&mut self, id: i64) {
        self.deleted_by_hand.insert(id);
    }

    pub(super) fn may_be_deleted(&self, id: i64) -> bool {
        self.deleted_by_hand.contains(&id)
    }

    pub(super) fn is_stored(&self, tag: u64) -> bool {
        self.books.jobs.values().any(|job| tag_of(job) == tag)
    }

    /// The numbers that callers know.
    pub(super) fn known(&self) -> Vec<i64> {
        let stored = |word: &Word| if let Word::Stored(id) = word { Some(*id) } else { None };
        self.words.values().filter_map(stored).collect()
    }

    pub(super) fn wall_is(&mut self, micros: i64) {
        self.latest_wall = self.latest_wall.max(micros);
    }

    // ---- What handlers do ----------------------------------------------------------------------------------------

    pub(super) fn begins(&mut self, key: (i64, i64), worker: i64) -> Verdict {
        let (id, attempt) = key;
        let before = self.runs.insert(key, Run { worker, end: None });
        hold!(before.is_none(), "attempt {attempt} of job {id} begins twice");
        let held = self.books.jobs.get(&id).is_some_and(|job| {
            job.status == "running" && job.attempt == attempt && job.worker_id == Some(worker)
        });
        hold!(
            held || !self.books.workers.contains_key(&worker),
            "worker {worker} is on the list and begins attempt {attempt} of job {id}, which it does not hold"
        );
        Ok(())
    }

    pub(super) fn ends(&mut self, key: (i64, i64), end: End) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.end = Some(end);
        }
    }

    /// A worker says that a job has completed.
    pub(super) fn is_told_completed(&self, id: i64) -> Verdict {
        let told = self.books.jobs.get(&id).is_some_and(|job| job.status == "completed");
        hold!(told || self.deleted_by_hand.contains(&id), "job {id} was told completed and is not");
        Ok(())
    }

    /// The disk has done all that was asked: what is in the books stays there.
    pub(super) fn is_firm(&mut self) {
        self.firm.clone_from(&self.books);
    }

    pub(super) fn power_is_lost(&mut self) {
        self.books.clone_from(&self.firm);
    }

    // ---- The books -----------------------------------------------------------------------------------------------

    /// Judges the next state of the books; `standing` tells of a worker that was on the list.
    pub(super) fn see(
        &mut self,
        books: Snapshot,
        now: Duration,
        lease: Duration,
        standing: impl Fn(i64, Duration) -> Standing,
        trace: &Trace,
    ) -> Verdict {
        let orphans = books.orphans();
        hold!(orphans.is_empty(), "running under workers that are not on the list: {orphans:?}");
        let mut suspects = BTreeSet::new();
        for (id, job) in books.jobs.iter().filter(|(_, job)| job.status == "running" && job.crashes > 0) {
            hold!(
                suspects.insert(job.worker_id),
                "job {id} is the second suspect of worker {:?}",
                job.worker_id
            );
        }
        let mut tags = BTreeMap::new();
        for (id, job) in &books.jobs {
            let tag = tag_of(job);
            let twin = tags.insert(tag, *id);
            hold!(twin.is_none(), "jobs {twin:?} and {id} are one, stored twice");
            match self.words.get(&tag) {
                None => return Err(format!("job {id} was stored by nobody")),
                Some(Word::Refused) => return Err(format!("job {id} was refused and is in the books")),
                Some(Word::Stored(known)) if known != id => {
                    return Err(format!("job {id} was acknowledged as {known}"));
                }
                _ => {}
            }
            match self.books.jobs.get(id) {
                Some(before) if before == job => {}
                before => self.judge(*id, before, job, &books, trace)?,
            }
            self.count_attempts(*id, job, &books)?;
        }
        for id in self.books.jobs.keys() {
            hold!(
                books.jobs.contains_key(id) || self.deleted_by_hand.contains(id),
                "job {id} is gone and nobody asked for that"
            );
        }
        for (key, record) in &self.books.attempts {
            let now = books.attempts.get(key);
            hold!(
                now == Some(record) || !books.jobs.contains_key(&key.0),
                "the record of attempt {key:?} was {record:?} and is {now:?}"
            );
        }
        self.see_workers(&books, now, lease, standing, trace)?;
        self.books = books;
        Ok(())
    }

    /// Judges how one job has changed.
    fn judge(
        &self,
        id: i64,
        before: Option<&JobRow>,
        job: &JobRow,
        books: &Snapshot,
        trace: &Trace,
    ) -> Verdict {
        note!(
            trace,
            "    job {id}: {} attempt {} retries {} crashes {} worker {:?} due {} {:?}",
            job.status,
            job.attempt,
            job.retries,
            job.crashes,
            job.worker_id,
            job.scheduled_at,
            job.error
        );
        hold!(job.retries <= job.max_retries, "job {id} was retried {} times", job.retries);
        if job.status == "running" {
            hold!(job.scheduled_at <= self.latest_wall, "job {id} runs before its time");
        }
        let by_hand = self.retried_by_hand.contains(&id);
        if let Some(before) = before {
            if before.has_ended() {
                hold!(
                    before.status != "completed" || job == before,
                    "job {id} had completed and is {job:?} now"
                );
                hold!(by_hand || job == before, "job {id} had {} and is {} now", before.status, job.status);
            }
            let freed = job.attempt + 1 == before.attempt;
            hold!(
                job.attempt >= before.attempt || (freed && !self.runs.contains_key(&(id, before.attempt))),
                "the attempt of job {id} went from {} to {}",
                before.attempt,
                job.attempt
            );
            hold!(job.crashes >= before.crashes || by_hand, "job {id} has fewer crashes than before");
            hold!(job.retries >= before.retries || by_hand, "job {id} has fewer retries than before");
        }
        let key = (id, job.attempt);
        let run = self.runs.get(&key);
        let record = books.attempts.get(&key).map(|(_, outcome)| outcome.as_str());
        match job.status.as_str() {
            "completed" => {
                trace.saw("completed");
                let Some(Run { worker, end: Some(End::Ok(result)), .. }) = run else {
                    return Err(format!("job {id} completed by attempt {} that did not", job.attempt));
                };
                hold!(
                    job.result.as_ref() == Some(result) && job.worker_id == Some(*worker),
                    "job {id} completed with {:?} of {:?} and not with {result} of {worker}",
                    job.result,
                    job.worker_id
                );
            }
            "failed" => {
                trace.saw("failed");
                let spent = job.retries == job.max_retries;
                let permanent = run.is_some_and(|run| run.end == Some(End::Permanent));
                // Perhaps before the first line of its code ran.
                let timed_out = job.task.ends_with("timed");
                let failed = run.is_some_and(|run| run.end == Some(End::Failed));
                let crashed = record == Some("crashed") && job.crashes >= CRASHES_MAX;
                if crashed {
                    trace.saw("failed after three crashes");
                }
                hold!(
                    crashed || permanent || (spent && (failed || timed_out)),
                    "job {id} failed after {} of {} retries by {run:?}",
                    job.retries,
                    job.max_retries
                );
            }
            "cancelled" => {
                let by_task = run.is_some_and(|run| run.end == Some(End::Cancelled));
                hold!(by_task || self.cancelled_by_hand.contains(&id), "job {id} was cancelled by nobody");
                trace.saw(if record == Some("cancelled") {
                    "cancelled by the task"
                } else {
                    "cancelled by hand"
                });
            }
            "pending" if before.is_some() => match record {
                Some("failed") => trace.saw("retrying"),
                Some("crashed") => trace.saw("crashed"),
                Some("released") => trace.saw("released"),
                _ if before.is_some_and(|before| before.attempt > job.attempt) => {
                    trace.saw("released unstarted")
                }
                _ => {}
            },
            "running" => trace.saw("claimed"),
            _ => {}
        }
        Ok(())
    }

    /// Each attempt that is over is on record once, but the success of a first one.
    fn count_attempts(&self, id: i64, job: &JobRow, books: &Snapshot) -> Verdict {
        let records: Vec<(i64, &str)> = books
            .attempts
            .range((id, 0)..(id + 1, 0))
            .map(|((_, attempt), (_, outcome))| (*attempt, outcome.as_str()))
            .collect();
        let over = match job.status.as_str() {
            "running" => job.attempt - 1,
            "completed" if job.attempt == 1 => 0,
            _ => job.attempt,
        };
        let numbers: Vec<i64> = records.iter().map(|(attempt, _)| *attempt).collect();
        hold!(
            numbers == (1..=over).collect::<Vec<_>>(),
            "job {id} is {} in its attempt {} and has records of {numbers:?}",
            job.status,
            job.attempt
        );
        let count = |outcome| records.iter().filter(|(_, it)| *it == outcome).count() as i64;
        if !self.retried_by_hand.contains(&id) {
            hold!(
                job.crashes == count("crashed"),
                "job {id} counts {} crashes of {}",
                job.crashes,
                count("crashed")
            );
            let by_crash = books.attempts.get(&(id, job.attempt)).is_some_and(|(_, it)| it == "crashed");
            let failures = count("failed") - i64::from(job.status == "failed" && !by_crash);
            hold!(job.retries == failures, "job {id} counts {} retries of {failures}", job.retries);
        }
        Ok(())
    }

    fn see_workers(
        &mut self,
        books: &Snapshot,
        now: Duration,
        lease: Duration,
        standing: impl Fn(i64, Duration) -> Standing,
        trace: &Trace,
    ) -> Verdict {
        for (worker, heartbeats) in &books.workers {
            if self.heartbeats.get(worker).is_none_or(|(before, _)| before != heartbeats) {
                self.heartbeats.insert(*worker, (*heartbeats, now));
            }
        }
        for worker in self.books.workers.keys().filter(|worker| !books.workers.contains_key(worker)) {
            let (_, beat_at) = self.heartbeats.get(worker).copied().unwrap_or_default();
            let silent = now.saturating_sub(beat_at);
            let standing = standing(*worker, beat_at);
            note!(trace, "    worker {worker} is off the list: {standing:?}, silent for {silent:?}");
            let held: Vec<_> = self
                .books
                .jobs
                .iter()
                .filter(|(_, job)| job.worker_id == Some(*worker) && !job.has_ended())
                .collect();
            // By leaving itself it counts no crash.
            let crashed = |(id, job): &(&i64, &JobRow)| {
                books.jobs.get(*id).is_some_and(|after| after.crashes > job.crashes)
            };
            let left = matches!(standing, Standing::Leaving { .. }) && !held.iter().any(crashed);
            let ended = |(id, job): &(&i64, &JobRow)| {
                self.runs.get(&(**id, job.attempt)).is_some_and(|run| run.end.is_some())
            };
            if !left && held.iter().any(ended) {
                trace.saw("a rescue was written before the end of a job");
            }
            match standing {
                Standing::Dead => trace.saw("rescue of the dead"),
                Standing::Leaving { .. } if left => trace.saw("leave"),
                Standing::Leaving { excused } | Standing::Works { excused } => {
                    trace.saw("rescue of the living");
                    hold!(
                        excused && silent >= lease * 7 / 8,
                        "worker {worker} was taken for dead after {silent:?}, and nothing kept it (excused: {excused})"
                    );
                }
            }
        }
        Ok(())
    }

    /// After the healing: every job has ended.
    pub(super) fn is_drained(&self) -> bool {
        self.books.jobs.values().all(JobRow::has_ended)
    }

    pub(super) fn open_jobs(&self) -> String {
        let open = self.books.jobs.iter().filter(|(_, job)| !job.has_ended());
        open.map(|(id, job)| format!("\n  job {id}: {job:?}")).collect()
    }

    pub(super) fn last_due(&self) -> i64 {
        let open = self.books.jobs.values().filter(|job| !job.has_ended());
        open.map(|job| job.scheduled_at).max().unwrap_or(0)
    }
}

fn tag_of(job: &JobRow) -> u64 {
    let digits: String = job.params.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u64::MAX)
}
