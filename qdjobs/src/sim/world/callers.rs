//! What callers want, and what they hear: jobs stored, looked at, retried, cancelled, deleted and waited for.
//!
//! Leans on the contract of a store. A caller lives in a process and hears nothing more when that dies.

use std::time::Duration;

use qdjobs_sim_disk::as_process;

use super::super::model::{Verdict, Word};
use super::super::plan::Trouble;
use super::super::process::{Call, TASKS};
use super::super::trace::note;
use super::World;
use crate::model::error::{Error, ErrorKind};
use crate::model::job::{JobId, NewJob, RunAt};
use crate::store::sqlite::testing::snapshot;
use crate::store::{JobCommand, Store};

impl World<'_> {
    pub(super) fn call(&mut self) -> Verdict {
        let callers: Vec<usize> = (0..self.processes.len())
            .filter(|index| {
                let process = &self.processes[*index];
                self.now >= process.frozen_until
                    && process.life.as_ref().is_some_and(|life| life.queue.is_some() && !life.is_starting())
            })
            .collect();
        let Some(index) = self.dice.pick(&callers).copied() else { return Ok(()) };
        let known = self.model.known();
        let id = self.dice.pick(&known).copied();
        match (self.dice.below(10), id) {
            (0, Some(id)) => self.control(index, "retry", id),
            (5..8, _) if !self.doubtful.is_empty() => return self.insert_again(index),
            (8, _) if self.dice.once_in(2) => return self.insert_plainly(),
            (1, Some(id)) => self.control(index, "cancel", id),
            (2, Some(id)) if self.dice.once_in(3) => self.control(index, "delete", id),
            (3, Some(id)) => {
                if let Some(life) = &mut self.processes[index].life {
                    life.asks_about(id);
                }
            }
            (4, Some(id)) => {
                if let Some(life) = &mut self.processes[index].life {
                    let ended = life.store.store().wait_for(JobId(id));
                    life.calls.push(Call::Ended(id, ended));
                }
            }
            _ => return self.insert(index),
        }
        self.after(index)
    }

    fn insert(&mut self, index: usize) -> Verdict {
        if self.tags >= self.plan.jobs {
            return Ok(());
        }
        let many = 1 + self.dice.below(4).saturating_sub(1);
        let tags: Vec<u64> = (0..many).map(|more| self.tags + more).collect();
        self.tags += many;
        let keyed = self.dice.once_in(2);
        let kinds = if self.plan.futures > 0 { TASKS.len() as u64 } else { 2 };
        let mut jobs = Vec::new();
        for tag in &tags {
            self.model.asks_to_store(*tag);
            let task = &TASKS[self.dice.below(kinds) as usize];
            let mut job = NewJob::new(task.name, format!("{{\"tag\":{tag}}}"));
            job.max_retries = task.options.retries;
            job.priority = self.dice.below(3) as i32;
            job.idempotency_key = keyed.then(|| format!("key {tag}"));
            if self.dice.once_in(4) {
                job.run_at = RunAt::After(Duration::from_millis(self.dice.below(40_000)));
            }
            jobs.push(job);
        }
        self.store(index, tags, jobs)
    }

    /// Stores a job again of which nobody knows whether it is stored.
    fn insert_again(&mut self, index: usize) -> Verdict {
        let at = self.dice.below(self.doubtful.len() as u64) as usize;
        let (tag, job) = self.doubtful.swap_remove(at);
        self.repeated.insert(tag);
        let stored = self.model.is_stored(tag);
        self.trace.saw(if stored { "stored again, and was" } else { "stored again, and was not" });
        self.store(index, vec![tag], vec![job])
    }

    fn store(&mut self, index: usize, tags: Vec<u64>, jobs: Vec<NewJob>) -> Verdict {
        let keyed =
            if jobs.iter().all(|job| job.idempotency_key.is_some()) { jobs.clone() } else { Vec::new() };
        let here = self.dice.once_in(3);
        note!(self.trace, "{:?} process {index} stores {tags:?}, here: {here}", self.now);
        self.on_disk(index, |world| {
            let Some(life) = &mut world.processes[index].life else { return };
            let stored = if here { life.store.insert_here(jobs) } else { life.store.store().insert(jobs) };
            life.calls.push(Call::Insert(tags, keyed, stored));
        })?;
        if self.plan.troubles.contains(&Trouble::Kill) && self.dice.once_in(6) {
            // What is stored is stored, and nobody has heard of it.
            self.trace.saw("died before it heard");
            self.kill(index);
        }
        self.after(index)
    }

    /// Another program stores a job by plain SQL.
    fn insert_plainly(&mut self) -> Verdict {
        if self.tags >= self.plan.jobs || self.disk.is_off() {
            return Ok(());
        }
        let tag = self.tags;
        self.tags += 1;
        self.model.asks_to_store(tag);
        let (number, params) = (self.next_number, format!("{{\"tag\":{tag}}}"));
        self.next_number += 1;
        let stored =
            as_process(number, || snapshot::insert_by_sql(&self.path(), &params, self.wall_micros()));
        self.disk.kill(number);
        note!(self.trace, "{:?} another program stores {tag}: {stored:?}", self.now);
        self.trace.saw("stored by plain SQL");
        self.look()?;
        match stored {
            Ok(id) => self.model.hears(tag, Word::Stored(id)),
            Err(_) => self.model.hears(tag, Word::Refused),
        }
    }

    fn control(&mut self, index: usize, verb: &'static str, id: i64) {
        note!(self.trace, "{:?} process {index} asks to {verb} {id}", self.now);
        let command = match verb {
            "retry" => {
                self.model.asks_to_retry(id);
                JobCommand::Retry(JobId(id))
            }
            "cancel" => {
                self.model.asks_to_cancel(id);
                JobCommand::Cancel(JobId(id))
            }
            _ => {
                self.model.asks_to_delete(id);
                JobCommand::Delete(JobId(id))
            }
        };
        if let Some(life) = &mut self.processes[index].life {
            let answer = life.store.store().command(command);
            life.calls.push(Call::Command(verb, id, answer));
        }
    }

    /// An answer has come, or the call stays open.
    pub(super) fn hear(&mut self, call: Call) -> Result<Option<Call>, String> {
        match call {
            Call::Insert(tags, keyed, stored) => {
                let Some(answer) = stored.try_take() else {
                    return Ok(Some(Call::Insert(tags, keyed, stored)));
                };
                note!(self.trace, "  stored {tags:?}: {:?}", answer.as_ref().map_err(Error::kind));
                match answer {
                    Ok(ids) => {
                        for (tag, id) in tags.iter().zip(ids) {
                            self.model.hears(*tag, Word::Stored(id.0))?;
                        }
                        self.trace.saw("insert acknowledged");
                    }
                    Err(error) => {
                        let word = match error.kind() {
                            ErrorKind::Indeterminate | ErrorKind::Closed => Word::Unknown,
                            // That this call has stored nothing says nothing of the one before it.
                            _ if tags.iter().any(|tag| self.repeated.contains(tag)) => Word::Unknown,
                            _ => Word::Refused,
                        };
                        self.trace.saw(if word == Word::Unknown {
                            "insert indeterminate"
                        } else {
                            "insert refused"
                        });
                        for tag in &tags {
                            self.model.hears(*tag, word)?;
                        }
                        if word == Word::Unknown {
                            self.doubtful.extend(tags.into_iter().zip(keyed));
                        }
                    }
                }
            }
            Call::Command(verb, id, answer) => {
                let Some(answered) = answer.try_take() else {
                    return Ok(Some(Call::Command(verb, id, answer)));
                };
                let done = answered;
                note!(
                    self.trace,
                    "  {verb} {id}: {:?}",
                    done.as_ref().map(|job| job.status).map_err(Error::kind)
                );
                if done.is_ok() {
                    self.trace.saw(match verb {
                        "retry" => "retried by hand",
                        "cancel" => "a cancel by hand acknowledged",
                        _ => "deleted",
                    });
                }
                if verb == "delete" && done.is_ok() && self.model.books.jobs.contains_key(&id) {
                    return Err(format!("job {id} was acknowledged as deleted and is in the books"));
                }
            }
            Call::Look(id, answer) => match answer.try_take() {
                None => return Ok(Some(Call::Look(id, answer))),
                Some(Ok(None)) if !self.model.may_be_deleted(id) => {
                    return Err(format!("job {id} was acknowledged and a reader does not see it"));
                }
                Some(_) => self.trace.saw("read"),
            },
            Call::Ended(id, ended) => match ended.try_take() {
                None => return Ok(Some(Call::Ended(id, ended))),
                Some(Ok(job)) => {
                    self.trace.saw("an end was waited for");
                    if !job.status.is_ended() {
                        return Err(format!("job {id} was told to have ended and is {}", job.status));
                    }
                }
                Some(Err(_)) => {}
            },
        }
        Ok(None)
    }

    pub(super) fn is_answered(&self) -> bool {
        self.processes.iter().filter_map(|process| process.life.as_ref()).all(|life| life.calls.is_empty())
    }

    /// Workers on the list whose process is gone.
    pub(super) fn dead(&self) -> Vec<i64> {
        let lives = |worker: i64| {
            self.processes.iter().filter_map(|process| process.life.as_ref()).any(|life| life.is(worker))
        };
        self.model.books.workers.keys().copied().filter(|worker| !lives(*worker)).collect()
    }
}
