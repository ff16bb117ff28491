//! Checks before the first job: the tasks that a worker serves, the shared values they take, its options.

use qdjobs::prelude::*;
use qdjobs::{ErrorKind, JobQueue};

use crate::support::{OwnedEvent, Soon, Workspace, start_with_events};

struct Database(&'static str);

#[derive(Debug)]
struct Mailer;

#[task("setup.use_state")]
fn use_state(#[state] database: &Database, #[state] mailer: &Mailer) -> String {
    format!("{} {mailer:?}", database.0)
}

#[task("setup.use_mailer", aliases("setup.mail"))]
async fn use_mailer(#[state] mailer: &Mailer) -> String {
    format!("{mailer:?}")
}

#[task("setup.stateless")]
fn stateless() {}

/// The error of a worker that refuses to start.
fn refused(set: impl FnOnce(Worker) -> Worker) -> String {
    let error = set(Worker::new(&JobQueue::in_memory())).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.suggestion().is_some(), "{error}");
    error.to_string()
}

#[test]
fn a_task_takes_the_state_of_its_type() {
    let (_room, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).task::<UseState>().task::<UseMailer>();
    let _worker = worker.state(Database("main")).state(Mailer).start().unwrap();
    assert_eq!(UseState.enqueue(&queue).unwrap().soon().unwrap(), "main Mailer");
    assert_eq!(UseMailer.enqueue(&queue).unwrap().soon().unwrap(), "Mailer");
}

#[test]
fn every_missing_state_is_reported_at_once_with_the_location_of_its_task() {
    let error = refused(|it| it.task::<UseState>().task::<UseMailer>().task::<Stateless>());
    for (task, param, ty) in [
        (UseState::DEF, "database", "Database"),
        (UseState::DEF, "mailer", "Mailer"),
        (UseMailer::DEF, "mailer", "Mailer"),
    ] {
        let place = format!("{}:{}", task.file, task.line);
        assert!(place.contains("setup.rs:"), "{place}");
        let words = format!("`{}`: `#[state] {param}` takes a `{ty}`, {place}", task.name);
        assert!(error.contains(&words), "{words} is not in {error}");
    }
    assert!(
        error.contains("Worker::new(&queue).state(value)") && !error.contains("setup.stateless"),
        "{error}"
    );
    // A value that was given is not missing.
    assert!(!refused(|it| it.task::<UseState>().state(Mailer)).contains("mailer"));
}

#[test]
fn two_states_of_one_type_are_refused() {
    let error = refused(|it| it.task::<UseMailer>().state(Mailer).state(Mailer));
    assert!(error.contains("two states of the type") && error.contains("Mailer"), "{error}");
}

#[test]
fn options_that_would_never_run_a_job_are_refused() {
    assert!(refused(|it| it.task::<Stateless>().concurrency(0)).contains("`concurrency` of the worker is 0"));
    assert!(
        refused(|it| it.task::<Stateless>().async_concurrency(0))
            .contains("`async_concurrency` of the worker is 0")
    );
    let many = refused(|it| it.task::<Stateless>().concurrency(1_000_000));
    assert!(many.contains("`concurrency` of 1000000") && many.contains("async_concurrency"), "{many}");
    assert!(refused(|it| it.task::<Stateless>().lease(std::time::Duration::ZERO)).contains("lease"));
    let worker = Worker::new(&JobQueue::in_memory()).task::<Stateless>().queues(["no spaces"]);
    assert_eq!(worker.start().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_runtime_that_no_thread_drives_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = refused(|it| it.task::<UseMailer>().state(Mailer).runtime(runtime.handle().clone()));
    assert!(error.contains("is a current-thread runtime") && error.contains("multi-thread"), "{error}");
}

#[test]
fn a_worker_without_a_task_or_a_queue_does_not_start() {
    assert!(
        refused(|it| it.task_names::<String>([])).contains("none of the tasks of this program was chosen")
    );
    assert!(refused(|it| it.task::<Stateless>().queues::<String>([])).contains("no queue"));
}

#[test]
fn an_unknown_task_name_is_an_error_with_the_most_similar_name() {
    let worker = Worker::new(&JobQueue::in_memory()).task_names(["setup.stateles"]);
    let error = worker.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownTask);
    assert!(error.to_string().contains("did you mean `setup.stateless`?"), "{error}");
}

#[test]
fn a_worker_reports_its_tasks_and_an_alias_selects_the_task() {
    let (_room, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).task::<Stateless>().task_names(["setup.mail"]).state(Mailer);
    let (_worker, events) = start_with_events(worker);
    events.expect(OwnedEvent::WorkerStarted(vec!["setup.stateless".into(), "setup.use_mailer".into()]));
}

#[test]
fn a_job_stored_under_an_alias_is_run_by_the_task() {
    let (workspace, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<UseMailer>().state(Mailer).start().unwrap();
    let conn = workspace.connection();
    conn.execute("INSERT INTO qdjobs_jobs (task_name) VALUES ('setup.mail')", []).unwrap();
    let id = qdjobs::JobId(conn.last_insert_rowid());
    assert_eq!(queue.handle::<String>(id).soon().unwrap(), "Mailer");
}
