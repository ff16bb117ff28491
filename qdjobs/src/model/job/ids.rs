//! The numbers of jobs and workers, as text and as JSON: [`JobId`] and [`WorkerId`].
//!
//! Does not choose a number: a store numbers its jobs, and a worker draws its own id at random
//! (`model/rng.rs`).
//!
//! Depends on serde.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// The number of a job: unique in its database, and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<JobId, Self::Err> {
        text.parse().map(JobId)
    }
}

/// The number of a worker. It is random at each start, so a restarted worker is a different worker.
///
/// Texts and JSON have it as 16 hexadecimal digits, since many JSON readers hold large integers only roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub i64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for WorkerId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<WorkerId, Self::Err> {
        u64::from_str_radix(text, 16).map(|bits| WorkerId(bits.cast_signed()))
    }
}

impl Serialize for WorkerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WorkerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WorkerId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_id_is_read_back_from_its_text() {
        for id in [0, 7, i64::MAX, i64::MIN, -1].map(WorkerId) {
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(json, format!("\"{id}\""));
            assert_eq!(serde_json::from_str::<WorkerId>(&json).unwrap(), id);
        }
        serde_json::from_str::<WorkerId>("\"worker\"").unwrap_err();
    }
}
