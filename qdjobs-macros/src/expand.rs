//! The code a task becomes: the function as it was, the params struct, and the record that a worker finds.
//!
//! Leans on everything else here. Complains about nothing: what cannot be expanded was refused before. Generated code
//! names only the runtime's `__private`, `Task`, `TaskParam`, `TaskReturn` and `State`, and keeps to calls: what is
//! generic is compiled once in the runtime, not once a task.
//!
//! Rules for spans, each learnt from a bad error:
//!
//! - Everything is written at `mixed_site`, so that no local of ours meets a user's name.
//! - A type's bound is asked by a qualified path whose *punctuation* carries the type's span. The error then points at the type,
//!   and those of writing and of reading are one and the same to rustc, which prints it once. An identifier with a
//!   borrowed span would make an editor offer our traits as the definition of the user's type.
//! - A user's expression stands alone, never in a cast or a closure: what is wrong with it is then about it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::{Attribute, Expr, Lit, LitStr, Meta, Token};

use crate::Function;
use crate::names;
use crate::options::Options;
use crate::signature::{Default, Form, Lend, Owned, Param, Signature, State, Stored};

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
    let params_struct = params_struct(plan);
    let parts = [
        inherent(plan),
        codec(plan),
        common_traits(plan),
        task(plan),
        runner(plan),
        plan.is_sound.then(|| registration(plan)).unwrap_or_default(),
    ];
    emit! {
        #params_struct
        #(#cfg)*
        #[allow(deprecated, unexpected_cfgs)]
        const _: () = { #(#parts)* };
    }
}

