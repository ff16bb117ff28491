//! The contract of a store, spoken aloud: one test a promise, named as the claim it keeps.
//!
//! Leans on the public [`Store`] and on nothing that a particular store knows. A store runs the whole suite with
//! `store_contract!(room, factory)`. The promises stand in the order of the verbs. Time is held and nothing sleeps:
//! an answer that does not come within [`PATIENCE`] is a failure.
//!
//! A promise that is written but not listed in `promises!` at the end is dead code, which the compiler reports.

#![expect(clippy::unwrap_used, reason = "a promise that is not kept is to panic")]

use std::sync::Arc;
use std::time::Duration;

use qdjobs::store::{
    Claim, ClaimRequest, ClaimResponse, ClaimedJob, Counts, Filter, FinishedJob, Foreign, Heartbeat,
    JobCommand, Page, Pending, ProgressSlot, Release, Store, TaskDefaults, TaskSet, Ticket, WorkerInfo,
    WorkerState,
};
use qdjobs::store::{NewJob, RunAt, Verdict};
use qdjobs::{
    Attempt, AttemptOutcome, Clock, Error, ErrorKind, Job, JobId, Progress, Status, Timestamp, WorkerId,
};

/// How long an answer may take before it counts as none: long enough for a slow disk on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The instant at which every test begins: whole seconds, far from zero and from the end of the calendar.
pub const START: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// The answer, or a failed test if there is none in time.
pub fn answer<T>(pending: Pending<T>) -> qdjobs::Result<T> {
    pending.wait_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer within {PATIENCE:?}"))
}

/// The promises of the contract, by the names of their tests.
pub fn promises() -> impl Iterator<Item = &'static str> {
    PROMISES.iter().map(|(name, _)| *name)
}

/// Holds the promise named `name` against the store that `factory` opens; called by `store_contract!`.
///
/// What the factory gives beside the store (a temporary directory, say) is kept until the promise is checked.
pub fn check<G>(name: &str, factory: impl Fn(Clock) -> (Arc<dyn Store>, G)) {
    let (_, promise) =
        PROMISES.iter().find(|(known, _)| *known == name).expect("store_contract! names its promises");
    let clock = Clock::manual(START);
    let (store, guard) = factory(clock.clone());
    promise(&Bench { clock, store });
    drop(guard);
}

/// A store on a table, with the few moves that every promise needs.
struct Bench {
    clock: Clock,
    store: Arc<dyn Store>,
}

const ANN: WorkerId = WorkerId(0xa);
const BOB: WorkerId = WorkerId(0xb);
const CAT: WorkerId = WorkerId(0xc);
const SECOND: Duration = Duration::from_secs(1);
const MICRO: Duration = Duration::from_micros(1);

/// A job of the task that every worker here knows.
fn job() -> NewJob {
    task("mail")
}

fn task(name: &str) -> NewJob {
    NewJob::new(name, "{}")
}

fn with(change: impl FnOnce(&mut NewJob)) -> NewJob {
    let mut job = job();
    change(&mut job);
    job
}

fn delayed(wait: Duration) -> NewJob {
    with(|job| job.run_at = RunAt::After(wait))
}

/// A job that no store may hold.
fn bad() -> NewJob {
    with(|job| job.queue = "no such name".into())
}

fn want(limit: usize) -> ClaimRequest {
    ClaimRequest::new(WorkerId(0), Arc::new(TaskSet::new(["mail"])), limit)
}

fn standing() -> ClaimRequest {
    ClaimRequest { wait: true, ..want(9) }
}

