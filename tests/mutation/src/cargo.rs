//! Builds one test and runs it: [`Cargo`].
//!
//! The test's own program is started, not cargo: so that it can be ended with all its children when it takes too long, and so
//! that a build that fails is never taken for a test that does.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;
use crate::scratch::Scratch;

/// A test that takes longer hangs. Those that wait for what does not come give up after a minute.
const PATIENCE: Duration = Duration::from_secs(180);

/// One test of the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) package: &'static str,
    /// The file in `tests/` that it is built from; `None` for those within the library.
    pub(crate) target: Option<&'static str>,
    pub(crate) name: &'static str,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Test { package, target, name } = self;
        write!(f, "{package} {} {name}", target.unwrap_or("lib"))
    }
}

/// How one run of one test went.
#[derive(Debug)]
pub(crate) enum Outcome {
    Green,
    Red,
    /// No verdict: it did not build, did not run, or did not end.
    Broken(String),
}

/// Cargo in the scratch directory.
pub(crate) struct Cargo<'a> {
    scratch: &'a Scratch,
}

impl Cargo<'_> {
    pub(crate) fn new(scratch: &Scratch) -> Cargo<'_> {
        Cargo { scratch }
    }

    /// As [`run`](Cargo::run), with the time it took.
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

    /// The program that holds the test.
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
            // Half of the time of a build goes into what only a debugger reads.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_INCREMENTAL", "1");
        let output = cargo.output().map_err(|error| format!("cargo cannot be started: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let rendered = messages(&output.stdout)
                .filter_map(|message| message["message"]["rendered"].as_str().map(str::to_owned))
                .find(|text| text.starts_with("error"));
            return Ok(Err(Outcome::Broken(format!("does not build: {}", rendered.unwrap_or(said).trim()))));
        }
        let wanted = test.target.unwrap_or("lib");
        let program = messages(&output.stdout).find_map(|message| {
            let is_ours = message["profile"]["test"] == true
                && (message["target"]["name"] == wanted || (test.target.is_none() && is_lib(&message)));
            message["executable"].as_str().filter(|_| is_ours).map(PathBuf::from)
        });
        Ok(Ok(program.ok_or_else(|| format!("cargo does not say where the program of {test} is"))?))
    }

    fn start(&self, program: &Path, test: Test) -> Result<Outcome> {
        let mut command = Command::new(program);
        command.args(["--exact", test.name, "--test-threads=1"]).env("QDJOBS_NO_SKIPS", "1");
        // Where cargo starts it, and in a group of its own.
        command.current_dir(self.scratch.folder_of(test.package)?);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        let mut output = child.stdout.take().expect("piped");
        let reader = std::thread::spawn(move || {
            let mut said = String::new();
            output.read_to_string(&mut said).map(|_| said)
        });
        let ended = wait(&mut child)?;
        let said = reader.join().map_err(|_| "the reader of a test has panicked")?;
        let said = said.map_err(|error| format!("{test} cannot be heard: {error}"))?;
        let verdict = |word: &str| said.lines().any(|line| line == format!("test {} ... {word}", test.name));
        Ok(match ended {
            None => Outcome::Broken(format!("has not ended after {} s", PATIENCE.as_secs())),
            Some(true) if verdict("ok") => Outcome::Green,
            Some(false) if verdict("FAILED") => Outcome::Red,
            Some(_) if said.contains("running 0 tests") => {
                Outcome::Broken("there is no such test".to_owned())
            }
            Some(_) => Outcome::Broken(format!("ended without a verdict: {}", said.trim())),
        })
    }
}

/// Waits for the end; answers whether it was a good one, or `None` if it had to be brought about.
#[expect(clippy::disallowed_methods, reason = "waits for a process, in real time")]
fn wait(child: &mut Child) -> Result<Option<bool>> {
    let start = Instant::now();
    loop {
        let ended = child.try_wait().map_err(|error| format!("a test cannot be waited for: {error}"))?;
        if let Some(status) = ended {
            return Ok(Some(status.success()));
        }
        if start.elapsed() > PATIENCE {
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
