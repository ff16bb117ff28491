//! Parses the annotated function as it is written: [`Function`], whose body stays unparsed tokens.
//!
//! Does not interpret parameters or the return type: `signature` does.
//!
//! Depends on `diagnostics` and `tokens`.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
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
    /// Whether it is not emitted: rustc would report its `self` a second time.
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

/// Parses the annotated function.
pub(crate) fn parse(item: TokenStream) -> syn::Result<Function> {
    // rustc still reads a trait without `dyn` as a type, and reports it later; syn does not read `Fn(u8)`.
    syn::parse2(item.clone()).or_else(|error| syn::parse2(with_dyn(item)).map_err(|_| error))
}

/// The function with `dyn` before each `Fn(..)` in its parameters.
fn with_dyn(item: TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    if let Some(TokenTree::Group(params)) = tokens.iter_mut().find(|token| is_list(token)) {
        let mut found = TokenStream::new();
        let mut rest = params.stream().into_iter().peekable();
        while let Some(token) = rest.next() {
            let is_function = ["Fn", "FnMut", "FnOnce"].iter().any(|known| token.to_string() == *known);
            if is_function && rest.peek().is_some_and(is_list) {
                found.extend([TokenTree::Ident(Ident::new("dyn", token.span()))]);
            }
            found.extend([token]);
        }
        let mut with_dyn = Group::new(Delimiter::Parenthesis, found);
        with_dyn.set_span(params.span());
        *params = with_dyn;
    }
    tokens.into_iter().collect()
}

fn is_list(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
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
            self.remove_body();
        }
    }

    /// Replaces the body by one that fits any signature.
    pub(crate) fn remove_body(&mut self) {
        self.body = emit!({ ::core::unreachable!() });
    }

    /// Allows unused parameters: after an error, a warning about them is noise.
    pub(crate) fn allow_unused(&mut self) {
        self.attrs.push(syn::parse_quote!(#[allow(unused_variables, unused_mut)]));
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
