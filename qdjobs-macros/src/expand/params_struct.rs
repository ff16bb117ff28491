//! Generates the params struct, and its methods `new` and `enqueue`.
//!
//! Implements no trait: see `serde_impls`, `std_impls` and `task_impl`. The name of the struct is made in
//! `names`.
//!
//! Depends on `input`, `param` and `attributes`, and on `names`, `signature`, `function` and `tokens`.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::{Expr, Token};

use super::attributes::{allowed_lints, attributes_named, docs_or};
use super::input::Input;
use crate::function::Function;
use crate::names;
use crate::signature::{Default, StoredParam};
use crate::tokens::{emit, end_spans, private_alias};

/// The struct, with one field for each stored parameter.
pub(super) fn params_struct(input: &Input<'_>) -> TokenStream {
    let Input { function: Function { attrs, vis, .. }, name, .. } = input;
    let (private, generics) = (&input.private_path(), input.generics());
    let function = names::plain(&input.signature.name);
    let cfg = attributes_named(attrs, &["cfg"]);
    let kept = attributes_named(attrs, &["cfg", "deprecated"]);
    // rustc checks the name of a field with the lint levels of the struct.
    let of_params = input.stored().flat_map(|param| allowed_lints(&param.lints));
    let allowed: Vec<TokenStream> = allowed_lints(attrs).into_iter().chain(of_params).collect();
    let docs = attributes_named(attrs, &["doc"]);
    let docs = docs_or(docs, format!("The parameters of the task [`{function}`]."));
    let fields = input.stored().map(|param| {
        let (name, ty) = (&param.name, param.ty.owned.tokens(private));
        let docs = param.docs.iter().map(ToTokens::to_token_stream).collect();
        let docs = docs_or(docs, format!("The `{}` parameter of [`{function}`].", param.key));
        emit!(#(#docs)* #vis #name: #ty)
    });
    // Without parameters the name of the struct is also a value: `Cleanup.enqueue(&queue)`. It is not a unit
    // struct, because the JSON of a unit struct is `null`. `{}` stays valid when a parameter is added.
    let is_value = input.signature.is_value() && *name != input.signature.name;
    let value = is_value.then(|| {
        let vis = respanned(vis, name.span());
        let (keyword, end) = (Token![const](name.span()), Token![;](name.span()));
        emit! {
            #(#cfg)*
            #(#allowed)*
            #[doc(hidden)]
            #[allow(non_upper_case_globals, deprecated, dead_code)]
            #vis #keyword #name: #name = #name {} #end
        }
    });
    // If another item has this name, the error covers the item from its first to its last token.
    let (vis, keyword) = (respanned(vis, name.span()), Token![struct](name.span()));
    let mut fields = Group::new(Delimiter::Brace, emit!(#(#fields),*));
    fields.set_span(name.span());
    emit! {
        #(#kept)*
        #(#allowed)*
        #(#docs)*
        #[must_use = "a job does nothing until it is enqueued"]
        #vis #keyword #name #generics #fields
        #value
    }
}

/// The same tokens at another place.
fn respanned(tokens: &impl ToTokens, span: Span) -> TokenStream {
    let moved = |mut token: TokenTree| {
        if let TokenTree::Group(group) = &token {
            token = TokenTree::Group(Group::new(group.delimiter(), respanned(&group.stream(), span)));
        }
        token.set_span(span);
        token
    };
    tokens.to_token_stream().into_iter().map(moved).collect()
}

/// `new` and `enqueue`. They are inherent methods, so that callers need no import.
///
/// The impl is outside of the generated block: in errors, rustc would name its methods by the block. It is also
/// generated after an error of the signature. `new` then takes any value in the place of a refused parameter.
pub(super) fn inherent_impl(input: &Input<'_>, new: &TokenStream) -> TokenStream {
    let (private, vis, name) = (&input.private_path(), &input.function.vis, &input.name);
    let cfg = attributes_named(&input.function.attrs, &["cfg"]);
    let allowed = allowed_lints(&input.function.attrs);
    let enqueue = Ident::new("enqueue", input.signature.name.span());
    let generics = input.generics();
    // The answer contains the task's result. An invalid return type is an error here as well as in the `Task`
    // impl. With the spans of the return type both errors have the same place, and rustc prints one.
    let (first, last) = end_spans(&input.signature.output.ty);
    let (open, close) = (Token![<](first), Token![>](last));
    emit! {
        #(#cfg)*
        #(#allowed)*
        #[allow(dead_code, deprecated)]
        impl #generics #name {
            #new
            /// Enqueues the job with the task's default options. The return type depends on the target.
            #vis fn #enqueue<Q: #private::Enqueue>(
                self,
                target: Q,
            ) -> #open Q as #private::Enqueue>::Answer<<Self as #private::Task>::Output #close {
                #private::enqueue(self, target)
            }
        }
    }
}

