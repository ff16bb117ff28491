//! The code a task becomes: the function as it was, the params struct, and the record that a worker finds.
//!
//! Leans on everything else here. Complains about nothing: what cannot be expanded was refused before. Generated code
//! names only the runtime's `__private`, and keeps to calls: what is generic is compiled once in the runtime, not
//! once a task.
//!
//! Rules for spans, each learnt from a bad error:
//!
//! - Everything is written at `mixed_site`, so that no local of ours meets a user's name.
//! - A type's bound is asked by a qualified path whose *punctuation* carries the type's span. The error then points
//!   at the type, and those of writing and of reading are one and the same to rustc, which prints it once. An
//!   identifier with a borrowed span would make an editor offer our traits as the definition of the user's type.
//! - A user's expression stands alone, never in a cast or a closure: what is wrong with it is then about it.

use std::collections::HashSet;

use proc_macro2::{Delimiter, Group, Ident, Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::{Attribute, Expr, Lit, LitStr, Meta, Token};

use crate::Function;
use crate::names;
use crate::options::Options;
use crate::signature::{Default, Form, Lend, Owned, Param, Signature, State, Stored, ends};

/// `quote!` at `mixed_site`.
macro_rules! emit {
    ($($tokens:tt)*) => {
        ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*)
    };
}
pub(crate) use emit;

/// Everything that is known of one task.
pub(crate) struct Plan<'a> {
    pub(crate) function: &'a Function,
    pub(crate) signature: &'a Signature,
    pub(crate) options: &'a Options,
    pub(crate) name: Ident,
    /// Whether a worker is to find it. Not after a complaint, where one mistake would become two.
    pub(crate) is_sound: bool,
}

/// All that stands beside the function.
pub(crate) fn expand(plan: &Plan<'_>) -> TokenStream {
    let cfg = forwarded(&plan.function.attrs, &["cfg"]);
    let (params_struct, inherent) = (params_struct(plan), inherent(plan));
    let (outside, inside) = (plan.outside(), inside());
    let parts = [
        codec(plan),
        common_traits(plan),
        task(plan),
        runner(plan),
        if plan.is_sound { registration(plan) } else { TokenStream::new() },
    ];
    emit! {
        #params_struct
        #inherent
        #(#cfg)*
        #[allow(deprecated, unexpected_cfgs)]
        const _: () = {
            use #outside as #inside;
            #(#parts)*
        };
    }
}

