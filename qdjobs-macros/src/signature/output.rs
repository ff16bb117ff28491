//! Decides from the written return type whether a task returns a `Result`, and refuses types that no task can
//! return: a borrow, `impl Trait`, `dyn`, `!`, a `TaskError` alone, an `Option` of a `Result`.
//!
//! Whether the value can be stored is decided by the compiler, with the requirements in the runtime's
//! `task/output.rs`. It also refuses an alias that hides a `Result`.
//!
//! Depends on `repair`, `types`, `diagnostics` and `tokens`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{GenericArgument, PathArguments, ReturnType, Type, TypeTraitObject};

use super::repair::owned;
use super::types::{
    Part, has_flaw_of_rustc, is_cow_without_lifetime, is_large, is_no_key, is_refused_by_rustc, last_segment,
    map_arguments, type_text, ungrouped, unsized_type, walk,
};
use crate::diagnostics::{Errors, error};
use crate::tokens::end_spans;

/// The return type of a task.
pub(crate) struct Output {
    /// The type as written; `()` if there is none.
    pub(crate) ty: TokenStream,
    /// The type of the value as written; without references if it is refused. `()` if none is known.
    pub(crate) value: TokenStream,
    /// Whether rustc reports an error of the type.
    pub(crate) is_refused_by_rustc: bool,
    /// Whether it is written as `Result`: the last segment of its path has this name.
    pub(crate) is_result: bool,
    /// Whether it is another path, so that it can be an alias of a `Result`.
    pub(crate) may_be_alias: bool,
    /// The spans of the first and the last token of the value's type, if it is written; else of the whole.
    pub(crate) value_spans: (Span, Span),
    /// As `value_spans`, for the type of the error.
    pub(crate) error_spans: (Span, Span),
}

/// Reads the return type. Returns also whether it is refused.
pub(super) fn read_output(output: &ReturnType, errors: &mut Errors) -> (Output, bool) {
    let ReturnType::Type(_, ty) = output else {
        let ty = quote!(());
        let spans = end_spans(&ty);
        let output = Output {
            value: ty.clone(),
            ty,
            is_refused_by_rustc: false,
            is_result: false,
            may_be_alias: false,
            value_spans: spans,
            error_spans: spans,
        };
        return (output, false);
    };
    let ty = ungrouped(ty);
    let arguments = result_arguments(ty);
    let is_result = arguments.is_some();
    let (value, error) = arguments.unwrap_or_default();
    let checked = match (is_result, value) {
        (false, _) => check_no_result(ty).and_then(|()| check_value(ty, ty)),
        (true, Some(value)) => check_value(value, ty),
        (true, None) => Ok(()),
    };
    let checked = checked.and_then(|()| error.map_or(Ok(()), check_error));
    let is_refused = checked.is_err();
    if let Err(error) = checked {
        errors.push(error);
    }
    let is_refused_by_rustc = has_flaw_of_rustc(ty);
    let spans = |part: Option<&Type>| end_spans(&part.unwrap_or(ty).to_token_stream());
    let stored = if is_result { value } else { Some(ty) };
    let output = Output {
        ty: ty.to_token_stream(),
        value: match stored {
            _ if is_refused_by_rustc => quote!(()),
            Some(value) if is_refused => owned(value).map_or(quote!(()), Type::into_token_stream),
            Some(value) => value.to_token_stream(),
            None => quote!(()),
        },
        is_refused_by_rustc,
        is_result,
        may_be_alias: !is_result && matches!(ty, Type::Path(_) | Type::Macro(_)),
        value_spans: spans(value),
        error_spans: spans(error),
    };
    (output, is_refused)
}

