//! What stands in the parentheses of `#[task("send_email", queue = "mail", …)]`: [`Options`].
//!
//! Leans on `diagnostics` and `duration`. Never looks at the function: what it needs of it is passed in.
//!
//! A literal is checked here. Any other expression is passed on as it is, to be typed by the compiler in a place where
//! exactly its own tokens are to blame.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprCall, Lit, LitStr, Path, Token, UnOp};

use crate::diagnostics::{Errors, nearest};
use crate::duration;
use crate::expand::{emit, inside};

/// The options, each with a value to write.
const OPTIONS: [(&str, &str); 8] = [
    ("queue", "queue = \"mail\""),
    ("priority", "priority = 10"),
    ("retries", "retries = 5"),
    ("backoff", "backoff = exponential(\"1s\", factor = 2, max = \"1h\")"),
    ("timeout", "timeout = \"30s\""),
    ("aliases", "aliases(\"old_name\")"),
    ("params", "params = SendMail"),
    ("crate", "crate = path::to::qdjobs"),
];

/// Options that are planned. Accepting one without its effect would be a silent lie, so each is refused by name.
const NOT_YET: [&str; 3] = ["concurrency", "unique", "cron"];

/// What others call our options.
const SYNONYMS: [(&str, &str); 24] = [
    ("alias", "aliases"),
    ("attempts", "retries"),
    ("channel", "queue"),
    ("debounce", "unique"),
    ("dedup", "unique"),
    ("delay", "backoff"),
    ("every", "cron"),
    ("limit", "concurrency"),
    ("max_attempts", "retries"),
    ("max_concurrency", "concurrency"),
    ("max_retries", "retries"),
    ("payload", "params"),
    ("prio", "priority"),
    ("rename", "params"),
    ("retry", "retries"),
    ("retry_delay", "backoff"),
    ("schedule", "cron"),
    ("struct", "params"),
    ("struct_name", "params"),
    ("time_limit", "timeout"),
    ("topic", "queue"),
    ("tries", "retries"),
    ("ttl", "timeout"),
    ("weight", "priority"),
];

/// The longest wait of an exponential backoff that names none, as in the runtime's default.
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

/// Longest name of a task or a queue, in bytes. The runtime checks the same where names are not literals.
const NAME_BYTES_MAX: usize = 100;

/// The options of one task. Values are constant expressions, ready to be written out.
pub(crate) struct Options {
    /// `None` after a complaint.
    pub(crate) name: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) queue: Option<TokenStream>,
    pub(crate) priority: Option<TokenStream>,
    pub(crate) retries: Option<TokenStream>,
    pub(crate) backoff: Option<TokenStream>,
    pub(crate) timeout: Option<TokenStream>,
    /// The name asked for the params struct.
    pub(crate) params: Option<Ident>,
    /// Where generated code finds the runtime.
    pub(crate) krate: TokenStream,
    /// The keys as written, so that an editor can show what each means.
    pub(crate) keys: Vec<Ident>,
}

