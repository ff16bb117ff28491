//! Decides as which owned type a parameter is stored (`&str` as `String`), and how the value is passed to the
//! function.
//!
//! Generates no code: see `expand/param.rs`. Knows no attribute.
//!
//! Depends on `types`, `diagnostics` and `tokens`.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{GenericArgument, PathArguments, Type, TypeReference};

use super::types::{is_named, last_segment, option_of, type_text, ungrouped};
use crate::diagnostics::error;
use crate::tokens::end_spans;

/// How a parameter is stored and passed.
pub(crate) struct StoredType {
    /// The owned type: the type of the field.
    pub(crate) owned: OwnedType,
    /// The spans of the first and the last token as written: where an error about the type points.
    pub(crate) spans: (Span, Span),
    /// The owned type as text.
    pub(crate) text: String,
    /// Whether `new` takes `impl Into<_>`. Not for numbers: with it the literal `5` would be an `i32`.
    pub(crate) into: bool,
    /// Whether it is an `Option`.
    pub(crate) optional: bool,
    pub(crate) pass_by: PassBy,
}

/// The owned type of a parameter.
pub(crate) enum OwnedType {
    /// The written type, or the type behind a reference.
    AsWritten(TokenStream),
    /// `String`
    String,
    /// `Vec` of this type.
    Vec(TokenStream),
    /// `<T as ToOwned>::Owned` of this type: `Path` may be the one of the standard library or a type of the
    /// user.
    ToOwned(TokenStream),
    /// `Option` of the second, where the first is the path of `Option` as written.
    Option(TokenStream, Box<OwnedType>),
}

/// How the owned value becomes the argument of the function.
pub(crate) enum PassBy {
    /// `value`
    Move,
    /// `&value`
    Ref,
    /// `value.as_deref()`
    Deref,
    /// `value.as_ref()`
    AsRef,
    /// A reference to this type, through `Borrow`.
    Borrow(TokenStream),
}

/// Decides how a parameter of type `ty` is stored and passed.
pub(super) fn stored_type(ty: &Type) -> syn::Result<StoredType> {
    if let Some((option, inner)) = option_of(ty) {
        return stored_option(ty, option, inner);
    }
    let (owned, pass_by) = match ty {
        Type::Reference(reference) => match owned_of(reference)? {
            (owned, PassBy::Borrow(_)) => (owned, PassBy::Ref),
            other => other,
        },
        ty => (as_written(ty)?, PassBy::Move),
    };
    let into = match &owned {
        OwnedType::String | OwnedType::ToOwned(_) => true,
        OwnedType::AsWritten(_) => is_string_like(match ty {
            Type::Reference(reference) => &reference.elem,
            ty => ty,
        }),
        OwnedType::Vec(_) | OwnedType::Option(..) => false,
    };
    let (spans, text) = (end_spans(&ty.to_token_stream()), owned.text());
    Ok(StoredType { owned, spans, text, into, optional: false, pass_by })
}

/// As [`stored_type`], for an `Option` of `inner`.
fn stored_option(ty: &Type, option: TokenStream, inner: &Type) -> syn::Result<StoredType> {
    let (inner, pass_by) = match ungrouped(inner) {
        Type::Reference(reference) => owned_of(reference)?,
        inner => (as_written(inner)?, PassBy::Move),
    };
    let pass_by = match (pass_by, &inner) {
        (PassBy::Move, _) => PassBy::Move,
        (PassBy::Borrow(ty), _) => PassBy::Borrow(ty),
        (_, OwnedType::String | OwnedType::Vec(_)) => PassBy::Deref,
        _ => PassBy::AsRef,
    };
    let owned = OwnedType::Option(option, Box::new(inner));
    let (spans, text) = (end_spans(&ty.to_token_stream()), owned.text());
    Ok(StoredType { owned, spans, text, into: false, optional: true, pass_by })
}

/// The owned type for a reference, and how a reference to the value is passed.
fn owned_of(reference: &TypeReference) -> syn::Result<(OwnedType, PassBy)> {
    if let Some(lifetime) = reference.lifetime.as_ref().filter(|lifetime| lifetime.ident == "static") {
        return Err(error(
            lifetime,
            "a parameter cannot be `'static`: it is decoded from the stored job and dropped after the call",
            "remove `'static`",
        ));
    }
    if let Some(word) = &reference.mutability {
        return Err(error(
            word,
            "a parameter cannot be `&mut`: each attempt decodes its own value, so changes would be lost",
            "take it by value, with `mut` before its name",
        ));
    }
    let target = ungrouped(&reference.elem);
    if is_named(target, &["str"]) {
        return Ok((OwnedType::String, PassBy::Ref));
    }
    if is_named(target, &["Path", "OsStr", "CStr"]) {
        let target = target.to_token_stream();
        return Ok((OwnedType::ToOwned(target.clone()), PassBy::Borrow(target)));
    }
    if let Type::Slice(slice) = target {
        check_storable(&slice.elem)?;
        return Ok((OwnedType::Vec(slice.elem.to_token_stream()), PassBy::Ref));
    }
    Ok((as_written(target)?, PassBy::Ref))
}

