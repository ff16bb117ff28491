//! A peer: built by cargo, then started once for each run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qdjobs_peers_common::{Figure, Report, Way, Ways};

use crate::Result;
use crate::check;
use crate::peers::Entry;

/// A process that takes longer is killed. Its own deadline is shorter, so this one is for a process that
/// hangs.
const DEADLINE: Duration = Duration::from_secs(300);

/// A program that measures one crate.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) ways: Vec<Way<String>>,
    program: PathBuf,
}

/// The result of a run, and what is in the file afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) report: Report,
    pub(crate) journal: String,
}

impl Peer {
    /// Builds it in its own workspace; the error is shown in its row.
    pub(crate) fn build(entry: &Entry) -> Result<Peer> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| home.join("target"), PathBuf::from);
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--release", "--quiet", "--manifest-path"]);
        cargo.arg(home.join(entry.dir).join("Cargo.toml")).arg("--target-dir").arg(&target);
        if entry.locked {
            cargo.arg("--locked");
        }
        if !cargo.status()?.success() {
            return Err("does not build here".into());
        }
        let program = target.join("release").join(format!("peer-{}", entry.dir));
        let program = program.with_extension(std::env::consts::EXE_EXTENSION);
        let answer = Command::new(&program).arg("describe").output()?;
        let Ways { ways } = serde_json::from_slice(&answer.stdout)?;
        let lock = fs::read_to_string(home.join(entry.dir).join("Cargo.lock"))?;
        let version = version(&lock, entry.named).ok_or("its lock file does not name it")?;
        Ok(Peer { name: entry.dir, version, ways, program })
    }

    /// Measures one figure, on a new database under `dir`, and checks the file after the process has
    /// ended.
    pub(crate) fn run(&self, way: &Way<String>, figure: Figure, amount: u64, dir: &Path) -> Result<Run> {
        let place = tempfile::Builder::new().prefix("qdjobs-peers-").tempdir_in(dir)?;
        let (database, out, err) =
            (place.path().join("jobs.db"), place.path().join("out"), place.path().join("err"));
        let mut child = Command::new(&self.program)
            .args(["run", &way.name, figure.name(), &amount.to_string()])
            .arg(&database)
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?)
            .spawn()?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > DEADLINE {
                child.kill()?;
                child.wait()?;
                return Err(format!("no end within {} s", DEADLINE.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        if !status.success() {
            let said = fs::read_to_string(&err)?;
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            return Err(last.map_or_else(|| status.to_string(), str::to_owned).into());
        }
        let report: Report = serde_json::from_str(&fs::read_to_string(&out)?)?;
        let journal = check::journal(&report.file)?;
        check::jobs(way, figure, &report)?;
        Ok(Run { report, journal })
    }
}

/// The version of a package in a lock file.
fn version(lock: &str, name: &str) -> Option<String> {
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(after.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_version_is_read_from_a_lock_file() {
        let lock = "name = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"ab\"\nversion = \"2.1.0\"\n";
        assert_eq!(super::version(lock, "ab").as_deref(), Some("2.1.0"));
        assert_eq!(super::version(lock, "b"), None);
    }
}
