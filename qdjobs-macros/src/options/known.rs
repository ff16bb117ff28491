//! The keys of the options of `#[task(...)]`, and the message for an unknown one.
//!
//! Includes planned options and the names that other frameworks use. Reads no value: `values` does.
//!
//! Depends on `diagnostics` for suggestions, and on `names`.

use proc_macro2::Ident;
use syn::ext::IdentExt;

use crate::diagnostics::suggest;
use crate::names::camel_case;

/// The supported options, each with an example.
pub(super) const OPTIONS: [(&str, &str); 8] = [
    ("queue", "queue = \"mail\""),
    ("priority", "priority = 10"),
    ("retries", "retries = 5"),
    ("backoff", "backoff = exponential(\"1s\", factor = 2, max = \"1h\")"),
    ("timeout", "timeout = \"30s\""),
    ("aliases", "aliases(\"old_name\")"),
    ("params", "params = SendMail"),
    ("crate", "crate = path::to::qdjobs"),
];

/// Planned options. Each is rejected by name, because an option that is accepted must have its effect.
const PLANNED: [&str; 3] = ["concurrency", "unique", "cron"];

/// The names that other frameworks use for these options.
const SYNONYMS: [(&str, &str); 23] = [
    ("alias", "aliases"),
    ("attempts", "retries"),
    ("channel", "queue"),
    ("debounce", "unique"),
    ("dedup", "unique"),
    ("every", "cron"),
    ("limit", "concurrency"),
    ("max_attempts", "retries"),
    ("max_concurrency", "concurrency"),
    ("max_retries", "retries"),
    ("payload", "params"),
    ("prio", "priority"),
    ("rename", "params"),
    ("retry", "retries"),
    ("retry_delay", "backoff"),
    ("schedule", "cron"),
    ("struct", "params"),
    ("struct_name", "params"),
    ("time_limit", "timeout"),
    ("topic", "queue"),
    ("tries", "retries"),
    ("ttl", "timeout"),
    ("weight", "priority"),
];

/// What callers set for one job, with the words for it: the method of the params struct.
const OF_A_JOB: [(&str, &str); 13] = [
    ("at", "at"),
    ("delay", "delay"),
    ("delay_for", "delay"),
    ("display_name", "display_name"),
    ("idempotency_key", "idempotency_key"),
    ("job_key", "idempotency_key"),
    ("key", "idempotency_key"),
    ("meta", "metadata"),
    ("metadata", "metadata"),
    ("run_at", "at"),
    ("run_in", "delay"),
    ("scheduled_at", "at"),
    ("start_at", "at"),
];

/// The attributes of parameters.
const OF_A_PARAMETER: [&str; 4] = ["ctx", "default", "state", "with"];

/// The words for the task's name, which has no key.
const NAMES: [&str; 4] = ["id", "name", "task", "task_name"];

/// Whether this is a word for the task's name.
pub(super) fn is_name(word: &str) -> bool {
    NAMES.contains(&word)
}

/// The message for a key that is not a supported option.
pub(super) fn unknown_option(word: &str, function: &Ident) -> String {
    if let Some((_, method)) = OF_A_JOB.iter().find(|(theirs, _)| *theirs == word) {
        return format!(
            "the option `{word}` belongs to one job, and not to its task\nhelp: set it when you enqueue the job: \
             {}::new(..).{method}(..)",
            camel_case(function)
        );
    }
    if OF_A_PARAMETER.contains(&word) {
        return format!(
            "`{word}` is an attribute of a parameter, and not an option of the task\nhelp: write `#[{word}]` before \
             the parameter"
        );
    }
    if PLANNED.contains(&word) {
        return format!("the option `{word}` is not supported yet\nhelp: remove it");
    }
    if is_name(word) {
        return format!(
            "the first argument of `task` is the task's name, without a key\nhelp: #[task(\"{}\")]",
            function.unraw()
        );
    }
    let known = OPTIONS.iter().map(|(known, _)| *known).chain(PLANNED);
    let synonym = SYNONYMS.iter().find(|(theirs, _)| *theirs == word).map(|(_, ours)| *ours);
    match synonym.or_else(|| suggest(word, known)) {
        Some(ours) if PLANNED.contains(&ours) => {
            format!(
                "unknown option `{word}`\nhelp: the option for this is `{ours}`, which is not supported yet"
            )
        }
        Some(ours) => format!("unknown option `{word}`\nhelp: did you mean `{ours}`?"),
        None => {
            let all = OPTIONS.map(|(known, _)| known).join(", ");
            format!("unknown option `{word}`\nhelp: the options are {all}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OPTIONS;

    /// Editors take it from the macro itself, and not from the documentation at its re-export.
    #[test]
    fn the_text_that_editors_show_for_the_attribute_names_every_option() {
        let (before, _) =
            include_str!("../lib.rs").split_once("#[proc_macro_attribute]\npub fn task(").unwrap();
        let lines: Vec<&str> =
            before.lines().rev().map_while(|line| line.strip_prefix("///")).map(str::trim).collect();
        let text = lines.join(" ");
        assert!(lines.len() >= 8 && text.contains("a function a background job"), "{text}");
        for (option, _) in OPTIONS {
            assert!(
                text.contains(&format!("`{option}`")) || text.contains(&format!("`{option}(..)`")),
                "{option}"
            );
        }
        assert!(text.contains("<https://docs.rs/qdjobs/"), "{text}");
    }
}
