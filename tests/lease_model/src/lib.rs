//! The lease protocol of qdjobs as a model, explored over its whole space: two workers that rescue each
//! other, one process that only rescues, and every order of their steps, their tasks and the faults.
//!
//! ```text
//! cargo test -p qdjobs-lease-model                              # half a minute
//! cargo test -p qdjobs-lease-model -- --nocapture               # also prints the sizes, and the path to the
//! error of each broken rule
//! cargo test -p qdjobs-lease-model --release -- --ignored       # larger spaces: some minutes, some GB
//! ```
//!
//! `stored_state` mirrors the statements of the store, `heartbeat_monitor` the product's `model/lease.rs`,
//! `process` and `state` the steps of the supervisor and of the dispatcher. `protocol` says which step is
//! possible when, and which properties always hold. Time is counted in ticks; a lease has six.
//!
//! Depends on the product's `lease.rs` alone. SQLite, threads and disks never come in: a transaction is one
//! step here. That it is one is tested elsewhere.
//!
//! A property that finds no error in a broken rule proves nothing, so each broken rule has its own test.

#![cfg(test)]
#![expect(clippy::print_stdout, reason = "the sizes and the paths are the output of this crate")]

#[path = "../../../qdjobs/src/model/lease.rs"]
mod lease;

mod heartbeat_monitor;
mod process;
mod protocol;
mod rules;
mod state;
mod stored_state;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use protocol::Protocol;
use rules::Rule;
use state::FaultBudget;

mod model {
    pub(crate) mod job {
        //! The one type that the library's `lease.rs` depends on.

        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) struct WorkerId(pub(crate) i64);
    }
}

/// No faults at all.
const NONE: FaultBudget = FaultBudget {
    crashes: 0,
    absences: 0,
    lost_answers: 0,
    releases: 0,
    timeouts: 0,
    drains: 0,
    failures: 0,
};

/// A space: jobs, processes, faults, and whether the processes take their rounds in a fixed order.
struct Space(usize, usize, FaultBudget, bool);

/// Explores all of it: no `always` property is broken, and every `sometimes` property is seen except
/// `unseen`.
fn holds(Space(jobs, processes, budget, round_robin): Space, unseen: &[&str]) {
    let protocol = Protocol::new(Rule::Sound, jobs, processes, budget, round_robin);
    let explored = protocol.checker().threads(2).spawn_bfs().join();
    let (states, steps, depth) =
        (explored.unique_state_count(), explored.state_count(), explored.max_depth());
    println!(
        "{jobs} job(s), {processes} processes, {budget:?}: {states} states, {steps} steps, {depth} deep"
    );
    let found = explored.discoveries();
    for property in explored.model().properties() {
        match (property.expectation, found.get(property.name)) {
            (Expectation::Sometimes, None) => {
                assert!(unseen.contains(&property.name), "never seen: {}", property.name);
            }
            (Expectation::Always, Some(path)) => {
                let steps = path.clone().into_actions();
                panic!("{} does not hold after {steps:#?}\n{:#?}", property.name, path.last_state());
            }
            _ => {}
        }
    }
}

/// Explores until the given property is found broken under the rule.
fn breaks(rule: Rule, budget: FaultBudget, property: &'static str) {
    let protocol = Protocol::new(rule, 1, 2, budget, true);
    let wanted = HasDiscoveries::AllOf(std::iter::once(property).collect());
    let explored = protocol.checker().threads(2).finish_when(wanted).spawn_bfs().join();
    let states = explored.unique_state_count();
    let Some(path) = explored.discovery(property) else {
        panic!("{rule:?}: `{property}` holds over {states} states");
    };
    let path = path.into_actions();
    println!("{rule:?}: `{property}` does not hold, found after {states} states, {} steps:", path.len());
    path.iter().for_each(|step| println!("    {step:?}"));
}

#[test]
fn the_protocol_holds_through_a_crash_and_an_absence_of_two_workers() {
    let budget = FaultBudget { crashes: 1, absences: 1, ..NONE };
    let unseen =
        ["a finish is sent again that has already taken effect", "a worker stops while its task hangs"];
    holds(Space(1, 2, budget, false), &unseen);
}

#[test]
fn the_protocol_holds_through_every_fault_of_an_attempt() {
    let budget = FaultBudget {
        crashes: 1,
        absences: 0,
        lost_answers: 1,
        releases: 1,
        timeouts: 1,
        drains: 1,
        failures: 1,
    };
    let unseen = ["a worker registers again under a new number", "a worker suspends itself"];
    holds(
        Space(1, 2, budget, false),
        &[&unseen[..], &["a task continues after its job went to another worker"]].concat(),
    );
}

