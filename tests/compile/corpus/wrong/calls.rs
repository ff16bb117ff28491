//! The places where a job is made and enqueued.

//# missing_argument
#[task("send")]
fn send_it(to: &str, body: &str) {
    let _ = (to, body);
}
fn call() {
    let _ = SendIt::new("a@b");
    //      ^^^^^^^^^^^^^^^^^^ argument #2 | /* body */
}

//# no_arguments
#[task("send")]
fn send_it(to: &str) {
    let _ = to;
}
fn call() {
    let _ = SendIt::new();
    //      ^^^^^^^^^^^^^ argument #1
}

//# one_argument_too_many
#[task("send")]
fn send_it(to: &str) {
    let _ = to;
}
fn call() {
    let _ = SendIt::new("a", "b");
    //      ^^^^^^^^^^^ unexpected argument
}

//# optional_argument
#[task("send")]
fn send_it(to: &str, cc: Option<&str>) {
    let _ = (to, cc);
}
fn call() {
    let _ = SendIt::new("a", Some("b"));
    //      ^^^^^^^^^^^ unexpected argument
}

//# argument_of_another_type
#[task("send")]
fn send_it(n: u8) {
    let _ = n;
}
fn call() {
    let _ = SendIt::new("a");
    //                  ^^^ u8
}

//# text_argument_of_another_type
#[task("send")]
fn send_it(to: &str) {
    let _ = to;
}
fn call() {
    let _ = SendIt::new(5);
    //                  ^ String
}

//# slice_argument_of_another_type
#[task("send")]
fn send_it(to: &[u8]) {
    let _ = to;
}
fn call() {
    let _ = SendIt::new(5);
    //                  ^ Vec<u8>
}

//# missing_field
#[task("send")]
fn send_it(to: &str, body: &str) {
    let _ = (to, body);
}
fn call() {
    let _ = SendIt { to: "a".into() };
    //      ^^^^^^ `body`
}

//# misspelt_field
#[task("send")]
fn send_it(to: &str, body: &str) {
    let _ = (to, body);
}
fn call() {
    let _ = SendIt { to: "a".into(), bdoy: "b".into() };
    //                               ^^^^ body
}

//# field_of_another_type
#[task("send")]
fn send_it(to: &str) {
    let _ = to;
}
fn call() {
    let _ = SendIt { to: "a" };
    //                   ^^^ String
}

//# state_as_an_argument
struct Db;
#[task("send")]
fn send_it(to: &str, #[state] db: &Db) {
    let _ = (to, db);
}
fn call() {
    let _ = SendIt::new("a", &Db);
    //      ^^^^^^^^^^^ unexpected argument
}

//# no_such_option
#[task("send")]
fn send_it() {}
fn call() {
    let _ = SendIt.timeout(std::time::Duration::from_secs(1));
    //             ^^^^^^^ timeout
}

//# forgotten_enqueue
#![deny(unused_must_use)]
#[task("send")]
fn send_it(to: &str) {
    let _ = to;
}
fn call() {
    SendIt::new("a");
//  ^^^^^^^^^^^^^^^ enqueued
}

//# forgotten_enqueue_with_options
#![deny(unused_must_use)]
#[task("send")]
fn send_it() {}
fn call() {
    SendIt.priority(1);
//  ^^^^^^^^^^^^^^^^^^ enqueued
}

//# ignored_answer
#![deny(unused_must_use)]
#[task("send")]
fn send_it() {}
fn call(queue: &JobQueue) {
    SendIt.enqueue(queue);
//  ^^^^^^^^^^^^^^^^^^^^^ must be used
}

//# enqueue_on_a_path
#[task("send")]
fn send_it() {}
fn call() {
    let _ = SendIt.enqueue("jobs.db");
    //                     ^^^^^^^^^ &queue
}

//# enqueue_on_a_string
#[task("send")]
fn send_it() {}
fn call() {
    let _ = SendIt.enqueue(String::from("jobs.db"));
    //                     ^^^^^^ &queue
}

//# enqueue_by_value
#[task("send")]
fn send_it() {}
fn call(queue: JobQueue) {
    let _ = SendIt.enqueue(queue);
    //                     ^^^^^ &queue
}

//# enqueue_on_an_arc_by_value
#[task("send")]
fn send_it() {}
fn call(queue: std::sync::Arc<JobQueue>) {
    let _ = SendIt.enqueue(queue);
    //                     ^^^^^ &queue
}

//# enqueue_on_an_arc_of_another_type
#[task("send")]
fn send_it() {}
fn call(queue: std::sync::Arc<String>) {
    let _ = SendIt.enqueue(&queue);
    //                     ^^^^^^ &queue
}