/// The struct, with a field for each stored parameter.
fn params_struct(plan: &Plan<'_>) -> TokenStream {
    let Plan { function: Function { attrs, vis, .. }, name, .. } = plan;
    let home = &plan.outside();
    let function = names::plain(&plan.signature.name);
    let cfg = forwarded(attrs, &["cfg"]);
    let kept = forwarded(attrs, &["cfg", "allow", "deprecated"]);
    let mut docs = forwarded(attrs, &["doc"]);
    docs.extend(doc(docs.is_empty(), format!("The parameters of the task [`{function}`].")));
    let fields = plan.stored().map(|param| {
        let (name, ty) = (&param.name, param.form.ty.tokens(home));
        let mut docs: Vec<TokenStream> = param.docs.iter().map(ToTokens::to_token_stream).collect();
        docs.extend(doc(docs.is_empty(), format!("The `{}` parameter of [`{function}`].", param.key)));
        emit!(#(#docs)* #vis #name: #ty)
    });
    // Without parameters the value can be written as the type is: `Cleanup.enqueue(&queue)`. The struct keeps its
    // braces, so that its JSON is `{}`, which can gain a parameter; that of a unit struct would be `null`.
    let value = plan.stored().next().is_none().then(|| {
        emit! {
            #(#cfg)*
            #[doc(hidden)]
            #[allow(non_upper_case_globals, deprecated, dead_code)]
            #vis const #name: #name = #name {};
        }
    });
    emit! {
        #(#kept)*
        #(#docs)*
        #[must_use = "a job does nothing until it is enqueued"]
        #vis struct #name { #(#fields),* }
        #value
    }
}

/// `new` and `enqueue`: inherent, so that nobody needs an import.
fn inherent(plan: &Plan<'_>) -> TokenStream {
    let (home, vis, name) = (&plan.outside(), &plan.function.vis, &plan.name);
    let cfg = forwarded(&plan.function.attrs, &["cfg"]);
    let new = Ident::new("new", plan.signature.name.span());
    let enqueue = Ident::new("enqueue", plan.signature.name.span());
    let required = plan.stored().filter(|param| !param.is_optional()).map(|param| required(home, param));
    let fields = plan.stored().map(|param| {
        let (name, value) = (&param.name, initial(home, param));
        emit!(#name: #value)
    });
    let defaults = plan.stored().filter_map(|param| default(home, param));
    let function = names::plain(&plan.signature.name);
    let new_doc = format!("A job that calls [`{function}`] with these parameters, once it is enqueued.");
    // The answer holds the task's result: a return type that is none is blamed here as well, so it is here that it
    // lies.
    let (first, last) = ends(&plan.signature.output);
    let (open, close) = (Token![<](first), Token![>](last));
    emit! {
        #(#cfg)*
        #[allow(dead_code, deprecated, clippy::too_many_arguments, clippy::new_without_default)]
        impl #name {
            #[doc = #new_doc]
            #vis fn #new(#(#required),*) -> Self {
                Self { #(#fields),* }
            }
            /// Stores the job, with the task's own options. The target decides the style of the answer.
            #vis fn #enqueue<Q: #home::Enqueue + ?#home::Sized>(
                self,
                target: &Q,
            ) -> #open Q as #home::Enqueue>::Answer<<Self as #home::Task>::Output #close {
                #home::enqueue(self, target)
            }
            #(#defaults)*
        }
    }
}

