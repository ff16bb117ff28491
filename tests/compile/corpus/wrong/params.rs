//! The types of parameters that are stored with the job.

//# bare_str
#[task("send")]
fn send_it(to: str) {}
//             ^^^ `&str`

//# bare_slice
#[task("send")]
fn send_it(to: [u8]) {}
//             ^^^^ `&[u8]`

//# bare_slice_of_strings
#[task("send")]
fn send_it(to: [String]) {}
//             ^^^^^^^^ `&[String]`

//# bare_path
#[task("send")]
fn send_it(to: std::path::Path) {}
//             ^^^^^^^^^^^^^^^ `&std::path::Path`

//# bare_os_str
use std::ffi::OsStr;
#[task("send")]
fn send_it(to: OsStr) {}
//             ^^^^^ `&OsStr`

//# bare_str_behind_another_parameter
#[task("send")]
async fn send_it(n: u8, to: str, #[state] m: &u8) -> Result<u8, String> {
//                          ^^^ `&str`
    Ok(n)
}

//# option_of_str
#[task("send")]
fn send_it(to: Option<str>) {}
//                    ^^^ `Option<&str>`

//# option_of_slice
#[task("send")]
fn send_it(to: Option<[u8]>) {}
//                    ^^^^ `Option<&[u8]>`

//# vec_of_str
#[task("send")]
fn send_it(to: Vec<str>) {}
//                 ^^^ `String`

//# vec_of_slices
#[task("send")]
fn send_it(to: Vec<[u8]>) {}
//                 ^^^^ `Vec<u8>`

//# slice_of_str
#[task("send")]
fn send_it(to: &[str]) {}
//               ^^^ `String`

//# tuple_of_str
#[task("send")]
fn send_it(to: (u8, str)) {}
//                  ^^^ `String`

//# map_of_str
use std::collections::HashMap;
#[task("send")]
fn send_it(to: HashMap<str, u8>) {}
//                     ^^^ `String`

//# not_serializable
struct Address;
#[task("send")]
fn send_it(to: Address) {
//             ^^^^^^^ cannot be a task parameter | serde::Serialize | #[state]
    let _ = to;
}

//# only_serializable
#[derive(serde::Serialize)]
struct Address;
#[task("send")]
fn send_it(to: Address) {
//             ^^^^^^^ cannot be a task parameter | serde::Deserialize
    let _ = to;
}

//# only_deserializable
#[derive(serde::Deserialize)]
struct Address;
#[task("send")]
fn send_it(to: Address) {
//             ^^^^^^^ cannot be a task parameter
    let _ = to;
}

//# borrowed_and_not_serializable
struct Address;
#[task("send")]
fn send_it(to: &Address) {
//              ^^^^^^^ cannot be a task parameter
    let _ = to;
}

//# list_of_not_serializable
struct Address;
#[task("send")]
fn send_it(to: Vec<Address>) {
//             ^^^^^^^^^^^^ cannot be a task parameter | Address
    let _ = to;
}

//# slice_of_not_serializable
struct Address;
#[task("send")]
fn send_it(to: &[Address]) {
//             ^^^^^^^^^^ cannot be a task parameter
    let _ = to;
}

//# optional_and_not_serializable
struct Address;
#[task("send")]
fn send_it(to: Option<Address>) {
//             ^^^^^^^^^^^^^^^ cannot be a task parameter
    let _ = to;
}

//# optional_borrow_of_not_serializable
struct Address;
#[task("send")]
fn send_it(to: Option<&Address>) {
//             ^^^^^^^^^^^^^^^^ cannot be a task parameter
    let _ = to;
}

//# default_and_not_serializable
#[derive(Default)]
struct Address;
#[task("send")]
fn send_it(#[default] to: Address) {
//                        ^^^^^^^ cannot be a task parameter
    let _ = to;
}

//# two_not_serializable_of_one_type
struct Address;
#[task("send")]
fn send_it(to: &Address, #[state] n: &u8) {
//              ^^^^^^^ cannot be a task parameter
    let _ = (to, n);
}

//# generic_type_of_not_serializable
#[derive(serde::Serialize, serde::Deserialize)]
struct Page<T> {
    items: Vec<T>,
}
struct Row;
#[task("send")]
fn send_it(page: Page<Row>) {
//               ^^^^^^^^^ cannot be a task parameter
    let _ = page.items;
}

