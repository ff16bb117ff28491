//! The machine that the figures belong to.

use std::collections::BTreeMap;
use std::fs::read_to_string;

use crate::args::Args;

/// Pairs of a property and its value. Systems other than Linux report less.
pub(crate) fn describe(args: &Args) -> BTreeMap<&'static str, String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let first = |path: &str, field: &str| -> Option<String> {
        let text = read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(field))?;
        Some(line.rsplit(": ").next()?.trim().to_owned())
    };
    let unknown = || "unknown".to_owned();
    let processor = first("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
    let kernel = first("/proc/sys/kernel/osrelease", "").unwrap_or_default();
    let sizes = if args.quick { "quick: not for publication" } else { "full" };
    BTreeMap::from([
        ("processor", format!("{cores} cores, {processor}")),
        ("system", format!("{} {kernel}", std::env::consts::OS)),
        ("load before", first("/proc/loadavg", "").unwrap_or_else(unknown)),
        ("rounds", format!("{}; medians, with minimum and maximum", args.rounds)),
        ("sizes", sizes.to_owned()),
    ])
}