fn as_written(ty: &Type) -> syn::Result<OwnedType> {
    check_storable(ty)?;
    Ok(OwnedType::AsWritten(ty.to_token_stream()))
}

/// Whether callers usually have the value as a `&str` or a path.
fn is_string_like(ty: &Type) -> bool {
    let Some((word, arguments)) = last_segment(ty) else { return false };
    match arguments {
        PathArguments::None => ["String", "PathBuf", "OsString"].iter().any(|known| word == known),
        PathArguments::AngleBracketed(arguments) => {
            let Some(GenericArgument::Type(inner)) = arguments.args.last() else { return false };
            is_named(inner, &["str"]) && ["Box", "Arc", "Rc", "Cow"].iter().any(|known| word == known)
        }
        PathArguments::Parenthesized(_) => false,
    }
}

/// Reports a type that cannot be stored, at the first token that shows it.
fn check_storable(ty: &Type) -> syn::Result<()> {
    check_tokens(ty.to_token_stream(), ty)
}

fn check_tokens(tokens: TokenStream, whole: &Type) -> syn::Result<()> {
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Group(group) => check_tokens(group.stream(), whole)?,
            TokenTree::Punct(sign) if sign.as_char() == '&' => return Err(inner_borrow_error(&token)),
            TokenTree::Punct(sign) if sign.as_char() == '*' => {
                return Err(error(
                    whole,
                    "a pointer cannot be stored: it is not valid in another process",
                    "store the value itself, or its id",
                ));
            }
            TokenTree::Punct(sign) if sign.as_char() == '\'' => {
                let Some(TokenTree::Ident(lifetime)) = tokens.next() else { continue };
                if lifetime != "static" {
                    return Err(inner_borrow_error(&quote!(#token #lifetime)));
                }
            }
            TokenTree::Ident(word) => check_word(word, whole)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_word(word: &Ident, whole: &Type) -> syn::Result<()> {
    match word.to_string().as_str() {
        "impl" => Err(generic_error(whole, "a parameter must have a concrete type")),
        "dyn" => Err(error(
            whole,
            "a parameter cannot be `dyn`: a stored value is decoded as one concrete type",
            "use a concrete type; for a shared object use `#[state]` and `Arc<dyn ..>`",
        )),
        "fn" => Err(error(
            whole,
            "a function cannot be stored",
            "store a value that identifies the function, and select it in the body",
        )),
        "u128" | "i128" => Err(error(
            word,
            format_args!("a parameter cannot be `{word}`: a stored JSON number has at most 64 bits"),
            "take a `String`, and parse it in the body",
        )),
        "_" => Err(error(
            whole,
            "the type of a parameter cannot be inferred: it is part of the stored job",
            "write the type",
        )),
        _ => Ok(()),
    }
}

/// The error for a type parameter of the function and for `impl Trait` in a parameter, which is one.
pub(super) fn generic_error(at: impl ToTokens, what: &str) -> syn::Error {
    error(
        at,
        format_args!("{what}: a stored job names the task, not its type arguments"),
        "write a generic helper function, and one `#[task]` function for each type",
    )
}

fn inner_borrow_error(at: &impl ToTokens) -> syn::Error {
    error(
        at,
        "a part of a parameter cannot be a reference: parameters are decoded from the stored job",
        "use owned types for the parts, such as `Vec<String>` or `Cow<'static, str>`",
    )
}

impl OwnedType {
    /// The usual spelling: `Option<String>`.
    fn text(&self) -> String {
        match self {
            OwnedType::AsWritten(ty) => type_text(ty.clone()),
            OwnedType::String => "String".to_owned(),
            OwnedType::Vec(item) => format!("Vec<{}>", type_text(item.clone())),
            OwnedType::ToOwned(ty) => match type_text(ty.clone()).rsplit("::").next() {
                Some("Path") => "PathBuf".to_owned(),
                Some("OsStr") => "OsString".to_owned(),
                _ => "CString".to_owned(),
            },
            OwnedType::Option(_, inner) => format!("Option<{}>", inner.text()),
        }
    }
}
