//! Decides from the signature of a task which parameters are stored, which the worker passes, and what the
//! return type is.
//!
//! `attributes` reads the attributes of a parameter, `param` one parameter, `stored_type` the type that is
//! stored for it. `output` reads the return type, `types` holds helpers for written types. Reads no option
//! and generates no code.
//!
//! Depends on `diagnostics` and `tokens`.
//!
//! A macro sees tokens but no types, so all decisions here follow from how a parameter is written. What
//! depends on the types is left to the compiler: `expand` names the traits that ask it.

mod attributes;
mod output;
mod param;
mod stored_type;
mod types;

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{FnArg, GenericParam, Safety};

pub(crate) use attributes::Default;
pub(crate) use output::Output;
pub(crate) use param::{Param, StateParam, StoredParam};
pub(crate) use stored_type::{OwnedType, PassBy, StoredType};
pub(crate) use types::type_text;

use crate::diagnostics::Errors;
use output::read_output;
use param::read_param;
use stored_type::generic_error;

/// The parsed signature of a task's function.
pub(crate) struct Signature {
    pub(crate) name: Ident,
    pub(crate) is_async: bool,
    pub(crate) params: Vec<Param>,
    pub(crate) output: Output,
    /// Whether rustc reports an error of the signature, so that nothing may be generated from it.
    pub(crate) is_refused: bool,
    /// Whether the function must not be emitted, since rustc would report an error of its signature a second
    /// time.
    pub(crate) is_hidden: bool,
}

/// Reads a signature, and removes the macro's attributes from its parameters: rustc does not know them.
pub(crate) fn read(sig: &mut syn::Signature, struct_name: &Ident, errors: &mut Errors) -> Signature {
    check_qualifiers(sig, errors);
    check_generics(sig, errors);
    let mut params = Vec::new();
    for input in &mut sig.inputs {
        match input {
            FnArg::Receiver(receiver) => errors.add_with_help(
                &*receiver,
                "a task must be a free function: a stored job has no `self`",
                "pass shared values with `#[state]`",
            ),
            FnArg::Typed(param) => match read_param(param, struct_name, errors) {
                Ok(param) => params.push(param),
                Err(error) => errors.push(error),
            },
        }
    }
    let stored = params.iter_mut().filter_map(|param| match param {
        Param::Stored(stored) => Some(stored),
        _ => None,
    });
    stored.enumerate().for_each(|(at, param)| param.at = at);
    check_keys(&params, errors);
    let (output, flaws) = read_output(&sig.output, errors);
    Signature {
        name: sig.ident.clone(),
        is_async: sig.asyncness.is_some(),
        is_refused: flaws.is_of_rustc || has_flaw_of_rustc(&params),
        params,
        output,
        is_hidden: flaws.is_twice || (flaws.is_elided && references(sig) != 1),
    }
}

/// The number of references in the parameters. With exactly one, rustc knows the lifetime of the result.
fn references(sig: &syn::Signature) -> usize {
    fn count(tokens: TokenStream) -> usize {
        let one = |token| match token {
            TokenTree::Group(group) => count(group.stream()),
            TokenTree::Punct(sign) => usize::from(sign.as_char() == '&'),
            _ => 0,
        };
        tokens.into_iter().map(one).sum()
    }
    count(sig.inputs.to_token_stream())
}

/// Whether rustc reports two parameters of one name, or a type that is not written.
fn has_flaw_of_rustc(params: &[Param]) -> bool {
    let mut names = HashSet::new();
    params.iter().any(|param| match param {
        Param::Refused => true,
        Param::Stored(param) => !names.insert(param.key.clone()),
        Param::State(param) => !names.insert(param.param.clone()),
        Param::Context(_) => false,
    })
}

/// A worker calls a task from safe code, by an ordinary call, with the values of one job.
fn check_qualifiers(sig: &syn::Signature, errors: &mut Errors) {
    if let Some(word) = &sig.constness {
        errors.add_with_help(
            word,
            "a task cannot be `const`: a worker calls it at run time",
            "remove `const`",
        );
    }
    if let Safety::Unsafe(word) = &sig.safety {
        errors.add_with_help(
            word,
            "a task cannot be `unsafe`: the worker cannot uphold its safety requirements",
            "write a safe task that calls the unsafe function",
        );
    }
    if let Some(abi) = &sig.abi {
        errors.add_with_help(
            abi,
            "a task cannot have an ABI: the worker calls it as a Rust function",
            "remove `extern`",
        );
    }
    if let Some(dots) = &sig.variadic {
        errors.add_with_help(
            dots,
            "a task must have a fixed number of parameters",
            "use a parameter of type `Vec`",
        );
    }
}

fn check_generics(sig: &syn::Signature, errors: &mut Errors) {
    let generic = sig.generics.params.iter().find(|param| !matches!(param, GenericParam::Lifetime(_)));
    if let Some(param) = generic {
        errors.push(generic_error(param, "a task cannot be generic"));
    }
}

/// Each key of the stored JSON belongs to one parameter.
fn check_keys(params: &[Param], errors: &mut Errors) {
    let stored = params.iter().filter_map(Param::stored);
    let mut taken: Vec<String> = stored.clone().map(|param| param.key.clone()).collect();
    for alias in stored.flat_map(|param| &param.aliases) {
        if taken.contains(&alias.value()) {
            errors.add(
                alias,
                format_args!(
                    "the JSON key `{}` is used more than once\nhelp: remove this alias",
                    alias.value()
                ),
            );
        }
        taken.push(alias.value());
    }
}
