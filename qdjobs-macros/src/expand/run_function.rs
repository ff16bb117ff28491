//! Generates the function that runs one attempt: it decodes the params, calls the task, and encodes the
//! result.
//!
//! When a worker calls it is decided in the runtime's `worker/`.
//!
//! Depends on `input` and `param`, and on `signature` and `tokens`.

use proc_macro2::{Delimiter, Group, TokenStream};
use syn::Token;

use super::input::Input;
use crate::signature::{Param, StateParam};
use crate::tokens::{emit, end_spans, private_alias, qualified};

/// The function `__run`.
pub(super) fn run_function(input: &Input<'_>) -> TokenStream {
    let (private, name, signature) = (&private_alias(), &input.name, input.signature);
    let ctx = if signature.is_async { emit!(&ctx) } else { emit!(ctx) };
    let arguments = signature.params.iter().map(|param| match param {
        Param::Stored(param) => param.argument(private),
        Param::Context => ctx.clone(),
        Param::State(state) => state_argument(private, state, &ctx),
    });
    let function = &signature.name;
    let call = emit!(#function(#(#arguments),*));
    let awaited = signature.is_async.then(|| emit!(.await));
    let finish = finish(input, emit!(#call #awaited));
    if signature.is_async {
        emit! {
            async fn __run(ctx: #private::JobContext, json: #private::String) -> #private::Outcome {
                let params = #private::decode_owned(json, <#name as #private::Task>::DEF, #name::__read)?;
                #finish
            }
        }
    } else {
        emit! {
            fn __run(ctx: &#private::JobContext, json: &str) -> #private::Outcome {
                let params = #private::decode(json, <#name as #private::Task>::DEF, #name::__read)?;
                #finish
            }
        }
    }
}

/// The shared value for one `#[state]` parameter, or a clone of it.
fn state_argument(private: &TokenStream, state: &StateParam, ctx: &TokenStream) -> TokenStream {
    let get = qualified(private, &state.ty, state.spans, "State", "get");
    let found = emit!(#get(#ctx)?);
    if !state.cloned {
        return found;
    }
    let clone = qualified(private, &state.ty, state.spans, "Clone", "clone");
    emit!(#clone(#found))
}

/// The outcome of `call`. It needs a valid return type, a value that can be stored, and a valid error type;
/// errors about each of them point at the return type.
fn finish(input: &Input<'_>, call: TokenStream) -> TokenStream {
    let (private, output) = (&private_alias(), &input.signature.output);
    let (first, last) = end_spans(output);
    let into_result = qualified(private, output, (first, last), "TaskReturn", "into_result");
    // These errors point at the argument of `finish`. Its path begins at the first token of the return type,
    // so its call must end at the last one.
    let (dots, open, close) = (Token![::](last), Token![<](last), Token![>](last));
    let mut call = Group::new(Delimiter::Parenthesis, call);
    call.set_span(last);
    emit!(#private::finish(#into_result #dots #open #close #call))
}
