//! The contract of a store as tests: one test a promise, named as what it promises, and one file a verb.
//!
//! Depends on the public [`Store`] and on nothing that a particular store knows. A store runs the whole suite
//! with `store_contract!(room, factory)`. Time stands still and nothing sleeps: an answer that does not come
//! within [`PATIENCE`] is a failure. A promise that is written but not listed in `promises!` below is dead
//! code, which the compiler reports.

#![expect(clippy::unwrap_used, reason = "a promise that is not kept is to panic")]

mod bench;
mod claim;
mod close;
mod command;
mod finish;
mod heartbeat;
mod insert;
mod lost_answers;
pub mod pair;
mod poison;
mod progress;
mod promote;
mod read;
mod register;
mod release;
mod wait;
mod waiting_claims;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use qdjobs::store::{
    ClaimRequest, FinishedJob, JobCommand, NewJob, Pending, Release, RunAt, Store, TaskSet, Verdict,
    WorkerInfo,
};
use qdjobs::{Clock, Timestamp, WorkerId};

use self::bench::Bench;
use self::pair::{Pair, Split};

/// How long an answer may take before it counts as none: long enough for a slow disk on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The instant at which every test begins: whole seconds, far from zero and from the end of the calendar.
pub const START: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// The answer, or a failed test if there is none in time.
pub fn answer<T>(pending: Pending<T>) -> qdjobs::Result<T> {
    pending.wait_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer within {PATIENCE:?}"))
}

/// Waits until everything that was asked before has had its effect in each of these stores on one database.
///
/// In each of them a witness waits for a job of a task of its own, which another member stores. Once it has
/// that job, its member has seen whatever was committed before. What comes along is removed again, except
/// that ids get gaps.
pub fn settle(members: &[Arc<dyn Store>]) {
    for (at, member) in members.iter().enumerate() {
        let other = &members[(at + 1) % members.len()];
        let worker = WorkerId(0xff00 + at as i64);
        let marker = format!("marker{at}");
        answer(member.register_worker(WorkerInfo::new(worker, "host", 7))).unwrap();
        let request = ClaimRequest::new(worker, Arc::new(TaskSet::new([marker.as_str()])), 1);
        let witness = member.claim(ClaimRequest { wait: true, ..request.clone() });
        let id = answer(other.insert(vec![NewJob::new(marker, "{}")])).unwrap()[0];
        let seen = answer(witness).unwrap().claimed.pop().expect("the marker");
        let verdict = Verdict::Fail { error: "seen".into() };
        let seen =
            FinishedJob { claim: seen.claim, ticket: seen.ticket, began_after: Duration::ZERO, verdict };
        answer(member.claim(ClaimRequest { finished: Arc::new(vec![seen]), limit: 0, ..request })).unwrap();
        answer(member.command(JobCommand::Delete(id))).unwrap();
        answer(member.release_worker(worker, Release::ByWorker)).unwrap();
    }
}

/// An empty store to be tested.
pub struct Subject {
    store: Arc<dyn Store>,
    members: Vec<Arc<dyn Store>>,
    _guard: Box<dyn Any>,
}

impl Subject {
    /// One store. `guard`, a temporary directory say, is kept until the promise is checked.
    pub fn single(store: Arc<dyn Store>, guard: impl Any) -> Subject {
        Subject { members: vec![store.clone()], store, _guard: Box::new(guard) }
    }

    /// Two stores on one database.
    pub fn pair(first: Arc<dyn Store>, second: Arc<dyn Store>, split: Split, guard: impl Any) -> Subject {
        let pair = Pair::new(first, second, split);
        Subject { members: pair.members(), store: Arc::new(pair), _guard: Box::new(guard) }
    }
}

/// The promises of the contract, by the names of their tests.
pub fn promises() -> impl Iterator<Item = &'static str> {
    PROMISES.iter().map(|(name, _)| *name)
}

/// Checks the promise named `name` on the store that `factory` opens, while time stands still; called by
/// `store_contract!`.
pub fn check(name: &str, factory: impl Fn(Clock) -> Subject) {
    check_by(Clock::manual(START), name, factory);
}

/// Checks the promises that say nothing about time, by the clock of the system.
pub fn check_by_the_system_clock(factory: impl Fn(Clock) -> Subject) {
    for name in BY_THE_SYSTEM_CLOCK {
        check_by(Clock::system(), name, &factory);
    }
}

