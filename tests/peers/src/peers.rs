//! The list of peers.

/// A peer's package.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its folder beside this package's manifest; its program is `peer-` followed by this.
    pub(crate) dir: &'static str,
    /// The crate whose version is shown, as in the peer's lock file.
    pub(crate) named: &'static str,
    /// Built exactly as locked. qdjobs itself is not, since its dependencies may have changed.
    pub(crate) locked: bool,
}

const fn published(dir: &'static str, named: &'static str) -> Entry {
    Entry { dir, named, locked: true }
}

pub(crate) const PEERS: &[Entry] = &[
    Entry { dir: "qdjobs", named: "qdjobs", locked: false },
    published("effectum", "effectum"),
    published("apalis", "apalis-sqlite"),
    published("honker", "honker"),
    published("riverqueue", "riverqueue"),
    published("aide-de-camp", "aide-de-camp-sqlite"),
    published("rustvello", "rustvello"),
    published("uf-boson", "uf-boson"),
];

/// Crates that run on SQLite too but are not measured, with the reason.
pub(crate) const ABSENT: &[(&str, &str)] = &[
    ("fang 0.11.0", "Not tried: on SQLite it takes a task by SELECT, then UPDATE, without a transaction."),
    ("rustqueue 0.3.0", "Not tried: its library client opens memory and redb, not SQLite."),
    ("FlexiQ 2.1.0", "Not tried."),
    ("forge-jobs 0.3.7", "Not tried."),
    ("azums 1.0.1", "Not tried."),
];
