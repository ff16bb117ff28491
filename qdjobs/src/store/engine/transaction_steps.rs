//! The order inside one transaction: apply requests, make due jobs ready, serve waiting claims, claim,
//! collect ends: [`run`].
//!
//! Decides also that a claim without a job waits, and what each request is answered. Does not answer:
//! [`Waiters::after_commit`] does. What a finish, release or command does is in `apply_requests.rs`. Begins
//! and commits nothing.
//!
//! Depends on the transaction and the waiters.

use std::time::Duration;

use super::apply_requests::{FinishResult, command, finish, release_orphans, release_worker};
use super::batch::{Batch, Claiming};
use super::leave_running::Leaving;
use super::requests::{Call, Request};
use super::transaction::{Effects, Transaction};
use super::waiters::Waiters;
use crate::model::clock::{Timestamp, after_at_latest};
use crate::model::error::{Error, Result};
use crate::model::job::{JobId, NewJob, Status, WorkerId};
use crate::store::{
    ClaimRequest, ClaimResponse, Heartbeat, Release, Released, WorkerInfo, lease_lost, not_found,
};

/// The pause before due jobs are tried again of which none could be made ready. Their lock may be a long one.
const PROMOTE_PAUSE: Duration = Duration::from_millis(50);

/// Runs the requests in one transaction and records the answers. If it returns an error, the transaction must
/// not be committed. It can run again with an empty batch.
pub(crate) fn run<T: Transaction>(
    tx: &mut T,
    requests: &mut [Request],
    waiters: &mut Waiters,
    batch: &mut Batch,
) -> Result<()> {
    requests.iter_mut().for_each(Request::reset);
    waiters.reset();
    while batch.applied < requests.len() {
        let (before, rest) = requests.split_at_mut(batch.applied);
        let together = insert_together(tx, rest, &mut batch.effects)?;
        if together == 0 {
            apply(tx, &mut rest[0], before, waiters, batch)?;
        }
        batch.applied += together.max(1);
    }
    let ready = batch.effects.ready;
    let promotes = batch.look || waiters.is_due(tx.now());
    if promotes {
        tx.promote(&mut batch.effects)?;
    }
    batch.promoted = batch.effects.ready - ready;
    claim_for_waiting(tx, waiters, batch)?;
    claim_for_requests(tx, requests, batch)?;
    claim_behind_suspected(tx, waiters, batch)?;
    collect_ends(tx, requests, waiters, batch)?;
    let next_due = tx.next_due()?;
    // Due jobs that could not be made ready are locked by another transaction, or the disk is full.
    let not_before = if promotes && batch.promoted == 0 {
        after_at_latest(tx.now(), PROMOTE_PAUSE)
    } else {
        Timestamp::MIN
    };
    batch.next_due = Some(next_due.map(|due| if due <= tx.now() { due.max(not_before) } else { due }));
    Ok(())
}

/// The fewest requests that share a statement. For fewer, their savepoint costs as much as the statement saves.
const TOGETHER_MIN: usize = 4;

/// Applies the first requests together, as far as each inserts one small job without a key: one statement stores their
/// jobs. If it fails, each of them is applied alone, and has an error of its own. Returns the number of these requests; 0 if
/// they are too few.
fn insert_together<T: Transaction>(
    tx: &mut T,
    requests: &mut [Request],
    effects: &mut Effects,
) -> Result<usize> {
    let job_of = |request| match request {
        &Request::Insert(Call { ref args, .. }) if tx.is_one_statement(args) => args.first(),
        _ => None,
    };
    let alike = requests.iter().take(T::TOGETHER_MAX).map_while(job_of);
    if alike.clone().count() < TOGETHER_MIN {
        return Ok(0);
    }
    let jobs: Vec<&NewJob> = alike.collect();
    let tried = jobs.len();
    // A trigger of the application can end the statement after it has stored some of them.
    match alone(tx, true, effects, |tx, effects| tx.insert_together(&jobs, effects)) {
        Ok(ids) => {
            for (call, id) in inserts_of(requests).zip(&ids) {
                call.decide(Ok(vec![*id]));
            }
            Ok(ids.len())
        }
        Err(error) if tx.is_alive(&error) => {
            inserts_of(&mut requests[..tried]).try_for_each(|call| insert(tx, call, effects))?;
            Ok(tried)
        }
        Err(error) => Err(error),
    }
}

