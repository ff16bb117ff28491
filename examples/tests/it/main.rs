//! Tests of the examples: the output of the tasks, read by other crates, and the service, started as a
//! program and used over its port.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod http;
mod mail;
mod pictures;
mod real_pictures;
mod reports;
mod service;
mod sink;
mod start;
mod strict;
mod wire;

use std::fs;
use std::path::PathBuf;

/// An empty directory, removed after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("qdjobs-it-{test}-{}", std::process::id()));
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(&path).unwrap();
        Folder(path.canonicalize().unwrap())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
