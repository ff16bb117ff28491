//! Reads the attributes of a parameter: `#[state]`, `#[ctx]`, `#[default]`, `#[alias]`, `#[with]`, and its
//! doc comments.
//!
//! Does not look at the type of the parameter: `param` and `stored_type` do.
//!
//! Depends on `diagnostics`.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, LitStr, Meta, PatType, Path, Token};

use crate::diagnostics::{Errors, error, suggest};

/// The value of a parameter that is missing in the stored job.
pub(crate) enum Default {
    /// `#[default]`: the default of the type.
    OfType,
    /// `#[default(expression)]`
    Value(Box<Expr>),
}

/// All attributes of one parameter.
#[derive(std::default::Default)]
pub(super) struct ParamAttributes {
    pub(super) docs: Vec<Attribute>,
    pub(super) state: Option<Attribute>,
    pub(super) ctx: Option<Attribute>,
    pub(super) default: Option<(Attribute, Default)>,
    pub(super) aliases: Vec<LitStr>,
    pub(super) with: Option<Path>,
    /// The lint levels, which stay on the parameter.
    pub(super) lints: Vec<Attribute>,
    /// Whether a wrong attribute was probably meant to be one with which callers do not pass the parameter.
    pub(super) is_probably_not_passed: bool,
}

/// The attributes of this macro, for suggestions.
const PARAM_ATTRIBUTES: [&str; 5] = ["state", "ctx", "default", "alias", "with"];

/// The names that other frameworks use for these attributes.
const SYNONYMS: [(&str, &str); 6] = [
    ("context", "ctx"),
    ("data", "state"),
    ("inject", "state"),
    ("optional", "default"),
    ("rename", "alias"),
    ("serde_as", "with"),
];

/// Removes the attributes of this macro and the doc comments, which rustc rejects on a parameter. Keeps lint
/// levels.
pub(super) fn read_attributes(param: &mut PatType, errors: &mut Errors) -> ParamAttributes {
    let mut found = ParamAttributes::default();
    for attr in std::mem::take(&mut param.attrs) {
        let word = attr.path().get_ident().map(Ident::to_string).unwrap_or_default();
        if found.has(&word) {
            let message = format_args!("the attribute `#[{word}]` is set more than once");
            errors.add_with_help(&attr, message, "remove all but one");
            continue;
        }
        let read = match word.as_str() {
            "doc" => {
                found.docs.push(attr);
                Ok(())
            }
            "state" => without_arguments(&attr, "state").map(|()| found.state = Some(attr)),
            "ctx" => without_arguments(&attr, "ctx").map(|()| found.ctx = Some(attr)),
            "default" => read_default(&attr).map(|default| found.default = Some((attr, default))),
            "alias" => read_aliases(&attr).map(|aliases| found.aliases.extend(aliases)),
            "with" => read_with(&attr).map(|path| found.with = Some(path)),
            "allow" | "expect" | "warn" | "deny" | "forbid" => {
                found.lints.push(attr);
                Ok(())
            }
            _ => Err(unknown_attribute(&attr, &word)),
        };
        if let Err(error) = read {
            found.is_probably_not_passed |= matches!(meant(&word), Some("default" | "state" | "ctx"));
            errors.push(error);
        }
    }
    param.attrs.clone_from(&found.lints);
    found
}

impl ParamAttributes {
    /// Whether the attribute, of which a parameter can have one, was read already.
    fn has(&self, word: &str) -> bool {
        match word {
            "state" => self.state.is_some(),
            "ctx" => self.ctx.is_some(),
            "default" => self.default.is_some(),
            "with" => self.with.is_some(),
            _ => false,
        }
    }
}

