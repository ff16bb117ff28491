//! Generates the code of a task: the params struct, its impls, the function that a worker calls, and the
//! registration.
//!
//! `input` holds what is known of the task. `params_struct`, `serde_impls`, `std_impls`, `task_impl`,
//! `run_function` and `registration` each generate one part; `param` and `attributes` serve all of them.
//! Reports no errors: `lib.rs` calls [`expand`] only after all checks of the function have passed, and else
//! [`stub`].
//!
//! Depends on every other part of the crate.
//!
//! Generated code names the runtime only through its `__private` module (`task/macro_support.rs`). It
//! consists of calls as far as possible: the runtime compiles shared code once, not once for each task.

mod attributes;
mod input;
mod param;
mod params_struct;
mod registration;
mod run_function;
mod serde_impls;
mod std_impls;
mod stub;
mod task_impl;

use proc_macro2::TokenStream;

pub(crate) use input::Input;

use crate::tokens::{emit, private_alias};
use attributes::{allowed_lints, attributes_named};
use params_struct::{default_impls, inherent_impl, new_method, params_struct};
use registration::registration;
use run_function::run_function;
use serde_impls::serde_impls;
use std_impls::std_impls;
pub(crate) use stub::stub;
use task_impl::task_impl;

/// All items that are emitted beside the function.
pub(crate) fn expand(input: &Input<'_>) -> TokenStream {
    let cfg = attributes_named(&input.function.attrs, &["cfg"]);
    let allowed = allowed_lints(&input.function.attrs);
    let (params_struct, inherent_impl) = (params_struct(input), inherent_impl(input, &new_method(input)));
    let (path, alias) = (input.private_path(), private_alias());
    let parts = [
        default_impls(input),
        serde_impls(input),
        std_impls(input),
        task_impl(input),
        run_function(input),
        if input.register { registration(input) } else { TokenStream::new() },
    ];
    emit! {
        #params_struct
        #inherent_impl
        #(#cfg)*
        #(#allowed)*
        #[allow(dead_code, deprecated, unexpected_cfgs, unreachable_code, unused_imports)]
        const _: () = {
            use #path::{self as #alias, OtherError as _, Plain as _};
            #(#parts)*
        };
    }
}
