//! The checker is checked: a small good history passes, and for each rule small bad ones are found by it.

use qdjobs::Status;

use super::{Findings, RULES, check};
use crate::evidence::{AttemptRow, Change, Effect, Evidence, FileFacts, JobRow, State, Step};
use crate::history::{Fact, How, Line, Role, Signal, Verb};
use crate::tasks::{CRASHES_MAX, FOLLOWS, UNIQUE};

const PARENT: u32 = 0;
const WORKER: u32 = 1;
const OTHER: u32 = 2;
const ENQUEUER: u32 = 3;
const KILLED: u32 = 4;

/// The numbers of the workers in their processes.
const FIRST: i64 = 701;
const SECOND: i64 = 702;
const THIRD: i64 = 704;

/// The params' hash of every job here.
const HASH: u64 = 99;

/// A history in the making: each line and each transition is later than the one before.
#[derive(Clone, Debug)]
struct Story(Evidence);

impl Story {
    fn begin() -> Story {
        let mut story = Story(Evidence::default());
        story.0.file = FileFacts { integrity: "ok".into(), fresh: Some((20, 15)), ..FileFacts::default() };
        story.0.file.counts = Status::ALL.map(|status| (status.as_str().to_owned(), 0)).into();
        story.say(PARENT, Fact::Session { boot: String::new(), seed: 1, wall: 0, seq: 0 });
        for (process, role) in [(WORKER, Role::Worker), (OTHER, Role::Worker), (ENQUEUER, Role::Enqueuer)] {
            story.say(PARENT, Fact::Spawned { process, pid: 100 + process, role, lease_ms: 1_000 });
        }
        story.step(Change::RegisterWorker { worker: FIRST, pid: 101 });
        story.step(Change::RegisterWorker { worker: SECOND, pid: 102 });
        story
    }

    /// Everything is done, and everybody ends as asked.
    fn end(mut self) -> Evidence {
        self.say(PARENT, Fact::Healed);
        self.say(PARENT, Fact::Drained);
        self.say(PARENT, Fact::Sample { process: WORKER, fds: 22, threads: 15 });
        for process in [WORKER, OTHER] {
            self.say(PARENT, Fact::Signalled { process, signal: Signal::Term });
        }
        for process in [WORKER, OTHER, ENQUEUER] {
            self.reaped(process, Some(0), None);
        }
        for row in self.0.jobs.values() {
            *self.0.file.counts.get_mut(row.state.status.as_str()).unwrap() += 1;
        }
        self.0
    }

    fn say(&mut self, by: u32, fact: Fact) {
        let at = self.0.lines.last().map_or(0, |line| line.at) + 10;
        self.0.lines.push(Line { at, by, fact });
    }

    fn step(&mut self, change: Change) {
        let seq = self.0.log.len() as i64 + 1;
        self.0.log.push(Step { seq, wall: seq * 1_000, change });
    }

    fn reaped(&mut self, process: u32, code: Option<i32>, signal: Option<i32>) {
        let seq = self.0.log.len() as i64;
        self.say(PARENT, Fact::Reaped { process, code, signal, seq, running: 0, listed: 0 });
    }

    fn call(&mut self, mark: u64, task: &str, delay_ms: u64) {
        self.say(ENQUEUER, Fact::Called { mark, task: task.into(), hash: HASH, delay_ms });
    }

    /// A job that is called, stored and acknowledged.
    fn store(&mut self, job: i64, mark: u64, task: &str) {
        self.call(mark, task, 0);
        self.insert(job, mark, task);
        self.say(ENQUEUER, Fact::Acked { mark, job });
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
        let fact = Fact::Start {
            job,
            attempt: row.state.attempt as u32,
            task: row.task.clone(),
            mark: row.mark.unwrap(),
            hash: HASH,
            wall: 50,
            scheduled_at: 50,
        };
        self.say(process, fact);
    }

    fn finish(&mut self, job: i64, status: Status, outcome: &str, change: impl FnOnce(&mut State)) {
        let State { attempt, worker, .. } = self.0.jobs[&job].state;
        let worker = worker.unwrap();
        let process = if worker == FIRST { WORKER } else { OTHER };
        self.say(process, Fact::End { job, attempt: attempt as u32, how: How::Good });
        self.record(job, status, outcome, change);
    }