fn complete() -> Verdict {
    Verdict::Complete { result: r#"{"sent":true}"#.into() }
}

fn retry(wait: Duration) -> Verdict {
    Verdict::Retry { wait, error: "boom".into() }
}

fn fail() -> Verdict {
    Verdict::Fail { error: "broken".into() }
}

fn release(wait: Duration, started: bool) -> Verdict {
    Verdict::Release { wait, started }
}

fn ids(claimed: &[ClaimedJob]) -> Vec<JobId> {
    claimed.iter().map(|job| job.claim.id).collect()
}

fn kind<T: std::fmt::Debug>(answer: Result<T, Error>) -> ErrorKind {
    answer.expect_err("this was to be refused").kind()
}

impl Bench {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn insert(&self, jobs: Vec<NewJob>) -> Vec<JobId> {
        answer(self.store.insert(jobs)).unwrap()
    }

    fn insert_one(&self, job: NewJob) -> JobId {
        self.insert(vec![job])[0]
    }

    fn register_worker(&self, worker: WorkerId) {
        answer(self.store.register_worker(WorkerInfo::new(worker, "host", 7))).unwrap();
    }

    fn ask(
        &self,
        worker: WorkerId,
        finished: Vec<FinishedJob>,
        want: ClaimRequest,
    ) -> Pending<ClaimResponse> {
        self.store.claim(ClaimRequest { worker, finished: Arc::new(finished), ..want })
    }

    fn claim(&self, worker: WorkerId, want: ClaimRequest) -> Vec<ClaimedJob> {
        answer(self.ask(worker, vec![], want)).unwrap().claimed
    }

    /// The next job in the line, claimed.
    fn claim_one(&self, worker: WorkerId) -> Claim {
        self.claim(worker, want(1)).pop().expect("a job to claim").claim
    }

    /// A job that `worker`, now registered, holds.
    fn held_job(&self, worker: WorkerId) -> Claim {
        self.register_worker(worker);
        let id = self.insert_one(job());
        let claim = self.claim_one(worker);
        assert_eq!(claim.id, id, "the only job in the line");
        claim
    }

    fn finish_of(&self, claim: Claim, verdict: Verdict) -> FinishedJob {
        FinishedJob { claim, ticket: Ticket::new(self.now(), false), began_after: Duration::ZERO, verdict }
    }

    /// Writes what became of a job, and answers whether its claim was lost.
    fn is_lost(&self, claim: Claim, verdict: Verdict) -> bool {
        let turned = answer(self.ask(claim.worker, vec![self.finish_of(claim, verdict)], want(0))).unwrap();
        !turned.lost.is_empty()
    }

    fn finish(&self, claim: Claim, verdict: Verdict) -> Job {
        assert!(!self.is_lost(claim, verdict), "{claim:?} is lost");
        self.job(claim.id)
    }

    fn control(&self, command: JobCommand) -> qdjobs::Result<Job> {
        answer(self.store.command(command))
    }

    fn find(&self, id: JobId) -> Option<Job> {
        answer(self.store.get(id)).unwrap()
    }

    fn job(&self, id: JobId) -> Job {
        self.find(id).unwrap_or_else(|| panic!("job {id} is gone"))
    }

    fn attempts(&self, id: JobId) -> Vec<Attempt> {
        answer(self.store.attempts(id)).unwrap()
    }

    fn outcomes(&self, id: JobId) -> Vec<(u32, AttemptOutcome)> {
        self.attempts(id).iter().map(|attempt| (attempt.attempt, attempt.outcome)).collect()
    }

    fn page(&self, filter: Filter) -> Page {
        answer(self.store.list(filter)).unwrap()
    }

    fn list(&self, set: impl FnOnce(&mut Filter)) -> Vec<JobId> {
        let mut filter = Filter::default();
        set(&mut filter);
        self.page(filter).jobs.iter().map(|job| job.id).collect()
    }

    fn counts(&self) -> Counts {
        answer(self.store.counts()).unwrap()
    }

    fn workers(&self) -> Vec<WorkerState> {
        answer(self.store.workers()).unwrap()
    }

    fn heartbeat(&self, worker: WorkerId) -> Heartbeat {
        answer(self.store.heartbeat(worker)).unwrap()
    }

    /// Lets everything that was asked before have its effect: requests are taken in their order, so a write that is
    /// answered stands behind them. The second one stands behind what the first one's batch gave to others.
    fn settle(&self) {
        for _ in 0..2 {
            self.register_worker(WorkerId(0xff));
        }
    }

    /// A turn that stands, shown to stand.
    fn stand(&self, worker: WorkerId, want: ClaimRequest) -> Pending<ClaimResponse> {
        let turn = self.ask(worker, vec![], want);
        self.stands(&turn);
        turn
    }

    fn stands(&self, turn: &Pending<ClaimResponse>) {
        self.settle();
        if let Some(early) = turn.try_take() {
            panic!("a standing turn was answered without a reason: {early:?}");
        }
    }

    fn report(&self, claim: Claim, fraction: f64, message: &str) {
        let note = Arc::new(ProgressSlot::new(claim));
        assert!(note.set(Progress::new(fraction, Some(message.into()))));
        self.store.report_progress(note);
        self.settle();
    }
}

/// A standing turn's answer: the ids of the jobs that it claimed.
fn given(turn: Pending<ClaimResponse>) -> Vec<JobId> {
    ids(&answer(turn).unwrap().claimed)
}

// ---- insert ----------------------------------------------------------------------------------------------------

fn a_stored_job_reads_back_as_it_was_given(bench: &Bench) {
    let at = START.checked_add(Duration::from_micros(90_000_001)).unwrap();
    let mut new = NewJob::new("resize:image", r#"{"path":"a b.png","n":[1,2.5,null]}"#);
    new.name = Some("Ann’s picture".into());
    new.queue = "images/large".into();
    new.priority = i32::MIN;
    new.max_retries = 0;
    new.run_at = RunAt::At(at);
    new.metadata = Some(r#"{"tenant":"ü"}"#.into());
    new.idempotency_key = Some("picture/ü 1".into());
    let id = bench.insert_one(new.clone());
    let job = bench.job(id);
    assert_eq!((job.id, job.status), (id, Status::Pending));
    assert_eq!(
        (&job.task_name, &job.params, Some(&job.name)),
        (&new.task_name, &new.params, new.name.as_ref())
    );
    assert_eq!((&job.queue, job.priority, job.max_retries), (&new.queue, i32::MIN, 0));
    assert_eq!((job.scheduled_at, job.created_at, job.metadata), (at, START, new.metadata));
    assert_eq!(job.idempotency_key, new.idempotency_key);
}

fn params_of_any_size_come_back_as_they_were_given(bench: &Bench) {
    let sized = |bytes: usize| NewJob::new("mail", format!(r#"{{"x":"{}"}}"#, "ü".repeat(bytes / 2)));
    let jobs: Vec<NewJob> = [2, 490, 500, 510, 1_010, 20_000, 1 << 19].map(sized).into();
    let given: Vec<String> = jobs.iter().map(|job| job.params.clone()).collect();
    let ids = bench.insert(jobs);
    let listed = bench.page(Filter::default()).jobs;
    assert!(listed.iter().rev().map(|job| &job.params).eq(&given));
    bench.register_worker(ANN);
    let claimed = bench.claim(ANN, want(9));
    assert!(claimed.iter().map(|job| &job.params).eq(&given));
    let ended: Vec<Job> = claimed.iter().map(|job| bench.finish(job.claim, complete())).collect();
    assert!(ended.iter().map(|job| &job.params).eq(&given));
    assert_eq!(bench.control(JobCommand::Delete(ids[5])).unwrap().params, given[5]);
}

fn a_job_without_options_gets_the_defaults(bench: &Bench) {
    let job = bench.job(bench.insert_one(job()));
    assert_eq!(
        (job.name.as_str(), job.queue.as_str(), job.priority, job.max_retries),
        ("mail", "default", 0, 3)
    );
    assert_eq!((job.attempt, job.retry_count, job.crash_count), (0, 0, 0));
    assert_eq!((job.scheduled_at, job.created_at), (START, START));
    assert_eq!((job.started_at, job.completed_at, job.worker_id), (None, None, None));
    assert_eq!((job.result, job.error, job.progress, job.metadata), (None, None, None, None));
    assert_eq!(job.idempotency_key, None);
}

fn ids_come_in_the_order_of_the_jobs_and_are_never_used_twice(bench: &Bench) {
    let first = bench.insert(vec![task("a"), task("b"), task("c")]);
    let tasks: Vec<String> = first.iter().map(|id| bench.job(*id).task_name).collect();
    assert_eq!(tasks, ["a", "b", "c"]);
    assert!(first.is_sorted());
    bench.control(JobCommand::Delete(first[2])).unwrap();
    let next = bench.insert_one(job());
    assert!(next > first[2], "{next} was used before");
}

fn nothing_to_insert_is_no_error(bench: &Bench) {
    assert_eq!(bench.insert(vec![]), []);
    assert_eq!(bench.counts().total(), 0);
}

fn one_bad_job_refuses_its_whole_insert(bench: &Bench) {
    assert_eq!(kind(answer(bench.store.insert(vec![job(), bad(), job()]))), ErrorKind::InvalidInput);
    let huge = with(|job| job.params = " ".repeat(Job::JSON_BYTES_MAX + 1));
    assert_eq!(kind(answer(bench.store.insert(vec![job(), huge]))), ErrorKind::TooLarge);
    assert_eq!(
        kind(answer(bench.store.insert(vec![job(), delayed(Duration::MAX)]))),
        ErrorKind::InvalidInput
    );
    assert_eq!(bench.counts().total(), 0);
}

fn one_bad_job_refuses_its_own_insert_and_no_other(bench: &Bench) {
    // Asked for together, so that a store which gathers requests has them in one transaction.
    let asked: Vec<_> =
        (0..60).map(|n| bench.store.insert(vec![job(), if n % 3 == 1 { bad() } else { job() }])).collect();
    for (n, pending) in asked.into_iter().enumerate() {
        assert_eq!(answer(pending).is_err(), n % 3 == 1, "insert {n}");
    }
    assert_eq!(bench.counts().of(Status::Pending), 80);
}

fn a_delay_counts_from_the_moment_the_job_is_stored(bench: &Bench) {
    let delayed = delayed(90 * SECOND);
    bench.clock.advance(5 * SECOND);
    let job = bench.job(bench.insert_one(delayed));
    assert_eq!(job.scheduled_at, START.checked_add(95 * SECOND).unwrap());
}

fn a_job_for_the_past_is_due_at_once_and_keeps_its_instant(bench: &Bench) {
    bench.register_worker(ANN);
    let past = START.checked_sub(SECOND).unwrap();
    bench.insert_one(job());
    let older = bench.insert_one(with(|job| job.run_at = RunAt::At(past)));
    assert_eq!(bench.job(older).scheduled_at, past);
    assert_eq!(bench.claim_one(ANN).id, older, "it was due first");
}

fn instants_are_stored_as_whole_microseconds(bench: &Bench) {
    bench.clock.advance(Duration::from_nanos(1_999));
    let job = bench.job(bench.insert_one(delayed(Duration::from_nanos(500))));
    assert_eq!(job.created_at, START.checked_add(MICRO).unwrap());
    assert_eq!(job.scheduled_at.as_nanosecond() % 1000, 0);
}

fn a_dropped_answer_cancels_nothing(bench: &Bench) {
    drop(bench.store.insert(vec![job(), job()]));
    bench.settle();
    assert_eq!(bench.counts().of(Status::Pending), 2);
}

fn keyed(key: &str) -> NewJob {
    with(|job| job.idempotency_key = Some(key.into()))
}

fn the_same_job_under_its_key_is_stored_once_whatever_became_of_it(bench: &Bench) {
    let id = bench.insert_one(keyed("k"));
    let again = || {
        // What else the repeated call says changes nothing.
        let mut new = keyed("k");
        (new.priority, new.queue, new.run_at) = (9, "other".into(), RunAt::After(SECOND));
        bench.insert_one(new)
    };
    assert_eq!(again(), id, "pending");
    bench.register_worker(ANN);
    let claim = bench.claim_one(ANN);
    assert_eq!(again(), id, "running");
    bench.finish(claim, complete());
    assert_eq!(again(), id, "completed");
    assert_eq!(bench.counts().total(), 1);
    let job = bench.job(id);
    assert_eq!((job.priority, job.queue.as_str(), job.scheduled_at), (0, "default", START));
    assert_eq!(bench.insert_one(task("mail")), JobId(id.0 + 1), "a repetition takes no number");
}

fn params_are_the_same_as_json_and_not_as_text(bench: &Bench) {
    let with_params = |params: &str| {
        let mut job = keyed("k");
        job.params = params.into();
        job
    };
    let id = bench.insert_one(with_params(r#"{"a":1,"b":[2,{"c":3,"d":4}]}"#));
    assert_eq!(bench.insert_one(with_params(r#"{ "b": [2, {"d": 4, "c": 3}], "a": 1 }"#)), id);
    for other in [r#"{"a":1,"b":[2]}"#, r#"{"a":1}"#, r#"{"a":1,"b":[2,{"c":3,"d":4}],"e":null}"#] {
        assert_eq!(
            kind(answer(bench.store.insert(vec![with_params(other)]))),
            ErrorKind::Conflict,
            "{other}"
        );
    }
}

fn large_params_are_compared_as_small_ones_are(bench: &Bench) {
    let of = |blanks: usize, n: u8| {
        let mut job = keyed("k");
        job.params = format!(r#"{{"n":{n},"text":"{}"{}}}"#, "x".repeat(5_000), " ".repeat(blanks));
        job
    };
    let id = bench.insert_one(of(0, 1));
    assert_eq!(bench.insert(vec![of(9, 1), job(), of(0, 1)]), [id, JobId(id.0 + 1), id]);
    assert_eq!(kind(answer(bench.store.insert(vec![of(0, 2)]))), ErrorKind::Conflict);
    assert_eq!(bench.job(id).params.len(), 5_017);
}

fn a_key_held_by_another_job_refuses_its_own_insert_and_no_other(bench: &Bench) {
    let holder = bench.insert_one(keyed("k"));
    let other = || {
        let mut job = task("ping");
        job.idempotency_key = Some("k".into());
        job
    };
    // Asked for together, so that a store which gathers requests has them in one transaction.
    let asked: Vec<_> = (0..30)
        .map(|n| bench.store.insert(if n % 3 == 1 { vec![job(), other()] } else { vec![job(), keyed("k")] }))
        .collect();
    for (n, pending) in asked.into_iter().enumerate() {
        match answer(pending) {
            Ok(ids) => assert!(n % 3 != 1 && ids[1] == holder, "insert {n}"),
            Err(error) => {
                assert!(n % 3 == 1 && error.kind() == ErrorKind::Conflict, "insert {n}: {error}");
                assert!(error.to_string().contains(&format!("held by job {holder}")), "{error}");
            }
        }
    }
    assert_eq!(bench.counts().total(), 21, "all or none of each");
}

fn a_key_is_shared_within_one_insert_by_the_same_job_only(bench: &Bench) {
    let ids = bench.insert(vec![keyed("k"), job(), keyed("k"), keyed("l")]);
    assert_eq!((ids[0], ids[1] > ids[0], ids[3] > ids[1]), (ids[2], true, true));
    assert_eq!(bench.counts().total(), 3);
    let different = with(|job| (job.idempotency_key, job.params) = (Some("m".into()), r#"{"n":1}"#.into()));
    assert_eq!(kind(answer(bench.store.insert(vec![keyed("m"), different]))), ErrorKind::Conflict);
    assert_eq!(bench.counts().total(), 3);
}

fn a_key_is_free_again_when_its_job_is_deleted(bench: &Bench) {
    let first = bench.insert_one(keyed("k"));
    bench.control(JobCommand::Delete(first)).unwrap();
    let mut other = task("ping");
    other.idempotency_key = Some("k".into());
    let second = bench.insert_one(other.clone());
    assert!(second > first);
    assert_eq!(bench.insert_one(other), second);
    assert_eq!(kind(answer(bench.store.insert(vec![keyed("k")]))), ErrorKind::Conflict);
}

fn callers_that_enqueue_one_key_at_once_get_one_job(bench: &Bench) {
    let ids: Vec<JobId> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..50).map(|n| bench.insert_one(keyed(&format!("k{n}")))).collect()))
            .collect();
        let each: Vec<Vec<JobId>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(each.iter().all(|ids| *ids == each[0]), "{each:?}");
        each.into_iter().next().unwrap()
    });
    assert_eq!(bench.counts().total(), 50);
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 50);
}

// ---- register_worker, claim ---------------------------------------------------------------------------------------------

fn a_worker_that_is_not_enlisted_claims_nothing(bench: &Bench) {
    let id = bench.insert_one(job());
    assert_eq!(kind(answer(bench.ask(ANN, vec![], want(1)))), ErrorKind::LeaseLost);
    assert_eq!(kind(answer(bench.ask(ANN, vec![], standing()))), ErrorKind::LeaseLost);
    assert_eq!(bench.job(id).status, Status::Pending);
}

fn a_worker_that_enlists_twice_stays_as_it_is(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.heartbeat(ANN);
    bench.clock.advance(SECOND);
    bench.register_worker(ANN);
    let workers = bench.workers();
    assert_eq!((workers[0].heartbeats, workers[0].started_at, workers[0].running), (1, START, 1));
    assert_eq!(bench.finish(claim, complete()).status, Status::Completed);
}

fn a_claim_is_the_token_of_the_running_job(bench: &Bench) {
    bench.register_worker(ANN);
    let new = with(|job| {
        job.params = r#"{"to":"ann"}"#.into();
        job.name = Some("Greeting".into());
        job.queue = "quick".into();
        job.priority = 7;
        job.max_retries = 5;
        job.metadata = Some("{}".into());
        job.idempotency_key = Some("greeting-1".into());
    });
    let id = bench.insert_one(new.clone());
    bench.clock.advance(SECOND);
    let claimed = bench.claim(ANN, want(9));
    let now = bench.now();
    let expected = ClaimedJob {
        claim: Claim { id, attempt: 1, worker: ANN },
        ticket: Ticket::new(now, false),
        task_name: "mail".into(),
        params: new.params,
        name: new.name,
        queue: new.queue,
        priority: 7,
        retry_count: 0,
        max_retries: 5,
        created_at: START,
        scheduled_at: START,
        claimed_at: now,
        metadata: new.metadata,
        idempotency_key: new.idempotency_key,
    };
    assert_eq!(claimed, [expected]);
    let job = bench.job(id);
    assert_eq!((job.status, job.attempt, job.worker_id), (Status::Running, 1, Some(ANN)));
    assert_eq!((job.started_at, job.completed_at), (Some(now), None));
}

fn a_job_without_a_name_of_its_own_is_claimed_without_one(bench: &Bench) {
    bench.register_worker(ANN);
    bench.insert_one(job());
    assert_eq!(bench.claim(ANN, want(1))[0].name, None);
}

fn higher_priority_goes_first_then_earlier_due_then_lower_id(bench: &Bench) {
    bench.register_worker(ANN);
    let ranked = |priority, seconds| {
        with(|job| {
            job.priority = priority;
            job.run_at = RunAt::After(SECOND * seconds);
        })
    };
    let ids_given = bench.insert(vec![
        ranked(0, 2),
        ranked(0, 1),
        ranked(-5, 0),
        ranked(9, 3),
        ranked(0, 1),
        ranked(9, 0),
    ]);
    bench.clock.advance(3 * SECOND);
    let order: Vec<JobId> = [5, 3, 1, 4, 0, 2].map(|at| ids_given[at]).into();
    let one_by_one: Vec<JobId> = (0..3).map(|_| bench.claim_one(ANN).id).collect();
    assert_eq!(one_by_one, order[..3]);
    assert_eq!(ids(&bench.claim(ANN, want(9))), order[3..]);
}

fn one_order_holds_over_all_queues_and_tasks_wanted(bench: &Bench) {
    bench.register_worker(ANN);
    let of = |name: &str, queue: &str, priority| {
        let mut job = task(name);
        job.queue = queue.into();
        job.priority = priority;
        job
    };
    let stored =
        bench.insert(vec![of("mail", "a", 1), of("ping", "b", 3), of("mail", "b", 2), of("ping", "a", 4)]);
    let wanted = ClaimRequest {
        tasks: Arc::new(TaskSet::new(["ping", "mail"])),
        queues: Some(["b".to_owned(), "a".to_owned()].into()),
        ..want(9)
    };
    assert_eq!(ids(&bench.claim(ANN, wanted)), [3, 1, 2, 0].map(|at| stored[at]));
}

fn a_limit_cuts_the_line_behind_the_first_of_all_queues_and_tasks(bench: &Bench) {
    let low = bench.insert_one(with(|job| job.queue = "a".into()));
    let high = bench.insert_one(with(|job| (job.queue, job.priority) = ("b".into(), 5)));
    bench.register_worker(ANN);
    assert_eq!(ids(&bench.claim(ANN, want(1))), [high]);
    assert_eq!(ids(&bench.claim(ANN, want(1))), [low]);
}

fn a_claim_takes_only_wanted_tasks_from_wanted_queues(bench: &Bench) {
    bench.register_worker(ANN);
    let elsewhere = bench.insert_one(with(|job| job.queue = "other".into()));
    let unknown = bench.insert_one(task("unheard_of"));
    let mine = bench.insert_one(job());
    let from = |queues: &[&str]| {
        let queues = queues.iter().map(|queue| (*queue).to_owned()).collect::<Vec<_>>();
        ClaimRequest { queues: Some(queues.into()), ..want(9) }
    };
    assert_eq!(bench.claim(ANN, from(&[])), []);
    assert_eq!(bench.claim(ANN, ClaimRequest { tasks: Arc::default(), ..want(9) }), []);
    assert_eq!(ids(&bench.claim(ANN, from(&["default"]))), [mine]);
    assert_eq!(ids(&bench.claim(ANN, want(9))), [elsewhere], "no queues means all queues");
    assert_eq!(bench.job(unknown).status, Status::Pending);
}

fn a_claim_takes_no_more_than_its_limit(bench: &Bench) {
    bench.register_worker(ANN);
    let stored = bench.insert(vec![job(); 5]);
    assert_eq!(bench.claim(ANN, want(0)), []);
    assert_eq!(ids(&bench.claim(ANN, want(3))), stored[..3]);
    assert_eq!(ids(&bench.claim(ANN, want(3))), stored[3..]);
    assert_eq!(bench.claim(ANN, want(3)), []);
}

fn a_scheduled_job_is_not_claimed_a_microsecond_early(bench: &Bench) {
    bench.register_worker(ANN);
    let id = bench.insert_one(delayed(SECOND));
    bench.clock.advance(SECOND - MICRO);
    assert_eq!(bench.claim(ANN, want(1)), []);
    bench.clock.advance(MICRO);
    assert_eq!(ids(&bench.claim(ANN, want(1))), [id]);
}

fn two_workers_never_hold_one_job(bench: &Bench) {
    const JOBS: usize = 200;
    let stored = bench.insert(vec![job(); JOBS]);
    let workers: Vec<WorkerId> = (1..=4).map(WorkerId).collect();
    workers.iter().for_each(|worker| bench.register_worker(*worker));
    let mut claimed: Vec<JobId> = std::thread::scope(|scope| {
        let each = |worker| {
            let mut mine = Vec::new();
            loop {
                let more = bench.claim(worker, want(7));
                if more.is_empty() {
                    return mine;
                }
                mine.extend(ids(&more));
            }
        };
        let threads: Vec<_> = workers.iter().map(|worker| scope.spawn(move || each(*worker))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    claimed.sort();
    assert_eq!(claimed, stored, "each job once");
}

fn a_standing_turn_is_answered_at_once_if_there_is_something(bench: &Bench) {
    bench.register_worker(ANN);
    let id = bench.insert_one(job());
    assert_eq!(given(bench.ask(ANN, vec![], standing())), [id]);
}

fn a_standing_turn_is_answered_when_a_job_is_stored(bench: &Bench) {
    bench.register_worker(ANN);
    let turn = bench.stand(ANN, standing());
    let stored = bench.insert(vec![job(), job()]);
    assert_eq!(given(turn), stored);
}

fn a_standing_turn_is_answered_the_moment_a_job_is_due(bench: &Bench) {
    bench.register_worker(ANN);
    let turn = bench.stand(ANN, standing());
    let id = bench.insert_one(delayed(SECOND));
    bench.clock.advance(SECOND - MICRO);
    bench.stands(&turn);
    bench.clock.advance(MICRO);
    assert_eq!(given(turn), [id]);
}

fn a_standing_turn_is_answered_when_a_retry_is_due(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.register_worker(BOB);
    bench.finish(claim, retry(2 * SECOND));
    let turn = bench.stand(BOB, standing());
    bench.clock.advance(2 * SECOND);
    let claimed = answer(turn).unwrap().claimed;
    assert_eq!((claimed[0].claim.attempt, claimed[0].retry_count), (2, 1));
}

fn a_standing_turn_is_answered_when_a_job_is_retried_by_hand(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, fail());
    let turn = bench.stand(ANN, standing());
    bench.control(JobCommand::Retry(claim.id)).unwrap();
    assert_eq!(given(turn), [claim.id]);
}

fn a_standing_turn_is_answered_when_a_job_is_released(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.register_worker(BOB);
    let turn = bench.stand(BOB, standing());
    bench.is_lost(claim, release(Duration::ZERO, false));
    assert_eq!(given(turn), [claim.id]);
}

fn a_standing_turn_is_answered_when_a_worker_leaves_or_is_rescued(bench: &Bench) {
    let (of_ann, of_bob) = (bench.held_job(ANN), bench.held_job(BOB));
    bench.register_worker(CAT);
    let turn = bench.stand(CAT, standing());
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    assert_eq!(given(turn), [of_ann.id]);
    let turn = bench.stand(CAT, standing());
    answer(bench.store.release_worker(BOB, Release::ByWorker)).unwrap();
    assert_eq!(given(turn), [of_bob.id]);
}

fn a_standing_turn_stands_when_it_cannot_take_what_is_stored(bench: &Bench) {
    bench.register_worker(ANN);
    let turn = bench.stand(ANN, ClaimRequest { queues: Some(["default".to_owned()].into()), ..standing() });
    bench.insert(vec![task("unheard_of"), with(|job| job.queue = "other".into()), delayed(3600 * SECOND)]);
    bench.stands(&turn);
    let id = bench.insert_one(job());
    assert_eq!(given(turn), [id]);
}

fn a_standing_turn_takes_no_more_than_its_limit(bench: &Bench) {
    bench.register_worker(ANN);
    let turn = bench.stand(ANN, ClaimRequest { limit: 2, ..standing() });
    let stored = bench.insert(vec![job(); 3]);
    assert_eq!(given(turn), stored[..2]);
    assert_eq!(bench.job(stored[2]).status, Status::Pending);
}

fn of_two_standing_turns_one_gets_the_job(bench: &Bench) {
    bench.register_worker(ANN);
    bench.register_worker(BOB);
    let turns = [bench.stand(ANN, standing()), bench.stand(BOB, standing())];
    let id = bench.insert_one(job());
    bench.settle();
    let answers: Vec<Option<Vec<JobId>>> =
        turns.iter().map(|turn| turn.try_take().map(|turned| ids(&turned.unwrap().claimed))).collect();
    assert!(answers.contains(&Some(vec![id])) && answers.contains(&None), "{answers:?}");
}

fn one_turn_stands_for_a_worker_and_its_set_of_tasks(bench: &Bench) {
    bench.register_worker(ANN);
    bench.register_worker(BOB);
    let of = |name: &str| ClaimRequest { tasks: Arc::new(TaskSet::new([name])), ..standing() };
    let older = bench.stand(ANN, of("mail"));
    let pings = bench.stand(ANN, of("ping"));
    let other = bench.stand(BOB, of("mail"));
    let newer = bench.stand(ANN, of("mail"));
    assert_eq!(given(older), [], "its successor ended it");
    let stored = bench.insert(vec![task("mail"), task("mail"), task("ping")]);
    assert_eq!(given(pings), [stored[2]]);
    let limited = [given(other), given_or_nothing(bench, newer)].concat();
    assert_eq!(limited, stored[..2], "the first to stand takes all it may");
}

/// What a standing turn was given, if it was given anything.
fn given_or_nothing(bench: &Bench, turn: Pending<ClaimResponse>) -> Vec<JobId> {
    bench.settle();
    turn.try_take().map(|turned| ids(&turned.unwrap().claimed)).unwrap_or_default()
}

fn recall_ends_the_standing_turns_of_one_worker_with_nothing(bench: &Bench) {
    bench.register_worker(ANN);
    bench.register_worker(BOB);
    let pings = ClaimRequest { tasks: Arc::new(TaskSet::new(["ping"])), ..standing() };
    let of_ann = [bench.stand(ANN, standing()), bench.stand(ANN, pings)];
    let of_bob = bench.stand(BOB, standing());
    answer(bench.store.cancel_waiting_claims(ANN)).unwrap();
    for turn in of_ann {
        let turned = answer(turn).unwrap();
        assert!(turned.claimed.is_empty() && turned.lost.is_empty());
    }
    bench.stands(&of_bob);
    let id = bench.insert_one(job());
    assert_eq!(given(of_bob), [id]);
    assert_eq!(bench.claim(ANN, want(1)), [], "a recalled worker is still registered");
}

fn a_turn_that_brings_finishes_never_stands(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let stale = Claim { attempt: 9, ..claim };
    for (shown, lost) in [(stale, vec![stale]), (claim, vec![])] {
        let turned = answer(bench.ask(ANN, vec![bench.finish_of(shown, complete())], standing())).unwrap();
        assert_eq!((turned.lost, turned.claimed), (lost, vec![]));
    }
}

fn a_turn_finishes_first_and_may_claim_what_it_freed(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let freed = bench.finish_of(claim, retry(Duration::ZERO));
    let turned = answer(bench.ask(ANN, vec![freed], want(1))).unwrap();
    assert_eq!(turned.claimed[0].claim, Claim { attempt: 2, ..claim });
}

// ---- heartbeat ------------------------------------------------------------------------------------------------------

fn a_heartbeat_counts_and_every_worker_is_read_oldest_first(bench: &Bench) {
    bench.register_worker(BOB);
    bench.clock.advance(SECOND);
    let claim = bench.held_job(ANN);
    bench.heartbeat(ANN);
    assert_eq!(bench.heartbeat(ANN), Heartbeat::new(true));
    let workers = bench.workers();
    let [bob, ann] = workers.as_slice() else { panic!("two workers, not {workers:?}") };
    assert_eq!((bob.id, bob.host.as_str(), bob.pid, bob.heartbeats, bob.running), (BOB, "host", 7, 0, 0));
    assert_eq!((ann.id, ann.heartbeats, ann.running), (ANN, 2, 1));
    assert_eq!((bob.started_at, ann.started_at), (START, START.checked_add(SECOND).unwrap()));
    bench.finish(claim, complete());
    assert_eq!(bench.workers()[1].running, 0);
}

fn the_heartbeat_of_a_rescued_worker_answers_that_it_is_not_registered(bench: &Bench) {
    bench.held_job(ANN);
    bench.register_worker(BOB);
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    assert_eq!(bench.heartbeat(ANN), Heartbeat::new(false));
    let workers: Vec<WorkerId> = bench.workers().iter().map(|worker| worker.id).collect();
    assert_eq!(workers, [BOB], "a heartbeat registers nobody");
}

// ---- checkpoint ------------------------------------------------------------------------------------------------

fn the_latest_progress_of_a_running_job_is_shown(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let note = Arc::new(ProgressSlot::new(claim));
    note.set(Progress::new(0.1, None));
    note.set(Progress::new(0.2, Some("half way to half".into())));
    bench.store.report_progress(note.clone());
    bench.settle();
    let shown = bench.job(claim.id).progress;
    assert_eq!(shown, Some(Progress::new(0.2, Some("half way to half".into()))));
    assert!(note.set(Progress::new(0.7, None)), "a note that was written may be submitted again");
    bench.store.report_progress(note);
    bench.settle();
    assert_eq!(bench.job(claim.id).progress, Some(Progress::new(0.7, None)));
}

fn progress_under_a_lost_claim_is_not_shown(bench: &Bench) {
    let claim = bench.held_job(ANN);
    for stale in
        [Claim { attempt: 2, ..claim }, Claim { worker: BOB, ..claim }, Claim { id: JobId(99), ..claim }]
    {
        bench.report(stale, 0.5, "stale");
    }
    assert_eq!(bench.job(claim.id).progress, None);
    bench.finish(claim, fail());
    bench.report(claim, 0.5, "late");
    assert_eq!(bench.job(claim.id).progress, None);
}

fn progress_begins_anew_with_each_claim(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.report(claim, 0.5, "first try");
    bench.finish(claim, retry(Duration::ZERO));
    let again = bench.claim_one(ANN);
    assert_eq!(bench.job(claim.id).progress, None);
    bench.report(claim, 0.9, "from the attempt before");
    assert_eq!(bench.job(claim.id).progress, None);
    assert_eq!(bench.finish(again, complete()).progress, None, "nothing reported, nothing completed");
}

// ---- finish ----------------------------------------------------------------------------------------------------

fn a_completed_job_keeps_its_result(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.clock.advance(SECOND);
    let began = bench.now();
    bench.clock.advance(2 * SECOND);
    let finish = FinishedJob { ticket: Ticket::new(began, false), ..bench.finish_of(claim, complete()) };
    let turned = answer(bench.ask(ANN, vec![finish], want(0))).unwrap();
    assert!(turned.lost.is_empty());
    let job = bench.job(claim.id);
    assert_eq!((job.status, job.result.as_deref()), (Status::Completed, Some(r#"{"sent":true}"#)));
    assert_eq!((job.error.as_deref(), job.worker_id, job.attempt), (None, Some(ANN), 1));
    assert_eq!((job.started_at, job.completed_at), (Some(began), Some(bench.now())));
    assert_eq!(job.duration(), Some(2 * SECOND), "from the task's beginning, not from the claim");
}

fn a_success_at_the_first_attempt_has_a_history_too(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.clock.advance(SECOND);
    bench.is_lost(claim, complete());
    let attempts = bench.attempts(claim.id);
    let [only] = attempts.as_slice() else { panic!("one attempt, not {attempts:?}") };
    assert_eq!((only.attempt, only.worker_id, only.outcome), (1, ANN, AttemptOutcome::Completed));
    assert_eq!((only.started_at, only.ended_at, only.error.as_deref()), (bench.now(), bench.now(), None));
}

fn a_completion_brings_reported_progress_to_its_end(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.report(claim, 0.5, "half");
    let done = bench.finish(claim, complete());
    assert_eq!(done.progress, Some(Progress::new(1.0, Some("half".into()))));
}

fn a_failed_attempt_waits_for_its_retry_and_says_why(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, retry(30 * SECOND));
    assert_eq!((job.status, job.retry_count, job.attempt), (Status::Pending, 1, 1));
    assert_eq!(job.scheduled_at, START.checked_add(30 * SECOND).unwrap());
    assert_eq!((job.error.as_deref(), job.worker_id), (Some("boom"), None));
    assert_eq!((job.started_at, job.completed_at), (Some(START), None));
    bench.clock.advance(30 * SECOND - MICRO);
    assert_eq!(bench.claim(ANN, want(1)), []);
    bench.clock.advance(MICRO);
    let again = bench.claim(ANN, want(1)).pop().unwrap();
    assert_eq!((again.claim.attempt, again.retry_count), (2, 1));
    assert_eq!(bench.job(claim.id).error.as_deref(), Some("boom"), "until this attempt says something else");
}

fn a_success_clears_the_error_and_history_keeps_it(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, retry(Duration::ZERO));
    let done = bench.finish(bench.claim_one(ANN), complete());
    assert_eq!((done.error, done.retry_count, done.attempt), (None, 1, 2));
    let attempts = bench.attempts(claim.id);
    assert_eq!(attempts[0].error.as_deref(), Some("boom"));
    assert_eq!(bench.outcomes(claim.id), [(1, AttemptOutcome::Failed), (2, AttemptOutcome::Completed)]);
}

fn a_wait_past_the_end_of_the_calendar_ends_there(bench: &Bench) {
    for verdict in [retry(Duration::MAX), release(Duration::MAX, true)] {
        let claim = bench.held_job(ANN);
        let job = bench.finish(claim, verdict);
        assert_eq!(job.status, Status::Pending);
        assert_eq!(job.scheduled_at.as_microsecond(), Timestamp::MAX.as_microsecond());
        bench.control(JobCommand::Delete(claim.id)).unwrap();
    }
}

fn a_wait_shorter_than_an_instant_can_tell_is_none(bench: &Bench) {
    for verdict in [retry(Duration::from_nanos(1)), release(Duration::from_nanos(999), true)] {
        let claim = bench.held_job(ANN);
        let done = vec![bench.finish_of(claim, verdict)];
        assert_eq!(given(bench.ask(ANN, done, want(1))), [claim.id], "in the same turn");
        bench.finish(Claim { attempt: 2, ..claim }, complete());
    }
}

fn a_failed_job_stays_failed_and_says_why(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.report(claim, 0.5, "half");
    let job = bench.finish(claim, fail());
    assert_eq!((job.status, job.error.as_deref()), (Status::Failed, Some("broken")));
    assert_eq!((job.completed_at, job.worker_id, job.retry_count), (Some(START), Some(ANN), 0));
    assert_eq!(job.progress.map(|progress| progress.fraction), Some(0.5), "it came so far");
    assert_eq!(bench.outcomes(claim.id), [(1, AttemptOutcome::Failed)]);
    bench.clock.advance(3600 * SECOND);
    assert_eq!(bench.claim(ANN, want(1)), []);
}

fn a_task_may_cancel_its_own_job(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, Verdict::Cancel { reason: "not wanted".into() });
    assert_eq!((job.status, job.error.as_deref()), (Status::Cancelled, Some("not wanted")));
    assert_eq!(job.completed_at, Some(START));
    assert_eq!(bench.outcomes(claim.id), [(1, AttemptOutcome::Cancelled)]);
}

fn a_released_job_loses_no_retry(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, release(SECOND, true));
    assert_eq!((job.status, job.retry_count, job.crash_count, job.error), (Status::Pending, 0, 0, None));
    assert_eq!((job.attempt, job.worker_id, job.started_at), (1, None, Some(START)));
    let attempt = bench.attempts(claim.id).pop().unwrap();
    assert_eq!((attempt.outcome, attempt.error), (AttemptOutcome::Released, None));
    bench.clock.advance(SECOND - MICRO);
    assert_eq!(bench.claim(ANN, want(1)), []);
    bench.clock.advance(MICRO);
    assert_eq!(bench.claim_one(ANN).attempt, 2);
}

fn a_job_released_before_it_began_is_as_if_never_claimed(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, release(Duration::ZERO, false));
    assert_eq!((job.status, job.attempt, job.retry_count), (Status::Pending, 0, 0));
    assert_eq!((job.worker_id, job.started_at, job.error), (None, None, None));
    assert_eq!(bench.attempts(claim.id), []);
    let again = bench.claim_one(ANN);
    assert_eq!(again.attempt, 1);
    bench.finish(again, retry(Duration::ZERO));
    bench.clock.advance(SECOND);
    let third = bench.claim_one(ANN);
    let job = bench.finish(third, release(Duration::ZERO, false));
    assert_eq!((job.attempt, job.retry_count, job.error.as_deref()), (1, 1, Some("boom")));
    assert_eq!(job.started_at, Some(START), "the last attempt is the one before");
}

fn a_release_without_a_wait_keeps_the_place_in_the_line(bench: &Bench) {
    let mut claim = bench.held_job(ANN);
    bench.clock.advance(SECOND);
    bench.insert_one(job());
    bench.clock.advance(SECOND);
    for started in [false, true] {
        assert_eq!(bench.finish(claim, release(Duration::ZERO, started)).scheduled_at, START);
        let first = bench.claim_one(ANN);
        assert_eq!(first.id, claim.id);
        claim = first;
    }
}

fn a_finish_shown_with_another_attempt_or_worker_is_lost(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.register_worker(BOB);
    for stale in [
        Claim { attempt: 0, ..claim },
        Claim { attempt: 2, ..claim },
        Claim { worker: BOB, ..claim },
        Claim { id: JobId(claim.id.0 + 1), ..claim },
    ] {
        for verdict in [complete(), retry(SECOND), fail(), release(SECOND, true), release(SECOND, false)] {
            assert!(bench.is_lost(stale, verdict), "{stale:?}");
        }
    }
    let job = bench.job(claim.id);
    assert_eq!((job.status, job.attempt, job.worker_id), (Status::Running, 1, Some(ANN)));
    assert_eq!(bench.attempts(claim.id), []);
}

fn a_claim_is_spent_when_its_job_waits_again(bench: &Bench) {
    for verdict in [retry(SECOND), release(SECOND, true), release(SECOND, false)] {
        let claim = bench.held_job(ANN);
        let before = format!("{:?}", bench.finish(claim, verdict));
        let attempts = bench.attempts(claim.id);
        assert!(bench.is_lost(claim, complete()));
        assert_eq!(format!("{:?}", bench.job(claim.id)), before);
        assert_eq!(bench.attempts(claim.id), attempts);
    }
}

fn a_finish_of_a_job_that_was_ended_or_deleted_by_hand_is_lost(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, retry(SECOND));
    bench.control(JobCommand::Cancel(claim.id)).unwrap();
    assert!(bench.is_lost(claim, complete()), "it has ended, but not under this claim");
    assert_eq!(bench.job(claim.id).status, Status::Cancelled);
    bench.control(JobCommand::Delete(claim.id)).unwrap();
    assert!(bench.is_lost(claim, complete()));
}

fn the_claim_of_an_earlier_attempt_is_lost(bench: &Bench) {
    let first = bench.held_job(ANN);
    bench.finish(first, retry(Duration::ZERO));
    let second = bench.claim_one(ANN);
    assert!(bench.is_lost(first, complete()));
    assert_eq!(bench.job(first.id).status, Status::Running);
    assert_eq!(bench.finish(second, complete()).status, Status::Completed);
}

fn a_lost_finish_spoils_no_other_in_its_turn(bench: &Bench) {
    bench.register_worker(ANN);
    bench.insert(vec![job(); 3]);
    let claims: Vec<Claim> = bench.claim(ANN, want(3)).iter().map(|job| job.claim).collect();
    let stale = Claim { attempt: 9, ..claims[1] };
    let done = [claims[0], stale, claims[2]].map(|claim| bench.finish_of(claim, complete()));
    let next = bench.insert_one(job());
    let turned = answer(bench.ask(ANN, done.into(), want(1))).unwrap();
    assert_eq!(turned.lost, [stale]);
    assert_eq!(ids(&turned.claimed), [next]);
    let statuses: Vec<Status> = claims.iter().map(|claim| bench.job(claim.id).status).collect();
    assert_eq!(statuses, [Status::Completed, Status::Running, Status::Completed]);
}

fn a_job_that_ended_under_exactly_this_claim_is_not_lost(bench: &Bench) {
    // Its task may have completed it in a transaction of its own, or the answer to a first finish got lost.
    for verdict in [complete(), fail(), Verdict::Cancel { reason: "no".into() }] {
        let claim = bench.held_job(ANN);
        let job = bench.finish(claim, verdict);
        let completed = if job.status == Status::Completed { vec![claim] } else { Vec::new() };
        let before = format!("{job:?}");
        for repeated in [complete(), retry(SECOND), release(SECOND, true), release(SECOND, false)] {
            let again = vec![bench.finish_of(claim, repeated)];
            let turned = answer(bench.ask(ANN, again, want(0))).unwrap();
            assert_eq!((turned.lost, &turned.completed), (vec![], &completed));
        }
        assert_eq!(format!("{:?}", bench.job(claim.id)), before, "and it stays as it is");
        assert_eq!(bench.attempts(claim.id).len(), 1);
        for stale in [Claim { attempt: 2, ..claim }, Claim { id: JobId(99), ..claim }] {
            assert!(bench.is_lost(stale, complete()), "{stale:?}");
        }
        bench.register_worker(BOB);
        assert!(bench.is_lost(Claim { worker: BOB, ..claim }, complete()), "ended, but not by this worker");
    }
}

fn a_long_error_keeps_its_beginning_and_its_end(bench: &Bench) {
    let error = format!("symptom {} cause", "é".repeat(Job::ERROR_BYTES_MAX));
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, Verdict::Fail { error });
    let stored = job.error.unwrap();
    assert!(stored.len() <= Job::ERROR_BYTES_MAX);
    assert!(stored.starts_with("symptom") && stored.ends_with("cause"));
    assert_eq!(bench.attempts(claim.id)[0].error, Some(stored));
}

// ---- promote ---------------------------------------------------------------------------------------------------

fn a_scheduled_job_becomes_due_by_itself(bench: &Bench) {
    let id = bench.insert_one(delayed(SECOND));
    bench.clock.advance(SECOND - MICRO);
    assert_eq!(bench.list(|filter| filter.scheduled = true), [id]);
    assert_eq!(kind(bench.control(JobCommand::Retry(JobId(id.0 + 1)))), ErrorKind::NotFound);
    bench.clock.advance(MICRO);
    assert_eq!(bench.list(|filter| filter.scheduled = true), []);
    assert_eq!(kind(bench.control(JobCommand::Retry(id))), ErrorKind::Conflict, "it is due already");
}

fn a_job_that_became_due_stands_behind_higher_priorities_and_before_lower(bench: &Bench) {
    bench.register_worker(ANN);
    let ranked = |priority, wait| {
        with(|job| {
            job.priority = priority;
            job.run_at = RunAt::After(wait);
        })
    };
    let stored = bench.insert(vec![ranked(0, SECOND), ranked(1, Duration::ZERO), ranked(-1, Duration::ZERO)]);
    bench.clock.advance(SECOND);
    assert_eq!(ids(&bench.claim(ANN, want(9))), [stored[1], stored[0], stored[2]]);
}

// ---- rescue, leave ---------------------------------------------------------------------------------------------

fn a_worker_that_lives_is_never_proven_dead(bench: &Bench) {
    bench.held_job(ANN);
    bench.clock.advance(86_400 * SECOND);
    assert!(!bench.store.is_proven_dead(ANN));
}

fn the_jobs_of_a_dead_worker_are_due_again_with_a_crash_counted(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let other = bench.held_job(BOB);
    bench.clock.advance(SECOND);
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap().jobs, 1);
    let job = bench.job(claim.id);
    assert_eq!((job.status, job.attempt, job.worker_id), (Status::Pending, 1, None));
    assert_eq!((job.crash_count, job.retry_count), (1, 0));
    assert_eq!((job.scheduled_at, job.started_at), (bench.now(), Some(START)));
    let attempt = bench.attempts(claim.id).pop().unwrap();
    assert_eq!((attempt.attempt, attempt.worker_id, attempt.outcome), (1, ANN, AttemptOutcome::Crashed));
    assert_eq!((attempt.started_at, attempt.ended_at), (START, bench.now()));
    assert!(attempt.error.is_some() && attempt.error == job.error, "{attempt:?}");
    assert_eq!(bench.job(other.id).status, Status::Running, "of a worker that lives");
    assert_eq!(bench.claim_one(BOB), Claim { id: claim.id, attempt: 2, worker: BOB });
}

fn a_rescue_is_won_once_and_forgets_the_worker(bench: &Bench) {
    bench.held_job(ANN);
    assert_eq!(bench.workers().len(), 1);
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap().jobs, 1);
    assert!(bench.workers().is_empty());
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap().jobs, 0);
    assert_eq!(
        answer(bench.store.release_worker(CAT, Release::ProvenDead)).unwrap().jobs,
        0,
        "never heard of"
    );
}

fn an_end_by_the_last_crash_is_lost_to_the_attempt_that_crashed(bench: &Bench) {
    bench.register_worker(BOB);
    let mut claim = bench.held_job(ANN);
    for _ in 1..Job::CRASHES_MAX {
        answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
        bench.register_worker(ANN);
        claim = bench.claim_one(ANN);
    }
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    let failed = bench.job(claim.id);
    assert_eq!(failed.status, Status::Failed);
    let turned = answer(bench.ask(BOB, vec![bench.finish_of(claim, complete())], want(0))).unwrap();
    assert_eq!(turned.lost, [claim], "it was taken for dead, and comes back too late");
    assert_eq!(format!("{:?}", bench.job(claim.id)), format!("{failed:?}"));
}

fn a_silent_worker_that_has_beaten_since_is_left_alone(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let heartbeats = || bench.workers().iter().find(|state| state.id == ANN).map(|state| state.heartbeats);
    let seen = heartbeats().unwrap();
    answer(bench.store.heartbeat(ANN)).unwrap();
    assert_eq!(
        answer(bench.store.release_worker(ANN, Release::Silent { heartbeats: seen })).unwrap().jobs,
        0
    );
    assert_eq!(bench.job(claim.id).worker_id, Some(ANN));
    assert_eq!(
        answer(bench.store.release_worker(ANN, Release::Silent { heartbeats: heartbeats().unwrap() }))
            .unwrap()
            .jobs,
        1
    );
    assert_eq!(heartbeats(), None);
    assert_eq!(
        answer(bench.store.release_worker(ANN, Release::Silent { heartbeats: seen })).unwrap().jobs,
        0,
        "it is not on the list any more"
    );
}

fn a_stale_claim_cannot_finish_a_rescued_job(bench: &Bench) {
    let stale = bench.held_job(ANN);
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    assert_eq!(
        kind(answer(bench.ask(ANN, vec![bench.finish_of(stale, complete())], want(1)))),
        ErrorKind::LeaseLost
    );
    assert_eq!(bench.job(stale.id).status, Status::Pending);
    // Even through the turn of a worker that is registered, even while somebody else runs the job.
    bench.register_worker(BOB);
    let held = bench.claim_one(BOB);
    let turned = answer(bench.ask(BOB, vec![bench.finish_of(stale, complete())], want(0))).unwrap();
    assert_eq!(turned.lost, [stale]);
    assert_eq!(bench.finish(held, complete()).worker_id, Some(BOB));
}

fn a_rescued_worker_claims_nothing_and_hears_so_while_it_stands(bench: &Bench) {
    bench.register_worker(ANN);
    let turn = bench.stand(ANN, standing());
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    assert_eq!(kind(answer(turn)), ErrorKind::LeaseLost);
    let id = bench.insert_one(job());
    assert_eq!(kind(answer(bench.ask(ANN, vec![], want(1)))), ErrorKind::LeaseLost);
    assert_eq!(bench.job(id).status, Status::Pending);
}

fn a_worker_that_leaves_gives_back_all_and_no_failure_is_counted(bench: &Bench) {
    bench.register_worker(ANN);
    let stored = bench.insert(vec![job(), job(), job()]);
    let claimed = bench.claim(ANN, want(2));
    bench.clock.advance(SECOND);
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ByWorker)).unwrap().jobs, 2);
    for id in ids(&claimed) {
        let job = bench.job(id);
        assert_eq!((job.status, job.attempt, job.worker_id), (Status::Pending, 1, None));
        assert_eq!((job.retry_count, job.crash_count, job.error), (0, 0, None));
        assert_eq!((job.scheduled_at, job.started_at), (START, Some(START)));
        let attempt = bench.attempts(id).pop().unwrap();
        assert_eq!((attempt.outcome, attempt.ended_at), (AttemptOutcome::Released, bench.now()));
    }
    assert!(bench.workers().is_empty());
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ByWorker)).unwrap().jobs, 0);
    assert_eq!(
        answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap().jobs,
        0,
        "it is nobody's to rescue"
    );
    bench.register_worker(BOB);
    assert_eq!(ids(&bench.claim(BOB, want(9))), stored, "each in its place in the line");
}

