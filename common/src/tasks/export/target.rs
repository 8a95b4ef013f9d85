//! The directory that an export writes into. Everything in it is reached from its open handle and below it
//! only, over no link: whatever a path says, and whoever moves directories meanwhile, nothing is written
//! elsewhere.

use super::path::Place;
use crate::ids::{ClaimId, ExportId};
use crate::tasking::TaskError;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o777);
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

/// What the client reads where the directory holds something.
pub(super) const NOT_EMPTY: &str = "Cannot export to directories that contain existing data.";

/// A directory that is being exported to, and in it the one where files are made before they get their
/// names. The latter goes when this is dropped.
pub(super) struct Target {
    path: PathBuf,
    dir: OwnedFd,
    /// `<target>/.millrace-<export>#/<claim>`
    staging: OwnedFd,
    staging_name: String,
    claim: String,
    next: AtomicU64,
    is_gone: AtomicBool,
}

/// The directory as it was found, before anything is written.
pub(super) struct Opened {
    path: PathBuf,
    dir: OwnedFd,
}

fn open_below(base: impl AsFd, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    loop {
        match rustix::fs::openat2(base.as_fd(), path, flags | OFlags::CLOEXEC, mode, resolve) {
            // A directory was moved meanwhile: the system could not tell whether this leads out.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Opens a directory below another one, and makes what is missing of it.
fn make_below(base: &OwnedFd, way: &Path) -> Result<OwnedFd, Errno> {
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
        Some(parent) => make_below(base, parent)?,
        None => return Err(Errno::NOENT),
    };
    let name = Path::new(way.file_name().unwrap_or_default());
    match rustix::fs::mkdirat(&parent, name, DIRECTORY_MODE) {
        Ok(()) | Err(Errno::EXIST) => open_below(&parent, name, DIRECTORY, Mode::empty()),
        Err(error) => Err(error),
    }
}

/// What a client reads of something that could not be written.
pub(super) fn not_written(path: &Path, error: Errno) -> String {
    let path = path.display();
    match error {
        Errno::NOSPC | Errno::DQUOT => format!("There is no room left to write '{path}'."),
        Errno::ROFS => format!("'{path}' cannot be written: the file system is read-only."),
        Errno::NOTDIR | Errno::LOOP | Errno::XDEV => {
            format!("'{path}' cannot be written: something else than a directory is in its way.")
        }
        Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY => {
            format!("'{path}' cannot be written: a directory is in its way.")
        }
        error => format!("'{path}' cannot be written: {error}"),
    }
}

fn names(
    dir: &OwnedFd,
) -> Result<impl Iterator<Item = Result<rustix::fs::DirEntry, Errno>>, Errno> {
    let itself = |name: &CStr| name == c"." || name == c"..";
    let entries = Dir::read_from(dir)?;
    Ok(entries.filter(move |entry| !entry.as_ref().is_ok_and(|e| itself(e.file_name()))))
}

/// Removes a directory with all that is in it, over no link; a missing one counts as removed.
fn remove_all(base: &OwnedFd, name: &Path) -> Result<(), Errno> {
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

fn ignore_missing(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// True where the directory exists and holds something.
///
/// # Errors
/// A text for the client where it cannot be looked at.
pub(super) fn holds_something(place: &Place) -> Result<bool, TaskError> {
    let found = open_root(place).and_then(|root| match place.below.as_os_str().is_empty() {
        true => Ok(root),
        false => open_below(&root, &place.below, DIRECTORY, Mode::empty()),
    });
    match found {
        Ok(dir) => match names(&dir).and_then(|mut names| names.next().transpose()) {
            Ok(first) => Ok(first.is_some()),
            Err(error) => Err(unusable(place, error)),
        },
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(unusable(place, error)),
    }
}

fn open_root(place: &Place) -> Result<OwnedFd, Errno> {
    // From the root of the file system, so that a link that has just been put in the way is none of it.
    let way = place.root.strip_prefix("/").unwrap_or(&place.root);
    let system = rustix::fs::openat(CWD, "/", DIRECTORY, Mode::empty())?;
    if way.as_os_str().is_empty() {
        return Ok(system);
    }
    open_below(&system, way, DIRECTORY, Mode::empty())
}

fn unusable(place: &Place, error: Errno) -> TaskError {
    TaskError::failed(not_written(&place.path(), error))
}

impl Opened {
    /// Opens the directory, and makes it where it is missing.
    ///
    /// # Errors
    /// A text for the client.
    pub fn make(place: &Place) -> Result<Self, TaskError> {
        let made = open_root(place).and_then(|root| make_below(&root, &place.below));
        Ok(Self {
            dir: made.map_err(|error| unusable(place, error))?,
            path: place.path(),
        })
    }

    /// Removes what earlier runs left unfinished, and makes the place where this one begins its files. The
    /// name of that holds a character that no exported path has, so that none can be it. With `alone`, nothing
    /// else may be in the directory: of two exports that find it empty at the same time, one sees the other.
    ///
    /// # Errors
    /// A text for the client.
    pub fn stage(self, export: ExportId, claim: ClaimId, alone: bool) -> Result<Target, TaskError> {
        let staging_name = format!(".millrace-{export}#");
        let failed = |error| TaskError::failed(not_written(&self.path, error));
        let own = Path::new(&staging_name);
        remove_all(&self.dir, own).map_err(failed)?;
        let claim = claim.to_string();
        let staging = make_below(&self.dir, &own.join(&claim)).map_err(failed)?;
        let target = Target {
            path: self.path.clone(),
            dir: self.dir.try_clone().map_err(TaskError::internal)?,
            staging,
            claim,
            staging_name,
            next: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
        };
        if alone {
            for entry in names(&self.dir).map_err(failed)? {
                if entry.map_err(failed)?.file_name().to_bytes() != target.staging_name.as_bytes() {
                    return Err(TaskError::failed(NOT_EMPTY));
                }
            }
        }
        Ok(target)
    }
}

impl Target {
    /// Where a path is, for people.
    pub fn whole(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    /// The directory.
    pub fn dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// The directory of a file of this path, made where it is missing.
    ///
    /// # Errors
    /// As the system.
    pub fn parent_of(&self, path: &str) -> Result<OwnedFd, Errno> {
        let parent = Path::new(path).parent().unwrap_or(Path::new(""));
        make_below(&self.dir, parent)
    }

    /// Makes something under a name of its own, and then gives it this name, in place of what has it.
    ///
    /// # Errors
    /// What `make` fails with, or as the system: nothing has got the name then.
    pub fn put<E>(
        &self,
        parent: &OwnedFd,
        name: &str,
        make: impl FnOnce(&OwnedFd, &str) -> Result<(), E>,
        not_named: impl FnOnce(Errno) -> E,
    ) -> Result<(), E> {
        let own = self.begin();
        let made = make(&self.staging, &own)
            .and_then(|()| self.name(&own, parent, name).map_err(not_named));
        if made.is_err() {
            self.give_up(&own);
        }
        made
    }

    /// A name in the staging directory that nothing else has.
    pub fn begin(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// Gives something of the staging directory its name.
    ///
    /// # Errors
    /// As the system.
    pub fn name(&self, own: &str, parent: &OwnedFd, name: &str) -> Result<(), Errno> {
        rustix::fs::renameat(&self.staging, own, parent, name)
    }

    /// Removes something of the staging directory. What cannot be goes with the directory.
    pub fn give_up(&self, own: &str) {
        let _ = rustix::fs::unlinkat(&self.staging, own, AtFlags::empty());
    }

    /// A new file in a directory.
    ///
    /// # Errors
    /// As the system.
    pub fn create(dir: &OwnedFd, name: &str) -> Result<std::fs::File, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        open_below(dir, Path::new(name), flags, FILE_MODE).map(Into::into)
    }

    /// The same in the staging directory.
    ///
    /// # Errors
    /// As the system.
    pub fn create_staged(&self, own: &str) -> Result<std::fs::File, Errno> {
        Self::create(&self.staging, own)
    }

    /// Removes the staging directory and waits until everything is on the disk.
    ///
    /// # Errors
    /// A text for the client.
    pub fn finish(&self) -> Result<(), TaskError> {
        let failed = |error| TaskError::failed(not_written(&self.path, error));
        remove_all(&self.dir, Path::new(&self.staging_name)).map_err(failed)?;
        self.is_gone.store(true, Ordering::Relaxed);
        rustix::fs::syncfs(&self.dir).map_err(failed)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if *self.is_gone.get_mut() {
            return;
        }
        // Only what is of this run: another one may be at work by now.
        let own = Path::new(&self.staging_name);
        if let Ok(staging) = open_below(&self.dir, own, DIRECTORY, Mode::empty()) {
            let _ = remove_all(&staging, Path::new(&self.claim));
            let _ = rustix::fs::unlinkat(&self.dir, own, AtFlags::REMOVEDIR);
        }
    }
}
