//! A file's bytes, twice: as every program sees them, and as they are safe from a power cut. [`Inode`].
//!
//! Leans on `dice` for what a cut leaves. Names, handles and locks are not known here.

use crate::rng::Rng;

/// What a disk writes at once, or not at all.
const SECTOR: usize = 512;

/// A file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    /// As it is read.
    content: Vec<u8>,
    /// As it would be found after a power cut that takes everything not synced.
    synced: Vec<u8>,
    /// What was done to it since, in order.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// How much a power cut takes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: the disk was quicker than the cut.
    Nothing,
    /// All of it.
    Everything,
    /// All from some change on.
    Tail,
    /// Any of it, change by change, and of a write any sectors.
    Any,
}

impl Loss {
    pub(crate) fn by(dice: &mut Rng) -> Loss {
        match dice.below(8) {
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

    /// Applies some of its sectors; a length is cut whole or not at all.
    fn apply_torn(&self, bytes: &mut Vec<u8>, dice: &mut Rng) {
        let Change::Write(offset, data) = self else {
            if dice.once_in(2) {
                self.apply(bytes);
            }
            return;
        };
        let mut from = 0;
        while from < data.len() {
            // Sectors are those of the disk, not of the write.
            let to = data.len().min(((offset + from) / SECTOR + 1) * SECTOR - offset);
            if dice.once_in(2) {
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

    /// Fills `into` from `offset`; answers how many bytes there were. The rest is zeros.
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

    /// What was written is safe.
    pub(crate) fn sync(&mut self) {
        self.pending.drain(..).for_each(|change| change.apply(&mut self.synced));
    }

    /// A sync that fails. The system has given up what it could not write and calls its pages clean: programs go on reading
    /// it, and no later sync brings it to the disk.
    pub(crate) fn fail_sync(&mut self, dice: &mut Rng) {
        for change in self.pending.drain(..) {
            if dice.once_in(2) {
                change.apply_torn(&mut self.synced, dice);
            }
        }
    }

    /// The power goes.
    pub(crate) fn cut(&mut self, loss: Loss, dice: &mut Rng) {
        let changes = self.pending.len();
        let kept = match loss {
            Loss::Nothing | Loss::Any => changes,
            Loss::Everything => 0,
            Loss::Tail => dice.below(changes as u64 + 1) as usize,
        };
        for change in self.pending.drain(..).take(kept) {
            match loss {
                // Half of them as they were, since a log in which every write is torn ends at the first.
                Loss::Any if dice.once_in(4) => {}
                Loss::Any if dice.once_in(3) => change.apply_torn(&mut self.synced, dice),
                _ => change.apply(&mut self.synced),
            }
        }
        self.content.clone_from(&self.synced);
    }

    /// Changes the bytes behind everybody's back, as a disk does that rots.
    pub(crate) fn rot(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
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
    fn what_was_synced_survives_every_cut_and_what_was_not_may_be_lost_or_stay() {
        let (mut lost, mut stayed) = (0, 0);
        for seed in 0..100 {
            let mut dice = Rng::new(seed);
            let mut inode = of(b"safe");
            inode.write(4, b" risky");
            inode.cut(Loss::by(&mut dice), &mut dice);
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
            inode.cut(Loss::Any, &mut Rng::new(seed));
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
            inode.cut(Loss::Tail, &mut Rng::new(seed));
            inode.len()
        };
        let lens: std::collections::BTreeSet<usize> = (0..20).map(after).collect();
        assert_eq!(lens.into_iter().collect::<Vec<_>>(), [4, 9]);
    }

    #[test]
    fn what_a_failed_sync_gave_up_is_not_brought_back_by_a_later_one() {
        let lost = (0..20).any(|seed| {
            let mut inode = of(b"");
            inode.write(0, b"given up");
            inode.fail_sync(&mut Rng::new(seed));
            assert_eq!(inode.content(), b"given up", "programs go on reading it");
            inode.sync();
            inode.cut(Loss::Nothing, &mut Rng::new(seed));
            inode.content().is_empty()
        });
        assert!(lost);
    }
}