//# borrowed_field
#[derive(serde::Serialize, serde::Deserialize)]
struct Row<'a> {
    text: &'a str,
}
#[task("send")]
fn send_it(row: Row<'_>) {
//                  ^^ owned types
    let _ = row.text;
}

//# unknown_type
#[task("send")]
fn send_it(to: Adress) {
//             ^^^^^^ cannot find type
    let _ = to;
}

//# unknown_type_behind_a_reference
#[task("send")]
fn send_it(to: &Adress) {
//              ^^^^^^ cannot find type
    let _ = to;
}

//# foreign_type
#[task("send")]
fn send_it(at: std::time::Instant) {
//             ^^^ cannot be a task parameter | `serde` feature
    let _ = at;
}

//# connection
use qdjobs::rusqlite::Connection;
#[task("send")]
fn send_it(db: &Connection) {
//              ^^^^^^^^^^ cannot be a task parameter | #[state]
    let _ = db;
}

//# queue
#[task("send")]
fn send_it(queue: &JobQueue) {
//                ^^^^^^^^^ ctx.queue()
    let _ = queue;
}

//# error
#[task("send")]
fn send_it(error: std::io::Error) {
//                ^^^ cannot be a task parameter
    let _ = error;
}

//# inner_borrow
#[task("send")]
fn send_it(to: Vec<&str>) {
//                 ^ owned types
    let _ = to;
}

//# inner_borrow_of_a_slice
#[task("send")]
fn send_it(to: &[&str]) {
//               ^ owned types
    let _ = to;
}

//# borrow_of_a_borrow
#[task("send")]
fn send_it(to: &&str) {
//              ^ one `&`
    let _ = to;
}

//# borrow_of_an_option
#[task("send")]
fn send_it(to: &Option<&str>) {
//                     ^ `Option<&str>`
    let _ = to;
}

//# option_of_an_option_of_a_borrow
#[task("send")]
fn send_it(to: Option<Option<&str>>) {
//                           ^ owned types
    let _ = to;
}

//# cow_with_a_lifetime
use std::borrow::Cow;
#[task("send")]
fn send_it(to: Cow<'_, str>) {
//                 ^^ `Cow<'static, str>`
    let _ = to;
}

//# named_lifetime_inside
#[task("send")]
fn send_it<'a>(to: Vec<&'a str>) {
//                     ^ owned types
    let _ = to;
}

//# mutable
#[task("send")]
fn send_it(to: &mut String) {
//              ^^^ `mut` before its name
    let _ = to;
}

//# mutable_slice
#[task("send")]
fn send_it(to: &mut [u8]) {
//              ^^^ `mut` before its name
    let _ = to;
}

//# optional_mutable
#[task("send")]
fn send_it(to: Option<&mut u8>) {
//                     ^^^ `&mut`
    let _ = to;
}

//# static_text
#[task("send")]
fn send_it(to: &'static str) {
//              ^^^^^^^ remove `'static`
    let _ = to;
}

//# optional_static_text
#[task("send")]
fn send_it(to: Option<&'static str>) {
//                     ^^^^^^^ remove `'static`
    let _ = to;
}

//# dyn_type
#[task("send")]
fn send_it(to: Box<dyn std::fmt::Debug>) {
//             ^^^^^^^^^^^^^^^^^^^^^^^^ concrete type
    let _ = to;
}

//# dyn_error
#[task("send")]
fn send_it(to: Box<dyn std::error::Error>) {
//             ^^^^^^^^^^^^^^^^^^^^^^^^^^ `dyn`
    let _ = to;
}

//# dyn_borrowed
#[task("send")]
fn send_it(to: &dyn std::fmt::Debug) {
//              ^^^ concrete type
    let _ = to;
}

//# function_pointer
#[task("send")]
fn send_it(to: fn(u8) -> u8) {
//             ^^^^^^^^^^^^^ function cannot be stored
    let _ = to;
}

//# pointer
#[task("send")]
fn send_it(to: *const u8) {
//             ^^^^^^^^^ pointer cannot be stored
    let _ = to;
}

