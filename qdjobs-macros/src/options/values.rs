//! Reads the values of the options: queue names, integers, durations.
//!
//! The value of `backoff` is read in `backoff`, the keys are in `known`. A literal is checked; any other
//! expression is emitted as written.
//!
//! Depends on `duration`, `names`, `diagnostics` and `tokens`.

use std::ops::RangeInclusive;
use std::time::Duration;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Expr, Lit, UnOp};

use crate::diagnostics::Errors;
use crate::tokens::emit;
use crate::{duration, names};

/// The literal of an expression, without the invisible groups that `macro_rules!` adds.
pub(super) fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(literal) => Some(&literal.lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

pub(super) fn queue(value: Expr, errors: &mut Errors) -> Option<TokenStream> {
    match literal(&value) {
        Some(Lit::Str(name)) => names::check("queue", name, errors),
        Some(other) => {
            errors.add_with_help(other, "the queue's name must be a string", "queue = \"mail\"");
            return None;
        }
        None => {}
    }
    Some(value.into_token_stream())
}

/// An integer. `range` is the range of the type that the runtime uses for it.
pub(super) fn integer(
    word: &str,
    value: Expr,
    range: RangeInclusive<i64>,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let (negative, digits) = match &value {
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => (true, literal(&unary.expr)),
        other => (false, literal(other)),
    };
    let message = match digits {
        None => return Some(value.into_token_stream()),
        Some(Lit::Int(digits)) => match digits.base10_parse::<i64>() {
            Ok(size) if range.contains(&if negative { -size } else { size }) => {
                return Some(value.into_token_stream());
            }
            _ => format!("`{word}` must be between {} and {}", range.start(), range.end()),
        },
        Some(_) => format!("`{word}` must be an integer"),
    };
    errors.add_with_help(&value, message, format_args!("{word} = 5"));
    None
}

/// A duration: a string such as `"30s"`, or any expression of type `Duration`. The second value is the
/// length, if a literal gives it.
pub(super) fn duration(
    private: &TokenStream,
    value: &Expr,
    errors: &mut Errors,
) -> Option<(TokenStream, Option<Duration>)> {
    let parsed = match literal(value) {
        None => return Some((value.to_token_stream(), None)),
        Some(Lit::Str(text)) => duration::parse(&text.value()),
        Some(Lit::Int(digits)) if digits.suffix().is_empty() => duration::parse(digits.base10_digits()),
        Some(other) => duration::parse(&other.to_token_stream().to_string())
            .and(Err(format!("a duration must be a string\nhelp: write \"{}\"", other.to_token_stream()))),
    };
    match parsed {
        Ok(length) => {
            let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
            Some((emit!(#private::Duration::from_millis(#millis)), Some(length)))
        }
        Err(message) => {
            errors.add(value, message);
            None
        }
    }
}

pub(super) fn timeout(private: &TokenStream, value: Expr, errors: &mut Errors) -> Option<TokenStream> {
    let (tokens, length) = duration(private, &value, errors)?;
    if length.is_some_and(|length| length.is_zero()) {
        errors.add_with_help(
            &value,
            "a timeout of zero would end every attempt immediately",
            "for no timeout, remove the option",
        );
        return None;
    }
    Some(tokens)
}
