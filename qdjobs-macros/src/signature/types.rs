//! Helpers for types as they are written: without invisible groups, by the last path segment, as text, and a
//! walk through their parts.
//!
//! Decides nothing about parameters and reports no errors.
//!
//! Depends on syn only.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Expr, GenericArgument, Lifetime, Lit, PathArguments, PathSegment, Type, TypeArray, TypeParamBound,
};

/// The type without parentheses and without the invisible groups that `macro_rules!` adds.
pub(super) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}

/// The last segment of a path type, and its arguments.
pub(super) fn last_segment(ty: &Type) -> Option<(&Ident, &PathArguments)> {
    match ungrouped(ty) {
        Type::Path(path) => path.path.segments.last().map(|last| (&last.ident, &last.arguments)),
        _ => None,
    }
}

/// Whether the type is a path without arguments that ends in one of `words`.
pub(super) fn is_named(ty: &Type, words: &[&str]) -> bool {
    last_segment(ty)
        .is_some_and(|(word, arguments)| arguments.is_none() && words.iter().any(|known| word == known))
}

/// For `Option<T>`: the path without its argument, and `T`.
pub(super) fn option_of(ty: &Type) -> Option<(TokenStream, &Type)> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match (last.ident == "Option" && path.qself.is_none(), arguments.args.first()) {
        (true, Some(GenericArgument::Type(inner))) if arguments.args.len() == 1 => {
            let mut option = path.path.clone();
            if let Some(last) = option.segments.last_mut() {
                last.arguments = PathArguments::None;
            }
            Some((option.into_token_stream(), inner))
        }
        _ => None,
    }
}

