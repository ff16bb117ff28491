//! Generates the function that runs one attempt: it decodes the params, calls the task, and encodes the
//! result.
//!
//! When a worker calls it is decided in the runtime's `worker/`.
//!
//! Depends on `input` and `param`, and on `signature` and `tokens`.

use proc_macro2::TokenStream;
use quote::ToTokens;

use super::input::Input;
use crate::signature::{Param, StateParam};
use crate::tokens::{
    arguments_at, emit, end_spans, local, private_alias, projection, qualified, qualified_function,
    spanned_call,
};

/// The function `__run`.
pub(super) fn run_function(input: &Input<'_>) -> TokenStream {
    let (private, name, signature) = (&private_alias(), &input.name, input.signature);
    let generics = input.generics();
    let ctx = if signature.is_async { emit!(&ctx) } else { emit!(ctx) };
    let arguments = signature.params.iter().map(|param| match param {
        Param::Stored(param) => param.argument(private),
        Param::Context(None) => ctx.clone(),
        Param::Refused { .. } => TokenStream::new(),
        Param::Context(Some(marked)) => {
            let of = qualified(private, &marked.ty, marked.spans, "TaskContext", "of");
            emit!(#of(#ctx))
        }
        Param::State(state) => state_argument(private, state, &ctx),
    });
    let function = &signature.name;
    let call = emit!(#function(#(#arguments),*));
    let awaited = signature.is_async.then(|| emit!(.await));
    let finish = finish(input, emit!(#call #awaited));
    let alias = signature.output.is_result.then(|| {
        let ty = &signature.output.ty;
        emit!(type __R #generics = #ty;)
    });
    if signature.is_async {
        // `__DEF` contains the type of this function, which the compiler does not know yet.
        emit! {
            #alias
            async fn __run #generics(ctx: #private::JobContext, json: #private::String) -> #private::Outcome {
                let params = #private::decode_owned(json, <#name as #private::Task>::DEF, __read)?;
                #finish
            }
        }
    } else {
        emit! {
            #alias
            fn __run #generics(ctx: &#private::JobContext, json: &str) -> #private::Outcome {
                let params = #private::decode(json, __DEF, __read)?;
                #finish
            }
        }
    }
}

/// The shared value for one `#[state]` parameter, or a clone of it.
fn state_argument(private: &TokenStream, state: &StateParam, ctx: &TokenStream) -> TokenStream {
    let (bound, item) = if state.cloned { ("StateByValue", "clone_of") } else { ("State", "get") };
    let get = qualified(private, &state.ty, state.spans, bound, item);
    emit!(#get(#ctx)?)
}

/// The outcome of `call`. It needs a value that can be stored, and a valid error type; errors about each of
/// them point at the return type.
fn finish(input: &Input<'_>, call: TokenStream) -> TokenStream {
    let (private, output) = (&private_alias(), &input.signature.output);
    let whole = end_spans(&output.ty);
    if !output.is_result {
        let outcome = qualified_function(private, &output.ty, whole, "TaskOutput", "outcome");
        let argument = arguments_at(emit!(&#call), whole);
        return emit!(#outcome #argument);
    }
    // The type is written once: an error about a name in it would occur at each place.
    let written = local("__R").into_token_stream();
    let into_result = qualified(private, &written, whole, "TaskReturn", "into_result");
    let value = projection(private, &written, output.value_spans, "TaskReturn", "Output");
    let outcome = qualified_function(private, &value, output.value_spans, "TaskOutput", "outcome");
    let stored = arguments_at(emit!(&it), output.value_spans);
    // An error about the type of the error points at the argument of `failed`, from its first to its last
    // token.
    let argument = arguments_at(emit!(it), output.error_spans);
    let unsend = spanned_call(emit!(#private::ErrorOf<#written>), "unsend", argument, output.error_spans);
    emit! {
        match #into_result(#call) {
            #private::Ok(it) => #outcome #stored,
            #private::Err(it) => #private::TaskFailure::failed(#unsend),
        }
    }
}
