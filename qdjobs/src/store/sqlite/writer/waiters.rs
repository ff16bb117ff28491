//! Those who wait: turns that stand until there is work, and callers that stand by for the end of a job.
//!
//! Leans on `verbs`. Runs when everything else of a batch has been applied, so that they see what it stored.

use super::*;

/// Jobs made ready in one statement, and statements of that kind in one transaction: a million jobs that are due at once
/// must not hold up everybody else.
const PROMOTE_MAX: usize = 1_000;
const PROMOTE_ROUNDS: usize = 4;

impl Writer {
    pub(super) fn promote(&mut self, batch: &mut Batch) -> Result<()> {
        // What is due on a full disk waits for room.
        if self.disk_reserve.is_released() || (self.next_due.is_none_or(|due| due > batch.now) && !batch.look)
        {
            return Ok(());
        }
        for _ in 0..PROMOTE_ROUNDS {
            let promoted =
                queries::promote(&self.conn, batch.now, PROMOTE_MAX).map_err(error::before_commit)?;
            batch.ready += promoted;
            if promoted < PROMOTE_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Claims: first for those who have waited longest.
    pub(super) fn serve(&mut self, batch: &mut Batch) -> Result<()> {
        if batch.look {
            self.tell_those_taken_for_dead(batch)?;
        }
        // What is begun on a full disk could not be finished.
        let may_claim = !self.disk_reserve.is_released();
        let suspects = may_claim && self.has_suspects(batch)?;
        // With a claim that is spent, a worker may have got the right to a suspect that waited before.
        if may_claim && (batch.ready > 0 || batch.look || (batch.spent && suspects)) {
            let mut standing = std::mem::take(&mut self.standing).into_iter();
            while let Some((turn, reply)) = standing.next() {
                match queries::claim(&self.conn, &turn, suspects, batch.now) {
                    Ok(claimed) if claimed.is_empty() => self.standing.push((turn, reply)),
                    Ok(claimed) => {
                        batch.claims.extend(claimed.iter().map(|job| job.claim));
                        self.settle(batch, Ok(ClaimResponse { claimed, ..ClaimResponse::default() }), reply)?;
                    }
                    Err(error) => {
                        let error = error::before_commit(error);
                        self.standing.extend(standing);
                        return Err(self.settle(batch, Err(error.repeat()), reply).err().unwrap_or(error));
                    }
                }
            }
        }
        let mut turns = std::mem::take(&mut batch.turns).into_iter();
        while let Some((turn, mut turned, reply)) = turns.next() {
            if turn.limit > 0 && may_claim {
                match queries::claim(&self.conn, &turn, suspects, batch.now) {
                    Ok(claimed) => turned.claimed = claimed,
                    Err(error) => {
                        let error = error::before_commit(error);
                        // They are told the same.
                        batch.turns.extend(turns);
                        return Err(self.settle(batch, Err(error.repeat()), reply).err().unwrap_or(error));
                    }
                }
            }
            batch.claims.extend(turned.claimed.iter().map(|job| job.claim));
            if turn.may_wait() && turned.claimed.is_empty() {
                self.stand(turn, reply);
            } else {
                self.settle(batch, Ok(turned), reply)?;
            }
        }
        Ok(())
    }

    /// Ends the standing turns of workers that are no longer on the list: taken for dead by others, or in this batch.
    fn tell_those_taken_for_dead(&mut self, batch: &mut Batch) -> Result<()> {
        let registered = |turn: &ClaimRequest| queries::is_registered(&self.conn, turn.worker);
        let listed: Vec<bool> = self
            .standing
            .iter()
            .map(|(turn, _)| registered(turn))
            .collect::<rusqlite::Result<_>>()
            .map_err(error::before_commit)?;
        let turns = std::mem::take(&mut self.standing);
        for ((turn, reply), is_listed) in turns.into_iter().zip(listed) {
            if is_listed {
                self.standing.push((turn, reply));
            } else {
                batch.keep(Err(taken_for_dead()), reply);
            }
        }
        Ok(())
    }

    /// Whether suspects wait and claims are to be made: one look for all claims of a batch.
    pub(super) fn has_suspects(&self, batch: &Batch) -> Result<bool> {
        let changed = batch.ready > 0 || batch.look || batch.spent;
        let asked =
            (changed && !self.standing.is_empty()) || batch.turns.iter().any(|(turn, ..)| turn.limit > 0);
        Ok(asked && queries::has_suspects(&self.conn).map_err(error::before_commit)?)
    }

    /// Leaves a turn standing; one of the same worker for the same tasks ends with it.
    pub(super) fn stand(&mut self, turn: ClaimRequest, reply: Reply<ClaimResponse>) {
        self.end_standing(|before| before.worker == turn.worker && before.tasks == turn.tasks);
        self.standing.push((turn, reply));
    }

    /// Answers some of the standing turns with what they have: nothing.
    pub(super) fn end_standing(&mut self, which: impl Fn(&ClaimRequest) -> bool) {
        let (ended, standing): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.standing).into_iter().partition(|(turn, _)| which(turn));
        self.standing = standing;
        ended.into_iter().for_each(|(_, reply)| reply.send(Ok(ClaimResponse::default())));
    }

    /// Nothing more will ever be written here for those who wait.
    pub(super) fn refuse_those_who_wait(&mut self, error: &Error) {
        for (_, reply) in self.standing.drain(..) {
            reply.send(Err(error.repeat()));
        }
        for reply in self.watchers.drain().flat_map(|(_, replies)| replies) {
            reply.send(Err(error.repeat()));
        }
    }

    /// Keeps the answers for those who wait for jobs that have ended, here or (`all`) elsewhere.
    pub(super) fn tell_watchers(&mut self, batch: &mut Batch, all: bool) -> Result<()> {
        if self.watchers.is_empty() && batch.watch.is_empty() {
            return Ok(());
        }
        for (id, reply) in std::mem::take(&mut batch.watch) {
            // Among the watchers from now on: the job may end in this very batch.
            self.watchers.entry(id).or_default().push(reply);
        }
        let ids: Vec<JobId> = if all || batch.look {
            let mut ids: Vec<JobId> = self.watchers.keys().copied().collect();
            // The map's own order is another one in each process.
            ids.sort_unstable();
            ids
        } else {
            batch.ended.iter().copied().filter(|id| self.watchers.contains_key(id)).collect()
        };
        ids.into_iter().try_for_each(|id| self.tell_watchers_of(id, batch))
    }

    /// Before a person changes a job that has ended in this very batch: whoever waited for its end hears of this one.
    pub(super) fn tell_end_of(&mut self, id: JobId, batch: &mut Batch) -> Result<()> {
        if !batch.ended.contains(&id) {
            return Ok(());
        }
        let (waits, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut batch.watch).into_iter().partition(|(watched, _)| *watched == id);
        batch.watch = others;
        for (_, reply) in waits {
            self.watchers.entry(id).or_default().push(reply);
        }
        self.tell_watchers_of(id, batch)
    }

    pub(super) fn tell_watchers_of(&mut self, id: JobId, batch: &mut Batch) -> Result<()> {
        if !self.watchers.contains_key(&id) {
            return Ok(());
        }
        let job = rows::job_by_id(&self.conn, id).map_err(error::before_commit)?;
        if job.as_ref().is_some_and(|job| !job.status.is_ended()) {
            return Ok(());
        }
        let waiting = self.watchers.remove(&id).unwrap_or_default();
        batch.told.push((id, job.ok_or_else(|| not_found(id)), waiting));
        Ok(())
    }
}
