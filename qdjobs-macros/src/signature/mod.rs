//! What the function says: which parameters are stored, which the worker injects, and what comes back.
//!
//! Leans on `diagnostics`. Writes no code and reads no option. A macro sees tokens and no types, so everything here is
//! decided by how a parameter is written; what only the types can tell is asked by the traits that `expand` names.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Expr, FnArg, GenericArgument, GenericParam, LitStr, Meta, Pat, PatType, Path, PathArguments,
    ReturnType, Safety, Token, Type, TypeReference,
};

use crate::diagnostics::{Errors, nearest};

/// What the macro knows of a task's function.
pub(crate) struct Signature {
    pub(crate) name: Ident,
    pub(crate) is_async: bool,
    pub(crate) params: Vec<Param>,
    /// The return type as written; `()` if none is.
    pub(crate) output: TokenStream,
}

/// One parameter, in the order of the function.
pub(crate) enum Param {
    /// Part of the job: a field of the params struct, a key of its JSON.
    Stored(Box<Stored>),
    /// `ctx: &JobContext`.
    Context,
    /// `#[state] db: &Db` or `#[state] db: Arc<Db>`.
    State(State),
}

/// A parameter that is stored with the job.
pub(crate) struct Stored {
    pub(crate) name: Ident,
    /// The key in the JSON.
    pub(crate) key: String,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) form: Form,
    pub(crate) default: Option<Default>,
    /// `#[with(path)]`: the module that writes and reads it instead of serde.
    pub(crate) with: Option<Path>,
}

impl Stored {
    /// Whether a job may be stored without it.
    pub(crate) fn is_optional(&self) -> bool {
        self.form.optional || self.default.is_some()
    }
}

/// What stands for a parameter that was left out.
pub(crate) enum Default {
    /// `#[default]`
    OfType,
    /// `#[default(expression)]`
    Value(Expr),
}

/// How a parameter is kept and passed on.
pub(crate) struct Form {
    /// The owned type: that of the field.
    pub(crate) ty: Owned,
    /// The first and the last token, where to point when the type is to blame.
    pub(crate) at: (Span, Span),
    /// The owned type for people.
    pub(crate) text: String,
    /// Whether `new` takes `impl Into<_>`. Not for numbers: `5` would become an `i32`.
    pub(crate) into: bool,
    /// Whether it is an `Option`.
    pub(crate) optional: bool,
    pub(crate) lend: Lend,
}

/// The owned type of a parameter.
pub(crate) enum Owned {
    /// As written, or for a borrowed one what it borrows.
    Is(TokenStream),
    /// `String`
    String,
    /// `Vec` of it.
    Vec(TokenStream),
    /// Whatever the borrowed type is owned as: `&Path` may be the standard library's or the user's.
    Borrowed(TokenStream),
    /// `Option` of it, with the user's own word for `Option`.
    Option(TokenStream, Box<Owned>),
}

/// How the owned value is handed to the function.
pub(crate) enum Lend {
    /// `value`
    Move,
    /// `&value`
    Ref,
    /// `value.as_deref()`
    Deref,
    /// `value.as_ref()`
    AsRef,
    /// As the borrowed type, through `Borrow`.
    Borrow(TokenStream),
}

/// A shared value of the worker.
pub(crate) struct State {
    pub(crate) param: String,
    pub(crate) ty: TokenStream,
    pub(crate) at: (Span, Span),
    pub(crate) text: String,
    /// Whether the function takes a clone of its own.
    pub(crate) cloned: bool,
}

/// Reads a signature, and takes the attributes that are ours off its parameters, so that the function compiles as it
/// stands.
pub(crate) fn read(sig: &mut syn::Signature, struct_name: &Ident, errors: &mut Errors) -> Signature {
    refuse_kinds(sig, errors);
    refuse_generics(sig, errors);
    let mut params = Vec::new();
    for input in &mut sig.inputs {
        match input {
            FnArg::Receiver(receiver) => errors.add_with_help(
                &*receiver,
                "a task is a free function: a stored job has no `self`",
                "take shared values with `#[state]`",
            ),
            FnArg::Typed(param) => match read_param(param, struct_name, errors) {
                Ok(param) => params.push(param),
                Err(error) => errors.push(error),
            },
        }
    }
    refuse_shared_keys(&params, errors);
    let output = read_output(&sig.output, errors);
    Signature { name: sig.ident.clone(), is_async: sig.asyncness.is_some(), params, output }
}

