//! The first argument of `task`, and the names that the macro makes.

//# no_arguments
#[task]
//^^^^^ #[task("send_it")]
fn send_it() {}

//# empty_parentheses
#[task()]
//^^^^^^^ the first argument of `task`
fn send_it() {}

//# name_is_an_identifier
#[task(send_it)]
//     ^^^^^^^ string literal | #[task("send_it")]
fn send_it() {}

//# name_is_a_path
#[task(mail::send)]
//     ^^^^ string literal | #[task("send_it")]
fn send_it() {}

//# name_is_a_constant
#[task(NAME)]
//     ^^^^ string literal | #[task("send_it")]
fn send_it() {}
const NAME: &str = "send";

//# name_is_a_macro_call
#[task(concat!("a", "b"))]
//     ^^^^^^ string literal | #[task("send_it")]
fn send_it() {}

//# name_is_a_macro_call_before_options
#[task(format!("a"), queue = "mail")]
//     ^^^^^^ string literal
fn send_it() {}

//# name_is_a_number
#[task(5)]
//     ^ string literal | #[task("send_it")]
fn send_it() {}

//# name_is_a_negative_number
#[task(-5)]
//     ^ string literal
fn send_it() {}

//# name_is_a_character
#[task('a')]
//     ^^^ string literal
fn send_it() {}

//# name_is_bytes
#[task(b"send")]
//     ^^^^^^^ string literal
fn send_it() {}

//# name_is_a_c_string
#[task(c"send")]
//     ^^^^^^^ string literal
fn send_it() {}

//# name_is_a_boolean
#[task(true)]
//     ^^^^ string literal
fn send_it() {}

//# name_is_a_list
#[task(["send"])]
//     ^^^^^^^^ string literal
fn send_it() {}

//# name_is_a_reference
#[task(&"send")]
//     ^ string literal
fn send_it() {}

//# name_has_a_key
#[task(name = "send")]
//     ^^^^ without a key
fn send_it() {}

//# id_instead_of_a_name
#[task(id = "send")]
//     ^^ without a key
fn send_it() {}

//# name_after_an_option
#[task(queue = "mail", "send")]
//     ^^^^^ the first argument
fn send_it() {}

//# only_an_option
#[task(queue = "mail")]
//     ^^^^^ the first argument | #[task("send_it")]
fn send_it() {}

//# only_a_list_option
#[task(aliases("old"))]
//     ^^^^^^^ the first argument
fn send_it() {}

//# name_with_a_key_behind_an_option
#[task(queue = "mail", name = "send")]
//                     ^^^^ without a key
fn send_it() {}

//# name_in_parentheses_of_an_option
#[task(name("send"))]
//     ^^^^ without a key
fn send_it() {}

//# name_with_a_space
#[task("send it")]
//     ^^^^^^^^^ ' ' | A-Z
fn send_it() {}

//# empty_name
#[task("")]
//     ^^ empty
fn send_it() {}

//# name_with_an_umlaut
#[task("grüße")]
//     ^^^^^^^ 'ü'
fn send_it() {}

//# name_with_a_newline
#[task("a\nb")]
//     ^^^^^^ '\n'
fn send_it() {}

//# name_begins_with_a_dot
#[task(".send")]
//     ^^^^^^^ begin with a letter
fn send_it() {}

//# name_begins_with_an_underscore
#[task("_send")]
//     ^^^^^^^ begin with a letter
fn send_it() {}

//# name_too_long
#[task("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
//     ^^^^^^^^^^ at most 100
fn send_it() {}

//# two_names
#[task("send", "post")]
//             ^^^^^^ aliases("post")
fn send_it() {}

//# name_with_a_suffix
#[task("send"x)]
//     ^^^^^^^ suffix
fn send_it() {}

//# same_name_twice
#[task("send")]
fn send_it() {}
#[task("send")]
//     ^^^^^^ task_named_send | defined multiple times
fn send_more() {}

//# same_name_in_two_modules
mod first {
    #[qdjobs::task("send.now")]
    fn send_it() {}
}
mod second {
    #[qdjobs::task("send.now")]
    //             ^^^^^^^^^^ task_named_send_now | defined multiple times
    fn send_it() {}
}

//# alias_is_the_name_of_another_task
#[task("send")]
fn send_it() {}
#[task("post", aliases("send"))]
//                     ^^^^^^ task_named_send | defined multiple times
fn post_it() {}

//# alias_of_two_tasks
#[task("send", aliases("old"))]
fn send_it() {}
#[task("post", aliases("old"))]
//                     ^^^^^ task_named_old | defined multiple times
fn post_it() {}

//# alias_is_its_own_name
#[task("send", aliases("send"))]
//                     ^^^^^^ more than once | remove
fn send_it() {}

//# alias_twice
#[task("send", aliases("old", "old"))]
//                            ^^^^^ more than once | remove
fn send_it() {}

//# attribute_twice
#[task("send")]
#[task("post")]
//^^^^^^^^^^^^^ more than once | aliases
fn send_it(to: &str) {
    let _ = to;
}

//# attribute_twice_with_the_same_name
#[task("send")]
#[task("send")]
//^^^^^^^^^^^^^ more than once
fn send_it(to: &str) {
    let _ = to;
}

//# attribute_twice_by_path
#[qdjobs::task("send", queue = "mail")]
/// Sends.
#[qdjobs::task("post")]
//^^^^^^^^^^^^^^^^^^^^^ more than once
pub async fn send_it(to: &str, #[state] n: &u8, #[default] m: u8) -> Result<u8, String> {
    let _ = (to, n, m);
    Ok(1)
}

//# attribute_three_times
#[task("send")]
#[task("post")]
//^^^^^^^^^^^^^ more than once
#[task("mail")]
fn send_it() {}

//# struct_of_the_same_name
struct SendIt;
#[task("send")]
fn send_it() {}
// ^^^^^^^ `SendIt` is defined multiple times

//# struct_of_the_same_name_behind
#[task("send")]
fn send_it(to: &str) {
    let _ = to;
}
pub struct SendIt {
//^^^^^^^^^^^^^^^ `SendIt` is defined multiple times
    pub to: String,
}

//# prelude_name
#[task("send")]
fn send() {}
// ^^^^ params = SendJob

//# name_of_a_type_of_the_prelude
#[task("string")]
fn string(n: u8) {
// ^^^^^^ params = StringJob
    let _ = n;
}

//# prelude_name_by_option
#[task("send_it", params = Vec)]
//                         ^^^ params = VecJob
fn send_it() {}

//# function_without_letters
#[task("send")]
fn _1() {}
// ^^ params = MyTask
