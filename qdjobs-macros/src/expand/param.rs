//! Generates the tokens of a stored parameter: its type, its default, and the argument it becomes.
//!
//! Generates no item. Which type is stored is decided in `signature/stored_type.rs`.
//!
//! Depends on `signature` and `tokens`.

use proc_macro2::{Ident, TokenStream};

use crate::signature::{Default, OwnedType, PassBy, StoredParam, StoredType};
use crate::tokens::{emit, local, qualified};

impl StoredParam {
    /// The name of the function that returns the value of `#[default(expression)]`.
    pub(super) fn default_name(&self) -> Ident {
        local(&format!("__default_{}", self.key))
    }

    /// The function that returns the value of `#[default]`.
    pub(super) fn default_fn(&self, private: &TokenStream) -> Option<TokenStream> {
        match self.default.as_ref()? {
            Default::Value(_) => {
                let name = self.default_name();
                Some(emit!(Self::#name))
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
        qualified(private, &self.owned.tokens(private), self.spans, bound, item)
    }
}

impl OwnedType {
    pub(super) fn tokens(&self, private: &TokenStream) -> TokenStream {
        match self {
            OwnedType::AsWritten(ty) => ty.clone(),
            OwnedType::String => emit!(#private::String),
            OwnedType::Vec(item) => emit!(#private::Vec<#item>),
            OwnedType::ToOwned(ty) => emit!(<#ty as #private::ToOwned>::Owned),
            OwnedType::Option(option, inner) => {
                let inner = inner.tokens(private);
                emit!(#option<#inner>)
            }
        }
    }
}
