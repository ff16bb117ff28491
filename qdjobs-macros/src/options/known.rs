//! The keys of the options of `#[task(...)]`, and the message for an unknown one.
//!
//! Includes planned options and the names that other frameworks use. Reads no value: `values` does.
//!
//! Depends on `diagnostics` for suggestions.

use proc_macro2::Ident;
use syn::ext::IdentExt;

use crate::diagnostics::suggest;

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
const SYNONYMS: [(&str, &str); 24] = [
    ("alias", "aliases"),
    ("attempts", "retries"),
    ("channel", "queue"),
    ("debounce", "unique"),
    ("dedup", "unique"),
    ("delay", "backoff"),
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

/// The message for a key that is not a supported option.
pub(super) fn unknown_option(word: &str, function: &Ident) -> String {
    if PLANNED.contains(&word) {
        return format!("the option `{word}` is not supported yet\nhelp: remove it");
    }
    if word == "name" {
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