fn leave_answers_the_standing_turn_of_the_worker_with_nothing(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let turn = bench.stand(ANN, standing());
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ByWorker)).unwrap().jobs, 1);
    let turned = answer(turn).unwrap();
    assert!(turned.claimed.is_empty() && turned.lost.is_empty(), "not even what it has just given back");
    assert_eq!(kind(answer(bench.ask(ANN, vec![], want(1)))), ErrorKind::LeaseLost);
    assert_eq!(bench.job(claim.id).status, Status::Pending);
}

// ---- rescue, of those with which a worker has died ---------------------------------------------------------------

/// A job with which a worker has died, of each of `jobs`.
fn suspects(bench: &Bench, jobs: Vec<NewJob>) -> Vec<JobId> {
    const DEAD: WorkerId = WorkerId(0xdead);
    let stored = bench.insert(jobs);
    bench.register_worker(DEAD);
    let tasks = Arc::new(TaskSet::new(["mail", "ping"]));
    assert_eq!(bench.claim(DEAD, ClaimRequest { tasks, ..want(stored.len()) }).len(), stored.len());
    assert_eq!(answer(bench.store.release_worker(DEAD, Release::ProvenDead)).unwrap().jobs, stored.len());
    assert!(stored.iter().all(|id| bench.job(*id).crash_count == 1));
    stored
}