/// Refuses a `Result` inside of a type whose value is the only one: its error would be stored as a success.
fn check_no_result(ty: &Type) -> syn::Result<()> {
    let mut inner = ty;
    loop {
        let Some((word, PathArguments::AngleBracketed(arguments))) = last_segment(inner) else {
            return Ok(());
        };
        if word == "Result" {
            return Err(wrapped_error(word, inner, ty));
        }
        let is_wrapper = ["Option", "Box", "Arc", "Rc", "Cow"].iter().any(|known| word == known);
        match arguments.args.last() {
            Some(GenericArgument::Type(argument)) if is_wrapper => inner = argument,
            _ => return Ok(()),
        }
    }
}

/// The error for a `Result` inside of another type. `whole` is the return type.
fn wrapped_error(word: &Ident, result: &Type, whole: &Type) -> syn::Error {
    let (text, whole) = (type_text(result.to_token_stream()), type_text(whole.to_token_stream()));
    let help = match result_arguments(result) {
        Some((Some(value), Some(error))) if whole == format!("Option<{text}>") => {
            let (value, error) = (type_text(value.to_token_stream()), type_text(error.to_token_stream()));
            format!("return `Result<Option<{value}>, {error}>`")
        }
        _ => format!("return `{text}`"),
    };
    error(word, format_args!("`{whole}` hides a `Result`, so its error would be stored as a success"), help)
}

