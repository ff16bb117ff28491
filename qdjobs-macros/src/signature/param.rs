//! Decides whether a parameter of a task is stored with the job, or passed by the worker (the context, shared
//! state).
//!
//! The type that is stored for it is decided in `stored_type`. Generates no code: see `expand/param.rs`.
//!
//! Depends on `attributes`, `stored_type`, `repair`, `types`, `diagnostics` and `tokens`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Attribute, Lifetime, LitStr, Pat, PatType, Path, Type, TypeReference};

use super::attributes::{Default, ParamAttributes, check_not_stored, read_attributes};
use super::repair::{Place, repair};
use super::stored_type::{StoredType, stored_type};
use super::types::{Part, has_flaw_of_rustc, is_named, option_of, type_text, ungrouped, unsized_type, walk};
use crate::diagnostics::{Errors, error};
use crate::tokens::{end_spans, words_without_quotes};

/// One parameter.
pub(crate) enum Param {
    /// Stored with the job: a field of the params struct and a key of the stored JSON.
    Stored(Box<StoredParam>),
    /// `ctx: &JobContext`, or a parameter that is marked with `#[ctx]`, whose type the compiler checks.
    Context(Option<MarkedContext>),
    /// `#[state] db: &Db` or `#[state] db: Arc<Db>`
    State(StateParam),
    /// A parameter with an error, of the macro or of rustc. Callers probably pass it to `new`, or not.
    Refused { is_passed: bool },
}

/// The type behind the reference of a parameter that is marked with `#[ctx]`.
pub(crate) struct MarkedContext {
    pub(crate) ty: TokenStream,
    pub(crate) spans: (Span, Span),
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
    /// Its number among the stored parameters.
    pub(crate) at: usize,
    /// The key in the JSON.
    pub(crate) key: String,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) docs: Vec<Attribute>,
    /// The lint levels, which the field repeats.
    pub(crate) lints: Vec<Attribute>,
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

/// Reads one parameter and removes the macro's attributes from it. If it is refused, replaces what rustc would
/// refuse, too, and sets `is_repaired`. `lifetimes` are those that the function declares.
pub(super) fn read_param(
    param: &mut PatType,
    struct_name: &Ident,
    lifetimes: &[Ident],
    is_repaired: &mut bool,
    errors: &mut Errors,
) -> Param {
    let attributes = read_attributes(param, errors);
    let is_passed = is_probably_passed(param, &attributes);
    let is_unclear = attributes.is_probably_not_passed;
    match read_valid_param(param, struct_name, attributes, errors) {
        Ok(Some(param)) if !is_unclear => return param,
        Ok(_) => {}
        Err(error) => {
            errors.push(error);
            *is_repaired |= repair(&mut param.ty, Place::Param(lifetimes)) | repair_pattern(&mut param.pat);
        }
    }
    Param::Refused { is_passed }
}

/// Reads one parameter. Returns `None` if rustc refuses its type.
fn read_valid_param(
    param: &PatType,
    struct_name: &Ident,
    attributes: ParamAttributes,
    errors: &mut Errors,
) -> syn::Result<Option<Param>> {
    let name = param_name(&param.pat, struct_name)?;
    if has_flaw_of_rustc(&param.ty) {
        return Ok(None);
    }
    let ty = ungrouped(&param.ty);
    if attributes.ctx.is_some() || is_context(ty) {
        check_not_stored(&attributes, "the job's context", errors);
        return context(ty, &attributes).map(Some);
    }
    if attributes.state.is_some() {
        check_not_stored(&attributes, "shared state", errors);
        return state(&name, ty).map(Param::State).map(Some);
    }
    check_not_of_worker(ty)?;
    let ty = stored_type(ty, attributes.with.is_some())?;
    if let Some((_, Default::Value(value))) = &attributes.default
        && let Some(words) = words_without_quotes(value).filter(|_| ty.is_text())
    {
        errors.add_with_help(
            value,
            "the default of a text must be a string",
            format_args!("#[default(\"{words}\")]"),
        );
    }
    Ok(Some(Param::Stored(Box::new(StoredParam {
        key: name.unraw().to_string(),
        name,
        // Set when all parameters are read.
        at: 0,
        aliases: attributes.aliases,
        docs: attributes.docs,
        lints: attributes.lints,
        ty,
        default: attributes.default.map(|(_, default)| default),
        with: attributes.with,
    }))))
}

/// Whether callers probably pass the parameter to `new`, if it is refused.
fn is_probably_passed(param: &PatType, attributes: &ParamAttributes) -> bool {
    let is_of_worker = attributes.state.is_some() || attributes.ctx.is_some();
    let is_optional = attributes.default.is_some() || option_of(ungrouped(&param.ty)).is_some();
    // Other frameworks pass `State(db): State<Db>`.
    let is_extractor = matches!(&*param.pat, Pat::TupleStruct(_));
    let is_not_passed = is_of_worker || is_optional || is_extractor || attributes.is_probably_not_passed;
    !is_not_passed && check_not_of_worker(&param.ty).is_ok()
}

