//! Reads the value of the option `backoff`: `fixed(..)`, `exponential(..)`, a function, or a `Backoff`.
//!
//! The waits are computed in the runtime's `model/retry.rs`.
//!
//! Depends on `values`, `diagnostics` and `tokens`.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Expr, ExprCall, Lit};

use super::values::{duration, literal};
use crate::diagnostics::Errors;
use crate::tokens::emit;

/// The longest wait of an exponential backoff without `max`, the same as in the runtime's default.
const MAX_DEFAULT: Duration = Duration::from_secs(3600);

/// Reads the value of `backoff`.
///
/// A macro sees no types, so it distinguishes functions and values by spelling. rustc's style lints require
/// it: `my_backoff` and `|retry| ..` are functions, `SLOW` and `Backoff::fixed(..)` are values.
pub(super) fn backoff(private: &TokenStream, value: Expr, errors: &mut Errors) -> Option<TokenStream> {
    let kind = emit!(#private::Backoff);
    match &value {
        Expr::Call(call) if is_word(&call.func, "exponential") => exponential(private, call, errors),
        Expr::Call(call) if is_word(&call.func, "fixed") => match call.args.first() {
            Some(wait) if call.args.len() == 1 => {
                let (wait, _) = duration(private, wait, errors)?;
                Some(emit!(#kind::Fixed(#wait)))
            }
            _ => {
                errors.add_with_help(call, "`fixed` takes one duration", "backoff = fixed(\"5s\")");
                None
            }
        },
        Expr::Lit(_) => {
            errors.add_with_help(
                &value,
                "`backoff` must be `fixed(..)`, `exponential(..)`, a `Backoff`, or a function",
                "backoff = fixed(\"5s\"), or backoff = exponential(\"1s\", factor = 2, max = \"1h\")",
            );
            None
        }
        value if is_function(value) => Some(emit!(#kind::Custom(#value))),
        value => Some(value.to_token_stream()),
    }
}

fn exponential(private: &TokenStream, call: &ExprCall, errors: &mut Errors) -> Option<TokenStream> {
    let help = "backoff = exponential(\"1s\", factor = 2, max = \"1h\")";
    let mut args = call.args.iter();
    let Some(first) = args.next() else {
        errors.add_with_help(call, "`exponential` needs the first wait", help);
        return None;
    };
    let kind = emit!(#private::Backoff);
    let first = duration(private, first, errors);
    let mut factor = Some(emit!(2f64));
    let mut max = Some((emit!(#private::Duration::from_secs(3600)), Some(MAX_DEFAULT)));
    let mut max_at = call.to_token_stream();
    for arg in args {
        match arg {
            Expr::Assign(set) if is_word(&set.left, "factor") => factor = factor_value(&set.right, errors),
            Expr::Assign(set) if is_word(&set.left, "max") => {
                max_at = set.right.to_token_stream();
                max = duration(private, &set.right, errors);
            }
            other => {
                errors.add_with_help(other, "`exponential` takes the first wait, `factor` and `max`", help);
                return None;
            }
        }
    }
    let ((first, shortest), factor, (max, longest)) = (first?, factor?, max?);
    if let (Some(shortest), Some(longest)) = (shortest, longest)
        && longest < shortest
    {
        errors.add_with_help(
            max_at,
            "the longest wait of `exponential` is shorter than its first wait",
            format_args!("{help}; the default of `max` is one hour"),
        );
        return None;
    }
    Some(emit!(#kind::exponential(#first, #factor, #max)))
}

/// The number by which each wait is multiplied.
fn factor_value(value: &Expr, errors: &mut Errors) -> Option<TokenStream> {
    let factor = match literal(value) {
        None => return Some(value.to_token_stream()),
        Some(Lit::Int(digits)) => digits.base10_parse::<f64>().ok(),
        Some(Lit::Float(digits)) => digits.base10_parse::<f64>().ok(),
        Some(_) => None,
    };
    match factor {
        Some(factor) if factor >= 1.0 => Some(quote!(#factor)),
        _ => {
            errors.add_with_help(value, "`factor` must be a number of at least 1", "factor = 2");
            None
        }
    }
}

fn is_word(value: &Expr, word: &str) -> bool {
    matches!(value, Expr::Path(path) if path.path.is_ident(word))
}

fn is_function(value: &Expr) -> bool {
    match value {
        Expr::Closure(_) => true,
        Expr::Path(path) => path.path.segments.last().is_some_and(|last| {
            last.ident.unraw().to_string().starts_with(|c: char| c.is_lowercase() || c == '_')
        }),
        Expr::Group(group) => is_function(&group.expr),
        _ => false,
    }
}
