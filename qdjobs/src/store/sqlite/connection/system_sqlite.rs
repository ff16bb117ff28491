//! Refuses to build against a SQLite of the system that is too old for rusqlite: [`check`].
//!
//! `build.rs` finds the version of the system. Does not look at what is linked in the end: whether that version can
//! lose commits is decided in `open.rs` when a database is opened.
//!
//! Depends on rusqlite. Without this check, the linker would name functions that are missing.

use rusqlite::ffi;

/// The header from which libsqlite3-sys 0.39 and later declares the functions of a SQLite that it does not compile.
/// A SQLite that it compiles never has this version.
const DECLARED: i32 = 3_045_003;

/// Evaluated when this function is compiled, and not by `cargo check`, which links nothing.
pub(in crate::store::sqlite) fn check() {
    const {
        assert!(
            !(ffi::SQLITE_VERSION_NUMBER == DECLARED
                && number(option_env!("QDJOBS_SYSTEM_SQLITE")) < DECLARED),
            "the SQLite of this system is older than 3.45.3, which rusqlite 0.41 and later need: run `cargo update \
             rusqlite --precise 0.40.2`, or enable the feature `bundled` of qdjobs"
        );
    }
}

/// The version as a number; the highest one if it is not known.
const fn number(version: Option<&str>) -> i32 {
    let Some(version) = version else { return i32::MAX };
    match i32::from_str_radix(version, 10) {
        Ok(number) => number,
        Err(_) => i32::MAX,
    }
}
