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
            Request::Publish(tasks, reply) => {
                let published = self
                    .alone(true, |conn| queries::publish_tasks(conn, &tasks).map_err(error::before_commit));
                self.settle(batch, published, reply)
            }
            Request::RegisterWorker(card, reply) => {
                let wake_socket = self.sockets.open(&self.request_queue);
                let registered = self.alone(false, |conn| {
                    queries::register_worker(conn, &card, wake_socket.as_deref(), now)
                        .map_err(error::before_commit)
                });
                batch.look = true;
                match &registered {
                    _ if self.registered.contains(&card.id) => {}
                    Ok(()) => batch.registered.push(card.id),
                    Err(_) => self.worker_locks.end(card.id),
                }
                self.settle(batch, registered, reply)
            }
            Request::Claim(turn, reply) => self.apply_turn(turn, reply, batch),
            Request::CancelWaitingClaims(worker) => {
                self.end_standing(|turn| turn.worker == worker);
                batch.claim_nothing_for(worker);
                Ok(())
            }
            Request::Heartbeat(worker, reply) => {
                let heartbeat =
                    self.alone(true, |conn| queries::heartbeat(conn, worker).map_err(error::before_commit));
                batch.look |= heartbeat.as_ref().is_ok_and(|(_, freed)| *freed);
                self.settle(batch, heartbeat.map(|(heartbeat, _)| heartbeat), reply)
            }
            Request::ReportProgress(note) => {
                let noted = self
                    .alone(false, |conn| queries::report_progress(conn, &note).map_err(error::before_commit));
                // Progress that could not be written is followed by later progress; only a dead transaction matters.
                noted.or_else(
                    |error| if error.is_fatal() || self.conn.is_autocommit() { Err(error) } else { Ok(()) },
                )
            }
            Request::Rescue(worker, reply) => {
                let max_crashes = self.options.max_crashes;
                let freed = self.alone(true, |conn| {
                    // Before its row is gone.
                    let wake_socket = queries::wake_socket(conn, worker);
                    let freed = wake_socket.and_then(|wake_socket| {
                        Ok((queries::rescue(conn, worker, max_crashes, now)?, wake_socket))
                    });
                    freed.map_err(error::before_commit)
                });
                // A turn of the dead worker that stands here is told.
                batch.look = true;
                let rescued = freed.map(|(freed, wake_socket)| {
                    batch.ready += freed.waiting;
                    batch.ended.extend(freed.failed.iter().map(|job| job.id));
                    batch.refuse_standing_of(worker);
                    batch.claim_nothing_for(worker);
                    batch.left.push((worker, wake_socket));
                    Rescued { jobs: freed.jobs, failed: freed.failed }
                });
                self.settle(batch, rescued, reply)
            }
            Request::RescueSilent(worker, heartbeats, reply) => match queries::heartbeats(&self.conn, worker)
            {
                Ok(found) if found == Some(heartbeats) => self.apply(Request::Rescue(worker, reply), batch),
                found => {
                    self.settle(batch, found.map(|_| Rescued::default()).map_err(error::before_commit), reply)
                }
            },
            Request::Deregister(worker, reply) => {
                self.end_standing(|turn| turn.worker == worker);
                batch.claim_nothing_for(worker);
                let freed = self.alone(true, |conn| {
                    queries::deregister_worker(conn, worker, now).map_err(error::before_commit)
                });
                batch.ready += freed.as_ref().map_or(0, |freed| freed.waiting);
                batch.left.extend(freed.is_ok().then_some((worker, None)));
                self.settle(batch, freed.map(|freed| freed.jobs), reply)
            }
            Request::JobCommand(commands, reply) => {
                let mut answers = Vec::with_capacity(commands.len());
                for command in commands {
                    let told = self.tell_end_of(command.id(), batch);
                    let answer =
                        told.and_then(|()| self.alone(false, |conn| queries::control(conn, command, now)));
                    if answer.as_ref().is_err_and(Error::is_fatal)
                        || (answer.is_err() && self.conn.is_autocommit())
                    {
                        return self.settle(batch, answer.map(|_| Vec::new()), reply);
                    }
                    if answer.is_ok() {
                        batch.ended.push(command.id());
                        batch.ready += usize::from(matches!(command, crate::store::JobCommand::Retry(_)));
                    }
                    answers.push(answer);
                }
                self.settle(batch, Ok(answers), reply)
            }
            Request::Ended(id, reply) => {
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

    pub(super) fn apply_turn(
        &mut self,
        turn: ClaimRequest,
        reply: Reply<ClaimResponse>,
        batch: &mut Batch,
    ) -> Result<()> {
        let now = batch.now;
        let mut ended = Vec::new();
        let mut ready = 0;
        let finished = self.alone(turn.done.len() > 1, |conn| {
            if !queries::is_registered(conn, turn.worker).map_err(error::before_commit)? {
                return Err(taken_for_dead());
            }
            let mut turned = ClaimResponse::default();
            let mut finishes = queries::FinishWriter::on(conn).map_err(error::before_commit)?;
            for finish in turn.done.iter() {
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
                batch.spent |= !turn.done.is_empty();
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
