//! The lease protocol of qdjobs as a model, explored over its whole space: two workers, each of which rescues the other, one that
//! only looks after others, and every order in which they, their tasks and the faults may come.
//!
//! ```text
//! cargo test -p qdjobs-lease-model                              # half a minute
//! cargo test -p qdjobs-lease-model -- --nocapture               # with the sizes, and the way to each mistake of a broken rule
//! cargo test -p qdjobs-lease-model --release -- --ignored       # larger spaces: some minutes, some GB
//! ```
//!
//! `books` mirrors the statements of the store, `monitor` the judgement of `lease.rs`, `process` and `state` the steps of the
//! supervisor and of the dispatcher, `protocol` what may come when and what always holds. Time is counted in ticks, a lease has six. The
//! model knows nothing of SQLite, of threads and of disks: a transaction is one step here, and that it is one is tested elsewhere.
//!
//! A broken rule that is not found would show that the properties have no teeth, so each has its own test.

#![cfg(test)]
#![expect(clippy::print_stdout, reason = "the sizes and the ways are what one runs this for")]

#[path = "../../../qdjobs/src/model/lease.rs"]
mod lease;

mod books;
mod heartbeat_monitor;
mod process;
mod protocol;
mod rules;
mod state;

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
const NONE: FaultBudget =
    FaultBudget { crashes: 0, aways: 0, unheard: 0, releases: 0, timeouts: 0, drains: 0, failures: 0 };

/// A space: jobs, processes, faults, and whether the processes do their rounds in turn.
struct Space(usize, usize, FaultBudget, bool);

/// Explores all of it: nothing that must always hold is broken, and everything that should be seen is.
fn holds(Space(jobs, processes, budget, in_turn): Space, unseen: &[&str]) {
    let protocol = Protocol::new(Rule::Sound, jobs, processes, budget, in_turn);
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
                let way = path.clone().into_actions();
                panic!("{} does not hold after {way:#?}\n{:#?}", property.name, path.last_state());
            }
            _ => {}
        }
    }
}

/// Explores until the mistake is found that the rule makes.
fn breaks(rule: Rule, budget: FaultBudget, property: &'static str) {
    let protocol = Protocol::new(rule, 1, 2, budget, true);
    let wanted = HasDiscoveries::AllOf(std::iter::once(property).collect());
    let explored = protocol.checker().threads(2).finish_when(wanted).spawn_bfs().join();
    let states = explored.unique_state_count();
    let Some(path) = explored.discovery(property) else {
        panic!("{rule:?}: `{property}` holds over {states} states");
    };
    let way = path.into_actions();
    println!("{rule:?}: `{property}` does not hold, found after {states} states, {} steps:", way.len());
    way.iter().for_each(|step| println!("    {step:?}"));
}

#[test]
fn the_protocol_holds_through_a_crash_and_an_absence_of_two_workers() {
    let budget = FaultBudget { crashes: 1, aways: 1, ..NONE };
    let unseen =
        ["a finish is on its way that has already taken effect", "a worker leaves while its task hangs"];
    holds(Space(1, 2, budget, false), &unseen);
}

#[test]
fn the_protocol_holds_through_everything_that_may_befall_an_attempt() {
    let budget =
        FaultBudget { crashes: 1, aways: 0, unheard: 1, releases: 1, timeouts: 1, drains: 1, failures: 1 };
    let unseen = ["a worker comes back under a new number", "a worker doubts its lease"];
    holds(
        Space(1, 2, budget, false),
        &[&unseen[..], &["a task runs on after its job went to another worker"]].concat(),
    );
}

#[test]
fn the_protocol_holds_with_a_third_process_that_rescues() {
    let budget = FaultBudget { crashes: 1, aways: 1, ..NONE };
    let unseen =
        ["a finish is on its way that has already taken effect", "a worker leaves while its task hangs"];
    holds(Space(1, 3, budget, true), &unseen);
}

#[test]
fn the_protocol_holds_with_two_jobs_and_lost_answers() {
    let budget = FaultBudget { crashes: 1, unheard: 1, drains: 1, ..NONE };
    let unseen = ["a worker comes back under a new number", "a worker doubts its lease"];
    holds(
        Space(2, 2, budget, true),
        &[&unseen[..], &["a task runs on after its job went to another worker"]].concat(),
    );
}

