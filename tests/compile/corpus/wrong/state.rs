//! Shared state and the context of the job.

//# optional_borrow
struct Db;
#[task("send")]
fn send_it(#[state] db: Option<&Db>) {
//                             ^ `&Db`
    let _ = db;
}

//# optional_borrow_in_an_async_task
struct Db;
#[task("send")]
async fn send_it(#[state] db: Option<&Db>) {
//                                   ^ `&Db`
    let _ = db;
}

//# list_of_borrows
struct Db;
#[task("send")]
fn send_it(#[state] db: Vec<&Db>) {
//                          ^ reference
    let _ = db;
}

//# borrow_of_a_borrow
struct Db;
#[task("send")]
fn send_it(#[state] db: &&Db) {
//                       ^ `&Db`
    let _ = db;
}

//# lifetime_inside
struct Db<'a>(&'a str);
#[task("send")]
fn send_it(#[state] db: &Db<'_>) {
//                          ^^ lifetime
    let _ = db.0;
}

//# named_lifetime
struct Db;
#[task("send")]
fn send_it<'a>(#[state] db: Option<&'a Db>) {
//                                 ^ `&Db`
    let _ = db;
}

//# mutable
struct Db;
#[task("send")]
fn send_it(#[state] db: &mut Db) {
//                      ^^^^^^^ Mutex
    let _ = db;
}

//# optional_mutable
struct Db;
#[task("send")]
fn send_it(#[state] db: Option<&mut Db>) {
//                             ^ reference
    let _ = db;
}

//# text
#[task("send")]
fn send_it(#[state] db: &str) {
//                       ^^^ `&String`
    let _ = db;
}

//# text_by_value
#[task("send")]
fn send_it(#[state] db: str) {
//                      ^^^ `&String`
    let _ = db;
}

//# slice
#[task("send")]
fn send_it(#[state] db: &[u8]) {
//                       ^^^^ `&Vec<u8>`
    let _ = db;
}

//# path
#[task("send")]
fn send_it(#[state] db: &std::path::Path) {
//                       ^^^ `&std::path::PathBuf`
    let _ = db;
}

//# dyn_type
#[task("send")]
fn send_it(#[state] db: &dyn std::fmt::Debug) {
//                      ^ Arc<dyn ..>
    let _ = db;
}

//# dyn_by_value
#[task("send")]
fn send_it(#[state] db: dyn std::fmt::Debug) {
//                      ^^^ Arc<dyn ..>
    let _ = db;
}

//# dyn_that_is_not_send
use std::sync::Arc;
#[task("send")]
fn send_it(#[state] db: Arc<dyn std::fmt::Debug>) {
//                      ^^^ cannot be task state | Send + Sync
    let _ = db;
}

//# impl_trait
#[task("send")]
fn send_it(#[state] db: &impl std::fmt::Debug) {
//                       ^^^^ concrete type
    let _ = db;
}

//# inferred
#[task("send")]
fn send_it(#[state] db: &_) {
//                       ^ placeholder
    let _: &u8 = db;
}

//# not_sync
use std::cell::RefCell;
#[task("send")]
fn send_it(#[state] db: &RefCell<u8>) {
//                       ^^^^^^^^^^^ cannot be task state | Mutex
    let _ = db;
}

//# not_send
use std::rc::Rc;
#[task("send")]
fn send_it(#[state] db: Rc<u8>) {
//                      ^^ cannot be task state | Arc
    let _ = db;
}

//# connection
use qdjobs::rusqlite::Connection;
#[task("send")]
fn send_it(#[state] db: &Connection) {
//                       ^^^^^^^^^^ cannot be task state | Mutex
    let _ = db;
}

//# not_clone
struct Db;
#[task("send")]
fn send_it(#[state] db: Db) {
//                      ^^ Clone | &Db
    let _ = db;
}

