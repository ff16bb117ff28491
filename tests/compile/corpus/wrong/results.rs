//! The return types of tasks: results and errors.

//# result_not_serializable
struct Sent;
#[task("send")]
fn send_it() -> Result<Sent, std::io::Error> {
//              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ cannot be the result of a task | serde::Deserialize
    Ok(Sent)
}

//# plain_not_serializable
struct Sent;
#[task("send")]
fn send_it() -> Sent {
//              ^^^^ cannot be the result of a task | serde::Deserialize
    Sent
}

//# only_serializable
#[derive(serde::Serialize)]
struct Sent;
#[task("send")]
fn send_it() -> Sent {
//              ^^^^ cannot be the result of a task | serde::Deserialize
    Sent
}

//# result_only_serializable
#[derive(serde::Serialize)]
struct Sent;
#[task("send")]
fn send_it() -> Result<Sent, String> {
//              ^^^^^^^^^^^^^^^^^^^^ cannot be the result of a task | serde::Deserialize
    Ok(Sent)
}

//# result_only_deserializable
#[derive(serde::Deserialize)]
struct Sent;
#[task("send")]
fn send_it() -> Result<Sent, String> {
//              ^^^^^^^^^^^^^^^^^^^^ cannot be the result of a task
    Ok(Sent)
}

//# async_not_serializable
struct Sent;
#[task("send")]
async fn send_it() -> Result<Sent, String> {
//                    ^^^^^^^^^^^^^^^^^^^^ cannot be the result of a task
    Ok(Sent)
}

//# list_not_serializable
struct Sent;
#[task("send")]
fn send_it() -> Vec<Sent> {
//              ^^^^^^^^^ cannot be the result of a task | Sent
    vec![]
}

//# optional_not_serializable
struct Sent;
#[task("send")]
fn send_it() -> Option<Sent> {
//              ^^^^^^^^^^^^ cannot be the result of a task
    None
}

//# foreign_not_serializable
#[task("send")]
fn send_it() -> std::time::Instant {
//              ^^^ cannot be the result of a task | `serde` feature
    std::time::Instant::now()
}

//# static_text
#[task("send")]
fn send_it() -> &'static str {
//              ^ `String`
    "sent"
}

//# result_of_static_text
#[task("send")]
fn send_it() -> Result<&'static str, String> {
//                     ^ `String`
    Ok("sent")
}

//# result_of_static_text_of_an_async_task
#[task("send")]
async fn send_it() -> Result<&'static str, std::io::Error> {
//                           ^ `String`
    Ok("sent")
}

//# list_of_static_texts
#[task("send")]
fn send_it() -> Result<Vec<&'static str>, String> {
//                         ^ `String`
    Ok(vec![])
}

//# option_of_static_text
#[task("send")]
fn send_it() -> Option<&'static str> {
//                     ^ `String`
    None
}

//# static_slice
#[task("send")]
fn send_it() -> Result<&'static [u8], String> {
//                     ^ `Vec<_>`
    Ok(&[])
}

//# type_with_a_static_text
#[derive(serde::Serialize)]
struct Sent {
    by: &'static str,
}
#[task("send")]
fn send_it() -> Result<Sent, String> {
//              ^^^^^^^^^^^^^^^^^^^^ cannot be the result of a task
    Ok(Sent { by: "x" })
}

//# borrowed
#[task("send")]
fn send_it(to: &str) -> &str {
//                      ^ `String`
    to
}

//# borrowed_from_nothing
#[task("send")]
fn send_it(n: u8) -> Result<Vec<&u8>, String> {
//                              ^ `Vec<_>`
    let _ = n;
    Ok(vec![])
}

//# borrowed_from_two
#[task("send")]
fn send_it(to: &str, body: &str) -> &str {
//                                  ^ `String`
    if to.is_empty() { to } else { body }
}

//# borrowed_in_a_result
#[task("send")]
fn send_it(to: &str) -> Result<&str, String> {
//                             ^ `String`
    Ok(to)
}

