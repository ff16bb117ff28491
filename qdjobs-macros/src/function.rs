//! Parses the annotated function as it is written: [`Function`], whose body stays unparsed tokens.
//!
//! Does not interpret parameters or the return type: `signature` does.
//!
//! Depends on `diagnostics` and `tokens`.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Token, Visibility};

use crate::diagnostics::Errors;
use crate::tokens::emit;

/// A function whose body is not parsed: the macro does not need it, and it may be incomplete while it is
/// typed.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: syn::Signature,
    body: TokenStream,
    /// Whether it is not emitted: rustc would report the error of its signature a second time.
    pub(crate) hidden: bool,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Function> {
        let (attrs, vis) = (input.call(Attribute::parse_outer)?, input.parse()?);
        if !is_function(input) {
            let message = "`#[task]` can only be applied to a function";
            let help = "#[task(\"send_email\")] fn send_email() { .. }";
            return Err(input.error(format_args!("{message}\nhelp: {help}")));
        }
        Ok(Function { attrs, vis, sig: input.parse()?, body: input.parse()?, hidden: false })
    }
}

/// Whether the input is `fn` after any qualifiers.
fn is_function(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    while !ahead.is_empty() {
        if ahead.peek(Token![fn]) {
            return true;
        }
        let qualifier = match ahead.parse::<TokenTree>() {
            Ok(TokenTree::Ident(word)) => {
                ["const", "async", "safe", "unsafe", "extern"].iter().any(|known| word == known)
            }
            // The name of an ABI.
            Ok(TokenTree::Literal(_)) => true,
            _ => false,
        };
        if !qualifier {
            return false;
        }
    }
    false
}

impl Function {
    /// Reports a second `#[task]` and removes it: it would generate everything a second time.
    pub(crate) fn require_one_attribute(&mut self, errors: &mut Errors) {
        let is_task = |attr: &Attribute| {
            let segments = &attr.path().segments;
            segments.last().is_some_and(|last| last.ident == "task")
                && (segments.len() == 1 || segments.first().is_some_and(|first| first.ident == "qdjobs"))
        };
        if let Some(second) = self.attrs.iter().find(|attr| is_task(attr)) {
            errors.add_with_help(
                second,
                "a function has `#[task]` more than once",
                "remove one; an earlier name of the task is an option of the other: aliases(\"old_name\")",
            );
        }
        self.attrs.retain(|attr| !is_task(attr));
    }

    /// Reports a missing body and adds one, because rustc would report it a second time.
    pub(crate) fn require_body(&mut self, errors: &mut Errors) {
        let is_missing = !matches!(self.body.clone().into_iter().next(), Some(TokenTree::Group(_)));
        if is_missing {
            errors.add_with_help(
                &self.sig.ident,
                "a task must have a body",
                "add the code of the job in `{ .. }`",
            );
            self.body = emit!({ ::core::unreachable!() });
            self.attrs.push(syn::parse_quote!(#[allow(unused_variables)]));
        }
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Function { attrs, vis, sig, body, .. } = self;
        // Context and state are parameters too, and clippy counts them; no caller passes more than seven by
        // hand.
        if self.hidden {
            return;
        }
        let many = (sig.inputs.len() > 7).then(|| emit!(#[allow(clippy::too_many_arguments)]));
        tokens.extend(emit!(#many #(#attrs)* #vis #sig #body));
    }
}
