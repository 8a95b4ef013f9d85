//! All files of the store, one after the other.

use super::{Storage, StorageKey, unavailable};
use crate::error::Error;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path as Location;
use std::fs::{DirEntry, Metadata};
use std::io::ErrorKind;
use std::path::Path;
use tokio::sync::mpsc;

/// The directory of all keys.
const DIRECTORY: &str = "artifact";

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

type Found = Result<Listed, Error>;

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
            if let Err(error) = walk(&root.join(DIRECTORY), DIRECTORY, 2, &sender) {
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
            .map_ok(move |meta| Listed {
                name: name(&meta.location),
                size: meta.size,
                modified: meta.last_modified,
            })
            .map_err(unavailable)
            .boxed()
    }
}

/// Sends what is in a directory, and in directories so many levels below it. What is gone meanwhile is left out.
fn walk(
    directory: &Path,
    name: &str,
    depth: usize,
    sender: &mpsc::Sender<Found>,
) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Some(meta) = metadata(&entry)? else {
            continue;
        };
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if meta.is_dir() && depth > 1 {
            walk(&entry.path(), &name, depth - 1, sender)?;
            continue;
        }
        let listed = Listed {
            name,
            size: meta.len(),
            modified: meta.modified()?.into(),
        };
        if sender.blocking_send(Ok(listed)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn metadata(entry: &DirEntry) -> std::io::Result<Option<Metadata>> {
    match entry.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        meta => meta.map(Some),
    }
}
