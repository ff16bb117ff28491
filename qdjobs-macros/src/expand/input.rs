//! Everything that is known of one task: the input of the code generation.
//!
//! Generates no item.
//!
//! Depends on `function`, `options`, `signature` and `tokens`.

use proc_macro2::{Ident, TokenStream};
use syn::Token;

use crate::function::Function;
use crate::options::Options;
use crate::signature::{Param, Signature, StateParam, StoredParam};
use crate::tokens::emit;

/// One task.
pub(crate) struct Input<'a> {
    pub(crate) function: &'a Function,
    pub(crate) signature: &'a Signature,
    pub(crate) options: &'a Options,
    /// The name of the params struct.
    pub(crate) name: Ident,
    /// Whether to register the task for workers. False after an error: the registration could cause a second
    /// error for the same mistake.
    pub(crate) register: bool,
}

impl Input<'_> {
    /// The path of the runtime's `__private` module, for items outside the generated block.
    pub(super) fn private_path(&self) -> TokenStream {
        let runtime = &self.options.runtime;
        emit!(#runtime::__private)
    }

    /// An empty list of generics, for each generated item that names types of the user.
    ///
    /// For an unknown type, rustc suggests a type parameter at the end of the item's name, unless that has the
    /// span of a macro. The function is no generated code, so without the list its error would differ from those
    /// of the generated items, and rustc would print both.
    ///
    /// rustc does so only for a type inside of `<..>`. The item of a slice is not, but that of the `Vec` that is
    /// stored for it.
    pub(super) fn generics(&self) -> TokenStream {
        if self.stored().any(|param| param.ty.is_slice_of_name()) {
            return emit!(<>);
        }
        let at = self.signature.name.span();
        let (open, close) = (Token![<](at), Token![>](at));
        emit!(#open #close)
    }

    pub(super) fn stored(&self) -> impl Iterator<Item = &StoredParam> {
        self.signature.params.iter().filter_map(Param::stored)
    }

    pub(super) fn states(&self) -> impl Iterator<Item = &StateParam> {
        self.signature.params.iter().filter_map(|param| match param {
            Param::State(state) => Some(state),
            _ => None,
        })
    }
}