/// The method `new`.
pub(super) fn new_method(input: &Input<'_>) -> TokenStream {
    let (private, vis) = (&input.private_path(), &input.function.vis);
    let new = Ident::new("new", input.signature.name.span());
    let required = input.stored().filter(|param| !param.is_optional());
    let arguments: Vec<TokenStream> = required.map(|param| new_argument(private, param)).collect();
    let style = match arguments.len() {
        0 => Some(emit!(#[allow(clippy::new_without_default)])),
        1..=7 => None,
        _ => Some(emit!(#[allow(clippy::too_many_arguments)])),
    };
    let fields = input.stored().map(|param| {
        let (name, value) = (&param.name, initial_value(private, param));
        emit!(#name: #value)
    });
    let function = names::plain(&input.signature.name);
    let doc = format!("Makes a job that calls [`{function}`] with these parameters once it is enqueued.");
    emit! {
        #[doc = #doc]
        #style
        #vis fn #new(#(#arguments),*) -> Self {
            Self { #(#fields),* }
        }
    }
}

/// An argument of `new`. Its last token has the span of the type, so that the error for a missing argument
/// underlines the whole parameter.
pub(super) fn new_argument(private: &TokenStream, param: &StoredParam) -> TokenStream {
    let (name, ty) = (&param.name, param.ty.owned.tokens(private));
    let allowed = allowed_lints(&param.lints);
    if !param.ty.into {
        return emit!(#(#allowed)* #name: #ty);
    }
    let (open, close) = (Token![<](param.ty.spans.1), Token![>](param.ty.spans.1));
    emit!(#(#allowed)* #name: impl #private::Into #open #ty #close)
}

/// The value that `new` assigns to a field.
fn initial_value(private: &TokenStream, param: &StoredParam) -> TokenStream {
    let name = &param.name;
    match param.default_fn(private, &emit!(Self)) {
        Some(default) => emit!(#default()),
        None if param.ty.optional => emit!(#private::None),
        None if param.ty.into => emit!(#private::Into::into(#name)),
        None => name.to_token_stream(),
    }
}

/// The expressions of `#[default(expression)]`, each in a function of its own.
///
/// The functions belong to a trait: an editor would offer inherent ones as methods of the struct.
pub(super) fn default_impls(input: &Input<'_>) -> TokenStream {
    let (private, name, generics) = (&private_alias(), &input.name, input.generics());
    let impls = input.stored().filter_map(|param| {
        let Some(Default::Value(value)) = &param.default else { return None };
        let (ty, at) = (param.ty.owned.tokens(private), param.at());
        // A string literal is the usual default of a `String`.
        let value = if param.ty.into { converted(private, value) } else { value.to_token_stream() };
        Some(emit! {
            impl #generics #private::ParamDefault<#at> for #name {
                type Value = #ty;
                fn value() -> #ty { #value }
            }
        })
    });
    impls.collect()
}

/// The expression, converted with `Into`. The parentheses have the span of the expression, where an error
/// then points.
fn converted(private: &TokenStream, value: &Expr) -> TokenStream {
    let (first, _) = end_spans(&value.to_token_stream());
    let argument = quote_spanned!(first=> (#value));
    emit!(#private::Into::into #argument)
}
