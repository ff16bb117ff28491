//! What generated code names, and nobody else: it may change in any release.
//!
//! Leans on everything a task touches. Defines nothing but the options' documentation for editors.

pub use core::{file, line, module_path};
pub use std::borrow::ToOwned;
pub use std::clone::Clone;
pub use std::cmp::PartialEq;
pub use std::convert::Into;
pub use std::default::Default;
pub use std::fmt::{Debug, Formatter, Result as FmtResult};
pub use std::marker::Sized;
pub use std::option::Option::{self, None, Some};
pub use std::result::Result;
pub use std::string::String;
pub use std::time::Duration;
pub use std::vec::Vec;

pub use inventory;
pub use serde::de::{Deserialize, Deserializer};
pub use serde::ser::{Serialize, SerializeMap, Serializer};
pub use serde_json::value::Serializer as ValueSerializer;

pub use super::future_kind::{Boxed, Probe, ProbeLocal, run_async};
pub use super::output::finish;
pub use super::param::{
    Object, check, decode, decode_owned, lend, object, put_with, read, take_with, take_with_or,
};
pub use super::{ParamInfo, Run, State, StateInfo, Task, TaskDef, TaskOptions, TaskParam, TaskReturn};
pub use crate::context::JobContext;
pub use crate::model::retry::{Backoff, Outcome};
pub use crate::queue::request::Enqueue;
pub use crate::task::registry::Linked;

/// Stores a job with the task's own options.
pub fn enqueue<T: Task, Q: Enqueue + ?Sized>(task: T, target: &Q) -> Q::Answer<T::Output> {
    task.request().enqueue(target)
}

/// The options of `#[task]`, for the eyes of an editor: hovering over one in the attribute shows these words.
pub mod options {
    /// `queue = "mail"`: the queue its jobs wait in; `"default"` unless given.
    pub mod queue {}
    /// `priority = 10`: higher first; 0 unless given.
    pub mod priority {}
    /// `retries = 5`: how often a job may be retried after its first attempt; 3 unless given.
    pub mod retries {}
    /// `backoff = exponential("1s", factor = 2, max = "1h")`: the wait before each retry. Also `fixed("5s")`, a
    /// function `fn(u32) -> Duration` from the number of the retry, or a `Backoff`.
    pub mod backoff {}
    /// `timeout = "30s"`: how long one attempt may run; for ever unless given.
    pub mod timeout {}
    /// `aliases("old_name")`: earlier names, under which jobs may still be stored.
    pub mod aliases {}
    /// `params = SendMail`: the name of the params struct, instead of the function's in CamelCase.
    pub mod params {}
}
