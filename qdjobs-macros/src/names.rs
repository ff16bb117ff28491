//! The names the macro makes: the params struct's, and the guard's that no two tasks of a crate can share.
//!
//! Leans on `diagnostics`. Writes no code.

use proc_macro2::{Ident, Span};
use quote::format_ident;
use syn::LitStr;
use syn::ext::IdentExt;

use crate::diagnostics::Errors;

/// Names that every module sees without an import, or sees through `use qdjobs::prelude::*`. A struct of such a name
/// would silently take its place for all the code around the task.
const TAKEN: [&str; 56] = [
    "AsMut",
    "AsRef",
    "AsyncFn",
    "AsyncFnMut",
    "AsyncFnOnce",
    "AsyncQueue",
    "Backoff",
    "Box",
    "Clone",
    "Copy",
    "Default",
    "DoubleEndedIterator",
    "Drop",
    "Enqueue",
    "Eq",
    "Err",
    "ExactSizeIterator",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Future",
    "Into",
    "IntoFuture",
    "IntoIterator",
    "Iterator",
    "JobContext",
    "JobHandle",
    "JobId",
    "JobQueue",
    "JobRequest",
    "None",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Result",
    "Self",
    "Send",
    "Sized",
    "Some",
    "State",
    "String",
    "Sync",
    "Task",
    "TaskError",
    "ToOwned",
    "ToString",
    "TryFrom",
    "TryInto",
    "Vec",
    "Worker",
    "WorkerHandle",
];

/// The name of the params struct: the one asked for, or the function's in CamelCase.
pub(crate) fn of_struct(function: &Ident, asked: Option<&Ident>, errors: &mut Errors) -> Ident {
    let name = asked.map_or_else(|| camel_case(function), Ident::to_string);
    if name.is_empty() || name.starts_with(char::is_numeric) {
        let why = format_args!("no type can be named after `{function}`");
        errors.add_with_help(function, why, "name the params struct: params = MyTask");
        return format_ident!("Task{name}", span = function.span());
    }
    if TAKEN.contains(&name.as_str()) {
        errors.add_with_help(
            asked.unwrap_or(function),
            format_args!("this task's params struct would be named `{name}` and hide the standard `{name}`"),
            format_args!("give it another name: params = {name}Job"),
        );
        return format_ident!("{name}Job", span = function.span());
    }
    asked.cloned().unwrap_or_else(|| Ident::new(&name, function.span()))
}

/// `send_email` to `SendEmail`.
fn camel_case(function: &Ident) -> String {
    let function = function.unraw().to_string();
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    function.split('_').map(word).collect()
}

/// The name of the item that stands for a task's name: the same name twice is the same item twice, which rustc refuses
/// everywhere in the crate, also in `cargo check`.
pub(crate) fn of_guard(name: &LitStr) -> Ident {
    let text = name.value();
    let word: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    // `a.b` and `a_b` are two names.
    let suffix = if word == text { String::new() } else { format!("_{:08x}", fnv(&text)) };
    format_ident!("__qdjobs_task_named_{word}{suffix}", span = name.span())
}

/// Fowler–Noll–Vo, 32 bits: tells a handful of names apart, the same in every build.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The words of `name` for people: without `r#`.
pub(crate) fn plain(name: &Ident) -> String {
    name.unraw().to_string()
}

/// An identifier of the expansion that no user's local can be or see.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_struct_is_the_camel_case_of_the_function() {
        for (function, name) in [("send_email", "SendEmail"), ("_x2_y", "X2Y"), ("über_blick", "ÜberBlick")]
        {
            assert_eq!(camel_case(&Ident::new(function, Span::call_site())), name);
        }
        assert_eq!(camel_case(&Ident::new_raw("type", Span::call_site())), "Type");
    }

    #[test]
    fn names_that_differ_only_in_a_sign_have_guards_of_their_own() {
        let guard = |name| of_guard(&LitStr::new(name, Span::call_site())).to_string();
        assert_eq!(guard("send_email"), "__qdjobs_task_named_send_email");
        assert_ne!(guard("a.b"), guard("a_b"));
        assert_ne!(guard("a.b"), guard("a-b"));
    }

    #[test]
    fn the_list_of_taken_names_is_sorted_and_has_no_name_twice() {
        assert!(TAKEN.is_sorted_by(|a, b| a < b));
    }
}
