//! Builds one test and runs it: [`Cargo`].
//!
//! It starts the test's own program, not cargo. So it can kill the program with all its children when it
//! takes too long, and a build that fails is never counted as a test that fails.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;
use crate::scratch::Scratch;

/// A test that takes longer hangs. A test that waits in vain fails after a minute at most.
const DEADLINE: Duration = Duration::from_secs(180);

/// One test of the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) package: &'static str,
    /// The file in `tests/` that it is built from; `None` for the unit tests of the library.
    pub(crate) target: Option<&'static str>,
    pub(crate) name: &'static str,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Test { package, target, name } = self;
        write!(f, "{package} {} {name}", target.unwrap_or("lib"))
    }
}

/// The result of one run of one test.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// No result: it did not build, did not run, or did not end.
    Broken(String),
}

/// Runs cargo in the scratch directory.
pub(crate) struct Cargo<'a> {
    scratch: &'a Scratch,
}

impl Cargo<'_> {
    pub(crate) fn new(scratch: &Scratch) -> Cargo<'_> {
        Cargo { scratch }
    }

    /// As [`run`](Cargo::run), and measures the time.
    #[expect(clippy::disallowed_methods, reason = "this is about real time")]
    pub(crate) fn timed(&self, test: Test) -> Result<(Outcome, Duration)> {
        let start = Instant::now();
        let outcome = self.run(test)?;
        Ok((outcome, start.elapsed()))
    }

    /// Builds and runs one test.
    pub(crate) fn run(&self, test: Test) -> Result<Outcome> {
        match self.build(test)? {
            Ok(program) => self.start(&program, test),
            Err(broken) => Ok(broken),
        }
    }

    /// Builds the program that contains the test.
    fn build(&self, test: Test) -> Result<Result<PathBuf, Outcome>> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--no-run", "--locked", "--message-format=json", "-p", test.package]);
        match test.target {
            None => cargo.arg("--lib"),
            Some(target) => cargo.args(["--test", target]),
        };
        let cargo = cargo
            .current_dir(self.scratch.dir())
            .env("CARGO_TARGET_DIR", self.scratch.target())
            // Debug information takes half of the time of a build.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_INCREMENTAL", "1");
        let output = cargo.output().map_err(|error| format!("cargo cannot be started: {error}"))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            let rendered = messages(&output.stdout)
                .filter_map(|message| message["message"]["rendered"].as_str().map(str::to_owned))
                .find(|text| text.starts_with("error"));
            return Ok(Err(Outcome::Broken(format!(
                "does not build: {}",
                rendered.unwrap_or(errors).trim()
            ))));
        }
        let wanted = test.target.unwrap_or("lib");
        let program = messages(&output.stdout).find_map(|message| {
            let is_ours = message["profile"]["test"] == true
                && (message["target"]["name"] == wanted || (test.target.is_none() && is_lib(&message)));
            message["executable"].as_str().filter(|_| is_ours).map(PathBuf::from)
        });
        Ok(Ok(program.ok_or_else(|| format!("cargo does not report the program of {test}"))?))
    }

    fn start(&self, program: &Path, test: Test) -> Result<Outcome> {
        let mut command = Command::new(program);
        command.args(["--exact", test.name, "--test-threads=1"]).env("QDJOBS_NO_SKIPS", "1");
        // In cargo's working directory, and in a process group of its own.
        command.current_dir(self.scratch.folder_of(test.package)?);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        let mut stdout = child.stdout.take().expect("piped");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let ended = wait(&mut child)?;
        let output = reader.join().map_err(|_| "the reader of a test has panicked")?;
        let output = output.map_err(|error| format!("the output of {test} cannot be read: {error}"))?;
        let verdict =
            |word: &str| output.lines().any(|line| line == format!("test {} ... {word}", test.name));
        Ok(match ended {
            None => Outcome::Broken(format!("has not ended after {} s", DEADLINE.as_secs())),
            Some(true) if verdict("ok") => Outcome::Passed,
            Some(false) if verdict("FAILED") => Outcome::Failed,
            Some(_) if output.contains("running 0 tests") => {
                Outcome::Broken("there is no such test".to_owned())
            }
            Some(_) => Outcome::Broken(format!("ended without a result: {}", output.trim())),
        })
    }
}

/// Waits for the end; returns whether it was a success, or `None` if the test had to be killed.
#[expect(clippy::disallowed_methods, reason = "waits for a process, in real time")]
fn wait(child: &mut Child) -> Result<Option<bool>> {
    let start = Instant::now();
    loop {
        let ended = child.try_wait().map_err(|error| format!("a test cannot be waited for: {error}"))?;
        if let Some(status) = ended {
            return Ok(Some(status.success()));
        }
        if start.elapsed() > DEADLINE {
            // The whole group: a test may have processes of its own.
            let group = format!("-{}", child.id());
            let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
            if !killed.is_ok_and(|status| status.success()) {
                child.kill().map_err(|error| format!("a test cannot be ended: {error}"))?;
            }
            child.wait().map_err(|error| format!("a test cannot be waited for: {error}"))?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_lib(message: &Value) -> bool {
    message["target"]["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "lib"))
}

fn messages(output: &[u8]) -> impl Iterator<Item = Value> {
    output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}