impl Options {
    /// Reads all of `tokens`; what is wrong goes to `errors`, what is right is kept. `function` is only named in
    /// advice.
    pub(crate) fn read(tokens: TokenStream, function: &Ident, errors: &mut Errors) -> Options {
        let krate = runtime_of(&tokens).unwrap_or_else(|| emit!(::qdjobs));
        let mut options = Options {
            name: None,
            aliases: Vec::new(),
            queue: None,
            priority: None,
            retries: None,
            backoff: None,
            timeout: None,
            params: None,
            krate,
            keys: Vec::new(),
        };
        let read = |input: ParseStream<'_>| {
            options.name(input, function, errors);
            while !input.is_empty() {
                options.option(input, function, errors);
                comma(input, errors);
            }
            Ok(())
        };
        if let Err(error) = read.parse2(tokens) {
            errors.push(error);
        }
        options
    }

    /// The name comes first and without a key.
    fn name(&mut self, input: ParseStream<'_>, function: &Ident, errors: &mut Errors) {
        let advice = format!("#[task(\"{}\")]", function.unraw());
        match input.parse::<Option<Lit>>() {
            Ok(Some(Lit::Str(name))) => {
                check_name("task", &name, errors);
                self.name = Some(name);
                comma(input, errors);
            }
            Ok(Some(other)) => {
                errors.add_with_help(&other, "the name of a task is a text", advice);
                comma(input, errors);
            }
            // `name = ".."` is answered where the key is read.
            _ if input.peek(syn::Ident) && input.fork().parse::<Ident>().is_ok_and(|key| key == "name") => {}
            _ => errors.push(syn::Error::new(
                input.span(),
                format_args!(
                    "a task needs a name that stays the same when the function is renamed: stored jobs refer to \
                     it\nhelp: {advice}"
                ),
            )),
        }
    }

    /// One `key = value` or `key(values)`.
    fn option(&mut self, input: ParseStream<'_>, function: &Ident, errors: &mut Errors) {
        let Ok(key) = input.call(Ident::parse_any) else {
            errors.push(input.error("expected an option, as in `retries = 5`"));
            return skip(input);
        };
        let word = key.to_string();
        let Some((_, example)) = OPTIONS.iter().find(|(known, _)| *known == word) else {
            errors.add(&key, unknown(&word, function));
            return skip(input);
        };
        if self.keys.contains(&key) {
            errors.add_with_help(
                &key,
                format_args!("the option `{word}` is given twice"),
                "keep one of them",
            );
            return skip(input);
        }
        self.keys.push(key.clone());
        if let Err(error) = self.value(&word, &key, example, input, errors) {
            errors.push(error);
            skip(input);
        }
    }

    fn value(
        &mut self,
        word: &str,
        key: &Ident,
        example: &str,
        input: ParseStream<'_>,
        errors: &mut Errors,
    ) -> syn::Result<()> {
        let listed = input.peek(syn::token::Paren);
        if listed != (word == "aliases") || !(listed || input.peek(Token![=])) {
            let what =
                if input.is_empty() || input.peek(Token![,]) { "needs a value" } else { "is written so" };
            return Err(syn::Error::new(key.span(), format!("the option `{word}` {what}\nhelp: {example}")));
        }
        if listed {
            return self.aliases(input, errors);
        }
        input.parse::<Token![=]>()?;
        match word {
            "params" => self.params = Some(ident(input, example)?),
            "crate" => drop(input.parse::<Path>()?),
            _ => {
                let value: Expr = input.parse()?;
                let value = match word {
                    "queue" => queue(value, errors),
                    "priority" => integer(word, value, i64::from(i32::MIN)..=i64::from(i32::MAX), errors),
                    "retries" => integer(word, value, 0..=i64::from(u32::MAX), errors),
                    "timeout" => timeout(&inside(), value, errors),
                    _ => backoff(&inside(), value, errors),
                };
                let slot = match word {
                    "queue" => &mut self.queue,
                    "priority" => &mut self.priority,
                    "retries" => &mut self.retries,
                    "timeout" => &mut self.timeout,
                    _ => &mut self.backoff,
                };
                *slot = value;
            }
        }
        Ok(())
    }

    fn aliases(&mut self, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        let content;
        syn::parenthesized!(content in input);
        for alias in Punctuated::<LitStr, Token![,]>::parse_terminated(&content)? {
            check_name("task", &alias, errors);
            let taken = self.name.iter().chain(&self.aliases).any(|name| name.value() == alias.value());
            if taken {
                errors.add(&alias, format_args!("the name `{}` is given twice", alias.value()));
            } else {
                self.aliases.push(alias);
            }
        }
        Ok(())
    }
}

/// The path after `crate =`. Looked for ahead of everything else, since the other options are written out with it.
fn runtime_of(tokens: &TokenStream) -> Option<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let key = |at: usize| matches!(&tokens[at], TokenTree::Ident(word) if word == "crate");
    let is = |at: usize| matches!(tokens.get(at + 1), Some(TokenTree::Punct(sign)) if sign.as_char() == '=');
    let begins = (1..tokens.len()).find(|&at| key(at) && is(at))? + 2;
    let comma = |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ',');
    let path: TokenStream = tokens[begins..].iter().take_while(|token| !comma(token)).cloned().collect();
    syn::parse2::<Path>(path).ok().map(Path::into_token_stream)
}