//# mutex_by_value
use std::sync::Mutex;
#[task("send")]
fn send_it(#[state] db: Mutex<u8>) {
//                      ^^^^^ Clone
    let _ = db;
}

//# twice
struct Db;
#[task("send")]
fn send_it(#[state] #[state] db: &Db) {
//                  ^^^^^^^^ more than once
    let _ = db;
}

//# with_an_argument
struct Db;
#[task("send")]
fn send_it(#[state(Db)] db: &Db) {
//         ^^^^^^^^^^^^ write `#[state]`
    let _ = db;
}

//# with_a_sign
struct Db;
#[task("send")]
fn send_it(#[state = "db"] db: &Db) {
//         ^^^^^^^^^^^^^^^ write `#[state]`
    let _ = db;
}

//# with_a_default
struct Db;
#[task("send")]
fn send_it(#[state] #[default] db: &Db) {
//                  ^^^^^^^^^^ not stored
    let _ = db;
}

//# with_an_alias
struct Db;
#[task("send")]
fn send_it(#[state] #[alias("x")] db: &Db) {
//                          ^^^ not stored
    let _ = db;
}

//# unknown_type
#[task("send")]
fn send_it(#[state] db: &Db) {
//                       ^^ cannot find type
    let _ = db;
}

//# axum_style
struct State<T>(T);
struct Db;
#[task("send")]
fn send_it(State(db): State<&Db>) {
//         ^^^^^^^^^ plain name
    let _ = db;
}

//# context_by_value
#[task("send")]
fn send_it(ctx: JobContext) {
//              ^^^^^^^^^^ `&JobContext`
    let _ = ctx;
}

//# context_mutable
#[task("send")]
fn send_it(ctx: &mut JobContext) {
//              ^^^^^^^^^^^^^^^ `&JobContext`
    let _ = ctx;
}

//# context_optional
#[task("send")]
fn send_it(ctx: Option<&JobContext>) {
//              ^^^^^^^^^^^^^^^^^^^ `&JobContext`
    let _ = ctx;
}

//# context_in_an_arc
use std::sync::Arc;
#[task("send")]
fn send_it(ctx: Arc<JobContext>) {
//              ^^^^^^^^^^^^^^^ `&JobContext`
    let _ = ctx;
}

//# context_as_state
#[task("send")]
fn send_it(#[state] ctx: &JobContext) {
//         ^^^^^^^^ remove `#[state]`
    let _ = ctx;
}

//# context_and_state
type Context = JobContext;
#[task("send")]
fn send_it(#[ctx] #[state] ctx: &Context) {
//         ^^^^^^ remove
    let _ = ctx;
}

//# context_with_a_default
#[task("send")]
fn send_it(#[default] ctx: &JobContext) {
//         ^^^^^^^^^^ not stored
    let _ = ctx;
}

//# context_mark_on_another_type
#[task("send")]
fn send_it(#[ctx] ctx: &String) {
//                     ^^^^^^^ JobContext
    let _ = ctx;
}

//# context_mark_twice
#[task("send")]
fn send_it(#[ctx] #[ctx] ctx: &JobContext) {
//                ^^^^^^ more than once
    let _ = ctx;
}

//# context_of_another_name
use qdjobs::JobContext as Context;
#[task("send")]
fn send_it(ctx: &Context) {
//               ^^^^^^^ #[ctx]
    let _ = ctx;
}

//# context_static
#[task("send")]
fn send_it(ctx: &'static JobContext) {
//               ^^^^^^^ `&JobContext`
    let _ = ctx;
}

//# state_static
struct Db;
#[task("send")]
fn send_it(#[state] db: &'static Db) {
//                       ^^^^^^^ remove `'static`
    let _ = db;
}

//# unknown_type_in_an_arc
use std::sync::Arc;
#[task("send")]
fn send_it(#[state] db: Arc<Databse>) {
//                          ^^^^^^^ cannot find type
    let _ = db;
}
