//! Generates the `Task` impl of the params struct, with the task's `TaskDef`.
//!
//! The function that the `TaskDef` points to is generated in `run_function`.
//!
//! Depends on `input` and `attributes`, and on `names`, `options`, `signature` and `tokens`.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use syn::{LitStr, Token};

use super::attributes::doc_text;
use super::input::Input;
use crate::names;
use crate::options::{Check, Options};
use crate::signature::{StateParam, type_text};
use crate::tokens::{
    emit, end_spans, local, private_alias, projection, qualified, qualified_function, spanned_call,
};

/// The `Task` impl.
pub(super) fn task_impl(input: &Input<'_>) -> TokenStream {
    let (private, name, options) = (&private_alias(), &input.name, input.options);
    let function = LitStr::new(&names::plain(&input.signature.name), Span::mixed_site());
    let task_name = options.name.as_ref().unwrap_or(&function);
    let written = &input.signature.output;
    let (first, last) = end_spans(&written.ty);
    let output = match written.is_result {
        true => projection(private, &emit!(__R), (first, last), "TaskReturn", "Output"),
        false => written.ty.clone(),
    };
    let alias_check = written.may_be_alias.then(|| alias_check(input, &written.ty));
    let checks = options.checks.iter().map(|check| option_check(private, check));
    let generics = input.generics();
    // An error about the type points at the whole path or at the whole line. rustc computes that place from
    // the first and the last token, so both have spans of the return type.
    let (keyword, end) = (Token![type](first), Token![;](last));
    let doc = doc_text(&input.function.attrs).map(|text| emit!(.doc(#text)));
    let aliases = &options.aliases;
    let aliases = (!aliases.is_empty()).then(|| emit!(.aliases(&[#(#aliases),*])));
    let states: Vec<TokenStream> = input.states().map(|state| state_info(private, state)).collect();
    // A function, since a constant has no generics, see `Input::generics`.
    let state_list = (!states.is_empty()).then(|| {
        emit! {
            const fn __state #generics() -> &'static [#private::StateInfo] {
                const { &[#(#states),*] }
            }
        }
    });
    let state = (!states.is_empty()).then(|| emit!(.state(__state())));
    let set: Vec<TokenStream> = option_values(options).map(|(key, value)| emit!(.#key(#value))).collect();
    let set = (!set.is_empty()).then(|| emit!(.options(#private::TaskOptions::DEFAULT #(#set)*)));
    let run = run_value(input);
    emit! {
        #(#checks)*
        #alias_check
        #state_list
        const __DEF: &#private::TaskDef = &#private::TaskDef::new(
            #task_name,
            __PARAMS,
            |object| #private::check(object, __PARAMS, __read),
            #run,
        )
        .declared(
            #private::file!(),
            #private::line!(),
            #private::module_path!(),
        )
        #doc #aliases #state #set;
        impl #generics #private::Task for #name {
            #keyword Output = #output #end
            const DEF: &'static #private::TaskDef = __DEF;
        }
    }
}

/// The constant of an option that is not a literal, and its check.
fn option_check(private: &TokenStream, check: &Check) -> TokenStream {
    let Check { name, ty, value, spans, problem } = check;
    let ty = ty.tokens(private);
    let refused = problem.map(|problem| {
        let (problem, refusal) = (local(problem), refusal(private, *spans, emit!(problem)));
        emit!(const _: () = if let #private::Some(problem) = #private::#problem(#name) { #refusal };)
    });
    emit! {
        const #name: #ty = #value;
        #refused
    }
}

/// The check that a return type which is not written as `Result` is none.
fn alias_check(input: &Input<'_>, ty: &TokenStream) -> TokenStream {
    let (private, generics) = (&private_alias(), input.generics());
    // In the place of the generics.
    let unnamed = Token![_](input.signature.name.span());
    let text = format!(
        "`{0}` hides a `Result`, so its error would be stored as a success\nhelp: write `Result<..>` as the \
         return type",
        type_text(ty.clone())
    );
    let refusal = refusal(private, end_spans(ty), emit!(#text));
    // If the type cannot be stored, that is the only error: the compiler does not evaluate a constant with a
    // type error.
    let outcome = qualified_function(private, ty, end_spans(ty), "TaskOutput", "outcome");
    emit! {
        const #unnamed: () = {
            let _ = #outcome;
            // Outside of `<..>`, see `Input::generics`.
            type __R #generics = #ty;
            if #private::Written::<__R>::IS_RESULT { #refusal }
        };
    }
}

/// An expression that fails at compile time with this message, at the tokens from the first to the second
/// span.
///
/// Not `panic!`: its first token is an identifier, for which an editor would offer the definition of `panic`
/// at the place of the user's token.
fn refusal(private: &TokenStream, (first, last): (Span, Span), message: TokenStream) -> TokenStream {
    let mut arguments = Group::new(Delimiter::Parenthesis, emit!(#private::None, #message));
    arguments.set_span(last);
    spanned_call(emit!(#private::Option<()>), "expect", arguments, (first, last))
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
    let bound = if state.cloned { "StateByValue" } else { "State" };
    let type_id = qualified(private, &state.ty, state.spans, bound, "type_id");
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
