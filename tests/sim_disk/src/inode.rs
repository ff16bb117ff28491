//! A file's bytes, twice: as every program sees them, and as they survive a power cut. [`Inode`].
//!
//! Depends on `rng` for what a power cut leaves. Names, handles and locks never come in.

use crate::rng::Rng;

/// The number of bytes that a disk writes at once, or not at all.
const SECTOR: usize = 512;

/// A file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    /// The bytes as programs read them.
    content: Vec<u8>,
    /// The bytes after a power cut that loses everything not synced.
    synced: Vec<u8>,
    /// Changes since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// How much of the unsynced changes a power cut loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: the disk had written all of it.
    Nothing,
    /// All of it.
    Everything,
    /// Everything from some change on.
    Tail,
    /// Any changes, and of a write any sectors.
    Any,
}

impl Loss {
    pub(crate) fn by(rng: &mut Rng) -> Loss {
        match rng.below(8) {
            0 => Loss::Nothing,
            1 => Loss::Everything,
            2 | 3 => Loss::Tail,
            _ => Loss::Any,
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(offset, data) => write(bytes, *offset, data),
            Change::Truncate(len) => bytes.truncate(*len),
        }
    }

    /// Applies some of its sectors; a truncation is applied whole or not at all.
    fn apply_torn(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        let Change::Write(offset, data) = self else {
            if rng.once_in(2) {
                self.apply(bytes);
            }
            return;
        };
        let mut from = 0;
        while from < data.len() {
            // Sectors are those of the disk, not of the write.
            let to = data.len().min(((offset + from) / SECTOR + 1) * SECTOR - offset);
            if rng.once_in(2) {
                write(bytes, offset + from, &data[from..to]);
            }
            from = to;
        }
    }
}

fn write(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

impl Inode {
    pub(crate) fn len(&self) -> usize {
        self.content.len()
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    /// Fills `into` from `offset`; returns how many bytes there were. The rest is zeros.
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> usize {
        let rest = self.content.get(offset..).unwrap_or_default();
        let there = rest.len().min(into.len());
        into[..there].copy_from_slice(&rest[..there]);
        into[there..].fill(0);
        there
    }

    pub(crate) fn write(&mut self, offset: usize, data: &[u8]) {
        write(&mut self.content, offset, data);
        self.pending.push(Change::Write(offset, data.to_vec()));
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.content.len() {
            self.content.truncate(len);
            self.pending.push(Change::Truncate(len));
        }
    }

    /// Makes everything written safe.
    pub(crate) fn sync(&mut self) {
        self.pending.drain(..).for_each(|change| change.apply(&mut self.synced));
    }

    /// A sync that fails. The system has given up what it could not write and marks its pages clean: programs
    /// still read it, and no later sync writes it to the disk.
    pub(crate) fn fail_sync(&mut self, rng: &mut Rng) {
        for change in self.pending.drain(..) {
            if rng.once_in(2) {
                change.apply_torn(&mut self.synced, rng);
            }
        }
    }

    /// The power is cut.
    pub(crate) fn cut_power(&mut self, loss: Loss, rng: &mut Rng) {
        let changes = self.pending.len();
        let kept = match loss {
            Loss::Nothing | Loss::Any => changes,
            Loss::Everything => 0,
            Loss::Tail => rng.below(changes as u64 + 1) as usize,
        };
        for change in self.pending.drain(..).take(kept) {
            match loss {
                // Half of them as they were, since a log in which every write is torn ends at the first.
                Loss::Any if rng.once_in(4) => {}
                Loss::Any if rng.once_in(3) => change.apply_torn(&mut self.synced, rng),
                _ => change.apply(&mut self.synced),
            }
        }
        self.content.clone_from(&self.synced);
    }

    /// Changes the stored bytes without any operation, as a corrupting disk does.
    pub(crate) fn corrupt(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.content);
        self.pending.clear();
        self.synced.clone_from(&self.content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &[u8]) -> Inode {
        let mut inode = Inode::default();
        inode.write(0, text);
        inode.sync();
        inode
    }

    #[test]
    fn synced_data_survives_every_power_cut_and_unsynced_data_may_be_lost_or_stay() {
        let (mut lost, mut stayed) = (0, 0);
        for seed in 0..100 {
            let mut rng = Rng::new(seed);
            let mut inode = of(b"safe");
            inode.write(4, b" risky");
            inode.cut_power(Loss::by(&mut rng), &mut rng);
            match inode.content() {
                b"safe" => lost += 1,
                b"safe risky" => stayed += 1,
                other => panic!("one sector is written whole or not at all: {other:?}"),
            }
        }
        assert!(lost > 20 && stayed > 20, "{lost} lost, {stayed} stayed");
    }

    #[test]
    fn a_write_that_is_not_synced_can_be_torn_at_the_disks_sectors() {
        let torn = (0..100).any(|seed| {
            let mut inode = of(&[0; 4 * SECTOR]);
            inode.write(100, &[1; 2 * SECTOR]);
            inode.cut_power(Loss::Any, &mut Rng::new(seed));
            let sectors: Vec<u8> = [100, SECTOR, 2 * SECTOR].map(|at| inode.content()[at]).into();
            let whole = |from: usize, to: usize| {
                inode.content()[from..to].iter().all(|byte| *byte == inode.content()[from])
            };
            assert!(whole(100, SECTOR) && whole(SECTOR, 2 * SECTOR) && whole(2 * SECTOR, 2 * SECTOR + 100));
            sectors.contains(&0) && sectors.contains(&1)
        });
        assert!(torn);
    }

    #[test]
    fn a_truncation_that_is_not_synced_can_be_lost() {
        let after = |seed| {
            let mut inode = of(b"long text");
            inode.truncate(4);
            assert_eq!(inode.content(), b"long");
            inode.cut_power(Loss::Tail, &mut Rng::new(seed));
            inode.len()
        };
        let lens: std::collections::BTreeSet<usize> = (0..20).map(after).collect();
        assert_eq!(lens.into_iter().collect::<Vec<_>>(), [4, 9]);
    }

    #[test]
    fn data_that_a_failed_sync_gave_up_is_not_written_by_a_later_one() {
        let lost = (0..20).any(|seed| {
            let mut inode = of(b"");
            inode.write(0, b"given up");
            inode.fail_sync(&mut Rng::new(seed));
            assert_eq!(inode.content(), b"given up", "programs still read it");
            inode.sync();
            inode.cut_power(Loss::Nothing, &mut Rng::new(seed));
            inode.content().is_empty()
        });
        assert!(lost);
    }
}