/// After an option: a comma or the end.
fn comma(input: ParseStream<'_>, errors: &mut Errors) {
    if input.is_empty() {
        return;
    }
    if input.parse::<Token![,]>().is_err() {
        errors.push(input.error("expected `,` between two options"));
        skip(input);
        // Only the one that is missing was the mistake.
        let _ = input.parse::<Token![,]>();
    }
}

/// Goes on to the next comma, so that one bad option does not hide the others.
fn skip(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

/// What to say about a key that is no option.
fn unknown(word: &str, function: &Ident) -> String {
    if NOT_YET.contains(&word) {
        return format!("the option `{word}` is not available yet\nhelp: leave it out");
    }
    if word == "name" {
        return format!("the name of a task stands first\nhelp: #[task(\"{}\")]", function.unraw());
    }
    let known = OPTIONS.iter().map(|(known, _)| *known).chain(NOT_YET);
    let synonym = SYNONYMS.iter().find(|(theirs, _)| *theirs == word).map(|(_, ours)| *ours);
    match synonym.or_else(|| nearest(word, known)) {
        Some(ours) if NOT_YET.contains(&ours) => {
            format!("unknown option `{word}`\nhelp: it would be called `{ours}`, which is not available yet")
        }
        Some(ours) => format!("unknown option `{word}`\nhelp: did you mean `{ours}`?"),
        None => {
            let all = OPTIONS.map(|(known, _)| known).join(", ");
            format!("unknown option `{word}`\nhelp: the options are {all}")
        }
    }
}

/// Checks the name of a task or a queue: the same rule as the runtime's, said at the literal.
fn check_name(what: &str, name: &LitStr, errors: &mut Errors) {
    let text = name.value();
    let bad = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"_.:/-".contains(*c));
    let problem = if text.is_empty() {
        "cannot be empty".to_owned()
    } else if let Some(bad) = bad {
        format!("cannot contain {bad:?}")
    } else if text.len() > NAME_BYTES_MAX {
        format!("has at most {NAME_BYTES_MAX} characters, this one has {}", text.len())
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "begins with a letter or a digit".to_owned()
    } else {
        return;
    };
    errors.add_with_help(
        name,
        format_args!("the name of a {what} {problem}"),
        format_args!(
            "1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ . : / - with a letter or a digit at the beginning"
        ),
    );
}

fn ident(input: ParseStream<'_>, example: &str) -> syn::Result<Ident> {
    input.parse().map_err(|error| {
        syn::Error::new(error.span(), format!("expected the name of the params struct\nhelp: {example}"))
    })
}