//# borrowed_with_a_lifetime
#[task("send")]
fn send_it<'a>(to: &'a str) -> Option<&'a str> {
//                                    ^ `String`
    Some(to)
}

//# borrowed_cow
use std::borrow::Cow;
#[task("send")]
fn send_it(to: &str) -> Cow<'_, str> {
//                          ^^ borrow
    to.into()
}

//# borrowed_error
#[task("send")]
fn send_it(to: &str) -> Result<(), &str> {
//                                 ^ `String`
    Err(to)
}

//# bare_str
#[task("send")]
fn send_it() -> str {
//              ^^^ `String`
    todo!()
}

//# bare_slice
#[task("send")]
fn send_it() -> [u8] {
//              ^^^^ `Vec<u8>`
    todo!()
}

//# result_of_str
#[task("send")]
fn send_it() -> Result<str, String> {
//                     ^^^ `String`
    todo!()
}

//# impl_trait
#[task("send")]
fn send_it() -> impl Iterator<Item = u8> {
//              ^^^^ write the type
    std::iter::empty()
}

//# future
use std::future::Future;
#[task("send")]
fn send_it() -> impl Future<Output = u8> {
//              ^^^^ `async fn`
    std::future::ready(1)
}

//# boxed_future
use std::future::Future;
use std::pin::Pin;
#[task("send")]
fn send_it() -> Pin<Box<dyn Future<Output = u8> + Send>> {
//              ^^^ `async fn`
    Box::pin(std::future::ready(1))
}

//# never
#[task("send")]
fn send_it() -> ! {
//              ^ return `()`
    loop {}
}

//# inferred
#[task("send")]
fn send_it() -> Vec<_> {
//                  ^ placeholder
    vec![1]
}

//# task_error_alone
#[task("send")]
fn send_it() -> TaskError {
//              ^^^^^^^^^ Result<(), TaskError>
    TaskError::retry("x")
}

//# task_error_alone_by_path
#[task("send")]
async fn send_it() -> qdjobs::TaskError {
//                    ^^^^^^ Result<(), TaskError>
    TaskError::retry("x")
}

//# task_error_as_the_result
#[task("send")]
fn send_it() -> Result<TaskError, String> {
//                     ^^^^^^^^^ Result<(), TaskError>
    Ok(TaskError::retry("x"))
}

//# optional_task_error
#[task("send")]
fn send_it() -> Option<TaskError> {
//                     ^^^^^^^^^ Result<(), TaskError>
    None
}

//# boxed_error_alone
#[task("send")]
fn send_it() -> Box<dyn std::error::Error> {
//              ^^^ Result<(), Box<dyn std::error::Error>>
    "x".into()
}

//# boxed_error_as_the_result
use std::error::Error;
#[task("send")]
fn send_it() -> Result<Box<dyn Error>, String> {
//                     ^^^ `dyn`
    Ok("x".into())
}

//# dyn_result
#[task("send")]
fn send_it() -> Result<Box<dyn std::fmt::Debug>, String> {
//                     ^^^ `dyn`
    Ok(Box::new(1))
}

//# io_error_alone
#[task("send")]
fn send_it() -> std::io::Error {
//              ^^^ Result<(), std::io::Error>
    std::io::Error::other("x")
}

//# function_as_the_result
#[task("send")]
fn send_it() -> fn() -> u8 {
//              ^^ cannot be
    || 1
}

//# pointer_as_the_result
#[task("send")]
fn send_it() -> *const u8 {
//              ^ pointer
    std::ptr::null()
}

//# error_not_an_error
struct MyErr;
#[task("send")]
fn send_it() -> Result<(), MyErr> {
//              ^^^^^^^^^^^^^^^^^ cannot be the error of a task | std::error::Error
    Err(MyErr)
}

//# error_not_an_error_of_an_async_task
struct MyErr;
#[task("send")]
async fn send_it(to: &str) -> Result<u8, MyErr> {
//                            ^^^^^^^^^^^^^^^^^ cannot be the error of a task | std::error::Error
    let _ = to;
    Err(MyErr)
}

