//! Filling a file repository from where a remote says (contract 3.7).
//!
//! The manifest is fetched to the local disk and read from there, a batch of lines at a time; each batch
//! is one transaction. So memory does not grow with it, and a run that dies leaves nothing but units
//! without a version and files without a unit, which the next run finds.

mod address;
mod batch;
mod details;
mod fetching;
mod manifest;

use crate::content::file::PULP_TYPE;
use crate::content::is_canonical;
use crate::db::Conn;
use crate::download::{Downloader, Spooled};
use crate::error::Error;
use crate::ids::{RemoteId, RepositoryId};
use crate::models::{Remote, Repository, RepositoryVersion};
use crate::prn;
use crate::repository::{BATCH, Draft, NewVersion, PublicationDraft};
use crate::representation::Version;
use crate::storage::{Stored, Upload};
use crate::tasking::{Effects, Outcome, Resources, Task, TaskContext, TaskError};
use address::Directory;
use batch::Batches;
use bytes::Bytes;
use details::Details;
use manifest::Manifest;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Largest manifest in bytes: more than ten million lines.
const MANIFEST_BYTES: u64 = 2 << 30;

/// Lines of a batch whose files are fetched: its units are written while about as many files of the next one come as
/// may wait in memory.
const FETCHED: usize = 500;

/// What clients read where a repository that publishes by itself shall be a mirror.
pub const MIRROR_AUTOPUBLISHED: &str = "Cannot use mirror mode with autopublished repository.";

/// Makes a version with what the remote has. Its result is the version as clients see it, or null where
/// nothing changed. Safe to run again after dying at any instruction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synchronize {
    /// Where from.
    pub remote_pk: RemoteId,
    /// Where to.
    pub repository_pk: RepositoryId,
    /// True: what the remote does not have goes, and the remote's manifest is published.
    pub mirror: bool,
    /// True: nothing is done where the remote has not changed since the last time.
    #[serde(default = "yes")]
    pub optimize: bool,
    /// Another manifest than that of the remote.
    #[serde(default)]
    pub url: Option<String>,
}

fn yes() -> bool {
    true
}

impl Task for Synchronize {
    const NAME: &'static str = "pulp_file.app.tasks.synchronizing.synchronize";
    const ARGS: &'static [&'static str] =
        &["remote_pk", "repository_pk", "mirror", "optimize", "url"];
    /// It waits for others for long: that must not keep short tasks from their slots.
    const CLASS: &'static str = "storage";
    const COMPONENT: &'static str = "file";
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        Resources::exclusive(prn::repository(PULP_TYPE, self.repository_pk))
            .and_shared(prn::remote(PULP_TYPE, self.remote_pk))
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let source = Source::load(&ctx, &self).await?;
        let spooled = source.fetch_manifest(&ctx).await?;
        let newest = {
            let mut conn = ctx.session().await;
            RepositoryVersion::latest(&mut conn, self.repository_pk).await?
        };
        let details = Details::of(&source, &spooled, self.mirror, newest.as_ref());
        let last = &source.repository.last_sync_details;
        if self.optimize && details.says_skip(&ctx, last, newest.as_ref()).await? {
            let skipped = "Skipping Sync (no change from previous sync)";
            let mut report = ctx.progress(skipped, "sync.was_skipped", Some(1)).await?;
            report.add(1).await?;
            report.finish().await?;
            return Ok(Outcome::default());
        }
        let version = NewVersion::open(&ctx, self.repository_pk, None).await?;
        let version_id = version.id;
        fill(&ctx, &source, &version, reader(&spooled.file)?, self.mirror).await?;
        let draft = version.finish_all(&ctx).await?;
        let publication = if self.mirror && draft.is_some() {
            let stored = store(&ctx, reader(&spooled.file)?).await?;
            let metadata = Some((source.manifest_name(), stored));
            Some(PublicationDraft::with_metadata(
                &ctx, version_id, metadata, false,
            ))
        } else {
            None
        };
        let done = Done {
            repository: source.repository.pulp_id,
            details,
            draft,
            publication,
        };
        Ok(Outcome::flip(move |conn| {
            let done = done.clone();
            Box::pin(async move { done.flip(conn).await })
        }))
    }
}

/// What a run works with.
struct Source {
    remote: Remote,
    repository: Repository,
    /// Of the manifest.
    url: String,
    directory: Directory,
    downloader: Downloader,
}

