//! Reads the write-ahead log of a database as a file: which marks its commits contain, and whether it was begun
//! anew.
//!
//! What a mark means is decided in `connection/log_mark.rs`, when one is written in `writer/log_marker.rs`.
//!
//! Depends on std. The log is never written here. Unlike the database, the log has no lock of SQLite that would
//! be dropped when a descriptor is closed.
//!
//! The format is that of sqlite.org, "WAL-mode file format": a header, then frames, each with one page. A frame
//! is valid if its salts are those of the header and if its checksum, over all frames up to it, is right.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// Two random numbers in the header, which are new each time the log is begun anew.
pub(in crate::store::sqlite) type Salts = [u8; 8];

/// The salts of an open log; `None` if it is empty or cannot be read.
pub(in crate::store::sqlite) fn salts(log: &File) -> Option<Salts> {
    let mut header = [0; HEADER_BYTES];
    let read = read_start(log, &mut header).ok()?;
    (read == HEADER_BYTES).then(|| salts_of(&header))
}

#[cfg(unix)]
fn read_start(log: &File, bytes: &mut [u8]) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(log, bytes, 0)
}

#[cfg(windows)]
fn read_start(log: &File, bytes: &mut [u8]) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(log, bytes, 0)
}

#[cfg(not(any(unix, windows)))]
fn read_start(_: &File, _: &mut [u8]) -> std::io::Result<usize> {
    Ok(0)
}

fn salts_of(header: &[u8; HEADER_BYTES]) -> Salts {
    let mut salts = Salts::default();
    salts.copy_from_slice(&header[16..24]);
    salts
}

/// The pages of the valid frames of a log, from the first one on.
pub(in crate::store::sqlite) struct Pages<R> {
    log: R,
    salts: Salts,
    checksum: Checksum,
    page: Vec<u8>,
}

impl Pages<BufReader<File>> {
    /// The pages of the log at `path`; `None` if it has none or cannot be read.
    pub(in crate::store::sqlite) fn open(path: &Path) -> Option<Self> {
        Pages::of(BufReader::with_capacity(1 << 16, File::open(path).ok()?))
    }
}

impl<R: Read> Pages<R> {
    pub(in crate::store::sqlite) fn of(mut log: R) -> Option<Pages<R>> {
        let mut header = [0; HEADER_BYTES];
        log.read_exact(&mut header).ok()?;
        let mut checksum = Checksum::of(number(&header[..4]))?;
        checksum.add(&header[..24]);
        // The size 65,536 is stored as 1.
        let size = match number(&header[8..12]) {
            1 => 65_536,
            size => usize::try_from(size).ok()?,
        };
        let is_valid = checksum.is(&header[24..]) && size.is_power_of_two() && (512..=65_536).contains(&size);
        is_valid.then(|| Pages { log, salts: salts_of(&header), checksum, page: vec![0; size] })
    }

    /// The next page; `None` after the last valid frame.
    pub(in crate::store::sqlite) fn next(&mut self) -> Option<&[u8]> {
        let mut frame = [0; FRAME_HEADER_BYTES];
        self.log.read_exact(&mut frame).ok()?;
        self.log.read_exact(&mut self.page).ok()?;
        self.checksum.add(&frame[..8]);
        self.checksum.add(&self.page);
        (frame[8..16] == self.salts && self.checksum.is(&frame[16..])).then_some(&*self.page)
    }
}

/// The running checksum of a log.
#[derive(Clone, Copy)]
struct Checksum {
    is_big_endian: bool,
    sums: [u32; 2],
}

impl Checksum {
    /// The last bit of the log's first number tells the byte order. `None` if the number is not that of a log.
    fn of(magic: u32) -> Option<Checksum> {
        (magic & !1 == 0x377f_0682).then_some(Checksum { is_big_endian: magic & 1 == 1, sums: [0; 2] })
    }

    fn add(&mut self, bytes: &[u8]) {
        let read = if self.is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        for pair in bytes.chunks_exact(8) {
            let [a, b, c, d, e, f, g, h] = *pair else { return };
            self.sums[0] = self.sums[0].wrapping_add(read([a, b, c, d])).wrapping_add(self.sums[1]);
            self.sums[1] = self.sums[1].wrapping_add(read([e, f, g, h])).wrapping_add(self.sums[0]);
        }
    }

    fn is(&self, stored: &[u8]) -> bool {
        stored.len() == 8 && self.sums == [number(&stored[..4]), number(&stored[4..])]
    }
}

/// The number in the first four bytes, which the log's headers store in this order on every machine.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::sqlite::files::names::log_of;

    fn count(log: &[u8]) -> usize {
        let Some(mut pages) = Pages::of(log) else { return 0 };
        std::iter::from_fn(|| pages.next().map(drop)).count()
    }

    #[test]
    fn the_pages_of_a_log_end_at_the_first_frame_that_is_torn_or_of_an_earlier_log() {
        let dir = crate::store::sqlite::scratch("log-pages");
        let path = dir.join("a.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
            .unwrap();
        let log = || std::fs::read(log_of(&path)).unwrap();
        let frame = FRAME_HEADER_BYTES + 4096;
        let first = log();
        assert_eq!(count(&first), (first.len() - HEADER_BYTES) / frame);
        assert!(count(&first) >= 3);

        for byte in [HEADER_BYTES + frame, HEADER_BYTES + frame + 9, HEADER_BYTES + 2 * frame - 1] {
            let mut torn = first.clone();
            torn[byte] ^= 1;
            assert_eq!(count(&torn), 1, "byte {byte}");
        }
        assert_eq!(count(&first[..first.len() - 1]), count(&first) - 1);
        for broken in [&[][..], &first[..31], b"this is no log of SQLite, but longer than its header"] {
            assert_eq!(count(broken), 0);
        }

        let open = File::open(log_of(&path)).unwrap();
        let before = salts(&open).unwrap();
        conn.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        assert_eq!(salts(&open), Some(before));
        conn.execute_batch("PRAGMA wal_checkpoint; INSERT INTO t VALUES (3)").unwrap();
        assert_ne!(salts(&open), Some(before), "begun anew");
        assert_eq!(count(&log()), 1, "the frames behind are of the log before");
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
