//! Reads the values of the options: queue names, integers, durations.
//!
//! The value of `backoff` is read in `backoff`, the keys are in `known`. A literal is checked; any other
//! expression becomes a constant, which [`Check`] lets the compiler check.
//!
//! Depends on `duration`, `names`, `diagnostics` and `tokens`.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::{Expr, Lit, UnOp};

use crate::diagnostics::Errors;
use crate::tokens::{emit, end_spans, local, words_without_quotes};
use crate::{duration, names};

/// A constant for the value of an option that is not a literal, and the function of the runtime that returns
/// what is wrong with it (`task/option_checks.rs`), if the type allows wrong values.
///
/// If the value cannot be computed, rustc shows the name of the constant.
pub(crate) struct Check {
    pub(crate) name: Ident,
    pub(crate) ty: OptionType,
    pub(crate) value: TokenStream,
    /// The spans of the first and the last token of the value as written.
    pub(crate) spans: (Span, Span),
    pub(crate) problem: Option<&'static str>,
}

/// An option whose value can be a constant.
#[derive(Clone, Copy)]
pub(crate) enum OptionType {
    Queue,
    Priority,
    Retries,
    Timeout,
    Factor,
    Backoff,
}

impl OptionType {
    /// The type of the value.
    pub(crate) fn tokens(self, private: &TokenStream) -> TokenStream {
        match self {
            OptionType::Queue => emit!(&'static str),
            OptionType::Priority => emit!(i32),
            OptionType::Retries => emit!(u32),
            OptionType::Timeout => emit!(#private::Duration),
            OptionType::Factor => emit!(f64),
            OptionType::Backoff => emit!(#private::Backoff),
        }
    }
}

impl Check {
    /// The check of `value`, which is written as `written`.
    pub(super) fn new(ty: OptionType, value: &impl ToTokens, written: &impl ToTokens) -> Check {
        let (name, problem) = match ty {
            OptionType::Queue => ("THE_QUEUE", Some("queue_problem")),
            OptionType::Priority => ("THE_PRIORITY", None),
            OptionType::Retries => ("THE_RETRIES", None),
            OptionType::Timeout => ("THE_TIMEOUT", Some("timeout_problem")),
            OptionType::Factor => ("THE_FACTOR", Some("factor_problem")),
            OptionType::Backoff => ("THE_BACKOFF", Some("backoff_problem")),
        };
        let (value, spans) = (value.to_token_stream(), end_spans(&written.to_token_stream()));
        Check { name: local(name), ty, value, spans, problem }
    }

    /// Adds the check, and returns the name of its constant.
    pub(super) fn add_to(self, checks: &mut Vec<Check>) -> TokenStream {
        let name = self.name.to_token_stream();
        checks.push(self);
        name
    }
}

/// The literal of an expression, without the invisible groups that `macro_rules!` adds.
pub(super) fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(literal) => Some(&literal.lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

pub(super) fn queue(value: Expr, checks: &mut Vec<Check>, errors: &mut Errors) -> Option<TokenStream> {
    let message = "the queue's name must be a string";
    match literal(&value) {
        Some(Lit::Str(name)) => {
            names::check("queue", name, errors);
            return Some(value.into_token_stream());
        }
        Some(other) => errors.add_with_help(other, message, "queue = \"mail\""),
        None => match (&value, words_without_quotes(&value)) {
            (_, Some(words)) => {
                errors.add_with_help(&value, message, format_args!("queue = \"{words}\""));
            }
            (Expr::Array(_) | Expr::Tuple(_), _) => {
                errors.add_with_help(&value, "a task has one queue", "queue = \"mail\"");
            }
            (value, _) if is_made_at_run_time(value) => {
                errors.add_with_help(value, message, "queue = \"mail\", without a conversion");
            }
            _ => return Some(Check::new(OptionType::Queue, &value, &value).add_to(checks)),
        },
    }
    None
}

/// Whether the expression makes a `String` or an `Option` of a literal, as no constant does.
fn is_made_at_run_time(value: &Expr) -> bool {
    match value {
        Expr::MethodCall(call) => matches!(literal(&call.receiver), Some(Lit::Str(_))),
        Expr::Macro(call) => call.mac.path.is_ident("format"),
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => path.path.segments.last().is_some_and(|last| {
                let is_conversion = ["from", "new", "Some"].iter().any(|known| last.ident == known);
                is_conversion && call.args.iter().any(|arg| matches!(literal(arg), Some(Lit::Str(_))))
            }),
            _ => false,
        },
        _ => false,
    }
}

/// An integer: the value of `priority` or `retries`.
pub(super) fn integer(
    ty: OptionType,
    value: Expr,
    checks: &mut Vec<Check>,
    errors: &mut Errors,
) -> Option<TokenStream> {
    // The range of the type that the runtime uses for it.
    let (word, range) = match ty {
        OptionType::Priority => ("priority", i64::from(i32::MIN)..=i64::from(i32::MAX)),
        _ => ("retries", 0..=i64::from(u32::MAX)),
    };
    let (negative, digits) = match &value {
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => (true, literal(&unary.expr)),
        other => (false, literal(other)),
    };
    let message = match digits {
        None if words_without_quotes(&value).is_none() => {
            return Some(Check::new(ty, &value, &value).add_to(checks));
        }
        Some(Lit::Int(digits)) => match digits.base10_parse::<i64>() {
            Ok(size) if range.contains(&if negative { -size } else { size }) => {
                return Some(value.into_token_stream());
            }
            _ => format!("`{word}` must be between {} and {}", range.start(), range.end()),
        },
        _ => format!("`{word}` must be an integer"),
    };
    errors.add_with_help(&value, message, format_args!("{word} = 5"));
    None
}

/// A duration: a string such as `"30s"`, or any expression of type `Duration`. The second value is the
/// length, if a literal gives it. `example` is shown for a value that is no text.
pub(super) fn duration(
    private: &TokenStream,
    value: &Expr,
    example: &str,
    errors: &mut Errors,
) -> Option<(TokenStream, Option<Duration>)> {
    let message = "a duration must be a string";
    let parsed = match literal(value) {
        None if words_without_quotes(value).is_some() => Err(format!("{message}\nhelp: {example}")),
        None => return Some((value.to_token_stream(), None)),
        Some(Lit::Str(text)) => duration::parse(&text.value()),
        Some(Lit::Int(digits)) if digits.suffix().is_empty() => duration::parse(digits.base10_digits()),
        Some(other) => {
            // `30s` and `1h30m` are numbers with a suffix.
            let text = other.to_token_stream().to_string();
            Err(match duration::parse(&text) {
                Ok(_) => format!("{message}\nhelp: write \"{text}\""),
                Err(_) => format!("{message}\nhelp: {example}"),
            })
        }
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

pub(super) fn timeout(
    private: &TokenStream,
    value: Expr,
    checks: &mut Vec<Check>,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let (tokens, length) = duration(private, &value, "timeout = \"30s\"", errors)?;
    match length {
        Some(length) if length.is_zero() => {
            errors.add_with_help(
                &value,
                "a timeout of zero would end every attempt immediately",
                "for no timeout, remove the option",
            );
            None
        }
        Some(_) => Some(tokens),
        None => Some(Check::new(OptionType::Timeout, &value, &value).add_to(checks)),
    }
}
