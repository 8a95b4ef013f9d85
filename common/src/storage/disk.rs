//! Whole files onto a local disk, one or many at a time.

use bytes::Bytes;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Files of a batch that are open at the same time.
const OPEN: usize = 200;
/// Threads that flush files side by side: those that come together share what the disk does for them.
const THREADS: usize = 16;

/// A file that is to be written: its place, and all its bytes.
pub type Whole = (PathBuf, Bytes);

/// Writes files that are not there, and that nobody may write again: an export may give them names that other
/// people open. They and their names are on the disk when this returns. Blocking work.
pub fn write(files: &[Whole]) -> io::Result<()> {
    files.chunks(OPEN).try_for_each(write_some)
}

fn write_some(files: &[Whole]) -> io::Result<()> {
    let mut directories = BTreeSet::new();
    let mut written = Vec::with_capacity(files.len());
    for (path, bytes) in files {
        written.push(create(path, bytes, &mut directories)?);
    }
    for directory in directories {
        written.push(File::open(directory)?);
    }
    flush(&written)
}

/// Notes the directories whose entries it changes.
fn create(path: &Path, bytes: &[u8], changed: &mut BTreeSet<PathBuf>) -> io::Result<File> {
    let directory = path.parent().unwrap_or(path);
    let open = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o444).open(path)
    };
    let mut file = match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let new = directory.ancestors().take_while(|above| !above.is_dir());
            changed.extend(new.filter_map(Path::parent).map(Path::to_owned));
            std::fs::create_dir_all(directory)?;
            open()?
        }
        opened => opened?,
    };
    file.write_all(bytes)?;
    changed.insert(directory.to_owned());
    // Somebody else may have made the directory a moment ago, and not have flushed its name.
    changed.extend(directory.parent().map(Path::to_owned));
    Ok(file)
}

fn flush(files: &[File]) -> io::Result<()> {
    let some = files.len().div_ceil(THREADS).max(1);
    let sync = |files: &[File]| files.iter().try_for_each(File::sync_all);
    if files.len() <= 2 {
        return sync(files);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = files
            .chunks(some)
            .map(|files| scope.spawn(move || sync(files)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_panic| Err(io::Error::other("a thread that flushes panicked")))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_whole_and_nobody_s_to_write_however_many_come() {
        for count in [1, 2 * THREADS, 2 * OPEN + 1] {
            let root = tempfile::tempdir().unwrap();
            let files: Vec<Whole> = (0..count)
                .map(|n| {
                    let path = root.path().join(format!("artifact/{}/{n}", n % 3));
                    (path, Bytes::from(n.to_string()))
                })
                .collect();
            write(&files).unwrap();
            write(&[(root.path().join("b/c/d"), Bytes::new())]).unwrap();
            for (path, bytes) in &files {
                assert_eq!(std::fs::read(path).unwrap(), bytes.to_vec());
                let mode = std::fs::metadata(path).unwrap().permissions().mode();
                assert_eq!(mode & 0o222, 0, "{mode:o}");
            }
            // Keys are never used twice.
            assert!(write(&files).is_err());
        }
    }

    #[test]
    fn all_directories_that_change_are_noted() {
        let root = tempfile::tempdir().unwrap();
        let mut changed = BTreeSet::new();
        create(&root.path().join("a/b/c"), b"", &mut changed).unwrap();
        let names = ["", "a", "a/b"].map(|name| root.path().join(name));
        assert_eq!(changed, BTreeSet::from(names));
    }
}
