//! One request of a batch, applied alone: an error is its own answer, unless it took the whole transaction down.
//!
//! Leans on `verbs`. Begins and commits nothing, and answers nobody before the commit: [`settle`](Writer::settle) keeps the answers.

use super::*;

impl Writer {
    /// Applies one request, alone: an error is its own answer. Only an error that took the whole transaction down is returned,
    /// and the requests not yet applied then fail with it.
    pub(super) fn apply(&mut self, request: Request, batch: &mut Batch) -> Result<()> {
        let now = batch.now;
        match request {
            Request::Insert(jobs, reply) => {
                let stored = self.alone(!queries::is_one_row(&jobs), |conn| {
                    let mut insert = queries::Insert::on(conn).map_err(error::before_commit)?;
                    let mut ready = 0;
                    let ids = jobs.iter().map(|job| {
                        insert.job(job, now).map(|(id, due)| {
                            ready += usize::from(due);
                            id
                        })
                    });
                    ids.collect::<Result<Vec<_>>>().map(|ids| (ids, ready))
                });
                batch.ready += stored.as_ref().map_or(0, |(_, ready)| *ready);
                self.settle(batch, stored.map(|(ids, _)| ids), reply)
            }
            Request::PublishTasks(tasks, reply) => {
                let published = self
                    .alone(true, |conn| queries::publish_tasks(conn, &tasks).map_err(error::before_commit));
                self.settle(batch, published, reply)
            }
            Request::RegisterWorker(worker, reply) => {
                let wake_socket = self.sockets.open(&self.request_queue);
                let registered = self.alone(false, |conn| {
                    queries::register_worker(conn, &worker, wake_socket.as_deref(), now)
                        .map_err(error::before_commit)
                });
                batch.look = true;
                match &registered {
                    _ if self.registered.contains(&worker.id) => {}
                    Ok(()) => batch.registered.push(worker.id),
                    Err(_) => self.worker_locks.release(worker.id),
                }
                self.settle(batch, registered, reply)
            }
            Request::Claim(turn, reply) => self.apply_turn(turn, reply, batch),
            Request::CancelWaitingClaims(worker, reply) => {
                self.end_standing(|turn| turn.worker == worker);
                batch.claim_nothing_for(worker);
                self.settle(batch, Ok(()), reply)
            }
            Request::Heartbeat(worker, reply) => {
                let heartbeat =
                    self.alone(true, |conn| queries::heartbeat(conn, worker).map_err(error::before_commit));
                batch.look |= heartbeat.as_ref().is_ok_and(|(_, freed)| *freed);
                self.settle(batch, heartbeat.map(|(heartbeat, _)| heartbeat), reply)
            }
            Request::ReportProgress(slot) => self.apply_progress(slot, batch),
            Request::ReleaseWorker(worker, Release::ByWorker, reply) => {
                self.end_standing(|turn| turn.worker == worker);
                batch.claim_nothing_for(worker);
                let freed = self.alone(true, |conn| {
                    queries::deregister_worker(conn, worker, now).map_err(error::before_commit)
                });
                batch.ready += freed.as_ref().map_or(0, |freed| freed.waiting);
                batch.left.extend(freed.is_ok().then_some((worker, None)));
                let released = freed.map(|freed| Released { jobs: freed.jobs, failed: freed.failed });
                self.settle(batch, released, reply)
            }
            Request::ReleaseWorker(worker, Release::ProvenDead, reply) => {
                self.apply_rescue(worker, reply, batch)
            }
            Request::ReleaseWorker(worker, Release::Silent { heartbeats }, reply) => {
                match queries::heartbeats(&self.conn, worker) {
                    Ok(found) if found == Some(heartbeats) => self.apply_rescue(worker, reply, batch),
                    found => self.settle(
                        batch,
                        found.map(|_| Released::default()).map_err(error::before_commit),
                        reply,
                    ),
                }
            }
            Request::Command(command, reply) => {
                let told = self.tell_end_of(command.id(), batch);
                let answer =
                    told.and_then(|()| self.alone(false, |conn| queries::command(conn, command, now)));
                if answer.is_ok() {
                    batch.ended.push(command.id());
                    batch.ready += usize::from(matches!(command, JobCommand::Retry(_)));
                }
                self.settle(batch, answer, reply)
            }
            Request::WaitFor(id, reply) => {
                match rows::job_by_id(&self.conn, id).map_err(error::before_commit) {
                    Ok(Some(job)) if !job.status.is_ended() => {
                        batch.watch.push((id, reply));
                        Ok(())
                    }
                    // Not before the commit: it may have ended, or be gone, by a request of this very batch.
                    Ok(job) => {
                        batch.told.push((id, job.ok_or_else(|| not_found(id)), vec![reply]));
                        Ok(())
                    }
                    Err(error) => self.settle(batch, Err(error), reply),
                }
            }
            Request::Look => {
                batch.look = true;
                Ok(())
            }
            // What stands and what watches is closed with the writer.
            Request::Close => Ok(()),
        }
    }

