//! What a worker reports of its jobs and of its stop.

use qdjobs::prelude::*;

use crate::support::{Gate, OwnedEvent, Workspace, start_with_events};

#[task("events.wait", queue = "slow")]
fn wait(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass_blocking(ctx);
}

#[task("events.wait_async")]
async fn wait_async(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass(ctx).await;
}

#[test]
fn the_start_of_an_attempt_is_reported_with_its_queue() {
    let (_room, queue) = Workspace::with_queue();
    let (gate, _arrivals) = Gate::new();
    gate.open();
    let worker = Worker::new(&queue).task::<Wait>().task::<WaitAsync>().state(gate);
    let (_worker, events) = start_with_events(worker);
    let slow = Wait::new().enqueue(&queue).unwrap().id();
    events.expect(OwnedEvent::Started { id: slow, queue: "slow".into(), attempt: 1 });
    events.expect(OwnedEvent::Completed(slow));
    let other = WaitAsync::new().queue("other").enqueue(&queue).unwrap().id();
    events.expect(OwnedEvent::Started { id: other, queue: "other".into(), attempt: 1 });
    events.expect(OwnedEvent::Completed(other));
}

#[test]
fn a_stop_that_waits_says_for_which_jobs_and_nothing_more_when_they_have_ended() {
    let (_room, queue) = Workspace::with_queue();
    let (gate, arrivals) = Gate::new();
    let worker = Worker::new(&queue).task::<Wait>().task::<WaitAsync>().state(gate.clone());
    let (worker, events) = start_with_events(worker);
    let ids = [Wait::new().enqueue(&queue).unwrap().id(), WaitAsync::new().enqueue(&queue).unwrap().id()];
    arrivals.take(2);
    let stop = std::thread::spawn(move || worker.stop());
    events.expect(OwnedEvent::WorkerStopping);
    let both = vec![(ids[0], "events.wait".to_owned()), (ids[1], "events.wait_async".to_owned())];
    for _ in 0..2 {
        events.expect(OwnedEvent::StopWaits(both.clone()));
    }
    gate.open();
    stop.join().unwrap().unwrap();
    let is_end = |event: &OwnedEvent| matches!(event, OwnedEvent::WorkerStopped { .. });
    assert_eq!(events.until(is_end), OwnedEvent::WorkerStopped { released: 0 });
}
