//! The mutants: one small change of the product each, with the test that has to turn red. [`all`] is the
//! list.
//!
//! Depends on nothing. One file for each part of the library. An old text is as short as possible but occurs
//! in its file exactly once; the new one compiles.

mod connection;
mod engine;
mod files;
mod model;
mod queries;
mod queue;
mod store;
mod worker;
mod writer;

use crate::Result;
use crate::cargo::Test;

/// One changed place of the product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    /// The promise that no longer holds.
    pub(crate) breaks: &'static str,
    /// The changed file, in the workspace.
    pub(crate) file: &'static str,
    pub(crate) old: &'static str,
    pub(crate) new: &'static str,
    /// The test that has to turn red.
    pub(crate) killed_by: Test,
}

impl Mutant {
    /// The text of the file with the old text replaced, which must occur in it exactly once.
    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        if self.new == self.old {
            return Err("changes nothing: the new text is the old one".to_owned());
        }
        match text.matches(self.old).count() {
            1 => Ok(text.replacen(self.old, self.new, 1)),
            0 => Err(format!("its old text is not in {}: {:?}", self.file, self.old)),
            many => Err(format!("its old text occurs {many} times in {}: {:?}", self.file, self.old)),
        }
    }
}

/// All mutants, from the database file up to the worker.
pub(crate) fn all() -> impl Iterator<Item = &'static Mutant> {
    [
        connection::MUTANTS,
        queries::MUTANTS,
        writer::MUTANTS,
        engine::MUTANTS,
        files::MUTANTS,
        store::MUTANTS,
        model::MUTANTS,
        worker::MUTANTS,
        queue::MUTANTS,
    ]
    .into_iter()
    .flatten()
}

/// A unit test of the library.
const fn unit(name: &'static str) -> Test {
    Test { package: "qdjobs", target: None, name }
}

/// A test on the simulated disk.
const fn disk(name: &'static str) -> Test {
    Test { package: "qdjobs-tests", target: Some("disk_faults"), name }
}

/// A test with real processes.
const fn process(name: &'static str) -> Test {
    Test { package: "qdjobs-tests", target: Some("process"), name }
}

/// A test of the public interface.
const fn api(name: &'static str) -> Test {
    Test { package: "qdjobs-tests", target: Some("api"), name }
}

/// A promise of the contract, checked on the store in a file.
const fn contract(name: &'static str) -> Test {
    Test { package: "qdjobs-contract", target: Some("stores"), name }
}
