//! [`Driver`], which plays moves on a real store, and keeps the answers that are still to come.
//!
//! Jobs have the numbers of the order in which they were stored, whatever ids a store gives: ids may have
//! gaps.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use qdjobs::store::Verdict;
use qdjobs::store::{
    Claim, ClaimRequest, ClaimResponse, Filter, FinishedJob, JobCommand, Pending, ProgressSlot, Release,
    Store, Ticket, WorkerInfo,
};
use qdjobs::{Attempt, Clock, Job, JobId, Progress, Status, Timestamp, WorkerId};
use qdjobs_contract::{START, answer, settle};

use super::ops::{Answers, Draft, Move, Player, Said, Wish};
use super::reference::RefJob;
use super::stores::Stores;

/// Plays moves on a store.
pub(super) struct Driver {
    store: Arc<dyn Store>,
    members: Vec<Arc<dyn Store>>,
    clock: Clock,
    waiting_claims: BTreeMap<usize, Pending<ClaimResponse>>,
    waits: BTreeMap<usize, Pending<Job>>,
    /// The tickets of claimed jobs, and the instants of the claims.
    tickets: HashMap<Claim, (Ticket, Timestamp)>,
    /// The ids that the store gave, in the order of the jobs.
    ids: Vec<JobId>,
    _guard: Box<dyn std::any::Any>,
}

impl Driver {
    pub(super) fn new(factory: impl Fn(Clock) -> Stores) -> Driver {
        let clock = Clock::manual(START);
        let Stores { store, members, guard } = factory(clock.clone());
        Driver {
            store,
            members,
            clock,
            waiting_claims: BTreeMap::new(),
            waits: BTreeMap::new(),
            tickets: HashMap::new(),
            ids: Vec::new(),
            _guard: guard,
        }
    }

    /// The id that the store gave to a job.
    fn real(&self, number: JobId) -> JobId {
        // One that was never stored is far from all ids.
        let at = usize::try_from(number.0 - 1).ok();
        at.and_then(|at| self.ids.get(at)).copied().unwrap_or(JobId(1_000_000_000 + number.0))
    }

    /// The number of a job with this id.
    fn number(&self, id: JobId) -> JobId {
        self.ids.iter().position(|it| *it == id).map_or(id, |at| JobId(at as i64 + 1))
    }

    fn number_of_stored(&mut self, id: JobId) -> JobId {
        if !self.ids.contains(&id) {
            self.ids.push(id);
        }
        self.number(id)
    }

    /// A text in which jobs are named, with their numbers.
    fn with_numbers(&self, text: &str) -> String {
        let mut pieces = text.split("job ");
        let mut plain = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let digits = piece.find(|it: char| !it.is_ascii_digit()).unwrap_or(piece.len());
            let number = piece[..digits].parse().map(|id| self.number(JobId(id)).to_string());
            plain += &format!("job {}{}", number.unwrap_or_default(), &piece[digits..]);
        }
        plain
    }

    fn claim(&self, worker: WorkerId, done: &[(Claim, Verdict)], wish: Wish) -> Pending<ClaimResponse> {
        let now = self.clock.now();
        let finish = |(claim, verdict): &(Claim, Verdict)| {
            let claim = Claim { id: self.real(claim.id), ..*claim };
            let unknown = || (Ticket::new(now), now);
            let (ticket, claimed_at) = self.tickets.get(&claim).copied().unwrap_or_else(unknown);
            let began_after = now.duration_since(claimed_at).try_into().unwrap_or_default();
            FinishedJob { claim, ticket, began_after, verdict: verdict.clone() }
        };
        let finished = Arc::new(done.iter().map(finish).collect());
        self.store.claim(ClaimRequest { finished, ..wish.request(worker) })
    }

    fn late_answers(&mut self) -> Answers {
        // Two writes later in each member, whatever follows from the move has been answered: the second comes
        // after the batch of the first and all that it gave to others. A heartbeat of nobody changes nothing.
        for member in self.members.iter().chain(&self.members) {
            answer(member.heartbeat(WorkerId(0))).unwrap();
        }
        // Unless a member hears of the commits of another later than it writes itself.
        if self.members.len() > 1 {
            settle(&self.members);
        }
        let mut answers = Answers::new();
        let claimed: Vec<_> =
            self.waiting_claims.iter().filter_map(|(at, claim)| Some((*at, claim.try_take()?))).collect();
        for (number, response) in claimed {
            self.waiting_claims.remove(&number);
            answers.insert(number, self.say_claimed(response));
        }
        let ended: Vec<_> =
            self.waits.iter().filter_map(|(at, wait)| Some((*at, wait.try_take()?))).collect();
        for (number, job) in ended {
            self.waits.remove(&number);
            answers.insert(number, self.say_job(job));
        }
        answers
    }

    fn list(&self, set: impl FnOnce(&mut Filter)) -> (Vec<Job>, Option<qdjobs::store::Cursor>) {
        let mut filter = Filter::default();
        set(&mut filter);
        let page = answer(self.store.list(filter)).unwrap();
        (page.jobs, page.next)
    }

    /// All jobs by pages of three, newest first, which holds the pages to the rows as well.
    fn jobs(&self) -> Vec<Job> {
        let (mut jobs, mut before) = (Vec::new(), None);
        loop {
            let (page, next) = self.list(|filter| (filter.limit, filter.after) = (Some(3), before));
            jobs.extend(page);
            before = next;
            if before.is_none() {
                return jobs;
            }
        }
    }

    fn attempts(&self, id: JobId) -> Vec<Attempt> {
        answer(self.store.attempts(id)).unwrap()
    }

    /// What the reference knows, read from the store.
    pub(super) fn sketch(&self) -> BTreeMap<JobId, RefJob> {
        let jobs = self.jobs();
        let sketch = |job: &Job| (self.number(job.id), RefJob::of(job, &self.attempts(job.id)));
        jobs.iter().map(sketch).collect()
    }

    /// Everything that can be read.
    pub(super) fn picture(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for mut job in self.jobs() {
            for attempt in self.attempts(job.id) {
                lines.push(self.with_numbers(&format!("{attempt:?}")));
            }
            job.id = self.number(job.id);
            lines.push(self.with_numbers(&format!("{job:?}")));
        }
        lines.push(format!("{:?}", answer(self.store.counts()).unwrap()));
        lines.push(format!("{:?}", answer(self.store.workers()).unwrap()));
        let ids = |(jobs, next): (Vec<Job>, Option<_>)| {
            let numbers: Vec<_> = jobs.iter().map(|job| self.number(job.id)).collect();
            format!("{numbers:?} {}", next.is_some())
        };
        lines.push(format!("scheduled {}", ids(self.list(|filter| filter.scheduled = true))));
        lines.push(format!("retrying {}", ids(self.list(|filter| filter.retrying = true))));
        let mails = self.list(|filter| {
            (filter.task_name, filter.queue) = (Some("mail".into()), Some("a".into()));
        });
        lines.push(format!("mail in a {}", ids(mails)));
        for status in Status::ALL {
            lines.push(format!("{status} {}", ids(self.list(|filter| filter.status = Some(status)))));
        }
        lines
    }

    fn say_claimed(&mut self, response: qdjobs::Result<ClaimResponse>) -> Said {
        if let Ok(response) = &response {
            let tickets = response.claimed.iter().map(|job| (job.claim, (job.ticket, job.claimed_at)));
            self.tickets.extend(tickets);
        }
        let plain = |claim: Claim| Claim { id: self.number(claim.id), ..claim };
        say(response, |ClaimResponse { lost, claimed, .. }| Said::Claimed {
            lost: lost
                .into_iter()
                .map(|claim| Claim { id: self.number_or_unknown(claim.id), ..claim })
                .collect(),
            claimed: claimed.iter().map(|job| plain(job.claim)).collect(),
        })
    }

    /// The number of a job that may never have been stored; see [`real`](Driver::real).
    fn number_or_unknown(&self, id: JobId) -> JobId {
        if self.ids.contains(&id) { self.number(id) } else { JobId(id.0 - 1_000_000_000) }
    }

    fn say_job(&self, job: qdjobs::Result<Job>) -> Said {
        say(job, |job| Said::Job(self.number(job.id), job.status))
    }
}

