//! Refuses return types that no task can have: a borrow, `impl Trait`, `!`. Returns the type as it is
//! written.
//!
//! Whether the value can be stored is decided by the compiler, with the requirements in the runtime's
//! `task/output.rs`.
//!
//! Depends on `types` and `diagnostics`.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{ReturnType, Type};

use super::types::ungrouped;
use crate::diagnostics::{Errors, error};

/// The return type as written; `()` if there is none.
pub(super) fn read_output(output: &ReturnType, errors: &mut Errors) -> TokenStream {
    let ReturnType::Type(_, ty) = output else { return quote!(()) };
    if let Err(error) = check_output(ty) {
        errors.push(error);
    }
    ty.to_token_stream()
}

fn check_output(ty: &Type) -> syn::Result<()> {
    if let Type::Never(_) = ungrouped(ty) {
        return Err(error(
            ty,
            "a task cannot return `!`: it would occupy a slot of its worker forever",
            "return `()`",
        ));
    }
    check_tokens(ty.to_token_stream())
}

fn check_tokens(tokens: TokenStream) -> syn::Result<()> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Group(group) => check_tokens(group.stream())?,
            TokenTree::Ident(word) if word == "impl" => {
                return Err(error(
                    word,
                    "the result of a task cannot be `impl Trait`: it must have a named type",
                    "write the type; for a future use `async fn`",
                ));
            }
            TokenTree::Punct(sign) if sign.as_char() == '&' => {
                let is_lifetime =
                    |next: &TokenTree| matches!(next, TokenTree::Punct(tick) if tick.as_char() == '\'');
                if !tokens.peek().is_some_and(is_lifetime) {
                    return Err(borrowed_error(&token));
                }
            }
            TokenTree::Punct(sign) if sign.as_char() == '\'' => {
                let Some(TokenTree::Ident(lifetime)) = tokens.next() else { continue };
                if lifetime != "static" {
                    return Err(borrowed_error(&quote!(#token #lifetime)));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn borrowed_error(at: &impl ToTokens) -> syn::Error {
    error(
        at,
        "the result of a task cannot borrow from its parameters: it is stored after the call",
        "return an owned value: `String` for `&str`, `Vec<_>` for `&[_]`",
    )
}