fn a_worker_holds_one_suspect_at_a_time_beside_other_jobs(bench: &Bench) {
    let suspects = suspects(bench, vec![job(); 3]);
    bench.register_worker(BOB);
    bench.register_worker(CAT);
    bench.clock.advance(SECOND);
    let others = bench.insert(vec![job(), job()]);
    let claimed = bench.claim(BOB, want(9));
    assert_eq!(ids(&claimed), [suspects[0], others[0], others[1]]);
    assert_eq!(bench.claim(BOB, want(9)), []);
    assert_eq!(ids(&bench.claim(CAT, want(9))), [suspects[1]], "another worker may hold one too");
    let finish = bench.finish_of(claimed[1].claim, complete());
    assert_eq!(answer(bench.ask(BOB, vec![finish], want(9))).unwrap().claimed, [], "that was none");
    let finish = bench.finish_of(claimed[0].claim, complete());
    assert_eq!(given(bench.ask(BOB, vec![finish], want(9))), [suspects[2]]);
}

fn suspects_stand_in_the_line_as_all_jobs_do(bench: &Bench) {
    bench.register_worker(ANN);
    let ranked = |priority| with(|job| job.priority = priority);
    let early = bench.insert_one(task("unheard_of"));
    let suspects = suspects(bench, vec![ranked(0), ranked(1), ranked(-1)]);
    let others = bench.insert(vec![ranked(2), ranked(1), ranked(0)]);
    assert_eq!(bench.claim_one(ANN).id, others[0]);
    assert_eq!(ids(&bench.claim(ANN, want(9))), [suspects[1], others[1], others[2]]);
    assert_eq!(bench.job(early).status, Status::Pending);
}

