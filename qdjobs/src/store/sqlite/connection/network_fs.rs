//! Refuses a database on a file system that is not known to be a local disk; the lists of types are here.
//!
//! The option that allows them is in `queue/options.rs`.
//!
//! Depends on std and on the mount table of Linux. On Windows, the path tells a share. On other platforms the type
//! of the file system is unknown, and nothing is refused. SQLite never comes in.
//!
//! SQLite's write-ahead log is not safe there. The index of the log is memory shared between processes. No
//! network file system shares it between machines, and many do not lock reliably. Two machines that write to
//! one file damage it within minutes.

use std::path::{Component, Path, Prefix};

use crate::model::error::{Error, ErrorKind, Result};

/// Types of file systems on a disk or in the memory of this machine. A type that is on neither list is
/// refused, too: new shares between machines appear every year, new local file systems hardly ever.
const LOCAL_TYPES: &[&str] = &[
    "aufs",
    "bcachefs",
    "btrfs",
    "ecryptfs",
    "erofs",
    "exfat",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "fuse.fuse-overlayfs",
    "fuseblk",
    "hfs",
    "hfsplus",
    "iso9660",
    "jffs2",
    "jfs",
    "lxfs",
    "minix",
    "msdos",
    "nilfs2",
    "ntfs",
    "ntfs3",
    "overlay",
    "overlayfs",
    "ramfs",
    "reiserfs",
    "rootfs",
    "squashfs",
    "tmpfs",
    "ubifs",
    "udf",
    "ufs",
    "vfat",
    "wslfs",
    "xfs",
    "zfs",
];

/// Types of file systems whose files another machine, or the host of a virtual machine, can change at the
/// same time.
const NETWORK_TYPES: &[&str] = &[
    "9p",
    "acfs",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "drvfs",
    "fakeowner",
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

/// Parts of the type names of such file systems when a FUSE program serves them (`fuse.sshfs`).
const NETWORK_FUSE_NAMES: &[&str] = &[
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
    "prl_fs",
    "rclone",
    "s3fs",
    "s3ql",
    "seaweedfs",
    "sshfs",
    "vmhgfs",
    "weed",
];

/// Stands for the type of a share of another machine that Windows reaches by a UNC path.
const SHARE: &str = "UNC";

/// The mount table of this process. `None` on other platforms than Linux, and where `/proc` is hidden.
pub(in crate::store::sqlite) fn mounts() -> Option<String> {
    std::fs::read_to_string("/proc/self/mountinfo").ok()
}

/// Refuses a database at `path` if that is on a network file system according to `mounts`, or on a share of Windows.
pub(in crate::store::sqlite) fn refuse(path: &Path, mounts: Option<&str>) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if is_share(path) {
        // Windows does not resolve the path of every share.
        return refuse_by(mounts, path);
    }
    // The file itself if it exists, since it may be a link. The open reports a directory that does not exist. For a
    // drive letter that stands for a share, Windows answers the path of the share.
    let Ok(place) = std::fs::canonicalize(path).or_else(|_| std::fs::canonicalize(dir)) else {
        return Ok(());
    };
    refuse_by(mounts, &place)
}

fn refuse_by(mounts: Option<&str>, place: &Path) -> Result<()> {
    let kind = if is_share(place) { Some(SHARE) } else { mounts.and_then(|mounts| type_at(mounts, place)) };
    let Some(kind) = kind.filter(|kind| !LOCAL_TYPES.contains(kind)) else { return Ok(()) };
    let place = place.display();
    let message = if is_network_type(kind) {
        format!("`{place}` is on a network file system ({kind})")
    } else {
        format!("`{place}` is on a file system of the type `{kind}`, which other machines may share")
    };
    Err(Error::new(ErrorKind::Config, message).help(
        "put the database on a local disk: SQLite's locks and shared memory do not work across machines. If \
         no other machine ever opens this file, allow it with \
         `JobQueue::options().allow_network_filesystem()`",
    ))
}

/// Whether the path is that of a share, `\\server\share`. Only Windows reads a path so.
fn is_share(place: &Path) -> bool {
    let first = place.components().next();
    matches!(first, Some(Component::Prefix(it)) if matches!(it.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..)))
}

