//! The output of a job: [`Draft`], a file that replaces its target atomically, [`Run`], the attempt that
//! writes it, and [`file_error`], which decides whether the job is retried after an error of a file.
//!
//! Depends on the standard library, and on qdjobs for the number of the job. Knows neither mail, images nor
//! reports.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use qdjobs::{JobContext, JobId, TaskError, Timestamp};

/// One attempt of one job.
///
/// A job can run more than once: its worker may crash after the work and before the completion. So each
/// output is named after the job, and a repeated attempt replaces it.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The number of the job.
    pub job: JobId,
    /// When the job was stored. Together with the number it identifies the job across databases.
    pub created_at: Timestamp,
    /// The number of the attempt; 1 for the first.
    pub attempt: u32,
}

impl Run {
    /// The attempt of this context.
    pub fn of(ctx: &JobContext) -> Run {
        Run { job: ctx.job_id(), created_at: ctx.created_at(), attempt: ctx.attempt() }
    }

    /// A name that no other job has, in this database or in another one.
    pub fn key(&self) -> String {
        format!("job-{}.{}", self.job, self.created_at.as_microsecond())
    }
}

/// The longest file name of most file systems, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// The error of a task that cannot read or write a file. `doing` is the text before the error: `cannot write
/// a.pdf`.
///
/// An error that would be the same at the next attempt is permanent. All others can pass: a full disk, too
/// many open files, a device that does not respond.
pub fn file_error(doing: impl Display, error: &io::Error) -> TaskError {
    match write_instead(error) {
        Some(instead) => TaskError::permanent(format!("{doing}: {error}; {instead}")),
        None => TaskError::retry(format!("{doing}: {error}")),
    }
}

/// What to do about an error that no retry can mend; `None` for an error that can pass.
///
/// A missing file is not permanent here: a directory that was just removed is created again at the next
/// attempt. Who reads a file that must exist decides otherwise.
fn write_instead(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::InvalidFilename => Some("use a shorter file name"),
        // From the standard library, before it asks the operating system.
        ErrorKind::InvalidInput if error.raw_os_error().is_none() => {
            Some("this is not a path: use another name, without NUL characters")
        }
        ErrorKind::PermissionDenied => Some("give this service the permission, or use another directory"),
        ErrorKind::ReadOnlyFilesystem => Some("use a directory that can be written to"),
        ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty => {
            Some("a directory has this name: rename it, or use another name")
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            Some("a part of the path is not a directory: rename it, or use another path")
        }
        ErrorKind::FileTooLarge => Some("the file is larger than the file system or a limit allows"),
        ErrorKind::Unsupported | ErrorKind::InvalidInput => {
            Some("the file system does not support it: use another directory")
        }
        _ if is_link_loop(error) => Some("the symbolic links of the path form a circle: remove one"),
        _ => None,
    }
}

#[cfg(unix)]
fn is_link_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

#[cfg(not(unix))]
fn is_link_loop(_: &io::Error) -> bool {
    false
}

/// Reports the progress of a job. It returns an error if the job should stop.
pub type Step<'a> = &'a mut dyn FnMut(f64, &str) -> Result<(), TaskError>;

/// A temporary file that replaces its target atomically: the target is written completely or not at all.
///
/// The draft is in the directory of its target, since a rename is atomic only within a file system. It is
/// removed after a failure. The draft of a killed process is removed by the next attempt of the job. Its name
/// contains the number of the attempt, so an earlier attempt that still runs cannot replace the target any
/// more.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// The draft of `target` by this attempt. Removes the drafts of earlier attempts.
    pub fn new(target: &Path, run: &Run) -> Draft {
        for earlier in 1..run.attempt {
            fs::remove_file(draft_path(target, run.job, earlier)).ok();
        }
        Draft { path: draft_path(target, run.job, run.attempt), target: target.to_owned() }
    }

    /// Writes the file and renames it to its target, durably.
    pub fn write(self, content: &[u8]) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        // The rename is durable when the directory is synced. Before, a power failure may restore the old
        // file.
        match self.target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After the rename, no file has this name.
        fs::remove_file(&self.path).ok();
    }
}

