//! Decides as which owned type a parameter is stored (`&str` as `String`), and how the value is passed to the
//! function.
//!
//! Generates no code: see `expand/param.rs`. Knows no attribute.
//!
//! Depends on `types`, `diagnostics` and `tokens`.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{GenericArgument, PathArguments, Type, TypeReference};

use super::types::{
    Part, is_cow_without_lifetime, is_dyn_function, is_large, is_named, is_no_key, last_segment,
    map_arguments, option_of, shared_value, type_text, ungrouped, unsized_type, walk,
};
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
    /// For an array of more than 32 items, also in an `Option`: the type of an item. serde does not implement
    /// its traits for such arrays.
    pub(crate) large_array: Option<TokenStream>,
    pub(crate) pass_by: PassBy,
}

impl StoredType {
    /// Whether it is stored for a slice of a type that the user may have misspelt.
    pub(crate) fn is_slice_of_name(&self) -> bool {
        let OwnedType::Vec(item) = &self.owned else { return false };
        let name = item.to_string();
        name.starts_with(char::is_uppercase) && name.chars().all(char::is_alphanumeric) && name != "String"
    }

    /// Whether a string literal is a value of it.
    pub(super) fn is_text(&self) -> bool {
        self.into && !matches!(self.owned, OwnedType::Vec(_))
    }
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
    /// `Option` of the second, where the first is the path of `Option` as written. The spans are those of the
    /// first and the last token of the whole type.
    Option(TokenStream, Box<OwnedType>, (Span, Span)),
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

/// Decides how a parameter of type `ty` is stored and passed. `custom` is whether functions of the user write
/// and read it, which can store more than serde.
pub(super) fn stored_type(ty: &Type, custom: bool) -> syn::Result<StoredType> {
    if let Some((option, inner)) = option_of(ty) {
        return stored_option(ty, option, inner, custom);
    }
    let (owned, pass_by) = match ty {
        Type::Reference(reference) => match owned_of(reference, custom)? {
            (owned, PassBy::Borrow(_)) => (owned, PassBy::Ref),
            other => other,
        },
        ty => (as_written(ty, custom)?, PassBy::Move),
    };
    let written = unreferenced(ty);
    let into = match &owned {
        OwnedType::String | OwnedType::Vec(_) | OwnedType::ToOwned(_) => true,
        OwnedType::AsWritten(_) => is_string_like(written),
        OwnedType::Option(..) => false,
    };
    let (spans, text) = (end_spans(&ty.to_token_stream()), owned.text());
    Ok(StoredType { owned, spans, text, into, optional: false, large_array: large_array(written), pass_by })
}

/// As [`stored_type`], for an `Option` of `inner`.
fn stored_option(ty: &Type, option: TokenStream, inner: &Type, custom: bool) -> syn::Result<StoredType> {
    let inner = ungrouped(inner);
    if let Some((borrowed, _)) = unsized_type(inner) {
        let help = format!("take `Option<{}>`", type_text(borrowed));
        return Err(unsized_error(inner, help));
    }
    let (owned, pass_by) = match inner {
        Type::Reference(reference) => owned_of(reference, custom)?,
        inner => (as_written(inner, custom)?, PassBy::Move),
    };
    let pass_by = match (pass_by, &owned) {
        (PassBy::Move, _) => PassBy::Move,
        (PassBy::Borrow(ty), _) => PassBy::Borrow(ty),
        (_, OwnedType::String | OwnedType::Vec(_)) => PassBy::Deref,
        _ => PassBy::AsRef,
    };
    let spans = end_spans(&ty.to_token_stream());
    let owned = OwnedType::Option(option, Box::new(owned), spans);
    let (text, large_array) = (owned.text(), large_array(unreferenced(inner)));
    Ok(StoredType { owned, spans, text, into: false, optional: true, large_array, pass_by })
}

/// The type behind the outer reference, if there is one.
fn unreferenced(ty: &Type) -> &Type {
    match ty {
        Type::Reference(reference) => ungrouped(&reference.elem),
        ty => ty,
    }
}

/// The type of an item, for an array that serde does not write.
fn large_array(ty: &Type) -> Option<TokenStream> {
    match ty {
        Type::Array(array) if is_large(array) => Some(array.elem.to_token_stream()),
        _ => None,
    }
}

/// The owned type for a reference, and how a reference to the value is passed.
fn owned_of(reference: &TypeReference, custom: bool) -> syn::Result<(OwnedType, PassBy)> {
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
    if is_named(target, &["Path", "OsStr", "CStr", "RawValue", "Utf8Path", "BStr"]) {
        let target = target.to_token_stream();
        return Ok((OwnedType::ToOwned(target.clone()), PassBy::Borrow(target)));
    }
    if let Type::Slice(slice) = target {
        check_storable(&slice.elem, custom)?;
        return Ok((OwnedType::Vec(slice.elem.to_token_stream()), PassBy::Ref));
    }
    if let Type::Reference(inner) = target {
        return Err(error(
            inner.and_token,
            "a parameter cannot be a reference to a reference: the stored value is passed as one reference",
            "write one `&`",
        ));
    }
    if let Some((_, inner)) = option_of(target)
        && let Type::Reference(inner) = ungrouped(inner)
    {
        return Err(error(
            inner.and_token,
            "a reference to an `Option` of a reference cannot be a parameter: parameters are decoded from the \
             stored job",
            format_args!("take `Option<{}>`", type_text(inner.to_token_stream())),
        ));
    }
    if !custom {
        check_shared(target, true)?;
    }
    Ok((as_written(target, custom)?, PassBy::Ref))
}

fn as_written(ty: &Type, custom: bool) -> syn::Result<OwnedType> {
    check_storable(ty, custom)?;
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

/// Reports a type that cannot be stored, at the first part that shows it.
fn check_storable(ty: &Type, custom: bool) -> syn::Result<()> {
    walk(ty, &mut |part| match part {
        Part::Lifetime(lifetime) if lifetime.ident != "static" => Err(inner_borrow_error(lifetime)),
        Part::Lifetime(_) => Ok(true),
        Part::Type(part, behind_pointer) => {
            check_part(part, behind_pointer, ty)?;
            if custom {
                return Ok(true);
            }
            check_shared(part, behind_pointer)?;
            check_limits_of_serde(part, ty)
        }
    })
}

/// Checks a part of the type `whole`.
fn check_part(part: &Type, behind_pointer: bool, whole: &Type) -> syn::Result<()> {
    if !behind_pointer && let Some((borrowed, owned)) = unsized_type(part) {
        let help = match std::ptr::eq(part, ungrouped(whole)) {
            true => format!("take `{}`, or the owned type, `{}`", type_text(borrowed), type_text(owned)),
            false => format!("use the owned type, `{}`", type_text(owned)),
        };
        return Err(unsized_error(part, help));
    }
    match part {
        Type::Reference(reference) => Err(inner_borrow_error(&reference.and_token)),
        Type::Ptr(_) => Err(error(
            whole,
            "a pointer cannot be stored: it is not valid in another process",
            "store the value itself, or its id",
        )),
        Type::ImplTrait(_) => Err(generic_error(whole, "a parameter must have a concrete type")),
        Type::TraitObject(_) if is_dyn_function(part) => Err(function_error(whole)),
        Type::TraitObject(_) => Err(error(
            whole,
            "a parameter cannot be `dyn`: a stored value is decoded as one concrete type",
            "use a concrete type; for a shared object use `#[state]` and `Arc<dyn ..>`",
        )),
        Type::FnPtr(_) => Err(function_error(whole)),
        Type::Path(_) if is_cow_without_lifetime(part) => Err(cow_error(part)),
        Type::Path(_) => check_counted(part),
        _ => Ok(()),
    }
}

fn cow_error(ty: &Type) -> syn::Error {
    let text = type_text(ty.to_token_stream()).replacen('<', "<'static, ", 1);
    error(
        ty,
        "a `Cow` in a parameter must be `'static`: it is decoded from the stored job",
        format_args!("write `{text}`"),
    )
}

fn function_error(ty: &Type) -> syn::Error {
    error(
        ty,
        "a function cannot be stored",
        "store a value that identifies the function, and select it in the body",
    )
}

/// Refuses a value that is changed through a shared reference.
fn check_shared(part: &Type, behind_pointer: bool) -> syn::Result<()> {
    match shared_value(part, behind_pointer) {
        Some(word) => Err(error(
            word,
            format_args!(
                "a parameter cannot be `{word}`: each attempt decodes its own value, so changes would be lost"
            ),
            "for a value that all jobs of the worker share, mark it with `#[state]`; else take the value itself",
        )),
        None => Ok(()),
    }
}

/// Refuses a pointer that stays on its thread.
fn check_counted(ty: &Type) -> syn::Result<()> {
    match last_segment(ty) {
        Some((word, PathArguments::AngleBracketed(_))) if word == "Rc" || word == "Weak" => Err(error(
            word,
            format_args!(
                "a parameter cannot be an `{word}`: a job can be made and enqueued on different threads"
            ),
            "use `Arc`, or the value itself",
        )),
        _ => Ok(()),
    }
}

/// Refuses what serde or serde_json cannot write or read. Returns whether to look into the part.
fn check_limits_of_serde(part: &Type, whole: &Type) -> syn::Result<bool> {
    match part {
        Type::Array(array) if is_large(array) && !std::ptr::eq(part, ungrouped(whole)) => Err(error(
            part,
            "an array of more than 32 items cannot be a part of a parameter, since serde does not write it",
            format_args!("use `Vec<{}>`", type_text(array.elem.to_token_stream())),
        )),
        Type::Path(_) => check_path(part),
        _ => Ok(true),
    }
}

fn check_path(ty: &Type) -> syn::Result<bool> {
    let Some((word, _)) = last_segment(ty) else { return Ok(true) };
    if is_wide(ty) {
        return Err(error(
            word,
            format_args!("a parameter cannot be `{word}`: a stored JSON number has at most 64 bits"),
            "take a `String`, and parse it in the body",
        ));
    }
    // The key of a JSON object is a text, so it can be a number of any size.
    match map_arguments(ty) {
        Some((key, value)) if is_wide(key) => check_storable(value, false).map(|()| false),
        Some((key, _)) if is_no_key(key) => Err(error(
            key,
            "the key of a stored map must be a text or a number: it is a key of a JSON object",
            "use a `Vec` of pairs, or `#[with(path)]`",
        )),
        _ => Ok(true),
    }
}

/// Whether the type is an integer of more than 64 bits.
fn is_wide(ty: &Type) -> bool {
    is_named(ty, &["u128", "i128"])
}

fn unsized_error(ty: &Type, help: String) -> syn::Error {
    let text = type_text(ty.to_token_stream());
    let own = if text == "Path" { "; for a type of your own write `self::Path`" } else { "" };
    error(
        ty,
        format_args!("a parameter cannot be `{text}`, whose size is not known"),
        format_args!("{help}{own}"),
    )
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
                Some("CStr") => "CString".to_owned(),
                Some("Utf8Path") => "Utf8PathBuf".to_owned(),
                Some("BStr") => "BString".to_owned(),
                _ => "Box<RawValue>".to_owned(),
            },
            OwnedType::Option(_, inner, _) => format!("Option<{}>", inner.text()),
        }
    }
}
