//! Tests of the checker: a small good history passes, and for each rule small bad ones are found by it.

use qdjobs::Status;

use super::{Findings, RULES, check};
use crate::evidence::{AttemptRow, Change, Effect, Evidence, FileFacts, JobRow, State, Step};
use crate::history::{Fact, Line, Role, Signal, TaskEnd, Verb};
use crate::tasks::{FOLLOWS, KEYED, completes_itself};

const PARENT: u32 = 0;
const WORKER: u32 = 1;
const OTHER: u32 = 2;
const ENQUEUER: u32 = 3;
const KILLED: u32 = 4;

/// The worker numbers of the processes.
const FIRST: i64 = 701;
const SECOND: i64 = 702;
const THIRD: i64 = 704;

/// The params' hash of every job here.
const HASH: u64 = 99;

/// A history under construction: each line and each transition is later than the one before.
#[derive(Clone, Debug)]
struct SampleRun(Evidence);

impl SampleRun {
    fn begin() -> SampleRun {
        let mut run = SampleRun(Evidence::default());
        run.0.file = FileFacts { integrity: "ok".into(), fresh: Some((20, 15)), ..FileFacts::default() };
        run.0.file.counts = Status::ALL.map(|status| (status.as_str().to_owned(), 0)).into();
        run.append(PARENT, Fact::Session { boot: String::new(), seed: 1, wall: 0, seq: 0 });
        for (process, role) in [(WORKER, Role::Worker), (OTHER, Role::Worker), (ENQUEUER, Role::Enqueuer)] {
            run.append(PARENT, Fact::Spawned { process, pid: 100 + process, role, lease_ms: 1_000 });
        }
        run.step(Change::RegisterWorker { worker: FIRST, pid: 101 });
        run.step(Change::RegisterWorker { worker: SECOND, pid: 102 });
        run
    }

    /// Everything is done, and every process stops as requested.
    fn end(mut self) -> Evidence {
        self.append(PARENT, Fact::FaultsOver);
        self.append(PARENT, Fact::Drained);
        self.append(PARENT, Fact::Sample { process: WORKER, fds: 22, threads: 15 });
        for process in [WORKER, OTHER] {
            self.append(PARENT, Fact::Signalled { process, signal: Signal::Term });
        }
        for process in [WORKER, OTHER, ENQUEUER] {
            self.reaped(process, Some(0), None);
        }
        for row in self.0.jobs.values() {
            *self.0.file.counts.get_mut(row.state.status.as_str()).unwrap() += 1;
        }
        self.0
    }

    fn append(&mut self, by: u32, fact: Fact) {
        let at = self.0.lines.last().map_or(0, |line| line.at) + 10;
        self.0.lines.push(Line { at, by, fact });
    }

    fn step(&mut self, change: Change) {
        let seq = self.0.log.len() as i64 + 1;
        self.0.log.push(Step { seq, wall: seq * 1_000, change });
    }

    fn reaped(&mut self, process: u32, code: Option<i32>, signal: Option<i32>) {
        let seq = self.0.log.len() as i64;
        self.append(PARENT, Fact::Reaped { process, code, signal, seq, running: 0, listed: 0 });
    }

    fn call(&mut self, mark: u64, task: &str, delay_ms: u64) {
        self.append(ENQUEUER, Fact::EnqueueCalled { mark, task: task.into(), hash: HASH, delay_ms });
    }

    /// A job that is enqueued, stored and acknowledged.
    fn store(&mut self, job: i64, mark: u64, task: &str) {
        self.call(mark, task, 0);
        self.insert(job, mark, task);
        self.append(ENQUEUER, Fact::EnqueueAcked { mark, job });
    }

    fn insert(&mut self, job: i64, mark: u64, task: &str) {
        let state =
            State { status: Status::Pending, attempt: 0, worker: None, retry_count: 0, crash_count: 0 };
        self.step(Change::Insert { job, mark: Some(mark), new: state });
        let row = JobRow { task: task.into(), mark: Some(mark), hash: Some(HASH), max_retries: 3, state };
        self.0.jobs.insert(job, row);
    }

    fn change(&mut self, job: i64, change: impl FnOnce(&mut State)) {
        let old = self.0.jobs[&job].state;
        let mut new = old;
        change(&mut new);
        self.step(Change::Update { job, old, new });
        self.0.jobs.get_mut(&job).unwrap().state = new;
    }

    fn claim(&mut self, job: i64, worker: i64) {
        self.change(job, |it| {
            (it.status, it.worker, it.attempt) = (Status::Running, Some(worker), it.attempt + 1);
        });
    }

