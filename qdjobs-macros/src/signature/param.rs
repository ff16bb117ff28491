//! Decides whether a parameter of a task is stored with the job, or passed by the worker (the context, shared
//! state).
//!
//! The type that is stored for it is decided in `stored_type`. Generates no code: see `expand/param.rs`.
//!
//! Depends on `attributes`, `stored_type`, `types`, `diagnostics` and `tokens`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Attribute, LitStr, Pat, PatType, Path, Type, TypeReference};

use super::attributes::{Default, check_not_stored, read_attributes};
use super::stored_type::{StoredType, stored_type};
use super::types::{is_named, type_text, ungrouped};
use crate::diagnostics::{Errors, error};
use crate::tokens::end_spans;

/// One parameter.
pub(crate) enum Param {
    /// Stored with the job: a field of the params struct and a key of the stored JSON.
    Stored(Box<StoredParam>),
    /// `ctx: &JobContext`
    Context,
    /// `#[state] db: &Db` or `#[state] db: Arc<Db>`
    State(StateParam),
}

impl Param {
    pub(crate) fn stored(&self) -> Option<&StoredParam> {
        match self {
            Param::Stored(stored) => Some(stored),
            _ => None,
        }
    }
}

/// A parameter that is stored with the job.
pub(crate) struct StoredParam {
    pub(crate) name: Ident,
    /// The key in the JSON.
    pub(crate) key: String,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) ty: StoredType,
    pub(crate) default: Option<Default>,
    /// `#[with(path)]`: the module that serializes and deserializes it instead of serde.
    pub(crate) with: Option<Path>,
}

impl StoredParam {
    /// Whether a job is valid without it.
    pub(crate) fn is_optional(&self) -> bool {
        self.ty.optional || self.default.is_some()
    }
}

/// A shared value of the worker.
pub(crate) struct StateParam {
    pub(crate) param: String,
    pub(crate) ty: TokenStream,
    /// The spans of the first and the last token of the type.
    pub(crate) spans: (Span, Span),
    /// The type as text.
    pub(crate) text: String,
    /// Whether the function takes a clone instead of a reference.
    pub(crate) cloned: bool,
}

/// Reads one parameter and removes the macro's attributes from it.
pub(super) fn read_param(
    param: &mut PatType,
    struct_name: &Ident,
    errors: &mut Errors,
) -> syn::Result<Param> {
    let attributes = read_attributes(param, errors);
    let name = param_name(&param.pat, struct_name)?;
    let ty = ungrouped(&param.ty);
    if attributes.ctx.is_some() || is_context(ty) {
        check_not_stored(&attributes, "the job's context", errors);
        return context(ty, attributes.ctx.is_some());
    }
    if attributes.state.is_some() {
        check_not_stored(&attributes, "shared state", errors);
        return state(&name, ty).map(Param::State);
    }
    let ty = stored_type(ty)?;
    Ok(Param::Stored(Box::new(StoredParam {
        key: name.unraw().to_string(),
        name,
        aliases: attributes.aliases,
        docs: attributes.docs,
        ty,
        default: attributes.default.map(|(_, default)| default),
        with: attributes.with,
    })))
}

/// The name of a parameter. Other patterns have none.
fn param_name(pat: &Pat, struct_name: &Ident) -> syn::Result<Ident> {
    match pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Ok(pat.ident.clone()),
        other => Err(error(
            other,
            format_args!(
                "a parameter must be a plain name: it is a field of `{struct_name}` and a key of the JSON"
            ),
            "give the parameter a name, and destructure it in the body",
        )),
    }
}

fn is_context(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => is_named(&reference.elem, &["JobContext"]),
        ty => is_named(ty, &["JobContext"]),
    }
}

fn context(ty: &Type, marked: bool) -> syn::Result<Param> {
    match ty {
        Type::Reference(reference) if reference.mutability.is_none() => Ok(Param::Context),
        ty => {
            let named = if marked { "a reference" } else { "`&JobContext`" };
            Err(error(
                ty,
                "the job's context must be a shared reference: it belongs to the worker",
                format_args!("take {named}; clone it to keep it"),
            ))
        }
    }
}

fn state(name: &Ident, ty: &Type) -> syn::Result<StateParam> {
    let (owned, cloned) = match ty {
        Type::Reference(TypeReference { mutability: Some(_), .. }) => {
            return Err(error(
                ty,
                "state cannot be `&mut`: all threads of the worker share it",
                "take `&Mutex<..>`",
            ));
        }
        Type::Reference(reference) => (ungrouped(&reference.elem), false),
        ty => (ty, true),
    };
    if matches!(owned, Type::TraitObject(_)) {
        return Err(error(
            ty,
            "state cannot be a `dyn` type: it is looked up by its type, which must be `Sized`",
            "register an `Arc<dyn ..>`, and take `Arc<dyn ..>` here",
        ));
    }
    Ok(StateParam {
        param: name.unraw().to_string(),
        ty: owned.to_token_stream(),
        spans: end_spans(&owned.to_token_stream()),
        text: type_text(owned.to_token_stream()),
        cloned,
    })
}
