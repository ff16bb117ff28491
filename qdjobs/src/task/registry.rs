//! Finds the tasks of a program by name or alias: [`Registry`], with the errors for unknown or double names.
//!
//! The linker collects the tasks from all crates. Which of them a worker serves is decided in
//! `worker/start.rs`.
//!
//! Depends on the descriptions of tasks and on the crate inventory. Runs no task and reads no database.

use std::any::TypeId;
use std::fmt::Write as _;
use std::sync::OnceLock;

use super::def::TaskDef;
use crate::model::error::{Error, ErrorKind};
use crate::model::suggest::suggest;

/// An entry of the linker's list.
#[doc(hidden)]
#[derive(Debug)]
pub struct Linked(pub &'static TaskDef);

inventory::collect!(Linked);

/// What to do if a crate with tasks was not linked. Rust does not link a crate that the program does not
/// name.
const LINK_HELP: &str = "if your tasks are in another crate, add `use that_crate as _;` to this program";

/// A list of tasks, sorted by name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    tasks: Vec<&'static TaskDef>,
}

impl Registry {
    /// The tasks that are linked into this program.
    pub fn linked() -> &'static Registry {
        static LINKED: OnceLock<Registry> = OnceLock::new();
        LINKED.get_or_init(|| inventory::iter::<Linked>.into_iter().map(|linked| linked.0).collect())
    }

    /// Adds a task, unless it is in the list already.
    pub fn add(&mut self, task: &'static TaskDef) {
        let key = |task: &TaskDef| (task.name, task.krate, task.file, task.line);
        if let Err(at) = self.tasks.binary_search_by_key(&key(task), |known| key(known)) {
            self.tasks.insert(at, task);
        }
    }

    /// Iterates over the tasks in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'static TaskDef> + '_ {
        self.tasks.iter().copied()
    }

    /// The number of tasks.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The task with this name or alias.
    pub fn get(&self, name: &str) -> Option<&'static TaskDef> {
        let named = self.iter().find(|task| task.name == name);
        named.or_else(|| self.iter().find(|task| task.aliases.contains(&name)))
    }

    /// As [`get`](Registry::get). The error for an unknown name suggests a similar one.
    pub fn find(&self, name: &str) -> Result<&'static TaskDef, Error> {
        self.get(name).ok_or_else(|| self.unknown(name))
    }

    /// The error for a name that no task has.
    pub fn unknown(&self, name: &str) -> Error {
        self.unknown_here(name, "")
    }

    /// As [`unknown`](Registry::unknown), with a further cause that applies to the caller.
    pub(crate) fn unknown_here(&self, name: &str, more: &str) -> Error {
        let error =
            Error::new(ErrorKind::UnknownTask, format!("Task not registered: `{}`", name.escape_debug()));
        if self.is_empty() {
            let (why, help) = none();
            return error.help(format!("{why}; {help}{more}"));
        }
        let meant = suggest(name, self.iter().flat_map(TaskDef::names));
        let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
        let names: Vec<&str> = self.iter().map(|task| task.name).collect();
        error.help(format!("{meant}the tasks are {}; {LINK_HELP}{more}", names.join(", ")))
    }

    /// Checks that a worker can start with these tasks: there is at least one, and no two have the same name.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_empty() {
            let (why, help) = none();
            return Err(Error::new(ErrorKind::Config, why).help(help));
        }
        self.duplicates().map_or(Ok(()), Err)
    }

    /// The error for names that several tasks share, with the place of each. Within one crate this is a
    /// compile error; this check covers tasks of different crates.
    pub fn duplicates(&self) -> Option<Error> {
        let mut names: Vec<(&str, &TaskDef)> =
            self.iter().flat_map(|task| task.names().map(move |name| (name, task))).collect();
        names.sort_by_key(|(name, task)| (*name, task.file, task.line));
        let mut message = String::new();
        for group in names.chunk_by(|(left, _), (right, _)| left == right).filter(|group| group.len() > 1) {
            let line_break = if message.is_empty() { "" } else { "\n" };
            let count = if group.len() == 2 { "two".to_owned() } else { group.len().to_string() };
            // Writing to a String cannot fail.
            let _ = write!(message, "{line_break}{count} tasks have the name or alias `{}`:", group[0].0);
            for (_, task) in group {
                let _ = write!(message, "\n  {}", task.place());
            }
        }
        (!message.is_empty()).then(|| {
            Error::new(ErrorKind::Config, message).help(
                "keep the name in one task: rename the others, or remove it from their `aliases`; stored jobs of this \
                 name then run the task that keeps it. If the places are in two versions of one crate, use one version \
                 (`cargo tree -d` lists them)",
            )
        })
    }

    /// The error if tasks need state for which `has` returns `false`, with the place of each task.
    pub fn missing_state(&self, has: impl Fn(TypeId) -> bool) -> Option<Error> {
        let mut message = String::new();
        for task in self.iter() {
            for state in task.state.iter().filter(|state| !has((state.type_id)())) {
                let _ = write!(
                    message,
                    "\n  `{}`: `#[state] {}` takes a `{}`, {}",
                    task.name,
                    state.param,
                    state.ty,
                    task.place()
                );
            }
        }
        (!message.is_empty()).then(|| {
            Error::new(ErrorKind::Config, format!("this worker lacks state that its tasks need:{message}"))
                .help("give the worker a value of each type: `Worker::new(&queue).state(value)`")
        })
    }
}

/// Why the list is empty, and what to do.
fn none() -> (&'static str, &'static str) {
    if Registry::linked().is_empty() {
        (
            "no task is linked into this program",
            "if your tasks are in another crate, add `use that_crate as _;` to this program; where the linker cannot \
             collect tasks, call `Worker::register` for each",
        )
    } else {
        (
            "none of the tasks of this program was chosen",
            "pass at least one name to `Worker::task_names`; to run all tasks, do not call it",
        )
    }
}

impl FromIterator<&'static TaskDef> for Registry {
    fn from_iter<I: IntoIterator<Item = &'static TaskDef>>(tasks: I) -> Registry {
        let mut registry = Registry::default();
        tasks.into_iter().for_each(|task| registry.add(task));
        registry
    }
}
