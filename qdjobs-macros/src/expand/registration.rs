//! Generates the registration of a task: the entry that workers find, and the guard macros that keep task
//! names unique.
//!
//! Entries are read in the runtime's `task/registry.rs`.
//!
//! Depends on `input`, and on `names` and `tokens`.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::LitStr;

use super::input::Input;
use crate::names;
use crate::tokens::{emit, private_alias};

/// The entry for workers, and one guard for each name of the task.
pub(super) fn registration(input: &Input<'_>) -> TokenStream {
    let private = &private_alias();
    let guards = input.options.name.iter().chain(&input.options.aliases).map(guard);
    // On hover over an option, an editor shows the documentation of the item that is imported here.
    let hints: Vec<_> = input.options.keys.iter().filter(|key| *key != "crate").collect();
    let hints = (!hints.is_empty()).then(|| {
        emit! {
            #[cfg(rust_analyzer)]
            use #private::options::{#(#hints as _),*};
        }
    });
    emit! {
        #private::inventory::submit! {
            #private::Linked(__DEF)
        }
        #(#guards)*
        #hints
    }
}

/// The guard of a name. Two tasks with the same name define the same macro twice. That is an error at both
/// literals, also in `cargo check`. Editors do not see the guard, because they would offer it as a
/// completion.
fn guard(name: &LitStr) -> TokenStream {
    let guard = names::of_guard(name);
    // Only the macro has the span of the literal: on hover over the literal, an editor would show the
    // documentation of each attribute.
    let guard = quote_spanned!(name.span()=> macro_rules! #guard { () => {} });
    emit! {
        #[cfg(not(rust_analyzer))]
        #[doc(hidden)]
        #[allow(non_local_definitions)]
        #[macro_export]
        #guard
    }
}