    /// As [`Story::finish`], without a word from the task.
    fn record(&mut self, job: i64, status: Status, outcome: &str, change: impl FnOnce(&mut State)) {
        let State { attempt, worker, .. } = self.0.jobs[&job].state;
        if outcome != "completed" || attempt > 1 {
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
        self.say(WORKER, Fact::Completed { job });
    }

    /// A job that runs once and completes.
    fn done(&mut self, job: i64) {
        self.claim(job, FIRST);
        self.start(job);
        self.complete(job);
    }

    /// The first worker is killed, and the second takes it off the list.
    fn kill_first(&mut self, held: &[i64]) {
        self.say(PARENT, Fact::Signalled { process: WORKER, signal: Signal::Kill });
        self.step(Change::Forget { worker: FIRST });
        for &job in held {
            self.record(job, Status::Pending, "crashed", |it| it.crash_count += 1);
        }
    }

    fn drop_lines(&mut self, wanted: impl Fn(&Fact) -> bool) {
        self.0.lines.retain(|line| !wanted(&line.fact));
    }
}

/// Some of everything, and all of it right.
fn good() -> Story {
    let mut story = Story::begin();
    story.store(1, 10, "noop");
    story.done(1);
    // A failure, a crash, a release, an end.
    story.store(2, 20, "flaky");
    story.claim(2, FIRST);
    story.start(2);
    story.finish(2, Status::Pending, "failed", |it| it.retry_count += 1);
    story.say(WORKER, Fact::Retrying { job: 2, attempt: 1, wait_ms: 0 });
    story.claim(2, SECOND);
    story.start(2);
    story.finish(2, Status::Pending, "released", |_| {});
    story.claim(2, SECOND);
    // Given back before it began: without a trace, and the number is used again.
    story.change(2, |it| (it.status, it.worker, it.attempt) = (Status::Pending, None, it.attempt - 1));
    story.claim(2, SECOND);
    story.start(2);
    story.finish(2, Status::Pending, "released", |_| {});
    story.done(2);
    // An effect with its follow-up.
    story.store(3, 30, "effect");
    story.claim(3, FIRST);
    story.start(3);
    story.call(30 | FOLLOWS, "follow", 0);
    story.insert(4, 30 | FOLLOWS, "follow");
    story.0.effects.push(Effect { job: 3, attempt: 1 });
    story.complete(3);
    story.0.effects.push(Effect { job: 4, attempt: 1 });
    story.done(4);
    // One that may be stored, one that is not, one by hand.
    story.call(50, "noop", 0);
    story.say(ENQUEUER, Fact::Denied { mark: 50, kind: "Indeterminate".into(), may_be_stored: true });
    story.call(60, "noop", 0);
    story.say(ENQUEUER, Fact::Denied { mark: 60, kind: "Busy".into(), may_be_stored: false });
    story.store(5, 90 | UNIQUE, "noop");
    story.call(90 | UNIQUE, "noop", 0);
    story.say(ENQUEUER, Fact::Acked { mark: 90 | UNIQUE, job: 5 });
    story.done(5);
    // One whose worker is killed.
    story.say(PARENT, Fact::Spawned { process: KILLED, pid: 104, role: Role::Worker, lease_ms: 1_000 });
    story.step(Change::RegisterWorker { worker: THIRD, pid: 104 });
    story.store(6, 160, "slow");
    story.claim(6, THIRD);
    story.start_in(KILLED, 6);
    story.say(PARENT, Fact::Signalled { process: KILLED, signal: Signal::Kill });
    story.reaped(KILLED, None, Some(9));
    story.step(Change::Forget { worker: THIRD });
    story.record(6, Status::Pending, "crashed", |it| it.crash_count += 1);
    story.done(6);
    story.store(7, 70, "noop");
    story.say(ENQUEUER, Fact::Asked { verb: Verb::Cancel, job: 7 });
    story.change(7, |it| it.status = Status::Cancelled);
    story.say(ENQUEUER, Fact::Done { verb: Verb::Cancel, job: 7 });
    story
}

fn broken(evidence: &Evidence) -> Vec<&'static str> {
    let mut rules: Vec<&str> = check(evidence).violations.iter().map(|it| it.rule).collect();
    rules.dedup();
    rules
}