    fn start(&mut self, job: i64) {
        let row = &self.0.jobs[&job];
        let process = if row.state.worker == Some(FIRST) { WORKER } else { OTHER };
        self.start_in(process, job);
    }

    fn start_in(&mut self, process: u32, job: i64) {
        let row = &self.0.jobs[&job];
        let fact = Fact::TaskStarted {
            job,
            attempt: row.state.attempt as u32,
            task: row.task.clone(),
            mark: row.mark.unwrap(),
            hash: HASH,
            wall: 50,
            scheduled_at: 50,
        };
        self.append(process, fact);
    }

    fn finish(&mut self, job: i64, status: Status, outcome: &str, change: impl FnOnce(&mut State)) {
        let State { attempt, worker, .. } = self.0.jobs[&job].state;
        let worker = worker.unwrap();
        let process = if worker == FIRST { WORKER } else { OTHER };
        self.append(process, Fact::TaskEnded { job, attempt: attempt as u32, end: TaskEnd::Good });
        self.record(job, status, outcome, change);
    }

    /// As [`SampleRun::finish`], without a record by the task.
    fn record(&mut self, job: i64, status: Status, outcome: &str, change: impl FnOnce(&mut State)) {
        let row = &self.0.jobs[&job];
        let State { attempt, worker, .. } = row.state;
        if outcome != "completed" || (attempt > 1 && !completes_itself(&row.task)) {
            let row = AttemptRow { worker: worker.unwrap(), outcome: outcome.into() };
            self.0.attempts.insert((job, attempt), row);
        }
        self.change(job, |it| {
            it.status = status;
            if status == Status::Pending {
                it.worker = None;
            }
            change(it);
        });
    }

    fn complete(&mut self, job: i64) {
        self.finish(job, Status::Completed, "completed", |_| {});
        self.append(WORKER, Fact::Completed { job });
    }

    /// A job that runs once and completes.
    fn done(&mut self, job: i64) {
        self.claim(job, FIRST);
        self.start(job);
        self.complete(job);
    }

    /// The first worker is killed, and the second releases it.
    fn kill_first(&mut self, held: &[i64]) {
        self.append(PARENT, Fact::Signalled { process: WORKER, signal: Signal::Kill });
        self.step(Change::Forget { worker: FIRST });
        for &job in held {
            self.record(job, Status::Pending, "crashed", |it| it.crash_count += 1);
        }
    }

    fn drop_lines(&mut self, wanted: impl Fn(&Fact) -> bool) {
        self.0.lines.retain(|line| !wanted(&line.fact));
    }
}

/// Some of everything, and all of it correct.
fn good() -> SampleRun {
    let mut run = SampleRun::begin();
    run.store(1, 10, "noop");
    run.done(1);
    // A failure, a crash, a release, an end.
    run.store(2, 20, "flaky");
    run.claim(2, FIRST);
    run.start(2);
    run.finish(2, Status::Pending, "failed", |it| it.retry_count += 1);
    run.append(WORKER, Fact::Retrying { job: 2, attempt: 1, wait_ms: 0 });
    run.claim(2, SECOND);
    run.start(2);
    run.finish(2, Status::Pending, "released", |_| {});
    run.claim(2, SECOND);
    // Given back before it began: without a row, and the attempt number is used again.
    run.change(2, |it| (it.status, it.worker, it.attempt) = (Status::Pending, None, it.attempt - 1));
    run.claim(2, SECOND);
    run.start(2);
    run.finish(2, Status::Pending, "released", |_| {});
    run.done(2);
    // An effect with its follow-up, at the second attempt.
    run.store(3, 30, "effect");
    run.claim(3, FIRST);
    run.start(3);
    run.finish(3, Status::Pending, "failed", |it| it.retry_count += 1);
    run.append(WORKER, Fact::Retrying { job: 3, attempt: 1, wait_ms: 0 });
    run.claim(3, FIRST);
    run.start(3);
    run.call(30 | FOLLOWS, "follow", 0);
    run.insert(4, 30 | FOLLOWS, "follow");
    run.0.effects.push(Effect { job: 3, attempt: 2 });
    run.complete(3);
    run.0.effects.push(Effect { job: 4, attempt: 1 });
    run.done(4);
    // One that may be stored, one that is not, one command.
    run.call(50, "noop", 0);
    run.append(ENQUEUER, Fact::EnqueueFailed { mark: 50, kind: "Indeterminate".into(), may_be_stored: true });
    run.call(60, "noop", 0);
    run.append(ENQUEUER, Fact::EnqueueFailed { mark: 60, kind: "Busy".into(), may_be_stored: false });
    run.store(5, 90 | KEYED, "noop");
    run.call(90 | KEYED, "noop", 0);
    run.append(ENQUEUER, Fact::EnqueueAcked { mark: 90 | KEYED, job: 5 });
    run.done(5);
    // One whose worker is killed.
    run.append(PARENT, Fact::Spawned { process: KILLED, pid: 104, role: Role::Worker, lease_ms: 1_000 });
    run.step(Change::RegisterWorker { worker: THIRD, pid: 104 });
    run.store(6, 160, "slow");
    run.claim(6, THIRD);
    run.start_in(KILLED, 6);
    run.append(PARENT, Fact::Signalled { process: KILLED, signal: Signal::Kill });
    run.reaped(KILLED, None, Some(9));
    run.step(Change::Forget { worker: THIRD });
    run.record(6, Status::Pending, "crashed", |it| it.crash_count += 1);
    run.done(6);
    run.store(7, 70, "noop");
    run.append(ENQUEUER, Fact::CommandCalled { verb: Verb::Cancel, job: 7 });
    run.change(7, |it| it.status = Status::Cancelled);
    run.append(ENQUEUER, Fact::CommandDone { verb: Verb::Cancel, job: 7 });
    run
}

