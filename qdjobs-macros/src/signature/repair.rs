//! Replaces a type that the macro has refused by one that rustc accepts, so that rustc does not report the same
//! mistake a second time.
//!
//! Decides no refusal and reports no error. The body of a function with a replaced type is not emitted: see
//! `function.rs`.
//!
//! Depends on `types`.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{GenericArgument, PathArguments, Type};

use super::types::{is_pointer, ungrouped, unsized_type};

/// Where the type is written.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// The type of a parameter. Holds the lifetimes that the function declares.
    Param(&'a [Ident]),
    /// The return type. Also holds whether rustc knows the lifetime of a reference that has none.
    Output(&'a [Ident], bool),
}

/// Replaces what rustc would refuse in `ty`. Returns whether there was anything.
pub(super) fn repair(ty: &mut Type, place: Place<'_>) -> bool {
    let is_sized = match place {
        Place::Param(_) => borrow_unsized(ty),
        Place::Output(..) => false,
    };
    let is_changed = make_sized(ty, false) | is_sized;
    let mut is_renamed = false;
    let tokens = known_lifetimes(ty.to_token_stream(), place, &mut is_renamed);
    match syn::parse2(tokens) {
        Ok(renamed) if is_renamed => *ty = renamed,
        _ => {}
    }
    is_changed || is_renamed
}

/// A parameter of an unsized type is probably meant to be a reference, which callers of the function pass.
fn borrow_unsized(ty: &mut Type) -> bool {
    let borrowed = match unsized_type(ungrouped(ty)) {
        Some((borrowed, _)) => syn::parse2(borrowed).ok(),
        None if matches!(ungrouped(ty), Type::TraitObject(_)) => Some(syn::parse_quote!(&(#ty))),
        None => None,
    };
    let is_unsized = borrowed.is_some();
    if let Some(borrowed) = borrowed {
        *ty = borrowed;
    }
    is_unsized
}

/// Replaces each type without a known size. `may_be_unsized` is whether the type itself may have none.
fn make_sized(ty: &mut Type, may_be_unsized: bool) -> bool {
    if !may_be_unsized && let Some(sized) = sized(ungrouped(ty)) {
        *ty = sized;
        return true;
    }
    let inner: Vec<(&mut Type, bool)> = match ty {
        Type::Group(group) => vec![(&mut group.elem, may_be_unsized)],
        Type::Paren(paren) => vec![(&mut paren.elem, may_be_unsized)],
        Type::Slice(slice) => vec![(&mut slice.elem, false)],
        Type::Array(array) => vec![(&mut array.elem, false)],
        Type::Tuple(tuple) => tuple.elems.iter_mut().map(|item| (item, false)).collect(),
        Type::Reference(reference) => vec![(&mut reference.elem, true)],
        Type::Ptr(pointer) => vec![(&mut pointer.elem, true)],
        Type::Path(path) => {
            let Some(last) = path.path.segments.last_mut() else { return false };
            let behind_pointer = is_pointer(&last.ident);
            let PathArguments::AngleBracketed(arguments) = &mut last.arguments else { return false };
            let types = arguments.args.iter_mut().filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some((ty, behind_pointer)),
                _ => None,
            });
            types.collect()
        }
        _ => return false,
    };
    // Each one is replaced, so `any` would not do.
    inner.into_iter().fold(false, |changed, (ty, may_be_unsized)| make_sized(ty, may_be_unsized) | changed)
}

/// The type with a known size that stands for one without.
fn sized(ty: &Type) -> Option<Type> {
    match ty {
        Type::TraitObject(_) => Some(syn::parse_quote!(&'static (#ty))),
        ty => syn::parse2(unsized_type(ty)?.1).ok(),
    }
}

/// The tokens of a type, with a known lifetime for each one that rustc does not know.
fn known_lifetimes(tokens: TokenStream, place: Place<'_>, is_renamed: &mut bool) -> TokenStream {
    let (declared, may_elide, known) = match place {
        Place::Param(declared) => (declared, true, "_"),
        Place::Output(declared, may_elide) => (declared, may_elide, "static"),
    };
    let is_known = |name: &Ident| name == "static" || declared.contains(name) || (may_elide && name == "_");
    let mut found = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    let mut is_cow = false;
    while let Some(token) = tokens.next() {
        let is_lifetime =
            |next: Option<&TokenTree>| matches!(next, Some(TokenTree::Punct(next)) if next.as_char() == '\'');
        let was_cow =
            std::mem::replace(&mut is_cow, matches!(&token, TokenTree::Ident(word) if word == "Cow"));
        match token {
            TokenTree::Group(group) => {
                let inner = known_lifetimes(group.stream(), place, is_renamed);
                let mut group_of_known = Group::new(group.delimiter(), inner);
                group_of_known.set_span(group.span());
                found.extend([TokenTree::Group(group_of_known)]);
            }
            TokenTree::Punct(sign) if sign.as_char() == '\'' => {
                found.extend([TokenTree::Punct(sign)]);
                if let Some(TokenTree::Ident(name)) = tokens.next() {
                    let is_known = is_known(&name);
                    *is_renamed |= !is_known;
                    found.extend([if is_known { name } else { Ident::new(known, name.span()) }]);
                }
            }
            TokenTree::Punct(sign)
                if !may_elide
                    && (sign.as_char() == '&' || (was_cow && sign.as_char() == '<'))
                    && !is_lifetime(tokens.peek()) =>
            {
                let comma = (sign.as_char() == '<').then(|| quote!(,));
                *is_renamed = true;
                found.extend(quote!(#sign 'static #comma));
            }
            token => found.extend([token]),
        }
    }
    found
}

/// The type that was probably meant by a refused type of a result: without references. `None` if none is known.
pub(super) fn owned(ty: &Type) -> Option<Type> {
    let ty = ungrouped(ty);
    if let Some((_, sized)) = unsized_type(ty) {
        return syn::parse2(sized).ok();
    }
    let mut found = ty.clone();
    match &mut found {
        Type::Reference(reference) => return owned(&reference.elem),
        Type::Array(array) => *array.elem = owned(&array.elem)?,
        Type::Tuple(tuple) => tuple.elems.iter_mut().try_for_each(|item| owned(item).map(|ty| *item = ty))?,
        Type::Path(path) => {
            let last = path.path.segments.last_mut()?;
            if last.ident == "TaskError" || last.ident == "Cow" {
                return None;
            }
            if let PathArguments::AngleBracketed(arguments) = &mut last.arguments {
                for argument in &mut arguments.args {
                    match argument {
                        GenericArgument::Type(ty) => *ty = owned(ty)?,
                        GenericArgument::Lifetime(_) => return None,
                        _ => {}
                    }
                }
            }
        }
        _ => return None,
    }
    Some(found)
}

/// The number of lifetimes in these tokens, written or left out at a `&`. With exactly one in the parameters,
/// rustc knows the lifetime of a reference in the result.
pub(super) fn count_lifetimes(tokens: TokenStream) -> usize {
    let mut count = 0;
    let mut is_after_reference = false;
    for token in tokens {
        let sign = match token {
            TokenTree::Group(group) => {
                count += count_lifetimes(group.stream());
                ' '
            }
            TokenTree::Punct(sign) => sign.as_char(),
            _ => ' ',
        };
        count += usize::from(sign == '&' || (sign == '\'' && !is_after_reference));
        is_after_reference = sign == '&';
    }
    count
}
