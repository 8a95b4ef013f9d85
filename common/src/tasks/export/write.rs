//! Writing the files of an export: as copies, as further names of the stored files, or as links to them.

use super::fault::Fault;
use super::source;
use super::target::{Target, not_written, not_written_io, split};
use crate::content::check_relative_path;
use crate::error::Error;
use crate::models::{ExportBytes, ExportEntry};
use crate::storage::StorageKey;
use crate::tasking::TaskError;
use log::warn;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that are copied before the next look whether to stop.
const PIECE: usize = 8 << 20;
/// The same where the system does not copy by itself.
const SMALL_PIECE: usize = 256 * 1024;

/// How files are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Write,
    Hardlink,
    Symlink,
}

impl Method {
    /// By the word of the contract.
    pub fn parse(word: &str) -> Self {
        match word {
            "hardlink" => Self::Hardlink,
            "symlink" => Self::Symlink,
            _ => Self::Write,
        }
    }
}

/// Writes files of a store on a local file system.
pub(super) struct Writer {
    pub target: Arc<Target>,
    /// Where the store is, as a path and open.
    root: PathBuf,
    store: OwnedFd,
    method: Method,
    /// `remotes.allowed_import_paths`
    imports: Vec<PathBuf>,
    /// True: hard links cannot be made here.
    must_copy: AtomicBool,
    /// False: the file systems do not share blocks.
    may_clone: AtomicBool,
    stopped: AtomicBool,
}

/// One file on its way: its directory, its name there, and how people read it.
struct Way<'a> {
    parent: &'a OwnedFd,
    name: &'a str,
    whole: PathBuf,
}

impl Way<'_> {
    fn not_written(&self, error: Errno) -> Fault {
        Fault::Failed(not_written(&self.whole, error))
    }

    fn not_written_io(&self, error: &std::io::Error) -> Fault {
        Fault::Failed(not_written_io(&self.whole, error))
    }
}

/// Something that may get a further name.
struct Original<'a> {
    dir: BorrowedFd<'a>,
    path: &'a str,
    flags: AtFlags,
}

/// Why something has no further name.
enum Unlinked {
    Original(Errno),
    Name(Errno),
}

