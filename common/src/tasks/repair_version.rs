//! Repairing the files of a version (contract 4.7).

use crate::download::{Downloader, Expected};
use crate::error::Error;
use crate::ids::{ArtifactId, ContentId, RemoteId, RepositoryId, VersionId};
use crate::models::{
    Artifact, ContentArtifact, Membership, Remote, RemoteSource, RepositoryContent,
    RepositoryVersion, Tombstone,
};
use crate::prn;
use crate::repository::require_reserved;
use crate::storage::{Hashers, Stored, Verdict, tombstones};
use crate::tasking::{Outcome, Progress, Resources, Task, TaskContext, TaskError};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use log::warn;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Units whose files are looked at before the next ones are asked for.
const BATCH: i64 = 500;
/// Files that are read at the same time.
const AT_ONCE: usize = 4;

/// Looks at the file of every unit of a version: one that is missing, or whose digest is another one, is
/// fetched anew where a remote has it. What cannot be fetched is counted and logged. Each file that was
/// fetched is a write of its own under the same artifact, so it is safe to run again, and what an earlier
/// run repaired is whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairVersion {
    /// The version.
    pub repository_version_pk: VersionId,
    /// True: read every file and compare its digest. False: only look whether it is there, whole.
    pub verify_checksums: bool,
}

impl RepairVersion {
    /// What the task reserves: its repository, which the arguments do not name.
    #[must_use]
    pub fn on(pulp_type: &str, repository: RepositoryId) -> Resources {
        Resources::shared(prn::repository(pulp_type, repository))
    }
}

impl Task for RepairVersion {
    const NAME: &'static str = "pulpcore.app.tasks.repository.repair_version";
    const ARGS: &'static [&'static str] = &["repository_version_pk", "verify_checksums"];
    const CLASS: &'static str = "storage";
    const RERUN_AFTER_LOSS: bool = true;

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let found =
            RepositoryVersion::find(&mut *ctx.session().await, self.repository_version_pk).await?;
        let version = found.ok_or(Error::NotFound {
            what: "RepositoryVersion",
        })?;
        let repository = version.repository_id;
        require_reserved(&ctx, repository, |kind| Self::on(kind, repository)).await?;
        let mut repair = Repair {
            place: Membership {
                repository,
                number: version.number,
            },
            verify: self.verify_checksums,
            missing: ctx
                .progress("Identify missing units", "repair.missing", None)
                .await?,
            corrupted: ctx
                .progress("Identify corrupted units", "repair.corrupted", None)
                .await?,
            repaired: ctx
                .progress("Repair corrupted units", "repair.repaired", None)
                .await?,
            downloaders: HashMap::new(),
            ctx,
        };
        repair.all().await?;
        repair.missing.finish_as_total().await?;
        repair.corrupted.finish_as_total().await?;
        repair.repaired.finish_as_total().await?;
        Ok(Outcome::default())
    }
}

struct Repair {
    ctx: TaskContext,
    place: Membership,
    verify: bool,
    missing: Progress,
    corrupted: Progress,
    repaired: Progress,
    /// One a remote, kept for its limits; `None` where its values cannot be used.
    downloaders: HashMap<RemoteId, Option<Downloader>>,
}

impl Repair {
    async fn all(&mut self) -> Result<(), TaskError> {
        let mut behind = ContentId(Uuid::nil());
        loop {
            self.ctx.checkpoint()?;
            let artifacts = {
                let mut conn = self.ctx.session().await;
                let page = RepositoryContent::page(&mut conn, self.place, behind, BATCH).await?;
                let Some(last) = page.last() else {
                    return Ok(());
                };
                behind = *last;
                let links = ContentArtifact::of(&mut conn, &page).await?;
                let ids: BTreeSet<ArtifactId> = links
                    .into_iter()
                    .filter_map(|link| link.artifact_id)
                    .collect();
                let ids: Vec<ArtifactId> = ids.into_iter().collect();
                Artifact::find_many(&mut conn, &ids).await?
            };
            for (artifact, verdict) in self.faulty(artifacts).await? {
                self.repair(&artifact, verdict).await?;
            }
        }
    }

    /// Those whose files are not whole.
    async fn faulty(
        &self,
        artifacts: Vec<Artifact>,
    ) -> Result<Vec<(Artifact, Verdict)>, TaskError> {
        let (ctx, verify) = (&self.ctx, self.verify);
        let mut looks = stream::iter(artifacts)
            .map(|artifact| async move {
                let verdict = look(ctx, &artifact, verify).await?;
                Ok::<_, TaskError>((artifact, verdict))
            })
            .buffer_unordered(AT_ONCE);
        let mut faulty = Vec::new();
        while let Some(found) = looks.next().await {
            let (artifact, verdict) = found?;
            if verdict != Verdict::Whole {
                faulty.push((artifact, verdict));
            }
        }
        Ok(faulty)
    }