fn broken(evidence: &Evidence) -> Vec<&'static str> {
    let mut rules: Vec<&str> = check(evidence).violations.iter().map(|it| it.rule).collect();
    rules.dedup();
    rules
}

/// The rule finds it, whatever other rules find too.
#[track_caller]
fn found_by(rule: &str, run: SampleRun) {
    let rules = broken(&run.end());
    assert!(rules.contains(&rule), "{rule} does not find it, but {rules:?} do");
}

#[test]
fn a_good_history_passes_and_every_rule_has_checked_something() {
    let evidence = good().end();
    let Findings { violations, checked, .. } = check(&evidence);
    assert!(violations.is_empty(), "{violations:#?}");
    for rule in RULES.iter().filter(|rule| rule.is_implemented()) {
        assert!(checked.contains_key(rule.name), "{} checks nothing", rule.name);
    }
}

#[test]
fn i1_a_lost_job_is_found() {
    let mut run = good();
    run.call(80, "noop", 0);
    run.append(ENQUEUER, Fact::EnqueueAcked { mark: 80, job: 8 });
    found_by("I1", run);
    let mut run = good();
    run.0.jobs.remove(&1);
    found_by("I1", run);
}

#[test]
fn i1_a_result_that_was_acknowledged_but_is_not_stored_is_found() {
    let mut lost = good();
    lost.store(8, 80, "hopeless");
    lost.claim(8, FIRST);
    lost.start(8);
    lost.finish(8, Status::Failed, "failed", |_| {});
    assert_eq!(broken(&lost.clone().end()), Vec::<&str>::new());
    lost.append(WORKER, Fact::Completed { job: 8 });
    found_by("I1", lost);
}

#[test]
fn i1_a_discarded_result_that_counts_all_the_same_is_found() {
    let mut run = good();
    run.append(WORKER, Fact::ResultDiscarded { job: 1, attempt: 1 });
    found_by("I1", run);
}

#[test]
fn i1_a_command_that_was_acknowledged_but_did_not_happen_is_found() {
    let mut run = good();
    run.append(ENQUEUER, Fact::CommandCalled { verb: Verb::Delete, job: 1 });
    run.append(ENQUEUER, Fact::CommandDone { verb: Verb::Delete, job: 1 });
    found_by("I1", run);
}

#[test]
fn i2_a_job_that_nobody_enqueued_is_found() {
    let mut run = good();
    run.insert(8, 80, "noop");
    run.done(8);
    found_by("I2", run);
}

#[test]
fn i2_a_job_that_is_stored_twice_for_one_call_is_found() {
    let mut run = good();
    run.insert(8, 10, "noop");
    run.done(8);
    found_by("I2", run);
}

#[test]
fn i2_other_params_are_found_in_the_table_and_in_the_run() {
    let mut run = good();
    run.0.jobs.get_mut(&1).unwrap().hash = Some(HASH + 1);
    found_by("I2", run);
    let mut run = good();
    for line in &mut run.0.lines {
        if let Fact::TaskStarted { job: 1, hash, .. } = &mut line.fact {
            *hash += 1;
        }
    }
    found_by("I2", run);
}

#[test]
fn i3_an_attempt_that_starts_twice_is_found() {
    let mut run = good();
    run.store(8, 80, "noop");
    run.claim(8, FIRST);
    run.start(8);
    run.start(8);
    run.complete(8);
    found_by("I3", run);
}

