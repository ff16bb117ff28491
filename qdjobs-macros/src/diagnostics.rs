//! Collects all errors of one task ([`Errors`]), and finds the word for a compile-time "did you mean"
//! ([`suggest`]).
//!
//! Contains no message of a single check: the code that reads an option or a parameter has it. The message
//! for an unknown option is in `options/known.rs`.
//!
//! Depends on syn's error type, and on strsim for the distance between words.
//!
//! A message says what is wrong and why. Its `help:` line says what to write instead.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;
use strsim::osa_distance;

/// All errors of one task, so that the compiler reports them together.
#[derive(Default)]
pub(crate) struct Errors(Vec<syn::Error>);

impl Errors {
    /// Adds an error at `at`.
    pub(crate) fn add(&mut self, at: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(at, message));
    }

    /// Adds an error at `at` with a `help:` line.
    pub(crate) fn add_with_help(&mut self, at: impl ToTokens, message: impl Display, help: impl Display) {
        self.push(error(at, message, help));
    }

    /// Adds an error that exists already, such as one of the parser.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.0.push(error);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One `compile_error!` for each error.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.iter().map(syn::Error::to_compile_error).collect()
    }
}

/// An error at `at` with a `help:` line.
pub(crate) fn error(at: impl ToTokens, message: impl Display, help: impl Display) -> syn::Error {
    syn::Error::new_spanned(at, format_args!("{message}\nhelp: {help}"))
}

/// The candidate that differs from `word` by a typing error, if there is one.
pub(crate) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance_max = (word.len() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(word, candidate), candidate))
        // Without the second limit a short candidate would match any short word.
        .filter(|(distance, candidate)| *distance <= distance_max && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_has_a_suggestion_and_another_word_has_none() {
        let words = ["queue", "priority", "retries", "timeout"];
        assert_eq!(suggest("timout", words), Some("timeout"));
        assert_eq!(suggest("retry", words), None);
        assert_eq!(suggest("qeueu", words), Some("queue"));
        assert_eq!(suggest("colour", words), None);
        assert_eq!(suggest("x", ["to"]), None);
    }
}