fn a_suspect_behind_the_limit_is_not_claimed(bench: &Bench) {
    bench.register_worker(ANN);
    let suspect = suspects(bench, vec![with(|job| job.priority = -1)])[0];
    let others = bench.insert(vec![job(), job()]);
    assert_eq!(bench.claim(ANN, want(0)), []);
    assert_eq!(ids(&bench.claim(ANN, want(2))), others);
    assert_eq!(bench.job(suspect).status, Status::Pending);
    assert_eq!(ids(&bench.claim(ANN, want(2))), [suspect]);
}

fn suspects_are_claimed_over_all_tasks_and_queues_wanted_and_no_others(bench: &Bench) {
    bench.register_worker(ANN);
    let of = |name: &str, queue: &str, priority| {
        let mut job = task(name);
        (job.queue, job.priority) = (queue.into(), priority);
        job
    };
    let suspects =
        suspects(bench, vec![of("ping", "a", 9), of("mail", "a", 1), of("mail", "b", 2), of("mail", "c", 3)]);
    let from = |queues: &[&str]| {
        let queues = queues.iter().map(|queue| (*queue).to_owned()).collect::<Vec<_>>();
        ClaimRequest { queues: Some(queues.into()), ..want(9) }
    };
    assert_eq!(bench.claim(ANN, from(&["d"])), []);
    assert_eq!(ids(&bench.claim(ANN, from(&["a", "b"]))), [suspects[2]]);
}