fn is_network_type(kind: &str) -> bool {
    let served = kind.strip_prefix("fuse.").or_else(|| kind.strip_prefix("fuseblk."));
    kind == SHARE
        || NETWORK_TYPES.contains(&kind)
        || served.is_some_and(|name| NETWORK_FUSE_NAMES.iter().any(|part| name.contains(part)))
}

/// The mount points of a mount table, in its order, each with the type of its file system.
///
/// A line of mountinfo (proc(5)) is `36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/root rw`.
/// Before the dash there are zero or more options.
pub(super) fn mount_points(mounts: &str) -> impl Iterator<Item = (String, &str)> {
    mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        Some((unescape(place.split(' ').nth(4)?), kind.split(' ').next()?))
    })
}

/// The type of the file system that `dir` is on: that of the nearest mount point above it. If several file
/// systems are mounted on one point, the last one counts.
fn type_at<'a>(mounts: &'a str, dir: &Path) -> Option<&'a str> {
    let mut nearest: Option<(usize, &str)> = None;
    for (point, kind) in mount_points(mounts) {
        let depth = Path::new(&point).components().count();
        if dir.starts_with(&point) && nearest.is_none_or(|(deepest, _)| depth >= deepest) {
            nearest = Some((depth, kind));
        }
    }
    nearest.map(|(_, kind)| kind)
}

/// Decodes a mount point, in which space, tab, newline and backslash are written as three octal digits.
fn unescape(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(point.to_owned(), |point, (code, character)| point.replace(code, character))
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
39 22 0:48 / /media/psf rw - fuse.prl_fsd psf rw
40 22 0:49 / /host rw - newsharefs host rw
41 22 0:50 / /Users rw - fakeowner /run/host_mark/Users rw
42 22 0:51 / /s3 rw - fuse mountpoint-s3 rw
43 22 0:52 / /mnt/c rw - 9p C:\\134 rw
44 22 0:53 / /mnt/d rw - drvfs D: rw
45 22 0:54 / /host_mark rw - fuse.grpcfuse grpcfuse rw
46 22 0:55 / /media/sf_jobs rw - vboxsf jobs rw
";

    #[test]
    fn a_directory_has_the_type_of_the_nearest_and_latest_mount_above_it() {
        for (dir, kind) in [
            ("/var/lib", "ext4"),
            ("/srv/jobs/a/b", "nfs4"),
            ("/srv/jobs-old", "ext4"),
            ("/srv/jobs/local", "tmpfs"),
            ("/mnt/my share/x", "cifs"),
            ("/twice/over", "xfs"),
        ] {
            assert_eq!(type_at(MOUNTS, Path::new(dir)), Some(kind), "{dir}");
        }
    }

    #[test]
    fn file_systems_that_are_not_known_to_be_local_are_refused() {
        for dir in [
            "/srv/jobs",
            "/mnt/my share",
            "/work",
            "/home/ann/cloud",
            "/media/psf",
            "/host",
            "/Users",
            "/s3",
            "/mnt/c",
            "/mnt/d",
            "/host_mark",
            "/media/sf_jobs",
        ] {
            let refused = refuse_by(Some(MOUNTS), Path::new(dir)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Config, "{dir}");
            assert!(refused.to_string().contains("allow_network_filesystem"), "{refused}");
        }
        for dir in ["/", "/srv/jobs/local", "/mnt/stick", "/twice"] {
            refuse_by(Some(MOUNTS), Path::new(dir)).unwrap();
        }
        refuse_by(Some(""), Path::new("/")).unwrap();
        refuse_by(None, Path::new("/")).unwrap();
        refuse(&std::env::temp_dir().join("jobs.db"), mounts().as_deref()).unwrap();
    }

    #[cfg(windows)]
    #[test]
    fn a_share_of_windows_is_refused_and_a_drive_is_not() {
        for place in
            [r"\\files\jobs\jobs.db", r"\\?\UNC\files\jobs\jobs.db", r"\\wsl.localhost\Debian\jobs.db"]
        {
            let refused = refuse_by(None, Path::new(place)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Config, "{place}");
            assert!(refused.to_string().contains("is on a network file system (UNC)"), "{refused}");
        }
        for place in [r"C:\jobs.db", r"\\?\C:\jobs.db", r"jobs.db", r"\jobs.db"] {
            refuse_by(None, Path::new(place)).unwrap();
        }
    }
}
