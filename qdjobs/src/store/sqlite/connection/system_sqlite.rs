//! Refuses a SQLite that is too old: [`check`] when the program is built, [`refuse_old`] when a database is opened.
//!
//! `build.rs` finds the version of the system. Whether the version that is linked in the end can lose commits is
//! decided in `open.rs`.
//!
//! Depends on rusqlite. Without the check of the build, the linker would name functions that are missing. Without
//! that of the opening, SQLite would report a syntax error in the schema.

use rusqlite::ffi;

use crate::model::error::{Error, ErrorKind, Result};

/// The first version with STRICT tables.
const OLDEST: i32 = 3_037_000;

/// The header from which libsqlite3-sys 0.39 and later declares the functions of a SQLite that it does not compile.
/// Earlier versions declare an older one. A SQLite that it compiles is always later.
const DECLARED: i32 = 3_045_003;

/// Evaluated when this function is compiled, and not by `cargo check`, which links nothing.
pub(in crate::store::sqlite) fn check() {
    const {
        let (declared, system) = (ffi::SQLITE_VERSION_NUMBER, number(option_env!("QDJOBS_SYSTEM_SQLITE")));
        assert!(
            !is_too_old(declared, system),
            "the SQLite of this system is older than 3.37, the oldest that qdjobs can use: enable the feature `bundled` \
             of qdjobs"
        );
        assert!(
            !is_too_old_for_rusqlite(declared, system),
            "the SQLite of this system is older than 3.45.3, which rusqlite 0.41 and later need: run `cargo update \
             rusqlite --precise 0.40.2`, or enable the feature `bundled` of qdjobs"
        );
    }
}

/// Whether the SQLite of the system is linked and too old for the schema. It is not linked if any crate of the
/// program has it compiled.
const fn is_too_old(declared: i32, system: i32) -> bool {
    declared <= DECLARED && system < OLDEST
}

/// Whether the SQLite of the system is linked and lacks functions that this rusqlite calls.
const fn is_too_old_for_rusqlite(declared: i32, system: i32) -> bool {
    declared == DECLARED && system < DECLARED
}

/// The version as a number; the highest one if it is not known.
const fn number(version: Option<&str>) -> i32 {
    let Some(version) = version else { return i32::MAX };
    match i32::from_str_radix(version, 10) {
        Ok(number) => number,
        Err(_) => i32::MAX,
    }
}

/// Refuses the linked SQLite of this version. A program can be built on one system and run on an older one.
pub(in crate::store::sqlite) fn refuse_old(version: i32) -> Result<()> {
    if version >= OLDEST {
        return Ok(());
    }
    let version = format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000);
    Err(Error::new(
        ErrorKind::Config,
        format!("SQLite {version} is linked, but qdjobs needs 3.37 or later, since its tables are STRICT"),
    )
    .help("enable the feature `bundled` of qdjobs, or install a newer SQLite on this system"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_is_refused_if_the_sqlite_of_the_system_is_linked_and_too_old() {
        // A header of 3.14.0 comes with rusqlite 0.40 and before, that of 3.46.0 with the oldest compiled SQLite.
        let refusals = |declared, system: &str| {
            let system = number(Some(system));
            (is_too_old(declared, system), is_too_old_for_rusqlite(declared, system))
        };
        for declared in [3_014_000, DECLARED] {
            assert!(refusals(declared, "3031001").0, "Ubuntu 20.04");
            assert!(refusals(declared, "3034001").0, "Debian 11, RHEL 9");
            assert!(!refusals(declared, "3037000").0);
        }
        assert_eq!(refusals(3_014_000, "3040001"), (false, false), "Debian 12");
        assert_eq!(refusals(DECLARED, "3040001"), (false, true));
        assert_eq!(refusals(DECLARED, "3045003"), (false, false));
        assert_eq!(refusals(3_046_000, "3034001"), (false, false), "another crate compiles SQLite");
        assert_eq!(number(None), i32::MAX);
    }
}