impl Writer {
    /// Writes into this directory.
    ///
    /// # Errors
    /// A fault of ours where the store cannot be opened.
    pub fn new(
        target: Arc<Target>,
        root: &Path,
        method: Method,
        imports: Vec<PathBuf>,
    ) -> Result<Self, TaskError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let store = rustix::fs::open(root, flags, Mode::empty()).map_err(TaskError::internal)?;
        let device = |dir: &OwnedFd| rustix::fs::fstat(dir).map(|found| found.st_dev);
        let here = device(target.dir()).map_err(TaskError::internal)?;
        let there = device(&store).map_err(TaskError::internal)?;
        let writer = Self {
            target,
            root: root.to_owned(),
            store,
            method,
            imports,
            must_copy: AtomicBool::new(false),
            may_clone: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
        };
        if method == Method::Hardlink && here != there {
            writer.fall_back();
        }
        Ok(writer)
    }

    fn fall_back(&self) {
        if !self.must_copy.swap(true, Ordering::Relaxed) {
            warn!("Hard link cannot be created, file will be copied.");
        }
    }

    /// Writes these files, in this order; gives those whose bytes were not where they should be, or stops
    /// at the first that cannot be written.
    pub fn write(
        &self,
        entries: Vec<ExportEntry>,
        asked_to_stop: impl Fn() -> bool,
    ) -> Result<Vec<ExportEntry>, Fault> {
        let stopped = || self.stopped.load(Ordering::Relaxed) || asked_to_stop();
        let mut missing = Vec::new();
        let mut last: Option<(String, OwnedFd)> = None;
        for entry in entries {
            if stopped() {
                return Err(Fault::Stopped);
            }
            match self.write_one(&entry, &mut last, &stopped) {
                Ok(()) => {}
                Err(Fault::Missing) => missing.push(entry),
                Err(fault) => {
                    self.stopped.store(true, Ordering::Relaxed);
                    return Err(fault);
                }
            }
        }
        Ok(missing)
    }

    fn write_one(
        &self,
        entry: &ExportEntry,
        last: &mut Option<(String, OwnedFd)>,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), Fault> {
        let path = entry.path.as_str();
        check_relative_path(path).map_err(Fault::Failed)?;
        let (directory, name) = split(path);
        let whole = self.target.whole(path);
        let parent = match last {
            Some((known, parent)) if known == directory => parent,
            _ => {
                let opened = self.target.directory(directory);
                let opened = opened.map_err(|e| Fault::Failed(not_written(&whole, e)))?;
                &mut last.insert((directory.to_owned(), opened)).1
            }
        };
        let way = Way {
            parent,
            name,
            whole,
        };
        match &entry.bytes.storage_key {
            Some(key) => self.stored(&way, key, entry.bytes.size, stopped),
            None => self.local(&way, &entry.bytes, stopped),
        }
    }

    fn stored(
        &self,
        way: &Way<'_>,
        key: &StorageKey,
        size: Option<i64>,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), Fault> {
        match self.method {
            Method::Hardlink if !self.must_copy.load(Ordering::Relaxed) => {
                let original = Original {
                    dir: self.store.as_fd(),
                    path: key.as_str(),
                    flags: AtFlags::empty(),
                };
                if self.link(way, &original)? {
                    return Ok(());
                }
            }
            Method::Symlink => {
                rustix::fs::statat(&self.store, key.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(unread)?;
                return self.symlink(way, &self.root.join(key.as_str()));
            }
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let from = rustix::fs::openat(&self.store, key.as_str(), flags, Mode::empty());
        let mut from = File::from(from.map_err(unread)?);
        let expected = size.and_then(|size| u64::try_from(size).ok());
        self.target.put(
            way.parent,
            way.name,
            |dir, own| {
                let mut to = Target::create(dir, own).map_err(|e| way.not_written(e))?;
                let copied = self.copy(way, &mut from, &mut to, stopped)?;
                match expected {
                    Some(size) if size != copied => Err(Fault::size(&way.whole, copied, size)),
                    _ => Ok(()),
                }
            },
            |error| way.not_written(error),
        )
    }

    fn local(
        &self,
        way: &Way<'_>,
        bytes: &ExportBytes,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), Fault> {
        let mut from = source::open(bytes, &self.imports)?;
        match self.method {
            Method::Hardlink => {
                // By its handle, so that it is the file that was looked at.
                let path = format!("/proc/self/fd/{}", from.file.as_raw_fd());
                let original = Original {
                    dir: CWD,
                    path: &path,
                    flags: AtFlags::SYMLINK_FOLLOW,
                };
                if self.link(way, &original)? {
                    return Ok(());
                }
            }
            Method::Symlink => return self.symlink(way, &from.path),
            Method::Write => {}
        }
        self.target.put(
            way.parent,
            way.name,
            |dir, own| {
                let mut to = Target::create(dir, own).map_err(|e| way.not_written(e))?;
                let written = |e: std::io::Error| way.not_written_io(&e);
                source::copy(&mut from, &mut to, bytes, stopped, written)
            },
            |error| way.not_written(error),
        )
    }

    /// Gives something a further name. False: the file systems do not allow it, a copy must do.
    fn link(&self, way: &Way<'_>, original: &Original<'_>) -> Result<bool, Fault> {
        let link = |dir: &OwnedFd, name: &str| {
            rustix::fs::linkat(original.dir, original.path, dir, name, original.flags)
        };
        let linked = match self.target.put_at_once(way.parent, way.name, link) {
            Err(Errno::EXIST) if is_same(way, original)? => Ok(()),
            // Of an earlier run, with other bytes: replaced whole.
            Err(Errno::EXIST) => {
                let make = |dir: &OwnedFd, own: &str| link(dir, own).map_err(Unlinked::Original);
                self.target.put(way.parent, way.name, make, Unlinked::Name)
            }
            linked => linked.map_err(Unlinked::Original),
        };
        match linked {
            Ok(()) => Ok(true),
            Err(Unlinked::Original(Errno::STALE)) => Err(Fault::Stopped),
            // Of this one file: it has as many names as can be.
            Err(Unlinked::Original(Errno::MLINK)) => Ok(false),
            Err(Unlinked::Original(Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP)) => {
                // A source lies elsewhere than the store: that says nothing about the others.
                if original.flags.is_empty() {
                    self.fall_back();
                }
                Ok(false)
            }
            Err(Unlinked::Original(Errno::NOENT)) => Err(Fault::Missing),
            Err(Unlinked::Original(error) | Unlinked::Name(error)) => Err(way.not_written(error)),
        }
    }

    fn symlink(&self, way: &Way<'_>, to: &Path) -> Result<(), Fault> {
        let link = |dir: &OwnedFd, own: &str| rustix::fs::symlinkat(to, dir, own);
        match self.target.put_at_once(way.parent, way.name, link) {
            Err(Errno::EXIST) => self.target.put(way.parent, way.name, link, |error| error),
            linked => linked,
        }
        .map_err(|error| match error {
            Errno::STALE => Fault::Stopped,
            error => way.not_written(error),
        })
    }

    /// Copies the bytes of a stored file, without passing them through here where the system can; gives how
    /// many.
    fn copy(
        &self,
        way: &Way<'_>,
        from: &mut File,
        to: &mut File,
        stopped: &dyn Fn() -> bool,
    ) -> Result<u64, Fault> {
        if self.may_clone.load(Ordering::Relaxed) {
            match rustix::fs::ioctl_ficlone(&*to, &*from) {
                Ok(()) => return Ok(from.metadata().map_err(|e| way.not_written_io(&e))?.len()),
                Err(_) => self.may_clone.store(false, Ordering::Relaxed),
            }
        }
        let mut copied: u64 = 0;
        loop {
            if stopped() {
                return Err(Fault::Stopped);
            }
            match rustix::fs::copy_file_range(&*from, None, &*to, None, PIECE) {
                Ok(0) => return Ok(copied),
                Ok(more) => copied += more as u64,
                Err(Errno::INTR) => {}
                Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL)
                    if copied == 0 =>
                {
                    return pass(way, from, to, stopped);
                }
                Err(error) => return Err(way.not_written(error)),
            }
        }
    }
}

