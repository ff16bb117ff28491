//! The errors that this crate returns: [`Error`] with its text, and [`ErrorKind`] for code that reacts to it.
//!
//! Which kind a result code of SQLite becomes is decided in `store/sqlite/connection/error.rs`. How a *task*
//! fails is in `task_error.rs`.
//!
//! Depends on the standard library alone.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// The longest displayed message, in bytes. A message can contain names and values of any length from
/// outside.
const SHOWN_BYTES_MAX: usize = 16 << 10;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of an operation of this crate.
///
/// The text (`Display`) describes what is wrong and where, and ends with what to do. In code, match on
/// [`kind`](Error::kind). Before you report that nothing was stored, check
/// [`may_be_stored`](Error::may_be_stored).
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    /// The path of the database that the message is about, unless the message names it.
    database: Option<Box<str>>,
    help: Option<Cow<'static, str>>,
    problems: Vec<ParamProblem>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Whether a store must halt after this error.
    fatal: bool,
}

/// The kind of an [`Error`], for code that handles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No task of this name is linked into the program.
    UnknownTask,
    /// Parameters are missing, unknown or of the wrong type; [`Error::problems`] lists each.
    InvalidParams,
    /// An option of a job (queue, delay, name, filter, …) has a value outside its range.
    InvalidInput,
    /// Params, a result or metadata exceed their size limit.
    TooLarge,
    /// No job has this id.
    NotFound,
    /// The job exists, but its status does not allow the operation; or an idempotency key is held by another
    /// job.
    Conflict,
    /// The program is not set up correctly. For example, no task is linked, a name is used twice, state is
    /// missing, or a worker option is invalid. Or the store does not support the operation.
    Config,
    /// Another connection held the database's write lock for longer than the busy timeout. Or a transaction of
    /// the caller did not begin with IMMEDIATE and cannot get the lock. Nothing was stored.
    Busy,
    /// The database cannot be reached. Nothing was stored; try again later.
    ///
    /// A store on a server returns it while the server or the network is down. A SQLite store does not return
    /// it.
    Unavailable,
    /// The database is read-only for this process. Nothing was stored.
    ReadOnly,
    /// The disk is full. Nothing was stored.
    StorageFull,
    /// The file is not a SQLite database, or is damaged. It is not deleted or recreated.
    Corrupt,
    /// The database was written by a newer, incompatible version of qdjobs.
    NewerSchema,
    /// The storage failed during a commit: the write may or may not be stored.
    Indeterminate,
    /// The store has halted in this process: a sync failed, the file is damaged, the file is no longer the one of
    /// its name, or the writer thread panicked. Further writes could lose jobs. The text contains the first
    /// cause. Nothing was stored.
    StoreHalted,
    /// The queue is used in a fork of the process that opened it. Nothing was read or stored.
    Forked,
    /// Any other failure of the operating system or of SQLite.
    Storage,
    /// The queue was closed before the request was answered.
    Closed,
    /// Too many writes are waiting. Nothing was stored.
    Overloaded,
    /// The attempt no longer holds the job: it timed out, its worker's lease expired, or the job has ended.
    LeaseLost,
    /// The limit of a wait was reached before the job ended.
    Timeout,
    /// The awaited job failed; the text contains the job's error.
    JobFailed,
    /// The awaited job was cancelled.
    JobCancelled,
    /// The stored result does not have the requested type.
    ResultType,
}

/// One problem with one parameter, as found by the check of params that are enqueued by name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ParamProblem {
    /// The name of the parameter: as the caller wrote it or, if it is missing, as the task declares it.
    pub param: String,
    /// What is wrong with it, and what the task accepts.
    pub problem: String,
}