#[test]
fn i3_an_attempt_number_that_is_used_again_is_found() {
    let mut run = good();
    run.store(8, 80, "slow");
    run.claim(8, FIRST);
    run.start(8);
    run.kill_first(&[8]);
    // Claimed under the same attempt number.
    run.change(8, |it| (it.status, it.worker) = (Status::Running, Some(SECOND)));
    run.finish(8, Status::Completed, "completed", |_| {});
    found_by("I3", run);
}

#[test]
fn i3_a_start_without_a_claim_is_found() {
    let mut run = good();
    run.start_in(OTHER, 1);
    found_by("I3", run);
}

#[test]
fn i4_a_job_that_is_claimed_from_a_worker_that_still_holds_it_is_found() {
    let mut run = good();
    run.store(8, 80, "slow");
    run.claim(8, FIRST);
    run.start(8);
    run.change(8, |it| (it.worker, it.attempt) = (Some(SECOND), 2));
    run.start(8);
    run.complete(8);
    found_by("I4", run);
}

#[test]
fn i4_a_second_run_beside_one_that_was_not_lost_is_found() {
    let mut run = good();
    run.store(8, 80, "flaky");
    run.claim(8, FIRST);
    run.start(8);
    // Recorded as failed before the task has ended.
    run.record(8, Status::Pending, "failed", |it| it.retry_count += 1);
    run.claim(8, SECOND);
    run.start(8);
    run.append(WORKER, Fact::TaskEnded { job: 8, attempt: 1, end: TaskEnd::Error });
    run.complete(8);
    found_by("I4", run);
}

#[test]
fn i5_an_ended_job_that_changes_by_itself_is_found() {
    let mut run = good();
    run.change(1, |it| it.status = Status::Failed);
    found_by("I5", run);
    let mut run = good();
    run.change(1, |it| it.crash_count += 1);
    found_by("I5", run);
}

#[test]
fn i5_a_retry_without_a_command_is_found() {
    let mut run = good();
    run.change(7, |it| it.status = Status::Pending);
    run.done(7);
    found_by("I5", run);
}

#[test]
fn i6_an_effect_twice_or_never_or_of_an_attempt_that_did_not_complete_is_found() {
    let mut run = good();
    run.0.effects.push(Effect { job: 3, attempt: 1 });
    found_by("I6", run);
    let mut run = good();
    run.0.effects.retain(|effect| effect.job != 3);
    found_by("I6", run);
    let mut run = good();
    run.0.effects.iter_mut().for_each(|effect| effect.attempt += 1);
    found_by("I6", run);
}

#[test]
fn i6_a_missing_follow_up_is_found() {
    let mut run = SampleRun::begin();
    run.store(3, 30, "effect");
    run.0.effects.push(Effect { job: 3, attempt: 1 });
    run.done(3);
    found_by("I6", run);
}

#[test]
fn i7_a_crash_that_is_not_counted_or_not_recorded_is_found() {
    let crashed = |change: fn(&mut State)| {
        let mut run = good();
        run.store(8, 80, "slow");
        run.claim(8, FIRST);
        run.start(8);
        run.kill_first(&[]);
        run.record(8, Status::Pending, "crashed", change);
        run.claim(8, SECOND);
        run.start(8);
        run.complete(8);
        run
    };
    let mut right = crashed(|it| it.crash_count += 1);
    assert_eq!(broken(&right.clone().end()), Vec::<&str>::new());
    right.0.attempts.remove(&(8, 1));
    found_by("I7", right);
    found_by("I7", crashed(|_| {}));
}

#[test]
fn i7_an_outcome_of_an_attempt_that_never_began_is_found() {
    let mut run = good();
    run.drop_lines(|fact| matches!(fact, Fact::TaskStarted { job: 1, .. }));
    found_by("I7", run);
}

#[test]
fn i7_too_many_retries_and_an_end_that_the_task_does_not_have_are_found() {
    let mut run = good();
    run.0.jobs.get_mut(&2).unwrap().max_retries = 0;
    found_by("I7", run);
    let mut run = good();
    run.store(8, 80, "slow");
    run.claim(8, FIRST);
    run.start(8);
    run.finish(8, Status::Failed, "failed", |_| {});
    found_by("I7", run);
}

