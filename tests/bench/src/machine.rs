//! The machine that the figures belong to.

use std::fmt::{self, Display, Formatter};
use std::fs::{File, read_to_string};
use std::io::Write;
use std::path::Path;

use qdjobs::store::sqlite::Durability;
use serde_json::{Value, json};

use crate::Result;
use crate::bare::insert_alone;
use crate::measure::{Samples, now};
use crate::pool::NOOP;
use crate::workspace::{PAYLOAD, Workspace, params_text};

/// Pairs of a property and its value.
#[derive(Debug)]
pub(crate) struct Machine(Vec<(&'static str, String)>);

pub(crate) fn describe(workspace: &Workspace) -> Result<Machine> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read_to_string("/proc/sys/kernel/osrelease");
    let load = read_to_string("/proc/loadavg");
    let durability = match workspace.durability {
        Durability::Full => "full (WAL, synchronous = FULL): a commit survives a power failure",
        _ => "relaxed (WAL, synchronous = NORMAL): a commit survives the end of the process",
    };
    let unknown = || "unknown".to_owned();
    Ok(Machine(vec![
        ("processor", format!("{cores} cores, {}", processor().unwrap_or_else(unknown))),
        ("system", format!("{} {}", std::env::consts::OS, kernel.as_deref().unwrap_or("").trim())),
        (
            "load before",
            load.ok().and_then(|text| Some(text.split(' ').next()?.to_owned())).unwrap_or_else(unknown),
        ),
        ("file system", file_system(&workspace.dir).unwrap_or_else(unknown)),
        ("sync", sync(workspace)?),
        ("commit", commit(workspace)?),
        ("SQLite", qdjobs::rusqlite::version().to_owned()),
        ("durability", durability.to_owned()),
        ("rounds", format!("{} of each figure, after one that is discarded; medians", workspace.rounds)),
        ("sizes", if workspace.quick { "quick: not for publication" } else { "full" }.to_owned()),
    ]))
}

fn processor() -> Option<String> {
    let text = read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type and source of the mount that holds `dir`.
fn file_system(dir: &Path) -> Option<String> {
    let mounts = read_to_string("/proc/self/mountinfo").ok()?;
    let mount = |line: &str| -> Option<(usize, String)> {
        let (mount, kind) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        let mut kind = kind.split(' ');
        let named = format!("{} on {}", kind.next()?, kind.next()?);
        dir.starts_with(point).then_some((point.len(), named))
    };
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, named)| named)
}

/// How long a small synced write takes.
fn sync(workspace: &Workspace) -> Result<String> {
    let mut file: File = tempfile::tempfile_in(&workspace.dir)?;
    let mut samples = Vec::new();
    for _ in 0..workspace.size(300, 100) {
        file.write_all(&[0x71; 4096])?;
        let begun = now();
        file.sync_data()?;
        samples.push(now() - begun);
    }
    let samples = Samples::new(samples);
    Ok(format!(
        "fdatasync after 4 KiB appended: p50 {:.2} ms, p99 {:.2} ms",
        samples.at(0.5),
        samples.at(0.99)
    ))
}

/// How long one INSERT takes in its own commit.
fn commit(workspace: &Workspace) -> Result<String> {
    let db = workspace.empty()?;
    let conn = workspace.connect(&db)?;
    let text = params_text(PAYLOAD);
    let mut samples = Vec::new();
    let mut begun = now();
    insert_alone(&conn, NOOP.name, (0..workspace.size(300, 100)).map(|_| text.clone()), || {
        let end = now();
        samples.push(end - std::mem::replace(&mut begun, end));
    })?;
    let samples = Samples::new(samples);
    Ok(format!("one INSERT by rusqlite: p50 {:.2} ms, p99 {:.2} ms", samples.at(0.5), samples.at(0.99)))
}

impl Machine {
    pub(crate) fn json(&self) -> Value {
        self.0.iter().map(|(what, which)| ((*what).to_owned(), json!(which))).collect()
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, which)| writeln!(f, "- {what}: {which}"))
    }
}
