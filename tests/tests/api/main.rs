//! Tests of the public interface, in one binary: linking it once is enough.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod async_tasks;
mod events;
mod faults;
mod files;
mod glossary;
mod health;
mod json;
mod model;
mod old_sqlite;
mod panics;
mod promises;
mod queue;
mod restore;
mod rooms;
mod salvage;
mod setup;
mod store_proxy;
mod support;
mod targets;
mod transactions;
mod waits;
mod worker;