/// Checks, by the clock of the system, that a waiting claim gets a job soon after the job is due. Of several,
/// so that a moment of load decides nothing: the median.
pub fn check_that_due_jobs_are_claimed_on_time(factory: impl Fn(Clock) -> Subject) {
    const DELAY: Duration = Duration::from_millis(30);
    let subject = factory(Clock::system());
    let worker = WorkerId(1);
    answer(subject.store.register_worker(WorkerInfo::new(worker, "host", 7))).unwrap();
    // Each of the others is due earlier than the earliest instant that is known until then.
    let mut far = NewJob::new("mail", "{}");
    far.run_at = RunAt::After(Duration::from_secs(3600));
    answer(subject.store.insert(vec![far])).unwrap();
    let mut late: Vec<Duration> = (0..7)
        .map(|_| {
            let tasks = Arc::new(TaskSet::new(["mail"]));
            let request = ClaimRequest { wait: true, ..ClaimRequest::new(worker, tasks, 1) };
            // Afterwards, a store that looks by a timer sleeps until the far job.
            let waiting_claim = subject.store.claim(request).wait_timeout(DELAY).expect_err("no job is due");
            let mut job = NewJob::new("mail", "{}");
            job.run_at = RunAt::After(DELAY);
            answer(subject.store.insert(vec![job])).unwrap();
            let job = answer(waiting_claim).unwrap().claimed.pop().expect("the job");
            assert_ne!(job.scheduled_at, job.created_at);
            let late = job.claimed_at.duration_since(job.scheduled_at);
            late.try_into().expect("it was not claimed early")
        })
        .collect();
    late.sort();
    assert!(late[3] < 2 * DELAY, "claimed late: {late:?}");
}

fn check_by(clock: Clock, name: &str, factory: impl Fn(Clock) -> Subject) {
    let (_, promise) =
        PROMISES.iter().find(|(known, _)| *known == name).expect("store_contract! names its promises");
    let Subject { store, members, _guard } = factory(clock.clone());
    promise(&Bench { clock, store, members, tickets: std::sync::Mutex::default() });
}

/// One list of promises makes both the table that [`check`] looks into and the tests that `store_contract!`
/// expands to.
macro_rules! promises {
    ($d:tt $($verb:ident { $($name:ident)* })*) => {
        /// Every promise by its name.
        const PROMISES: &[(&str, fn(&Bench))] = &[$($((stringify!($name), $verb::$name)),*),*];

        /// Checks a store against the whole contract: a module `room` with one test a promise.
        ///
        /// `factory` is a `Fn(Clock) -> Subject`.
        #[macro_export]
        macro_rules! store_contract {
            ($d room:ident, $d factory:expr) => {
                mod $d room {
                    $(
                        mod $verb {
                            use super::super::*;
                            $(
                                #[test]
                                fn $name() {
                                    $crate::check(stringify!($name), $d factory);
                                }
                            )*
                        }
                    )*
                }
            };
        }
    };
}