fn unknown_attribute(attr: &Attribute, word: &str) -> syn::Error {
    match word {
        "cfg" | "cfg_attr" => {
            return error(
                attr,
                "a parameter cannot depend on `cfg`: another build could not decode the stored job",
                "keep the parameter in every build, as an `Option`",
            );
        }
        "serde" => {
            return error(
                attr,
                "`#[serde]` is not supported on a parameter",
                "use `#[default]`, `#[alias(\"old\")]` or `#[with(path)]`",
            );
        }
        _ => {}
    }
    let shown = attr.path().to_token_stream().to_string();
    match meant(word) {
        Some(meant) => error(
            attr,
            format_args!("unknown attribute `{shown}`"),
            format_args!("did you mean `#[{meant}]`?"),
        ),
        None => error(
            attr,
            format_args!("unknown attribute `{shown}` on a parameter"),
            format_args!(
                "a parameter can have {}",
                PARAM_ATTRIBUTES.map(|known| format!("`#[{known}]`")).join(", ")
            ),
        ),
    }
}

/// The attribute that was probably meant by `word`.
fn meant(word: &str) -> Option<&'static str> {
    let synonym = SYNONYMS.iter().find(|(theirs, _)| *theirs == word).map(|(_, ours)| *ours);
    synonym.or_else(|| suggest(word, PARAM_ATTRIBUTES))
}

fn without_arguments(attr: &Attribute, word: &str) -> syn::Result<()> {
    match &attr.meta {
        Meta::Path(_) => Ok(()),
        _ => Err(error(attr, format_args!("`#[{word}]` has no value"), format_args!("write `#[{word}]`"))),
    }
}

fn read_default(attr: &Attribute) -> syn::Result<Default> {
    match &attr.meta {
        Meta::Path(_) => Ok(Default::OfType),
        Meta::List(list) => match list.parse_args() {
            Ok(Expr::Assign(named)) => Err(error(
                attr,
                "`#[default(..)]` takes one expression, without a name",
                format_args!("#[default({})]", named.right.to_token_stream()),
            )),
            Ok(value) => Ok(Default::Value(Box::new(value))),
            Err(_) => Err(error(
                attr,
                "`#[default(..)]` takes one expression",
                "#[default(\"en\")], or #[default] for the default of the type",
            )),
        },
        Meta::NameValue(_) => {
            Err(error(attr, "the value of `#[default]` must be in parentheses", "#[default(\"en\")]"))
        }
    }
}

fn read_aliases(attr: &Attribute) -> syn::Result<Punctuated<LitStr, Token![,]>> {
    let read = attr.parse_args_with(Punctuated::<LitStr, Token![,]>::parse_separated_nonempty);
    let aliases = read.map_err(|_| {
        error(
            attr,
            "`#[alias]` needs an earlier name of the parameter, as a string literal",
            "#[alias(\"old_name\")]",
        )
    })?;
    match aliases.iter().find(|alias| alias.value().is_empty()) {
        Some(alias) => Err(error(alias, "an earlier name cannot be empty", "#[alias(\"old_name\")]")),
        None => Ok(aliases),
    }
}

fn read_with(attr: &Attribute) -> syn::Result<Path> {
    let help = "#[with(path)], where `path` has the functions `serialize` and `deserialize`";
    attr.parse_args().map_err(|_| error(attr, "`#[with]` needs the path of a module", help))
}

/// Reports attributes that describe how a parameter is stored, on a parameter that the worker passes.
pub(super) fn check_not_stored(attributes: &ParamAttributes, what: &str, errors: &mut Errors) {
    let storing = [
        attributes.default.as_ref().map(|(attr, _)| ("#[default]", attr.to_token_stream())),
        attributes.aliases.first().map(|alias| ("#[alias]", alias.to_token_stream())),
        attributes.with.as_ref().map(|path| ("#[with]", path.to_token_stream())),
    ];
    for (attribute, at) in storing.into_iter().flatten() {
        errors.add_with_help(
            at,
            format_args!("`{attribute}` cannot be used on {what}, which is not stored"),
            "remove it",
        );
    }
    if let (Some(ctx), Some(_)) = (&attributes.ctx, &attributes.state) {
        errors.add_with_help(
            ctx,
            "a parameter cannot be both the job's context and shared state",
            "remove `#[ctx]` or `#[state]`",
        );
    }
}
