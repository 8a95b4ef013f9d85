//! Files of the store that no row names.

use super::{BATCH, Finding, Run, What};
use crate::db;
use crate::error::Error;
use crate::models::{Tombstone, stored_file};
use crate::storage::tombstones::{self, Unlinked};
use crate::storage::{Listed, StorageKey};
use futures_util::stream::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn check(run: &mut Run<'_>) -> Result<(), Error> {
    let mut batches = run.fsck.storage.list().try_chunks(BATCH);
    let mut strays = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| error.1)?;
        run.summary.files += batch.len() as u64;
        let mut old = BTreeMap::new();
        for file in batch {
            match file.key() {
                None => run.add(foreign(&file)),
                Some(_) if file.modified >= run.before => {}
                // A file and what was to become of it count once.
                Some(key) => drop(old.insert(key, file)),
            }
        }
        let found = unknown(run, old).await?;
        strays += found.len() as u64;
        run.doubt(strays, run.summary.files, "files")?;
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
    run: &Run<'_>,
    files: BTreeMap<StorageKey, Listed>,
) -> Result<Vec<(StorageKey, Listed)>, Error> {
    let keys: Vec<&StorageKey> = files.keys().collect();
    let known = stored_file::known(&mut *run.fsck.db.get().await?, &keys).await?;
    let mut unknown = Vec::new();
    for (key, file) in files {
        if !known.contains(key.as_str()) && is_there(run, &key, &file).await? {
            unknown.push((key, file));
        }
    }
    Ok(unknown)
}

async fn is_there(run: &Run<'_>, key: &StorageKey, file: &Listed) -> Result<bool, Error> {
    if file.name == key.as_str() {
        return Ok(run.fsck.storage.size(key).await?.is_some());
    }
    let Some(root) = run.fsck.storage.root() else {
        return Ok(true);
    };
    let there = tokio::fs::try_exists(root.join(&file.name)).await;
    there.map_err(|error| Error::Unavailable {
        what: "artifact store",
        source: error.into(),
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