fn the_suspect_that_a_dead_worker_held_is_blamed_alone(bench: &Bench) {
    let suspects = suspects(bench, vec![job(), job()]);
    bench.register_worker(BOB);
    bench.clock.advance(SECOND);
    let others = bench.insert(vec![job(), job()]);
    assert_eq!(ids(&bench.claim(BOB, want(9))), [suspects[0], others[0], others[1]]);
    let stored_at = bench.now();
    bench.clock.advance(SECOND);
    assert_eq!(answer(bench.store.release_worker(BOB, Release::ProvenDead)).unwrap().jobs, 3);
    let blamed = bench.job(suspects[0]);
    assert_eq!((blamed.status, blamed.crash_count, blamed.retry_count), (Status::Pending, 2, 0));
    assert_eq!((blamed.scheduled_at, blamed.worker_id), (bench.now(), None));
    assert_eq!(bench.outcomes(suspects[0]), [(1, AttemptOutcome::Crashed), (2, AttemptOutcome::Crashed)]);
    for id in &others {
        let job = bench.job(*id);
        assert_eq!((job.status, job.crash_count, job.retry_count, job.error), (Status::Pending, 0, 0, None));
        assert_eq!((job.scheduled_at, job.attempt, job.worker_id), (stored_at, 1, None), "in its place");
        let attempt = bench.attempts(*id).pop().unwrap();
        assert_eq!((attempt.attempt, attempt.outcome), (1, AttemptOutcome::Released));
        let error = attempt.error.unwrap();
        assert!(
            error.contains("the worker died") && error.contains(&format!("job {}", suspects[0])),
            "{error}"
        );
    }
    // And so they are claimed at once, together, beside one suspect.
    bench.register_worker(CAT);
    assert_eq!(ids(&bench.claim(CAT, want(9))), [suspects[1], others[0], others[1]]);
}

fn a_job_is_failed_with_its_third_crash_and_says_so(bench: &Bench) {
    let id = bench.insert_one(job());
    let wait = bench.store.wait_for(id);
    for (number, worker) in [ANN, BOB, CAT].into_iter().enumerate() {
        bench.register_worker(worker);
        assert_eq!(bench.job(id).status, Status::Pending);
        assert_eq!(bench.claim_one(worker).attempt, number as u32 + 1);
        bench.clock.advance(SECOND);
        let rescued = answer(bench.store.release_worker(worker, Release::ProvenDead)).unwrap();
        let failed: Vec<_> = rescued.failed.iter().map(|job| (job.id, job.status)).collect();
        let last = [(id, Status::Failed)];
        assert_eq!((rescued.jobs, &failed[..]), (1, if worker == CAT { &last[..] } else { &[] }));
    }
    let job = bench.job(id);
    assert_eq!((job.status, job.crash_count, job.retry_count, job.attempt), (Status::Failed, 3, 0, 3));
    assert_eq!((job.completed_at, job.worker_id), (Some(bench.now()), Some(CAT)));
    let error = job.error.unwrap();
    assert!(error.starts_with("the worker died 3 times while it ran this job"), "{error}");
    let attempts = bench.attempts(id);
    assert!(attempts.iter().all(|attempt| attempt.outcome == AttemptOutcome::Crashed));
    assert_eq!((attempts.len(), attempts[2].error.as_ref()), (3, Some(&error)));
    assert_eq!(answer(wait).unwrap().status, Status::Failed);
    bench.register_worker(ANN);
    bench.clock.advance(3600 * SECOND);
    assert_eq!(bench.claim(ANN, want(9)), []);
}

fn a_retry_by_hand_clears_a_suspect(bench: &Bench) {
    let suspects = suspects(bench, vec![job(), job(), job()]);
    bench.register_worker(ANN);
    let held = bench.claim_one(ANN);
    bench.finish(held, fail());
    bench.control(JobCommand::Cancel(suspects[1])).unwrap();
    for id in &suspects[..2] {
        let job = bench.control(JobCommand::Retry(*id)).unwrap();
        assert_eq!((job.crash_count, job.attempt), (0, 1 + u32::from(*id == held.id)));
    }
    assert_eq!(ids(&bench.claim(ANN, want(9))), suspects, "one suspect, and two that are none any more");
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    assert_eq!(suspects.iter().map(|id| bench.job(*id).crash_count).collect::<Vec<_>>(), [0, 0, 2]);
}

fn a_suspect_stays_one_while_it_waits_for_a_retry_or_goes_back(bench: &Bench) {
    let suspects = suspects(bench, vec![job(); 4]);
    bench.register_worker(ANN);
    bench.register_worker(BOB);
    for verdict in [retry(SECOND), release(SECOND, true), release(Duration::ZERO, false)] {
        bench.finish(bench.claim_one(ANN), verdict);
    }
    let left = bench.claim_one(ANN);
    answer(bench.store.release_worker(ANN, Release::ByWorker)).unwrap();
    bench.clock.advance(SECOND);
    for _ in 0..4 {
        let held = bench.claim(BOB, want(9));
        assert_eq!(held.len(), 1);
        assert_eq!(bench.claim(BOB, want(9)), []);
        bench.finish(held[0].claim, complete());
    }
    assert!(suspects.contains(&left.id) && bench.counts().of(Status::Completed) == 4);
}

fn a_standing_turn_is_answered_when_its_worker_may_hold_the_next_suspect(bench: &Bench) {
    for verdict in [complete(), fail(), retry(SECOND), release(SECOND, true), release(SECOND, false)] {
        let [first, second] = suspects(bench, vec![job(), job()])[..] else { panic!("two suspects") };
        bench.register_worker(ANN);
        let held = bench.claim_one(ANN);
        assert_eq!(held.id, first);
        let turn = bench.stand(ANN, standing());
        bench.finish(held, verdict);
        let next = answer(turn).unwrap().claimed;
        assert_eq!(ids(&next), [second]);
        bench.finish(next[0].claim, complete());
        if bench.job(first).status == Status::Pending {
            bench.control(JobCommand::Cancel(first)).unwrap();
        }
    }
}

fn a_standing_turn_is_answered_when_its_worker_completes_the_suspect_of_another_lane(bench: &Bench) {
    let suspects = suspects(bench, vec![task("ping"), job()]);
    bench.register_worker(ANN);
    let pings = || ClaimRequest { tasks: Arc::new(TaskSet::new(["ping"])), ..want(9) };
    let held = bench.claim(ANN, pings())[0].claim;
    let mails = bench.stand(ANN, standing());
    let turned = answer(bench.ask(ANN, vec![bench.finish_of(held, complete())], pings())).unwrap();
    assert_eq!((turned.lost, turned.claimed), (vec![], vec![]));
    assert_eq!(given(mails), [suspects[1]]);
}

fn suspects_that_are_freed_wake_each_worker_that_holds_none(bench: &Bench) {
    bench.register_worker(CAT);
    let stored = bench.insert(vec![job(); 3]);
    bench.claim(CAT, want(3));
    bench.register_worker(ANN);
    bench.register_worker(BOB);
    let turns = [bench.stand(ANN, standing()), bench.stand(BOB, standing())];
    answer(bench.store.release_worker(CAT, Release::ProvenDead)).unwrap();
    assert_eq!(turns.map(given), [[stored[0]], [stored[1]]]);
    let turn = bench.stand(ANN, standing());
    bench.register_worker(CAT);
    assert_eq!(ids(&bench.claim(CAT, want(9))), [stored[2]]);
    bench.stands(&turn);
}

// ---- cancel, and what else people ask for -----------------------------------------------------------------------

fn a_failed_or_cancelled_job_is_retried_by_hand_with_a_fresh_budget(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, retry(Duration::ZERO));
    bench.report(claim, 0.5, "half");
    bench.finish(bench.claim_one(ANN), fail());
    bench.clock.advance(SECOND);
    let job = bench.control(JobCommand::Retry(claim.id)).unwrap();
    assert_eq!((job.status, job.retry_count, job.attempt), (Status::Pending, 0, 2));
    assert_eq!((job.scheduled_at, job.completed_at), (bench.now(), None));
    assert_eq!((job.worker_id, job.result.as_ref(), job.progress.as_ref()), (None, None, None));
    assert_eq!((job.error.as_deref(), job.started_at), (Some("broken"), Some(START)));
    assert_eq!(bench.attempts(claim.id).len(), 2);
    assert_eq!(bench.claim_one(ANN).attempt, 3);
    let cancelled = bench.insert_one(task("mail"));
    bench.control(JobCommand::Cancel(cancelled)).unwrap();
    assert_eq!(bench.control(JobCommand::Retry(cancelled)).unwrap().status, Status::Pending);
}

fn a_job_that_waits_for_its_time_is_due_now_when_retried_by_hand(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, retry(3600 * SECOND));
    let scheduled = bench.insert_one(delayed(3600 * SECOND));
    for id in [claim.id, scheduled] {
        let job = bench.control(JobCommand::Retry(id)).unwrap();
        assert_eq!((job.status, job.scheduled_at, job.retry_count), (Status::Pending, START, 0));
    }
    assert_eq!(ids(&bench.claim(ANN, want(9))), [claim.id, scheduled]);
}

fn a_job_that_is_due_running_or_completed_is_not_retried(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let due = bench.insert_one(job());
    for id in [due, claim.id] {
        assert_eq!(kind(bench.control(JobCommand::Retry(id))), ErrorKind::Conflict);
    }
    bench.finish(claim, complete());
    assert_eq!(kind(bench.control(JobCommand::Retry(claim.id))), ErrorKind::Conflict);
    assert_eq!(bench.job(claim.id).status, Status::Completed);
}