#[test]
#[ignore = "minutes and gigabytes: cargo test -p qdjobs-lease-model --release -- --ignored"]
fn the_protocol_holds_through_two_absences() {
    let budget = FaultBudget { aways: 2, ..NONE };
    let unseen =
        ["a finish is on its way that has already taken effect", "a worker leaves while its task hangs"];
    holds(Space(1, 2, budget, true), &unseen);
}

#[test]
#[ignore = "minutes and gigabytes: cargo test -p qdjobs-lease-model --release -- --ignored"]
fn the_protocol_holds_through_an_absence_with_lost_answers_and_failures() {
    let budget = FaultBudget { aways: 1, unheard: 1, releases: 1, failures: 1, ..NONE };
    holds(Space(1, 2, budget, true), &["a worker leaves while its task hangs"]);
}

#[test]
fn without_the_attempt_in_the_fence_a_task_that_timed_out_completes_a_later_attempt() {
    let budget = FaultBudget { timeouts: 1, ..NONE };
    breaks(Rule::NoAttemptInFence, budget, "a write takes effect under the current claim alone");
}

#[test]
fn without_the_worker_in_the_fence_a_repeated_release_frees_the_job_of_another() {
    let budget = FaultBudget { releases: 1, unheard: 1, ..NONE };
    breaks(Rule::NoWorkerInFence, budget, "a write takes effect under the current claim alone");
}

#[test]
fn a_worker_that_claims_before_it_repeats_gives_back_what_it_has_claimed_since() {
    let budget = FaultBudget { releases: 1, unheard: 1, ..NONE };
    breaks(Rule::ClaimBeforeRepeat, budget, "a write takes effect under the current claim alone");
}

#[test]
fn by_the_wall_clock_a_worker_is_rescued_that_beats() {
    breaks(Rule::WallClock, NONE, "a worker that has beaten within a lease is not rescued for silence");
}

#[test]
fn without_an_observation_of_its_own_a_process_that_was_away_finds_everybody_silent() {
    let budget = FaultBudget { aways: 2, ..NONE };
    breaks(Rule::NoOwnObservation, budget, "who was away itself takes nobody for silent");
}

#[test]
fn a_worker_that_stays_on_the_list_when_it_is_rescued_goes_on_with_what_it_has_lost() {
    let budget = FaultBudget { aways: 1, ..NONE };
    breaks(Rule::RowStays, budget, "a worker that trusts its lease holds what it works on");
}

#[test]
fn a_rescue_by_ids_reopens_what_has_ended_meanwhile() {
    let budget = FaultBudget { aways: 1, ..NONE };
    breaks(Rule::RescueById, budget, "an ended job stays ended");
}

#[test]
fn a_rescue_that_does_not_ask_again_takes_the_jobs_of_a_worker_that_has_come_to() {
    let budget = FaultBudget { aways: 1, ..NONE };
    breaks(Rule::RescueUnasked, budget, "a worker that has beaten within a lease is not rescued for silence");
}

#[test]
fn an_observer_that_judges_by_late_answers_waits_for_less_than_a_lease() {
    let budget = FaultBudget { aways: 2, ..NONE };
    breaks(Rule::LateAnswers, budget, "a worker that has beaten within a lease is not rescued for silence");
}

#[test]
fn a_worker_that_stops_beating_before_its_jobs_have_ended_is_rescued_alive() {
    let budget = FaultBudget { drains: 1, ..NONE };
    breaks(Rule::NoBeatInDrain, budget, "a worker that was up for a lease is not rescued for silence");
}

#[test]
fn without_a_look_at_what_a_job_has_ended_under_a_repeated_finish_is_told_lost() {
    let budget = FaultBudget { unheard: 1, ..NONE };
    breaks(Rule::NoEndedUnder, budget, "an end that is written is never told to be lost");
}

#[test]
fn jobs_claimed_in_a_commit_whose_answer_is_lost_run_for_ever_if_nobody_gives_them_back() {
    let budget = FaultBudget { unheard: 1, ..NONE };
    breaks(Rule::ClaimsForgotten, budget, "left alone, every job ends");
}
