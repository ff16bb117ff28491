//! Mutants of the worker.

use super::{Mutant, api, process};

// Some mutants are listed twice: one test with a manual clock kills them, and one with real processes.
const DISPATCHER_CLAIMS: &str = "qdjobs/src/worker/dispatcher/claims.rs";
const WORKER_EXECUTION: &str = "qdjobs/src/worker/execution.rs";
const WORKER_SHARED: &str = "qdjobs/src/worker/shared.rs";
const WORKER_SIGNALS: &str = "qdjobs/src/worker/signals/unix.rs";
const WORKER_START: &str = "qdjobs/src/worker/start.rs";
const WORKER_STOP: &str = "qdjobs/src/worker/stop.rs";
const HEARTBEATS: &str = "qdjobs/src/worker/supervisor/heartbeat.rs";
const RESCUER: &str = "qdjobs/src/worker/supervisor/rescuer.rs";
const HEARTBEAT: &str = "        if now >= self.next {
            self.send(worker, now);";
const HEARTBEAT_AFTER_THE_TASKS: &str = "        if now >= self.next {
            let until = worker.shared.elapsed() + Duration::from_secs(600);
            worker.dispatchers.iter().for_each(|dispatcher| dispatcher.wait_idle(until, false));
            self.send(worker, now);";
const DRAIN: &str = "        // 1. Stop claiming.";
const DRAIN_WITHOUT_HEARTBEATS: &str = "        supervisor.stop();
        struct Stopped;
        impl Stopped {
            fn stop(self) {}
        }
        let supervisor = Stopped;
        // 1. Stop claiming.";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "time-by-the-wall-clock",
        breaks: "leases and timeouts ignore the wall clock",
        file: WORKER_SHARED,
        old: "self.queue.clock().monotonic()",
        new: "self.queue.clock().now().duration_since(crate::Timestamp::UNIX_EPOCH).unsigned_abs()",
        killed_by: process(
            "clocks::jumps_of_the_wall_clock_affect_no_lease_and_no_timeout_of_running_jobs",
        ),
    },
    Mutant {
        name: "rescue-by-the-wall-clock",
        breaks: "a stopped worker is presumed dead after its lease, whatever the wall clock does",
        file: RESCUER,
        old: "(state.id, state.heartbeats)), asked_at)",
        new: "(state.id, state.heartbeats)),
                worker.shared.queue.clock().now().duration_since(crate::Timestamp::UNIX_EPOCH).unsigned_abs())",
        killed_by: process(
            "clocks::a_stopped_worker_is_presumed_dead_after_its_lease_though_the_wall_clock_goes_back",
        ),
    },
    Mutant {
        name: "worker-number-not-random",
        breaks: "each start of a worker has its own number",
        file: WORKER_START,
        old: "let rng = Rng::new();",
        new: "let rng = Rng::seeded(u64::from(std::process::id()));",
        killed_by: api("worker::each_start_of_a_worker_has_a_number_of_its_own"),
    },
    Mutant {
        name: "worker-number-reused",
        breaks: "a worker whose lease expired registers under a new number",
        file: WORKER_SHARED,
        old: "self.worker_id().renewed(self.rng.number())",
        new: "self.worker_id()",
        killed_by: api(
            "worker::a_worker_whose_lease_expired_continues_under_a_new_number_and_its_late_result_is_discarded",
        ),
    },
    Mutant {
        name: "heartbeat-waits-for-tasks",
        breaks: "no task can stop the heartbeats of its worker",
        file: HEARTBEATS,
        old: HEARTBEAT,
        new: HEARTBEAT_AFTER_THE_TASKS,
        killed_by: api("worker::a_worker_sends_heartbeats_while_its_tasks_run_and_until_the_last_of_them_has_ended"),
    },
    Mutant {
        name: "heartbeat-waits-for-tasks-beside-another-process",
        breaks: "no task can make the lease of its worker expire",
        file: HEARTBEATS,
        old: HEARTBEAT,
        new: HEARTBEAT_AFTER_THE_TASKS,
        killed_by: process(
            "blocked::a_worker_whose_threads_and_runtime_are_all_busy_keeps_its_jobs_for_five_leases",
        ),
    },
    Mutant {
        name: "heartbeat-stopped-before-the-drain",
        breaks: "a worker that stops sends heartbeats until its last job has ended",
        file: WORKER_STOP,
        old: DRAIN,
        new: DRAIN_WITHOUT_HEARTBEATS,
        killed_by: api("worker::a_worker_sends_heartbeats_while_its_tasks_run_and_until_the_last_of_them_has_ended"),
    },
    Mutant {
        name: "heartbeat-stopped-before-the-drain-beside-another-process",
        breaks: "a draining worker is not presumed dead",
        file: WORKER_STOP,
        old: DRAIN,
        new: DRAIN_WITHOUT_HEARTBEATS,
        killed_by: process(
            "signals::a_worker_that_runs_its_last_job_for_five_leases_after_sigterm_is_not_presumed_dead",
        ),
    },
    Mutant {
        name: "released-attempt-without-an-event",
        breaks: "each attempt that starts ends with one event",
        file: DISPATCHER_CLAIMS,
        old: "Verdict::Release { started: false, .. } => continue,",
        new: "Verdict::Release { .. } => continue,",
        killed_by: api("events::each_attempt_that_starts_ends_with_one_event_that_names_its_task_and_its_queue"),
    },
    Mutant {
        name: "signals-without-effect-after-a-run",
        breaks: "a signal ends a process in which no worker listens for it",
        file: WORKER_SIGNALS,
        old: "register_conditional_default(signal, &NOBODY_LISTENS)?;",
        new: "let _ = (register_conditional_default::<&std::sync::atomic::AtomicBool>, &NOBODY_LISTENS);",
        killed_by: process("signals::a_signal_ends_a_process_whose_next_start_fails_or_that_hangs_after_a_run"),
    },
    Mutant {
        name: "panic-ends-the-thread",
        breaks: "a task that panics costs no thread",
        file: WORKER_EXECUTION,
        old: "caught(run).unwrap_or_else(|panic| Err(panicked(&panic)))",
        new: "if std::thread::panicking() { Err(panicked(\"\")) } else { run() }",
        killed_by: api("worker::a_panic_in_every_slot_fails_each_job_with_its_message_and_costs_no_slot"),
    },
];