fn a_pending_job_is_cancelled_by_hand_and_not_claimed(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, retry(Duration::ZERO));
    let scheduled = bench.insert_one(delayed(SECOND));
    for id in [claim.id, scheduled] {
        let job = bench.control(JobCommand::Cancel(id)).unwrap();
        assert_eq!((job.status, job.completed_at), (Status::Cancelled, Some(START)));
        assert_eq!((job.error, job.worker_id), (None, None));
    }
    bench.clock.advance(SECOND);
    assert_eq!(bench.claim(ANN, want(9)), []);
    assert_eq!(bench.outcomes(claim.id), [(1, AttemptOutcome::Failed)], "no attempt was made");
}

fn a_job_that_runs_or_has_ended_is_not_cancelled_by_hand(bench: &Bench) {
    let claim = bench.held_job(ANN);
    assert_eq!(kind(bench.control(JobCommand::Cancel(claim.id))), ErrorKind::Conflict);
    for verdict in [complete(), fail(), Verdict::Cancel { reason: "no".into() }] {
        let claim = bench.held_job(BOB);
        let ended = bench.finish(claim, verdict);
        assert_eq!(kind(bench.control(JobCommand::Cancel(claim.id))), ErrorKind::Conflict);
        assert_eq!(bench.job(claim.id).error, ended.error);
    }
    assert_eq!(bench.finish(claim, complete()).status, Status::Completed, "its claim still holds");
}

fn a_deleted_job_is_gone_with_its_history(bench: &Bench) {
    let claim = bench.held_job(ANN);
    assert_eq!(kind(bench.control(JobCommand::Delete(claim.id))), ErrorKind::Conflict, "it is running");
    bench.finish(claim, fail());
    let last_seen = bench.control(JobCommand::Delete(claim.id)).unwrap();
    assert_eq!((last_seen.id, last_seen.status), (claim.id, Status::Failed), "the job as it was");
    assert!(bench.find(claim.id).is_none());
    assert_eq!(bench.attempts(claim.id), []);
    assert_eq!(bench.counts().total(), 0);
    let (due, scheduled) = (bench.insert_one(job()), bench.insert_one(delayed(SECOND)));
    bench.control(JobCommand::Delete(due)).unwrap();
    bench.control(JobCommand::Delete(scheduled)).unwrap();
    bench.clock.advance(SECOND);
    assert_eq!(bench.claim(ANN, want(9)), []);
}

fn a_command_about_no_job_is_told_so(bench: &Bench) {
    for command in [JobCommand::Retry(JobId(7)), JobCommand::Cancel(JobId(7)), JobCommand::Delete(JobId(7))] {
        assert_eq!(kind(bench.control(command)), ErrorKind::NotFound);
    }
}

fn each_command_stands_or_falls_alone_and_in_order(bench: &Bench) {
    let stored = bench.insert(vec![job(), job()]);
    let [a, b] = [stored[0], stored[1]];
    let commands = [
        JobCommand::Cancel(a),
        JobCommand::Cancel(JobId(99)),
        JobCommand::Cancel(a),
        JobCommand::Retry(a),
        JobCommand::Delete(b),
    ];
    // All of them are submitted before the first is answered, so a store may put them into one transaction.
    let answers = commands.map(|command| bench.store.command(command)).map(answer);
    let kinds = answers.map(|answer| answer.map(|job| job.status).map_err(|error| error.kind()));
    let expected = [
        Ok(Status::Cancelled),
        Err(ErrorKind::NotFound),
        Err(ErrorKind::Conflict),
        Ok(Status::Pending),
        Ok(Status::Pending),
    ];
    assert_eq!(kinds, expected);
    assert!(bench.find(b).is_none());
}

// ---- ended -----------------------------------------------------------------------------------------------------

fn who_waits_for_the_end_of_a_job_gets_it_as_it_ended(bench: &Bench) {
    for (verdict, status) in [
        (complete(), Status::Completed),
        (fail(), Status::Failed),
        (Verdict::Cancel { reason: "no".into() }, Status::Cancelled),
    ] {
        let claim = bench.held_job(ANN);
        let waits = [bench.store.wait_for(claim.id), bench.store.wait_for(claim.id)];
        bench.finish(claim, verdict);
        for wait in waits {
            let job = answer(wait).unwrap();
            assert_eq!((job.id, job.status, job.completed_at), (claim.id, status, Some(START)));
        }
        assert_eq!(answer(bench.store.wait_for(claim.id)).unwrap().status, status, "at once if it has ended");
    }
}

fn who_waits_hears_how_the_job_ended_though_a_person_changes_it_at_once(bench: &Bench) {
    for next in [JobCommand::Delete, JobCommand::Retry] {
        let id = bench.insert_one(job());
        let wait = bench.store.wait_for(id);
        let answers = [JobCommand::Cancel(id), next(id)].map(|command| bench.store.command(command));
        answers.into_iter().for_each(|job| drop(answer(job).unwrap()));
        assert_eq!(answer(wait).unwrap().status, Status::Cancelled);
    }
}

fn a_retry_a_release_and_a_rescue_are_no_end(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let wait = bench.store.wait_for(claim.id);
    bench.finish(claim, retry(Duration::ZERO));
    bench.finish(bench.claim_one(ANN), release(Duration::ZERO, true));
    bench.claim_one(ANN);
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    bench.settle();
    assert!(wait.try_take().is_none());
    bench.control(JobCommand::Cancel(claim.id)).unwrap();
    assert_eq!(answer(wait).unwrap().status, Status::Cancelled);
}

fn the_wait_for_a_job_that_is_not_there_is_told_so_now_or_later(bench: &Bench) {
    let id = bench.insert_one(job());
    assert_eq!(kind(answer(bench.store.wait_for(JobId(id.0 + 1)))), ErrorKind::NotFound);
    let wait = bench.store.wait_for(id);
    bench.control(JobCommand::Delete(id)).unwrap();
    assert_eq!(kind(answer(wait)), ErrorKind::NotFound);
    assert_eq!(kind(answer(bench.store.wait_for(id))), ErrorKind::NotFound);
}

// ---- inspect ---------------------------------------------------------------------------------------------------

fn what_was_answered_is_seen_by_the_next_read(bench: &Bench) {
    for n in 1..=20 {
        let id = bench.insert_one(job());
        assert_eq!(bench.job(id).id, id);
        assert_eq!(bench.counts().total(), n);
    }
}

fn a_job_that_is_not_there_has_no_row_and_no_history(bench: &Bench) {
    assert!(bench.find(JobId(1)).is_none());
    assert_eq!(bench.attempts(JobId(1)), []);
    assert_eq!(bench.list(|_| ()), []);
}

fn a_history_is_told_oldest_first_and_without_the_attempt_that_runs(bench: &Bench) {
    let claim = bench.held_job(ANN);
    assert_eq!(bench.attempts(claim.id), []);
    bench.finish(claim, retry(Duration::ZERO));
    bench.finish(bench.claim_one(ANN), release(Duration::ZERO, true));
    bench.claim_one(ANN);
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    bench.register_worker(BOB);
    let last = bench.claim_one(BOB);
    let over = [(1, AttemptOutcome::Failed), (2, AttemptOutcome::Released), (3, AttemptOutcome::Crashed)];
    assert_eq!(bench.outcomes(claim.id), over);
    bench.finish(last, complete());
    assert_eq!(bench.outcomes(claim.id).last(), Some(&(4, AttemptOutcome::Completed)));
}

fn a_list_is_newest_first_and_filters_by_all_conditions(bench: &Bench) {
    bench.register_worker(ANN);
    let of = |name: &str, queue: &str| {
        let mut job = task(name);
        job.queue = queue.into();
        job
    };
    let stored = bench.insert(vec![of("mail", "a"), of("ping", "a"), of("ping", "b"), of("mail", "b")]);
    let at = |places: &[usize]| places.iter().map(|place| stored[*place]).collect::<Vec<_>>();
    assert_eq!(bench.list(|_| ()), at(&[3, 2, 1, 0]));
    assert_eq!(bench.list(|filter| filter.task_name = Some("ping".into())), at(&[2, 1]));
    assert_eq!(bench.list(|filter| filter.queue = Some("a".into())), at(&[1, 0]));
    bench.claim_one(ANN);
    assert_eq!(bench.list(|filter| filter.status = Some(Status::Running)), at(&[0]));
    let all_three = |filter: &mut Filter| {
        filter.status = Some(Status::Pending);
        filter.task_name = Some("ping".into());
        filter.queue = Some("b".into());
    };
    assert_eq!(bench.list(all_three), at(&[2]));
    assert_eq!(bench.list(|filter| filter.queue = Some("nowhere".into())), []);
    let contradiction = |filter: &mut Filter| {
        filter.status = Some(Status::Running);
        filter.scheduled = true;
    };
    assert_eq!(bench.list(contradiction), []);
}

fn scheduled_and_retrying_jobs_can_be_told_apart(bench: &Bench) {
    let retried = bench.held_job(ANN);
    bench.finish(retried, retry(SECOND));
    let scheduled = bench.insert_one(delayed(2 * SECOND));
    let released = bench.insert_one(job());
    bench.finish(bench.claim_one(ANN), release(Duration::ZERO, true));
    assert_eq!(bench.list(|filter| filter.scheduled = true), [scheduled, retried.id]);
    assert_eq!(bench.list(|filter| filter.retrying = true), [retried.id], "{released} has not failed");
    bench.clock.advance(SECOND);
    assert_eq!(bench.list(|filter| filter.scheduled = true), [scheduled]);
    assert_eq!(bench.list(|filter| filter.retrying = true), [retried.id], "due, and still not run again");
}

fn pages_by_key_neither_repeat_nor_skip(bench: &Bench) {
    let mut expected = bench.insert(vec![job(); 10]);
    expected.reverse();
    let mut read = Vec::new();
    let mut filter = Filter::default();
    filter.limit = Some(4);
    for sizes in [4, 4, 2] {
        // Jobs stored between two pages are newer than both, so they move nothing.
        bench.insert_one(task("unheard_of"));
        filter.task_name = Some("mail".into());
        let page = bench.page(filter.clone());
        assert_eq!(page.jobs.len(), sizes);
        read.extend(page.jobs.iter().map(|job| job.id));
        filter.after = page.next;
    }
    assert_eq!(read, expected);
    assert_eq!(filter.after, None, "the last page says so");
}

fn a_page_that_ends_with_the_last_job_is_the_last(bench: &Bench) {
    bench.insert(vec![job(); 4]);
    let mut filter = Filter::default();
    filter.limit = Some(4);
    assert_eq!(bench.page(filter).next, None);
}

fn a_page_holds_a_hundred_jobs_unless_told_and_never_more_than_a_thousand(bench: &Bench) {
    bench.insert(vec![job(); Filter::LIMIT_MAX + 1]);
    assert_eq!(bench.list(|_| ()).len(), Filter::LIMIT_DEFAULT);
    assert_eq!(bench.list(|filter| filter.limit = Some(usize::MAX)).len(), Filter::LIMIT_MAX);
    assert_eq!(bench.list(|filter| filter.limit = Some(0)).len(), 1, "a page of nothing would never end");
}

fn counts_show_every_status(bench: &Bench) {
    for status in Status::ALL {
        assert_eq!(bench.counts().of(status), 0);
    }
    for verdict in [complete(), complete(), fail(), Verdict::Cancel { reason: "no".into() }] {
        let claim = bench.held_job(ANN);
        bench.finish(claim, verdict);
    }
    bench.held_job(ANN);
    bench.insert(vec![job(), job(), delayed(SECOND)]);
    let counts = bench.counts();
    assert_eq!(Status::ALL.map(|status| counts.of(status)), [3, 1, 2, 1, 1]);
    assert_eq!(counts.total(), 8);
}