//# inferred
#[task("send")]
fn send_it(to: Vec<_>) {
//                 ^ placeholder
    let _: Vec<u8> = to;
}

//# u128
#[task("send")]
fn send_it(n: u128) {
//            ^^^^ take a `String`
    let _ = n;
}

//# u128_in_a_list
#[task("send")]
fn send_it(n: &[i128]) {
//              ^^^^ take a `String`
    let _ = n;
}

//# u128_as_the_value_of_a_map
use std::collections::HashMap;
#[task("send")]
fn send_it(n: HashMap<String, u128>) {
//                            ^^^^ take a `String`
    let _ = n;
}

//# large_array_inside
#[task("send")]
fn send_it(n: Vec<[u8; 64]>) {
//                ^^^^^^^^ `Vec<u8>`
    let _ = n;
}

//# large_array_of_not_serializable
struct Row;
#[task("send")]
fn send_it(n: [Row; 64]) {
//            ^^^^^^^^^ `Row` cannot be a task parameter
    let _ = n;
}

//# optional_large_array_of_not_serializable
struct Row;
#[task("send")]
fn send_it(n: Option<&[Row; 64]>) {
//            ^^^^^^^^^^^^^^^^^^ `Row` cannot be a task parameter
    let _ = n;
}

//# async_queue
#[task("send")]
fn send_it(queue: std::sync::Arc<AsyncQueue>) {
//                ^^^^^^^^^^^^^^^^^^^^^^^^^^ ctx.queue()
    let _ = queue;
}

//# alias_of_an_rc
type Text = std::rc::Rc<str>;
#[task("send")]
fn send_it(n: Text) {
// ^^^^^^^ `Rc<str>` cannot be sent between threads
    let _ = n;
}

//# u128_in_a_set
use std::collections::HashSet;
#[task("send")]
fn send_it(n: HashSet<u128>) {
//                    ^^^^ take a `String`
    let _ = n;
}

//# u128_in_the_key_of_a_map
use std::collections::HashMap;
#[task("send")]
fn send_it(n: HashMap<(u128, u8), u8>) {
//                    ^^^^^^^^^^ a `Vec` of pairs
    let _ = n;
}

//# rc
use std::rc::Rc;
#[task("send")]
fn send_it(n: Rc<u8>) {
//            ^^ `Arc`
    let _ = n;
}

//# rc_of_text
#[task("send")]
fn send_it(n: std::rc::Rc<str>) {
//                     ^^ `Arc`
    let _ = n;
}

//# rc_inside
use std::rc::Rc;
#[task("send")]
fn send_it(n: Vec<Rc<str>>) {
//                ^^ `Arc`
    let _ = n;
}

//# rc_borrowed
use std::rc::Rc;
#[task("send")]
fn send_it(n: &Rc<str>) {
//             ^^ `Arc`
    let _ = n;
}

//# rc_optional
use std::rc::Rc;
#[task("send")]
fn send_it(n: Option<Rc<u8>>) {
//                   ^^ `Arc`
    let _ = n;
}

//# weak
use std::rc::Weak;
#[task("send")]
fn send_it(n: Weak<u8>) {
//            ^^^^ `Arc`
    let _ = n;
}

//# default_twice
#[task("send")]
fn send_it(#[default] #[default] n: u8) {
//                    ^^^^^^^^^^ more than once
    let _ = n;
}

//# default_twice_with_values
#[task("send")]
fn send_it(#[default(1)] #[default(2)] n: u8) {
//                       ^^^^^^^^^^^^^ more than once
    let _ = n;
}

//# with_twice
mod a {
    pub use super::b::*;
}
mod b {
    pub fn serialize<S: serde::Serializer>(n: &u8, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(*n)
    }
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        serde::Deserialize::deserialize(from)
    }
}
#[task("send")]
fn send_it(#[with(a)] #[with(b)] n: u8) {
//                    ^^^^^^^^^^ more than once
    let _ = n;
}

//# alias_twice
#[task("send")]
fn send_it(#[alias("m")] #[alias("m")] n: u8) {
//                               ^^^ more than once
    let _ = n;
}

//# alias_is_the_name
#[task("send")]
fn send_it(#[alias("n")] n: u8) {
//                 ^^^ more than once
    let _ = n;
}

