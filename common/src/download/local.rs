//! Files of this machine, `file://`: only below the directories that the settings allow.

use super::DownloadError;
use crate::error::Error;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use rustix::fs::{Mode, OFlags};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// Why an address may not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its path does not begin at the root.
    Relative,
    /// It is not below a directory of the settings.
    Outside,
}

/// The path of a `file://` address, as it is written there: nothing in it is encoded.
#[must_use]
pub fn path_of(url: &str) -> Option<&str> {
    let scheme = url.get(..7)?;
    scheme
        .eq_ignore_ascii_case("file://")
        .then(|| url.get(7..))?
}

/// Says whether this path may be read as far as its text says. Components are compared, not letters;
/// links are looked at when it is read.
///
/// # Errors
/// Why not.
pub fn check(path: &str, allowed: &[PathBuf]) -> Result<(), Refusal> {
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err(Refusal::Relative);
    }
    let climbs = path
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    if climbs || !allowed.iter().any(|root| path.starts_with(root)) {
        return Err(Refusal::Outside);
    }
    Ok(())
}

pub(super) async fn open(
    url: &str,
    path: &str,
    allowed: &[PathBuf],
) -> Result<super::http::Answer, DownloadError> {
    let (path, allowed) = (path.to_owned(), allowed.to_vec());
    let opened = tokio::task::spawn_blocking(move || open_now(&path, &allowed)).await;
    let opened = opened.map_err(|e| DownloadError::Ours(Error::internal(e)))?;
    let opened = opened.map_err(|reason| DownloadError::refused(url, reason))?;
    let pieces = pieces(url.to_owned(), File::from_std(opened.file));
    Ok((Some(opened.size), pieces))
}

/// A file of this machine that may be read.
#[derive(Debug)]
pub struct LocalFile {
    /// The file, open for reading.
    pub file: std::fs::File,
    /// Its size in bytes.
    pub size: u64,
    /// Where it really lies.
    pub path: PathBuf,
}

/// Opens a file below one of these directories, on a thread that may wait.
///
/// # Errors
/// Why it may not or cannot be read, for clients.
pub fn open_now(path: &str, allowed: &[PathBuf]) -> Result<LocalFile, String> {
    let outside = || "the path is not below one of remotes.allowed_import_paths".to_owned();
    check(path, allowed).map_err(|_refusal| outside())?;
    let unreadable = |e: std::io::Error| e.kind().to_string();
    // What the path really names: a link may not lead out of the allowed directories.
    let real = std::fs::canonicalize(path).map_err(unreadable)?;
    if !is_inside(&real, allowed) {
        return Err(outside());
    }
    let (file, size, path) = open_file(&real).map_err(unreadable)?;
    let size = size.ok_or("not a file")?;
    // Somebody may have put a link in the way meanwhile: what was opened counts.
    if !is_inside(&path, allowed) {
        return Err(outside());
    }
    Ok(LocalFile { file, size, path })
}

fn is_inside(real: &Path, allowed: &[PathBuf]) -> bool {
    let mut roots = allowed
        .iter()
        .filter_map(|root| std::fs::canonicalize(root).ok());
    roots.any(|root| real.starts_with(root))
}

/// Opens without waiting, as a pipe without a writer would have us do. Gives the size of a file that is a
/// regular one, and where it really lies.
fn open_file(path: &Path) -> std::io::Result<(std::fs::File, Option<u64>, PathBuf)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let found = file.metadata()?;
    let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok((file, found.is_file().then_some(found.len()), real))
}

fn pieces(url: String, file: File) -> BoxStream<'static, Result<Bytes, DownloadError>> {
    stream::try_unfold((url, file), |(url, mut file)| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await;
        let read = read.map_err(|e| DownloadError::broken(&url, e.kind().to_string()))?;
        Ok((read > 0).then(|| (piece.freeze(), (url, file))))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is_written() {
        assert_eq!(path_of("file:///a%20b?c"), Some("/a%20b?c"));
        assert_eq!(path_of("FILE://x"), Some("x"));
        assert_eq!(path_of("http://h"), None);
        assert_eq!(path_of("é"), None);
    }

    #[test]
    fn only_what_lies_below_an_allowed_directory_is_read() {
        let allowed = [PathBuf::from("/srv/in")];
        assert_eq!(check("/srv/in/a", &allowed), Ok(()));
        assert_eq!(check("srv/in/a", &allowed), Err(Refusal::Relative));
        for path in ["/srv/inside/a", "/srv/in/../x", "/srv", "/"] {
            assert_eq!(check(path, &allowed), Err(Refusal::Outside), "{path}");
        }
        assert_eq!(check("/srv/in/a", &[]), Err(Refusal::Outside));
    }
}
