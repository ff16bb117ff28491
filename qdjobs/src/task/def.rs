//! The description of a task: [`TaskDef`], with its default options, params, state and place in the source.
//!
//! Contains no task and runs none. `#[task]` makes the description at compile time; the registry, the worker
//! and everything that lists tasks read it.
//!
//! Depends on the model and on the context of a running task.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::context::JobContext;
use crate::model::error::ParamProblem;
use crate::model::job::{DEFAULT_QUEUE, DEFAULT_RETRIES};
use crate::model::outcome::Outcome;
use crate::model::retry::Backoff;

/// The description of a task: its name, parameters, options and function.
///
/// `#[task]` makes one for each function; it is [`Task::DEF`](crate::Task::DEF).
#[derive(Debug)]
#[non_exhaustive]
pub struct TaskDef {
    /// The name, under which jobs are stored.
    pub name: &'static str,
    /// Earlier names, for jobs that were stored under them.
    pub aliases: &'static [&'static str],
    /// The source file of the function.
    pub file: &'static str,
    /// The line in that file.
    pub line: u32,
    /// The crate of the function.
    pub krate: &'static str,
    /// The doc comment of the function.
    pub doc: &'static str,
    /// The stored parameters, in the order of the function.
    pub params: &'static [ParamInfo],
    /// The values of the worker that the task takes with `#[state]`.
    pub state: &'static [StateInfo],
    /// The default options of its jobs.
    pub options: TaskOptions,
    /// Reads the JSON text of params as an attempt would, and returns all problems with them.
    pub check: fn(&str) -> Vec<ParamProblem>,
    /// The function that runs one attempt.
    #[doc(hidden)]
    pub run: Run,
}

impl TaskDef {
    /// A task without a source place, with the default options.
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        params: &'static [ParamInfo],
        check: fn(&str) -> Vec<ParamProblem>,
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

    /// Sets the source place. The crate is the first segment of the module's path.
    #[doc(hidden)]
    pub const fn declared(self, file: &'static str, line: u32, module: &'static str) -> TaskDef {
        TaskDef { file, line, krate: first_segment(module), ..self }
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

    /// The name and the earlier names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The source place for people: `src/mail.rs:12 (crate shop)`.
    pub fn place(&self) -> impl fmt::Display + use<> {
        format!("{}:{} (crate {})", self.file, self.line, self.krate)
    }
}

const fn first_segment(module: &'static str) -> &'static str {
    let bytes = module.as_bytes();
    let mut end = 0;
    while end < bytes.len() && bytes[end] != b':' {
        end += 1;
    }
    module.split_at(end).0
}

/// The default options of a task's jobs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TaskOptions {
    /// The queue.
    pub queue: &'static str,
    /// The priority; higher first.
    pub priority: i32,
    /// The number of retries after the first attempt.
    pub retries: u32,
    /// The wait before each retry.
    pub backoff: Backoff,
    /// The longest duration of one attempt; `None` for no limit.
    pub timeout: Option<Duration>,
}

impl TaskOptions {
    /// The options of a task that sets none.
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
    /// The name, which is the key in the JSON.
    pub name: &'static str,
    /// The stored type as it is written, for example `Option<String>`.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// Whether every job must have the parameter.
    pub required: bool,
    /// The doc comment of the parameter.
    pub doc: &'static str,
    /// Earlier keys, for jobs that were stored under them.
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

/// One value of the worker that a task takes with `#[state]`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StateInfo {
    /// The parameter.
    pub param: &'static str,
    /// The type as it is written.
    pub ty: &'static str,
    /// The id of the type. A function, since `TypeId::of` is not `const` in every supported compiler.
    pub type_id: fn() -> TypeId,
}

impl StateInfo {
    #[doc(hidden)]
    pub const fn new(param: &'static str, ty: &'static str, type_id: fn() -> TypeId) -> StateInfo {
        StateInfo { param, ty, type_id }
    }
}

/// The function that runs an attempt of a task. It takes the params as JSON text.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// A plain `fn`. It occupies a thread while it runs.
    Blocking(fn(&JobContext, &str) -> Outcome),
    /// An `async fn` whose future is `Send`: thousands of them share a few threads.
    Async(fn(JobContext, String) -> SharedFuture),
    /// An `async fn` whose future is not `Send`, for example since it holds an `Rc` across an await. It
    /// occupies a thread while it runs, as a plain `fn` does.
    AsyncLocal(fn(JobContext, String) -> LocalFuture),
}

/// The future of an attempt that is `Send`.
pub type SharedFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The future of an attempt that stays on its thread.
pub type LocalFuture = Pin<Box<dyn Future<Output = Outcome>>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_is_the_first_segment_of_the_module_path() {
        assert_eq!(first_segment("shop::mail::jobs"), "shop");
        assert_eq!(first_segment("shop"), "shop");
    }
}