//# error_only_display
struct MyErr;
impl std::fmt::Display for MyErr {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
#[task("send")]
fn send_it() -> Result<(), MyErr> {
//              ^^^^^^^^^^^^^^^^^ cannot be the error of a task
    Err(MyErr)
}

//# error_is_unit
#[task("send")]
fn send_it() -> Result<u8, ()> {
//              ^^^^^^^^^^^^^^ cannot be the error of a task
    Err(())
}

//# error_is_a_number
#[task("send")]
fn send_it() -> Result<(), i32> {
//              ^^^^^^^^^^^^^^^ cannot be the error of a task
    Err(1)
}

//# error_is_an_option
#[task("send")]
fn send_it() -> Result<(), Option<String>> {
//              ^^^^^^^^^^^^^^^^^^^^^^^^^^ cannot be the error of a task
    Err(None)
}

//# error_is_a_list
#[task("send")]
fn send_it() -> Result<(), Vec<std::io::Error>> {
//              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ cannot be the error of a task
    Ok(())
}

//# error_behind_an_alias
struct MyErr;
mod mine {
    pub type Result<T> = std::result::Result<T, super::MyErr>;
}
#[task("send")]
fn send_it() -> mine::Result<u8> {
//              ^^^^^^^^^^^^^^^^ cannot be the error of a task
    Err(MyErr)
}

//# error_is_dyn_of_another_trait
#[task("send")]
fn send_it() -> Result<(), Box<dyn std::fmt::Display>> {
//              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ cannot be the error of a task
    Ok(())
}

//# result_without_an_error
#[task("send")]
fn send_it() -> Result<u8> {
//              ^^^^^^^^^^ 2 generic arguments
    Ok(1)
}

//# result_without_arguments
#[task("send")]
fn send_it() -> Result {
//              ^^^^^^ generic
    Ok(1)
}

//# alias_hides_a_result
type Answer = Result<u8, String>;
#[task("send")]
fn send_it() -> Answer {
//              ^^^^^^ hides a `Result` | Result<
    Ok(1)
}

//# generic_alias_hides_a_result
type Answer<T> = Result<T, std::io::Error>;
#[task("send")]
async fn send_it() -> Answer<u8> {
//                    ^^^^^^^^^^ an alias of a `Result`
    Ok(1)
}

//# alias_hides_an_io_result
use std::io::Result as IoResult;
#[task("send")]
fn send_it() -> IoResult<()> {
//              ^^^^^^^^^^^^ an alias of a `Result`
    Ok(())
}

//# alias_hides_a_result_of_a_bad_error
type Answer = Result<u8, ()>;
#[task("send")]
fn send_it() -> Answer {
//              ^^^^^^ Result
    Ok(1)
}

//# alias_hides_a_result_that_cannot_be_stored
struct Sent;
type Answer = Result<Sent, String>;
#[task("send")]
fn send_it() -> Answer {
//              ^^^^^^ Result
    Ok(Sent)
}

//# unknown_type
#[task("send")]
fn send_it() -> Delivery {
//              ^^^^^^^^ cannot find type
    todo!()
}

//# unknown_error
#[task("send")]
fn send_it() -> Result<(), SendError> {
//                         ^^^^^^^^^ cannot find type
    todo!()
}

//# body_of_another_type
#[task("send")]
fn send_it() -> u8 {
    "x"
//  ^^^ u8
}

//# body_without_ok
#[task("send")]
fn send_it() -> Result<u8, String> {
    1
//  ^ Result
}

//# question_mark_without_a_result
#[task("send")]
fn send_it(text: &str) {
    let _: u8 = text.parse()?;
    //                      ^ Result
}

//# await_in_fn
#[task("send")]
fn send_it() {
    std::future::ready(()).await;
//                         ^^^^^ async
}

//# mutex_in_the_result
#[task("send")]
fn send_it() -> std::cell::Cell<*const u8> {
//                              ^ pointer
    todo!()
}

//# large_array
#[task("send")]
fn send_it() -> [u8; 64] {
//              ^ Vec<u8>
    [0; 64]
}

//# error_is_dyn
use std::error::Error;
#[task("send")]
fn send_it() -> Result<(), dyn Error> {
//                         ^^^ Box<dyn Error>
    todo!()
}

//# error_is_impl_trait
use std::error::Error;
#[task("send")]
fn send_it() -> Result<(), impl Error> {
//                         ^^^^ named type
    Err(std::fmt::Error)
}

//# bare_dyn
#[task("send")]
fn send_it() -> Result<dyn std::fmt::Debug, String> {
//                     ^^^ `dyn`
    todo!()
}

//# self_type
#[task("send")]
fn send_it() -> Self {
//              ^^^^ Self
    todo!()
}

//# map_with_a_tuple_as_the_key
use std::collections::HashMap;
#[task("send")]
fn send_it() -> Result<HashMap<(u8, u8), String>, String> {
//                             ^^^^^^^^ a `Vec` of pairs
    Ok(HashMap::new())
}

//# undeclared_lifetime
#[task("send")]
fn send_it(to: &str) -> &'a str {
//                      ^ `String`
    to
}

