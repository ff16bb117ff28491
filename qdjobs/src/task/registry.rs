//! Which tasks there are: [`Registry`], gathered by the linker from every crate of the program.
//!
//! Leans on the records of tasks. Runs nothing and reads no database. Nothing runs before `main`: each task only
//! hangs its record into a list.

use std::any::TypeId;
use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::model::error::{Error, ErrorKind};
use crate::model::suggest::suggest;
use crate::task::TaskDef;

/// A record in the linker's list.
#[doc(hidden)]
#[derive(Debug)]
pub struct Linked(pub &'static TaskDef);

inventory::collect!(Linked);

/// What to do when a crate of tasks was not linked: Rust leaves out a crate that no path of the program names.
const LINK_HELP: &str = "if your tasks live in another crate add `use that_crate as _;` to this program";

/// Tasks by name.
///
/// The linker's order means nothing, so they are sorted.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    tasks: Vec<&'static TaskDef>,
}

impl Registry {
    /// Every task that is linked into this program.
    pub fn linked() -> &'static Registry {
        static LINKED: OnceLock<Registry> = OnceLock::new();
        LINKED.get_or_init(|| inventory::iter::<Linked>.into_iter().map(|linked| linked.0).collect())
    }

    /// Adds a task, for a selection or where the linker gathers nothing. One that is there already is not added again.
    pub fn add(&mut self, task: &'static TaskDef) {
        let key = |task: &TaskDef| (task.name, task.krate, task.file, task.line);
        if let Err(at) = self.tasks.binary_search_by_key(&key(task), |known| key(known)) {
            self.tasks.insert(at, task);
        }
    }

    /// The tasks, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'static TaskDef> + '_ {
        self.tasks.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The task that is, or once was, named `name`.
    pub fn get(&self, name: &str) -> Option<&'static TaskDef> {
        let named = self.iter().find(|task| task.name == name);
        named.or_else(|| self.iter().find(|task| task.aliases.contains(&name)))
    }

    /// As [`get`](Registry::get), with the error that says what to do.
    pub fn find(&self, name: &str) -> Result<&'static TaskDef, Error> {
        self.get(name).ok_or_else(|| self.unknown(name))
    }

    /// The error for a name that no task has.
    pub fn unknown(&self, name: &str) -> Error {
        self.unknown_here(name, "")
    }

    /// The same, with what else may be the matter where it was asked for.
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

    /// Why a worker may not start with these tasks: there is none, or a name has two. All of it in one error.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_empty() {
            let (why, help) = none();
            return Err(Error::new(ErrorKind::Config, why).help(help));
        }
        self.duplicates().map_or(Ok(()), Err)
    }

    /// The names that two tasks share, with both places. Within a crate the compiler says it; this is for names across
    /// crates.
    pub fn duplicates(&self) -> Option<Error> {
        let mut names: Vec<(&str, &TaskDef)> =
            self.iter().flat_map(|task| task.names().map(move |name| (name, task))).collect();
        names.sort_by_key(|(name, task)| (*name, task.file, task.line));
        let mut message = String::new();
        for group in names.chunk_by(|(left, _), (right, _)| left == right).filter(|group| group.len() > 1) {
            let line_break = if message.is_empty() { "" } else { "\n" };
            let count = if group.len() == 2 { "two".to_owned() } else { group.len().to_string() };
            // Writing to a String cannot fail.
            let _ = write!(message, "{line_break}{count} tasks are named `{}`:", group[0].0);
            for (_, task) in group {
                let _ = write!(message, "\n  {}", task.place());
            }
        }
        (!message.is_empty()).then(|| {
            Error::new(ErrorKind::Config, message)
                .help("rename one, and keep its old name as an alias where jobs are stored under it")
        })
    }

    /// The shared values these tasks take and `has` does not know, each with its place. All of them in one error.
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
            Error::new(ErrorKind::Config, format!("shared state that tasks take is missing:{message}"))
                .help("give the worker a value of each type: `Worker::new(&queue).state(value)`")
        })
    }
}

/// Why a registry is empty, and what to do.
fn none() -> (&'static str, &'static str) {
    if Registry::linked().is_empty() {
        ("no task is linked into this program", LINK_HELP)
    } else {
        (
            "none of the tasks of this program was chosen",
            "choose at least one, or leave the choice out to serve all",
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