    async fn repair(&mut self, artifact: &Artifact, verdict: Verdict) -> Result<(), TaskError> {
        let id = artifact.pulp_id;
        match verdict {
            Verdict::Whole => return Ok(()),
            Verdict::Missing => self.missing.add(1).await?,
            Verdict::Wrong | Verdict::Unreadable => self.corrupted.add(1).await?,
        }
        // Nothing is fetched onto the place where a store was mounted, which would make it look like one.
        self.ctx.storage().still_there().await?;
        let Some(copy) = self.fetch(artifact).await? else {
            warn!(artifact:% = id, task_id:% = self.ctx.task();
                "the file of artifact {id} is {verdict:?}, and no remote has it");
            return Ok(());
        };
        self.ctx.storage().still_there().await?;
        let (copy_ref, old) = (&copy, &artifact.storage_key);
        let repaired = self
            .ctx
            .fenced(async |conn| {
                let key = copy_ref.take_over(conn).await?;
                let row =
                    Artifact::lock_by_sha256(conn, artifact.pulp_domain, &artifact.sha256).await?;
                match row {
                    Some(mut row) if row.storage_key == *old => {
                        // A file that is missing may only be out of this worker's sight.
                        let bury = verdict != Verdict::Missing;
                        row.attach(conn, key, bury).await?;
                        Ok(true)
                    }
                    // Deleted, or repaired by somebody else: the copy is given up.
                    _ => Err(TaskError::failed("superseded")),
                }
            })
            .await;
        match repaired {
            Ok(_) => {
                copy.recorded();
                // Content processes may remember the old key: they ask anew once they find it gone.
                let old = Tombstone::of(old.clone(), Some(artifact.size));
                tombstones::unlink(self.ctx.db(), self.ctx.storage(), &[old]).await?;
                self.repaired.add(1).await
            }
            Err(TaskError::Failed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The file, fetched from the first source that gives it.
    async fn fetch(&mut self, artifact: &Artifact) -> Result<Option<Stored>, TaskError> {
        let sources = RemoteSource::of(&mut *self.ctx.session().await, artifact.pulp_id).await?;
        let expected = Expected::sha256(artifact.size, &artifact.sha256);
        for source in sources {
            let Some(downloader) = self.downloader(source.remote_id).await? else {
                continue;
            };
            let fetching =
                downloader.fetch(&source.url, &expected, self.ctx.db(), self.ctx.storage());
            let fetched = tokio::select! {
                fetched = fetching => fetched,
                () = self.ctx.stopped() => return Err(TaskError::Canceled),
            };
            match fetched {
                Ok(stored) => return Ok(Some(stored)),
                Err(error) => warn!(error:% = error; "repair: {error}"),
            }
        }
        Ok(None)
    }

    async fn downloader(&mut self, id: RemoteId) -> Result<Option<Downloader>, TaskError> {
        if let Some(known) = self.downloaders.get(&id) {
            return Ok(known.clone());
        }
        let ctx = &self.ctx;
        let remote = Remote::find(&mut *ctx.session().await, ctx.domain(), id).await?;
        let made =
            remote.map(|remote| Downloader::new(&remote, ctx.keyring(), &ctx.settings().remotes));
        let made = match made {
            Some(Ok(downloader)) => Some(downloader),
            Some(Err(error)) => {
                warn!(error:% = error; "repair: {error}");
                None
            }
            None => None,
        };
        self.downloaders.insert(id, made.clone());
        Ok(made)
    }
}

/// What the file of an artifact is. A store that does not answer says nothing about it: then the task is handed back, ten
/// times at most, and fails after that.
async fn look(ctx: &TaskContext, artifact: &Artifact, verify: bool) -> Result<Verdict, TaskError> {
    let hash = |mut hashers: Hashers, piece: Bytes| {
        let hashing = async move {
            ctx.checkpoint()?;
            let update = move || {
                hashers.update(&piece);
                hashers
            };
            ctx.blocking(update).await
        };
        hashing.boxed()
    };
    let sha256 = verify.then_some(artifact.sha256.as_str());
    let looking = ctx
        .storage()
        .look(&artifact.storage_key, artifact.size, sha256, &hash);
    ctx.unless_stopped(looking).await
}
