//! Finds the version of the system's SQLite, for a build without the feature `bundled`.
//!
//! Refuses nothing: `store/sqlite/connection/system_sqlite.rs` does, because the version of rusqlite is known only
//! there.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let uses_system = is_set("CARGO_FEATURE_SQLITE") && !is_set("CARGO_FEATURE_BUNDLED");
    let chosen =
        ["SQLITE3_LIB_DIR", "LIBSQLITE3_SYS_BUNDLING", "LIBSQLITE3_SYS_USE_PKG_CONFIG", "PKG_CONFIG_PATH"];
    chosen.iter().for_each(|name| println!("cargo::rerun-if-env-changed={name}"));
    // A library of another machine, or one that the user names, is not the one that is looked at here.
    let is_cross = std::env::var_os("HOST") != std::env::var_os("TARGET");
    if uses_system
        && !is_cross
        && !is_set("SQLITE3_LIB_DIR")
        && let Some(version) = by_pkg_config().or_else(by_header)
    {
        println!("cargo::rustc-env=QDJOBS_SYSTEM_SQLITE={version}");
    }
}

/// The version as a number, such as 3040001.
fn by_pkg_config() -> Option<u32> {
    let answer = Command::new("pkg-config").args(["--modversion", "sqlite3"]).output().ok()?;
    let version = String::from_utf8(answer.stdout).ok()?;
    let mut parts = version.trim().split('.').map(str::parse::<u32>);
    let mut next = || parts.next().map_or(Some(0), Result::ok);
    Some(next()? * 1_000_000 + next()? * 1_000 + next()?).filter(|version| *version > 0)
}

fn by_header() -> Option<u32> {
    let header = std::fs::read_to_string(Path::new("/usr/include/sqlite3.h")).ok()?;
    let line = header.lines().find_map(|line| line.strip_prefix("#define SQLITE_VERSION_NUMBER"))?;
    line.trim().parse().ok()
}
