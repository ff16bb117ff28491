//! The copy in which the product is changed: [`Scratch`].
//!
//! It stays between runs with everything that was built in it: a file is written only where it differs, so
//! that little is rebuilt.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::mutants::Mutant;

/// A copy of the tracked files in the workspace's target directory, with a target directory of its own.
pub(crate) struct Scratch {
    dir: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// Makes the copy equal to the checkout.
    pub(crate) fn copy(root: &Path) -> Result<Scratch> {
        let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
        let home = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => root.join(target).join("mutation"),
            None => root.join("target/mutation"),
        };
        let scratch = Scratch { dir: home.join("copy"), target: home.join("target") };
        let tracked = tracked(&root)?;
        for file in &tracked {
            // Deleted in the checkout, but not yet in the index: then it is deleted in the copy, too.
            if let Ok(bytes) = fs::read(root.join(file)) {
                write(&scratch.dir.join(file), &bytes)?;
            }
        }
        scratch.forget_others(&scratch.dir, &tracked.iter().map(|file| scratch.dir.join(file)).collect())?;
        Ok(scratch)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The folder of a package in the copy.
    pub(crate) fn folder_of(&self, package: &str) -> Result<PathBuf> {
        crate::check::folder_of(&self.dir, package)
    }

    /// Runs `work` while one mutant is applied.
    pub(crate) fn with<T>(&self, mutant: &Mutant, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let path = self.dir.join(mutant.file);
        let whole = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        write(&path, mutant.apply(&whole)?.as_bytes())?;
        let done = work();
        write(&path, whole.as_bytes())?;
        done
    }

    /// Removes files that are no longer tracked.
    fn forget_others(&self, dir: &Path, tracked: &BTreeSet<PathBuf>) -> Result<()> {
        let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
        for entry in fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                self.forget_others(&path, tracked)?;
            } else if !tracked.contains(&path) {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn tracked(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    let listed = listed.map_err(|error| format!("git cannot be started: {error}"))?;
    if !listed.status.success() {
        return Err(format!(
            "{} is not a git checkout: {}",
            root.display(),
            String::from_utf8_lossy(&listed.stderr)
        ));
    }
    let names = listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| PathBuf::from(String::from_utf8_lossy(name).into_owned())).collect())
}

/// Writes only if the contents differ: cargo compares the times of the files.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, bytes));
    made.map_err(|error| format!("{}: {error}", path.display()))
}
