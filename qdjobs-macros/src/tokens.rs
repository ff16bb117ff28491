//! The building blocks of generated code: `emit!`, the path of the runtime, identifiers, and spans.
//!
//! Knows no option and no parameter: what is generated is decided in `expand`.
//!
//! Depends on syn and quote only.
//!
//! Rules for spans. Each one prevents a misleading compiler error:
//!
//! - Everything is written at `mixed_site`, so that a generated local variable cannot collide with a name of
//!   the user.
//! - A bound on a user's type is asked by a qualified path whose *punctuation* has the span of the type. The
//!   error then points at the type. Writing and reading ask the same bound at the same span, so rustc prints
//!   the error once. With a borrowed span on an identifier, an editor would offer the runtime's trait as the
//!   definition of the user's type.
//! - A user's expression is emitted unwrapped, not inside a cast or a closure. A type error then points at
//!   the expression itself.

use proc_macro2::{Ident, Span, TokenStream};
use syn::Token;

/// `quote!` at `mixed_site`.
macro_rules! emit {
    ($($tokens:tt)*) => {
        ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*)
    };
}
pub(crate) use emit;

/// The alias of the runtime's `__private` module inside the generated block. It is short because the block
/// uses it about fifty times.
pub(crate) fn private_alias() -> TokenStream {
    emit!(__q)
}

/// An identifier of generated code. User code can neither see nor shadow it.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The spans of the first and the last token. Only a nightly compiler can join them into one span.
pub(crate) fn end_spans(tokens: &TokenStream) -> (Span, Span) {
    let spans: Vec<Span> = tokens.clone().into_iter().map(|token| token.span()).collect();
    let end = |span: Option<&Span>| span.copied().unwrap_or_else(Span::mixed_site);
    (end(spans.first()), end(spans.last()))
}

/// `<ty as Bound>::item`, with errors at the tokens from the first to the second span.
pub(crate) fn qualified(
    private: &TokenStream,
    ty: &TokenStream,
    (first, last): (Span, Span),
    bound: &str,
    item: &str,
) -> TokenStream {
    let (bound, item) = (local(bound), local(item));
    let (open, close, dots) = (Token![<](first), Token![>](last), Token![::](last));
    emit!(#open #ty as #private::#bound #close #dots #item)
}
