//! Reads the arguments of `#[task("send_email", queue = "mail", …)]`, the name and the options: [`Options`].
//!
//! `known` lists the options and has the message for an unknown one, `values` reads the values, `backoff` the
//! value of `backoff`. Does not look at the function; the caller passes its name for help texts.
//!
//! Depends on `names`, `diagnostics` and `tokens`.
//!
//! Literals are checked here. Any other expression is emitted as written, where the compiler checks its type
//! and reports an error at its tokens.

mod backoff;
mod known;
mod values;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, Lit, LitStr, Path, Token};

use crate::diagnostics::Errors;
use crate::names;
use crate::tokens::{emit, private_alias};
use backoff::backoff;
use known::{OPTIONS, is_name, unknown_option};
pub(crate) use values::Check;
use values::{OptionType, integer, queue, timeout};

/// The options of one task. Values are constant expressions, ready to emit.
pub(crate) struct Options {
    /// The constants behind values that are not literals, with their checks.
    pub(crate) checks: Vec<Check>,
    /// `None` after an error.
    pub(crate) name: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) queue: Option<TokenStream>,
    pub(crate) priority: Option<TokenStream>,
    pub(crate) retries: Option<TokenStream>,
    pub(crate) backoff: Option<TokenStream>,
    pub(crate) timeout: Option<TokenStream>,
    /// The name of the params struct, if the option sets it.
    pub(crate) params: Option<Ident>,
    /// The path of the runtime crate.
    pub(crate) runtime: TokenStream,
    /// The keys as written, for the documentation that an editor shows.
    pub(crate) keys: Vec<Ident>,
}

impl Options {
    /// Reads all of `tokens`. Adds every error to `errors` and keeps every valid option.
    pub(crate) fn read(tokens: TokenStream, function: &Ident, errors: &mut Errors) -> Options {
        let runtime = runtime_path(&tokens).unwrap_or_else(|| emit!(::qdjobs));
        let mut options = Options {
            checks: Vec::new(),
            name: None,
            aliases: Vec::new(),
            queue: None,
            priority: None,
            retries: None,
            backoff: None,
            timeout: None,
            params: None,
            runtime,
            keys: Vec::new(),
        };
        let read = |input: ParseStream<'_>| {
            options.read_name(input, function, errors);
            while !input.is_empty() {
                options.read_option(input, function, errors);
                expect_comma(input, errors);
            }
            Ok(())
        };
        if let Err(error) = read.parse2(tokens) {
            errors.push(error);
        }
        options
    }

    /// Reads the name, which is the first argument and has no key.
    fn read_name(&mut self, input: ParseStream<'_>, function: &Ident, errors: &mut Errors) {
        let help = format!("#[task(\"{}\")]", function.unraw());
        let missing = "the first argument of `task` must be the task's name, as a string literal: stored jobs refer \
                       to it";
        match input.parse::<Option<Lit>>() {
            Ok(Some(Lit::Str(name))) if name.suffix().is_empty() => {
                names::check("task", &name, errors);
                self.name = Some(name);
                expect_comma(input, errors);
            }
            Ok(Some(Lit::Str(name))) => {
                errors.add_with_help(
                    &name,
                    "the task's name must be a string literal without a suffix",
                    help,
                );
                expect_comma(input, errors);
            }
            Ok(Some(other)) => {
                errors.add_with_help(&other, "the task's name must be a string literal", help);
                expect_comma(input, errors);
            }
            // `read_option` reports `name = ".."`, also behind other options.
            _ if is_option(input) && has_name_with_key(input) => {}
            _ => {
                errors.push(syn::Error::new(input.span(), format_args!("{missing}\nhelp: {help}")));
                if !is_option(input) {
                    skip_to_comma(input);
                    let _ = input.parse::<Token![,]>();
                }
            }
        }
    }

    /// Reads one `key = value` or `key(values)`.
    fn read_option(&mut self, input: ParseStream<'_>, function: &Ident, errors: &mut Errors) {
        let Ok(key) = input.call(Ident::parse_any) else {
            match (input.parse::<Option<LitStr>>(), &self.name) {
                // The name behind an option: `read_name` has reported that the first argument is none.
                (Ok(Some(_)), None) => {}
                (Ok(Some(second)), Some(_)) => errors.add_with_help(
                    &second,
                    "a task has one name",
                    format_args!("for an earlier name write aliases({})", second.to_token_stream()),
                ),
                _ => errors.push(input.error("expected an option, such as `retries = 5`")),
            }
            return skip_to_comma(input);
        };
        let word = key.to_string();
        let Some((_, example)) = OPTIONS.iter().find(|(known, _)| *known == word) else {
            errors.add(&key, unknown_option(&word, function));
            return skip_to_comma(input);
        };
        if self.keys.contains(&key) {
            errors.add_with_help(
                &key,
                format_args!("the option `{word}` is set more than once"),
                "remove all but one",
            );
            return skip_to_comma(input);
        }
        self.keys.push(key.clone());
        if let Err(error) = self.read_value(&word, &key, example, input, errors) {
            errors.push(error);
            skip_to_comma(input);
        }
    }

    fn read_value(
        &mut self,
        word: &str,
        key: &Ident,
        example: &str,
        input: ParseStream<'_>,
        errors: &mut Errors,
    ) -> syn::Result<()> {
        let listed = input.peek(syn::token::Paren);
        let assigned = input.peek(Token![=]) && !input.peek(Token![==]) && !input.peek(Token![=>]);
        let problem = |what: &str| {
            Err(syn::Error::new(key.span(), format!("the option `{word}` {what}\nhelp: {example}")))
        };
        if input.is_empty() || input.peek(Token![,]) {
            return problem("needs a value");
        }
        if listed != (word == "aliases") || !(listed || assigned) {
            return problem("has the wrong form");
        }
        if listed {
            return self.read_aliases(key, example, input, errors);
        }
        input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return problem("needs a value");
        }
        let (private, checks) = (&private_alias(), &mut self.checks);
        match word {
            "params" => self.params = Some(struct_name(input, example)?),
            // Read before all other options, see `runtime_path`.
            "crate" => drop(path_of_crate(input, example)?),
            "queue" => self.queue = queue(input.parse()?, checks, errors),
            "priority" => self.priority = integer(OptionType::Priority, input.parse()?, checks, errors),
            "retries" => self.retries = integer(OptionType::Retries, input.parse()?, checks, errors),
            "timeout" => self.timeout = timeout(private, input.parse()?, checks, errors),
            _ => self.backoff = backoff(private, input.parse::<Expr>()?, checks, errors),
        }
        Ok(())
    }

    fn read_aliases(
        &mut self,
        key: &Ident,
        example: &str,
        input: ParseStream<'_>,
        errors: &mut Errors,
    ) -> syn::Result<()> {
        let content;
        syn::parenthesized!(content in input);
        if content.is_empty() {
            return Err(syn::Error::new(
                key.span(),
                format!("the option `aliases` needs a name\nhelp: {example}"),
            ));
        }
        let aliases = Punctuated::<LitStr, Token![,]>::parse_terminated(&content);
        // Read to its end: what is left would be a second error.
        let _ = content.parse::<TokenStream>();
        let aliases = aliases.map_err(|error| {
            syn::Error::new(error.span(), format!("an alias must be a string literal\nhelp: {example}"))
        })?;
        for alias in aliases {
            names::check("task", &alias, errors);
            let taken = self.name.iter().chain(&self.aliases).any(|name| name.value() == alias.value());
            if taken {
                errors.add(
                    &alias,
                    format_args!(
                        "the name `{}` is used more than once\nhelp: remove this alias",
                        alias.value()
                    ),
                );
            } else {
                self.aliases.push(alias);
            }
        }
        Ok(())
    }
}