fn inserts_of(requests: &mut [Request]) -> impl Iterator<Item = &mut Call<Vec<NewJob>, Vec<JobId>>> {
    requests.iter_mut().filter_map(|request| match request {
        Request::Insert(call) => Some(call),
        _ => None,
    })
}

fn insert<T: Transaction>(
    tx: &mut T,
    call: &mut Call<Vec<NewJob>, Vec<JobId>>,
    effects: &mut Effects,
) -> Result<()> {
    let several = !tx.is_one_statement(&call.args);
    let ids = alone(tx, several, effects, |tx, effects| tx.insert(&call.args, effects));
    decide(tx, call, ids)
}

/// Applies one request. Its error is its own answer; only an error that ended the whole transaction is
/// returned. `before` are the requests that were applied before it.
fn apply<T: Transaction>(
    tx: &mut T,
    request: &mut Request,
    before: &mut [Request],
    waiters: &mut Waiters,
    batch: &mut Batch,
) -> Result<()> {
    let effects = &mut batch.effects;
    match request {
        Request::Insert(call) => insert(tx, call, effects),
        Request::PublishTasks(call) => {
            let published = alone(tx, true, effects, |tx, _| tx.publish_tasks(&call.args));
            decide(tx, call, published)
        }
        Request::RegisterWorker(call) => register_worker(tx, call, batch),
        Request::Claim(call) => finish_jobs(tx, call, before.len(), batch),
        Request::CancelWaitingClaims(call) => {
            waiters.end_claims_of(call.args, || Ok(ClaimResponse::default()));
            batch.claim_nothing_for(call.args, before);
            Ok(())
        }
        Request::Heartbeat(call) => heartbeat(tx, call, batch),
        Request::ReportProgress(report) => {
            let Some(progress) = report.slot.peek() else { return Ok(()) };
            let claim = report.slot.claim();
            let written = alone(tx, false, effects, |tx, _| tx.report_progress(claim, &progress));
            report.written = Some(progress);
            // A later value replaces one that could not be written. So an error matters only if it ended the
            // transaction.
            written.or_else(|error| if tx.is_alive(&error) { Ok(()) } else { Err(error) })
        }
        Request::ReleaseWorker(call) => release(tx, call, before, waiters, batch),
        Request::Command(call) => {
            let noted = note_end_before(tx, call.args.id(), before, waiters, batch);
            let changed = noted.and_then(|()| {
                alone(tx, false, &mut batch.effects, |tx, effects| command(tx, call.args, effects))
            });
            decide(tx, call, changed)
        }
        Request::WaitFor(call) => match alone(tx, false, effects, |tx, _| tx.job(call.args)) {
            // The job has not ended, so this request keeps waiting. The job may end later in this
            // transaction.
            Ok(Some(job)) if !job.status.is_ended() => Ok(()),
            Ok(job) => {
                let job = job.ok_or_else(|| not_found(call.args));
                decide(tx, call, job)
            }
            Err(error) => decide(tx, call, Err(error)),
        },
        Request::Look => {
            batch.look = true;
            Ok(())
        }
        // The store ends all waiting calls when it closes.
        Request::Close => Ok(()),
    }
}

/// Records an answer. If its error ended the transaction, returns that error: SQLite would commit each
/// further statement separately.
fn decide<T: Transaction, Q, A>(tx: &T, call: &mut Call<Q, A>, answer: Result<A>) -> Result<()> {
    let over = answer.as_ref().err().filter(|error| !tx.is_alive(error)).map(Error::repeat);
    call.decide(answer);
    over.map_or(Ok(()), Err)
}

