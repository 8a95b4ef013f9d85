//! Rows whose file is missing, or is another one than it should be.

use super::{BATCH, Finding, Run, What};
use crate::crash::{self, Point};
use crate::db;
use crate::error::Error;
use crate::models::detached::{Detached, detach};
use crate::models::stored_file::{Kind, StoredFile};
use crate::storage::{Hashers, Storage, Verdict, tombstones};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};

/// Files that are asked for at the same time, and those that are read.
const ASKED: usize = 32;
const READ: usize = 4;
/// Units that lose a broken file in one transaction: far from what the limit of a statement lets through.
const DETACHED: i64 = 2000;

pub(super) async fn check(run: &mut Run<'_>) -> Result<(), Error> {
    let mut wrong = 0;
    for kind in Kind::ALL {
        let mut behind = String::new();
        loop {
            let page = {
                let mut conn = run.fsck.db.get().await?;
                StoredFile::page(&mut conn, kind, &behind, BATCH as i64).await?
            };
            let Some(last) = page.last() else { break };
            behind = last.storage_key.to_string();
            run.summary.rows += page.len() as u64;
            let found = faulty(run, page).await?;
            wrong += found.len() as u64;
            run.doubt(wrong, run.summary.rows, "rows")?;
            for (file, _) in found {
                again(run, kind, file).await?;
            }
        }
    }
    Ok(())
}

async fn faulty(run: &Run<'_>, page: Vec<StoredFile>) -> Result<Vec<(StoredFile, What)>, Error> {
    let (storage, digests) = (run.fsck.storage, run.fsck.options.digests);
    let at_once = if digests { READ } else { ASKED };
    let mut looks = stream::iter(page)
        .map(|file| async move {
            let fault = fault(storage, &file, digests).await?;
            Ok::<_, Error>(fault.map(|fault| (file, fault)))
        })
        .buffer_unordered(at_once);
    let mut found = Vec::new();
    while let Some(looked) = looks.next().await {
        found.extend(looked?);
    }
    Ok(found)
}

/// What is wrong with a file.
async fn fault(storage: &Storage, file: &StoredFile, digests: bool) -> Result<Option<What>, Error> {
    let sha256 = file.sha256.as_deref().filter(|_| digests);
    let hash = |mut hashers: Hashers, piece: Bytes| {
        let hashing = tokio::task::spawn_blocking(move || {
            hashers.update(&piece);
            hashers
        });
        hashing
            .map(|hashed| hashed.map_err(Error::internal))
            .boxed()
    };
    let verdict = storage.look::<Error>(&file.storage_key, file.size, sha256, &hash);
    Ok(match verdict.await? {
        Verdict::Whole => None,
        Verdict::Missing => Some(What::RowWithoutFile),
        Verdict::Wrong => Some(What::WrongFile),
        Verdict::Unreadable => Some(What::UnreadableFile),
    })
}

/// Looks once more, now that rows that went before their files are gone.
async fn again(run: &mut Run<'_>, kind: Kind, file: StoredFile) -> Result<(), Error> {
    let fsck = &run.fsck;
    if !file.is_current(&mut *fsck.db.get().await?, kind).await? {
        return Ok(());
    }
    let Some(what) = fault(fsck.storage, &file, fsck.options.digests).await? else {
        return Ok(());
    };
    let done = match (kind, fsck.options.repair, what) {
        // One that cannot be read now may be read tomorrow.
        (_, _, What::UnreadableFile) => None,
        (Kind::Artifact, true, what) => repair(run, &file, what).await?,
        _ => None,
    };
    run.add(Finding {
        what,
        name: file.storage_key.to_string(),
        detail: format!("{} {}, {} bytes", kind.name(), file.id, file.size),
        done,
    });
    Ok(())
}

/// A unit that a remote has a source for gets its file from there when somebody asks for it. What no remote has stays
/// as it is: an upload of the same bytes restores it.
async fn repair(run: &Run<'_>, file: &StoredFile, what: What) -> Result<Option<String>, Error> {
    let (db, storage) = (run.fsck.db, run.fsck.storage);
    // A file that is missing may only be out of sight here: then its row still finds it.
    let bury = what == What::WrongFile;
    let mut units = 0;
    let last = loop {
        storage.still_there().await?;
        let detached = db::transaction(&mut *db.get().await?, async |conn| {
            Ok::<_, Error>(detach(conn, file, bury, DETACHED).await?)
        })
        .await?;
        crash::point(Point::FsckDetached);
        units += detached.units;
        if !detached.more {
            break detached;
        }
    };
    let Detached { left, buried, .. } = last;
    tombstones::unlink(db, storage, &buried).await?;
    if units == 0 {
        return Ok((!buried.is_empty()).then(|| "removed: no unit has it".to_owned()));
    }
    let rest = match left {
        0 => String::new(),
        left => format!("; {left} without a remote keep it"),
    };
    Ok(Some(format!(
        "{units} units fetch it again from their remote{rest}"
    )))
}
