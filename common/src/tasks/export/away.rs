//! Writing the files of an export from a store that is no file system.

use super::fault::Fault;
use super::run::{AT_ONCE, gone, look_again};
use super::source;
use super::target::{Target, not_written, not_written_io, split};
use crate::content::check_relative_path;
use crate::error::Error;
use crate::models::ExportEntry;
use crate::storage::StorageKey;
use crate::tasking::{TaskContext, TaskError};
use futures_util::stream::{self, StreamExt};
use rustix::io::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Writes a page, several files at once, until one cannot be written.
///
/// # Errors
/// A text for the client where a file cannot be had or written; as the store.
pub(super) async fn write_page(
    ctx: &TaskContext,
    target: &Arc<Target>,
    page: Vec<ExportEntry>,
) -> Result<(), TaskError> {
    let failed = AtomicBool::new(false);
    let away = Away {
        ctx,
        target,
        failed: &failed,
    };
    let results: Vec<_> = stream::iter(page)
        .map(|entry| away.write(entry))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut errors: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    // Those that stopped because of another one say nothing.
    errors.sort_by_key(|error| matches!(error, TaskError::Canceled));
    errors.into_iter().next().map_or(Ok(()), Err)
}

#[derive(Clone, Copy)]
struct Away<'a> {
    ctx: &'a TaskContext,
    target: &'a Arc<Target>,
    /// A file of the page could not be written.
    failed: &'a AtomicBool,
}

impl Away<'_> {
    async fn write(self, entry: ExportEntry) -> Result<(), TaskError> {
        let written = self.write_one(entry).await;
        if written.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        written
    }

    fn go_on(self) -> Result<(), TaskError> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(TaskError::Canceled);
        }
        self.ctx.checkpoint()
    }

    async fn write_one(self, mut entry: ExportEntry) -> Result<(), TaskError> {
        loop {
            self.go_on()?;
            check_relative_path(&entry.path).map_err(TaskError::failed)?;
            let written = match &entry.bytes.storage_key {
                Some(key) => self.ctx.unless_stopped(self.stored(&entry, key)).await,
                None => local(self.ctx, self.target, entry.clone()).await,
            };
            if written? {
                return Ok(());
            }
            let again = look_again(self.ctx, vec![entry]).await?.pop();
            entry = again.ok_or_else(|| gone(None))?;
        }
    }

    /// False: the store has no such file.
    async fn stored(self, entry: &ExportEntry, key: &StorageKey) -> Result<bool, TaskError> {
        let Self { ctx, target, .. } = self;
        let whole = target.whole(&entry.path);
        let not_written = |e: std::io::Error| TaskError::failed(not_written_io(&whole, &e));
        let mut bytes = match ctx.storage().read(key, None).await {
            Ok(bytes) => bytes,
            Err(Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let staged = target.begin();
        let (making, own) = (Arc::clone(target), staged.own().to_owned());
        let file = ctx.blocking(move || making.create_staged(&own)).await?;
        let mut file = File::from_std(file.map_err(|e| not_written(e.into()))?);
        let mut written: u64 = 0;
        while let Some(piece) = bytes.next().await {
            self.go_on()?;
            let piece = piece?;
            file.write_all(&piece).await.map_err(not_written)?;
            written += piece.len() as u64;
        }
        file.flush().await.map_err(not_written)?;
        drop(file);
        let size = entry.bytes.size.and_then(|size| u64::try_from(size).ok());
        if let Some(size) = size.filter(|size| *size != written) {
            return Err(Fault::size(&whole, written, size).into());
        }
        let (directory, name) = split(&entry.path);
        let (making, directory) = (Arc::clone(target), directory.to_owned());
        let parent = ctx
            .blocking(move || making.directory(&directory))
            .await?
            .map_err(|e| not_written(e.into()))?;
        staged
            .name(&parent, name)
            .map_err(|e| not_written(e.into()))?;
        Ok(true)
    }
}

/// A file of this machine. False: it is none any more.
async fn local(
    ctx: &TaskContext,
    target: &Arc<Target>,
    entry: ExportEntry,
) -> Result<bool, TaskError> {
    let imports = ctx.settings().remotes.allowed_import_paths.to_vec();
    let (target, stop) = (Arc::clone(target), ctx.clone());
    let copied = ctx
        .blocking(move || {
            let whole = target.whole(&entry.path);
            let failed = |e: Errno| Fault::Failed(not_written(&whole, e));
            let mut from = source::open(&entry.bytes, &imports)?;
            let (directory, name) = split(&entry.path);
            let parent = target.directory(directory).map_err(failed)?;
            let copy = |dir: &_, own: &str| {
                let mut to = Target::create(dir, own).map_err(failed)?;
                let written = |e: std::io::Error| Fault::Failed(not_written_io(&whole, &e));
                let stopped = || stop.checkpoint().is_err();
                source::copy(&mut from, &mut to, &entry.bytes, stopped, written)
            };
            target.put(&parent, name, copy, failed)
        })
        .await?;
    match copied {
        Err(Fault::Missing) => Ok(false),
        copied => copied.map(|()| true).map_err(Into::into),
    }
}
