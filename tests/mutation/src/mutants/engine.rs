//! Mutants of the engine that every store shares: transactions, waiting claims, answers.

use super::{Mutant, api, contract, unit};

const REQUESTS: &str = "qdjobs/src/store/engine/requests.rs";
const TRANSACTION_STEPS: &str = "qdjobs/src/store/engine/transaction_steps.rs";
const AFTER_COMMIT: &str = "qdjobs/src/store/engine/after_commit.rs";
const WAITERS: &str = "qdjobs/src/store/engine/waiters.rs";
const APPLY_REQUESTS: &str = "qdjobs/src/store/engine/apply_requests.rs";
const LEAVE_RUNNING: &str = "qdjobs/src/store/engine/leave_running.rs";
const UNCONFIRMED: &str = "qdjobs/src/store/engine/unconfirmed.rs";
const PROGRESS: &str = "qdjobs/src/store/progress.rs";
const ENDS_AFTER_COMMIT: &str =
    "store::sqlite::writer::tests::the_end_of_a_job_is_answered_only_when_it_is_committed";
const PROGRESS_ONCE: &str =
    "store::sqlite::transaction::tests::of_a_transaction_that_runs_again_the_latest_progress_is_stored_once";
const GIVEN_BACK: &str = "store::sqlite::writer::tests::\
    what_a_commit_with_an_unknown_result_has_claimed_and_registered_is_given_back";

