//! How the macro speaks: [`Errors`] gathers every mistake of one task, [`nearest`] guesses the word that was meant.
//!
//! Leans on syn's error type, and on strsim for the distance between words. Knows no option and no parameter: what is wrong is decided where it is read.
//!
//! A message says what is wrong, why it matters here, and on a `help:` line what to write instead.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;
use strsim::osa_distance;

/// All the mistakes of one task, so that a person fixes them in one pass.
#[derive(Default)]
pub(crate) struct Errors(Vec<syn::Error>);

impl Errors {
    /// Notes a mistake at the tokens that make it.
    pub(crate) fn add(&mut self, at: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(at, message));
    }

    /// Notes a mistake with what to write instead.
    pub(crate) fn add_with_help(&mut self, at: impl ToTokens, message: impl Display, help: impl Display) {
        self.add(at, format_args!("{message}\nhelp: {help}"));
    }

    /// Notes a mistake found by the parser.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.0.push(error);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One `compile_error!` a mistake.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.iter().map(syn::Error::to_compile_error).collect()
    }
}

/// The candidate that differs from `word` by a slip of the keyboard, if there is one.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let reach = (word.len() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(word, candidate), candidate))
        // A distance as long as the word itself would make any short word "near".
        .filter(|(distance, candidate)| *distance <= reach && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_finds_its_word_and_another_word_finds_none() {
        let words = ["queue", "priority", "retries", "timeout"];
        assert_eq!(nearest("timout", words), Some("timeout"));
        assert_eq!(nearest("retry", words), None);
        assert_eq!(nearest("qeueu", words), Some("queue"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest("x", ["to"]), None);
    }
}