/// A part of a type, in the order in which it is written.
pub(super) enum Part<'a> {
    /// The type itself or a type inside it, and whether it is behind a pointer: it need not be `Sized` there.
    Type(&'a Type, bool),
    /// A lifetime argument.
    Lifetime(&'a Lifetime),
}

/// Calls `visit` for each part of `ty`, from the outside in.
///
/// `visit` returns whether to look into the part. What is inside of `dyn Trait`, `fn(..)` and `impl Trait` is
/// no part: a reference there is not stored.
pub(super) fn walk<'a>(
    ty: &'a Type,
    visit: &mut impl FnMut(Part<'a>) -> syn::Result<bool>,
) -> syn::Result<()> {
    walk_behind(ty, false, visit)
}

fn walk_behind<'a>(
    ty: &'a Type,
    pointer: bool,
    visit: &mut impl FnMut(Part<'a>) -> syn::Result<bool>,
) -> syn::Result<()> {
    let ty = ungrouped(ty);
    if !visit(Part::Type(ty, pointer))? {
        return Ok(());
    }
    match ty {
        Type::Reference(reference) => walk_behind(&reference.elem, true, visit),
        Type::Ptr(pointer) => walk_behind(&pointer.elem, true, visit),
        Type::Slice(slice) => walk_behind(&slice.elem, false, visit),
        Type::Array(array) => walk_behind(&array.elem, false, visit),
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(|item| walk_behind(item, false, visit)),
        Type::Path(path) => {
            if let Some(qself) = &path.qself {
                walk_behind(&qself.ty, true, visit)?;
            }
            let is_pointer = last_segment(ty).is_some_and(|(word, _)| is_pointer(word));
            for segment in &path.path.segments {
                let PathArguments::AngleBracketed(arguments) = &segment.arguments else { continue };
                for argument in &arguments.args {
                    match argument {
                        GenericArgument::Type(inner) => walk_behind(inner, is_pointer, visit)?,
                        GenericArgument::Lifetime(lifetime) => drop(visit(Part::Lifetime(lifetime))?),
                        _ => {}
                    }
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether rustc refuses the type in the signature of a function, with an error of its own: `_`, and `Self`
/// outside of an impl.
pub(super) fn is_refused_by_rustc(ty: &Type) -> bool {
    match ty {
        Type::Infer(_) => true,
        Type::Path(path) => path.path.segments.first().is_some_and(|first| first.ident == "Self"),
        _ => false,
    }
}

/// Whether rustc refuses a part of the type, such as `_`.
pub(super) fn has_flaw_of_rustc(ty: &Type) -> bool {
    let mut found = false;
    let _ = walk(ty, &mut |part| {
        found |= matches!(part, Part::Type(part, _) if is_refused_by_rustc(part));
        Ok(true)
    });
    found
}

/// Whether a type of this name owns a value that need not be `Sized`.
pub(super) fn is_pointer(word: &Ident) -> bool {
    ["Box", "Arc", "Rc", "Cow", "Weak", "Mutex", "RwLock", "RefCell", "PhantomData"]
        .iter()
        .any(|known| word == known)
}

/// The key and the value of a map.
pub(super) fn map_arguments(ty: &Type) -> Option<(&Type, &Type)> {
    let (word, PathArguments::AngleBracketed(arguments)) = last_segment(ty)? else { return None };
    if !["HashMap", "BTreeMap", "IndexMap"].iter().any(|known| word == known) {
        return None;
    }
    let mut types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ungrouped(ty)),
        _ => None,
    });
    types.next().zip(types.next())
}

/// Whether serde_json cannot write the type as the key of a map, judged by how it is written.
pub(super) fn is_no_key(ty: &Type) -> bool {
    match ty {
        Type::Tuple(_) | Type::Array(_) | Type::Slice(_) => true,
        ty => last_segment(ty).is_some_and(|(word, arguments)| {
            // `None` is `null`; the others are written as objects or lists.
            let generic = [
                "Option",
                "Range",
                "RangeInclusive",
                "Vec",
                "VecDeque",
                "HashMap",
                "BTreeMap",
                "HashSet",
                "BTreeSet",
            ];
            // A type of the user can have the name of a generic one.
            let known: &[&str] = if arguments.is_none() { &["Duration", "SystemTime"] } else { &generic };
            known.iter().any(|known| word == known)
        }),
    }
}

/// The name of a type whose value can be changed through a shared reference, which a stored value cannot share.
/// `behind_pointer` is whether the type is behind a pointer.
pub(super) fn shared_value(ty: &Type, behind_pointer: bool) -> Option<&Ident> {
    let (word, arguments) = last_segment(ty)?;
    let is_one_of = |words: &[&str]| words.iter().any(|known| word == known);
    let is_shared = match arguments {
        PathArguments::AngleBracketed(_) => {
            is_one_of(&["Mutex", "RwLock", "OnceLock", "OnceCell", "LazyLock", "LazyCell", "RefCell"])
                // Types of the user can have these names, too.
                || (behind_pointer && is_one_of(&["Cell", "DashMap", "DashSet"]))
        }
        PathArguments::None => is_atomic(word),
        PathArguments::Parenthesized(_) => false,
    };
    is_shared.then_some(word)
}

/// Whether this is the name of an atomic number of the standard library.
fn is_atomic(word: &Ident) -> bool {
    let number = word.to_string();
    number.strip_prefix("Atomic").is_some_and(|number| {
        ["Bool", "U8", "U16", "U32", "U64", "Usize", "I8", "I16", "I32", "I64", "Isize"].contains(&number)
    })
}

/// Whether the type is a `Cow` without its lifetime, which a function may leave out and a struct may not.
pub(super) fn is_cow_without_lifetime(ty: &Type) -> bool {
    match last_segment(ty) {
        Some((word, PathArguments::AngleBracketed(arguments))) => {
            word == "Cow" && matches!(arguments.args.first(), Some(GenericArgument::Type(_)))
        }
        _ => false,
    }
}

/// Whether the type is `dyn Fn(..)`, or one of the other traits of functions.
pub(super) fn is_dyn_function(ty: &Type) -> bool {
    let Type::TraitObject(object) = ty else { return false };
    let Some(TypeParamBound::Trait(bound)) = object.bounds.first() else { return false };
    let is_function = |last: &PathSegment| matches!(last.arguments, PathArguments::Parenthesized(_));
    bound.path.segments.last().is_some_and(is_function)
}

/// For a type without a known size: the borrowed type, and the owned one.
pub(super) fn unsized_type(ty: &Type) -> Option<(TokenStream, TokenStream)> {
    if let Type::Slice(slice) = ty {
        let item = &slice.elem;
        return Some((quote!(&#ty), quote!(Vec<#item>)));
    }
    let (word, arguments) = last_segment(ty)?;
    let Type::Path(path) = ty else { return None };
    if !arguments.is_none() || path.qself.is_some() {
        return None;
    }
    let first = path.path.segments.first().map(|first| first.ident.to_string()).unwrap_or_default();
    let owned = match (word.to_string().as_str(), first.as_str()) {
        ("str", _) => quote!(String),
        ("OsStr", _) => quote!(std::ffi::OsString),
        ("CStr", _) => quote!(std::ffi::CString),
        // A type of the user can have one of these names.
        ("Path", "std") => quote!(std::path::PathBuf),
        // Not by a longer path. Else it is probably `std::path::Path`, for which rustc reports many errors.
        ("Path", "Path") => quote!(PathBuf),
        ("RawValue", "serde_json") => quote!(Box<#path>),
        ("Utf8Path", "camino") => quote!(camino::Utf8PathBuf),
        ("BStr", "bstr") => quote!(bstr::BString),
        _ => return None,
    };
    Some((quote!(&#ty), owned))
}

/// Whether serde does not implement its traits for the array: it has more than 32 items, or an unknown number.
pub(super) fn is_large(array: &TypeArray) -> bool {
    match &array.len {
        Expr::Lit(length) => match &length.lit {
            Lit::Int(length) => length.base10_parse::<u64>().is_ok_and(|length| length > 32),
            _ => true,
        },
        _ => true,
    }
}

/// The usual spelling of a type. It is the same with every compiler, because it is compared with the text of
/// an earlier build.
pub(crate) fn type_text(tokens: TokenStream) -> String {
    let mut text = String::new();
    let mut after_word = false;
    for token in tokens {
        let is_word = matches!(token, TokenTree::Ident(_) | TokenTree::Literal(_));
        if is_word && after_word {
            text.push(' ');
        }
        after_word = is_word;
        match token {
            TokenTree::Group(group) => {
                let inner = type_text(group.stream());
                match group.delimiter() {
                    Delimiter::Parenthesis => text += &format!("({inner})"),
                    Delimiter::Bracket => text += &format!("[{inner}]"),
                    Delimiter::Brace => text += &format!("{{{inner}}}"),
                    Delimiter::None => text += &inner,
                }
            }
            TokenTree::Punct(sign) => match sign.as_char() {
                ',' => text += ", ",
                ';' => text += "; ",
                '+' => text += " + ",
                '=' => text += " = ",
                sign => text.push(sign),
            },
            token => text += &token.to_string(),
        }
    }
    text.replace(" = >", " => ").replace("->", " -> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_type_has_the_usual_spelling() {
        for text in [
            "Option<String>",
            "HashMap<String, Vec<(u8, u16)>>",
            "[u8; 4]",
            "Cow<'static, str>",
            "Box<dyn Fn(u8) -> bool + Send>",
            "::std::path::PathBuf",
            "<Path as ToOwned>::Owned",
        ] {
            assert_eq!(type_text(text.parse().unwrap()), text);
        }
    }
}