/// Runs one request so that it succeeds or fails alone, with its effects.
fn alone<T: Transaction, A>(
    tx: &mut T,
    several: bool,
    effects: &mut Effects,
    verb: impl FnOnce(&mut T, &mut Effects) -> Result<A>,
) -> Result<A> {
    let mark = effects.mark();
    let done = tx.alone(several, |tx| verb(tx, effects));
    if done.is_err() {
        effects.undo_to(mark);
    }
    done
}

// -- register

fn register_worker<T: Transaction>(
    tx: &mut T,
    call: &mut Call<WorkerInfo, ()>,
    batch: &mut Batch,
) -> Result<()> {
    let worker = call.args.id;
    let registered = alone(tx, false, &mut batch.effects, |tx, _| tx.register_worker(&call.args));
    batch.look = true;
    match &registered {
        Ok(true) => batch.effects.registered.push(worker),
        Ok(false) => {}
        Err(_) => batch.refused.push(worker),
    }
    decide(tx, call, registered.map(drop))
}

// -- claim

/// Writes the finished jobs of a claim request. It claims later, in [`claim_for_requests`].
fn finish_jobs<T: Transaction>(
    tx: &mut T,
    call: &mut Call<ClaimRequest, ClaimResponse>,
    at: usize,
    batch: &mut Batch,
) -> Result<()> {
    let request = &call.args;
    let several = match request.finished.as_slice() {
        [] => false,
        [job] => !Leaving::finished(job, tx.now()).is_first_success(),
        _ => true,
    };
    let response = alone(tx, several, &mut batch.effects, |tx, effects| {
        if !tx.is_registered(request.worker)? {
            return Err(lease_lost(request.worker));
        }
        let mut response = ClaimResponse::default();
        for job in request.finished.iter() {
            match finish(tx, job, effects)? {
                FinishResult::Written | FinishResult::Repeated => {}
                FinishResult::EndedBefore(Status::Completed) => response.completed.push(job.claim),
                FinishResult::EndedBefore(_) => {}
                FinishResult::Lost => response.lost.push(job.claim),
            }
        }
        Ok(response)
    });
    match response {
        Ok(response) => {
            batch.spent |= !request.finished.is_empty();
            let (may_claim, may_wait) = (request.limit > 0, request.may_wait());
            batch.claims.push(Claiming { at, may_claim, may_wait, response });
            Ok(())
        }
        Err(error) => decide(tx, call, Err(error)),
    }
}

/// Claims for the waiting claims, oldest first. Refuses those whose worker is no longer registered.
fn claim_for_waiting<T: Transaction>(tx: &mut T, waiters: &mut Waiters, batch: &mut Batch) -> Result<()> {
    // After a finish, its worker may be allowed to hold suspected poison jobs that it could not claim before.
    let may_have_more = batch.effects.ready > 0
        || batch.look
        || (batch.spent && waiters.has_claims() && tx.has_suspected()?);
    if !may_have_more {
        return Ok(());
    }
    // Also without a look: the news that another process has released a worker may come late.
    waiters.refuse_unregistered(tx)?;
    waiters.claim(tx, &mut batch.effects)
}

/// Claims for the waiting claims again if suspected poison jobs wait and a request has claimed: a job that kept
/// those behind it may be gone from the line.
fn claim_behind_suspected<T: Transaction>(
    tx: &mut T,
    waiters: &mut Waiters,
    batch: &mut Batch,
) -> Result<()> {
    if batch.effects.claimed > 0 && waiters.has_claims() && tx.has_suspected()? {
        waiters.claim(tx, &mut batch.effects)?;
    }
    Ok(())
}

/// Claims for the requests of this batch, after the waiting claims. A request that must wait gets no answer.
fn claim_for_requests<T: Transaction>(tx: &mut T, requests: &mut [Request], batch: &mut Batch) -> Result<()> {
    for claiming in std::mem::take(&mut batch.claims) {
        let Some(Request::Claim(call)) = requests.get_mut(claiming.at) else { continue };
        let mut response = claiming.response;
        if claiming.may_claim {
            response.claimed = tx.claim(&call.args)?;
            batch.effects.has_claimed(&response.claimed);
        }
        if !(claiming.may_wait && response.claimed.is_empty()) {
            call.decide(Ok(response));
        }
    }
    Ok(())
}

