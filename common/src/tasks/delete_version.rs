//! Deleting a version of a repository (contract 1.7, 3.0).

use crate::ids::{RepositoryId, VersionId};
use crate::models::RepositoryVersion;
use crate::prn;
use crate::repository::{Recounts, delete_newest, delete_older, require_reserved};
use crate::tasking::{Effects, Outcome, Resources, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// Deletes a version with its publications; no other version changes by it. Safe to run again after dying
/// at any instruction: an older version goes in the last write, and the newest one is gone for everybody
/// once its deletion has begun, whoever completes it: this task, its next run, the next task on the
/// repository, or the janitor. A cancel that comes after that is too late to keep it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteVersion {
    /// The version.
    pub pk: VersionId,
}

impl DeleteVersion {
    /// What the task reserves: its repository, which the arguments do not name.
    #[must_use]
    pub fn on(pulp_type: &str, repository: RepositoryId) -> Resources {
        Resources::exclusive(prn::repository(pulp_type, repository))
    }
}

impl Task for DeleteVersion {
    const NAME: &'static str = "pulpcore.app.tasks.repository.delete_version";
    const ARGS: &'static [&'static str] = &["pk"];
    const RERUN_AFTER_LOSS: bool = true;

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let (id, domain) = (self.pk, ctx.domain());
        // The run before this one came as far as to begin, and the janitor did the rest.
        if ctx.attempt() > 1 && !RepositoryVersion::exists(&mut *ctx.session().await, id).await? {
            return Ok(Outcome::default());
        }
        if let Some(repository) = repository_of(&ctx, id).await? {
            require_reserved(&ctx, repository, |kind| Self::on(kind, repository)).await?;
        }
        if delete_newest(&ctx, id).await? {
            return Ok(Outcome::default());
        }
        let counted = Recounts::without(&mut *ctx.session().await, id).await?;
        Ok(Outcome::flip(move |conn| {
            let counted = counted.clone();
            Box::pin(async move {
                delete_older(conn, domain, id, &counted).await?;
                Ok(Effects::default())
            })
        }))
    }
}

/// The repository of a version, complete or not.
async fn repository_of(
    ctx: &TaskContext,
    id: VersionId,
) -> Result<Option<RepositoryId>, TaskError> {
    let mut conn = ctx.session().await;
    let found = RepositoryVersion::places(&mut conn, &[id]).await?;
    Ok(found.first().map(|(_, repository, _)| *repository))
}