/// This rule finds it, whatever others see in it.
#[track_caller]
fn found_by(rule: &str, story: Story) {
    let rules = broken(&story.end());
    assert!(rules.contains(&rule), "{rule} does not see it, but {rules:?}");
}

#[test]
fn a_good_history_passes_and_every_rule_has_looked_at_something() {
    let evidence = good().end();
    let Findings { violations, looked, .. } = check(&evidence);
    assert!(violations.is_empty(), "{violations:#?}");
    for rule in RULES.iter().filter(|rule| rule.is_looked_at()) {
        assert!(looked.contains_key(rule.name), "{} looks at nothing", rule.name);
    }
}

#[test]
fn i1_a_lost_job_is_found() {
    let mut story = good();
    story.call(80, "noop", 0);
    story.say(ENQUEUER, Fact::Acked { mark: 80, job: 8 });
    found_by("I1", story);
    let mut story = good();
    story.0.jobs.remove(&1);
    found_by("I1", story);
}

#[test]
fn i1_a_result_that_was_acknowledged_and_is_not_there_is_found() {
    let mut lost = good();
    lost.store(8, 80, "hopeless");
    lost.claim(8, FIRST);
    lost.start(8);
    lost.finish(8, Status::Failed, "failed", |_| {});
    assert_eq!(broken(&lost.clone().end()), Vec::<&str>::new());
    lost.say(WORKER, Fact::Completed { job: 8 });
    found_by("I1", lost);
}

#[test]
fn i1_a_refused_result_that_counts_all_the_same_is_found() {
    let mut story = good();
    story.say(WORKER, Fact::Refused { job: 1, attempt: 1 });
    found_by("I1", story);
}

#[test]
fn i1_a_change_by_hand_that_was_acknowledged_and_did_not_happen_is_found() {
    let mut story = good();
    story.say(ENQUEUER, Fact::Asked { verb: Verb::Delete, job: 1 });
    story.say(ENQUEUER, Fact::Done { verb: Verb::Delete, job: 1 });
    found_by("I1", story);
}

#[test]
fn i2_a_job_that_nobody_enqueued_is_found() {
    let mut story = good();
    story.insert(8, 80, "noop");
    story.done(8);
    found_by("I2", story);
}

#[test]
fn i2_a_job_that_is_stored_twice_for_one_call_is_found() {
    let mut story = good();
    story.insert(8, 10, "noop");
    story.done(8);
    found_by("I2", story);
}

#[test]
fn i2_other_params_are_found_in_the_table_and_in_the_run() {
    let mut story = good();
    story.0.jobs.get_mut(&1).unwrap().hash = Some(HASH + 1);
    found_by("I2", story);
    let mut story = good();
    for line in &mut story.0.lines {
        if let Fact::Start { job: 1, hash, .. } = &mut line.fact {
            *hash += 1;
        }
    }
    found_by("I2", story);
}

#[test]
fn i3_an_attempt_that_starts_twice_is_found() {
    let mut story = good();
    story.store(8, 80, "noop");
    story.claim(8, FIRST);
    story.start(8);
    story.start(8);
    story.complete(8);
    found_by("I3", story);
}

#[test]
fn i3_an_attempt_number_that_is_used_again_is_found() {
    let mut story = good();
    story.store(8, 80, "slow");
    story.claim(8, FIRST);
    story.start(8);
    story.kill_first(&[8]);
    // ClaimedJob under the same number.
    story.change(8, |it| (it.status, it.worker) = (Status::Running, Some(SECOND)));
    story.finish(8, Status::Completed, "completed", |_| {});
    found_by("I3", story);
}

#[test]
fn i3_a_start_without_a_claim_is_found() {
    let mut story = good();
    story.start_in(OTHER, 1);
    found_by("I3", story);
}

#[test]
fn i4_a_job_that_is_taken_from_a_worker_that_still_holds_it_is_found() {
    let mut story = good();
    story.store(8, 80, "slow");
    story.claim(8, FIRST);
    story.start(8);
    story.change(8, |it| (it.worker, it.attempt) = (Some(SECOND), 2));
    story.start(8);
    story.complete(8);
    found_by("I4", story);
}

