//! Units whose file lies on this machine, `file://`: opened where the settings allow it, and as they say.

use super::fault::Fault;
use crate::download::local::{self, LocalFile};
use crate::models::ExportBytes;
use crate::storage::Hashers;
use std::fs::{File, FileTimes, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// Opens a file at the first of its sources that has it, with the size that its unit says.
///
/// # Errors
/// A text for the client: what is wrong with the last source.
pub(super) fn open(bytes: &ExportBytes, allowed: &[PathBuf]) -> Result<LocalFile, Fault> {
    // As the newest of them says.
    let size = bytes.sources.first().and_then(|newest| newest.size);
    let expected = size.and_then(|size| u64::try_from(size).ok());
    let mut last = Fault::Missing;
    for url in bytes.sources.iter().map(|source| &source.url) {
        let opened = match local::path_of(url) {
            Some(path) => local::open_now(path, allowed),
            None => return Err(Fault::Missing),
        };
        match opened {
            Ok(file) if expected.is_none_or(|size| size == file.size) => return Ok(file),
            Ok(file) => {
                let size = expected.unwrap_or_default();
                let text = format!("{} bytes instead of the expected {size}", file.size);
                last = Fault::Failed(format!("{text}, url='{url}'"));
            }
            Err(reason) => last = Fault::Failed(format!("{reason}, url='{url}'")),
        }
    }
    Err(last)
}

/// Copies a source with the time and the mode that it has.
///
/// # Errors
/// A text for the client where it cannot be read or its digest is another one; `written` says how one reads
/// that cannot be written.
pub(super) fn copy(
    from: &mut LocalFile,
    to: &mut File,
    bytes: &ExportBytes,
    stopped: impl Fn() -> bool,
    written: impl Fn(std::io::Error) -> Fault,
) -> Result<(), Fault> {
    let unreadable = |path: &PathBuf, e: std::io::Error| {
        Fault::Failed(format!("'{}' cannot be read: {}", path.display(), e.kind()))
    };
    let mut hashers = Hashers::new(&["sha256".to_owned()]).map_err(Fault::Internal)?;
    let mut piece = vec![0; PIECE];
    loop {
        if stopped() {
            return Err(Fault::Stopped);
        }
        let read = match from.file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => piece.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(&from.path, error)),
        };
        hashers.update(read);
        to.write_all(read).map_err(&written)?;
    }
    let digest = hashers.finish();
    if let Some(expected) = bytes
        .sources
        .first()
        .and_then(|newest| newest.sha256.as_ref())
        && !digest.sha256().eq_ignore_ascii_case(expected)
    {
        let path = from.path.display();
        let text = format!("'{path}' is not what its unit says: its sha256 is another one");
        return Err(Fault::Failed(text));
    }
    let about = from
        .file
        .metadata()
        .map_err(|e| unreadable(&from.path, e))?;
    if let Ok(modified) = about.modified() {
        to.set_times(FileTimes::new().set_modified(modified))
            .map_err(&written)?;
    }
    let mode = Permissions::from_mode(about.permissions().mode() & 0o777);
    to.set_permissions(mode).map_err(&written)
}