//# alias_of_another_parameter
#[task("send")]
fn send_it(#[alias("m")] n: u8, m: u8) {
//                 ^^^ more than once
    let _ = (n, m);
}

//# alias_is_an_identifier
#[task("send")]
fn send_it(#[alias(m)] n: u8) {
//         ^^^^^^^^^^^ #[alias("old_name")]
    let _ = n;
}

//# alias_with_a_sign
#[task("send")]
fn send_it(#[alias = "m"] n: u8) {
//         ^^^^^^^^^^^^^^ #[alias("old_name")]
    let _ = n;
}

//# alias_is_empty
#[task("send")]
fn send_it(#[alias("")] n: u8) {
//                 ^^ empty
    let _ = n;
}

//# default_with_a_sign
#[task("send")]
fn send_it(#[default = 5] n: u8) {
//         ^^^^^^^^^^^^^^ parentheses
    let _ = n;
}

//# default_without_a_value
#[task("send")]
fn send_it(#[default()] n: u8) {
//         ^^^^^^^^^^^^ #[default]
    let _ = n;
}

//# default_of_two_values
#[task("send")]
fn send_it(#[default(1, 2)] n: u8) {
//         ^^^^^^^^^^^^^^^^ one expression
    let _ = n;
}

//# default_of_another_type
#[task("send")]
fn send_it(#[default("x")] n: u8) {
//                   ^^^ u8
    let _ = n;
}

//# default_of_another_type_for_a_text
#[task("send")]
fn send_it(#[default(5)] to: &str) {
//                   ^ String
    let _ = to;
}

//# default_of_another_type_for_an_option
#[task("send")]
fn send_it(#[default(5)] n: Option<u8>) {
//                   ^ Option<u8>
    let _ = n;
}

//# default_is_a_word
#[task("send")]
fn send_it(#[default(en)] lang: &str) {
//                   ^^ #[default("en")]
    let _ = lang;
}

//# default_is_unknown
#[task("send")]
fn send_it(#[default(NONE)] n: u8) {
//                   ^^^^ cannot find value
    let _ = n;
}

//# default_of_a_type_without_one
#[derive(serde::Serialize, serde::Deserialize)]
enum Color {
    Red,
}
#[task("send")]
fn send_it(#[default] color: Color) {
//                           ^^^^^ Default
    let Color::Red = color;
}

//# default_uses_another_parameter
#[task("send")]
fn send_it(n: u8, #[default(n + 1)] m: u8) {
//                          ^ cannot find value
    let _ = (n, m);
}

//# with_a_text
#[task("send")]
fn send_it(#[with("seconds")] n: u8) {
//         ^^^^^^^^^^^^^^^^^^ #[with(path)]
    let _ = n;
}

//# with_nothing
#[task("send")]
fn send_it(#[with] n: u8) {
//         ^^^^^^^ path of a module
    let _ = n;
}

//# with_an_unknown_module
#[task("send")]
fn send_it(#[with(seconds)] n: u8) {
//                ^^^^^^^ seconds
    let _ = n;
}

//# misspelt_attribute
#[task("send")]
fn send_it(#[defualt] n: u8) {
//         ^^^^^^^^^^ #[default]
    let _ = n;
}

//# serde_attribute
#[task("send")]
fn send_it(#[serde(default)] n: u8) {
//         ^^^^^^^^^^^^^^^^^ #[default]
    let _ = n;
}

//# unknown_attribute
#[task("send")]
fn send_it(#[sensitive] n: u8) {
//         ^^^^^^^^^^^^ a parameter can have
    let _ = n;
}

//# optional_attribute
#[task("send")]
fn send_it(#[optional] n: u8) {
//         ^^^^^^^^^^^ #[default]
    let _ = n;
}

//# cfg
#[task("send")]
fn send_it(#[cfg(unix)] n: u8) {
//         ^^^^^^^^^^^^ `Option`
    let _ = n;
}

//# task_attribute
#[task("send")]
fn send_it(#[task] n: u8) {
//         ^^^^^^^ a parameter can have
    let _ = n;
}

//# bare_dyn
#[task("send")]
fn send_it(to: dyn std::fmt::Debug) {
//             ^^^ concrete type
}

