//! Generates `Clone`, `Debug` and `PartialEq` of the params struct.
//!
//! Depends on `input` and `param`, and on `names` and `tokens`.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream};

use super::input::Input;
use crate::names;
use crate::tokens::{emit, local, private_alias};

/// `Clone`, `Debug` and `PartialEq`, each if all parameters implement it.
///
/// rustc checks a bound on a type without generics at its definition, and rejects the impl if the bound does
/// not hold. It does not check a bound with a `for<'unused>` lifetime there (rust-lang/rust#48214). With such
/// bounds the impl exists where they hold, and is no error where they do not. The lifetime is behind the colon:
/// else an error about the type would advise to use it.
pub(super) fn std_impls(input: &Input<'_>) -> TokenStream {
    let (private, name, generics) = (&private_alias(), &input.name, input.generics());
    let plain = names::plain(name);
    let fields: Vec<&Ident> = input.stored().map(|param| &param.name).collect();
    let keys = input.stored().map(|param| &param.key);
    let bounds = |bound: &str| {
        let bound = local(bound);
        // One bound for each type: a second one adds nothing.
        let mut seen = HashSet::new();
        let types = input.stored().filter(|param| seen.insert(&param.ty.text));
        let types = types.map(|param| param.ty.owned.tokens(private));
        emit!(where #(#types: for<'unused> #private::#bound),*)
    };
    let (clone, debug, equal) = (bounds("Clone"), bounds("Debug"), bounds("PartialEq"));
    emit! {
        impl #generics #private::Clone for #name #clone {
            fn clone(&self) -> Self {
                Self { #(#fields: #private::Clone::clone(&self.#fields)),* }
            }
        }
        impl #generics #private::Debug for #name #debug {
            fn fmt(&self, f: &mut #private::Formatter<'_>) -> #private::FmtResult {
                f.debug_struct(#plain) #(.field(#keys, &self.#fields))* .finish()
            }
        }
        impl #generics #private::PartialEq for #name #equal {
            fn eq(&self, other: &Self) -> bool {
                #(#private::PartialEq::eq(&self.#fields, &other.#fields) &&)* true
            }
        }
    }
}