#[test]
fn i4_a_second_run_beside_one_that_was_not_taken_is_found() {
    let mut story = good();
    story.store(8, 80, "flaky");
    story.claim(8, FIRST);
    story.start(8);
    // On record as failed before the task has come to its end.
    story.record(8, Status::Pending, "failed", |it| it.retry_count += 1);
    story.claim(8, SECOND);
    story.start(8);
    story.say(WORKER, Fact::End { job: 8, attempt: 1, how: How::Error });
    story.complete(8);
    found_by("I4", story);
}

#[test]
fn i5_an_end_that_changes_by_itself_is_found() {
    let mut story = good();
    story.change(1, |it| it.status = Status::Failed);
    found_by("I5", story);
    let mut story = good();
    story.change(1, |it| it.crash_count += 1);
    found_by("I5", story);
}

#[test]
fn i5_a_retry_by_hand_that_nobody_asked_for_is_found() {
    let mut story = good();
    story.change(7, |it| it.status = Status::Pending);
    story.done(7);
    found_by("I5", story);
}

#[test]
fn i6_an_effect_twice_or_never_or_of_an_attempt_that_did_not_complete_is_found() {
    let mut story = good();
    story.0.effects.push(Effect { job: 3, attempt: 1 });
    found_by("I6", story);
    let mut story = good();
    story.0.effects.retain(|effect| effect.job != 3);
    found_by("I6", story);
    let mut story = good();
    story.0.effects.iter_mut().for_each(|effect| effect.attempt += 1);
    found_by("I6", story);
}

#[test]
fn i6_a_missing_follow_up_is_found() {
    let mut story = Story::begin();
    story.store(3, 30, "effect");
    story.0.effects.push(Effect { job: 3, attempt: 1 });
    story.done(3);
    found_by("I6", story);
}

#[test]
fn i7_a_crash_that_is_not_counted_or_not_on_record_is_found() {
    let crashed = |change: fn(&mut State)| {
        let mut story = good();
        story.store(8, 80, "slow");
        story.claim(8, FIRST);
        story.start(8);
        story.kill_first(&[]);
        story.record(8, Status::Pending, "crashed", change);
        story.claim(8, SECOND);
        story.start(8);
        story.complete(8);
        story
    };
    let mut right = crashed(|it| it.crash_count += 1);
    assert_eq!(broken(&right.clone().end()), Vec::<&str>::new());
    right.0.attempts.remove(&(8, 1));
    found_by("I7", right);
    found_by("I7", crashed(|_| {}));
}

#[test]
fn i7_an_outcome_of_an_attempt_that_never_began_is_found() {
    let mut story = good();
    story.drop_lines(|fact| matches!(fact, Fact::Start { job: 1, .. }));
    found_by("I7", story);
}

#[test]
fn i7_more_retries_than_allowed_and_an_end_that_the_task_does_not_have_are_found() {
    let mut story = good();
    story.0.jobs.get_mut(&2).unwrap().max_retries = 0;
    found_by("I7", story);
    let mut story = good();
    story.store(8, 80, "slow");
    story.claim(8, FIRST);
    story.start(8);
    story.finish(8, Status::Failed, "failed", |_| {});
    found_by("I7", story);
}

#[test]
fn i8_a_start_before_its_time_is_found() {
    let mut story = good();
    for line in &mut story.0.lines {
        if let Fact::Start { job: 1, wall, .. } = &mut line.fact {
            *wall -= 1;
        }
    }
    found_by("I8", story);
    let mut story = good();
    for line in &mut story.0.lines {
        if let Fact::Called { mark: 10, delay_ms, .. } = &mut line.fact {
            *delay_ms = 1;
        }
    }
    found_by("I8", story);
}

#[test]
fn i8_a_retry_before_its_wait_is_over_is_found() {
    let mut story = good();
    for line in &mut story.0.lines {
        if let Fact::Retrying { wait_ms, .. } = &mut line.fact {
            *wait_ms = 1;
        }
    }
    found_by("I8", story);
}