//# self_type
#[task("send")]
fn send_it(to: Self) {
//             ^^^^ Self
    let _ = to;
}

//# map_with_a_tuple_as_the_key
use std::collections::BTreeMap;
#[task("send")]
fn send_it(prices: &BTreeMap<(String, u8), u64>) {
//                           ^^^^^^^^^^^^ a `Vec` of pairs
    let _ = prices;
}

//# map_with_a_list_as_the_key
use std::collections::HashMap;
#[task("send")]
fn send_it(prices: Vec<HashMap<Vec<u8>, u64>>) {
//                             ^^^^^^^ a `Vec` of pairs
    let _ = prices;
}

//# borrowed_list_of_str
#[task("send")]
fn send_it(to: &Vec<str>) {}
//                  ^^^ `String`

//# borrowed_option_of_str
#[task("send")]
fn send_it(to: &Option<str>) {}
//                     ^^^ `String`

//# borrowed_tuple_of_str
#[task("send")]
fn send_it(to: &(u8, str)) {}
//                   ^^^ `String`

//# list_of_dyn
trait Shape {}
#[task("send")]
fn send_it(to: Vec<dyn Shape>) {}
//             ^^^^^^^^^^^^^^ concrete type

//# option_of_dyn
trait Shape {}
#[task("send")]
fn send_it(to: Option<dyn Shape>) {}
//                    ^^^ concrete type

//# slice_of_dyn
trait Shape {}
#[task("send")]
fn send_it(to: &[dyn Shape]) {}
//               ^^^ concrete type

