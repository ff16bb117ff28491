//! The record of a task: [`TaskDef`], made at compile time by `#[task]` and shared by the type, the registry, the
//! worker and every face that lists tasks.
//!
//! Leans on the ground floor and on the context that a running task is handed. Holds no task of its own and runs none.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::context::JobContext;
use crate::model::error::ParamProblem;
use crate::model::job::{DEFAULT_QUEUE, DEFAULT_RETRIES};
use crate::model::retry::{Backoff, Outcome};

/// Everything that is known of a task before it runs.
///
/// `#[task]` makes one for each function; [`Task::DEF`](crate::Task::DEF) is it.
#[derive(Debug)]
#[non_exhaustive]
pub struct TaskDef {
    /// The name that stored jobs refer to.
    pub name: &'static str,
    /// Earlier names, which jobs stored back then still carry.
    pub aliases: &'static [&'static str],
    /// The file that declares it.
    pub file: &'static str,
    /// The line there.
    pub line: u32,
    /// The crate that declares it.
    pub krate: &'static str,
    /// The doc comment of the function.
    pub doc: &'static str,
    /// The parameters a job stores, in the order of the function.
    pub params: &'static [ParamInfo],
    /// The shared values it takes from the worker.
    pub state: &'static [StateInfo],
    /// What holds for its jobs unless the caller says otherwise.
    pub options: TaskOptions,
    /// Reads params as a run would, and answers everything that is wrong with them.
    pub check: fn(&Map<String, Value>) -> Vec<ParamProblem>,
    /// Runs one attempt.
    pub run: Run,
}

impl TaskDef {
    /// A task declared nowhere, with the default options.
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        params: &'static [ParamInfo],
        check: fn(&Map<String, Value>) -> Vec<ParamProblem>,
        run: Run,
    ) -> TaskDef {
        TaskDef {
            name,
            aliases: &[],
            file: "",
            line: 0,
            krate: "",
            doc: "",
            params,
            state: &[],
            options: TaskOptions::DEFAULT,
            check,
            run,
        }
    }

    /// Where it is declared; the crate is the first word of the module's path.
    #[doc(hidden)]
    pub const fn declared(self, file: &'static str, line: u32, module: &'static str) -> TaskDef {
        TaskDef { file, line, krate: first_word(module), ..self }
    }

    #[doc(hidden)]
    pub const fn doc(self, doc: &'static str) -> TaskDef {
        TaskDef { doc, ..self }
    }

    #[doc(hidden)]
    pub const fn aliases(self, aliases: &'static [&'static str]) -> TaskDef {
        TaskDef { aliases, ..self }
    }

    #[doc(hidden)]
    pub const fn state(self, state: &'static [StateInfo]) -> TaskDef {
        TaskDef { state, ..self }
    }

    #[doc(hidden)]
    pub const fn options(self, options: TaskOptions) -> TaskDef {
        TaskDef { options, ..self }
    }

    /// Its name and its earlier ones.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Where it is declared, for people: `src/mail.rs:12 (crate shop)`.
    pub fn place(&self) -> impl fmt::Display + use<> {
        format!("{}:{} (crate {})", self.file, self.line, self.krate)
    }
}

const fn first_word(module: &'static str) -> &'static str {
    let bytes = module.as_bytes();
    let mut end = 0;
    while end < bytes.len() && bytes[end] != b':' {
        end += 1;
    }
    module.split_at(end).0
}

/// The options of a task's jobs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TaskOptions {
    /// The queue they wait in.
    pub queue: &'static str,
    /// Higher first.
    pub priority: i32,
    /// How often each may be retried.
    pub retries: u32,
    /// The wait before each retry.
    pub backoff: Backoff,
    /// How long one attempt may run.
    pub timeout: Option<Duration>,
}

impl TaskOptions {
    /// What holds for a task that says nothing.
    pub const DEFAULT: TaskOptions = TaskOptions {
        queue: DEFAULT_QUEUE,
        priority: 0,
        retries: DEFAULT_RETRIES,
        backoff: Backoff::DEFAULT,
        timeout: None,
    };

    #[doc(hidden)]
    pub const fn queue(self, queue: &'static str) -> TaskOptions {
        TaskOptions { queue, ..self }
    }

    #[doc(hidden)]
    pub const fn priority(self, priority: i32) -> TaskOptions {
        TaskOptions { priority, ..self }
    }

    #[doc(hidden)]
    pub const fn retries(self, retries: u32) -> TaskOptions {
        TaskOptions { retries, ..self }
    }

    #[doc(hidden)]
    pub const fn backoff(self, backoff: Backoff) -> TaskOptions {
        TaskOptions { backoff, ..self }
    }

    #[doc(hidden)]
    pub const fn timeout(self, timeout: Duration) -> TaskOptions {
        TaskOptions { timeout: Some(timeout), ..self }
    }
}

/// One stored parameter of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ParamInfo {
    /// Its name, which is its key in the JSON.
    pub name: &'static str,
    /// Its stored type, as written: `Option<String>`.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// Whether a job must have it.
    pub required: bool,
    /// Its doc comment.
    pub doc: &'static str,
    /// Earlier keys, which jobs stored back then still carry.
    pub aliases: &'static [&'static str],
}

impl ParamInfo {
    #[doc(hidden)]
    pub const fn required(name: &'static str, ty: &'static str) -> ParamInfo {
        ParamInfo { name, ty, required: true, doc: "", aliases: &[] }
    }

    #[doc(hidden)]
    pub const fn optional(name: &'static str, ty: &'static str) -> ParamInfo {
        ParamInfo { name, ty, required: false, doc: "", aliases: &[] }
    }

    #[doc(hidden)]
    pub const fn doc(self, doc: &'static str) -> ParamInfo {
        ParamInfo { doc, ..self }
    }

    #[doc(hidden)]
    pub const fn aliases(self, aliases: &'static [&'static str]) -> ParamInfo {
        ParamInfo { aliases, ..self }
    }
}

/// One shared value that a task takes from its worker.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StateInfo {
    /// The parameter that takes it.
    pub param: &'static str,
    /// Its type, as written.
    pub ty: &'static str,
    /// Its type, to look it up by. A function, since `TypeId::of` is not `const` in every compiler we support.
    pub type_id: fn() -> TypeId,
}

impl StateInfo {
    #[doc(hidden)]
    pub const fn new(param: &'static str, ty: &'static str, type_id: fn() -> TypeId) -> StateInfo {
        StateInfo { param, ty, type_id }
    }
}

/// How an attempt of a task is run. Each takes the job's params as JSON text.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// A plain `fn`: it keeps a thread busy until it is done.
    Blocking(fn(&JobContext, &str) -> Outcome),
    /// An `async fn` whose future may move between threads: thousands share a few.
    Async(fn(JobContext, String) -> SharedFuture),
    /// An `async fn` that holds something across an await that must stay on its thread, such as an `Rc`: it runs on a
    /// thread of its own.
    AsyncLocal(fn(JobContext, String) -> LocalFuture),
}

/// An attempt that any thread may carry on.
pub type SharedFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// An attempt that stays on the thread where it began.
pub type LocalFuture = Pin<Box<dyn Future<Output = Outcome>>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_is_the_first_word_of_the_module() {
        assert_eq!(first_word("shop::mail::jobs"), "shop");
        assert_eq!(first_word("shop"), "shop");
    }
}
