//! The `#[task]` attribute of [qdjobs](https://docs.rs/qdjobs). Use it through that crate, where it is documented.
//!
//! This file is the door: it reads, collects every complaint, and writes. Each step has its own file: `options` (what
//! stands in the attribute), `signature` (what the function says), `names`, `expand` (the code), `diagnostics` (how
//! complaints sound). Nothing here reads a file, an environment variable or a clock.

mod diagnostics;
mod duration;
mod expand;
mod names;
mod options;
mod signature;
#[cfg(test)]
mod tests;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Token, Visibility};

use diagnostics::Errors;
use expand::{Plan, emit};
use options::Options;

#[expect(
    missing_docs,
    reason = "it stands at the re-export in the runtime crate, where its examples can run"
)]
#[proc_macro_attribute]
pub fn task(attr: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_task(attr.into(), item.into()).into()
}

/// The attribute on tokens that need no compiler.
///
/// Whatever is wrong, the function stays, so that an editor goes on completing and its callers compile; and the params
/// struct stays whenever the signature can be stored, so that a misspelt option is one error and not one more for every
/// place that enqueues the task.
fn expand_task(attr: TokenStream, item: TokenStream) -> TokenStream {
    let mut function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => return error.to_compile_error().into_iter().chain(item).collect(),
    };
    let mut errors = Errors::default();
    let options = Options::read(attr, &function.sig.ident, &mut errors);
    let name = names::of_struct(&function.sig.ident, options.params.as_ref(), &mut errors);
    let mut refusals = Errors::default();
    let signature = signature::read(&mut function.sig, &name, &mut refusals);
    function.need_body(&mut refusals);
    let beside = refusals.is_empty().then(|| {
        let is_sound = errors.is_empty();
        expand::expand(&Plan {
            function: &function,
            signature: &signature,
            options: &options,
            name,
            is_sound,
        })
    });
    let (errors, refusals) = (errors.into_tokens(), refusals.into_tokens());
    emit!(#errors #refusals #function #beside)
}

/// A function whose body stays tokens: nothing here looks into it, and it may be half typed.
struct Function {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: syn::Signature,
    body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Function> {
        let (attrs, vis) = (input.call(Attribute::parse_outer)?, input.parse()?);
        if !is_function(input) {
            return Err(input.error(
                "`#[task]` goes on a function\nhelp: #[task(\"send_email\")] fn send_email() { .. }",
            ));
        }
        Ok(Function { attrs, vis, sig: input.parse()?, body: input.parse()? })
    }
}

/// Whether `fn` follows, after whatever may stand before it.
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
    /// Complains of a missing body, and gives it one: rustc would complain a second time.
    fn need_body(&mut self, errors: &mut Errors) {
        let is_missing = !matches!(self.body.clone().into_iter().next(), Some(TokenTree::Group(_)));
        if is_missing {
            errors.add_with_help(
                &self.sig.ident,
                "a task needs a body",
                "write what the job does in `{ .. }`",
            );
            self.body = emit!({ ::core::unreachable!() });
            self.attrs.push(syn::parse_quote!(#[allow(unused_variables)]));
        }
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Function { attrs, vis, sig, body } = self;
        // What is injected is not the caller's burden, and clippy counts it.
        let many = (sig.inputs.len() > 7).then(|| emit!(#[allow(clippy::too_many_arguments)]));
        tokens.extend(emit!(#many #(#attrs)* #vis #sig #body));
    }
}