fn workers_are_told_oldest_first_with_what_they_hold(bench: &Bench) {
    bench.register_worker(CAT);
    bench.clock.advance(SECOND);
    bench.held_job(ANN);
    let told: Vec<_> =
        bench.workers().iter().map(|worker| (worker.id, worker.heartbeats, worker.running)).collect();
    assert_eq!(told, [(CAT, 0, 0), (ANN, 0, 1)]);
}

// ---- notify, statement, close ------------------------------------------------------------------------------------

fn a_poke_disturbs_nothing(bench: &Bench) {
    bench.register_worker(ANN);
    let turn = bench.stand(ANN, standing());
    bench.store.notify();
    bench.stands(&turn);
    let id = bench.insert_one(job());
    assert_eq!(given(turn), [id]);
}

fn no_statement_stores_what_an_insert_would_refuse(bench: &Bench) {
    assert!(bench.store.statement(Foreign::Insert(&[bad()])).is_err());
    match bench.store.statement(Foreign::Insert(&[job()])) {
        Ok(statement) => assert!(!statement.sql.is_empty() && !statement.json.is_empty()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Config),
    }
    assert_eq!(bench.counts().total(), 0, "a statement is only written down");
}

fn what_tasks_say_of_their_jobs_changes_no_job(bench: &Bench) {
    let id = bench.insert_one(job());
    let card = TaskDefaults { name: "mail".into(), queue: "elsewhere".into(), priority: 9, max_retries: 9 };
    for _ in 0..2 {
        answer(bench.store.publish_tasks(vec![card.clone()])).unwrap();
    }
    for id in [id, bench.insert_one(job())] {
        let job = bench.job(id);
        assert_eq!((job.queue.as_str(), job.priority, job.max_retries), ("default", 0, 3));
    }
}

fn a_store_has_a_name(bench: &Bench) {
    assert!(!bench.store.name().is_empty());
}

fn what_was_asked_before_the_close_is_answered(bench: &Bench) {
    let asked: Vec<_> = (0..50).map(|_| bench.store.insert(vec![job()])).collect();
    bench.store.close();
    for pending in asked {
        answer(pending).unwrap();
    }
}

fn a_closed_store_says_so_to_everybody(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let turn = bench.stand(ANN, standing());
    let wait = bench.store.wait_for(claim.id);
    bench.store.close();
    bench.store.close();
    assert_eq!(kind(answer(turn)), ErrorKind::Closed);
    assert_eq!(kind(answer(wait)), ErrorKind::Closed);
    let store = &bench.store;
    let refused = [
        kind(answer(store.insert(vec![job()]))),
        kind(answer(store.register_worker(WorkerInfo::new(BOB, "host", 7)))),
        kind(answer(bench.ask(ANN, vec![], want(1)))),
        kind(answer(bench.ask(ANN, vec![], standing()))),
        kind(answer(store.heartbeat(ANN))),
        kind(answer(store.release_worker(ANN, Release::ProvenDead))),
        kind(answer(store.release_worker(ANN, Release::ByWorker))),
        kind(answer(store.command(JobCommand::Cancel(claim.id)))),
        kind(answer(store.cancel_waiting_claims(ANN))),
        kind(answer(store.wait_for(claim.id))),
        kind(answer(store.counts())),
    ];
    assert_eq!(refused, [ErrorKind::Closed; 11]);
    // These have no answer; they must only be harmless.
    store.notify();
    store.report_progress(Arc::new(ProgressSlot::new(claim)));
}

/// One list of promises makes both the table that [`check`] looks into and the tests that `store_contract!` expands to.
macro_rules! promises {
    ($d:tt $($name:ident)*) => {
        /// Every promise by its name.
        const PROMISES: &[(&str, fn(&Bench))] = &[$((stringify!($name), $name)),*];

        /// Holds a store against the whole contract: a module `room` with one test a promise.
        ///
        /// `factory` is a `Fn(Clock) -> (Arc<dyn Store>, guard)`: an empty store on that clock, and whatever is to live
        /// as long.
        #[macro_export]
        macro_rules! store_contract {
            ($d room:ident, $d factory:expr) => {
                mod $d room {
                    #[allow(unused_imports, reason = "a factory may be written in place")]
                    use super::*;
                    $(
                        #[test]
                        fn $name() {
                            $crate::contract::check(stringify!($name), $d factory);
                        }
                    )*
                }
            };
        }
    };
}

promises! { $
    a_stored_job_reads_back_as_it_was_given
    params_of_any_size_come_back_as_they_were_given
    a_job_without_options_gets_the_defaults
    ids_come_in_the_order_of_the_jobs_and_are_never_used_twice
    nothing_to_insert_is_no_error
    one_bad_job_refuses_its_whole_insert
    one_bad_job_refuses_its_own_insert_and_no_other
    a_delay_counts_from_the_moment_the_job_is_stored
    a_job_for_the_past_is_due_at_once_and_keeps_its_instant
    instants_are_stored_as_whole_microseconds
    a_dropped_answer_cancels_nothing
    the_same_job_under_its_key_is_stored_once_whatever_became_of_it
    params_are_the_same_as_json_and_not_as_text
    large_params_are_compared_as_small_ones_are
    a_key_held_by_another_job_refuses_its_own_insert_and_no_other
    a_key_is_shared_within_one_insert_by_the_same_job_only
    a_key_is_free_again_when_its_job_is_deleted
    callers_that_enqueue_one_key_at_once_get_one_job
    a_worker_that_is_not_enlisted_claims_nothing
    a_worker_that_enlists_twice_stays_as_it_is
    a_claim_is_the_token_of_the_running_job
    a_job_without_a_name_of_its_own_is_claimed_without_one
    higher_priority_goes_first_then_earlier_due_then_lower_id
    one_order_holds_over_all_queues_and_tasks_wanted
    a_limit_cuts_the_line_behind_the_first_of_all_queues_and_tasks
    a_claim_takes_only_wanted_tasks_from_wanted_queues
    a_claim_takes_no_more_than_its_limit
    a_scheduled_job_is_not_claimed_a_microsecond_early
    two_workers_never_hold_one_job
    a_standing_turn_is_answered_at_once_if_there_is_something
    a_standing_turn_is_answered_when_a_job_is_stored
    a_standing_turn_is_answered_the_moment_a_job_is_due
    a_standing_turn_is_answered_when_a_retry_is_due
    a_standing_turn_is_answered_when_a_job_is_retried_by_hand
    a_standing_turn_is_answered_when_a_job_is_released
    a_standing_turn_is_answered_when_a_worker_leaves_or_is_rescued
    a_standing_turn_stands_when_it_cannot_take_what_is_stored
    a_standing_turn_takes_no_more_than_its_limit
    of_two_standing_turns_one_gets_the_job
    one_turn_stands_for_a_worker_and_its_set_of_tasks
    recall_ends_the_standing_turns_of_one_worker_with_nothing
    a_turn_that_brings_finishes_never_stands
    a_turn_finishes_first_and_may_claim_what_it_freed
    a_heartbeat_counts_and_every_worker_is_read_oldest_first
    the_heartbeat_of_a_rescued_worker_answers_that_it_is_not_registered
    the_latest_progress_of_a_running_job_is_shown
    progress_under_a_lost_claim_is_not_shown
    progress_begins_anew_with_each_claim
    a_completed_job_keeps_its_result
    a_success_at_the_first_attempt_has_a_history_too
    a_completion_brings_reported_progress_to_its_end
    a_failed_attempt_waits_for_its_retry_and_says_why
    a_success_clears_the_error_and_history_keeps_it
    a_wait_past_the_end_of_the_calendar_ends_there
    a_wait_shorter_than_an_instant_can_tell_is_none
    a_failed_job_stays_failed_and_says_why
    a_task_may_cancel_its_own_job
    a_released_job_loses_no_retry
    a_job_released_before_it_began_is_as_if_never_claimed
    a_release_without_a_wait_keeps_the_place_in_the_line
    a_finish_shown_with_another_attempt_or_worker_is_lost
    a_claim_is_spent_when_its_job_waits_again
    a_finish_of_a_job_that_was_ended_or_deleted_by_hand_is_lost
    the_claim_of_an_earlier_attempt_is_lost
    a_lost_finish_spoils_no_other_in_its_turn
    a_job_that_ended_under_exactly_this_claim_is_not_lost
    a_long_error_keeps_its_beginning_and_its_end
    a_scheduled_job_becomes_due_by_itself
    a_job_that_became_due_stands_behind_higher_priorities_and_before_lower
    a_worker_that_lives_is_never_proven_dead
    the_jobs_of_a_dead_worker_are_due_again_with_a_crash_counted
    a_rescue_is_won_once_and_forgets_the_worker
    an_end_by_the_last_crash_is_lost_to_the_attempt_that_crashed
    a_silent_worker_that_has_beaten_since_is_left_alone
    a_stale_claim_cannot_finish_a_rescued_job
    a_rescued_worker_claims_nothing_and_hears_so_while_it_stands
    a_worker_that_leaves_gives_back_all_and_no_failure_is_counted
    leave_answers_the_standing_turn_of_the_worker_with_nothing
    a_worker_holds_one_suspect_at_a_time_beside_other_jobs
    suspects_stand_in_the_line_as_all_jobs_do
    a_suspect_behind_the_limit_is_not_claimed
    suspects_are_claimed_over_all_tasks_and_queues_wanted_and_no_others
    the_suspect_that_a_dead_worker_held_is_blamed_alone
    a_job_is_failed_with_its_third_crash_and_says_so
    a_retry_by_hand_clears_a_suspect
    a_suspect_stays_one_while_it_waits_for_a_retry_or_goes_back
    a_standing_turn_is_answered_when_its_worker_may_hold_the_next_suspect
    a_standing_turn_is_answered_when_its_worker_completes_the_suspect_of_another_lane
    suspects_that_are_freed_wake_each_worker_that_holds_none
    a_failed_or_cancelled_job_is_retried_by_hand_with_a_fresh_budget
    a_job_that_waits_for_its_time_is_due_now_when_retried_by_hand
    a_job_that_is_due_running_or_completed_is_not_retried
    a_pending_job_is_cancelled_by_hand_and_not_claimed
    a_job_that_runs_or_has_ended_is_not_cancelled_by_hand
    a_deleted_job_is_gone_with_its_history
    a_command_about_no_job_is_told_so
    each_command_stands_or_falls_alone_and_in_order
    who_waits_for_the_end_of_a_job_gets_it_as_it_ended
    who_waits_hears_how_the_job_ended_though_a_person_changes_it_at_once
    a_retry_a_release_and_a_rescue_are_no_end
    the_wait_for_a_job_that_is_not_there_is_told_so_now_or_later
    what_was_answered_is_seen_by_the_next_read
    a_job_that_is_not_there_has_no_row_and_no_history
    a_history_is_told_oldest_first_and_without_the_attempt_that_runs
    a_list_is_newest_first_and_filters_by_all_conditions
    scheduled_and_retrying_jobs_can_be_told_apart
    pages_by_key_neither_repeat_nor_skip
    a_page_that_ends_with_the_last_job_is_the_last
    a_page_holds_a_hundred_jobs_unless_told_and_never_more_than_a_thousand
    counts_show_every_status
    workers_are_told_oldest_first_with_what_they_hold
    a_poke_disturbs_nothing
    no_statement_stores_what_an_insert_would_refuse
    what_tasks_say_of_their_jobs_changes_no_job
    a_store_has_a_name
    what_was_asked_before_the_close_is_answered
    a_closed_store_says_so_to_everybody
}
