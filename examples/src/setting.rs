//! The settings of the service: environment variables, of which an empty one counts as not set.
//!
//! Depends on the standard library alone. What each variable means is decided by its reader.

use std::env;
use std::path::PathBuf;

/// A setting that is text. A value that is not UTF-8 is an error: the service would otherwise start with the
/// default, as if it were not set.
pub fn text(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is not valid UTF-8; set it to a text")),
    }
}

/// A setting that is a path, which may contain any bytes.
pub fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