//# undeclared_lifetime_inside
#[task("send")]
fn send_it(to: Vec<&'a str>) {}
//                 ^ owned types

//# undeclared_lifetime_of_a_type
struct Row<'a>(&'a str);
#[task("send")]
fn send_it(row: Row<'a>) {}
//                  ^^ owned types

//# imported_path
use std::path::Path;
#[task("send")]
fn send_it(file: Path) {}
//               ^^^^ `&Path` | PathBuf

//# list_of_paths
use std::path::Path;
#[task("send")]
fn send_it(files: Vec<Path>) {}
//                    ^^^^ PathBuf

//# mutex_in_an_arc
use std::sync::{Arc, Mutex};
#[task("send")]
fn send_it(counter: Arc<Mutex<u64>>) {
//                      ^^^^^ mark it with `#[state]`
    *counter.lock().unwrap() += 1;
}

//# mutex_borrowed
use std::sync::Mutex;
#[task("send")]
fn send_it(counter: &Mutex<u64>) {
//                   ^^^^^ mark it with `#[state]`
    *counter.lock().unwrap() += 1;
}

//# rw_lock_borrowed
use std::sync::RwLock;
#[task("send")]
fn send_it(counter: &RwLock<Vec<u8>>) {
//                   ^^^^^^ mark it with `#[state]`
    counter.write().unwrap().push(1);
}

//# atomic
use std::sync::atomic::{AtomicU64, Ordering};
#[task("send")]
fn send_it(counter: &AtomicU64) {
//                   ^^^^^^^^^ mark it with `#[state]`
    counter.fetch_add(1, Ordering::Relaxed);
}

//# ref_cell
use std::cell::RefCell;
#[task("send")]
fn send_it(counter: &RefCell<u64>) {
//                   ^^^^^^^ mark it with `#[state]`
    *counter.borrow_mut() += 1;
}

//# cell
use std::cell::Cell;
#[task("send")]
fn send_it(counter: &Cell<u64>) {
//                   ^^^^ mark it with `#[state]`
    counter.set(1);
}

//# map_with_a_duration_as_the_key
use std::collections::HashMap;
use std::time::Duration;
#[task("send")]
fn send_it(waits: HashMap<Duration, u64>) {
//                        ^^^^^^^^ a `Vec` of pairs
    let _ = waits;
}

//# map_with_an_instant_as_the_key
use std::collections::BTreeMap;
#[task("send")]
fn send_it(waits: &BTreeMap<std::time::SystemTime, u64>) {
//                          ^^^^^^^^^^^^^^^^^^^^^ a `Vec` of pairs
    let _ = waits;
}

//# map_with_an_option_as_the_key
use std::collections::HashMap;
#[task("send")]
fn send_it(names: HashMap<Option<String>, u64>) {
//                        ^^^^^^^^^^^^^^ a `Vec` of pairs
    let _ = names;
}

//# map_with_a_key_without_hash
use std::collections::HashMap;
#[derive(serde::Serialize, serde::Deserialize)]
struct Address(u8);
#[task("send")]
fn send_it(counts: HashMap<Address, u64>) {
//                 ^^^^^^^^^^^^^^^^^^^^^ `Eq` and `Hash`
    let _ = counts;
}

//# unknown_type_in_a_list
#[task("send")]
fn send_it(to: Vec<Adress>) {
//                 ^^^^^^ cannot find type
    let _ = to;
}

//# unknown_type_behind_an_optional_borrow
#[task("send")]
fn send_it(to: Option<&Adress>) {
//                     ^^^^^^ cannot find type
    let _ = to;
}

//# unknown_type_in_a_slice
#[task("send")]
fn send_it(to: &[Adress]) {
//               ^^^^^^ cannot find type
    let _ = to;
}

//# unknown_type_in_an_option
#[task("send")]
async fn send_it(n: Option<int>) {
//                         ^^^ cannot find type
    let _ = n;
}

//# unknown_type_in_a_map
use std::collections::HashMap;
#[task("send")]
fn send_it(to: HashMap<String, Adress>, cc: &[String]) {
//                             ^^^^^^ cannot find type
    let _ = (to, cc);
}

//# unknown_type_with_a_default
#[task("send")]
fn send_it(#[default(vec![])] to: Vec<Adress>) {
//                                    ^^^^^^ cannot find type
    let _ = to;
}

//# cow_without_a_lifetime
use std::borrow::Cow;
#[task("send")]
fn send_it(to: Cow<str>) {
//             ^^^ Cow<'static, str>
    let _ = to;
}

//# type_with_a_static_text
#[derive(serde::Serialize, serde::Deserialize)]
struct Row {
    by: &'static str,
}
#[task("send")]
fn send_it(row: Row) {
//              ^^^ actually implements `Deserialize<'static>`
    let _ = row.by;
}

//# boxed_function
#[task("send")]
fn send_it(callback: Box<dyn Fn(u8) -> u8>) {
//                   ^^^^^^^^^^^^^^^^^^^^^ a function cannot be stored
    callback(1);
}

//# function_without_dyn
#[task("send")]
fn send_it(callback: Fn(u8)) {
//                   ^^ a function cannot be stored
    callback(1);
}

//# boxed_function_without_dyn
#[task("send")]
fn send_it(callback: Box<Fn(u8) -> u8>, n: u8) {
//                   ^^^ a function cannot be stored
    callback(n);
}

//# default_with_a_name
#[task("send")]
fn send_it(#[default(value = 5)] n: u8) {
//         ^^^^^^^^^^^^^^^^^^^^^ #[default(5)]
    let _ = n;
}

//# bare_str_that_the_body_uses
#[task("send")]
fn send_it(to: str) {
//             ^^^ `&str`
    let owned: String = to.to_owned();
    println!("{owned} {}", to.len());
}

//# option_of_str_that_the_body_uses
#[task("send")]
fn send_it(cc: Option<str>) -> usize {
//                    ^^^ `Option<&str>`
    match cc {
        Some(cc) => cc.len(),
        None => 0,
    }
}

//# list_of_dyn_that_the_body_uses
trait Shape {
    fn area(&self) -> f64;
}
#[task("send")]
fn send_it(shapes: Vec<dyn Shape>) -> f64 {
//                 ^^^^^^^^^^^^^^ concrete type
    shapes.iter().map(|shape| shape.area()).sum()
}

//# mutable_that_the_body_uses
#[task("send")]
fn send_it(to: &mut Vec<String>) {
//              ^^^ `mut` before its name
    to.push("a".to_owned());
    to.sort();
}

//# dyn_that_the_body_uses
use std::io::Write;
#[task("send")]
fn send_it(to: &mut dyn Write) -> std::io::Result<()> {
//              ^^^ `mut` before its name
    to.write_all(b"a")
}