/// The path of a draft. Its name is cut if it would be too long, since the name of the target alone may be as
/// long as a name can be.
fn draft_path(target: &Path, job: JobId, attempt: u32) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let end = format!(".{job}-{attempt}.part");
    let room = NAME_BYTES_MAX.saturating_sub(".".len() + end.len());
    let fits = |(at, character): &(usize, char)| at + character.len_utf8() <= room;
    let kept: String = name.char_indices().take_while(fits).map(|(_, character)| character).collect();
    target.with_file_name(format!(".{kept}{end}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use qdjobs::TaskErrorKind;

    pub(crate) fn run(job: i64, attempt: u32) -> Run {
        let created_at = Timestamp::from_microsecond(1_763_916_039_336_066).unwrap();
        Run { job: JobId(job), created_at, attempt }
    }

    /// An empty directory, removed after the test.
    pub(crate) struct Folder(pub(crate) PathBuf);

    impl Folder {
        pub(crate) fn new(test: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("qdjobs-{test}-{}", std::process::id()));
            fs::remove_dir_all(&path).ok();
            fs::create_dir_all(&path).unwrap();
            Folder(path.canonicalize().unwrap())
        }

        pub(crate) fn names(&self) -> Vec<String> {
            let mut names: Vec<String> = fs::read_dir(&self.0)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn a_repeat_replaces_the_file_and_leaves_no_draft() {
        let folder = Folder::new("draft-repeat");
        let target = folder.0.join("a.txt");
        // The draft of a first attempt that was killed.
        fs::write(folder.0.join(".a.txt.7-1.part"), "half").unwrap();
        Draft::new(&target, &run(7, 2)).write(b"one").unwrap();
        Draft::new(&target, &run(7, 3)).write(b"two").unwrap();
        assert_eq!(folder.names(), ["a.txt"]);
        assert_eq!(fs::read(&target).unwrap(), b"two");
    }

    #[test]
    fn an_attempt_that_a_later_one_has_replaced_cannot_write_the_target() {
        let folder = Folder::new("draft-overtaken");
        let target = folder.0.join("a.txt");
        let slow = Draft::new(&target, &run(7, 1));
        File::create(&slow.path).unwrap();
        Draft::new(&target, &run(7, 2)).write(b"second").unwrap();
        assert!(fs::rename(&slow.path, &slow.target).is_err());
        drop(slow);
        assert_eq!(fs::read(&target).unwrap(), b"second");
    }

    #[test]
    fn an_error_that_would_be_the_same_at_the_next_attempt_is_permanent() {
        for kind in [
            ErrorKind::InvalidFilename,
            ErrorKind::InvalidInput,
            ErrorKind::PermissionDenied,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::IsADirectory,
            ErrorKind::DirectoryNotEmpty,
            ErrorKind::NotADirectory,
            ErrorKind::AlreadyExists,
            ErrorKind::FileTooLarge,
            ErrorKind::Unsupported,
        ] {
            let error = file_error("cannot write a.pdf", &kind.into());
            assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
            assert!(error.to_string().starts_with("cannot write a.pdf: "), "{error}");
        }
        for kind in [
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::Interrupted,
            ErrorKind::TimedOut,
            ErrorKind::WouldBlock,
            ErrorKind::ResourceBusy,
            ErrorKind::OutOfMemory,
            ErrorKind::StaleNetworkFileHandle,
            ErrorKind::NotFound,
        ] {
            let error = file_error("cannot write a.pdf", &kind.into());
            assert_eq!(error.kind(), TaskErrorKind::Retry, "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_errors_of_the_operating_system_are_retried_if_they_can_pass() {
        for (code, kind) in [
            (libc::ENAMETOOLONG, TaskErrorKind::Permanent),
            (libc::EISDIR, TaskErrorKind::Permanent),
            (libc::ENOTDIR, TaskErrorKind::Permanent),
            (libc::EACCES, TaskErrorKind::Permanent),
            (libc::EPERM, TaskErrorKind::Permanent),
            (libc::EROFS, TaskErrorKind::Permanent),
            (libc::ELOOP, TaskErrorKind::Permanent),
            (libc::EFBIG, TaskErrorKind::Permanent),
            (libc::EINVAL, TaskErrorKind::Permanent),
            (libc::ENOSPC, TaskErrorKind::Retry),
            (libc::EDQUOT, TaskErrorKind::Retry),
            (libc::EMFILE, TaskErrorKind::Retry),
            (libc::ENFILE, TaskErrorKind::Retry),
            (libc::EIO, TaskErrorKind::Retry),
            (libc::EINTR, TaskErrorKind::Retry),
            (libc::ETIMEDOUT, TaskErrorKind::Retry),
            (libc::EBUSY, TaskErrorKind::Retry),
        ] {
            let error = file_error("cannot write", &io::Error::from_raw_os_error(code));
            assert_eq!(error.kind(), kind, "{error}");
        }
        let nul = fs::write("a\0b", "x").unwrap_err();
        assert_eq!(file_error("cannot write", &nul).kind(), TaskErrorKind::Permanent, "{nul}");
    }

    #[test]
    fn a_name_that_is_as_long_as_a_name_can_be_is_written() {
        let folder = Folder::new("draft-long");
        // Two-byte characters, so that the name of the draft is cut between two of them.
        let name = format!("{}x", "é".repeat(NAME_BYTES_MAX / 2));
        Draft::new(&folder.0.join(&name), &run(7, 1)).write(b"x").unwrap();
        assert_eq!(folder.names(), [name]);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = Folder::new("draft-fails");
        let target = folder.0.join("taken");
        fs::create_dir(&target).unwrap();
        Draft::new(&target, &run(7, 1)).write(b"x").unwrap_err();
        assert_eq!(folder.names(), ["taken"]);
    }
}