#[test]
fn i8_a_start_before_its_time_is_found() {
    let mut run = good();
    for line in &mut run.0.lines {
        if let Fact::TaskStarted { job: 1, wall, .. } = &mut line.fact {
            *wall -= 1;
        }
    }
    found_by("I8", run);
    let mut run = good();
    for line in &mut run.0.lines {
        if let Fact::EnqueueCalled { mark: 10, delay_ms, .. } = &mut line.fact {
            *delay_ms = 1;
        }
    }
    found_by("I8", run);
}

#[test]
fn i8_a_retry_before_its_wait_is_over_is_found() {
    let mut run = good();
    for line in &mut run.0.lines {
        if let Fact::Retrying { wait_ms, .. } = &mut line.fact {
            *wait_ms = 1;
        }
    }
    found_by("I8", run);
}

#[test]
fn i10_jobs_that_never_end_or_end_too_late_are_found() {
    let mut run = good();
    run.store(8, 80, "noop");
    found_by("I10", run);
    let mut evidence = good().end();
    evidence.lines.retain(|line| line.fact != Fact::Drained);
    assert!(broken(&evidence).contains(&"I10"));
    let mut evidence = good().end();
    let faults_over = evidence.lines.iter().position(|line| line.fact == Fact::FaultsOver).unwrap();
    evidence.lines[faults_over + 1..].iter_mut().for_each(|line| line.at += 1_000_000_000);
    assert_eq!(broken(&evidence), ["I10"]);
}

#[test]
fn i11_a_damaged_file_and_a_wrong_count_are_found() {
    let mut evidence = good().end();
    evidence.file.integrity = "row 7 missing from index qdjobs_ready".into();
    assert_eq!(broken(&evidence), ["I11"]);
    let mut evidence = good().end();
    evidence.file.foreign_key_errors = 1;
    assert_eq!(broken(&evidence), ["I11"]);
    let mut evidence = good().end();
    *evidence.file.counts.get_mut("completed").unwrap() += 1;
    assert_eq!(broken(&evidence), ["I11"]);
}

#[test]
fn i13_two_jobs_of_one_idempotency_key_are_found_in_the_table_and_in_the_answers() {
    let mut run = good();
    run.insert(8, 90 | KEYED, "noop");
    run.done(8);
    found_by("I13", run);
    let mut run = good();
    run.append(ENQUEUER, Fact::EnqueueAcked { mark: 90 | KEYED, job: 1 });
    found_by("I13", run);
}

#[test]
fn i14_a_clean_stop_that_leaves_a_job_running_or_a_file_behind_is_found() {
    let mut evidence = good().end();
    for line in &mut evidence.lines {
        if let Fact::Reaped { process: WORKER, running, .. } = &mut line.fact {
            *running = 1;
        }
    }
    assert_eq!(broken(&evidence), ["I14"]);
    let mut evidence = good().end();
    evidence.file.left_over.push("1.live".into());
    assert_eq!(broken(&evidence), ["I14"]);
}

#[test]
fn i15_a_log_or_files_or_threads_that_grow_are_found() {
    let mut evidence = good().end();
    evidence.file.wal_bytes = 1 << 30;
    assert_eq!(broken(&evidence), ["I15"]);
    for (more_fds, more_threads) in [(20, 0), (0, 20)] {
        let mut evidence = good().end();
        for line in &mut evidence.lines {
            if let Fact::Sample { fds, threads, .. } = &mut line.fact {
                *fds += more_fds;
                *threads += more_threads;
            }
        }
        assert_eq!(broken(&evidence), ["I15"]);
    }
}

#[test]
fn i16_a_job_reported_as_not_stored_that_is_stored_is_found() {
    let mut run = good();
    run.insert(8, 60, "noop");
    run.done(8);
    found_by("I16", run);
    // The same is no violation if it was reported as unconfirmed.
    let mut run = good();
    run.insert(8, 50, "noop");
    run.done(8);
    assert_eq!(broken(&run.end()), Vec::<&str>::new());
}

#[test]
fn i16_a_job_that_disappears_without_a_deletion_is_found() {
    let mut run = good();
    run.insert(8, 50, "noop");
    run.done(8);
    run.0.jobs.remove(&8);
    found_by("I16", run);
}

#[test]
fn e1_a_process_that_ends_unasked_is_found() {
    for (code, signal) in [
        (Some(0), None),
        (Some(1), None),
        (Some(101), None),
        (None, Some(9)),
        (None, Some(6)),
        (None, Some(11)),
    ] {
        let mut run = good();
        run.reaped(OTHER, code, signal);
        let mut evidence = run.end();
        evidence.lines.retain(|line| !matches!(line.fact, Fact::Signalled { process: OTHER, .. }));
        assert!(broken(&evidence).contains(&"E1"), "{code:?} {signal:?}");
    }
}
