//! Removing what units have stored. Everything is reached from the open storage root and below it only, over no
//! link: whatever a path says, and whoever moves directories meanwhile, nothing is removed elsewhere.

use super::place::{CONTENT, Place};
use crate::below::{DIRECTORY, names, open_below, remove_all};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A directory that is only a way.
const WAY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

/// What is to be removed.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where it lies.
    pub path: String,
    /// Somebody has begun to before.
    pub again: bool,
    /// Other units lie below it.
    pub holds_others: bool,
    /// Other units lie where it leads to, if it is one of the links on something that is shared.
    pub shares_others: bool,
}

/// Why something was not removed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The storage is not there now.
    #[error("there is no '{0}' now")]
    Away(PathBuf),
    /// It may not be removed at all.
    #[error("{0}")]
    Refused(String),
    /// The system does not do it.
    #[error("{0}")]
    System(#[from] Errno),
}

/// The storage of a Pulp 2.
pub struct Storage {
    path: PathBuf,
    root: OwnedFd,
}

impl Storage {
    /// Opens it.
    ///
    /// # Errors
    /// [`Fault::Away`] where it, or the directory of units in it, is missing, as a file system that is not
    /// mounted leaves it.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let away = |errno| match errno {
            Errno::NOENT => Fault::Away(path.join(CONTENT)),
            errno => Fault::System(errno),
        };
        let root =
            rustix::fs::openat(CWD, path, WAY | OFlags::CLOEXEC, Mode::empty()).map_err(away)?;
        open_below(&root, Path::new(CONTENT), WAY, Mode::empty()).map_err(away)?;
        Ok(Self {
            path: path.to_owned(),
            root,
        })
    }

    /// Removes something, and the directories above it that are empty then. False: it was not there.
    ///
    /// # Errors
    /// Why it is there still.
    pub fn remove(&self, stored: &Stored) -> Result<bool, Fault> {
        let place = Place::read(&stored.path, &self.path)
            .map_err(|refusal| Fault::Refused(format!("the path {refusal}")))?;
        let found = self.find(&place)?;
        let Some((parent, kind)) = found else {
            // Whoever began may have come no further than the thing itself.
            if stored.again {
                self.remove_empty_parents(&place);
            }
            return Ok(false);
        };
        let name = Path::new(place.name());
        match kind {
            FileType::Symlink if place.may_be_shared() => {
                self.unlink_shared(&place, &parent, stored.shares_others)?;
                return Ok(true);
            }
            FileType::Directory if place.is_of_type() => {
                let text = "it is the directory of a whole type";
                return Err(Fault::Refused(text.to_owned()));
            }
            FileType::Directory if stored.holds_others => {
                let text = "other units lie in this directory";
                return Err(Fault::Refused(text.to_owned()));
            }
            FileType::Directory => remove_all(&parent, name)?,
            _ => unlink(&parent, name)?,
        }
        self.remove_empty_parents(&place);
        Ok(true)
    }

    /// True where something lies there, be it a link that leads nowhere.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn holds(&self, path: &str) -> Result<bool, Fault> {
        let place = Place::read(path, &self.path)
            .map_err(|refusal| Fault::Refused(format!("the path {refusal}")))?;
        Ok(self.find(&place)?.is_some())
    }

    /// What lies there, and the directory that it is in.
    fn find(&self, place: &Place) -> Result<Option<(OwnedFd, FileType)>, Fault> {
        let parent = match open_below(&self.root, &place.parent(), WAY, Mode::empty()) {
            Ok(parent) => parent,
            // With a file in the way there is nothing behind it either.
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::LOOP | Errno::XDEV) => {
                let text = "a link is on the way to it";
                return Err(Fault::Refused(text.to_owned()));
            }
            Err(errno) => return Err(errno.into()),
        };
        match rustix::fs::statat(&parent, place.name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some((parent, FileType::from_raw_mode(found.st_mode)))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes a link and, where it is the last one, what it leads to. That goes first: while the link is there, a
    /// removal that was cut off can be told from one that has ended.
    fn unlink_shared(
        &self,
        place: &Place,
        links: &OwnedFd,
        shares_others: bool,
    ) -> Result<(), Fault> {
        let name = Path::new(place.name());
        let target = rustix::fs::readlinkat(links, name, Vec::new())?;
        let target = OsStr::from_bytes(target.to_bytes()).to_str();
        let neighbour = target.and_then(|target| place.shared_target(target, &self.path));
        if let Some(neighbour) = neighbour
            && is_alone(links, name)?
        {
            if shares_others {
                let text = "other units lie in what it leads to";
                return Err(Fault::Refused(text.to_owned()));
            }
            let directory = place.parent();
            let above = directory.parent().unwrap_or(Path::new(CONTENT));
            let above = open_below(&self.root, above, WAY, Mode::empty())?;
            remove_whatever(&above, Path::new(&neighbour))?;
        }
        unlink(links, name)?;
        Ok(())
    }

    /// From the deepest up to the first that holds something, or may not be removed.
    fn remove_empty_parents(&self, place: &Place) {
        for directory in place.parents_that_may_go() {
            let (Some(above), Some(name)) = (directory.parent(), directory.file_name()) else {
                return;
            };
            let removed = open_below(&self.root, above, WAY, Mode::empty())
                .and_then(|above| rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR));
            match removed {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(_) => return,
            }
        }
    }
}

/// True where nothing but this name is in a directory.
fn is_alone(dir: &OwnedFd, name: &Path) -> Result<bool, Errno> {
    let dir = open_below(dir, Path::new("."), DIRECTORY, Mode::empty())?;
    for entry in names(&dir)? {
        if entry?.file_name().to_bytes() != name.as_os_str().as_bytes() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn unlink(dir: &OwnedFd, name: &Path) -> Result<(), Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

fn remove_whatever(dir: &OwnedFd, name: &Path) -> Result<(), Errno> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
            remove_all(dir, name)
        }
        Ok(_) => unlink(dir, name),
    }
}

#[cfg(test)]
mod tests;