/// The struct, with a field for each stored parameter.
fn params_struct(plan: &Plan<'_>) -> TokenStream {
    let Plan { function: Function { attrs, vis, .. }, name, .. } = plan;
    let krate = &plan.options.krate;
    let function = names::plain(&plan.signature.name);
    let cfg = forwarded(attrs, &["cfg"]);
    let kept = forwarded(attrs, &["cfg", "allow", "deprecated"]);
    let mut docs = forwarded(attrs, &["doc"]);
    docs.extend(doc(docs.is_empty(), format!("The parameters of the task [`{function}`].")));
    let fields = plan.stored().map(|param| {
        let (name, ty) = (&param.name, param.form.ty.tokens(krate));
        let mut docs: Vec<TokenStream> = param.docs.iter().map(ToTokens::to_token_stream).collect();
        docs.extend(doc(docs.is_empty(), format!("The `{}` parameter of [`{function}`].", param.key)));
        emit!(#(#docs)* #vis #name: #ty)
    });
    // Without parameters the value can be written as the type is: `Cleanup.enqueue(&queue)`. The struct keeps its braces,
    // so that its JSON is `{}`, which can gain a parameter; that of a unit struct would be `null`.
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
    let (krate, vis, name) = (&plan.options.krate, &plan.function.vis, &plan.name);
    let new = Ident::new("new", plan.signature.name.span());
    let enqueue = Ident::new("enqueue", plan.signature.name.span());
    let required = plan.stored().filter(|param| !param.is_optional()).map(|param| {
        let (name, ty) = (&param.name, param.form.ty.tokens(krate));
        if param.form.into { emit!(#name: impl #krate::__private::Into<#ty>) } else { emit!(#name: #ty) }
    });
    let fields = plan.stored().map(|param| {
        let name = &param.name;
        match param.default_fn() {
            Some(default) => emit!(#name: #default()),
            None if param.is_optional() => match param.of_type(krate) {
                Some(default) => emit!(#name: #default()),
                None => emit!(#name: #krate::__private::None),
            },
            None if param.form.into => emit!(#name: #krate::__private::Into::into(#name)),
            None => name.to_token_stream(),
        }
    });
    let defaults = plan.stored().filter_map(|param| {
        let (Some(Default::Value(value)), Some(name)) = (&param.default, param.default_fn()) else {
            return None;
        };
        let ty = param.form.ty.tokens(krate);
        // A text is what people write for a `String`.
        let value = if param.form.into { into(krate, value) } else { value.to_token_stream() };
        Some(emit! { fn #name() -> #ty { #value } })
    });
    let function = names::plain(&plan.signature.name);
    let new_doc = format!("A job that calls [`{function}`] with these parameters, once it is enqueued.");
    emit! {
        #(#defaults)*
        #[allow(dead_code, clippy::too_many_arguments, clippy::new_without_default)]
        impl #name {
            #[doc = #new_doc]
            #vis fn #new(#(#required),*) -> Self {
                Self { #(#fields),* }
            }
            /// Stores the job, with the task's own options. The target decides the style of the answer.
            #vis fn #enqueue<Q: #krate::__private::Enqueue + ?Sized>(
                self,
                target: &Q,
            ) -> Q::Answer<<Self as #krate::Task>::Output> {
                #krate::__private::enqueue(self, target)
            }
        }
    }
}

/// An expression converted to the type around it. The call carries the expression's span, so that a wrong one is to blame.
fn into(krate: &TokenStream, value: &Expr) -> TokenStream {
    let span = first_span(value);
    let open = quote_spanned!(span=> (#value));
    emit!(#krate::__private::Into::into #open)
}

/// Real serde impls, written by hand through `TaskParam`: a quarter of a derive's compile time, one error instead of
/// seven, and errors at run time that name the parameter.
fn codec(plan: &Plan<'_>) -> TokenStream {
    let (krate, name) = (&plan.options.krate, &plan.name);
    let count = plan.stored().count();
    let infos = plan.stored().map(|param| info(krate, param));
    let puts = plan.stored().map(|param| put(krate, param));
    let takes = plan.stored().enumerate().map(|(at, param)| take(krate, at, param));
    let fields = plan.stored().enumerate().map(|(at, param)| {
        let (name, local) = (&param.name, nth(at));
        emit!(#name: #local?)
    });
    emit! {
        const __PARAMS: &[#krate::__private::ParamInfo] = &[#(#infos),*];
        fn __read(object: &mut #krate::__private::Object) -> #krate::__private::Option<#name> {
            #(#takes)*
            #krate::__private::Some(#name { #(#fields),* })
        }
        impl #krate::__private::Serialize for #name {
            fn serialize<S: #krate::__private::Serializer>(
                &self,
                serializer: S,
            ) -> #krate::__private::Result<S::Ok, S::Error> {
                let mut object = #krate::__private::object(serializer, #count)?;
                #(#puts)*
                #krate::__private::SerializeMap::end(object)
            }
        }
        impl<'de> #krate::__private::Deserialize<'de> for #name {
            fn deserialize<D: #krate::__private::Deserializer<'de>>(
                deserializer: D,
            ) -> #krate::__private::Result<Self, D::Error> {
                #krate::__private::read(deserializer, __read)
            }
        }
    }
}

fn info(krate: &TokenStream, param: &Stored) -> TokenStream {
    let (key, ty) = (&param.key, &param.form.text);
    let info = emit!(#krate::__private::ParamInfo);
    let made = if param.is_optional() { emit!(optional) } else { emit!(required) };
    let doc = doc_text(&param.docs).map(|text| emit!(.doc(#text)));
    let aliases = &param.aliases;
    let aliases = (!aliases.is_empty()).then(|| emit!(.aliases(&[#(#aliases),*])));
    emit!(#info::#made(#key, #ty) #doc #aliases)
}

fn put(krate: &TokenStream, param: &Stored) -> TokenStream {
    let (name, key) = (&param.name, &param.key);
    match &param.with {
        Some(path) => emit! {
            #krate::__private::put_with(#path::serialize(&self.#name, #krate::__private::ValueSerializer), #key, &mut object)?;
        },
        None => {
            let put = param.form.asked(krate, "TaskParam", "put");
            emit!(#put(&self.#name, #key, &mut object)?;)
        }
    }
}

fn take(krate: &TokenStream, at: usize, param: &Stored) -> TokenStream {
    let local = nth(at);
    let default = match (param.default_fn(), param.of_type(krate)) {
        (Some(default), _) | (None, Some(default)) => emit!(#krate::__private::Some(#default)),
        (None, None) if param.form.optional => {
            emit!(#krate::__private::Some(|| #krate::__private::None))
        }
        (None, None) => emit!(#krate::__private::None),
    };
    match &param.with {
        Some(path) => emit! {
            let #local = #krate::__private::take_with(object, &__PARAMS[#at], #default, #path::deserialize);
        },
        None => {
            let take = param.form.asked(krate, "TaskParam", "take");
            emit!(let #local = #take(object, &__PARAMS[#at], #default);)
        }
    }
}

/// `Clone`, `Debug` and `PartialEq`, each if the parameters have it.
///
/// A bound on a type without parameters must hold where it is written, unless it speaks of some lifetime, even one it does
/// not use (rust-lang/rust#48214): then the impl is there for whoever can meet it, and asks nothing of the others.
fn common_traits(plan: &Plan<'_>) -> TokenStream {
    let (krate, name) = (&plan.options.krate, &plan.name);
    let plain = names::plain(name);
    let fields: Vec<&Ident> = plan.stored().map(|param| &param.name).collect();
    let keys = plan.stored().map(|param| &param.key);
    let bounds = |bound: &str| {
        let bound = format_ident!("{bound}", span = Span::mixed_site());
        let types = plan.stored().map(|param| param.form.ty.tokens(krate));
        emit!(where #(for<'unused> #types: #krate::__private::#bound),*)
    };
    let (clone, debug, equal) = (bounds("Clone"), bounds("Debug"), bounds("PartialEq"));
    emit! {
        impl #krate::__private::Clone for #name #clone {
            fn clone(&self) -> Self {
                Self { #(#fields: #krate::__private::Clone::clone(&self.#fields)),* }
            }
        }
        impl #krate::__private::Debug for #name #debug {
            fn fmt(&self, f: &mut #krate::__private::Formatter<'_>) -> #krate::__private::FmtResult {
                f.debug_struct(#plain) #(.field(#keys, &self.#fields))* .finish()
            }
        }
        impl #krate::__private::PartialEq for #name #equal {
            fn eq(&self, other: &Self) -> bool {
                #(#krate::__private::PartialEq::eq(&self.#fields, &other.#fields) &&)* true
            }
        }
    }
}

/// The record that the type and the registry share.
fn task(plan: &Plan<'_>) -> TokenStream {
    let (krate, name, options) = (&plan.options.krate, &plan.name, plan.options);
    let function = LitStr::new(&names::plain(&plan.signature.name), Span::mixed_site());
    let task_name = options.name.as_ref().unwrap_or(&function);
    let output = asked(krate, &plan.signature.output, plan.signature.output_span, "TaskReturn", "Output");
    let doc = doc_text(&plan.function.attrs).map(|text| emit!(.doc(#text)));
    let aliases = &options.aliases;
    let aliases = (!aliases.is_empty()).then(|| emit!(.aliases(&[#(#aliases),*])));
    let states: Vec<TokenStream> = plan.states().map(|state| state_info(krate, state)).collect();
    let state_list = (!states.is_empty())
        .then(|| emit!(const __STATE: &[#krate::__private::StateInfo] = &[#(#states),*];));
    let state = (!states.is_empty()).then(|| emit!(.state(__STATE)));
    let set = settings(options).map(|(key, value)| emit!(.#key(#value)));
    let set: Vec<TokenStream> = set.collect();
    let set = (!set.is_empty()).then(|| emit!(.options(#krate::__private::TaskOptions::DEFAULT #(#set)*)));
    let run = run_value(plan);
    emit! {
        #state_list
        impl #krate::Task for #name {
            type Output = #output;
            const DEF: &'static #krate::__private::TaskDef = &#krate::__private::TaskDef::new(
                #task_name,
                __PARAMS,
                |object| #krate::__private::check(object, __PARAMS, __read),
                #run,
            )
            .declared(
                #krate::__private::file!(),
                #krate::__private::line!(),
                #krate::__private::module_path!(),
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

fn state_info(krate: &TokenStream, state: &State) -> TokenStream {
    let (param, ty) = (&state.param, &state.text);
    let type_id = asked(krate, &state.ty, state.span, "State", "type_id");
    emit!(#krate::__private::StateInfo::new(#param, #ty, #type_id))
}

fn run_value(plan: &Plan<'_>) -> TokenStream {
    let krate = &plan.options.krate;
    if !plan.signature.is_async {
        return emit!(#krate::__private::Run::Blocking(__run));
    }
    // Whether the future is `Send` decides where it may run. No bound asks, so that neither answer is an error: the
    // inherent method of `Probe` is there for a `Send` future and taken first, the trait's one for the others.
    emit! {{
        #[allow(unused_imports)]
        use #krate::__private::ProbeLocal as _;
        #krate::__private::run_async(
            |ctx, json| #krate::__private::Probe(__run(ctx, json)).boxed(),
            |ctx, json| #krate::__private::Boxed::shared(#krate::__private::Probe(__run(ctx, json)).boxed()),
            |ctx, json| #krate::__private::Boxed::local(#krate::__private::Probe(__run(ctx, json)).boxed()),
        )
    }}
}

/// Decodes, calls, encodes.
fn runner(plan: &Plan<'_>) -> TokenStream {
    let (krate, signature) = (&plan.options.krate, plan.signature);
    let ctx = if signature.is_async { emit!(&ctx) } else { emit!(ctx) };
    let arguments = signature.params.iter().map(|param| match param {
        Param::Stored(param) => param.pass(krate),
        Param::Context => ctx.clone(),
        Param::State(state) => {
            let get = asked(krate, &state.ty, state.span, "State", "get");
            let found = emit!(#get(#ctx)?);
            if state.cloned {
                let clone = cloned(krate, state);
                emit!(#clone(#found))
            } else {
                found
            }
        }
    });
    let function = &signature.name;
    let call = emit!(#function(#(#arguments),*));
    let result = asked(krate, &signature.output, signature.output_span, "TaskReturn", "into_result");
    let finish = finish(krate, signature.output_span);
    if signature.is_async {
        emit! {
            async fn __run(ctx: #krate::__private::JobContext, json: #krate::__private::String) -> #krate::__private::Outcome {
                let params = #krate::__private::decode_owned(json, __read)?;
                let result = #call.await;
                #finish(#result(result))
            }
        }
    } else {
        emit! {
            fn __run(ctx: &#krate::__private::JobContext, json: &str) -> #krate::__private::Outcome {
                let params = #krate::__private::decode(json, __read)?;
                #finish(#result(#call))
            }
        }
    }
}

/// `finish`, blamed on the return type: it asks what that holds, the value and the error.
fn finish(krate: &TokenStream, span: Span) -> TokenStream {
    let finish = Ident::new("finish", Span::mixed_site().located_at(span));
    emit!(#krate::__private::#finish)
}

/// `Clone` of a state that is taken by value, asked at its type.
fn cloned(krate: &TokenStream, state: &State) -> TokenStream {
    asked_of(emit!(#krate::__private), &state.ty, state.span, "Clone", "clone")
}

/// What a worker finds, and what keeps names apart.
fn registration(plan: &Plan<'_>) -> TokenStream {
    let (krate, name) = (&plan.options.krate, &plan.name);
    let guards = plan.options.name.iter().chain(&plan.options.aliases).map(guard);
    // An editor that hovers over an option shows the documentation of what stands behind it here.
    let hints = plan.options.keys.iter().filter(|key| *key != "crate").map(|key| {
        emit! {
            #[cfg(rust_analyzer)]
            use #krate::__private::options::#key as _;
        }
    });
    emit! {
        #krate::__private::inventory::submit! {
            #krate::__private::Linked(<#name as #krate::Task>::DEF)
        }
        #(#guards)*
        #(#hints)*
    }
}

/// Two tasks of one name are two macros of one name: an error that underlines both literals, also in `cargo check`. Hidden
/// from editors, which would offer it as a completion.
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

impl Plan<'_> {
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
    /// The function that holds the expression of `#[default(expression)]`.
    fn default_fn(&self) -> Option<TokenStream> {
        matches!(self.default, Some(Default::Value(_)))
            .then(|| names::local(&format!("__default_{}", self.key)).into_token_stream())
    }

    /// The function behind a bare `#[default]`.
    fn of_type(&self, krate: &TokenStream) -> Option<TokenStream> {
        let ty = self.form.ty.tokens(krate);
        matches!(self.default, Some(Default::OfType))
            .then(|| asked_of(emit!(#krate::__private), &ty, self.form.span, "Default", "default"))
    }

    /// The argument for the function, out of the decoded params.
    fn pass(&self, krate: &TokenStream) -> TokenStream {
        let name = &self.name;
        let field = emit!(params.#name);
        match &self.form.lend {
            Lend::Move => field,
            Lend::Ref => emit!(&#field),
            Lend::Deref => emit!(#krate::__private::Option::as_deref(&#field)),
            Lend::AsRef => emit!(#krate::__private::Option::as_ref(&#field)),
            Lend::Borrow(ty) => emit!(#krate::__private::lend::<#ty>(&#field)),
        }
    }
}

impl Form {
    fn asked(&self, krate: &TokenStream, bound: &str, item: &str) -> TokenStream {
        asked(krate, &self.ty.tokens(krate), self.span, bound, item)
    }
}

impl Owned {
    fn tokens(&self, krate: &TokenStream) -> TokenStream {
        match self {
            Owned::Is(ty) => ty.clone(),
            Owned::String => emit!(#krate::__private::String),
            Owned::Vec(item) => emit!(#krate::__private::Vec<#item>),
            Owned::ToOwned(ty) => emit!(<#ty as #krate::__private::ToOwned>::Owned),
            Owned::Option(option, inner) => {
                let inner = inner.tokens(krate);
                emit!(#option<#inner>)
            }
        }
    }
}

/// `<ty as krate::Bound>::item`, blamed on the type.
fn asked(krate: &TokenStream, ty: &TokenStream, span: Span, bound: &str, item: &str) -> TokenStream {
    asked_of(krate.clone(), ty, span, bound, item)
}

fn asked_of(home: TokenStream, ty: &TokenStream, span: Span, bound: &str, item: &str) -> TokenStream {
    let (bound, item) = (names::local(bound), names::local(item));
    let (open, close, dots) = (Token![<](span), Token![>](span), Token![::](span));
    emit!(#open #ty as #home::#bound #close #dots #item)
}

fn nth(at: usize) -> Ident {
    names::local(&format!("p{at}"))
}

fn first_span(value: &Expr) -> Span {
    value.to_token_stream().into_iter().next().map_or_else(Span::mixed_site, |token| token.span())
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
