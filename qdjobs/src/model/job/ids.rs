//! The numbers of jobs and workers, as text and as JSON: [`JobId`] and [`WorkerId`].
//!
//! Does not choose a number: a store numbers its jobs, and a worker draws its own id at random
//! (`model/rng.rs`).
//!
//! Depends on serde.

use std::fmt;
use std::ops::RangeInclusive;
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
/// The upper 32 bits are the same for all workers of one process: they die together. If they are 0 or
/// negative, the id tells nothing about a process.
///
/// Texts and JSON have it as 16 hexadecimal digits, since many JSON readers hold large integers only roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub i64);

impl WorkerId {
    /// An id with the number of a process as its upper half.
    pub(crate) fn in_process(process: u32, number: u32) -> WorkerId {
        WorkerId(i64::from(process & 0x7fff_ffff) << 32 | i64::from(number))
    }

    /// Another id of the same process.
    pub(crate) fn renewed(self, number: u32) -> WorkerId {
        WorkerId(self.0 >> 32 << 32 | i64::from(number))
    }

    /// The ids that the workers of the same process have.
    pub(crate) fn process(self) -> RangeInclusive<i64> {
        let first = self.0 >> 32 << 32;
        if first <= 0 { self.0..=self.0 } else { first..=first | 0xffff_ffff }
    }
}

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
    fn workers_of_one_process_have_ids_of_one_range_and_others_have_none_of_it() {
        let (ann, bob) = (WorkerId::in_process(7, 1), WorkerId::in_process(7, u32::MAX));
        assert_eq!(ann.process(), bob.process());
        assert!(ann.process().contains(&ann.0) && ann.process().contains(&bob.0));
        assert_eq!(ann.renewed(u32::MAX), bob);
        for stranger in [WorkerId::in_process(6, u32::MAX), WorkerId::in_process(8, 0)] {
            assert!(!ann.process().contains(&stranger.0), "{stranger}");
        }
        assert!(WorkerId::in_process(u32::MAX, 1).0 > 0);
        for alone in [0, 7, -1, i64::MIN].map(WorkerId) {
            assert_eq!(alone.process(), alone.0..=alone.0);
        }
    }

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
