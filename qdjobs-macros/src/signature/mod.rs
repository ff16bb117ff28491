//! Decides from the signature of a task which parameters are stored, which the worker passes, and what the
//! return type is.
//!
//! `attributes` reads the attributes of a parameter, `param` one parameter, `stored_type` the type that is
//! stored for it. `output` reads the return type, `repair` replaces a refused type, `types` holds helpers for
//! written types. Reads no option and generates no code.
//!
//! Depends on `diagnostics` and `tokens`.
//!
//! A macro sees tokens but no types, so all decisions here follow from how a parameter is written. What
//! depends on the types is left to the compiler: `expand` names the traits that ask it.

mod attributes;
mod output;
mod param;
mod repair;
mod stored_type;
mod types;

use std::collections::HashSet;

use proc_macro2::Ident;
use quote::{ToTokens, quote};
use syn::{FnArg, GenericParam, ReturnType, Safety};

pub(crate) use attributes::Default;
pub(crate) use output::Output;
pub(crate) use param::{Param, StateParam, StoredParam};
pub(crate) use stored_type::{OwnedType, PassBy, StoredType};
pub(crate) use types::type_text;

use crate::diagnostics::Errors;
use output::read_output;
use param::read_param;
use repair::{Place, count_lifetimes, repair};
use stored_type::generic_error;

/// The parsed signature of a task's function.
pub(crate) struct Signature {
    pub(crate) name: Ident,
    pub(crate) is_async: bool,
    pub(crate) params: Vec<Param>,
    pub(crate) output: Output,
    /// Whether rustc reports an error of the signature, so that a job cannot call the function.
    pub(crate) is_refused: bool,
    /// Whether it has a `self`. Beside a method, no struct can be generated.
    pub(crate) has_receiver: bool,
    /// Whether a type of the signature was replaced, so that the body does not fit.
    pub(crate) is_repaired: bool,
}

/// Reads a signature, and removes the macro's attributes from its parameters: rustc does not know them. After
/// an error, removes or replaces also what rustc would report a second time.
pub(crate) fn read(sig: &mut syn::Signature, struct_name: &Ident, errors: &mut Errors) -> Signature {
    let mut is_repaired = check_qualifiers(sig, errors);
    let is_generic = check_generics(sig, errors);
    let lifetimes: Vec<Ident> =
        sig.generics.lifetimes().map(|declared| declared.lifetime.ident.clone()).collect();
    let mut params = Vec::new();
    for input in &mut sig.inputs {
        match input {
            FnArg::Receiver(receiver) => errors.add_with_help(
                &*receiver,
                "a task must be a free function: a stored job has no `self`",
                "pass shared values with `#[state]`",
            ),
            FnArg::Typed(param) => {
                params.push(read_param(param, struct_name, &lifetimes, &mut is_repaired, errors));
            }
        }
    }
    refuse_second_names(&mut params);
    if is_generic {
        params.iter_mut().for_each(refuse);
    }
    let stored = params.iter_mut().filter_map(|param| match param {
        Param::Stored(stored) => Some(stored),
        _ => None,
    });
    stored.enumerate().for_each(|(at, param)| param.at = at);
    check_keys(&params, errors);
    let (mut output, is_output_refused) = read_output(&sig.output, errors);
    if is_generic {
        output.value = quote!(());
    }
    if let (true, ReturnType::Type(_, ty)) = (is_output_refused, &mut sig.output) {
        let may_elide = count_lifetimes(sig.inputs.to_token_stream()) == 1;
        is_repaired |= repair(ty, Place::Output(&lifetimes, may_elide));
    }
    Signature {
        name: sig.ident.clone(),
        is_async: sig.asyncness.is_some(),
        is_refused: output.is_refused_by_rustc
            || params.iter().any(|param| matches!(param, Param::Refused { .. })),
        params,
        output,
        has_receiver: sig.receiver().is_some(),
        is_repaired,
    }
}

impl Signature {
    /// Whether the params struct is also a value, since no caller passes a parameter.
    pub(crate) fn is_value(&self) -> bool {
        self.params.iter().all(|param| {
            matches!(param, Param::Context(_) | Param::State(_) | Param::Refused { is_passed: false })
        })
    }
}

/// rustc reports two parameters of one name.
fn refuse_second_names(params: &mut [Param]) {
    let mut names = HashSet::new();
    for param in params {
        let name = match param {
            Param::Stored(param) => param.key.clone(),
            Param::State(param) => param.param.clone(),
            Param::Context(_) | Param::Refused { .. } => continue,
        };
        if !names.insert(name) {
            refuse(param);
        }
    }
}

fn refuse(param: &mut Param) {
    let is_passed = match param {
        Param::Refused { is_passed } => *is_passed,
        Param::Stored(param) => !param.is_optional(),
        Param::Context(_) | Param::State(_) => false,
    };
    *param = Param::Refused { is_passed };
}

/// A worker calls a task from safe code, by an ordinary call, with the values of one job.
///
/// Removes what is wrong, since rustc may refuse it as well, but for `unsafe`, on which the body may rely. Returns
/// whether the body does not fit any more.
fn check_qualifiers(sig: &mut syn::Signature, errors: &mut Errors) -> bool {
    if let Some(word) = sig.constness.take() {
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
    if let Some(abi) = sig.abi.take() {
        errors.add_with_help(
            abi,
            "a task cannot have an ABI: the worker calls it as a Rust function",
            "remove `extern`",
        );
    }
    let variadic = sig.variadic.take();
    if let Some(dots) = &variadic {
        errors.add_with_help(
            dots,
            "a task must have a fixed number of parameters",
            "use a parameter of type `Vec`",
        );
    }
    variadic.is_some()
}

/// Returns whether the function is generic over types or constants.
fn check_generics(sig: &syn::Signature, errors: &mut Errors) -> bool {
    let generic = sig.generics.params.iter().find(|param| !matches!(param, GenericParam::Lifetime(_)));
    if let Some(param) = generic {
        errors.push(generic_error(param, "a task cannot be generic"));
    }
    generic.is_some()
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