/// An error that ends in what to write.
fn error(at: impl ToTokens, message: impl std::fmt::Display, help: impl std::fmt::Display) -> syn::Error {
    syn::Error::new_spanned(at, format_args!("{message}\nhelp: {help}"))
}

/// A worker calls a task from safe code, by an ordinary call, with the values of one job.
fn refuse_kinds(sig: &syn::Signature, errors: &mut Errors) {
    if let Some(word) = &sig.constness {
        errors.add_with_help(word, "a task runs in a worker, so it cannot be `const`", "remove `const`");
    }
    if let Safety::Unsafe(word) = &sig.safety {
        errors.add_with_help(
            word,
            "a worker cannot keep the promises that an `unsafe` function asks of its caller",
            "write a safe task that calls it",
        );
    }
    if let Some(abi) = &sig.abi {
        errors.add_with_help(abi, "a task is an ordinary Rust function", "remove `extern`");
    }
    if let Some(dots) = &sig.variadic {
        errors.add_with_help(
            dots,
            "a task has a fixed list of parameters",
            "take a `Vec` for a list of any length",
        );
    }
}

fn refuse_generics(sig: &syn::Signature, errors: &mut Errors) {
    let open = sig.generics.params.iter().find(|param| !matches!(param, GenericParam::Lifetime(_)));
    if let Some(param) = open {
        errors.push(generic(param, "a task cannot be generic"));
    }
}

fn generic(at: impl ToTokens, what: &str) -> syn::Error {
    error(
        at,
        format_args!("{what}: a stored job names the task, not its type arguments"),
        "write a generic helper, and one `#[task]` function for each type",
    )
}

/// What the attributes of a parameter say.
#[derive(std::default::Default)]
struct Marks {
    docs: Vec<Attribute>,
    state: Option<Attribute>,
    ctx: Option<Attribute>,
    default: Option<(Attribute, Default)>,
    aliases: Vec<LitStr>,
    with: Option<Path>,
}

/// Our attributes, each with a value to write.
const MARKS: [&str; 5] = ["state", "ctx", "default", "alias", "with"];

fn read_param(param: &mut PatType, struct_name: &Ident, errors: &mut Errors) -> syn::Result<Param> {
    let marks = read_marks(param, errors);
    let name = param_name(&param.pat, struct_name)?;
    let ty = transparent(&param.ty);
    if marks.ctx.is_some() || is_context(ty) {
        refuse_storing(&marks, "the job's context", errors);
        return context(ty, marks.ctx.is_some());
    }
    if marks.state.is_some() {
        refuse_storing(&marks, "shared state", errors);
        return state(&name, ty).map(Param::State);
    }
    let form = form(ty)?;
    Ok(Param::Stored(Box::new(Stored {
        key: name.unraw().to_string(),
        name,
        aliases: marks.aliases,
        docs: marks.docs,
        form,
        default: marks.default.map(|(_, default)| default),
        with: marks.with,
    })))
}