/// A parameter of `new`. Its last token carries the type's span, so that a call with too few arguments is shown the
/// whole of it.
fn required(home: &TokenStream, param: &Stored) -> TokenStream {
    let (name, ty) = (&param.name, param.form.ty.tokens(home));
    if !param.form.into {
        return emit!(#name: #ty);
    }
    let (open, close) = (Token![<](param.form.at.1), Token![>](param.form.at.1));
    emit!(#name: impl #home::Into #open #ty #close)
}

/// What `new` puts into a field.
fn initial(home: &TokenStream, param: &Stored) -> TokenStream {
    let name = &param.name;
    match param.default_fn(home) {
        Some(default) => emit!(#default()),
        None if param.form.optional => emit!(#home::None),
        None if param.form.into => emit!(#home::Into::into(#name)),
        None => name.to_token_stream(),
    }
}

/// The function that holds the expression of `#[default(expression)]`.
fn default(home: &TokenStream, param: &Stored) -> Option<TokenStream> {
    let Some(Default::Value(value)) = &param.default else { return None };
    let (name, ty) = (param.default_name(), param.form.ty.tokens(home));
    // A text is what people write for a `String`.
    let value = if param.form.into { into(home, value) } else { value.to_token_stream() };
    Some(emit! {
        #[doc(hidden)]
        fn #name() -> #ty { #value }
    })
}

/// An expression converted to the type around it. The call carries the expression's span, so that a wrong one is to
/// blame.
fn into(home: &TokenStream, value: &Expr) -> TokenStream {
    let (first, _) = ends(&value.to_token_stream());
    let argument = quote_spanned!(first=> (#value));
    emit!(#home::Into::into #argument)
}

/// Real serde impls, written by hand through `TaskParam`: a quarter of a derive's compile time, one error instead of
/// seven, and errors at run time that name the parameter.
fn codec(plan: &Plan<'_>) -> TokenStream {
    let (home, name) = (&inside(), &plan.name);
    let count = plan.stored().count();
    let infos = plan.stored().map(|param| info(home, param));
    let puts = plan.stored().map(|param| put(home, param));
    let takes = plan.stored().enumerate().map(|(at, param)| take(home, at, param));
    let fields = plan.stored().enumerate().map(|(at, param)| {
        let (name, local) = (&param.name, nth(at));
        emit!(#name: #local?)
    });
    emit! {
        const __PARAMS: &[#home::ParamInfo] = &[#(#infos),*];
        impl #name {
            fn __read(object: &mut #home::Object) -> #home::Option<Self> {
                #(#takes)*
                #home::Some(Self { #(#fields),* })
            }
        }
        impl #home::Serialize for #name {
            fn serialize<S: #home::Serializer>(
                &self,
                serializer: S,
            ) -> #home::Result<S::Ok, S::Error> {
                let mut object = #home::object(serializer, #count)?;
                #(#puts)*
                #home::SerializeMap::end(object)
            }
        }
        impl<'de> #home::Deserialize<'de> for #name {
            fn deserialize<D: #home::Deserializer<'de>>(
                deserializer: D,
            ) -> #home::Result<Self, D::Error> {
                #home::read(deserializer, Self::__read)
            }
        }
    }
}

fn info(home: &TokenStream, param: &Stored) -> TokenStream {
    let (key, ty) = (&param.key, &param.form.text);
    let info = emit!(#home::ParamInfo);
    let made = if param.is_optional() { emit!(optional) } else { emit!(required) };
    let doc = doc_text(&param.docs).map(|text| emit!(.doc(#text)));
    let aliases = &param.aliases;
    let aliases = (!aliases.is_empty()).then(|| emit!(.aliases(&[#(#aliases),*])));
    emit!(#info::#made(#key, #ty) #doc #aliases)
}

fn put(home: &TokenStream, param: &Stored) -> TokenStream {
    let (name, key) = (&param.name, &param.key);
    match &param.with {
        Some(path) => emit! {
            #home::put_with(#path::serialize(&self.#name, #home::ValueSerializer), #key, &mut object)?;
        },
        None => {
            let put = param.form.asked(home, "TaskParam", "put");
            emit!(#put(&self.#name, #key, &mut object)?;)
        }
    }
}

fn take(home: &TokenStream, at: usize, param: &Stored) -> TokenStream {
    let local = nth(at);
    let at = Literal::usize_unsuffixed(at);
    let default = match param.default_fn(home) {
        Some(default) => Some(default),
        None => param.form.optional.then(|| emit!(|| #home::None)),
    };
    let value = match (&param.with, default) {
        (Some(path), Some(default)) => {
            emit!(#home::take_with_or(object, &__PARAMS[#at], #path::deserialize, #default))
        }
        (Some(path), None) => emit!(#home::take_with(object, &__PARAMS[#at], #path::deserialize)),
        (None, Some(default)) => {
            let take = param.form.asked(home, "TaskParam", "take_or");
            emit!(#take(object, &__PARAMS[#at], #default))
        }
        (None, None) => {
            let take = param.form.asked(home, "TaskParam", "take");
            emit!(#take(object, &__PARAMS[#at]))
        }
    };
    emit!(let #local = #value;)
}

/// `Clone`, `Debug` and `PartialEq`, each if the parameters have it.
///
/// A bound on a type without parameters must hold where it is written, unless it speaks of some lifetime, even one it
/// does not use (rust-lang/rust#48214): then the impl is there for whoever can meet it, and asks nothing of the
/// others.
fn common_traits(plan: &Plan<'_>) -> TokenStream {
    let (home, name) = (&inside(), &plan.name);
    let plain = names::plain(name);
    let fields: Vec<&Ident> = plan.stored().map(|param| &param.name).collect();
    let keys = plan.stored().map(|param| &param.key);
    let bounds = |bound: &str| {
        let bound = format_ident!("{bound}", span = Span::mixed_site());
        // Once a type: what a second bound would say is said.
        let mut seen = HashSet::new();
        let types = plan.stored().filter(|param| seen.insert(&param.form.text));
        let types = types.map(|param| param.form.ty.tokens(home));
        emit!(where #(for<'unused> #types: #home::#bound),*)
    };
    let (clone, debug, equal) = (bounds("Clone"), bounds("Debug"), bounds("PartialEq"));
    emit! {
        impl #home::Clone for #name #clone {
            fn clone(&self) -> Self {
                Self { #(#fields: #home::Clone::clone(&self.#fields)),* }
            }
        }
        impl #home::Debug for #name #debug {
            fn fmt(&self, f: &mut #home::Formatter<'_>) -> #home::FmtResult {
                f.debug_struct(#plain) #(.field(#keys, &self.#fields))* .finish()
            }
        }
        impl #home::PartialEq for #name #equal {
            fn eq(&self, other: &Self) -> bool {
                #(#home::PartialEq::eq(&self.#fields, &other.#fields) &&)* true
            }
        }
    }
}

/// The record that the type and the registry share.
fn task(plan: &Plan<'_>) -> TokenStream {
    let (home, name, options) = (&inside(), &plan.name, plan.options);
    let function = LitStr::new(&names::plain(&plan.signature.name), Span::mixed_site());
    let task_name = options.name.as_ref().unwrap_or(&function);
    let (first, last) = ends(&plan.signature.output);
    let output = asked(home, &plan.signature.output, (first, last), "TaskReturn", "Output");
    // rustc blames the whole path or the whole line, and those lie where their ends lie.
    let (keyword, open, close, end) =
        (Token![type](first), Token![<](last), Token![>](last), Token![;](last));
    let doc = doc_text(&plan.function.attrs).map(|text| emit!(.doc(#text)));
    let aliases = &options.aliases;
    let aliases = (!aliases.is_empty()).then(|| emit!(.aliases(&[#(#aliases),*])));
    let states: Vec<TokenStream> = plan.states().map(|state| state_info(home, state)).collect();
    let state_list =
        (!states.is_empty()).then(|| emit!(const __STATE: &[#home::StateInfo] = &[#(#states),*];));
    let state = (!states.is_empty()).then(|| emit!(.state(__STATE)));
    let set = settings(options).map(|(key, value)| emit!(.#key(#value)));
    let set: Vec<TokenStream> = set.collect();
    let set = (!set.is_empty()).then(|| emit!(.options(#home::TaskOptions::DEFAULT #(#set)*)));
    let run = run_value(plan);
    emit! {
        #state_list
        impl #home::Task for #name {
            #keyword Output = #output #open #close #end
            const DEF: &'static #home::TaskDef = &#home::TaskDef::new(
                #task_name,
                __PARAMS,
                |object| #home::check(object, __PARAMS, Self::__read),
                #run,
            )
            .declared(
                #home::file!(),
                #home::line!(),
                #home::module_path!(),
            )
            #doc #aliases #state #set;
        }
    }
}

/// The options that were given, as calls on the defaults.
fn settings(options: &Options) -> impl Iterator<Item = (Ident, &TokenStream)> {
    let all = [
        ("queue", &options.queue),
        ("priority", &options.priority),
        ("retries", &options.retries),
        ("backoff", &options.backoff),
        ("timeout", &options.timeout),
    ];
    all.into_iter().filter_map(|(key, value)| Some((names::local(key), value.as_ref()?)))
}

fn state_info(home: &TokenStream, state: &State) -> TokenStream {
    let (param, ty) = (&state.param, &state.text);
    let type_id = asked(home, &state.ty, state.at, "State", "type_id");
    emit!(#home::StateInfo::new(#param, #ty, #type_id))
}

fn run_value(plan: &Plan<'_>) -> TokenStream {
    let home = &inside();
    if !plan.signature.is_async {
        return emit!(#home::Run::Blocking(__run));
    }
    // Whether the future is `Send` decides where it may run. No bound asks, so that neither answer is an error: the
    // inherent method of `Probe` is there for a `Send` future and taken first, the trait's one for the others.
    emit! {{
        #[allow(unused_imports)]
        use #home::ProbeLocal as _;
        #home::run_async(
            |ctx, json| #home::Probe(__run(ctx, json)).boxed(),
            |ctx, json| #home::Boxed::shared(#home::Probe(__run(ctx, json)).boxed()),
            |ctx, json| #home::Boxed::local(#home::Probe(__run(ctx, json)).boxed()),
        )
    }}
}

/// Decodes, calls, encodes.
fn runner(plan: &Plan<'_>) -> TokenStream {
    let (home, name, signature) = (&inside(), &plan.name, plan.signature);
    let ctx = if signature.is_async { emit!(&ctx) } else { emit!(ctx) };
    let arguments = signature.params.iter().map(|param| match param {
        Param::Stored(param) => param.pass(home),
        Param::Context => ctx.clone(),
        Param::State(state) => {
            let get = asked(home, &state.ty, state.at, "State", "get");
            let found = emit!(#get(#ctx)?);
            if state.cloned {
                let clone = cloned(home, state);
                emit!(#clone(#found))
            } else {
                found
            }
        }
    });
    let function = &signature.name;
    let call = emit!(#function(#(#arguments),*));
    let awaited = signature.is_async.then(|| emit!(.await));
    let finish = finish(plan, emit!(#call #awaited));
    if signature.is_async {
        emit! {
            async fn __run(ctx: #home::JobContext, json: #home::String) -> #home::Outcome {
                let params = #home::decode_owned(json, #name::__read)?;
                #finish
            }
        }
    } else {
        emit! {
            fn __run(ctx: &#home::JobContext, json: &str) -> #home::Outcome {
                let params = #home::decode(json, #name::__read)?;
                #finish
            }
        }
    }
}

/// The outcome of what `call` returns, blamed on the return type: it asks that, and what is inside, the value and the
/// error.
fn finish(plan: &Plan<'_>, call: TokenStream) -> TokenStream {
    let (home, output) = (&inside(), &plan.signature.output);
    let (first, last) = ends(output);
    let into_result = asked(home, output, (first, last), "TaskReturn", "into_result");
    // The argument is to blame, and it lies where its ends lie: path and call both end at the type's last token.
    let (dots, open, close) = (Token![::](last), Token![<](last), Token![>](last));
    let mut call = Group::new(Delimiter::Parenthesis, call);
    call.set_span(last);
    emit!(#home::finish(#into_result #dots #open #close #call))
}

/// `Clone` of a state that is taken by value, asked at its type.
fn cloned(home: &TokenStream, state: &State) -> TokenStream {
    asked(home, &state.ty, state.at, "Clone", "clone")
}

/// What a worker finds, and what keeps names apart.
fn registration(plan: &Plan<'_>) -> TokenStream {
    let (home, name) = (&inside(), &plan.name);
    let guards = plan.options.name.iter().chain(&plan.options.aliases).map(guard);
    // An editor that hovers over an option shows the documentation of what stands behind it here.
    let hints: Vec<_> = plan.options.keys.iter().filter(|key| *key != "crate").collect();
    let hints = (!hints.is_empty()).then(|| {
        emit! {
            #[cfg(rust_analyzer)]
            use #home::options::{#(#hints as _),*};
        }
    });
    emit! {
        #home::inventory::submit! {
            #home::Linked(<#name as #home::Task>::DEF)
        }
        #(#guards)*
        #hints
    }
}

/// Two tasks of one name are two macros of one name: an error that underlines both literals, also in `cargo check`.
/// Hidden from editors, which would offer it as a completion.
fn guard(name: &LitStr) -> TokenStream {
    let guard = names::of_guard(name);
    quote_spanned! {name.span()=>
        #[cfg(not(rust_analyzer))]
        #[doc(hidden)]
        #[allow(non_local_definitions)]
        #[macro_export]
        macro_rules! #guard { () => {} }
    }
}

/// The runtime's door, as named inside the block that holds the expansion: short, since it is written some fifty times.
pub(crate) fn inside() -> TokenStream {
    emit!(__q)
}

impl Plan<'_> {
    /// The runtime's door, as named beside the function.
    fn outside(&self) -> TokenStream {
        let krate = &self.options.krate;
        emit!(#krate::__private)
    }

    fn stored(&self) -> impl Iterator<Item = &Stored> {
        self.signature.params.iter().filter_map(Param::stored)
    }

    fn states(&self) -> impl Iterator<Item = &State> {
        self.signature.params.iter().filter_map(|param| match param {
            Param::State(state) => Some(state),
            _ => None,
        })
    }
}

impl Stored {
    fn default_name(&self) -> Ident {
        names::local(&format!("__default_{}", self.key))
    }

    /// The function that makes the value of `#[default]`.
    fn default_fn(&self, home: &TokenStream) -> Option<TokenStream> {
        match self.default.as_ref()? {
            Default::Value(_) => {
                let name = self.default_name();
                Some(emit!(Self::#name))
            }
            Default::OfType => {
                let ty = self.form.ty.tokens(home);
                Some(asked(home, &ty, self.form.at, "Default", "default"))
            }
        }
    }

    /// The argument for the function, out of the decoded params.
    fn pass(&self, home: &TokenStream) -> TokenStream {
        let name = &self.name;
        let field = emit!(params.#name);
        match &self.form.lend {
            Lend::Move => field,
            Lend::Ref => emit!(&#field),
            Lend::Deref => emit!(#home::Option::as_deref(&#field)),
            Lend::AsRef => emit!(#home::Option::as_ref(&#field)),
            Lend::Borrow(ty) => emit!(#home::lend::<#ty>(&#field)),
        }
    }
}

impl Form {
    fn asked(&self, home: &TokenStream, bound: &str, item: &str) -> TokenStream {
        asked(home, &self.ty.tokens(home), self.at, bound, item)
    }
}

impl Owned {
    fn tokens(&self, home: &TokenStream) -> TokenStream {
        match self {
            Owned::Is(ty) => ty.clone(),
            Owned::String => emit!(#home::String),
            Owned::Vec(item) => emit!(#home::Vec<#item>),
            Owned::Borrowed(ty) => emit!(<#ty as #home::ToOwned>::Owned),
            Owned::Option(option, inner) => {
                let inner = inner.tokens(home);
                emit!(#option<#inner>)
            }
        }
    }
}

/// `<ty as Bound>::item`, blamed on the tokens from the first to the second span.
fn asked(home: &TokenStream, ty: &TokenStream, at: (Span, Span), bound: &str, item: &str) -> TokenStream {
    let (bound, item) = (names::local(bound), names::local(item));
    let (open, close, dots) = (Token![<](at.0), Token![>](at.1), Token![::](at.1));
    emit!(#open #ty as #home::#bound #close #dots #item)
}

fn nth(at: usize) -> Ident {
    names::local(&format!("p{at}"))
}

/// The attributes with one of these words.
fn forwarded(attrs: &[Attribute], words: &[&str]) -> Vec<TokenStream> {
    let wanted = |attr: &&Attribute| words.iter().any(|word| attr.path().is_ident(word));
    attrs.iter().filter(wanted).map(ToTokens::to_token_stream).collect()
}

fn doc(wanted: bool, text: String) -> Option<TokenStream> {
    wanted.then(|| emit!(#[doc = #text]))
}

/// The text of doc comments, as the runtime shows it.
fn doc_text(attrs: &[Attribute]) -> Option<String> {
    let line = |attr: &Attribute| match &attr.meta {
        Meta::NameValue(pair) if attr.path().is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => {
                    Some(text.value().strip_prefix(' ').map(str::to_owned).unwrap_or_else(|| text.value()))
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let lines: Vec<String> = attrs.iter().filter_map(line).collect();
    let text = lines.join("\n").trim().to_owned();
    (!text.is_empty()).then_some(text)
}
