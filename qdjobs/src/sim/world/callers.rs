//! The callers of a simulated run: they insert, read, retry, cancel and delete jobs, and wait for their end.
//!
//! Which answers are right is decided in `sim/model.rs`.
//!
//! Depends on the store's contract. A caller lives in a process: when that dies, no answer reaches it.

use std::time::Duration;

use qdjobs_sim_disk::as_process;

use super::super::model::{Check, InsertAnswer};
use super::super::plan::Disruption;
use super::super::process::{Call, TASKS};
use super::super::trace::note;
use super::World;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{Job, JobId, NewJob, RunAt};
use crate::store::sqlite::testing::snapshot;
use crate::store::{JobCommand, Store};

impl World<'_> {
    // ---- Calls ----

    pub(super) fn call(&mut self) -> Check {
        let callers: Vec<usize> = (0..self.processes.len())
            .filter(|index| {
                let process = &self.processes[*index];
                self.now >= process.frozen_until
                    && process.live.as_ref().is_some_and(|live| live.queue.is_some() && !live.is_starting())
            })
            .collect();
        let Some(index) = self.rng.pick(&callers).copied() else { return Ok(()) };
        let known = self.model.known_ids();
        let id = self.rng.pick(&known).copied();
        match (self.rng.below(10), id) {
            (0, Some(id)) => self.command(index, "retry", id),
            (5..8, _) if !self.unknown.is_empty() => return self.insert_again(index),
            (8, _) if self.rng.once_in(2) => return self.insert_by_plain_sql(),
            (1, Some(id)) => self.command(index, "cancel", id),
            (2, Some(id)) if self.rng.once_in(3) => self.command(index, "delete", id),
            (3, Some(id)) => {
                if let Some(live) = &mut self.processes[index].live {
                    live.get(id);
                }
            }
            (4, Some(id)) => {
                if let Some(live) = &mut self.processes[index].live {
                    let ended = live.store.store().wait_for(JobId(id));
                    live.calls.push(Call::WaitFor(id, ended));
                }
            }
            _ => return self.insert_new(index),
        }
        self.after(index)
    }

    fn insert_new(&mut self, index: usize) -> Check {
        if self.tags >= self.plan.jobs {
            return Ok(());
        }
        let count = 1 + self.rng.below(4).saturating_sub(1);
        let tags: Vec<u64> = (0..count).map(|more| self.tags + more).collect();
        self.tags += count;
        let keyed = self.rng.once_in(2);
        let kinds = if self.plan.futures > 0 { TASKS.len() as u64 } else { 2 };
        let mut jobs = Vec::new();
        for tag in &tags {
            self.model.insert_begins(*tag);
            let task = &TASKS[self.rng.below(kinds) as usize];
            let mut job = NewJob::new(task.name, format!("{{\"tag\":{tag}}}"));
            job.max_retries = task.options.retries;
            job.priority = self.rng.below(3) as i32;
            job.idempotency_key = keyed.then(|| format!("key {tag}"));
            if self.rng.once_in(4) {
                job.run_at = RunAt::After(Duration::from_millis(self.rng.below(40_000)));
            }
            jobs.push(job);
        }
        self.insert(index, tags, jobs)
    }

    /// Inserts a job again of which no caller knows whether it is stored.
    fn insert_again(&mut self, index: usize) -> Check {
        let at = self.rng.below(self.unknown.len() as u64) as usize;
        let (tag, job) = self.unknown.swap_remove(at);
        self.repeated.insert(tag);
        let stored = self.model.is_stored(tag);
        self.trace.saw(if stored {
            "inserted again, and was stored"
        } else {
            "inserted again, and was not stored"
        });
        self.insert(index, vec![tag], vec![job])
    }

    fn insert(&mut self, index: usize, tags: Vec<u64>, jobs: Vec<NewJob>) -> Check {
        let keyed =
            if jobs.iter().all(|job| job.idempotency_key.is_some()) { jobs.clone() } else { Vec::new() };
        let inline = self.rng.once_in(3);
        note!(self.trace, "{:?} process {index} inserts {tags:?}, inline: {inline}", self.now);
        self.on_disk(index, |world| {
            let Some(live) = &mut world.processes[index].live else { return };
            let stored = if inline { live.store.insert_here(jobs) } else { live.store.store().insert(jobs) };
            live.calls.push(Call::Insert(tags, keyed, stored));
        })?;
        if self.plan.disruptions.contains(&Disruption::Kill) && self.rng.once_in(6) {
            // The jobs may be stored, and no caller was answered.
            self.trace.saw("died before the answer");
            self.kill(index);
        }
        self.after(index)
    }

    /// Another program inserts a job by plain SQL.
    fn insert_by_plain_sql(&mut self) -> Check {
        if self.tags >= self.plan.jobs || self.disk.is_off() {
            return Ok(());
        }
        let tag = self.tags;
        self.tags += 1;
        self.model.insert_begins(tag);
        let (number, params) = (self.next_number, format!("{{\"tag\":{tag}}}"));
        self.next_number += 1;
        let stored =
            as_process(number, || snapshot::insert_by_sql(&self.path(), &params, self.wall_micros()));
        self.disk.kill(number);
        note!(self.trace, "{:?} another program inserts {tag}: {stored:?}", self.now);
        self.trace.saw("inserted by plain SQL");
        self.look()?;
        let answer = stored.map_or(InsertAnswer::Refused, InsertAnswer::Stored);
        self.model.insert_answered(tag, answer)
    }

    fn command(&mut self, index: usize, verb: &'static str, id: i64) {
        note!(self.trace, "{:?} process {index} asks to {verb} {id}", self.now);
        let command = match verb {
            "retry" => {
                self.model.retry_begins(id);
                JobCommand::Retry(JobId(id))
            }
            "cancel" => {
                self.model.cancel_begins(id);
                JobCommand::Cancel(JobId(id))
            }
            _ => {
                self.model.delete_begins(id);
                JobCommand::Delete(JobId(id))
            }
        };
        if let Some(live) = &mut self.processes[index].live {
            let answer = live.store.store().command(command);
            live.calls.push(Call::Command(verb, id, answer));
        }
    }

    // ---- Answers ----

    /// Checks the answer of a call if it has arrived; otherwise the call stays open.
    pub(super) fn take_answer(&mut self, call: Call) -> std::result::Result<Option<Call>, String> {
        match call {
            Call::Insert(tags, keyed, stored) => match stored.try_take() {
                None => return Ok(Some(Call::Insert(tags, keyed, stored))),
                Some(answer) => self.insert_answered(tags, keyed, answer)?,
            },
            Call::Command(verb, id, answer) => match answer.try_take() {
                None => return Ok(Some(Call::Command(verb, id, answer))),
                Some(answer) => self.command_answered(verb, id, &answer)?,
            },
            Call::Get(id, answer) => match answer.try_take() {
                None => return Ok(Some(Call::Get(id, answer))),
                Some(Ok(None)) if !self.model.may_be_deleted(id) => {
                    return Err(format!("job {id} was acknowledged and a reader does not see it"));
                }
                Some(_) => self.trace.saw("read"),
            },
            Call::WaitFor(id, ended) => match ended.try_take() {
                None => return Ok(Some(Call::WaitFor(id, ended))),
                Some(Ok(job)) => {
                    self.trace.saw("waited for an end");
                    if !job.status.is_ended() {
                        return Err(format!("the wait for job {id} ended, and the job is {}", job.status));
                    }
                }
                Some(Err(_)) => {}
            },
        }
        Ok(None)
    }

    fn insert_answered(&mut self, tags: Vec<u64>, keyed: Vec<NewJob>, answer: Result<Vec<JobId>>) -> Check {
        note!(self.trace, "  inserted {tags:?}: {:?}", answer.as_ref().map_err(Error::kind));
        let error = match answer {
            Ok(ids) => {
                for (tag, id) in tags.iter().zip(ids) {
                    self.model.insert_answered(*tag, InsertAnswer::Stored(id.0))?;
                }
                self.trace.saw("insert acknowledged");
                return Ok(());
            }
            Err(error) => error,
        };
        // If an insert is repeated, that this one stored nothing says nothing about the one before it.
        let repeated = tags.iter().any(|tag| self.repeated.contains(tag));
        let unknown = matches!(error.kind(), ErrorKind::Indeterminate | ErrorKind::Closed) || repeated;
        self.trace.saw(if unknown { "insert indeterminate" } else { "insert refused" });
        let answer = if unknown { InsertAnswer::Unknown } else { InsertAnswer::Refused };
        for tag in &tags {
            self.model.insert_answered(*tag, answer)?;
        }
        if unknown {
            self.unknown.extend(tags.into_iter().zip(keyed));
        }
        Ok(())
    }

    fn command_answered(&mut self, verb: &'static str, id: i64, answer: &Result<Job>) -> Check {
        note!(
            self.trace,
            "  {verb} {id}: {:?}",
            answer.as_ref().map(|job| job.status).map_err(|error| error.kind())
        );
        if answer.is_ok() {
            self.trace.saw(match verb {
                "retry" => "retried by hand",
                "cancel" => "a cancel by hand acknowledged",
                _ => "deleted",
            });
        }
        if verb == "delete" && answer.is_ok() && self.model.state.jobs.contains_key(&id) {
            return Err(format!("job {id} was acknowledged as deleted and is stored"));
        }
        Ok(())
    }

    // ---- For the end of the recovery ----

    pub(super) fn is_answered(&self) -> bool {
        self.processes.iter().filter_map(|process| process.live.as_ref()).all(|live| live.calls.is_empty())
    }

    /// Whether every registered worker lives and goes on. One that stops may have met a full disk when it removed
    /// itself. Its row then stays until another worker notices that it is dead.
    pub(super) fn has_only_live_workers(&self) -> bool {
        let live = self.processes.iter().filter_map(|process| process.live.as_ref());
        let mut workers = live.filter_map(|live| live.worker.as_ref());
        self.dead_workers().is_empty() && !workers.any(|worker| worker.is_stopping())
    }

    /// Registered workers whose process is dead.
    pub(super) fn dead_workers(&self) -> Vec<i64> {
        let lives = |worker: i64| {
            let mut live = self.processes.iter().filter_map(|process| process.live.as_ref());
            live.any(|live| live.has_worker(worker))
        };
        self.model.state.workers.keys().copied().filter(|worker| !lives(*worker)).collect()
    }
}