/// Takes our attributes and the docs, which rustc refuses on parameters of a function; leaves lint levels.
fn read_marks(param: &mut PatType, errors: &mut Errors) -> Marks {
    let mut marks = Marks::default();
    let mut kept = Vec::new();
    for attr in std::mem::take(&mut param.attrs) {
        let word = attr.path().get_ident().map(Ident::to_string).unwrap_or_default();
        let read = match word.as_str() {
            "doc" => {
                marks.docs.push(attr);
                Ok(())
            }
            "state" => bare(&attr).map(|()| marks.state = Some(attr)),
            "ctx" => bare(&attr).map(|()| marks.ctx = Some(attr)),
            "default" => default_of(&attr).map(|default| marks.default = Some((attr, default))),
            "alias" => aliases_of(&attr).map(|aliases| marks.aliases.extend(aliases)),
            "with" => with_of(&attr).map(|path| marks.with = Some(path)),
            "allow" | "expect" | "warn" | "deny" | "forbid" => {
                kept.push(attr);
                Ok(())
            }
            "cfg" | "cfg_attr" => Err(error(
                &attr,
                "a parameter cannot depend on the build: one build could not read the jobs another build stored",
                "keep the parameter in every build, as an `Option`",
            )),
            "serde" => Err(error(
                &attr,
                "`#[serde]` is for the fields of a struct; a parameter has attributes of its own",
                "use `#[default]`, `#[alias(\"old\")]` or `#[with(path)]`",
            )),
            _ => Err(unknown_mark(&attr, &word)),
        };
        if let Err(error) = read {
            errors.push(error);
        }
    }
    param.attrs = kept;
    marks
}

fn unknown_mark(attr: &Attribute, word: &str) -> syn::Error {
    let shown = attr.path().to_token_stream().to_string();
    match nearest(word, MARKS) {
        Some(meant) => error(
            attr,
            format_args!("unknown attribute `{shown}`"),
            format_args!("did you mean `#[{meant}]`?"),
        ),
        None => error(
            attr,
            format_args!("unknown attribute `{shown}` on a parameter"),
            format_args!("a parameter can have {}", MARKS.map(|mark| format!("`#[{mark}]`")).join(", ")),
        ),
    }
}

fn bare(attr: &Attribute) -> syn::Result<()> {
    attr.meta.require_path_only().map(drop)
}

fn default_of(attr: &Attribute) -> syn::Result<Default> {
    match &attr.meta {
        Meta::Path(_) => Ok(Default::OfType),
        Meta::List(list) => list.parse_args().map(Default::Value),
        Meta::NameValue(_) => Err(error(attr, "a default stands in parentheses", "#[default(\"en\")]")),
    }
}

fn aliases_of(attr: &Attribute) -> syn::Result<Punctuated<LitStr, Token![,]>> {
    attr.parse_args_with(Punctuated::parse_separated_nonempty)
        .map_err(|_| error(attr, "an alias is the key in jobs stored earlier", "#[alias(\"old_name\")]"))
}

fn with_of(attr: &Attribute) -> syn::Result<Path> {
    let help = "#[with(path)], where `path` has the functions `serialize` and `deserialize`";
    attr.parse_args().map_err(|_| error(attr, "`#[with]` names a module", help))
}

/// The worker's own values are not in the job, so nothing can be said about their storing.
fn refuse_storing(marks: &Marks, what: &str, errors: &mut Errors) {
    let storing = [
        marks.default.as_ref().map(|(attr, _)| ("#[default]", attr.to_token_stream())),
        marks.aliases.first().map(|alias| ("#[alias]", alias.to_token_stream())),
        marks.with.as_ref().map(|path| ("#[with]", path.to_token_stream())),
    ];
    for (mark, at) in storing.into_iter().flatten() {
        errors.add_with_help(
            at,
            format_args!("`{mark}` has no meaning for {what}, which is not stored"),
            "remove it",
        );
    }
    if let (Some(ctx), Some(_)) = (&marks.ctx, &marks.state) {
        errors.add_with_help(
            ctx,
            "a parameter is either the job's context or shared state",
            "keep one of the two",
        );
    }
}

/// The name of a parameter; patterns have none.
fn param_name(pat: &Pat, struct_name: &Ident) -> syn::Result<Ident> {
    match pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Ok(pat.ident.clone()),
        other => Err(error(
            other,
            format_args!(
                "a parameter needs a name: it becomes a field of `{struct_name}` and a key of the stored JSON"
            ),
            "name it here, and take it apart in the body",
        )),
    }
}

/// A type, seen through the invisible groups that `macro_rules!` makes, and through parentheses.
fn transparent(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => transparent(&group.elem),
        Type::Paren(paren) => transparent(&paren.elem),
        other => other,
    }
}

