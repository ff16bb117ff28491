//! Support for the tests of qdjobs: what several of them share.
//!
//! Leans on the public door of `qdjobs` alone. The tests themselves stand in `tests/it`, one binary, a module a room.

pub mod contract;
