//! Generates the `Task` impl of the params struct, with the task's `TaskDef`.
//!
//! The function that the `TaskDef` points to is generated in `run_function`.
//!
//! Depends on `input` and `attributes`, and on `names`, `options`, `signature` and `tokens`.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{LitStr, Token};

use super::attributes::doc_text;
use super::input::Input;
use crate::names;
use crate::options::Options;
use crate::signature::StateParam;
use crate::tokens::{emit, end_spans, local, private_alias, qualified};

/// The `Task` impl.
pub(super) fn task_impl(input: &Input<'_>) -> TokenStream {
    let (private, name, options) = (&private_alias(), &input.name, input.options);
    let function = LitStr::new(&names::plain(&input.signature.name), Span::mixed_site());
    let task_name = options.name.as_ref().unwrap_or(&function);
    let (first, last) = end_spans(&input.signature.output);
    let output = qualified(private, &input.signature.output, (first, last), "TaskReturn", "Output");
    // An error about the type points at the whole path or at the whole line. rustc computes that place from
    // the first and the last token, so both have spans of the return type.
    let (keyword, open, close, end) =
        (Token![type](first), Token![<](last), Token![>](last), Token![;](last));
    let doc = doc_text(&input.function.attrs).map(|text| emit!(.doc(#text)));
    let aliases = &options.aliases;
    let aliases = (!aliases.is_empty()).then(|| emit!(.aliases(&[#(#aliases),*])));
    let states: Vec<TokenStream> = input.states().map(|state| state_info(private, state)).collect();
    let state_list =
        (!states.is_empty()).then(|| emit!(const __STATE: &[#private::StateInfo] = &[#(#states),*];));
    let state = (!states.is_empty()).then(|| emit!(.state(__STATE)));
    let set: Vec<TokenStream> = option_values(options).map(|(key, value)| emit!(.#key(#value))).collect();
    let set = (!set.is_empty()).then(|| emit!(.options(#private::TaskOptions::DEFAULT #(#set)*)));
    let run = run_value(input);
    emit! {
        #state_list
        impl #private::Task for #name {
            #keyword Output = #output #open #close #end
            const DEF: &'static #private::TaskDef = &#private::TaskDef::new(
                #task_name,
                __PARAMS,
                |object| #private::check(object, __PARAMS, Self::__read),
                #run,
            )
            .declared(
                #private::file!(),
                #private::line!(),
                #private::module_path!(),
            )
            #doc #aliases #state #set;
        }
    }
}

/// The options that the attribute sets, as calls on the default options.
fn option_values(options: &Options) -> impl Iterator<Item = (Ident, &TokenStream)> {
    let all = [
        ("queue", &options.queue),
        ("priority", &options.priority),
        ("retries", &options.retries),
        ("backoff", &options.backoff),
        ("timeout", &options.timeout),
    ];
    all.into_iter().filter_map(|(key, value)| Some((local(key), value.as_ref()?)))
}

/// The `StateInfo` of one shared value.
fn state_info(private: &TokenStream, state: &StateParam) -> TokenStream {
    let (param, ty) = (&state.param, &state.text);
    let type_id = qualified(private, &state.ty, state.spans, "State", "type_id");
    emit!(#private::StateInfo::new(#param, #ty, #type_id))
}

/// How the worker runs the task: on a pool thread, or as a future.
fn run_value(input: &Input<'_>) -> TokenStream {
    let private = &private_alias();
    if !input.signature.is_async {
        return emit!(#private::Run::Blocking(__run));
    }
    // A future that is `Send` can run on any thread. A bound would make a future that is not `Send` an error,
    // so method resolution decides: `Probe` has an inherent method for `Send` futures, which takes
    // precedence, and `ProbeLocal` has one of the same name for all others.
    emit! {{
        #[allow(unused_imports)]
        use #private::ProbeLocal as _;
        #private::run_async(
            |ctx, json| #private::Probe(__run(ctx, json)).boxed(),
            |ctx, json| #private::Boxed::shared(#private::Probe(__run(ctx, json)).boxed()),
            |ctx, json| #private::Boxed::local(#private::Probe(__run(ctx, json)).boxed()),
        )
    }}
}
