//! The command line.

use std::path::PathBuf;
use std::time::Duration;

/// What the caller asked for.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) mode: Mode,
    /// How long the faults last, over all sessions.
    pub(crate) fault_time: Duration,
    pub(crate) seed: u64,
    /// None: a directory of this run alone, in the system's directory for temporary files.
    pub(crate) dir: Option<PathBuf>,
    pub(crate) workers: usize,
    pub(crate) rate: u64,
    pub(crate) kills: usize,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Faults,
    /// Kills only, to measure how soon the jobs of a dead worker are free.
    Rescue,
    /// Checks what an earlier run left behind, and does nothing else.
    Check,
}

const HELP: &str = "usage: qdjobs-chaos [rescue | check] [--minutes N | --seconds N] [--seed N] [--dir PATH]
                    [--workers N] [--rate N] [--kills N]

Kills, stops, continues and restarts the processes of a queue at random, then checks from their histories and
the database that every promise was kept. Exit code 1 if one was not.

--minutes, --seconds   how long the faults last; 60 minutes
--seed                 the seed of all choices; taken from the clock unless given, and printed
--dir                  where the files are; an interrupted run continues in its directory
--workers              worker processes; 4
--rate                 jobs a second from each of the two processes that enqueue; 40
rescue                 kills one worker after the other and measures how soon its jobs are free; the worst must
                       be under 3 s
--kills                how many; 200
check                  checks once more what a run left in --dir";

impl Args {
    /// Reads the arguments; the error is what to print.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>, seed: u64) -> Result<Args, String> {
        let mut args = Args {
            mode: Mode::Faults,
            fault_time: Duration::from_secs(3_600),
            seed,
            dir: None,
            workers: 4,
            rate: 40,
            kills: 200,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n\n{HELP}"));
            let number = |text: String| {
                text.parse::<u64>().map_err(|error| format!("{word} {text}: {error}\n\n{HELP}"))
            };
            match word.as_str() {
                "rescue" => args.mode = Mode::Rescue,
                "check" => args.mode = Mode::Check,
                "--minutes" => args.fault_time = Duration::from_secs(number(value()?)?.saturating_mul(60)),
                "--seconds" => args.fault_time = Duration::from_secs(number(value()?)?),
                "--seed" => args.seed = number(value()?)?,
                "--dir" => args.dir = Some(value()?.into()),
                "--workers" => args.workers = (number(value()?)? as usize).max(2),
                "--rate" => args.rate = number(value()?)?.max(1),
                "--kills" => args.kills = number(value()?)? as usize,
                _ => return Err(HELP.to_owned()),
            }
        }
        if args.mode == Mode::Check && args.dir.is_none() {
            return Err(format!("check needs --dir\n\n{HELP}"));
        }
        Ok(args)
    }
}
