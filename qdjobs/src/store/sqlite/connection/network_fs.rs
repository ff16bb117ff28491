//! File systems of other machines, on which SQLite's write-ahead log is not safe: they are refused.
//!
//! Leans on std, and on what the kernel of Linux says of its mounts; elsewhere nothing is known and nothing refused. The log's
//! index is memory shared between processes, which no such file system shares between machines, and many do not lock
//! reliably: the file is damaged within minutes of work from two sides.

use std::path::Path;

use crate::model::error::{Error, ErrorKind, Result};

/// Types of file systems whose files another machine (or the other side of a virtual one) may change at the same time.
const REMOTE: &[&str] = &[
    "9p",
    "acfs",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse.ceph",
    "gfs2",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "prl_fs",
    "pvfs2",
    "smb2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
];

/// Parts of the names by which such file systems go when a program serves them (`fuse.sshfs`).
const REMOTE_FUSE: &[&str] = &[
    "blobfuse",
    "ceph",
    "curlftpfs",
    "davfs",
    "gcsfuse",
    "geesefs",
    "gluster",
    "goofys",
    "google-drive",
    "grpcfuse",
    "juicefs",
    "moose",
    "onedriver",
    "osxfs",
    "rclone",
    "s3fs",
    "s3ql",
    "seaweedfs",
    "sshfs",
    "vmhgfs",
    "weed",
];

/// What is mounted where, as the kernel says it; nothing is known where there is no Linux, or where that is hidden.
pub(in crate::store::sqlite) fn mounts() -> Option<String> {
    std::fs::read_to_string("/proc/self/mountinfo").ok()
}

/// Refuses a database at `path` if that is, by `mounts`, on another machine's disk.
pub(in crate::store::sqlite) fn refuse(path: &Path, mounts: &str) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The file, if it is there: it may be a link. A directory that is not there is told by the open.
    let Ok(place) = std::fs::canonicalize(path).or_else(|_| std::fs::canonicalize(dir)) else {
        return Ok(());
    };
    refuse_by(mounts, &place)
}

fn refuse_by(mounts: &str, place: &Path) -> Result<()> {
    let Some(kind) = kind_of(mounts, place).filter(|kind| is_remote(kind)) else { return Ok(()) };
    Err(Error::new(
        ErrorKind::Config,
        format!("`{}` is on a file system of the type {kind}, shared with another machine", place.display()),
    )
    .help(
        "put the database on a disk of this machine: SQLite's locks and shared memory do not reach across. If nobody else \
         ever opens it there, `JobQueue::options().allow_network_filesystem()` takes the risk",
    ))
}

fn is_remote(kind: &str) -> bool {
    let served = kind.strip_prefix("fuse.").or_else(|| kind.strip_prefix("fuseblk."));
    REMOTE.contains(&kind) || served.is_some_and(|name| REMOTE_FUSE.iter().any(|part| name.contains(part)))
}

/// The type of the file system that `dir` is on: of the mounts above it the suggest, and of those on one place the last.
///
/// A line of mountinfo (proc(5)): `36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/root rw`, where the
/// options before the dash may be none or many.
fn kind_of<'a>(mounts: &'a str, dir: &Path) -> Option<&'a str> {
    let mut suggest: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let Some((place, kind)) = line.split_once(" - ") else { continue };
        let (Some(point), Some(kind)) = (place.split(' ').nth(4), kind.split(' ').next()) else { continue };
        let point = unescape(point);
        let depth = Path::new(&point).components().count();
        if dir.starts_with(&point) && suggest.is_none_or(|(deepest, _)| depth >= deepest) {
            suggest = Some((depth, kind));
        }
    }
    suggest.map(|(_, kind)| kind)
}

/// Space, tab, newline and backslash stand as three octal digits.
fn unescape(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(point.to_owned(), |point, (code, sign)| point.replace(code, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
25 22 0:23 / /proc rw,nosuid - proc proc rw
31 22 0:40 / /srv/jobs rw,relatime shared:7 master:1 - nfs4 files:/jobs rw,vers=4.2
32 31 0:41 / /srv/jobs/local rw - tmpfs tmpfs rw
33 22 0:42 / /mnt/my\\040share rw - cifs //files/share rw
34 22 0:43 / /work rw - virtiofs work rw
35 22 0:44 / /home/ann/cloud rw - fuse.rclone cloud: rw
36 22 0:45 / /mnt/stick rw - fuseblk /dev/sdb1 rw
37 22 0:46 / /twice rw - nfs files:/twice rw
38 22 0:47 / /twice rw - xfs /dev/vdb rw
";

    #[test]
    fn a_directory_is_judged_by_the_nearest_and_latest_mount_above_it() {
        for (dir, kind) in [
            ("/var/lib", "ext4"),
            ("/srv/jobs/a/b", "nfs4"),
            ("/srv/jobs-old", "ext4"),
            ("/srv/jobs/local", "tmpfs"),
            ("/mnt/my share/x", "cifs"),
            ("/twice/over", "xfs"),
        ] {
            assert_eq!(kind_of(MOUNTS, Path::new(dir)), Some(kind), "{dir}");
        }
    }

    #[test]
    fn other_machines_disks_are_refused_and_own_ones_are_not() {
        for dir in ["/srv/jobs", "/mnt/my share", "/work", "/home/ann/cloud"] {
            let refused = refuse_by(MOUNTS, Path::new(dir)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Config, "{dir}");
            assert!(refused.to_string().contains("allow_network_filesystem"), "{refused}");
        }
        for dir in ["/", "/srv/jobs/local", "/mnt/stick", "/twice"] {
            refuse_by(MOUNTS, Path::new(dir)).unwrap();
        }
        refuse_by("", Path::new("/")).unwrap();
        refuse(&std::env::temp_dir().join("jobs.db"), &mounts().unwrap_or_default()).unwrap();
    }
}