/// For a type that is written as `Result`: its value and its error, as far as they are written.
fn result_arguments(ty: &Type) -> Option<(Option<&Type>, Option<&Type>)> {
    let (word, arguments) = last_segment(ty)?;
    if word != "Result" {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = arguments else { return Some((None, None)) };
    let mut types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    Some((types.next(), types.next()))
}

/// Checks the type of the value. `whole` is the return type.
fn check_value(ty: &Type, whole: &Type) -> syn::Result<()> {
    walk(ty, &mut |part| match part {
        Part::Lifetime(lifetime) if lifetime.ident != "static" => Err(borrowed_error(lifetime)),
        Part::Lifetime(_) => Ok(true),
        Part::Type(part, behind_pointer) => check_part(part, behind_pointer, ty, whole),
    })
}

fn check_part(part: &Type, behind_pointer: bool, ty: &Type, whole: &Type) -> syn::Result<bool> {
    if !behind_pointer && let Some((_, owned)) = unsized_type(part) {
        return Err(unsized_error(part, &owned));
    }
    match part {
        Type::Never(_) if std::ptr::eq(part, ungrouped(whole)) => Err(error(
            part,
            "a task cannot return `!`: it would occupy a slot of its worker forever",
            "return `()`",
        )),
        Type::ImplTrait(_) => Err(error(
            part,
            "the result of a task cannot be `impl Trait`: it must have a named type",
            "write the type; for a future use `async fn`",
        )),
        Type::TraitObject(object) => Err(dyn_error(object, ty)),
        Type::Reference(reference) => {
            let is_static = reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static");
            Err(if is_static {
                static_error(reference.and_token)
            } else {
                borrowed_error(reference.and_token)
            })
        }
        Type::Ptr(_) => Err(error(
            part,
            "the result of a task cannot be a pointer: it is not valid in another process",
            "return the value itself",
        )),
        Type::FnPtr(_) => Err(error(
            part,
            "the result of a task cannot be a function: it is stored as JSON",
            "return a value that identifies the function",
        )),
        Type::Path(_) if is_cow_without_lifetime(part) => Err(borrowed_error(part)),
        part if is_refused_by_rustc(part) => Ok(false),
        part => check_limits(part),
    }
}

/// Refuses what serde or serde_json cannot write, and a `TaskError` alone.
fn check_limits(part: &Type) -> syn::Result<bool> {
    match part {
        Type::Array(array) if is_large(array) && matches!(array.len, syn::Expr::Lit(_)) => {
            let item = type_text(array.elem.to_token_stream());
            Err(error(
                part,
                "the result of a task cannot be an array of more than 32 items, which serde does not write",
                format_args!("return `Vec<{item}>`"),
            ))
        }
        Type::Path(_) if impossible_key(part).is_some() => Err(error(
            impossible_key(part),
            "the key of a stored map must be a text or a number: it is a key of a JSON object",
            "return a `Vec` of pairs",
        )),
        Type::Path(_) if last_segment(part).is_some_and(|(word, _)| word == "TaskError") => Err(error(
            part,
            "a task cannot return a `TaskError` alone: it does not say when the task has succeeded",
            "return `Result<(), TaskError>`, or `Result<T, TaskError>` for a task with a result",
        )),
        _ => Ok(true),
    }
}

/// For a map: its key, if serde_json cannot write it.
fn impossible_key(ty: &Type) -> Option<&Type> {
    map_arguments(ty).map(|(key, _)| key).filter(|key| is_no_key(key))
}

/// Checks the type of the error.
fn check_error(ty: &Type) -> syn::Result<()> {
    walk(ty, &mut |part| match part {
        Part::Lifetime(lifetime) if lifetime.ident != "static" => Err(borrowed_error(lifetime)),
        Part::Type(Type::Reference(reference), _) => match &reference.lifetime {
            Some(lifetime) if lifetime.ident == "static" => Ok(true),
            _ => Err(borrowed_error(reference.and_token)),
        },
        Part::Type(part, _) if is_refused_by_rustc(part) => Ok(false),
        Part::Type(part, _) if is_cow_without_lifetime(part) => Err(borrowed_error(part)),
        Part::Type(part @ Type::ImplTrait(_), _) => Err(error(
            part,
            "the error of a task cannot be `impl Trait`: it must have a named type",
            "write the type, or `Box<dyn std::error::Error>`",
        )),
        Part::Type(part @ Type::TraitObject(_), false) => {
            let text = type_text(part.to_token_stream());
            Err(error(
                part,
                format_args!("the error of a task cannot be `{text}`, whose size is not known"),
                format_args!("write `Box<{text}>`"),
            ))
        }
        Part::Type(part, false) => match unsized_type(part) {
            Some((_, owned)) => Err(unsized_error(part, &owned)),
            None => Ok(true),
        },
        _ => Ok(true),
    })
}

/// The error for `dyn` in the value. `ty` is the type of the value.
fn dyn_error(object: &TypeTraitObject, ty: &Type) -> syn::Error {
    let bounds = type_text(object.bounds.to_token_stream());
    let name =
        bounds.split(['<', ' ', '+']).next().and_then(|path| path.rsplit("::").next()).unwrap_or_default();
    let text = type_text(ty.to_token_stream());
    match name {
        "Future" => error(
            ty,
            "the result of a task cannot be a `dyn` future: a worker does not poll it",
            "write `async fn`, and return what the future returns",
        ),
        "Error" => error(
            ty,
            "the result of a task cannot be `dyn`: it is read back as one concrete type",
            format_args!("for an error return `Result<(), {text}>`"),
        ),
        _ => error(
            ty,
            "the result of a task cannot be `dyn`: it is read back as one concrete type",
            "return a concrete type, such as an `enum`",
        ),
    }
}

fn unsized_error(ty: &Type, owned: &TokenStream) -> syn::Error {
    let text = type_text(ty.to_token_stream());
    let own = if text == "Path" { "; for a type of your own write `self::Path`" } else { "" };
    error(
        ty,
        format_args!("a task cannot return `{text}`, whose size is not known"),
        format_args!("return the owned type, `{}`{own}", type_text(owned.clone())),
    )
}

const OWNED_HELP: &str = "return an owned value: `String` for `&str`, `Vec<_>` for `&[_]`";

fn static_error(at: impl ToTokens) -> syn::Error {
    error(
        at,
        "the result of a task cannot be a reference: a caller that waits for it reads a value of its own",
        OWNED_HELP,
    )
}

fn borrowed_error(at: impl ToTokens) -> syn::Error {
    error(
        at,
        "the result of a task cannot borrow from its parameters: it is stored after the call",
        OWNED_HELP,
    )
}