const TOGETHER: &str = "store::sqlite::writer::tests::the_jobs_of_callers_that_share_a_transaction_are_stored_together_and_refused_alone";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "refused-with-its-neighbors",
        breaks: "of callers that share a statement, only the invalid request is refused",
        file: TRANSACTION_STEPS,
        old: "Err(error) if tx.is_alive(&error) => {",
        new: "Err(error) if !tx.is_alive(&error) => {",
        killed_by: unit(TOGETHER),
    },
    Mutant {
        name: "callers-stored-one-by-one",
        breaks: "callers that share a commit share a statement",
        file: TRANSACTION_STEPS,
        old: "alike.clone().count() < TOGETHER_MIN",
        new: "alike.clone().count() < usize::MAX",
        killed_by: unit(TOGETHER),
    },
    Mutant {
        name: "stored-twice-beside-a-refused-one",
        breaks: "each job of callers that share a statement is stored once",
        file: TRANSACTION_STEPS,
        old: "alone(tx, true, effects, |tx, effects| tx.insert_together",
        new: "alone(tx, false, effects, |tx, effects| tx.insert_together",
        killed_by: unit(TOGETHER),
    },
    Mutant {
        name: "answer-before-commit",
        breaks: "a request is answered after its effect is durable, never before",
        file: REQUESTS,
        old: "        self.answer = Some(answer);",
        new: "        let reply = std::mem::replace(&mut self.reply, crate::store::Pending::new().0);
        reply.send(answer);
        self.answer = Some(Err(Error::new(ErrorKind::Closed, \"answered before\")));",
        killed_by: unit(ENDS_AFTER_COMMIT),
    },
    Mutant {
        name: "failed-commit-confirmed",
        breaks: "a request whose commit fails gets the error",
        file: REQUESTS,
        old: "            Some(error) => self.fail(error),",
        new: "            Some(_) => self.send(),",
        killed_by: unit(ENDS_AFTER_COMMIT),
    },
    Mutant {
        name: "end-answered-before-commit",
        breaks: "a caller that waits for an end is answered after the end is durable",
        file: WAITERS,
        old: "            call.decide(answer());
            if self",
        new: "            let early = Box::new(Call::new(id, crate::store::Pending::new().0));
            let mut early = std::mem::replace(call, early);
            early.decide(answer());
            early.send();
            if self",
        killed_by: unit(ENDS_AFTER_COMMIT),
    },
    Mutant {
        name: "waiting-claim-answered-before-commit",
        breaks: "a waiting claim is answered after its claim is durable",
        file: WAITERS,
        old: "call.decide(Ok(ClaimResponse { claimed, ..ClaimResponse::default() }));",
        new: "let early = Call::new(call.args.clone(), crate::store::Pending::new().0);
                    let mut early = std::mem::replace(call, early);
                    early.decide(Ok(ClaimResponse { claimed, ..ClaimResponse::default() }));
                    early.send();
                    call.decide(Ok(ClaimResponse::default()));",
        killed_by: unit(
            "store::sqlite::writer::tests::a_waiting_claim_whose_claim_is_not_committed_gets_the_error_and_no_job",
        ),
    },
    Mutant {
        name: "wait-ended-by-a-failed-commit",
        breaks: "if the commit of an end fails, the callers of that end continue to wait",
        file: AFTER_COMMIT,
        old: "Request::WaitFor(_) if at < batch.applied =>",
        new: "Request::WaitFor(_) if at < batch.applied && error.is_fatal() =>",
        killed_by: unit(ENDS_AFTER_COMMIT),
    },
    Mutant {
        name: "no-savepoint",
        breaks: "one bad request fails alone and as a whole",
        file: "qdjobs/src/store/sqlite/transaction.rs",
        old: "        if !several {
            return verb(self);",
        new: "        if !several || several {
            return verb(self);",
        killed_by: api("faults::jobs_stored_together_are_all_refused_when_the_database_refuses_one"),
    },
    Mutant {
        name: "effects-of-a-failed-request-kept",
        breaks: "a release that fails alone ends no waiting claim and frees no worker lock",
        file: "qdjobs/src/store/engine/transaction.rs",
        old: "        self.gone.truncate(mark.gone);
",
        new: "",
        killed_by: unit(
            "store::sqlite::writer::tests::a_release_of_a_dead_worker_that_cannot_read_all_it_needs_is_refused",
        ),
    },
    Mutant {
        name: "waiting-claim-of-an-earlier-run-kept",
        breaks: "a transaction that runs again forgets which waiting claims it has served",
        file: TRANSACTION_STEPS,
        old: "    waiters.reset();
    while",
        new: "    while",
        killed_by: unit(
            "store::sqlite::transaction::tests::a_transaction_that_runs_again_answers_once_and_as_its_last_run_decided",
        ),
    },
    Mutant {
        name: "answer-of-an-earlier-run-kept",
        breaks: "a transaction that runs again forgets what it has answered",
        file: TRANSACTION_STEPS,
        old: "    requests.iter_mut().for_each(Request::reset);
",
        new: "",
        killed_by: unit(
            "store::sqlite::transaction::tests::a_claim_that_finds_its_job_only_in_a_run_that_is_rolled_back_waits",
        ),
    },
    Mutant {
        name: "progress-lost-in-a-second-run",
        breaks: "a transaction that runs again writes the progress again",
        file: PROGRESS,
        old: "self.lock().progress.clone()",
        new: "self.lock().progress.take()",
        killed_by: unit(PROGRESS_ONCE),
    },
    Mutant {
        name: "progress-written-twice",
        breaks: "progress that is stored is not written again",
        file: PROGRESS,
        old: "if latest.progress.as_ref() == Some(stored) {",
        new: "if latest.progress.as_ref() == Some(stored) && !latest.submitted {",
        killed_by: unit(PROGRESS_ONCE),
    },
    Mutant {
        name: "newer-progress-lost",
        breaks: "progress that arrives during a commit is written by the next one",
        file: PROGRESS,
        old: "if latest.progress.as_ref() == Some(stored) {",
        new: "if latest.progress.as_ref() == Some(stored) || latest.submitted {",
        killed_by: unit(PROGRESS_ONCE),
    },
    Mutant {
        name: "wake-up-lost",
        breaks: "a queued request wakes the writer thread",
        file: REQUESTS,
        old: "if std::mem::take(&mut state.asleep) {
            drop(state);",
        new: "if state.closed && std::mem::take(&mut state.asleep) {
            drop(state);",
        killed_by: unit(
            "store::engine::requests::tests::a_queued_request_wakes_the_thread_that_sleeps_without_a_limit",
        ),
    },
    Mutant {
        name: "waiting-claim-not-served",
        breaks: "a waiting claim is answered when a job is stored",
        file: TRANSACTION_STEPS,
        old: "let may_have_more = batch.effects.ready > 0
        || batch.look",
        new: "let may_have_more = batch.look",
        killed_by: contract(
            "sqlite::in_a_file::waiting_claims::a_waiting_claim_is_answered_when_a_job_is_stored",
        ),
    },
    Mutant {
        name: "earlier-due-instant-ignored",
        breaks: "an earlier due job wakes a waiting claim on time",
        file: AFTER_COMMIT,
        old: "            Some(read) => read,",
        new: "            Some(read) => self.next_due.or(read),",
        killed_by: contract("sqlite::one_store_by_the_system_clock"),
    },
    Mutant {
        name: "earlier-due-instant-leaves-the-timer-asleep",
        breaks: "an earlier due job wakes the timer of the memory store",
        file: "qdjobs/src/store/memory/mod.rs",
        old: "if waiters.wakes_at() != wakes_at {",
        new: "if waiters.wakes_at() != wakes_at && wakes_at.is_none() {",
        killed_by: contract("the_memory_store_by_the_system_clock"),
    },
    Mutant {
        name: "unregistered-worker-claims",
        breaks: "an unregistered worker claims nothing",
        file: TRANSACTION_STEPS,
        old: "if !tx.is_registered(request.worker)? {",
        new: "if !tx.is_registered(request.worker)? && request.worker.0 == 0 {",
        killed_by: contract("sqlite::in_a_file::register::a_worker_that_is_not_registered_claims_nothing"),
    },
    Mutant {
        name: "heartbeat-ignored",
        breaks: "a silent worker that has sent a heartbeat since the last look is not presumed dead",
        file: APPLY_REQUESTS,
        old: "&& tx.heartbeats(worker)? != Some(heartbeats)",
        new: "&& tx.heartbeats(worker)?.is_none_or(|_| heartbeats == u64::MAX)",
        killed_by: contract(
            "sqlite::in_a_file::release::a_silent_worker_with_a_newer_heartbeat_is_left_alone",
        ),
    },
    Mutant {
        name: "short-wait-not-due",
        breaks: "a wait below one microsecond is none",
        file: LEAVE_RUNNING,
        old: "Next::Pending { scheduled_at: Some(at), is_due: at <= now }",
        new: "Next::Pending { scheduled_at: Some(at), is_due: at <= now && wait.is_zero() }",
        killed_by: contract("sqlite::in_a_file::finish::a_wait_shorter_than_an_instant_can_tell_is_none"),
    },
    Mutant {
        name: "unconfirmed-claim-kept",
        breaks: "a claim of an unconfirmed commit is given back",
        file: UNCONFIRMED,
        old: "for &(claim, ticket) in &self.claims {",
        new: "for &(claim, ticket) in &self.claims[..0] {",
        killed_by: unit(
            "store::sqlite::writer::tests::a_claim_of_an_unconfirmed_commit_is_given_back_and_goes_to_a_waiting_claim",
        ),
    },
    Mutant {
        name: "unconfirmed-claim-not-noted",
        breaks: "after a commit with an unknown result, its claims are given back",
        file: UNCONFIRMED,
        old: "responses.flat_map(|it| &it.claimed)",
        new: "responses.take(0).flat_map(|it| &it.claimed)",
        killed_by: unit(GIVEN_BACK),
    },
    Mutant {
        name: "unconfirmed-worker-kept",
        breaks: "a worker whose registration is unconfirmed does not stay registered",
        file: UNCONFIRMED,
        old: "        self.workers.extend(registered);",
        new: "        let _ = registered;",
        killed_by: unit(GIVEN_BACK),
    },
];