/// Replaces a pattern that does not match each value, which rustc refuses. Returns whether it was one.
fn repair_pattern(pat: &mut Pat) -> bool {
    let is_refused =
        !matches!(pat, Pat::Ident(_) | Pat::Wild(_) | Pat::Tuple(_) | Pat::Struct(_) | Pat::Reference(_));
    if is_refused {
        *pat = syn::parse_quote!(_);
    }
    is_refused
}

/// Refuses the context and the queue inside a type that would be stored.
fn check_not_of_worker(ty: &Type) -> syn::Result<()> {
    walk(ty, &mut |part| {
        let Part::Type(part, _) = part else { return Ok(true) };
        if is_named(part, &["JobContext"]) {
            return Err(context_error(ty, false));
        }
        if is_named(part, &["JobQueue", "AsyncQueue"]) {
            return Err(error(
                ty,
                "a queue cannot be stored with a job",
                "take `ctx: &JobContext`, and call `ctx.queue()`; another queue is state: mark it with `#[state]`",
            ));
        }
        Ok(true)
    })
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

fn context(ty: &Type, attributes: &ParamAttributes) -> syn::Result<Param> {
    if let (Some(state), None) = (&attributes.state, &attributes.ctx) {
        return Err(error(
            state,
            "the job's context is not shared state: each attempt has its own",
            "remove `#[state]`",
        ));
    }
    let marked = attributes.ctx.is_some();
    let Type::Reference(reference) = ty else { return Err(context_error(ty, marked)) };
    if reference.mutability.is_some() {
        return Err(context_error(ty, marked));
    }
    if let Some(lifetime) = static_lifetime(reference) {
        return Err(error(
            lifetime,
            "the job's context is borrowed for one attempt",
            "take `&JobContext`; clone it to keep it",
        ));
    }
    if !marked {
        return Ok(Param::Context(None));
    }
    let ty = ungrouped(&reference.elem).to_token_stream();
    Ok(Param::Context(Some(MarkedContext { spans: end_spans(&ty), ty })))
}

fn context_error(ty: &Type, marked: bool) -> syn::Error {
    let named = if marked { "a reference" } else { "`&JobContext`" };
    error(
        ty,
        "the job's context must be a shared reference: it belongs to the worker",
        format_args!("take {named}; clone it to keep it"),
    )
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
    if let Type::Reference(reference) = ty
        && let Some(lifetime) = static_lifetime(reference)
    {
        return Err(error(
            lifetime,
            "state is borrowed from the worker for one attempt",
            "remove `'static`; to keep the value, take an `Arc<..>`",
        ));
    }
    check_state(owned)?;
    Ok(StateParam {
        param: name.unraw().to_string(),
        ty: owned.to_token_stream(),
        spans: end_spans(&owned.to_token_stream()),
        text: type_text(owned.to_token_stream()),
        cloned,
    })
}

/// Refuses state that a worker cannot own, or that has no known size. `owned` is the type without the outer
/// reference.
fn check_state(owned: &Type) -> syn::Result<()> {
    if let Some((_, sized)) = unsized_type(owned) {
        let (text, sized) = (type_text(owned.to_token_stream()), type_text(sized));
        return Err(error(
            owned,
            format_args!("state cannot be `{text}`: it is looked up by its type, which must be `Sized`"),
            format_args!("register the owned type, and take `&{sized}` here"),
        ));
    }
    let message = "state cannot contain a reference: the worker owns it, and looks it up by its type";
    walk(owned, &mut |part| match part {
        Part::Type(Type::ImplTrait(_), _) => Err(error(
            owned,
            "state must have a concrete type: it is looked up by its type",
            "write the type; for a trait object take `Arc<dyn ..>`",
        )),
        Part::Type(Type::Reference(reference), _) if static_lifetime(reference).is_none() => {
            let target = type_text(reference.elem.to_token_stream());
            let optional = "a worker that lacks the state does not start, so it need not be optional";
            let help = match owned {
                Type::Reference(_) => format!("write one `&`: `&{target}`"),
                _ if option_of(owned).is_some() => format!("take `&{target}`; {optional}"),
                _ => format!("take `&{target}`, or store an owned value"),
            };
            Err(error(reference.and_token, message, help))
        }
        Part::Lifetime(lifetime) if lifetime.ident != "static" => Err(error(
            lifetime,
            "state cannot have a lifetime: the worker owns it, and looks it up by its type",
            "use a type that owns its data, or `'static`",
        )),
        _ => Ok(true),
    })
}

fn static_lifetime(reference: &TypeReference) -> Option<&Lifetime> {
    reference.lifetime.as_ref().filter(|lifetime| lifetime.ident == "static")
}
