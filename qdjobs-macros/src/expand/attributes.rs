//! Which attributes of the function the generated items repeat: `cfg`, lint levels, doc comments.
//!
//! The macro's own attributes of parameters are read in `signature`.
//!
//! Depends on `tokens`.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, Expr, Lit, Meta};

use crate::tokens::emit;

/// The attributes whose path is one of `words`.
pub(super) fn attributes_named(attrs: &[Attribute], words: &[&str]) -> Vec<TokenStream> {
    let wanted = |attr: &&Attribute| words.iter().any(|word| attr.path().is_ident(word));
    attrs.iter().filter(wanted).map(ToTokens::to_token_stream).collect()
}

/// The lints that are allowed at one of `attrs`, as attributes for generated items. An `expect` becomes an
/// `allow`: the lint need not occur in each item.
pub(super) fn allowed_lints(attrs: &[Attribute]) -> Vec<TokenStream> {
    let allowed = |attr: &Attribute| match &attr.meta {
        Meta::List(list) if list.path.is_ident("allow") || list.path.is_ident("expect") => {
            let lints = &list.tokens;
            Some(emit!(#[allow(#lints)]))
        }
        _ => None,
    };
    attrs.iter().filter_map(allowed).collect()
}

/// The doc comments `docs`, or `default` if there are none.
pub(super) fn docs_or(docs: Vec<TokenStream>, default: String) -> Vec<TokenStream> {
    if docs.is_empty() { vec![emit!(#[doc = #default])] } else { docs }
}

/// The text of the doc comments, as the runtime shows it; `None` if there is none.
pub(super) fn doc_text(attrs: &[Attribute]) -> Option<String> {
    let line = |attr: &Attribute| match &attr.meta {
        Meta::NameValue(pair) if attr.path().is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => {
                    Some(text.value().strip_prefix(' ').map(str::to_owned).unwrap_or_else(|| text.value()))
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let lines: Vec<String> = attrs.iter().filter_map(line).collect();
    let text = lines.join("\n").trim().to_owned();
    (!text.is_empty()).then_some(text)
}
