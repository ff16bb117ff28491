//! SQLite's five levels of lock on one file: [`FileLocks`].
//!
//! Depends only on the names of the levels. Each handle is an owner of its own, also among handles of one
//! process.

use std::collections::BTreeMap;

use rusqlite::ffi;

/// The level of each owner: none, shared, reserved, pending or exclusive, by SQLite's numbers.
#[derive(Debug, Default)]
pub(crate) struct FileLocks(BTreeMap<u64, i32>);

impl FileLocks {
    /// Raises `owner` to `level`, if the others allow it. An owner that asks for exclusive while there are
    /// readers stays at pending, which keeps new readers out.
    pub(crate) fn raise(&mut self, owner: u64, level: i32) -> bool {
        let highest = self.others(owner).max().unwrap_or(ffi::SQLITE_LOCK_NONE);
        let current = self.level(owner);
        if current >= level {
            return true;
        }
        let granted = match level {
            ffi::SQLITE_LOCK_SHARED => highest < ffi::SQLITE_LOCK_PENDING,
            ffi::SQLITE_LOCK_RESERVED => highest < ffi::SQLITE_LOCK_RESERVED,
            _ => highest < ffi::SQLITE_LOCK_SHARED,
        };
        if granted {
            self.0.insert(owner, level);
        } else if level == ffi::SQLITE_LOCK_EXCLUSIVE && highest < ffi::SQLITE_LOCK_RESERVED {
            self.0.insert(owner, ffi::SQLITE_LOCK_PENDING);
        }
        granted
    }

    /// Lowers `owner` to shared or none.
    pub(crate) fn lower(&mut self, owner: u64, level: i32) {
        if level == ffi::SQLITE_LOCK_NONE {
            self.0.remove(&owner);
        } else if self.level(owner) > level {
            self.0.insert(owner, level);
        }
    }

    /// Whether an owner intends to write.
    pub(crate) fn is_reserved(&self) -> bool {
        self.0.values().any(|level| *level >= ffi::SQLITE_LOCK_RESERVED)
    }

    fn level(&self, owner: u64) -> i32 {
        self.0.get(&owner).copied().unwrap_or(ffi::SQLITE_LOCK_NONE)
    }

    fn others(&self, owner: u64) -> impl Iterator<Item = i32> {
        self.0.iter().filter(move |(holder, _)| **holder != owner).map(|(_, level)| *level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffi::{
        SQLITE_LOCK_EXCLUSIVE as EXCLUSIVE, SQLITE_LOCK_NONE as NONE, SQLITE_LOCK_RESERVED as RESERVED,
        SQLITE_LOCK_SHARED as SHARED,
    };

    #[test]
    fn many_owners_read_beside_one_that_prepares_to_write_and_none_beside_one_that_writes() {
        let mut locks = FileLocks::default();
        assert!(locks.raise(1, SHARED) && locks.raise(2, SHARED));
        assert!(locks.raise(1, RESERVED) && locks.is_reserved());
        assert!(!locks.raise(2, RESERVED) && locks.raise(3, SHARED));
        assert!(!locks.raise(1, EXCLUSIVE), "others hold a shared lock");
        assert!(!locks.raise(4, SHARED), "an owner waits for the readers to finish");
        locks.lower(2, NONE);
        locks.lower(3, NONE);
        assert!(locks.raise(1, EXCLUSIVE) && !locks.raise(2, SHARED));
        locks.lower(1, SHARED);
        assert!(locks.raise(2, SHARED) && !locks.is_reserved());
    }
}
