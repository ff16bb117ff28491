//! Support for the tests of qdjobs: what several of them share.
//!
//! Depends on the public interface of `qdjobs`. The tests themselves are in `tests/`: `api`, `process`,
//! `disk_faults`, `compile`.

pub mod contract;