//# cow_from_nothing
use std::borrow::Cow;
#[task("send")]
fn send_it() -> Cow<'_, str> {
//                  ^^ borrow
    "x".into()
}

//# cow_from_two
use std::borrow::Cow;
#[task("send")]
fn send_it(to: &str, body: &str) -> Cow<'_, str> {
//                                      ^^ borrow
    if to.is_empty() { to.into() } else { body.into() }
}

//# cow_without_a_lifetime
use std::borrow::Cow;
#[task("send")]
fn send_it(to: &str) -> Cow<str> {
//                      ^^^ borrow
    to.into()
}

//# path
use std::path::Path;
#[task("send")]
fn send_it() -> Path {
//              ^^^^ `PathBuf`
    todo!()
}

//# option_of_a_result
#[task("send")]
fn send_it() -> Option<Result<u8, String>> {
//                     ^^^^^^ Result<Option<u8>, String>
    None
}

//# boxed_result
#[task("send")]
fn send_it() -> Box<Result<u8, String>> {
//                  ^^^^^^ return `Result<u8, String>`
    Box::new(Ok(1))
}

//# unknown_type_in_a_list
#[task("send")]
fn send_it() -> Vec<Delivery> {
//                  ^^^^^^^^ cannot find type
    todo!()
}

//# unknown_type_in_a_list_of_a_result
#[task("send")]
async fn send_it() -> Result<Vec<Delivery>, String> {
//                               ^^^^^^^^ cannot find type
    todo!()
}

//# unknown_error_of_a_result
#[task("send")]
fn send_it() -> Result<(), MailError> {
//                         ^^^^^^^^^ cannot find type
    todo!()
}

//# deserializable_with_a_static_text
#[derive(serde::Serialize, serde::Deserialize)]
struct Sent {
    by: &'static str,
}
#[task("send")]
fn send_it() -> Result<Sent, String> {
//              ^^^^^^^^^^^^^^^^^^^^ actually implements `Deserialize<'static>`
    Ok(Sent { by: "x" })
}

//# map_with_a_key_without_hash
use std::collections::HashMap;
#[derive(serde::Serialize, serde::Deserialize)]
struct Address(u8);
#[task("send")]
fn send_it() -> HashMap<Address, u64> {
//              ^^^^^^^^^^^^^^^^^^^^^ `Eq` and `Hash`
    HashMap::new()
}

//# static_text_in_the_plain_result
#[derive(serde::Serialize, serde::Deserialize)]
struct Sent {
    by: &'static str,
}
#[task("send")]
async fn send_it() -> Sent {
//                    ^^^^ actually implements `Deserialize<'static>`
    Sent { by: "x" }
}
