//! Directories in which runs of exports made their files, wherever they are left below the allowed paths.

use super::{path, target};
use crate::ids::ExportId;
use crate::storage::is_file_systems_own;
use log::warn;
use std::fs::ReadDir;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// One of them.
#[derive(Clone, Debug)]
pub struct Leftover {
    /// The export.
    pub export: ExportId,
    /// When something in it changed.
    pub modified: SystemTime,
    target: PathBuf,
    name: String,
}

impl Leftover {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.target.join(&self.name)
    }

    /// Removes it; one that is gone counts as removed.
    ///
    /// # Errors
    /// Why it is there still.
    pub fn remove(&self, allowed: &[PathBuf]) -> Result<(), String> {
        let place = path::find_now(&self.target, allowed)
            .map_err(|refusal| refusal.about(&self.target.display().to_string()))?;
        target::clear(&place, self.export).map_err(|errno| errno.to_string())
    }
}

/// What a look comes upon.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Such a directory.
    Leftover(Leftover),
    /// A name that the file system itself has given.
    Passed(PathBuf),
    /// A directory that cannot be looked at, and why; what is below it is not seen.
    Closed(PathBuf, String),
}

/// Nobody listens any more.
struct Over;

/// Looks for them below these directories, over no link; one that is not here, or closed to us, is left out. Ends where
/// `tell` says false. Blocks.
pub fn find(allowed: &[PathBuf], tell: &mut dyn FnMut(Seen) -> bool) {
    for root in allowed {
        if walk(root, tell).is_err() {
            break;
        }
    }
}

fn walk(directory: &Path, tell: &mut dyn FnMut(Seen) -> bool) -> Result<(), Over> {
    match std::fs::read_dir(directory) {
        Ok(entries) => look_through(directory, entries, tell),
        // What is closed to us is none of ours: an export could not have been written there.
        Err(why) if why.kind() == ErrorKind::PermissionDenied => {
            let directory = directory.display();
            warn!("{directory} is not looked at: {why}");
            Ok(())
        }
        Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        Err(why) => say(tell, closed(directory, &why)),
    }
}

fn look_through(
    directory: &Path,
    entries: ReadDir,
    tell: &mut dyn FnMut(Seen) -> bool,
) -> Result<(), Over> {
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            // The rest of it is not given.
            Err(why) => return say(tell, closed(directory, &why)),
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_file_systems_own(&name) {
            say(tell, Seen::Passed(entry.path()))?;
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {}
            // Not every file system says it with the name: what went meanwhile has none.
            Err(why) if why.kind() != ErrorKind::NotFound => {
                say(tell, closed(&entry.path(), &why))?;
                continue;
            }
            _ => continue,
        }
        let Some(export) = target::staged_export(&name) else {
            walk(&entry.path(), tell)?;
            continue;
        };
        match entry.metadata().and_then(|meta| meta.modified()) {
            Ok(modified) => {
                let leftover = Leftover {
                    export,
                    modified,
                    target: directory.to_owned(),
                    name,
                };
                say(tell, Seen::Leftover(leftover))?;
            }
            Err(why) if why.kind() == ErrorKind::NotFound => {}
            Err(why) => say(tell, closed(&entry.path(), &why))?,
        }
    }
    Ok(())
}

fn closed(path: &Path, why: &std::io::Error) -> Seen {
    Seen::Closed(path.to_owned(), why.to_string())
}

fn say(tell: &mut dyn FnMut(Seen) -> bool, seen: Seen) -> Result<(), Over> {
    tell(seen).then_some(()).ok_or(Over)
}