/// The last word of a path type, and its arguments.
fn last_word(ty: &Type) -> Option<(&Ident, &PathArguments)> {
    match transparent(ty) {
        Type::Path(path) => path.path.segments.last().map(|last| (&last.ident, &last.arguments)),
        _ => None,
    }
}

fn is_plain(ty: &Type, words: &[&str]) -> bool {
    last_word(ty)
        .is_some_and(|(word, arguments)| arguments.is_none() && words.iter().any(|known| word == known))
}

fn is_context(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => is_plain(&reference.elem, &["JobContext"]),
        ty => is_plain(ty, &["JobContext"]),
    }
}

fn context(ty: &Type, marked: bool) -> syn::Result<Param> {
    match ty {
        Type::Reference(reference) if reference.mutability.is_none() => Ok(Param::Context),
        ty => {
            let named = if marked { "a reference" } else { "`&JobContext`" };
            Err(error(
                ty,
                "the job's context belongs to the worker and is only lent",
                format_args!("take {named}; clone it to keep it"),
            ))
        }
    }
}

fn state(name: &Ident, ty: &Type) -> syn::Result<State> {
    let (owned, cloned) = match ty {
        Type::Reference(TypeReference { mutability: Some(_), .. }) => {
            return Err(error(
                ty,
                "state is shared by every thread of the worker, so nobody can have it to himself",
                "take `&Mutex<..>`",
            ));
        }
        Type::Reference(reference) => (transparent(&reference.elem), false),
        ty => (ty, true),
    };
    if matches!(owned, Type::TraitObject(_)) {
        return Err(error(
            ty,
            "state is found by its type, and this one has no size of its own",
            "register an `Arc<dyn ..>`, and take `Arc<dyn ..>` here",
        ));
    }
    Ok(State {
        param: name.unraw().to_string(),
        ty: owned.to_token_stream(),
        at: ends(&owned.to_token_stream()),
        text: type_text(owned.to_token_stream()),
        cloned,
    })
}

/// How a stored parameter is kept and passed on.
fn form(ty: &Type) -> syn::Result<Form> {
    if let Some((option, inner)) = option_of(ty) {
        let (owned, lend) = match transparent(inner) {
            Type::Reference(reference) => owned_of(reference)?,
            inner => (moved(inner)?, Lend::Move),
        };
        let lend = match (lend, &owned) {
            (Lend::Move, _) => Lend::Move,
            (Lend::Borrow(ty), _) => Lend::Borrow(ty),
            (_, Owned::String | Owned::Vec(_)) => Lend::Deref,
            _ => Lend::AsRef,
        };
        let text = format!("Option<{}>", owned.text());
        let ty_ = Owned::Option(option, Box::new(owned));
        return Ok(Form {
            ty: ty_,
            at: ends(&ty.to_token_stream()),
            text,
            into: false,
            optional: true,
            lend,
        });
    }
    let (owned, lend) = match ty {
        Type::Reference(reference) => match owned_of(reference)? {
            (owned, Lend::Borrow(_)) => (owned, Lend::Ref),
            kept => kept,
        },
        ty => (moved(ty)?, Lend::Move),
    };
    let into = match &owned {
        Owned::String | Owned::Borrowed(_) => true,
        Owned::Is(_) => is_stringlike(match ty {
            Type::Reference(reference) => &reference.elem,
            ty => ty,
        }),
        Owned::Vec(_) | Owned::Option(..) => false,
    };
    Ok(Form { text: owned.text(), ty: owned, at: ends(&ty.to_token_stream()), into, optional: false, lend })
}

