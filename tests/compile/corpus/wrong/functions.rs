//! What the attribute is on: the item, its qualifiers, generics, and patterns.

//# on_a_struct
#[task("send")]
struct SendIt {
//^^^^ can only be applied to a function
    to: String,
}

//# on_an_enum
#[task("send")]
enum SendIt {}
//^^ can only be applied to a function

//# on_a_module
#[task("send")]
mod send_it {}
//^ can only be applied to a function

//# on_a_constant
#[task("send")]
pub const SEND: u8 = 1;
//  ^^^^^ can only be applied to a function

//# on_a_static
#[task("send")]
static SEND: u8 = 1;
//^^^^ can only be applied to a function

//# on_an_impl
struct A;
#[task("send")]
impl A {
//^^ can only be applied to a function
    fn send_it() {}
}

//# on_a_trait
#[task("send")]
trait Send2 {}
//^^^ can only be applied to a function

//# on_an_import
#[task("send")]
use std::fmt;
//^ can only be applied to a function

//# on_a_type_alias
#[task("send")]
type A = u8;
//^^ can only be applied to a function

//# on_a_method_with_self
struct Mail;
impl Mail {
    #[task("send")]
    fn send_it(&self, to: &str) {
//             ^^^^^ free function | #[state]
        let _ = to;
    }
}

//# without_a_body
#[task("send")]
fn send_it(to: &str);
// ^^^^^^^ must have a body

//# const_fn
#[task("send")]
const fn send_it() {}
//^^^ remove `const`

//# unsafe_fn
#[task("send")]
unsafe fn send_it() {}
//^^^^ cannot be `unsafe`

//# extern_fn
#[task("send")]
extern "C" fn send_it() {}
//^^^^^^^^ remove `extern`

//# generic
#[task("send")]
fn send_it<T>(item: T) {
//         ^ cannot be generic | one `#[task]` function for each type
    let _ = item;
}

//# generic_with_a_bound
#[task("send")]
fn send_it<T: Into<String>>(item: T) {
//         ^ cannot be generic
    let _ = item.into();
}

//# const_generic
#[task("send")]
fn send_it<const N: usize>(item: [u8; N]) {
//         ^^^^^ cannot be generic
    let _ = item;
}

//# impl_trait
#[task("send")]
fn send_it(to: impl Into<String>) {
//             ^^^^ concrete type
    let _ = to.into();
}

//# impl_trait_borrowed
#[task("send")]
fn send_it(to: &impl AsRef<str>) {
//              ^^^^ concrete type
    let _ = to.as_ref();
}

//# pattern_of_a_tuple
#[task("send")]
fn send_it((x, y): (u8, u8)) {
//         ^^^^^^ plain name | destructure
    let _ = (x, y);
}

//# pattern_of_a_struct
struct At {
    x: u8,
}
#[task("send")]
fn send_it(At { x }: At) {
//         ^^ plain name | destructure
    let _ = x;
}

//# underscore
#[task("send")]
fn send_it(_: u8) {}
//         ^ plain name

//# by_ref
#[task("send")]
fn send_it(ref x: u8) {
//         ^^^ plain name
    let _ = x;
}

//# reference_pattern
#[task("send")]
fn send_it(&x: &u8) {
//         ^^ plain name
    let _ = x;
}

//# parameter_twice
#[task("send")]
fn send_it(to: &str, to: &str) {
//                   ^^ more than once
    let _ = to;
}

//# extra_lifetime
#[task("send")]
fn send_it<'a>(to: &'b str) {
//                  ^^ undeclared lifetime
    let _ = to;
}

//# macro_attribute_misspelt
#[tsak("send")]
//^^^^ tsak
fn send_it() {}

//# free_function_with_self
#[task("send")]
fn send_it(&self, to: &str) {
//         ^^^^^ free function
    self.send(to);
}

//# const_fn_with_a_body_for_run_time
#[task("send")]
const fn send_it() {
//^^^ remove `const`
    println!("sent");
}

//# variadic
#[task("send")]
fn send_it(args: ...) {
//         ^^^^^^^^^ fixed number
    let _ = args;
}

//# unknown_abi
#[task("send")]
extern "wasm" fn send_it() {}
//^^^^^^^^^^^ remove `extern`

//# pattern_that_does_not_match_each_value
#[task("send")]
fn send_it(Some(x): Option<u8>) {
//         ^^^^^^^ plain name
    let _ = x;
}

//# name_of_the_struct
#[task("send")]
fn Cleanup() {}
// ^^^^^^^ params = CleanupJob