impl ParamProblem {
    /// A problem with the parameter `param`.
    pub fn new(param: impl Into<String>, problem: impl Into<String>) -> ParamProblem {
        ParamProblem { param: param.into(), problem: problem.into() }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            database: None,
            help: None,
            problems: Vec::new(),
            source: None,
            fatal: false,
        }))
    }

    /// Adds the path of the database that the message is about. The text then begins with it.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "the memory store has no file"))]
    pub(crate) fn in_database(mut self, path: Option<&str>) -> Error {
        self.0.database = path.map(Into::into);
        self
    }

    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "the memory store has no file"))]
    pub(crate) fn database(&self) -> Option<&str> {
        self.0.database.as_deref()
    }

    /// What is wrong, without the path of the database and the help.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "the memory store never halts"))]
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// Adds the help line: what to do about the error.
    pub(crate) fn help(mut self, help: impl Into<Cow<'static, str>>) -> Error {
        self.0.help = Some(help.into());
        self
    }

    pub(crate) fn with_problems(mut self, problems: Vec<ParamProblem>) -> Error {
        self.0.problems = problems;
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// Marks the error as one after which a store must halt: what the store assumes to be on the disk may not
    /// be there.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "the memory store never halts"))]
    pub(crate) fn fatal(mut self, fatal: bool) -> Error {
        self.0.fatal = fatal;
        self
    }

    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "the memory store never halts"))]
    pub(crate) fn is_fatal(&self) -> bool {
        self.0.fatal
    }

    /// A copy of the error, for each of several callers whose writes shared one transaction.
    pub(crate) fn repeat(&self) -> Error {
        let source = self.0.source.as_ref().map(|source| source.to_string().into());
        Error(Box::new(Inner {
            kind: self.0.kind,
            message: self.0.message.clone(),
            database: self.0.database.clone(),
            help: self.0.help.clone(),
            problems: self.0.problems.clone(),
            source,
            fatal: self.0.fatal,
        }))
    }

    /// The kind of the error, for code that handles it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do about the error, if that is known. The `Display` text contains it after `help:`.
    pub fn suggestion(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// All problems with the parameters; empty unless the kind is [`ErrorKind::InvalidParams`].
    pub fn problems(&self) -> &[ParamProblem] {
        &self.0.problems
    }

    /// Whether the write of the queue may be stored in spite of the error: the jobs of an enqueue, a retry, a
    /// cancellation, a deletion.
    ///
    /// It is `true` only after a failure during a commit ([`ErrorKind::Indeterminate`]). After every other
    /// error of such a call nothing was stored. The tools on whole files (`restore`, `salvage`, `backup`) and the
    /// start of a worker make several steps; their texts say what was done.
    ///
    /// If the call has an [`idempotency_key`](crate::JobRequest::idempotency_key), you can safely repeat it
    /// until it returns an answer: the job is stored once.
    pub fn may_be_stored(&self) -> bool {
        self.0.kind == ErrorKind::Indeterminate
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain = Plain(f);
        if let Some(path) = &self.0.database {
            write!(plain, "`{path}`: ")?;
        }
        let message = &self.0.message;
        let mut shown = message.len().min(SHOWN_BYTES_MAX);
        while !message.is_char_boundary(shown) {
            shown -= 1;
        }
        plain.write_str(&message[..shown])?;
        if shown < message.len() {
            plain.write_str(" …")?;
        }
        for problem in &self.0.problems {
            write!(plain, "\n  {}: {}", problem.param, problem.problem)?;
        }
        if let Some(help) = &self.0.help {
            write!(plain, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// Escapes control characters, which a terminal would execute: error texts contain names and values from
/// outside.
struct Plain<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Plain<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_command = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
        for piece in text.split_inclusive(is_command) {
            match piece.chars().next_back().filter(|last| is_command(*last)) {
                Some(last) => {
                    self.0.write_str(&piece[..piece.len() - last.len_utf8()])?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                None => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    // `fn main() -> qdjobs::Result<()>` prints the Debug form, so it is as readable as the Display form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, "\n  caused by: {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_shown_without_control_characters_and_is_cut() {
        let problem = ParamProblem::new("na\u{1b}[31mme", "tab\tand line\nstay");
        let error =
            Error::new(ErrorKind::InvalidParams, "\u{7}ü\u{9b}").with_problems(vec![problem]).help("\0");
        let text = "\\u{7}ü\\u{9b}\n  na\\u{1b}[31mme: tab\tand line\nstay\nhelp: \\u{0}";
        assert_eq!(error.to_string(), text);

        let long = Error::new(ErrorKind::InvalidInput, "ü".repeat(SHOWN_BYTES_MAX)).to_string();
        assert!(long.len() <= SHOWN_BYTES_MAX + 4 && long.ends_with("ü …"), "{} bytes", long.len());
    }
}
