//! Generates `Serialize` and `Deserialize` of the params struct.
//!
//! The code that is common to all tasks is in the runtime: `task/param.rs` and `task/encode.rs`.
//!
//! Depends on `input`, `param` and `attributes`, and on `signature` and `tokens`.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;

use super::attributes::doc_text;
use super::input::Input;
use crate::signature::{StoredParam, StoredType};
use crate::tokens::{arguments_at, emit, local, private_alias, qualified_function};

/// The serde impls, written through `TaskParam` and not derived: they compile in a quarter of the time of a
/// derive, a type that cannot be stored is one error instead of seven, and run-time errors name the
/// parameter.
pub(super) fn serde_impls(input: &Input<'_>) -> TokenStream {
    let (private, name, generics) = (&private_alias(), &input.name, input.generics());
    let count = input.stored().count();
    let infos = input.stored().map(|param| param_info(private, param));
    let puts = input.stored().map(|param| put(private, name, param));
    let takes = input.stored().map(|param| take(private, &name.to_token_stream(), param));
    let fields = input.stored().map(|param| {
        let (name, local) = (&param.name, nth_local(param.at));
        emit!(#name: #local?)
    });
    emit! {
        const __PARAMS: &[#private::ParamInfo] = &[#(#infos),*];
        fn __read #generics(object: &mut #private::Object) -> #private::Option<#name> {
            #(#takes)*
            #private::Some(#name { #(#fields),* })
        }
        impl #generics #private::Serialize for #name {
            fn serialize<S: #private::Serializer>(
                &self,
                serializer: S,
            ) -> #private::Result<S::Ok, S::Error> {
                let mut object = #private::object(serializer, #count)?;
                #(#puts)*
                #private::SerializeMap::end(object)
            }
        }
        impl<'de> #private::Deserialize<'de> for #name {
            fn deserialize<D: #private::Deserializer<'de>>(
                deserializer: D,
            ) -> #private::Result<Self, D::Error> {
                #private::read(deserializer, __PARAMS, __read)
            }
        }
    }
}

/// The `ParamInfo` of one parameter.
fn param_info(private: &TokenStream, param: &StoredParam) -> TokenStream {
    let (key, ty) = (&param.key, &param.ty.text);
    let info = emit!(#private::ParamInfo);
    let constructor = if param.is_optional() { emit!(optional) } else { emit!(required) };
    let doc = doc_text(&param.docs).map(|text| emit!(.doc(#text)));
    let aliases = &param.aliases;
    let aliases = (!aliases.is_empty()).then(|| emit!(.aliases(&[#(#aliases),*])));
    emit!(#info::#constructor(#key, #ty) #doc #aliases)
}

/// The statement that serializes one field.
fn put(private: &TokenStream, of: &Ident, param: &StoredParam) -> TokenStream {
    let (name, key) = (&param.name, &param.key);
    match &param.with {
        Some(path) => {
            // A value of its own, so that the function writes into the text and not into a value of serde_json,
            // which would lose the order of a map.
            emit! {
                {
                    struct With<'a>(&'a #of);
                    impl #private::Serialize for With<'_> {
                        fn serialize<S: #private::Serializer>(
                            &self,
                            serializer: S,
                        ) -> #private::Result<S::Ok, S::Error> {
                            #path::serialize(&self.0.#name, serializer)
                        }
                    }
                    #private::SerializeMap::serialize_entry(&mut object, #key, &With(self))?;
                }
            }
        }
        None => match &param.ty.large_array {
            None => {
                let put = param.ty.qualified(private, "TaskParam", "put");
                let arguments = arguments_at(emit!(&self.#name, #key, &mut object), param.ty.spans);
                emit!(#put #arguments?;)
            }
            Some(item) if param.ty.optional => {
                let put = qualified_function(private, item, param.ty.spans, "TaskParam", "put_array_option");
                emit!(#put(#private::items(&self.#name), #key, &mut object)?;)
            }
            Some(item) => {
                let put = qualified_function(private, item, param.ty.spans, "TaskParam", "put_array");
                emit!(#put(&self.#name, #key, &mut object)?;)
            }
        },
    }
}

/// The statement that deserializes one field into a local variable. All fields are read before any error
/// returns, so that one check reports every invalid parameter.
fn take(private: &TokenStream, of: &TokenStream, param: &StoredParam) -> TokenStream {
    let (local, at) = (nth_local(param.at), param.at());
    let default = match param.default_fn(private, of) {
        Some(default) => Some(default),
        None => param.ty.optional.then(|| emit!(|| #private::None)),
    };
    let value = match (&param.with, default) {
        (Some(path), Some(default)) => {
            emit!(#private::take_with_or(object, &__PARAMS[#at], |from| #path::deserialize(from), #default))
        }
        (Some(path), None) => {
            emit!(#private::take_with(object, &__PARAMS[#at], |from| #path::deserialize(from)))
        }
        (None, Some(default)) => {
            let take = bound_of_take(private, &param.ty, ["take_or", "take_array_or", "take_array_option"]);
            let arguments = arguments_at(emit!(object, &__PARAMS[#at], #default), param.ty.spans);
            emit!(#take #arguments)
        }
        (None, None) => {
            let take = bound_of_take(private, &param.ty, ["take", "take_array", "take_array_option"]);
            let arguments = arguments_at(emit!(object, &__PARAMS[#at]), param.ty.spans);
            emit!(#take #arguments)
        }
    };
    emit!(let #local = #value;)
}

/// The function that reads a value, a large array, or an optional large array.
fn bound_of_take(private: &TokenStream, ty: &StoredType, names: [&str; 3]) -> TokenStream {
    match &ty.large_array {
        None => ty.qualified(private, "TaskParam", names[0]),
        Some(item) => {
            qualified_function(private, item, ty.spans, "TaskParam", names[if ty.optional { 2 } else { 1 }])
        }
    }
}

fn nth_local(at: usize) -> Ident {
    local(&format!("p{at}"))
}