impl Source {
    async fn load(ctx: &TaskContext, task: &Synchronize) -> Result<Self, TaskError> {
        let mut conn = ctx.session().await;
        let remote = Remote::find(&mut conn, ctx.domain(), task.remote_pk).await?;
        let remote = remote.ok_or(Error::NotFound { what: "FileRemote" })?;
        let repository = Repository::find(&conn, ctx.domain(), task.repository_pk).await?;
        let repository = repository.filter(|row| row.pulp_type == PULP_TYPE);
        let repository = repository.ok_or(Error::NotFound {
            what: "FileRepository",
        })?;
        drop(conn);
        let url = task.url.clone().unwrap_or_else(|| remote.url.clone());
        if url.is_empty() {
            let message = "Sync failed: A remote must have a url specified to synchronize.";
            return Err(TaskError::coded("PLP0013", message));
        }
        if task.mirror && repository.autopublish {
            return Err(TaskError::failed(MIRROR_AUTOPUBLISHED));
        }
        let downloader = Downloader::new(&remote, ctx.keyring(), &ctx.settings().remotes)?;
        Ok(Self {
            directory: Directory::of(&url)?,
            remote,
            repository,
            url,
            downloader,
        })
    }

    async fn fetch_manifest(&self, ctx: &TaskContext) -> Result<Spooled, TaskError> {
        let mut report = ctx
            .progress("Downloading Metadata", "sync.downloading.metadata", None)
            .await?;
        let spooled = self.downloader.spool(&self.url, MANIFEST_BYTES);
        let spooled = ctx.unless_stopped(async { Ok(spooled.await?) }).await?;
        report.add(1).await?;
        report.finish().await?;
        Ok(spooled)
    }

    /// Where a mirror publishes the manifest.
    fn manifest_name(&self) -> String {
        let name = &self.directory.manifest;
        if is_canonical(name) && !name.contains('%') {
            name.clone()
        } else {
            "PULP_MANIFEST".to_owned()
        }
    }

    fn is_immediate(&self) -> bool {
        self.remote.policy == "immediate"
    }
}

/// Another reader of the same file, at its beginning.
fn reader(file: &File) -> Result<File, TaskError> {
    let mut file = file.try_clone().map_err(TaskError::internal)?;
    file.seek(SeekFrom::Start(0)).map_err(TaskError::internal)?;
    Ok(file)
}

/// Brings all that the manifest names into the version; as a mirror, only that stays.
async fn fill(
    ctx: &TaskContext,
    source: &Source,
    version: &NewVersion,
    file: File,
    mirror: bool,
) -> Result<(), TaskError> {
    let mut batches = Batches::begin(ctx, source, version, mirror).await?;
    let mut manifest = Manifest::new(file);
    loop {
        ctx.checkpoint()?;
        let limit = if source.is_immediate() {
            FETCHED
        } else {
            usize::try_from(BATCH).unwrap_or(1)
        };
        let entries;
        (manifest, entries) = ctx
            .blocking(move || {
                let entries = manifest.next(limit);
                (manifest, entries)
            })
            .await?;
        let entries = entries?;
        if entries.is_empty() {
            break;
        }
        batches.take(entries).await?;
    }
    batches.finish().await?;
    if mirror {
        let mut report = ctx
            .progress("Un-Associating Content", "unassociating.content", None)
            .await?;
        version.remove_unkept(ctx, &mut report).await?;
        report.finish().await?;
    }
    Ok(())
}

/// Stores the remote's manifest as it came.
async fn store(ctx: &TaskContext, mut file: File) -> Result<Stored, TaskError> {
    const PIECE: u64 = 1 << 20;
    let mut upload = Upload::begin(ctx.db(), ctx.storage()).await?;
    loop {
        ctx.checkpoint()?;
        let piece;
        (file, piece) = ctx
            .blocking(move || {
                let mut piece = Vec::new();
                let read = (&mut file).take(PIECE).read_to_end(&mut piece);
                (file, read.map(|_| piece))
            })
            .await?;
        let piece = piece.map_err(TaskError::internal)?;
        if piece.is_empty() {
            return Ok(upload.finish().await?);
        }
        upload.write(Bytes::from(piece)).await?;
    }
}

/// What the last write of a run needs.
#[derive(Clone)]
struct Done {
    repository: RepositoryId,
    details: Details,
    draft: Option<Draft>,
    publication: Option<PublicationDraft>,
}

impl Done {
    async fn flip(mut self, conn: &mut Conn) -> Result<Effects, TaskError> {
        let mut effects = Effects::default();
        if let Some(draft) = &self.draft {
            let made = draft.flip(conn).await?;
            effects.created = made.created();
            self.details.most_recent_version = made.number;
            if let Some(publication) = &self.publication {
                let row = publication.flip(conn).await?;
                let prn = prn::publication(&row.pulp_type, row.pulp_id);
                effects.created.push(prn);
            }
            let row = RepositoryVersion::find(conn, made.id).await?;
            let shown = Version::load_many(conn, row.into_iter().collect()).await?;
            let result = shown.first().map(serde_json::to_value).transpose();
            effects.result = result.map_err(TaskError::internal)?;
        }
        let details = serde_json::to_value(&self.details).map_err(TaskError::internal)?;
        Repository::note_sync(conn, self.repository, &details).await?;
        Ok(effects)
    }
}
