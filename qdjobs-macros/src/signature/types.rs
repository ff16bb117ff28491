//! Helpers for types as they are written: without invisible groups, by the last path segment, as text.
//!
//! Decides nothing about parameters and reports no errors.
//!
//! Depends on syn only.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, PathArguments, Type};

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

/// The usual spelling of a type. It is the same with every compiler, because it is compared with the text of
/// an earlier build.
pub(super) fn type_text(tokens: TokenStream) -> String {
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
