//! Writing the files of an export from a store that is no file system.

use super::fault::Fault;
use super::run::{AT_ONCE, gone, look_again};
use super::source;
use super::target::{Target, not_written};
use crate::content::check_relative_path;
use crate::error::Error;
use crate::models::ExportEntry;
use crate::storage::StorageKey;
use crate::tasking::{TaskContext, TaskError};
use futures_util::stream::{self, StreamExt};
use rustix::io::Errno;
use std::path::Path;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Writes a page, several files at once.
///
/// # Errors
/// A text for the client where a file cannot be had or written; as the store.
pub(super) async fn write_page(
    ctx: &TaskContext,
    target: &Arc<Target>,
    page: Vec<ExportEntry>,
) -> Result<(), TaskError> {
    let results: Vec<_> = stream::iter(page)
        .map(|entry| write_one(ctx, target, entry))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    results.into_iter().collect()
}

async fn write_one(
    ctx: &TaskContext,
    target: &Arc<Target>,
    mut entry: ExportEntry,
) -> Result<(), TaskError> {
    loop {
        ctx.checkpoint()?;
        let written = match &entry.bytes.storage_key {
            Some(key) => ctx.unless_stopped(stored(ctx, target, &entry, key)).await,
            None => local(ctx, target, entry.clone()).await,
        };
        match written {
            Ok(true) => return Ok(()),
            Ok(false) => {
                let again = look_again(ctx, vec![entry]).await?.pop();
                entry = again.ok_or_else(|| gone(None))?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// False: the store has no such file.
async fn stored(
    ctx: &TaskContext,
    target: &Arc<Target>,
    entry: &ExportEntry,
    key: &StorageKey,
) -> Result<bool, TaskError> {
    check_relative_path(&entry.path).map_err(TaskError::failed)?;
    let whole = target.whole(&entry.path);
    let failed = |e: std::io::Error| {
        let error = Errno::from_io_error(&e).unwrap_or(Errno::IO);
        TaskError::failed(not_written(&whole, error))
    };
    let mut bytes = match ctx.storage().read(key, None).await {
        Ok(bytes) => bytes,
        Err(Error::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let own = target.begin();
    let (making, name) = (Arc::clone(target), own.clone());
    let file = ctx.blocking(move || making.create_staged(&name)).await?;
    let mut file = File::from_std(file.map_err(|e| failed(e.into()))?);
    let mut written: u64 = 0;
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        file.write_all(&piece).await.map_err(failed)?;
        written += piece.len() as u64;
    }
    file.flush().await.map_err(failed)?;
    drop(file);
    let size = entry.bytes.size.and_then(|size| u64::try_from(size).ok());
    if size.is_some_and(|size| size != written) {
        let text = format!("The stored file of '{}' has {written} bytes.", entry.path);
        return Err(TaskError::failed(text));
    }
    let (naming, path) = (Arc::clone(target), entry.path.clone());
    let named = ctx.blocking(move || name_it(&naming, &own, &path)).await?;
    named.map_err(|e| failed(e.into()))?;
    Ok(true)
}

fn name_it(target: &Target, own: &str, path: &str) -> Result<(), Errno> {
    let parent = target.parent_of(path)?;
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    target.name(own, &parent, name)
}

/// A file of this machine. False: it is none any more.
async fn local(
    ctx: &TaskContext,
    target: &Arc<Target>,
    entry: ExportEntry,
) -> Result<bool, TaskError> {
    check_relative_path(&entry.path).map_err(TaskError::failed)?;
    let imports = ctx.settings().remotes.allowed_import_paths.to_vec();
    let (target, stop) = (Arc::clone(target), ctx.clone());
    let copied = ctx
        .blocking(move || {
            let whole = target.whole(&entry.path);
            let failed = |e: Errno| Fault::Failed(not_written(&whole, e));
            let mut from = source::open(&entry.bytes, &imports)?;
            let parent = target.parent_of(&entry.path).map_err(failed)?;
            let name = Path::new(&entry.path).file_name().unwrap_or_default();
            let name = name.to_string_lossy();
            let copy = |dir: &_, own: &str| {
                let mut to = Target::create(dir, own).map_err(failed)?;
                let written =
                    |e: std::io::Error| failed(Errno::from_io_error(&e).unwrap_or(Errno::IO));
                let stopped = || stop.checkpoint().is_err();
                source::copy(&mut from, &mut to, &entry.bytes, stopped, written)
            };
            target.put(&parent, &name, copy, failed)
        })
        .await?;
    match copied {
        Err(Fault::Missing) => Ok(false),
        copied => copied.map(|()| true).map_err(Into::into),
    }
}