#[test]
fn i10_what_is_never_done_or_done_too_late_is_found() {
    let mut story = good();
    story.store(8, 80, "noop");
    found_by("I10", story);
    let mut evidence = good().end();
    evidence.lines.retain(|line| line.fact != Fact::Drained);
    assert!(broken(&evidence).contains(&"I10"));
    let mut evidence = good().end();
    let healed = evidence.lines.iter().position(|line| line.fact == Fact::Healed).unwrap();
    evidence.lines[healed + 1..].iter_mut().for_each(|line| line.at += 1_000_000_000);
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
fn i13_two_jobs_of_one_unique_key_are_found_in_the_table_and_in_the_answers() {
    let mut story = good();
    story.insert(8, 90 | UNIQUE, "noop");
    story.done(8);
    found_by("I13", story);
    let mut story = good();
    story.say(ENQUEUER, Fact::Acked { mark: 90 | UNIQUE, job: 1 });
    found_by("I13", story);
}

#[test]
fn i14_a_good_end_that_leaves_a_job_running_or_a_file_behind_is_found() {
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
fn i16_a_job_that_is_certainly_not_stored_and_is_there_is_found() {
    let mut story = good();
    story.insert(8, 60, "noop");
    story.done(8);
    found_by("I16", story);
    // The same is no violation where it was said to be in doubt.
    let mut story = good();
    story.insert(8, 50, "noop");
    story.done(8);
    assert_eq!(broken(&story.end()), Vec::<&str>::new());
}

#[test]
fn i16_a_job_that_vanishes_without_a_deletion_is_found() {
    let mut story = good();
    story.insert(8, 50, "noop");
    story.done(8);
    story.0.jobs.remove(&8);
    found_by("I16", story);
}

/// A story in which the first worker has died with these jobs, and the second holds them.
fn after_a_crash(jobs: [i64; 2], crash: impl Fn(&mut State)) -> Story {
    let mut story = good();
    for job in jobs {
        story.store(job, job as u64 * 10, "slow");
        story.claim(job, FIRST);
        story.start(job);
    }
    story.kill_first(&[]);
    jobs.into_iter().for_each(|job| story.record(job, Status::Pending, "crashed", &crash));
    story
}

#[test]
fn s1_two_suspects_with_one_worker_are_found() {
    let mut story = after_a_crash([8, 9], |it| it.crash_count += 1);
    story.claim(8, SECOND);
    story.start(8);
    let mut one_by_one = story.clone();
    one_by_one.complete(8);
    one_by_one.claim(9, SECOND);
    one_by_one.start(9);
    one_by_one.complete(9);
    assert_eq!(broken(&one_by_one.end()), Vec::<&str>::new());
    story.claim(9, SECOND);
    story.start(9);
    story.complete(8);
    story.complete(9);
    found_by("S1", story);
}

#[test]
fn s1_a_bystander_that_is_blamed_beside_a_suspect_is_found() {
    let mut story = after_a_crash([8, 9], |it| it.crash_count += 1);
    story.claim(8, SECOND);
    story.start(8);
    story.store(11, 110, "slow");
    story.claim(11, SECOND);
    story.start(11);
    story.step(Change::Forget { worker: SECOND });
    story.record(8, Status::Pending, "crashed", |it| it.crash_count += 1);
    story.record(11, Status::Pending, "crashed", |it| it.crash_count += 1);
    found_by("S1", story);
}

#[test]
fn s1_an_end_before_or_after_the_last_crash_is_found() {
    let mut story = good();
    story.store(8, 80, "slow");
    story.claim(8, FIRST);
    story.start(8);
    story.kill_first(&[]);
    story.record(8, Status::Failed, "crashed", |it| it.crash_count += 1);
    found_by("S1", story);
    let mut story = good();
    story.store(8, 80, "slow");
    for _ in 0..CRASHES_MAX {
        story.claim(8, FIRST);
        story.start(8);
        story.record(8, Status::Pending, "crashed", |it| it.crash_count += 1);
    }
    found_by("S1", story);
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
        let mut story = good();
        story.reaped(OTHER, code, signal);
        let mut evidence = story.end();
        evidence.lines.retain(|line| !matches!(line.fact, Fact::Signalled { process: OTHER, .. }));
        assert!(broken(&evidence).contains(&"E1"), "{code:?} {signal:?}");
    }
}
