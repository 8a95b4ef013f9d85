//! The directory that an export writes into. Everything in it is reached from its open handle and below it
//! only, over no link: whatever a path says, and whoever moves directories meanwhile, nothing is written
//! elsewhere.

use super::path::Place;
use crate::below::{DIRECTORY, make_below, names, open_below, remove_all, remove_contended};
use crate::crash::{self, Point};
use crate::ids::{ClaimId, ExportId};
use crate::tasking::TaskError;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

/// What the client reads where the directory holds something.
pub(super) const NOT_EMPTY: &str = "Cannot export to directories that contain existing data.";

/// A directory that is being exported to, and in it the one where files are made before they get their
/// names. The latter goes when this is dropped.
pub(super) struct Target {
    path: PathBuf,
    dir: OwnedFd,
    /// `<target>/.millrace-<export>#/<attempt>-<claim>`
    staging: OwnedFd,
    staging_name: String,
    run: String,
    next: AtomicU64,
    is_gone: AtomicBool,
}

/// A run of an export.
pub(super) struct Run {
    /// Later runs have higher ones.
    pub attempt: i32,
    pub claim: ClaimId,
}

/// The directory as it was found, before anything is written.
pub(super) struct Opened {
    path: PathBuf,
    dir: OwnedFd,
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

/// The same of an error of the standard library.
pub(super) fn not_written_io(path: &Path, error: &std::io::Error) -> String {
    not_written(path, Errno::from_io_error(error).unwrap_or(Errno::IO))
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
    /// A text for the client; canceled where a later run is at work.
    pub fn stage(self, export: ExportId, run: &Run, alone: bool) -> Result<Target, TaskError> {
        let staging_name = staging_name(export);
        let failed = |error| TaskError::failed(not_written(&self.path, error));
        let own = Path::new(&staging_name);
        if !clear_earlier(&self.dir, own, run.attempt).map_err(failed)? {
            return Err(TaskError::Canceled);
        }
        let run = format!("{}-{}", run.attempt, run.claim);
        let staging = make_below(&self.dir, &own.join(&run)).map_err(failed)?;
        let target = Target {
            path: self.path.clone(),
            dir: self.dir.try_clone().map_err(TaskError::internal)?,
            staging,
            run,
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

/// The directory in a target where the runs of an export make their files.
fn staging_name(export: ExportId) -> String {
    format!(".millrace-{export}#")
}

/// The export whose staging directory is called so.
pub(super) fn staged_export(name: &str) -> Option<ExportId> {
    let id = name.strip_prefix(".millrace-")?.strip_suffix('#')?;
    let export = ExportId(id.parse().ok()?);
    (staging_name(export) == name).then_some(export)
}

/// Removes what earlier runs than this attempt left in the staging directory. False: a later one has begun.
fn clear_earlier(dir: &OwnedFd, staging: &Path, attempt: i32) -> Result<bool, Errno> {
    let staging = match open_below(dir, staging, DIRECTORY, Mode::empty()) {
        Ok(staging) => staging,
        Err(Errno::NOENT) => return Ok(true),
        Err(error) => return Err(error),
    };
    for entry in names(&staging)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let number = name.to_str().and_then(|name| name.split_once('-'));
        let number = number.and_then(|(number, _)| number.parse::<i32>().ok());
        if number.is_some_and(|number| number > attempt) {
            return Ok(false);
        }
        remove_contended(&staging, Path::new(name))?;
    }
    Ok(true)
}

/// Removes what the runs of an export, of which none is at work any more, left unfinished in a target. One
/// that is missing counts as cleared.
///
/// # Errors
/// As the system.
pub(super) fn clear(place: &Place, export: ExportId) -> Result<(), Errno> {
    let opened = open_root(place).and_then(|root| match place.below.as_os_str().is_empty() {
        true => Ok(root),
        false => open_below(&root, &place.below, DIRECTORY, Mode::empty()),
    });
    match opened {
        Ok(dir) => remove_contended(&dir, Path::new(&staging_name(export))),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Something on its way in the staging directory. Dropped before it has its name, it is removed.
pub(super) struct Staged<'a> {
    target: &'a Target,
    own: String,
    is_named: bool,
}

impl Staged<'_> {
    /// What it is called there.
    pub fn own(&self) -> &str {
        &self.own
    }

    /// Gives it its name, in place of what has it. Fails where the run has lost its claim and another one, or
    /// the janitor, has removed its directory.
    ///
    /// # Errors
    /// As the system.
    pub fn name(mut self, parent: &OwnedFd, name: &str) -> Result<(), Errno> {
        crash::point(Point::ExportStaged);
        rustix::fs::renameat(&self.target.staging, &self.own, parent, name)?;
        crash::point(Point::ExportNamed);
        self.is_named = true;
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.is_named {
            // What cannot be removed goes with the directory.
            let _ = rustix::fs::unlinkat(&self.target.staging, &self.own, AtFlags::empty());
        }
    }
}

/// The directory and the name of a path.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
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

    /// A directory of this path, made where it is missing.
    ///
    /// # Errors
    /// As the system.
    pub fn directory(&self, path: &str) -> Result<OwnedFd, Errno> {
        make_below(&self.dir, Path::new(path))
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
        let staged = self.begin();
        make(&self.staging, staged.own())?;
        staged.name(parent, name).map_err(not_named)
    }

    /// Makes something that is whole at once, a link, straight under a name that nothing has: to make it under
    /// a name of its own first takes twice as long. [`Errno::STALE`]: the run has lost its claim, and its
    /// directory was removed. Where that happens between this look and the link, one name more is made.
    ///
    /// # Errors
    /// What `make` fails with, or as the system.
    pub fn put_at_once(
        &self,
        parent: &OwnedFd,
        name: &str,
        make: impl FnOnce(&OwnedFd, &str) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if rustix::fs::fstat(&self.staging)?.st_nlink == 0 {
            return Err(Errno::STALE);
        }
        make(parent, name)
    }

    /// A name in the staging directory that nothing else has.
    pub fn begin(&self) -> Staged<'_> {
        Staged {
            target: self,
            own: self.next.fetch_add(1, Ordering::Relaxed).to_string(),
            is_named: false,
        }
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

    /// Removes what this run staged and waits until everything is on the disk.
    ///
    /// # Errors
    /// A text for the client.
    pub fn finish(&self) -> Result<(), TaskError> {
        let failed = |error| TaskError::failed(not_written(&self.path, error));
        self.unstage().map_err(failed)?;
        self.is_gone.store(true, Ordering::Relaxed);
        rustix::fs::syncfs(&self.dir).map_err(failed)
    }

    /// Removes only what is of this run: another one may be at work by now.
    fn unstage(&self) -> Result<(), Errno> {
        let name = Path::new(&self.staging_name);
        let staging = match open_below(&self.dir, name, DIRECTORY, Mode::empty()) {
            Ok(staging) => staging,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error),
        };
        remove_all(&staging, Path::new(&self.run))?;
        match rustix::fs::unlinkat(&self.dir, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            result => result,
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !*self.is_gone.get_mut() {
            let _ = self.unstage();
        }
    }
}

#[cfg(test)]
mod tests;
