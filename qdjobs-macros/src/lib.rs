//! The `#[task]` attribute of [qdjobs](https://docs.rs/qdjobs). Use it through that crate, which documents
//! it.
//!
//! This file is the entry point. It reads the attribute and the function, collects all errors, and emits the
//! result. Each step has its own file. `options` reads the arguments of the attribute, `function` and
//! `signature` the annotated function. `names` checks and makes names, `expand` generates the code,
//! `diagnostics` collects errors. Nothing in this crate reads a file, an environment variable or a clock.

mod diagnostics;
mod duration;
mod expand;
mod function;
mod names;
mod options;
mod signature;
#[cfg(test)]
mod tests;
mod tokens;

use proc_macro2::{Ident, TokenStream};

use diagnostics::Errors;
use expand::Input;
use options::Options;
use signature::Signature;
use tokens::emit;

// Editors show these lines on hover over `#[task`. The documentation with examples is at the re-export in the
// runtime crate, where the examples are compiled; rustdoc appends these lines to it.
/// # Overview
///
/// `#[task("send_email", queue = "mail", retries = 5, timeout = "30s")]` makes a function a background job: it
/// adds the struct `SendEmail`, and `SendEmail::new(..).enqueue(&queue)` stores a job that calls the function
/// later. The function itself stays as it is.
///
/// The first argument is the name under which jobs are stored. The options are `queue`, `priority`, `retries`,
/// `backoff`, `timeout`, `aliases(..)`, `params` and `crate`. The attributes of parameters are `#[state]`,
/// `#[ctx]`, `#[default]`, `#[alias("old")]` and `#[with(path)]`.
///
/// The whole documentation: <https://docs.rs/qdjobs/latest/qdjobs/attr.task.html>
#[proc_macro_attribute]
pub fn task(attr: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_task(attr.into(), item.into()).into()
}

/// Expands the attribute on `proc_macro2` tokens, which also exist outside the compiler.
///
/// The function is emitted even after most errors, so that editors still complete inside it and its callers
/// compile. So is the params struct: a mistake is one error, not one more error for each place that enqueues the
/// task. If the signature is wrong, the struct can only be named and enqueued.
fn expand_task(attr: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match function::parse(item.clone()) {
        Ok(function) => function,
        Err(error) => return error.to_compile_error().into_iter().chain(item).collect(),
    };
    let mut option_errors = Errors::default();
    let options = Options::read(attr, &function.sig.ident, &mut option_errors);
    let name = names::of_struct(&function.sig.ident, options.params.as_ref(), &mut option_errors);
    let mut function_errors = Errors::default();
    let signature = signature::read(&mut function.sig, &name, &mut function_errors);
    function.require_body(&mut function_errors);
    function.require_one_attribute(&mut option_errors);
    require_free_name(&name, &signature, &mut option_errors);
    function.hidden = signature.has_receiver;
    if signature.is_repaired {
        function.remove_body();
    }
    let is_valid = function_errors.is_empty() && !signature.is_refused;
    if !is_valid {
        function.allow_unused();
    }
    let register = option_errors.is_empty();
    let input = Input { function: &function, signature: &signature, options: &options, name, register };
    let generated = match is_valid {
        true => expand::expand(&input),
        false if signature.has_receiver => TokenStream::new(),
        false => expand::stub(&input),
    };
    let (option_errors, function_errors) = (option_errors.into_tokens(), function_errors.into_tokens());
    emit!(#option_errors #function_errors #function #generated)
}

/// The struct of a task without parameters is also a value, which cannot have the name of the function.
fn require_free_name(name: &Ident, signature: &Signature, errors: &mut Errors) {
    if signature.is_value() && *name == signature.name {
        errors.add_with_help(
            &signature.name,
            format_args!("the params struct of a task without parameters is also a value, so it cannot be named `{name}` \
                          like the function"),
            format_args!("name the function in lower case, or set the name of the struct: params = {name}Job"),
        );
    }
}
