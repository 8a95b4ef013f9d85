//! Directories in which runs of exports made their files, wherever they are left below the allowed paths.

use super::{path, target};
use crate::ids::ExportId;
use log::warn;
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

/// Looks for them below these directories, over no link; one that is not here, or closed to us, is left out. Ends where
/// `found` says false. Blocks.
///
/// # Errors
/// As the system.
pub fn find(allowed: &[PathBuf], found: &mut dyn FnMut(Leftover) -> bool) -> std::io::Result<()> {
    for root in allowed {
        if !walk(root, found)? {
            break;
        }
    }
    Ok(())
}

fn walk(directory: &Path, found: &mut dyn FnMut(Leftover) -> bool) -> std::io::Result<bool> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let directory = directory.display();
            warn!("{directory} is not looked at: {error}");
            return Ok(true);
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(true);
        }
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let goes_on = match target::staged_export(&name) {
            None => walk(&entry.path(), found)?,
            Some(export) => match entry.metadata().and_then(|meta| meta.modified()) {
                Ok(modified) => found(Leftover {
                    export,
                    modified,
                    target: directory.to_owned(),
                    name,
                }),
                Err(error) if error.kind() == ErrorKind::NotFound => true,
                Err(error) => return Err(error),
            },
        };
        if !goes_on {
            return Ok(false);
        }
    }
    Ok(true)
}