promises! { $
    insert {
        a_stored_job_reads_back_as_it_was_given
        params_of_any_size_come_back_as_they_were_given
        many_jobs_of_every_kind_come_back_in_their_order_as_they_were_given
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
        a_name_or_a_key_with_nul_is_refused
    }
    register {
        a_worker_that_is_not_registered_claims_nothing
        a_worker_that_registers_twice_stays_as_it_is
    }
    claim {
        a_claim_is_the_token_of_the_running_job
        a_job_without_a_name_of_its_own_is_claimed_without_one
        higher_priority_goes_first_then_earlier_due_then_lower_id
        one_order_holds_over_all_queues_and_tasks_wanted
        a_limit_cuts_the_line_behind_the_first_of_all_queues_and_tasks
        a_claim_takes_only_wanted_tasks_from_wanted_queues
        a_claim_takes_no_more_than_its_limit
        a_scheduled_job_is_not_claimed_a_microsecond_early
        two_workers_never_hold_one_job
    }
    waiting_claims {
        a_claim_that_may_wait_is_answered_at_once_if_there_is_something
        a_waiting_claim_is_answered_when_a_job_is_stored
        a_waiting_claim_is_answered_the_moment_a_job_is_due
        a_waiting_claim_is_answered_when_a_retry_is_due
        a_waiting_claim_is_answered_when_a_job_is_retried_by_hand
        a_waiting_claim_is_answered_when_a_job_is_released
        a_waiting_claim_is_answered_when_another_worker_is_released
        a_waiting_claim_waits_on_when_it_cannot_take_what_is_stored
        a_waiting_claim_takes_no_more_than_its_limit
        of_two_waiting_claims_one_gets_the_job
        one_claim_waits_for_a_worker_and_its_set_of_tasks
        a_cancel_ends_the_waiting_claims_of_one_worker_with_nothing
        a_claim_with_finished_jobs_never_waits
        a_claim_finishes_first_and_may_claim_what_it_freed
    }
    heartbeat {
        a_heartbeat_counts_and_every_worker_is_read_oldest_first
        the_heartbeat_of_a_worker_released_as_dead_answers_that_it_is_not_registered
    }
    progress {
        the_latest_progress_of_a_running_job_is_shown
        progress_under_a_lost_claim_is_not_shown
        progress_begins_anew_with_each_claim
        nul_in_a_progress_message_is_replaced
        of_many_values_the_latest_is_stored
    }
    finish {
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
        a_postponed_job_loses_no_retry_and_shows_why
        a_job_released_before_it_began_is_as_if_never_claimed
        a_release_without_a_wait_keeps_the_place_in_the_line
        a_finish_shown_with_another_attempt_or_worker_is_lost
        a_claim_is_spent_when_its_job_is_pending_again
        a_finish_of_a_job_that_was_ended_or_deleted_by_hand_is_lost
        the_claim_of_an_earlier_attempt_is_lost
        a_lost_finish_spoils_no_other_in_its_request
        a_job_that_ended_under_exactly_this_claim_is_not_lost
        a_long_error_keeps_its_beginning_and_its_end
        nul_in_errors_and_reasons_is_replaced
        a_repeated_finish_is_not_lost_whatever_became_of_the_job
    }
    promote {
        a_scheduled_job_becomes_due_by_itself
        a_job_that_became_due_is_claimed_after_higher_priorities_and_before_lower
    }
    release {
        a_worker_that_is_alive_is_never_proven_dead
        the_jobs_of_a_dead_worker_are_due_again_with_a_crash_counted
        a_release_of_a_dead_worker_succeeds_once_and_removes_the_worker
        an_end_by_the_last_crash_is_lost_to_the_attempt_that_crashed
        a_silent_worker_with_a_newer_heartbeat_is_left_alone
        a_stale_claim_cannot_finish_a_released_job
        a_worker_released_as_dead_claims_nothing_and_its_waiting_claim_is_refused
        a_worker_that_stops_releases_all_and_no_failure_is_counted
        a_release_by_the_worker_answers_its_waiting_claim_with_nothing
    }
    poison {
        after_one_death_all_jobs_run_again_together_and_in_their_places
        after_a_second_death_a_worker_holds_half_of_those_that_were_held_at_both
        each_further_death_halves_the_group_for_those_that_were_held
        a_job_that_does_not_fit_the_group_is_not_passed_by_others
        suspected_jobs_are_claimed_in_the_order_of_all_jobs
        a_suspected_job_behind_the_limit_is_not_claimed
        suspected_jobs_are_claimed_over_all_tasks_and_queues_wanted_and_no_others
        a_job_that_fails_by_its_crashes_clears_those_that_crashed_with_it
        a_job_that_was_retried_by_hand_clears_only_what_crashed_with_it_since
        the_search_for_poison_jobs_takes_about_log_n_deaths_and_fails_no_other_job
        a_job_is_failed_with_its_third_crash_and_says_so
        a_retry_by_hand_ends_the_suspicion
        a_suspected_job_stays_suspected_through_a_retry_or_a_release
        a_waiting_claim_is_answered_when_its_worker_may_hold_the_next_suspected_job
        a_waiting_claim_is_answered_when_another_dispatcher_of_its_worker_completes_a_suspected_job
        a_waiting_claim_is_answered_when_another_worker_of_its_process_completes_a_suspected_job
        the_workers_of_a_process_hold_as_many_suspected_jobs_together_as_one_may
        suspected_jobs_that_are_released_wake_each_worker_that_may_hold_one
        a_suspected_job_that_leaves_the_line_keeps_no_waiting_claim_back
        a_job_does_not_fail_for_one_of_another_worker_of_its_process
        jobs_of_all_workers_of_a_dead_process_can_be_its_cause
        a_death_before_the_job_began_is_not_one_of_its_process
        the_death_by_which_a_job_fails_counts_for_no_job_of_its_process
        a_job_that_failed_elsewhere_explains_no_later_death_of_its_process
        a_job_explains_no_death_of_its_process_at_another_time
    }
    command {
        a_failed_or_cancelled_job_is_retried_by_hand_with_a_fresh_budget
        a_job_that_waits_for_its_time_is_due_now_when_retried_by_hand
        a_job_that_is_due_running_or_completed_is_not_retried
        a_pending_job_is_cancelled_by_hand_and_not_claimed
        a_job_that_runs_or_has_ended_is_not_cancelled_by_hand
        a_deleted_job_is_gone_with_its_history
        a_command_for_a_missing_job_is_refused
        each_command_succeeds_or_fails_alone_and_in_order
    }
    wait {
        a_wait_for_an_end_is_answered_with_the_job_as_it_ended
        a_wait_is_answered_with_the_end_though_a_person_changes_the_job_at_once
        a_retry_and_a_release_are_no_end
        a_wait_for_a_missing_job_is_refused_now_or_later
    }
    read {
        what_was_answered_is_seen_by_the_next_read
        a_job_that_is_not_there_has_no_row_and_no_history
        a_history_is_oldest_first_and_without_the_running_attempt
        a_list_is_newest_first_and_filters_by_all_conditions
        scheduled_and_retrying_jobs_can_be_told_apart
        pages_by_key_neither_repeat_nor_skip
        a_page_that_ends_with_the_last_job_is_the_last
        a_page_holds_a_hundred_jobs_unless_told_and_never_more_than_a_thousand
        counts_show_every_status
        workers_are_listed_oldest_first_with_what_they_hold
    }
    close {
        a_notify_changes_nothing
        no_statement_stores_what_an_insert_would_refuse
        published_options_of_a_task_change_no_job_inserted_here
        a_store_has_a_name
        what_was_asked_before_the_close_is_answered
        a_closed_store_refuses_every_request
    }
    lost_answers {
        of_an_insert_with_a_key_the_repetition_gets_the_same_ids
        of_an_insert_without_a_key_the_repetition_stores_again
        of_a_registration_the_repetition_changes_nothing
        of_published_options_the_repetition_changes_nothing
        of_a_claim_the_jobs_stay_with_the_worker_until_it_is_released
        of_a_cancel_of_waiting_claims_the_repetition_is_answered
        of_a_heartbeat_the_repetition_counts_again
        of_a_finish_the_repetition_changes_nothing_and_is_not_lost
        of_a_release_before_the_start_the_repetition_is_lost_and_changes_nothing
        of_a_release_of_a_worker_the_repetition_releases_nothing
        of_a_command_the_repetition_is_refused_and_changes_nothing
        of_a_wait_the_repetition_gets_the_same_end
    }
}