#[test]
fn the_protocol_holds_with_a_third_process_that_rescues() {
    let budget = FaultBudget { crashes: 1, absences: 1, ..NONE };
    let unseen =
        ["a finish is sent again that has already taken effect", "a worker stops while its task hangs"];
    holds(Space(1, 3, budget, true), &unseen);
}

#[test]
fn the_protocol_holds_with_two_jobs_and_lost_answers() {
    let budget = FaultBudget { crashes: 1, lost_answers: 1, drains: 1, ..NONE };
    let unseen = ["a worker registers again under a new number", "a worker suspends itself"];
    holds(
        Space(2, 2, budget, true),
        &[&unseen[..], &["a task continues after its job went to another worker"]].concat(),
    );
}

#[test]
#[ignore = "minutes and gigabytes: cargo test -p qdjobs-lease-model --release -- --ignored"]
fn the_protocol_holds_through_two_absences() {
    let budget = FaultBudget { absences: 2, ..NONE };
    let unseen =
        ["a finish is sent again that has already taken effect", "a worker stops while its task hangs"];
    holds(Space(1, 2, budget, true), &unseen);
}

#[test]
#[ignore = "minutes and gigabytes: cargo test -p qdjobs-lease-model --release -- --ignored"]
fn the_protocol_holds_through_an_absence_with_lost_answers_and_failures() {
    let budget = FaultBudget { absences: 1, lost_answers: 1, releases: 1, failures: 1, ..NONE };
    holds(Space(1, 2, budget, true), &["a worker stops while its task hangs"]);
}

#[test]
fn without_the_attempt_in_the_fence_a_task_that_timed_out_completes_a_later_attempt() {
    let budget = FaultBudget { timeouts: 1, ..NONE };
    breaks(Rule::NoAttemptInFence, budget, "a write takes effect under the current claim alone");
}

#[test]
fn without_the_worker_in_the_fence_a_repeated_release_frees_the_job_of_another_worker() {
    let budget = FaultBudget { releases: 1, lost_answers: 1, ..NONE };
    breaks(Rule::NoWorkerInFence, budget, "a write takes effect under the current claim alone");
}

#[test]
fn a_worker_that_claims_before_it_repeats_a_finish_gives_back_what_it_has_claimed_since() {
    let budget = FaultBudget { releases: 1, lost_answers: 1, ..NONE };
    breaks(Rule::ClaimBeforeRepeat, budget, "a write takes effect under the current claim alone");
}

#[test]
fn by_the_wall_clock_a_worker_that_sends_heartbeats_is_rescued() {
    breaks(Rule::WallClock, NONE, "a worker with a heartbeat within a lease is not rescued for silence");
}

#[test]
fn without_its_own_observation_a_process_that_was_away_presumes_all_others_dead() {
    let budget = FaultBudget { absences: 2, ..NONE };
    breaks(Rule::NoOwnObservation, budget, "a process that was away itself presumes nobody dead");
}

#[test]
fn a_worker_that_stays_registered_when_it_is_rescued_continues_with_jobs_it_has_lost() {
    let budget = FaultBudget { absences: 1, ..NONE };
    breaks(Rule::RowStays, budget, "a worker that trusts its lease holds what it works on");
}

#[test]
fn a_rescue_by_ids_reopens_jobs_that_have_ended() {
    let budget = FaultBudget { absences: 1, ..NONE };
    breaks(Rule::RescueById, budget, "an ended job stays ended");
}

#[test]
fn a_rescue_that_does_not_check_again_takes_the_jobs_of_a_worker_that_has_resumed() {
    let budget = FaultBudget { absences: 1, ..NONE };
    breaks(
        Rule::RescueUnchecked,
        budget,
        "a worker with a heartbeat within a lease is not rescued for silence",
    );
}

#[test]
fn a_monitor_that_judges_late_answers_waits_for_less_than_a_lease() {
    let budget = FaultBudget { absences: 2, ..NONE };
    breaks(Rule::LateAnswers, budget, "a worker with a heartbeat within a lease is not rescued for silence");
}

#[test]
fn a_worker_that_stops_its_heartbeats_before_its_jobs_have_ended_is_rescued_alive() {
    let budget = FaultBudget { drains: 1, ..NONE };
    breaks(Rule::NoHeartbeatInDrain, budget, "a worker that was up for a lease is not rescued for silence");
}

#[test]
fn without_a_check_of_the_claim_a_job_ended_under_a_repeated_finish_is_reported_lost() {
    let budget = FaultBudget { lost_answers: 1, ..NONE };
    breaks(Rule::NoEndedUnder, budget, "an end that is written is never reported as lost");
}

#[test]
fn jobs_claimed_in_a_commit_whose_answer_is_lost_run_forever_unless_they_are_given_back() {
    let budget = FaultBudget { lost_answers: 1, ..NONE };
    breaks(Rule::ClaimsForgotten, budget, "left alone, every job ends");
}
