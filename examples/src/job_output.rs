//! What the three tasks know of the attempt they run in: [`Run`], and the [`Draft`] of the file it writes.
//!
//! Leans on the standard library, and on qdjobs for the attempt's number and name. Knows neither mail, images nor reports.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use qdjobs::{JobContext, JobId, TaskError, Timestamp};

/// One attempt of one job.
///
/// A job may run more than once: its worker may die after the work and before the record of it. Whatever a task leaves
/// in the world is therefore named by the job, so that a repeat replaces it instead of adding to it.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The job.
    pub job: JobId,
    /// When it was stored: with the number it names the job beyond this database, whose numbers every database has.
    pub created_at: Timestamp,
    /// Which attempt this is, 1 for the first.
    pub attempt: u32,
}

impl Run {
    /// The attempt that a task runs in.
    pub fn of(ctx: &JobContext) -> Run {
        Run { job: ctx.job_id(), created_at: ctx.created_at(), attempt: ctx.attempt() }
    }

    /// A name for the job that no other job has, in this database or in another one.
    pub fn key(&self) -> String {
        format!("job-{}.{}", self.job, self.created_at.as_microsecond())
    }
}

/// Where a task says how far it has come; it is told in return whether to go on.
pub type Step<'a> = &'a mut dyn FnMut(f64, &str) -> Result<(), TaskError>;

/// A file in the making: it appears under its name whole or not at all.
///
/// The draft lies beside its target, since a rename is atomic only within a file system, and is gone after a failure. A
/// draft that a killed process left is taken away by the next attempt of the same job: drafts carry its number, and so
/// an attempt that was given up but still runs can no longer put its file in place.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// A draft of `target` by this attempt.
    pub fn new(target: &Path, run: &Run) -> Draft {
        for earlier in 1..run.attempt {
            fs::remove_file(draft_path(target, run.job, earlier)).ok();
        }
        Draft { path: draft_path(target, run.job, run.attempt), target: target.to_owned() }
    }

    /// Writes the file and puts it in place, durably.
    pub fn write(self, content: &[u8]) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        // The rename itself is durable once the folder is: before that a power cut may bring the old file back.
        match self.target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After the rename there is nothing under this name any more.
        fs::remove_file(&self.path).ok();
    }
}

fn draft_path(target: &Path, job: JobId, attempt: u32) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{job}-{attempt}.part"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn run(job: i64, attempt: u32) -> Run {
        let created_at = Timestamp::from_microsecond(1_763_916_039_336_066).unwrap();
        Run { job: JobId(job), created_at, attempt }
    }

    /// An empty folder that is gone after the test.
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
        // What a killed first attempt leaves.
        fs::write(folder.0.join(".a.txt.7-1.part"), "half").unwrap();
        Draft::new(&target, &run(7, 2)).write(b"one").unwrap();
        Draft::new(&target, &run(7, 3)).write(b"two").unwrap();
        assert_eq!(folder.names(), ["a.txt"]);
        assert_eq!(fs::read(&target).unwrap(), b"two");
    }

    #[test]
    fn an_attempt_that_was_overtaken_cannot_put_its_file_in_place() {
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
    fn a_failed_write_leaves_nothing() {
        let folder = Folder::new("draft-fails");
        let target = folder.0.join("taken");
        fs::create_dir(&target).unwrap();
        Draft::new(&target, &run(7, 1)).write(b"x").unwrap_err();
        assert_eq!(folder.names(), ["taken"]);
    }
}
