//! The building blocks of generated code: `emit!`, the path of the runtime, identifiers, and spans. Also
//! recognizes a text that is written without quotes.
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

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
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

/// The type `<ty as Bound>::Item`, whose first and last token have these spans.
pub(crate) fn projection(
    private: &TokenStream,
    ty: &TokenStream,
    (first, last): (Span, Span),
    bound: &str,
    item: &str,
) -> TokenStream {
    let item = qualified(private, ty, (first, last), bound, item);
    // The name of the item has another span, so an empty list of type arguments is the end.
    let (open, close) = (Token![<](last), Token![>](last));
    emit!(#item #open #close)
}

/// `<ty>::function(arguments)`, with errors at the tokens from the first to the second span. The span of
/// `arguments` must be the second one.
pub(crate) fn spanned_call(
    ty: TokenStream,
    function: &str,
    arguments: Group,
    (first, last): (Span, Span),
) -> TokenStream {
    let function = local(function);
    // The path ends with an empty list of type arguments, since the name of the function has another span.
    let (open, close) = (Token![<](first), Token![>](last));
    let (dots, end_open, end_close) = (Token![::](last), Token![<](last), Token![>](last));
    emit!(#open #ty #close::#function #dots #end_open #end_close #arguments)
}

/// The arguments of a call of [`qualified_function`], whose errors point at the tokens from the first to the second
/// span.
pub(crate) fn arguments_at(arguments: TokenStream, (_, last): (Span, Span)) -> Group {
    let mut arguments = Group::new(Delimiter::Parenthesis, arguments);
    arguments.set_span(last);
    arguments
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

/// As [`qualified`], for a function. The path also ends at the second span, where errors about lifetimes then point.
pub(crate) fn qualified_function(
    private: &TokenStream,
    ty: &TokenStream,
    spans: (Span, Span),
    bound: &str,
    item: &str,
) -> TokenStream {
    let item = qualified(private, ty, spans, bound, item);
    // As in `spanned_call`.
    let (dots, open, close) = (Token![::](spans.1), Token![<](spans.1), Token![>](spans.1));
    emit!(#item #dots #open #close)
}

/// The text of an expression that consists of words in lower case: `mail`, `mail-slow`, `mail::slow`. The
/// style lints of rustc exclude that it is a constant, so quotes are missing.
pub(crate) fn words_without_quotes(value: &impl ToTokens) -> Option<String> {
    let is_word = |token: &TokenTree| match token {
        TokenTree::Ident(word) => word.to_string().starts_with(char::is_lowercase),
        TokenTree::Punct(sign) => ".:/-".contains(sign.as_char()),
        _ => false,
    };
    let tokens: Vec<TokenTree> = value.to_token_stream().into_iter().collect();
    let is_keyword =
        |word: &Ident| ["crate", "self", "super", "true", "false"].iter().any(|known| word == known);
    let begins = matches!(tokens.first(), Some(TokenTree::Ident(first)) if !is_keyword(first));
    (begins && tokens.iter().all(is_word)).then(|| tokens.iter().map(TokenTree::to_string).collect())
}
