//! Reads the value of the option `backoff`: `fixed(..)`, `exponential(..)`, a function, or a `Backoff`.
//!
//! The waits are computed in the runtime's `model/retry.rs`.
//!
//! Depends on `values`, `diagnostics` and `tokens`.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Expr, ExprAssign, ExprCall, Lit, UnOp};

use super::values::{Check, OptionType, duration, literal};
use crate::diagnostics::{Errors, suggest};
use crate::tokens::emit;

/// The longest wait of an exponential backoff without `max`, the same as in the runtime's default.
const MAX_DEFAULT: Duration = Duration::from_secs(3600);

const FIXED: &str = "backoff = fixed(\"5s\")";
const EXPONENTIAL: &str = "backoff = exponential(\"1s\", factor = 2, max = \"1h\")";

/// Reads the value of `backoff`.
///
/// A macro sees no types, so it distinguishes functions and values by spelling. rustc's style lints require
/// it: `my_backoff` and `|retry| ..` are functions, `SLOW` and `Backoff::fixed(..)` are values.
pub(super) fn backoff(
    private: &TokenStream,
    value: Expr,
    checks: &mut Vec<Check>,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let kind = emit!(#private::Backoff);
    match &value {
        Expr::Call(call) if is_word(&call.func, "exponential") => exponential(private, call, checks, errors),
        Expr::Call(call) if is_word(&call.func, "fixed") => match call.args.first() {
            Some(wait) if call.args.len() == 1 && !matches!(wait, Expr::Assign(_)) => {
                let (wait, _) = duration(private, wait, FIXED, errors)?;
                Some(emit!(#kind::Fixed(#wait)))
            }
            _ => {
                errors.add_with_help(call, "`fixed` takes one duration", FIXED);
                None
            }
        },
        Expr::Call(call) if call.args.iter().any(|arg| matches!(literal(arg), Some(Lit::Str(_)))) => {
            unknown_kind(call, errors);
            None
        }
        Expr::Lit(_) => {
            errors.add_with_help(
                &value,
                "`backoff` must be `fixed(..)`, `exponential(..)`, a `Backoff`, or a function",
                format_args!("{FIXED}, or {EXPONENTIAL}"),
            );
            None
        }
        value if is_word(value, "fixed") => {
            errors.add_with_help(value, "`fixed` needs the wait", FIXED);
            None
        }
        value if is_word(value, "exponential") => {
            errors.add_with_help(value, "`exponential` needs the first wait", EXPONENTIAL);
            None
        }
        value if is_word(value, "none") => {
            errors.add_with_help(
                value,
                "`backoff` needs a wait",
                "for no wait write backoff = fixed(\"0s\")",
            );
            None
        }
        value if is_word(value, "exp") || is_word(value, "expo") => {
            errors.add_with_help(value, "unknown backoff", EXPONENTIAL);
            None
        }
        value if is_function(value) => Some(emit!(#kind::Custom(#value))),
        value => Some(Check::new(OptionType::Backoff, value, value).add_to(checks)),
    }
}

/// Reports a call such as `linear("5s")`: only the two kinds of the macro take a duration as text.
fn unknown_kind(call: &ExprCall, errors: &mut Errors) {
    let word = call.func.to_token_stream().to_string().replace(" :: ", "::");
    let help = match suggest(&word, ["exponential", "fixed"]) {
        Some(meant) => {
            format!("did you mean `{meant}`? {}", if meant == "fixed" { FIXED } else { EXPONENTIAL })
        }
        None => format!("{FIXED}, or {EXPONENTIAL}, or a function `fn(u32) -> Duration`"),
    };
    errors.add_with_help(&call.func, format_args!("unknown backoff `{word}`"), help);
}

/// The parts of `exponential(first, factor = .., max = ..)`, each with its tokens and, if a literal gives it,
/// its length.
struct Parts {
    factor: Option<TokenStream>,
    max: Option<(TokenStream, Option<Duration>)>,
    /// Where an error about `max` points.
    max_at: TokenStream,
}

fn exponential(
    private: &TokenStream,
    call: &ExprCall,
    checks: &mut Vec<Check>,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let mut args = call.args.iter();
    let Some(first_at) = args.next().filter(|first| !matches!(first, Expr::Assign(_))) else {
        errors.add_with_help(call, "`exponential` needs the first wait", EXPONENTIAL);
        return None;
    };
    let kind = emit!(#private::Backoff);
    let first = duration(private, first_at, EXPONENTIAL, errors);
    let parts = read_parts(private, call, args, checks, errors)?;
    let ((first, shortest), factor, (max, longest)) = (first?, parts.factor?, parts.max?);
    let backoff = emit!(#kind::exponential(#first, #factor, #max));
    let (Some(shortest), Some(longest)) = (shortest, longest) else {
        return Some(Check::new(OptionType::Backoff, &backoff, call).add_to(checks));
    };
    if shortest.is_zero() {
        errors.add_with_help(
            first_at,
            "the first wait of `exponential` is zero, and zero does not grow",
            EXPONENTIAL,
        );
        return None;
    }
    if longest < shortest {
        errors.add_with_help(
            parts.max_at,
            "the longest wait of `exponential` is shorter than its first wait",
            format_args!("{EXPONENTIAL}; the default of `max` is one hour"),
        );
        return None;
    }
    Some(backoff)
}

/// Reads the arguments after the first one.
fn read_parts<'a>(
    private: &TokenStream,
    call: &ExprCall,
    args: impl Iterator<Item = &'a Expr>,
    checks: &mut Vec<Check>,
    errors: &mut Errors,
) -> Option<Parts> {
    let mut factor = None;
    let mut max = None;
    let mut max_at = call.to_token_stream();
    for arg in args {
        match arg {
            Expr::Assign(set) if is_word(&set.left, "factor") && factor.is_none() => {
                factor = Some(factor_value(&set.right, checks, errors));
            }
            Expr::Assign(set) if is_word(&set.left, "max") && max.is_none() => {
                max_at = set.right.to_token_stream();
                max = Some(duration(private, &set.right, EXPONENTIAL, errors));
            }
            other => {
                wrong_part(other, errors);
                return None;
            }
        }
    }
    Some(Parts {
        factor: factor.unwrap_or_else(|| Some(emit!(2f64))),
        max: max.unwrap_or_else(|| Some((emit!(#private::Duration::from_secs(3600)), Some(MAX_DEFAULT)))),
        max_at,
    })
}

fn wrong_part(arg: &Expr, errors: &mut Errors) {
    match arg {
        Expr::Assign(ExprAssign { left, .. }) if is_word(left, "factor") || is_word(left, "max") => {
            let word = left.to_token_stream();
            errors.add_with_help(left, format_args!("`{word}` is set more than once"), "remove all but one");
        }
        Expr::Assign(ExprAssign { left, .. }) => {
            errors.add_with_help(left, "`exponential` takes the first wait, `factor` and `max`", EXPONENTIAL);
        }
        other => {
            errors.add_with_help(
                other,
                "`exponential` takes the first wait, `factor` and `max`",
                EXPONENTIAL,
            );
        }
    }
}

/// The number by which each wait is multiplied.
fn factor_value(value: &Expr, checks: &mut Vec<Check>, errors: &mut Errors) -> Option<TokenStream> {
    let factor = match (literal(value), value) {
        (Some(Lit::Int(digits)), _) => digits.base10_parse::<f64>().ok(),
        (Some(Lit::Float(digits)), _) => digits.base10_parse::<f64>().ok(),
        (Some(_), _) => None,
        (None, Expr::Unary(unary)) if matches!(unary.op, UnOp::Neg(_)) => None,
        (None, _) => return Some(Check::new(OptionType::Factor, value, value).add_to(checks)),
    };
    match factor.filter(|factor| *factor >= 1.0 && factor.is_finite()) {
        Some(factor) => Some(quote!(#factor)),
        None => {
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
