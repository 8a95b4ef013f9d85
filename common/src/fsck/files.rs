//! Files of the store that no row names.

use super::{BATCH, Finding, Run, What};
use crate::cause;
use crate::db;
use crate::error::Error;
use crate::models::{Tombstone, stored_file};
use crate::storage::tombstones::{self, Unlinked};
use crate::storage::{Listed, Seen, StorageKey};
use futures_util::stream::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

pub(super) async fn check(run: &mut Run<'_>) -> Result<(), Error> {
    let mut batches = run.fsck.storage.list().try_chunks(BATCH);
    let mut without_row = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| error.1)?;
        let mut old = BTreeMap::new();
        for seen in batch {
            let file = match seen {
                Seen::File(file) => file,
                Seen::Passed(name) => {
                    run.pass(name);
                    continue;
                }
                Seen::Closed(name, why) => {
                    run.add(Finding::unreadable(name, why));
                    continue;
                }
            };
            run.summary.files += 1;
            match file.key() {
                None => run.add(foreign(&file)),
                Some(_) if file.modified >= run.before => {}
                // A file and what was to become of it count once.
                Some(key) => drop(old.insert(key, file)),
            }
        }
        let found = unknown(run, old).await?;
        without_row += found.len() as u64;
        run.doubt(without_row, run.summary.files, "files")?;
        report(run, found).await?;
    }
    Ok(())
}

fn foreign(file: &Listed) -> Finding {
    Finding {
        what: What::ForeignFile,
        name: file.name.clone(),
        detail: format!("{} bytes; it is none of ours", file.size),
        done: None,
    }
}

/// Those that no row names and that are there still: what was removed properly since it was seen had a row then.
async fn unknown(
    run: &mut Run<'_>,
    files: BTreeMap<StorageKey, Listed>,
) -> Result<Vec<(StorageKey, Listed)>, Error> {
    let keys: Vec<&StorageKey> = files.keys().collect();
    let known = stored_file::known(&mut *run.fsck.db.get().await?, &keys).await?;
    let mut unknown = Vec::new();
    for (key, file) in files {
        if known.contains(key.as_str()) {
            continue;
        }
        match now(run, &key, &file).await? {
            Now::There => unknown.push((key, file)),
            Now::Gone => {}
            Now::Directory => run.add(foreign(&file)),
            Now::Closed(why) => run.add(Finding::unreadable(&file.name, why)),
        }
    }
    Ok(unknown)
}

/// What a file is that is looked at once more.
enum Now {
    There,
    Gone,
    Directory,
    /// It cannot be looked at, and why.
    Closed(String),
}

async fn now(run: &Run<'_>, key: &StorageKey, file: &Listed) -> Result<Now, Error> {
    let storage = run.fsck.storage;
    let Some(root) = storage.root() else {
        if file.name != key.as_str() {
            return Ok(Now::There);
        }
        return Ok(match storage.size(key).await {
            Ok(Some(_)) => Now::There,
            Ok(None) => Now::Gone,
            Err(error) => {
                storage.answers().await?;
                Now::Closed(cause::chain(&error))
            }
        });
    };
    // Not opened: one that is closed to us goes by its name as any other does.
    let looked = tokio::fs::symlink_metadata(root.join(&file.name)).await;
    Ok(match looked {
        Ok(meta) if meta.is_dir() => Now::Directory,
        Ok(_) => Now::There,
        Err(why) if why.kind() == ErrorKind::NotFound => Now::Gone,
        Err(why) => Now::Closed(why.to_string()),
    })
}

async fn report(run: &mut Run<'_>, mut found: Vec<(StorageKey, Listed)>) -> Result<(), Error> {
    let mut left = None;
    if run.fsck.options.repair && !found.is_empty() {
        let (buried, unlinked) = remove(run, &found).await?;
        // What has a row by now is no finding.
        found.retain(|(key, _)| buried.contains(key));
        left = Some(unlinked.failed);
    }
    for (_, file) in found {
        run.add(Finding {
            what: What::FileWithoutRow,
            detail: format!(
                "{} bytes, written {}",
                file.size,
                file.modified.format("%Y-%m-%dT%H:%M:%SZ")
            ),
            name: file.name,
            done: left.map(|left| match left {
                0 => "removed".to_owned(),
                _ => "buried; the janitor removes it".to_owned(),
            }),
        });
    }
    Ok(())
}

/// As all files go: buried first, so that the janitor removes what this does not come to. Gives what was buried.
async fn remove(
    run: &Run<'_>,
    found: &[(StorageKey, Listed)],
) -> Result<(BTreeSet<StorageKey>, Unlinked), Error> {
    let size = |file: &Listed| i64::try_from(file.size).ok();
    let files: Vec<Tombstone> = found
        .iter()
        .map(|(key, file)| Tombstone::of(key.clone(), size(file)))
        .collect();
    let (db, storage) = (run.fsck.db, run.fsck.storage);
    let buried = db::transaction(&mut *db.get().await?, async |conn| {
        Ok::<_, Error>(stored_file::bury_unknown(conn, &files).await?)
    })
    .await?;
    let unlinked = tombstones::unlink(db, storage, &buried).await?;
    let keys = buried.into_iter().map(|tombstone| tombstone.storage_key);
    Ok((keys.collect(), unlinked))
}