fn say<T>(answer: qdjobs::Result<T>, say: impl FnOnce(T) -> Said) -> Said {
    answer.map_or_else(|error| Said::Refused(error.kind()), say)
}

impl Player for Driver {
    fn play(&mut self, number: usize, asked: &Move) -> Answers {
        let store = self.store.clone();
        let at_once = match asked {
            Move::Insert(drafts) => {
                let stored = answer(store.insert(drafts.iter().map(Draft::new_job).collect()));
                Some(say(stored, |ids| {
                    Said::Stored(ids.into_iter().map(|id| self.number_of_stored(id)).collect())
                }))
            }
            Move::RegisterWorker(worker) => {
                let registered = answer(store.register_worker(WorkerInfo::new(*worker, "host", 7)));
                Some(say(registered, |()| Said::Nothing))
            }
            Move::Claim { worker, done, wish } => {
                self.waiting_claims.insert(number, self.claim(*worker, done, *wish));
                None
            }
            Move::CancelWaitingClaims(worker) => {
                answer(store.cancel_waiting_claims(*worker)).unwrap();
                None
            }
            Move::Heartbeat(worker) => {
                let workers = || answer(store.workers()).unwrap();
                Some(say(answer(store.heartbeat(*worker)), |heartbeat| Said::Heartbeat {
                    registered: heartbeat.registered,
                    workers: workers().iter().map(|it| (it.id, it.heartbeats, it.running)).collect(),
                }))
            }
            Move::ReportProgress(claim, percent) => {
                let slot = Arc::new(ProgressSlot::new(Claim { id: self.real(claim.id), ..*claim }));
                slot.set(Progress::new(f64::from(*percent) / 100.0, None));
                store.report_progress(slot);
                None
            }
            Move::ReleaseDead(worker) => {
                let released = answer(store.release_worker(*worker, Release::ProvenDead));
                Some(say(released, |released| Said::Released(released.jobs)))
            }
            Move::ReleaseOwn(worker) => {
                let released = answer(store.release_worker(*worker, Release::ByWorker));
                Some(say(released, |released| Said::Released(released.jobs)))
            }
            Move::Command(command) => {
                let id = self.real(command.id());
                let command = match command {
                    JobCommand::Retry(_) => JobCommand::Retry(id),
                    JobCommand::Cancel(_) => JobCommand::Cancel(id),
                    JobCommand::Delete(_) => JobCommand::Delete(id),
                };
                Some(self.say_job(answer(store.command(command))))
            }
            Move::WaitFor(id) => {
                self.waits.insert(number, store.wait_for(self.real(*id)));
                None
            }
            Move::Advance(by) => {
                self.clock.advance(*by);
                None
            }
        };
        let mut answers = self.late_answers();
        answers.extend(at_once.map(|said| (number, said)));
        answers
    }
}