//# enqueue_on_a_worker
#[task("send")]
fn send_it() {}
fn call(worker: WorkerHandle) {
    let _ = SendIt.enqueue(&worker);
    //                     ^^^^^^^ &queue
}

//# enqueue_on_nothing
#[task("send")]
fn send_it() {}
fn call() {
    let _ = SendIt.enqueue();
    //             ^^^^^^^ argument
}

//# enqueue_on_the_context
#[task("send")]
fn send_it() {}
fn call(ctx: &JobContext) {
    let _ = SendIt.enqueue(ctx);
    //                     ^^^ ctx.queue()
}

//# enqueue_on_a_mutable_queue
#[task("send")]
fn send_it() {}
fn call(queue: Option<&JobQueue>) {
    let _ = SendIt.enqueue(queue);
    //                     ^^^^^ &queue
}

//# queue_enqueues_the_job
#[task("send")]
fn send_it(to: &str) {
    let _ = to;
}
fn call(queue: &JobQueue) {
    let _ = queue.enqueue(SendIt::new("a"));
    //                    ^^^^^^ job.enqueue(&queue)
}

//# queue_enqueues_a_request
#[task("send")]
fn send_it() {}
fn call(queue: &JobQueue) {
    let _ = queue.enqueue(SendIt.priority(5));
    //                    ^^^^^^ job.enqueue(&queue)
}

//# async_queue_enqueues_the_job
#[task("send")]
fn send_it() {}
async fn call(queue: &AsyncQueue) {
    let _ = queue.enqueue(SendIt).await;
    //                    ^^^^^^ job.enqueue(&queue)
}

//# queue_enqueues_by_name
fn call(queue: &JobQueue) {
    let _ = queue.enqueue("send");
    //                    ^^^^^^ job.enqueue(&queue)
}

//# function_instead_of_the_struct
#[task("send")]
fn send_it() {}
fn call(queue: &JobQueue) {
    let _ = send_it.enqueue(queue);
    //              ^^^^^^^ enqueue
}

//# call_instead_of_the_struct
#[task("send")]
fn send_it(to: &str) {
    let _ = to;
}
fn call(queue: &JobQueue) {
    let _ = send_it("a").enqueue(queue);
    //                   ^^^^^^^ enqueue
}

//# function_to_enqueue_all
#[task("send")]
fn send_it() {}
fn call(queue: &JobQueue) {
    let _ = queue.enqueue_all([send_it]);
    //            ^^^^^^^^^^^ `Task`
}

//# one_job_to_enqueue_all
#[task("send")]
fn send_it() {}
fn call(queue: &JobQueue) {
    let _ = queue.enqueue_all(SendIt);
    //                        ^^^^^^ iterator
}

//# texts_to_enqueue_all
fn call(queue: &JobQueue) {
    let _ = queue.enqueue_all(["send"]);
    //            ^^^^^^^^^^^ Task
}

//# wait_for_another_type
#[task("send")]
fn send_it() -> u8 {
    1
}
fn call(queue: &JobQueue) -> qdjobs::Result<()> {
    let _: String = SendIt.enqueue(queue)?.wait()?;
    //              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ String
    Ok(())
}

//# function_to_register
#[task("send")]
fn send_it() {}
fn call(queue: &JobQueue) {
    let _ = Worker::new(queue).register::<send_it>();
    //                                    ^^^^^^^ send_it
}

//# another_type_to_register
fn call(queue: &JobQueue) {
    let _ = Worker::new(queue).register::<String>();
    //                                    ^^^^^^ `String` is not a task
}

//# name_of_the_task_as_the_struct
#[task("deliver")]
fn send_it() {}
fn call(queue: &JobQueue) {
    let _ = Deliver.enqueue(queue);
    //      ^^^^^^^ cannot find value
}

//# braces_missing
#[task("send")]
fn send_it(to: &str) {
    let _ = to;
}
fn call(queue: &JobQueue) {
    let _ = SendIt.enqueue(queue);
    //      ^^^^^^ SendIt
}

//# complete_on_the_queue
#[task("send")]
fn send_it(ctx: &JobContext) {
    let _ = ctx.complete_in(ctx.queue(), &());
    //                      ^^^^^^^^^^^ &tx
}

//# default_struct
#[task("send")]
fn send_it(to: &str) {
    let _ = to;
}
fn call() {
    let _ = SendIt { ..Default::default() };
    //                 ^^^^^^^ Default
}

//# enqueue_on_the_guard_of_a_lock
use qdjobs::rusqlite::Connection;
#[task("send")]
fn send_it() {}
fn call(connection: std::sync::Mutex<Connection>) {
    let _ = SendIt.enqueue(&connection.lock().unwrap());
    //                     ^ guard of a lock
}
