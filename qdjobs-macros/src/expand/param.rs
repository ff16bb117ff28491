//! Generates the tokens of a stored parameter: its type, its default, and the argument it becomes.
//!
//! Generates no item. Which type is stored is decided in `signature/stored_type.rs`.
//!
//! Depends on `signature` and `tokens`.

use proc_macro2::{Literal, Span, TokenStream};
use syn::Token;

use crate::signature::{Default, OwnedType, PassBy, StoredParam, StoredType};
use crate::tokens::{emit, projection, qualified_function};

impl StoredParam {
    /// The number of the parameter, as a literal.
    pub(super) fn at(&self) -> Literal {
        Literal::usize_unsuffixed(self.at)
    }

    /// The function that returns the value of `#[default]`. `of` is the params struct.
    pub(super) fn default_fn(&self, private: &TokenStream, of: &TokenStream) -> Option<TokenStream> {
        match self.default.as_ref()? {
            Default::Value(_) => {
                let at = self.at();
                Some(emit!(<#of as #private::ParamDefault<#at>>::value))
            }
            Default::OfType => Some(self.ty.qualified(private, "Default", "default")),
        }
    }

    /// The argument for the function, from the decoded `params`.
    pub(super) fn argument(&self, private: &TokenStream) -> TokenStream {
        let name = &self.name;
        let field = emit!(params.#name);
        match &self.ty.pass_by {
            PassBy::Move => field,
            PassBy::Ref => emit!(&#field),
            PassBy::Deref => emit!(#private::Option::as_deref(&#field)),
            PassBy::AsRef => emit!(#private::Option::as_ref(&#field)),
            PassBy::Borrow(ty) => emit!(#private::lend::<#ty>(&#field)),
        }
    }
}

impl StoredType {
    /// `<type as Bound>::item`, with errors at the type as written.
    pub(super) fn qualified(&self, private: &TokenStream, bound: &str, item: &str) -> TokenStream {
        qualified_function(private, &self.owned.bound_tokens(private, self.spans), self.spans, bound, item)
    }
}

impl OwnedType {
    /// The type as tokens, of which the first and the last have these spans: an error about a bound on the type
    /// points at the type from its first to its last token.
    fn bound_tokens(&self, private: &TokenStream, (first, last): (Span, Span)) -> TokenStream {
        match self {
            OwnedType::Vec(item) => projection(private, &emit!([#item]), (first, last), "Slice", "List"),
            other => other.tokens(private),
        }
    }

    /// The type as tokens.
    pub(super) fn tokens(&self, private: &TokenStream) -> TokenStream {
        match self {
            OwnedType::AsWritten(ty) => ty.clone(),
            OwnedType::String => emit!(#private::String),
            OwnedType::Vec(item) => emit!(#private::Vec<#item>),
            OwnedType::ToOwned(ty) => emit!(<#ty as #private::ToOwned>::Owned),
            OwnedType::Option(option, inner, at) => {
                let (inner, open, close) = (inner.tokens(private), Token![<](at.0), Token![>](at.1));
                emit!(#option #open #inner #close)
            }
        }
    }
}
