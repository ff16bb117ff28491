//! Tasks under the strictest rules a crate can set itself.
#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unreachable_pub, missing_debug_implementations, clippy::pedantic, clippy::nursery)]

/// At the top.
#[must_use]
#[::qdjobs::task("top", retries = 2)]
pub fn top(
    /// Whom.
    to: &str,
    count: ::core::option::Option<u64>,
    #[default] flag: bool,
) -> ::std::string::String {
    ::std::format!("{to} {count:?} {flag}")
}

mod nested {
    use ::std::convert::From;

    /// Nobody outside can name it.
    #[::qdjobs::task("nested")]
    async fn nested(number: u64) -> u64 {
        ::core::future::ready(()).await;
        u64::from(true) + number
    }
}
