//! Checks task and queue names, and makes the names of the params struct and of the guard macro.
//!
//! Generates no code: the struct is in `expand/params_struct.rs`, the guard macro in
//! `expand/registration.rs`. The run-time check of names is in the runtime's `model/job/checks.rs`.
//!
//! Depends on `diagnostics`.

use proc_macro2::Ident;
use quote::format_ident;
use syn::LitStr;
use syn::ext::IdentExt;

use crate::diagnostics::Errors;

/// Longest name of a task or a queue, in bytes. The runtime has the same limit for names that are not
/// literals.
const NAME_BYTES_MAX: usize = 100;

/// Names that every module sees without an import, or through `use qdjobs::prelude::*`. A params struct with
/// such a name would shadow it in the code around the task.
const PRELUDE_NAMES: [&str; 53] = [
    "AsMut",
    "AsRef",
    "AsyncFn",
    "AsyncFnMut",
    "AsyncFnOnce",
    "AsyncQueue",
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

/// Checks the name of a task or a queue with the rules of the runtime, and reports an error at the literal.
pub(crate) fn check(what: &str, name: &LitStr, errors: &mut Errors) {
    let text = name.value();
    let bad = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"_.:/-".contains(*c));
    let problem = if text.is_empty() {
        "must not be empty".to_owned()
    } else if let Some(bad) = bad {
        format!("must not contain {bad:?}")
    } else if text.len() > NAME_BYTES_MAX {
        format!("must have at most {NAME_BYTES_MAX} characters; this one has {}", text.len())
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "must begin with a letter or a digit".to_owned()
    } else {
        return;
    };
    errors.add_with_help(
        name,
        format_args!("the name of a {what} {problem}"),
        format_args!(
            "use 1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 _ . : / - and begin with a letter or a \
             digit"
        ),
    );
}

/// The name of the params struct: the value of the option `params`, or the function's name in CamelCase.
pub(crate) fn of_struct(function: &Ident, params: Option<&Ident>, errors: &mut Errors) -> Ident {
    let name = params.map_or_else(|| camel_case(function), Ident::to_string);
    if name.is_empty() || name.starts_with(char::is_numeric) {
        let message = format_args!("cannot make a struct name from `{function}`");
        errors.add_with_help(function, message, "set the name of the params struct: params = MyTask");
        return format_ident!("Task{name}", span = function.span());
    }
    if PRELUDE_NAMES.contains(&name.as_str()) {
        errors.add_with_help(
            params.unwrap_or(function),
            format_args!("the params struct would be named `{name}` and shadow the `{name}` of the prelude"),
            format_args!("choose another name: params = {name}Job"),
        );
        return format_ident!("{name}Job", span = function.span());
    }
    params.cloned().unwrap_or_else(|| Ident::new(&name, function.span()))
}

/// `send_email` to `SendEmail`.
pub(crate) fn camel_case(function: &Ident) -> String {
    let function = function.unraw().to_string();
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    function.split('_').map(word).collect()
}

/// The name of the guard macro for a task's name. Two tasks with the same name define the same macro twice,
/// which rustc rejects anywhere in the crate, also in `cargo check`. The error shows the name of the macro, so
/// it says what is wrong.
pub(crate) fn of_guard(name: &LitStr) -> Ident {
    let text = name.value();
    let word: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    // The hash keeps `a.b` and `a_b` apart.
    let suffix = if word == text { String::new() } else { format!("_{:08x}", fnv(&text)) };
    format_ident!("task_named_{word}{suffix}", span = name.span())
}

/// The 32-bit FNV-1a hash: the same in every build, and wide enough for the task names of one crate.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The name as text, without `r#`.
pub(crate) fn plain(name: &Ident) -> String {
    name.unraw().to_string()
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

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
    fn names_that_differ_in_one_punctuation_mark_have_different_guards() {
        let guard = |name| of_guard(&LitStr::new(name, Span::call_site())).to_string();
        assert_eq!(guard("send_email"), "task_named_send_email");
        assert_ne!(guard("a.b"), guard("a_b"));
        assert_ne!(guard("a.b"), guard("a-b"));
    }

    #[test]
    fn the_prelude_names_are_sorted_and_unique() {
        assert!(PRELUDE_NAMES.is_sorted_by(|a, b| a < b));
    }
}