    /// Releases the jobs of a dead worker.
    fn apply_rescue(&mut self, worker: WorkerId, reply: Reply<Released>, batch: &mut Batch) -> Result<()> {
        let (max_crashes, now) = (self.options.max_crashes, batch.now);
        let freed = self.alone(true, |conn| {
            // Before its row is gone.
            let wake_socket = queries::wake_socket(conn, worker);
            let freed =
                wake_socket.and_then(|socket| Ok((queries::rescue(conn, worker, max_crashes, now)?, socket)));
            freed.map_err(error::before_commit)
        });
        // A waiting claim of the dead worker in this process is refused.
        batch.look = true;
        let released = freed.map(|(freed, wake_socket)| {
            batch.ready += freed.waiting;
            batch.ended.extend(freed.failed.iter().map(|job| job.id));
            batch.refuse_standing_of(worker);
            batch.claim_nothing_for(worker);
            batch.left.push((worker, wake_socket));
            Released { jobs: freed.jobs, failed: freed.failed }
        });
        self.settle(batch, released, reply)
    }

    /// Writes the progress of a job. If it cannot be written, a later value will be; only a dead transaction matters.
    fn apply_progress(&mut self, slot: Arc<ProgressSlot>, batch: &mut Batch) -> Result<()> {
        let Some(progress) = slot.peek() else {
            slot.clear();
            return Ok(());
        };
        let written = self.alone(false, |conn| {
            queries::report_progress(conn, slot.claim(), &progress).map_err(error::before_commit)
        });
        let request_queue = self.request_queue.clone();
        batch.answers.push(Box::new(move |commit| match commit {
            Err(_) => slot.clear(),
            // A value that came during the commit waits for the next one. A closed queue has no next one.
            Ok(()) if slot.stored(&progress) => {
                let _ = request_queue.push(Request::ReportProgress(slot));
            }
            Ok(()) => {}
        }));
        written
            .or_else(|error| if error.is_fatal() || self.conn.is_autocommit() { Err(error) } else { Ok(()) })
    }

    pub(super) fn apply_turn(
        &mut self,
        turn: ClaimRequest,
        reply: Reply<ClaimResponse>,
        batch: &mut Batch,
    ) -> Result<()> {
        let now = batch.now;
        let mut ended = Vec::new();
        let mut ready = 0;
        let finished = self.alone(turn.finished.len() > 1, |conn| {
            if !queries::is_registered(conn, turn.worker).map_err(error::before_commit)? {
                return Err(taken_for_dead());
            }
            let mut turned = ClaimResponse::default();
            let mut finishes = queries::FinishWriter::on(conn).map_err(error::before_commit)?;
            for finish in turn.finished.iter() {
                match finishes.write(finish, now).map_err(error::before_commit)? {
                    FinishResult::Lost => turned.lost.push(finish.claim),
                    FinishResult::EndedBefore(status) => {
                        turned.completed.extend((status == Status::Completed).then_some(finish.claim));
                        ended.push(finish.claim.id);
                    }
                    FinishResult::Ended => ended.push(finish.claim.id),
                    FinishResult::Waits(at_once) => ready += usize::from(at_once),
                }
            }
            Ok(turned)
        });
        match finished {
            Err(error) => self.settle(batch, Err::<ClaimResponse, _>(error), reply),
            Ok(turned) => {
                batch.ended.extend(ended);
                batch.ready += ready;
                batch.spent |= !turn.finished.is_empty();
                batch.turns.push((turn, turned, reply));
                Ok(())
            }
        }
    }

    /// Runs one request's statements so that they stand or fall alone. A single statement does so by itself; `several` need a
    /// savepoint.
    pub(super) fn alone<T>(&self, several: bool, verb: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        if !several {
            return verb(&self.conn);
        }
        let step = |sql: &str| {
            self.conn
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute([]))
                .map_err(error::before_commit)
        };
        step("SAVEPOINT request")?;
        let done = verb(&self.conn);
        // After some faults SQLite has rolled everything back on its own, and there is no savepoint any more.
        if done.is_err() && !self.conn.is_autocommit() {
            step("ROLLBACK TO request")?;
        }
        if !self.conn.is_autocommit() {
            step("RELEASE request")?;
        }
        done
    }

    /// Keeps an answer until the commit. If the fault has ended the transaction, the batch is over: going on would write each
    /// further statement in a transaction of its own. So it is if the fault ends the store.
    pub(super) fn settle<T: 'static>(
        &self,
        batch: &mut Batch,
        answer: Result<T>,
        reply: Reply<T>,
    ) -> Result<()> {
        let dead = match &answer {
            // Of a damaged file nothing is believed any more, what this batch has read of it neither.
            Err(error) if error.is_fatal() || self.conn.is_autocommit() => Some(error.repeat()),
            _ => None,
        };
        batch.keep(answer, reply);
        dead.map_or(Ok(()), Err)
    }
}