/// Copies bytes through memory.
fn pass(
    way: &Way<'_>,
    from: &mut File,
    to: &mut File,
    stopped: &dyn Fn() -> bool,
) -> Result<u64, Fault> {
    let mut piece = vec![0; SMALL_PIECE];
    let mut copied = 0;
    loop {
        if stopped() {
            return Err(Fault::Stopped);
        }
        match from.read(&mut piece) {
            Ok(0) => return Ok(copied),
            Ok(read) => {
                let bytes = piece.get(..read).unwrap_or_default();
                to.write_all(bytes).map_err(|e| way.not_written_io(&e))?;
                copied += read as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
        }
    }
}

/// Why a stored file cannot be had.
fn unread(error: Errno) -> Fault {
    match error {
        Errno::NOENT => Fault::Missing,
        error => Fault::Internal(Error::Unavailable {
            what: "artifact store",
            source: std::io::Error::from(error).into(),
        }),
    }
}

/// True where a name is one of the original already.
fn is_same(way: &Way<'_>, original: &Original<'_>) -> Result<bool, Fault> {
    let there = rustix::fs::statat(way.parent, way.name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| way.not_written(error))?;
    let flags = if original.flags.is_empty() {
        AtFlags::SYMLINK_NOFOLLOW
    } else {
        AtFlags::empty()
    };
    let here = rustix::fs::statat(original.dir, original.path, flags).map_err(unread)?;
    let is_file = FileType::from_raw_mode(there.st_mode) == FileType::RegularFile;
    Ok(is_file && (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino))
}
