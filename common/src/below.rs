//! Reaching, making and removing what lies below an open directory, and nothing else.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o777);
/// How often something is made or removed that another run removes or makes.
const TRIES: usize = 100;

/// Opens something below a directory, over no link.
///
/// # Errors
/// As the system.
pub(crate) fn open_below(
    base: impl AsFd,
    path: &Path,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    loop {
        match rustix::fs::openat2(base.as_fd(), path, flags | OFlags::CLOEXEC, mode, resolve) {
            // A directory was moved meanwhile: the system could not tell whether this leads out.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Opens a directory below another one, and makes what is missing of it. What another one removes meanwhile
/// is made again.
pub(crate) fn make_below(base: &OwnedFd, way: &Path) -> Result<OwnedFd, Errno> {
    for _ in 1..TRIES {
        match make_once(base, way) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
    }
    make_once(base, way)
}

fn make_once(base: &OwnedFd, way: &Path) -> Result<OwnedFd, Errno> {
    if way.as_os_str().is_empty() {
        return base
            .try_clone()
            .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO));
    }
    match open_below(base, way, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let parent = match way.parent() {
        Some(parent) => make_once(base, parent)?,
        None => return Err(Errno::NOENT),
    };
    let name = Path::new(way.file_name().unwrap_or_default());
    match rustix::fs::mkdirat(&parent, name, DIRECTORY_MODE) {
        Ok(()) | Err(Errno::EXIST) => open_below(&parent, name, DIRECTORY, Mode::empty()),
        Err(error) => Err(error),
    }
}

/// The names in a directory.
///
/// # Errors
/// As the system.
pub(crate) fn names(
    dir: &OwnedFd,
) -> Result<impl Iterator<Item = Result<rustix::fs::DirEntry, Errno>>, Errno> {
    let itself = |name: &CStr| name == c"." || name == c"..";
    let entries = Dir::read_from(dir)?;
    Ok(entries.filter(move |entry| !entry.as_ref().is_ok_and(|e| itself(e.file_name()))))
}

/// Removes a directory with all that is in it, over no link; a missing one counts as removed.
pub(crate) fn remove_all(base: &OwnedFd, name: &Path) -> Result<(), Errno> {
    let dir = match open_below(base, name, DIRECTORY, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in names(&dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_directory = match entry.file_type() {
            FileType::Unknown => {
                let found = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(found.st_mode) == FileType::Directory
            }
            kind => kind == FileType::Directory,
        };
        if is_directory {
            remove_all(&dir, Path::new(OsStr::from_bytes(name.to_bytes())))?;
        } else {
            ignore_missing(rustix::fs::unlinkat(&dir, name, AtFlags::empty()))?;
        }
    }
    ignore_missing(rustix::fs::unlinkat(base, name, AtFlags::REMOVEDIR))
}

/// The same while a run that does not know yet that it lost its claim may put something there.
pub(crate) fn remove_contended(base: &OwnedFd, name: &Path) -> Result<(), Errno> {
    for _ in 1..TRIES {
        match remove_all(base, name) {
            Err(Errno::NOTEMPTY | Errno::NOENT) => {}
            result => return result,
        }
    }
    remove_all(base, name)
}

fn ignore_missing(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}