// -- heartbeat

fn heartbeat<T: Transaction>(
    tx: &mut T,
    call: &mut Call<WorkerId, Heartbeat>,
    batch: &mut Batch,
) -> Result<()> {
    let registered = alone(tx, false, &mut batch.effects, |tx, _| tx.heartbeat(call.args));
    decide(tx, call, registered.map(Heartbeat::new))?;
    // Apart from the heartbeat: a row that cannot be released must not end the leases of all workers.
    let before = batch.effects.ready;
    let released = alone(tx, true, &mut batch.effects, release_orphans);
    batch.look |= batch.effects.ready > before;
    released.or_else(|error| if tx.is_alive(&error) { Ok(()) } else { Err(error) })
}

// -- release

fn release<T: Transaction>(
    tx: &mut T,
    call: &mut Call<(WorkerId, Release), Released>,
    before: &mut [Request],
    waiters: &mut Waiters,
    batch: &mut Batch,
) -> Result<()> {
    let (worker, why) = call.args;
    let gone = batch.effects.gone.len();
    let released =
        alone(tx, true, &mut batch.effects, |tx, effects| release_worker(tx, worker, why, effects));
    if batch.effects.gone.len() > gone {
        if why == Release::ByWorker {
            waiters.end_claims_of(worker, || Ok(ClaimResponse::default()));
        } else {
            waiters.end_claims_of(worker, || Err(lease_lost(worker)));
            batch.refuse_waiting_of(worker, before);
            batch.look = true;
        }
        batch.claim_nothing_for(worker, before);
    }
    decide(tx, call, released)
}

// -- wait

/// Records the answers of calls that wait for a job that has ended: in this batch or, if `look` is set, in
/// any process.
fn collect_ends<T: Transaction>(
    tx: &mut T,
    requests: &mut [Request],
    waiters: &mut Waiters,
    batch: &mut Batch,
) -> Result<()> {
    let mut ids: Vec<JobId> = requests.iter().filter_map(waited_for).collect();
    if ids.is_empty() && !waiters.has_waits() {
        return Ok(());
    }
    if batch.look {
        ids.extend(waiters.waited_for());
    } else {
        let ended = &batch.effects.ended;
        ids.retain(|id| ended.contains(id));
        ids.extend(ended.iter().filter(|id| waiters.waits_for(**id)));
    }
    // In ascending order, so that every run reads the jobs in the same order; each job once.
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().try_for_each(|id| note_end(tx, id, requests, waiters))
}

/// Called before a command changes a job that has ended in this batch: the calls that wait for it get this
/// end as their answer.
fn note_end_before<T: Transaction>(
    tx: &mut T,
    id: JobId,
    before: &mut [Request],
    waiters: &mut Waiters,
    batch: &Batch,
) -> Result<()> {
    if batch.effects.ended.contains(&id) { note_end(tx, id, before, waiters) } else { Ok(()) }
}

/// If a job has ended or was deleted, records the answer of the calls that wait for it.
fn note_end<T: Transaction>(
    tx: &mut T,
    id: JobId,
    requests: &mut [Request],
    waiters: &mut Waiters,
) -> Result<()> {
    let is_waited_for = waiters.waits_for(id) || requests.iter().any(|it| waited_for(it) == Some(id));
    if !is_waited_for {
        return Ok(());
    }
    let job = tx.job(id)?;
    if job.as_ref().is_some_and(|job| !job.status.is_ended()) {
        return Ok(());
    }
    let answer = || job.clone().ok_or_else(|| not_found(id));
    waiters.note_end(id, answer);
    for request in requests {
        if let Request::WaitFor(call) = request
            && call.args == id
            && !call.is_decided()
        {
            call.decide(answer());
        }
    }
    Ok(())
}

/// The job for whose end a request waits.
fn waited_for(request: &Request) -> Option<JobId> {
    match request {
        Request::WaitFor(call) if !call.is_decided() => Some(call.args),
        _ => None,
    }
}
