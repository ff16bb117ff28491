//! Generates what stands for a task whose signature is wrong: a params struct that can be made, enqueued and
//! waited for, and does nothing. So the mistake is one error, not one more error for each place that enqueues.
//!
//! Depends on `input`, `params_struct` and `attributes`, and on `signature` and `tokens`.

use proc_macro2::{Ident, TokenStream};

use super::attributes::{allowed_lints, attributes_named};
use super::input::Input;
use super::params_struct::{inherent_impl, new_argument, params_struct};
use crate::signature::Param;
use crate::tokens::{emit, private_alias};

/// The struct with the fields of the parameters that are right, and its impls. Their bodies do not return, since
/// the program does not compile.
pub(crate) fn stub(input: &Input<'_>) -> TokenStream {
    let cfg = attributes_named(&input.function.attrs, &["cfg"]);
    let allowed = allowed_lints(&input.function.attrs);
    let (params_struct, inherent_impl) = (params_struct(input), inherent_impl(input, &new_method(input)));
    let (path, private, name) = (input.private_path(), private_alias(), &input.name);
    let (std_impls, output) = (std_impls(&private, name), &input.signature.output.value);
    emit! {
        #params_struct
        #inherent_impl
        #(#cfg)*
        #(#allowed)*
        #[allow(dead_code, deprecated, unexpected_cfgs)]
        const _: () = {
            use #path as #private;
            impl #private::Serialize for #name {
                fn serialize<S: #private::Serializer>(&self, _: S) -> #private::Result<S::Ok, S::Error> {
                    loop {}
                }
            }
            impl<'de> #private::Deserialize<'de> for #name {
                fn deserialize<D: #private::Deserializer<'de>>(_: D) -> #private::Result<Self, D::Error> {
                    loop {}
                }
            }
            #std_impls
            impl #private::Task for #name {
                type Output = #output;
                const DEF: &'static #private::TaskDef = loop {};
            }
        };
    }
}

/// `Clone`, `Debug` and `PartialEq`.
fn std_impls(private: &TokenStream, name: &Ident) -> TokenStream {
    emit! {
        impl #private::Clone for #name {
            fn clone(&self) -> Self {
                loop {}
            }
        }
        impl #private::Debug for #name {
            fn fmt(&self, _: &mut #private::Formatter<'_>) -> #private::FmtResult {
                loop {}
            }
        }
        impl #private::PartialEq for #name {
            fn eq(&self, _: &Self) -> bool {
                loop {}
            }
        }
    }
}

/// `new`, which takes any value for a parameter that is refused.
fn new_method(input: &Input<'_>) -> TokenStream {
    let (private, vis) = (&input.private_path(), &input.function.vis);
    let new = Ident::new("new", input.signature.name.span());
    let arguments = input.signature.params.iter().filter_map(|param| match param {
        Param::Stored(param) if !param.is_optional() => Some(new_argument(private, param)),
        Param::Refused { is_passed: true } => Some(emit!(_: impl ::core::marker::Sized)),
        _ => None,
    });
    emit! {
        #[allow(unused_variables)]
        #vis fn #new(#(#arguments),*) -> Self {
            loop {}
        }
    }
}