/// The literal of an expression, seen through the invisible groups that `macro_rules!` makes.
fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(literal) => Some(&literal.lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

fn queue(value: Expr, errors: &mut Errors) -> Option<TokenStream> {
    match literal(&value) {
        Some(Lit::Str(name)) => check_name("queue", name, errors),
        Some(other) => {
            errors.add_with_help(other, "the name of a queue is a text", "queue = \"mail\"");
            return None;
        }
        None => {}
    }
    Some(value.into_token_stream())
}

/// A whole number; `range` is that of the type the runtime keeps it in.
fn integer(
    word: &str,
    value: Expr,
    range: std::ops::RangeInclusive<i64>,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let (negative, digits) = match &value {
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => (true, literal(&unary.expr)),
        other => (false, literal(other)),
    };
    let refused = match digits {
        None => return Some(value.into_token_stream()),
        Some(Lit::Int(digits)) => match digits.base10_parse::<i64>() {
            Ok(size) if range.contains(&if negative { -size } else { size }) => {
                return Some(value.into_token_stream());
            }
            _ => format!("`{word}` lies between {} and {}", range.start(), range.end()),
        },
        Some(_) => format!("`{word}` is a whole number"),
    };
    errors.add_with_help(&value, refused, format_args!("{word} = 5"));
    None
}

/// A duration: a text in the small grammar, or any expression of type `Duration`. The second half is the literal's
/// length, to be compared with others.
fn duration(
    home: &TokenStream,
    value: &Expr,
    errors: &mut Errors,
) -> Option<(TokenStream, Option<std::time::Duration>)> {
    let parsed = match literal(value) {
        None => return Some((value.to_token_stream(), None)),
        Some(Lit::Str(text)) => duration::parse(&text.value()),
        Some(Lit::Int(digits)) if digits.suffix().is_empty() => duration::parse(digits.base10_digits()),
        Some(other) => duration::parse(&other.to_token_stream().to_string())
            .and(Err(format!("a duration is a text\nhelp: write \"{}\"", other.to_token_stream()))),
    };
    match parsed {
        Ok(length) => {
            let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
            Some((emit!(#home::Duration::from_millis(#millis)), Some(length)))
        }
        Err(message) => {
            errors.add(value, message);
            None
        }
    }
}

fn timeout(home: &TokenStream, value: Expr, errors: &mut Errors) -> Option<TokenStream> {
    let (tokens, length) = duration(home, &value, errors)?;
    if length.is_some_and(|length| length.is_zero()) {
        errors.add_with_help(
            &value,
            "a timeout of zero would end every attempt at once",
            "leave `timeout` out for none",
        );
        return None;
    }
    Some(tokens)
}

/// `exponential(..)`, `fixed(..)`, a function from the number of the retry to the wait, or a `Backoff`.
///
/// A macro sees no types. What tells a function from a value is how both are written, and rustc's own style lints
/// hold everybody to that: `my_backoff` and `|retry| ..` are functions, `SLOW` and `Backoff::fixed(..)` are values.
fn backoff(home: &TokenStream, value: Expr, errors: &mut Errors) -> Option<TokenStream> {
    let kind = emit!(#home::Backoff);
    match &value {
        Expr::Call(call) if is_word(&call.func, "exponential") => exponential(home, call, errors),
        Expr::Call(call) if is_word(&call.func, "fixed") => match call.args.first() {
            Some(wait) if call.args.len() == 1 => {
                let (wait, _) = duration(home, wait, errors)?;
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
                "a backoff says how the wait grows",
                "backoff = fixed(\"5s\"), or backoff = exponential(\"1s\", factor = 2, max = \"1h\")",
            );
            None
        }
        value if is_function(value) => Some(emit!(#kind::Custom(#value))),
        value => Some(value.to_token_stream()),
    }
}

fn exponential(home: &TokenStream, call: &ExprCall, errors: &mut Errors) -> Option<TokenStream> {
    let help = "backoff = exponential(\"1s\", factor = 2, max = \"1h\")";
    let mut args = call.args.iter();
    let Some(first) = args.next() else {
        errors.add_with_help(call, "`exponential` needs the first wait", help);
        return None;
    };
    let kind = emit!(#home::Backoff);
    let first = duration(home, first, errors);
    let mut factor = Some(emit!(2f64));
    let mut max = Some((emit!(#home::Duration::from_secs(3600)), Some(HOUR)));
    let mut max_at = call.to_token_stream();
    for arg in args {
        match arg {
            Expr::Assign(set) if is_word(&set.left, "factor") => factor = growth(&set.right, errors),
            Expr::Assign(set) if is_word(&set.left, "max") => {
                max_at = set.right.to_token_stream();
                max = duration(home, &set.right, errors);
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
            "the longest wait is shorter than the first",
            format_args!("{help}; `max` is one hour unless given"),
        );
        return None;
    }
    Some(emit!(#kind::exponential(#first, #factor, #max)))
}

/// What each wait is multiplied by.
fn growth(value: &Expr, errors: &mut Errors) -> Option<TokenStream> {
    let factor = match literal(value) {
        None => return Some(value.to_token_stream()),
        Some(Lit::Int(digits)) => digits.base10_parse::<f64>().ok(),
        Some(Lit::Float(digits)) => digits.base10_parse::<f64>().ok(),
        Some(_) => None,
    };
    match factor {
        Some(factor) if factor >= 1.0 => Some(quote!(#factor)),
        _ => {
            errors.add_with_help(value, "the factor of a backoff is a number of at least 1", "factor = 2");
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
