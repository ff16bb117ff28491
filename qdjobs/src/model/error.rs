//! What goes wrong for callers, in one type: [`Error`].
//!
//! Leans on nothing. How a *task* fails (retry, permanent, cancel) is not here but in `task/error.rs`.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Longest message shown, in bytes: whatever a stranger wrote is in it, and a log has other lines.
const SHOWN_BYTES_MAX: usize = 16 << 10;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was refused or did not succeed.
///
/// The text (`Display`) says what is wrong and ends in what to do about it. Match on [`kind`](Error::kind) to
/// react in code; ask [`may_be_stored`](Error::may_be_stored) before telling somebody that nothing was stored.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    help: Option<Cow<'static, str>>,
    problems: Vec<ParamProblem>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// A store that met this must not go on.
    fatal: bool,
}

/// The sorts of [`Error`] that a program may want to tell apart.
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
    /// There is no such job.
    NotFound,
    /// The job exists, but its status does not allow the operation; or an idempotency key is held by another job.
    Conflict,
    /// The program is not set up to run: no task linked, names taken twice, state missing, a bad worker option.
    Config,
    /// Another connection held the database's write lock for longer than the busy timeout. Nothing was stored.
    Busy,
    /// The database may not be written. Nothing was stored.
    ReadOnly,
    /// The disk is full. Nothing was stored.
    StorageFull,
    /// The file is no SQLite database, or a damaged one. Nothing is ever deleted or recreated for it.
    Corrupt,
    /// The database was written by a newer, incompatible version of qdjobs.
    NewerSchema,
    /// The storage failed while it committed: the write may or may not be there after the next open.
    Indeterminate,
    /// The store has stopped for good in this process, since going on could lose what was answered before: a sync failed,
    /// the file is damaged, or the writing thread panicked. The text says what came first. Nothing was stored.
    StoreHalted,
    /// The queue is used in a fork of the process that opened it. Nothing was read or stored.
    Forked,
    /// Any other failure of the operating system or of SQLite.
    Storage,
    /// The queue is closed, or closed while the request waited.
    Closed,
    /// Too much is waiting to be written; nothing was stored.
    Overloaded,
    /// The attempt that asked no longer holds the job: it timed out, was rescued, or has already ended.
    LeaseLost,
    /// A wait with a limit ended before the job did.
    Timeout,
    /// The job that was waited for failed; the text is the job's error.
    JobFailed,
    /// The job that was waited for was cancelled.
    JobCancelled,
    /// A stored result does not have the type that was asked for.
    ResultType,
}

/// One thing wrong with one parameter, as reported by the check that every by-name enqueue passes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ParamProblem {
    /// The parameter's name as written by the caller or, if it is missing, as the task declares it.
    pub param: String,
    /// What is wrong, and the suggest right thing to write.
    pub problem: String,
}

impl ParamProblem {
    /// A problem with the parameter named `param`.
    pub fn new(param: impl Into<String>, problem: impl Into<String>) -> ParamProblem {
        ParamProblem { param: param.into(), problem: problem.into() }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            help: None,
            problems: Vec::new(),
            source: None,
            fatal: false,
        }))
    }

    /// Adds the sentence that says what to do.
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

    /// Says that a store that met this must not go on: what it believes to be on the disk may not be there.
    pub(crate) fn fatal(mut self, fatal: bool) -> Error {
        self.0.fatal = fatal;
        self
    }

    pub(crate) fn is_fatal(&self) -> bool {
        self.0.fatal
    }

    /// The same error once more, for each of several callers whose writes shared one transaction.
    pub(crate) fn repeat(&self) -> Error {
        let source = self.0.source.as_ref().map(|source| source.to_string().into());
        Error(Box::new(Inner {
            kind: self.0.kind,
            message: self.0.message.clone(),
            help: self.0.help.clone(),
            problems: self.0.problems.clone(),
            source,
            fatal: self.0.fatal,
        }))
    }

    /// The sort of error, for code that reacts to it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do about it, where there is one thing to do. Part of the `Display` text as well.
    pub fn suggestion(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Each thing wrong with the parameters; empty unless the kind is [`ErrorKind::InvalidParams`].
    pub fn problems(&self) -> &[ParamProblem] {
        &self.0.problems
    }

    /// Whether the write that failed could nevertheless be found in the database later.
    ///
    /// A commit that ends in an I/O error is neither done nor undone until the file is read again: only then is
    /// this `true`. For every other kind the answer is certain: nothing was stored.
    ///
    /// A job enqueued with a [`idempotency_key`](crate::JobRequest::idempotency_key) needs no such question: repeat the call, and it is
    /// stored once.
    pub fn may_be_stored(&self) -> bool {
        self.0.kind == ErrorKind::Indeterminate
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain = Plain(f);
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

/// Writes characters that are commands to a terminal as escapes: names, params and values of strangers are in these texts.
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
    // `fn main() -> qdjobs::Result<()>` prints the Debug form: let it read as the Display form does.
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
    fn what_a_stranger_wrote_is_shown_without_commands_to_a_terminal_and_in_part() {
        let problem = ParamProblem::new("na\u{1b}[31mme", "tab\tand line\nstay");
        let error =
            Error::new(ErrorKind::InvalidParams, "\u{7}ü\u{9b}").with_problems(vec![problem]).help("\0");
        let text = "\\u{7}ü\\u{9b}\n  na\\u{1b}[31mme: tab\tand line\nstay\nhelp: \\u{0}";
        assert_eq!(error.to_string(), text);

        let long = Error::new(ErrorKind::InvalidInput, "ü".repeat(SHOWN_BYTES_MAX)).to_string();
        assert!(long.len() <= SHOWN_BYTES_MAX + 4 && long.ends_with("ü …"), "{} bytes", long.len());
    }
}