/// The promises that hold by the clock of the system too: those that neither move the clock nor compare
/// instants with it.
const BY_THE_SYSTEM_CLOCK: &[&str] = &[
    "params_of_any_size_come_back_as_they_were_given",
    "ids_come_in_the_order_of_the_jobs_and_are_never_used_twice",
    "nothing_to_insert_is_no_error",
    "one_bad_job_refuses_its_whole_insert",
    "one_bad_job_refuses_its_own_insert_and_no_other",
    "a_dropped_answer_cancels_nothing",
    "params_are_the_same_as_json_and_not_as_text",
    "large_params_are_compared_as_small_ones_are",
    "a_key_held_by_another_job_refuses_its_own_insert_and_no_other",
    "a_key_is_shared_within_one_insert_by_the_same_job_only",
    "a_key_is_free_again_when_its_job_is_deleted",
    "callers_that_enqueue_one_key_at_once_get_one_job",
    "a_name_or_a_key_with_nul_is_refused",
    "a_worker_that_is_not_registered_claims_nothing",
    "a_job_without_a_name_of_its_own_is_claimed_without_one",
    "one_order_holds_over_all_queues_and_tasks_wanted",
    "a_limit_cuts_the_line_behind_the_first_of_all_queues_and_tasks",
    "a_claim_takes_only_wanted_tasks_from_wanted_queues",
    "a_claim_takes_no_more_than_its_limit",
    "two_workers_never_hold_one_job",
    "a_claim_that_may_wait_is_answered_at_once_if_there_is_something",
    "a_waiting_claim_is_answered_when_a_job_is_stored",
    "a_waiting_claim_is_answered_when_a_job_is_retried_by_hand",
    "a_waiting_claim_is_answered_when_a_job_is_released",
    "a_waiting_claim_is_answered_when_another_worker_is_released",
    "a_waiting_claim_waits_on_when_it_cannot_take_what_is_stored",
    "a_waiting_claim_takes_no_more_than_its_limit",
    "of_two_waiting_claims_one_gets_the_job",
    "one_claim_waits_for_a_worker_and_its_set_of_tasks",
    "a_cancel_ends_the_waiting_claims_of_one_worker_with_nothing",
    "a_claim_with_finished_jobs_never_waits",
    "a_claim_finishes_first_and_may_claim_what_it_freed",
    "the_heartbeat_of_a_worker_released_as_dead_answers_that_it_is_not_registered",
    "the_latest_progress_of_a_running_job_is_shown",
    "progress_under_a_lost_claim_is_not_shown",
    "progress_begins_anew_with_each_claim",
    "nul_in_a_progress_message_is_replaced",
    "of_many_values_the_latest_is_stored",
    "a_completion_brings_reported_progress_to_its_end",
    "a_success_clears_the_error_and_history_keeps_it",
    "a_wait_past_the_end_of_the_calendar_ends_there",
    "a_finish_shown_with_another_attempt_or_worker_is_lost",
    "a_claim_is_spent_when_its_job_is_pending_again",
    "a_finish_of_a_job_that_was_ended_or_deleted_by_hand_is_lost",
    "the_claim_of_an_earlier_attempt_is_lost",
    "a_lost_finish_spoils_no_other_in_its_request",
    "a_job_that_ended_under_exactly_this_claim_is_not_lost",
    "a_long_error_keeps_its_beginning_and_its_end",
    "nul_in_errors_and_reasons_is_replaced",
    "a_repeated_finish_is_not_lost_whatever_became_of_the_job",
    "a_release_of_a_dead_worker_succeeds_once_and_removes_the_worker",
    "an_end_by_the_last_crash_is_lost_to_the_attempt_that_crashed",
    "a_silent_worker_with_a_newer_heartbeat_is_left_alone",
    "a_stale_claim_cannot_finish_a_released_job",
    "a_worker_released_as_dead_claims_nothing_and_its_waiting_claim_is_refused",
    "a_release_by_the_worker_answers_its_waiting_claim_with_nothing",
    "suspected_jobs_are_claimed_in_the_order_of_all_jobs",
    "a_suspected_job_behind_the_limit_is_not_claimed",
    "suspected_jobs_are_claimed_over_all_tasks_and_queues_wanted_and_no_others",
    "a_waiting_claim_is_answered_when_its_worker_may_hold_the_next_suspected_job",
    "a_waiting_claim_is_answered_when_another_dispatcher_of_its_worker_completes_a_suspected_job",
    "suspected_jobs_that_are_released_wake_each_worker_that_may_hold_one",
    "a_job_that_is_due_running_or_completed_is_not_retried",
    "a_job_that_runs_or_has_ended_is_not_cancelled_by_hand",
    "a_command_for_a_missing_job_is_refused",
    "each_command_succeeds_or_fails_alone_and_in_order",
    "a_wait_is_answered_with_the_end_though_a_person_changes_the_job_at_once",
    "a_retry_and_a_release_are_no_end",
    "a_wait_for_a_missing_job_is_refused_now_or_later",
    "what_was_answered_is_seen_by_the_next_read",
    "a_job_that_is_not_there_has_no_row_and_no_history",
    "a_history_is_oldest_first_and_without_the_running_attempt",
    "a_list_is_newest_first_and_filters_by_all_conditions",
    "pages_by_key_neither_repeat_nor_skip",
    "a_page_that_ends_with_the_last_job_is_the_last",
    "a_page_holds_a_hundred_jobs_unless_told_and_never_more_than_a_thousand",
    "counts_show_every_status",
    "a_notify_changes_nothing",
    "no_statement_stores_what_an_insert_would_refuse",
    "published_options_of_a_task_change_no_job_inserted_here",
    "a_store_has_a_name",
    "what_was_asked_before_the_close_is_answered",
    "a_closed_store_refuses_every_request",
    "of_an_insert_with_a_key_the_repetition_gets_the_same_ids",
    "of_an_insert_without_a_key_the_repetition_stores_again",
    "of_a_registration_the_repetition_changes_nothing",
    "of_published_options_the_repetition_changes_nothing",
    "of_a_claim_the_jobs_stay_with_the_worker_until_it_is_released",
    "of_a_cancel_of_waiting_claims_the_repetition_is_answered",
    "of_a_heartbeat_the_repetition_counts_again",
    "of_a_finish_the_repetition_changes_nothing_and_is_not_lost",
    "of_a_release_before_the_start_the_repetition_is_lost_and_changes_nothing",
    "of_a_release_of_a_worker_the_repetition_releases_nothing",
    "of_a_command_the_repetition_is_refused_and_changes_nothing",
    "of_a_wait_the_repetition_gets_the_same_end",
];
