//! All files of the store, one after the other.

use super::{DIRECTORY, Storage, StorageKey, unavailable};
use crate::error::Error;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path as Location;
use std::fs::{DirEntry, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;
use tokio::sync::mpsc;

/// Files that are read ahead.
const AHEAD: usize = 1000;

/// Something that lies where the files of the store do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name below the root of the store.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it was written, by the clock of the store.
    pub modified: DateTime<Utc>,
}

impl Listed {
    /// The key whose file it is, or is about to become; `None`: it has no name that we give.
    #[must_use]
    pub fn key(&self) -> Option<StorageKey> {
        StorageKey::of_file(&self.name)
    }
}

/// What a look at the store comes upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A file, or what else has a name there.
    File(Listed),
    /// A name that the file system itself has given, see [`is_file_systems_own`].
    Passed(String),
    /// A directory or a file that cannot be looked at, and why; what is below it is not seen.
    Closed(String, String),
}

/// True for what a file system keeps beside the files of people: what NFS calls a file that was removed while
/// somebody had it open, and where a check of the file system puts what it found.
#[must_use]
pub fn is_file_systems_own(name: &str) -> bool {
    let removed = name.strip_prefix(".nfs");
    name == "lost+found"
        || removed.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

type Found = Result<Seen, Error>;

impl Storage {
    /// All that lies where files of the store do, in no order and in constant memory. What comes or goes meanwhile may
    /// be in it or not.
    #[must_use]
    pub fn list(&self) -> BoxStream<'static, Found> {
        let Some(root) = self.root.clone() else {
            return self.list_remote();
        };
        let (sender, mut receiver) = mpsc::channel(AHEAD);
        // Ends by itself once nobody listens any more.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = begin(&root.join(DIRECTORY), &sender) {
                let _ = sender.blocking_send(Err(unavailable(error)));
            }
        });
        stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
    }

    fn list_remote(&self) -> BoxStream<'static, Found> {
        // As the store spells it: some characters have another form in names.
        let prefix = Location::from(&*self.prefix).to_string();
        let below = match prefix.as_str() {
            "" => DIRECTORY.to_owned(),
            _ => format!("{}/{DIRECTORY}", self.prefix),
        };
        let found = self.store.list(Some(&Location::from(below)));
        let name = move |location: &Location| {
            let name: &str = location.as_ref();
            let own = name.strip_prefix(&prefix).unwrap_or(name);
            own.trim_start_matches('/').to_owned()
        };
        found
            .map_ok(move |meta| {
                Seen::File(Listed {
                    name: name(&meta.location),
                    size: meta.size,
                    modified: meta.last_modified,
                })
            })
            .map_err(unavailable)
            .boxed()
    }
}

/// Nobody listens any more.
struct Over;

/// Sends all that is below the directory of all files; where that cannot be read, nothing can be said.
fn begin(directory: &Path, sender: &mpsc::Sender<Found>) -> io::Result<()> {
    match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(entries) => {
            let _: Result<(), Over> = walk(entries, DIRECTORY, 2, sender);
            Ok(())
        }
    }
}

/// Sends what is in a directory, and in directories so many levels below it. What is gone meanwhile is left out.
fn walk(
    entries: std::fs::ReadDir,
    directory: &str,
    depth: usize,
    sender: &mpsc::Sender<Found>,
) -> Result<(), Over> {
    let send = |seen: Seen| sender.blocking_send(Ok(seen)).map_err(|_closed| Over);
    let closed = |name: &str, why: &io::Error| Seen::Closed(name.to_owned(), why.to_string());
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            // The rest of it is not given.
            Err(why) => return send(closed(directory, &why)),
        };
        let own = entry.file_name().to_string_lossy().into_owned();
        let name = format!("{directory}/{own}");
        if is_file_systems_own(&own) {
            send(Seen::Passed(name))?;
            continue;
        }
        let seen = match metadata(&entry) {
            Ok(None) => continue,
            Ok(Some((meta, _))) if meta.is_dir() && depth > 1 => {
                match std::fs::read_dir(entry.path()) {
                    Err(why) if why.kind() == ErrorKind::NotFound => continue,
                    Err(why) => closed(&name, &why),
                    Ok(entries) => {
                        walk(entries, &name, depth - 1, sender)?;
                        continue;
                    }
                }
            }
            Ok(Some((meta, modified))) => Seen::File(Listed {
                name,
                size: meta.len(),
                modified,
            }),
            Err(why) => closed(&name, &why),
        };
        send(seen)?;
    }
    Ok(())
}

fn metadata(entry: &DirEntry) -> io::Result<Option<(Metadata, DateTime<Utc>)>> {
    match entry.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(meta) => {
            let modified = meta.modified()?.into();
            Ok(Some((meta, modified)))
        }
    }
}