/// The path after `crate =`. Read before all other options, so that it is known even if one of them is wrong.
fn runtime_path(tokens: &TokenStream) -> Option<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let is_key = |at: usize| matches!(&tokens[at], TokenTree::Ident(word) if word == "crate");
    let has_value =
        |at: usize| matches!(tokens.get(at + 1), Some(TokenTree::Punct(sign)) if sign.as_char() == '=');
    let begin = (1..tokens.len()).find(|&at| is_key(at) && has_value(at))? + 2;
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ',');
    let path: TokenStream = tokens[begin..].iter().take_while(|token| !is_comma(token)).cloned().collect();
    syn::parse2::<Path>(path).ok().map(Path::into_token_stream)
}

/// After an option: a comma or the end.
fn expect_comma(input: ParseStream<'_>, errors: &mut Errors) {
    if input.is_empty() {
        return;
    }
    if input.parse::<Token![,]>().is_err() {
        let next = input.cursor().token_tree().map(|(token, _)| token.to_string()).unwrap_or_default();
        errors.push(
            input.error(format_args!("expected `,` between two options\nhelp: add a comma before `{next}`")),
        );
        skip_to_comma(input);
        // This comma follows the tokens that were skipped.
        let _ = input.parse::<Token![,]>();
    }
}

/// Skips to the next comma, so that one wrong option does not hide the errors of the others.
fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

/// Whether the next tokens are `key = ..` or the list of an option.
fn is_option(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    let Ok(key) = ahead.call(Ident::parse_any) else { return false };
    let is_known = OPTIONS.iter().any(|(known, _)| key == known) || is_name(&key.to_string());
    ahead.peek(Token![=]) || (is_known && ahead.peek(syn::token::Paren))
}

/// Whether one of the options is the task's name, with a key.
fn has_name_with_key(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    while !ahead.is_empty() {
        if ahead.fork().call(Ident::parse_any).is_ok_and(|key| is_name(&key.to_string())) {
            return true;
        }
        skip_to_comma(&ahead);
        let _ = ahead.parse::<Token![,]>();
    }
    false
}

/// The name of the params struct.
fn struct_name(input: ParseStream<'_>, example: &str) -> syn::Result<Ident> {
    let error = |span| {
        syn::Error::new(
            span,
            format!("expected the name of the params struct, without a path\nhelp: {example}"),
        )
    };
    let name: Ident = input.parse().map_err(|wrong: syn::Error| error(wrong.span()))?;
    if input.peek(Token![::]) || input.peek(Token![<]) {
        return Err(error(name.span()));
    }
    Ok(name)
}

/// The path of the runtime crate.
fn path_of_crate(input: ParseStream<'_>, example: &str) -> syn::Result<Path> {
    input.parse().map_err(|error: syn::Error| {
        syn::Error::new(error.span(), format!("expected the path of the crate qdjobs\nhelp: {example}"))
    })
}