/// `Option<T>`: the path without its argument, and `T`.
fn option_of(ty: &Type) -> Option<(TokenStream, &Type)> {
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

/// What a borrowed parameter is stored as, and how it is lent.
fn owned_of(reference: &TypeReference) -> syn::Result<(Owned, Lend)> {
    if let Some(lifetime) = reference.lifetime.as_ref().filter(|lifetime| lifetime.ident == "static") {
        return Err(error(
            lifetime,
            "a parameter is read from a stored job and lives no longer than the call, so it cannot be `'static`",
            "remove `'static`",
        ));
    }
    if let Some(word) = &reference.mutability {
        return Err(error(
            word,
            "a parameter is a value of its own for each attempt: nobody would see what is written through `&mut`",
            "take it by value, with `mut` before its name",
        ));
    }
    let target = transparent(&reference.elem);
    if is_plain(target, &["str"]) {
        return Ok((Owned::String, Lend::Ref));
    }
    if is_plain(target, &["Path", "OsStr", "CStr"]) {
        return Ok((Owned::Borrowed(target.to_token_stream()), Lend::Borrow(target.to_token_stream())));
    }
    if let Type::Slice(slice) = target {
        refuse_inside(&slice.elem)?;
        return Ok((Owned::Vec(slice.elem.to_token_stream()), Lend::Ref));
    }
    Ok((moved(target)?, Lend::Ref))
}

fn moved(ty: &Type) -> syn::Result<Owned> {
    refuse_inside(ty)?;
    Ok(Owned::Is(ty.to_token_stream()))
}

/// Types that callers have at hand as a `&str` or a path.
fn is_stringlike(ty: &Type) -> bool {
    let Some((word, arguments)) = last_word(ty) else { return false };
    match arguments {
        PathArguments::None => ["String", "PathBuf", "OsString"].iter().any(|known| word == known),
        PathArguments::AngleBracketed(arguments) => {
            let Some(GenericArgument::Type(inner)) = arguments.args.last() else { return false };
            is_plain(inner, &["str"]) && ["Box", "Arc", "Rc", "Cow"].iter().any(|known| word == known)
        }
        PathArguments::Parenthesized(_) => false,
    }
}

/// Refuses what a stored value cannot be or hold, at the token that says so.
fn refuse_inside(ty: &Type) -> syn::Result<()> {
    refuse_tokens(ty.to_token_stream(), ty)
}

fn refuse_tokens(tokens: TokenStream, whole: &Type) -> syn::Result<()> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Group(group) => refuse_tokens(group.stream(), whole)?,
            TokenTree::Punct(sign) if sign.as_char() == '&' => return Err(inner_borrow(&token)),
            TokenTree::Punct(sign) if sign.as_char() == '*' => {
                return Err(error(
                    whole,
                    "a pointer means nothing in another process",
                    "store the value itself, or its id",
                ));
            }
            TokenTree::Punct(sign) if sign.as_char() == '\'' => {
                let Some(TokenTree::Ident(lifetime)) = tokens.next() else { continue };
                if lifetime != "static" {
                    return Err(inner_borrow(&quote!(#token #lifetime)));
                }
            }
            TokenTree::Ident(word) => refuse_word(word, whole)?,
            _ => {}
        }
    }
    Ok(())
}

fn refuse_word(word: &Ident, whole: &Type) -> syn::Result<()> {
    match word.to_string().as_str() {
        "impl" => Err(generic(whole, "a parameter has one concrete type")),
        "dyn" => Err(error(
            whole,
            "a stored value has one concrete type: `dyn` could not be read back",
            "name the type; for a shared object write `#[state]` before it and take an `Arc<dyn ..>`",
        )),
        "fn" => Err(error(
            whole,
            "a function cannot be stored",
            "store a value that says which one, and choose in the body",
        )),
        "u128" | "i128" => Err(error(
            word,
            format_args!("JSON numbers do not hold `{word}`"),
            "take a `String`, and parse it in the body",
        )),
        "_" => Err(error(whole, "the type of a parameter is part of the stored job", "write the type")),
        _ => Ok(()),
    }
}

fn inner_borrow(at: &impl ToTokens) -> syn::Error {
    error(
        at,
        "a parameter is read from a stored job, and only the whole of it can be borrowed",
        "own what is inside: `Vec<String>`, `Cow<'static, str>`",
    )
}

/// No two parameters may answer to one key of the JSON.
fn refuse_shared_keys(params: &[Param], errors: &mut Errors) {
    let mut taken: Vec<String> = Vec::new();
    let stored = params.iter().filter_map(Param::stored);
    for param in stored.clone() {
        taken.push(param.key.clone());
    }
    for alias in stored.flat_map(|param| &param.aliases) {
        if taken.contains(&alias.value()) {
            errors.add(alias, format_args!("the key `{}` is taken by another parameter", alias.value()));
        }
        taken.push(alias.value());
    }
}

impl Param {
    pub(crate) fn stored(&self) -> Option<&Stored> {
        match self {
            Param::Stored(stored) => Some(stored),
            _ => None,
        }
    }
}

/// The return type.
fn read_output(output: &ReturnType, errors: &mut Errors) -> TokenStream {
    let ReturnType::Type(_, ty) = output else { return quote!(()) };
    if let Err(error) = refuse_output(ty) {
        errors.push(error);
    }
    ty.to_token_stream()
}

fn refuse_output(ty: &Type) -> syn::Result<()> {
    if let Type::Never(_) = transparent(ty) {
        return Err(error(ty, "a task that never returns would hold its slot for ever", "return `()`"));
    }
    refuse_output_tokens(ty.to_token_stream())
}

fn refuse_output_tokens(tokens: TokenStream) -> syn::Result<()> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Group(group) => refuse_output_tokens(group.stream())?,
            TokenTree::Ident(word) if word == "impl" => {
                return Err(error(
                    word,
                    "the result of a task has one named type",
                    "name it; for a future write `async fn`",
                ));
            }
            TokenTree::Punct(sign) if sign.as_char() == '&' => {
                let is_lifetime =
                    |next: &TokenTree| matches!(next, TokenTree::Punct(tick) if tick.as_char() == '\'');
                if !tokens.peek().is_some_and(is_lifetime) {
                    return Err(borrowed_output(&token));
                }
            }
            TokenTree::Punct(sign) if sign.as_char() == '\'' => {
                let Some(TokenTree::Ident(lifetime)) = tokens.next() else { continue };
                if lifetime != "static" {
                    return Err(borrowed_output(&quote!(#token #lifetime)));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn borrowed_output(at: &impl ToTokens) -> syn::Error {
    error(
        at,
        "the result of a task outlives the call: it is stored, so it cannot borrow from the parameters",
        "return an owned value: `String` for `&str`, `Vec<_>` for `&[_]`",
    )
}

impl Owned {
    /// For people: `Option<String>`.
    fn text(&self) -> String {
        match self {
            Owned::Is(ty) => type_text(ty.clone()),
            Owned::String => "String".to_owned(),
            Owned::Vec(item) => format!("Vec<{}>", type_text(item.clone())),
            Owned::Borrowed(ty) => match type_text(ty.clone()).rsplit("::").next() {
                Some("Path") => "PathBuf".to_owned(),
                Some("OsStr") => "OsString".to_owned(),
                _ => "CString".to_owned(),
            },
            Owned::Option(_, inner) => format!("Option<{}>", inner.text()),
        }
    }
}

/// Where tokens begin and where they end: without a nightly compiler spans cannot be joined.
pub(crate) fn ends(tokens: &TokenStream) -> (Span, Span) {
    let spans: Vec<Span> = tokens.clone().into_iter().map(|token| token.span()).collect();
    let end = |span: Option<&Span>| span.copied().unwrap_or_else(Span::mixed_site);
    (end(spans.first()), end(spans.last()))
}

/// A type as people write it, the same from every compiler: it is compared with what an earlier build said.
pub(crate) fn type_text(tokens: TokenStream) -> String {
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
                    proc_macro2::Delimiter::Parenthesis => text += &format!("({inner})"),
                    proc_macro2::Delimiter::Bracket => text += &format!("[{inner}]"),
                    proc_macro2::Delimiter::Brace => text += &format!("{{{inner}}}"),
                    proc_macro2::Delimiter::None => text += &inner,
                }
            }
            TokenTree::Punct(sign) => match sign.as_char() {
                ',' => text += ", ",
                ';' => text += "; ",
                '+' => text += " + ",
                '=' => text += " = ",
                sign => text.push(sign),
            },
            // `'static str` of a `Cow`: a lifetime is followed by a space, which a comma gives already.
            token => text += &token.to_string(),
        }
    }
    text.replace(" = >", " => ").replace("->", " -> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_reads_as_a_person_would_write_it() {
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
