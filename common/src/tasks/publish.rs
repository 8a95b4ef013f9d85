//! Publishing a version of a file repository (contract 1.9, 3.0).

use crate::content::file::PULP_TYPE;
use crate::error::Error;
use crate::ids::{RepositoryId, VersionId};
use crate::models::{Membership, RepositoryVersion};
use crate::prn;
use crate::repository::{PublicationDraft, require_reserved};
use crate::representation::FilePublication;
use crate::tasking::{Effects, Outcome, Resources, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// Makes a version ready to be served; its result is the publication as clients see it. Nobody sees
/// anything of it before its end, so it is safe to run again after dying at any instruction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The version.
    pub repository_version_pk: VersionId,
    /// Where the manifest lies; null: none is written.
    pub manifest: Option<String>,
    /// True: a checkpoint.
    #[serde(default)]
    pub checkpoint: bool,
}

impl Publish {
    /// What the task reserves: its repository, which the arguments do not name.
    #[must_use]
    pub fn on(repository: RepositoryId) -> Resources {
        Resources::shared(prn::repository(PULP_TYPE, repository))
    }
}

impl Task for Publish {
    const NAME: &'static str = "pulp_file.app.tasks.publishing.publish";
    const ARGS: &'static [&'static str] = &["manifest", "repository_version_pk", "checkpoint"];
    const COMPONENT: &'static str = "file";
    const RERUN_AFTER_LOSS: bool = true;

    fn validate(&self) -> Result<(), Error> {
        match &self.manifest {
            Some(path) => crate::content::check_relative_path(path)
                .map_err(|message| Error::invalid("manifest", message)),
            None => Ok(()),
        }
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let id = self.repository_version_pk;
        let found = RepositoryVersion::find(&mut *ctx.session().await, id).await?;
        let version = found.ok_or(Error::NotFound {
            what: "RepositoryVersion",
        })?;
        require_reserved(&ctx, version.repository_id, |_| {
            Self::on(version.repository_id)
        })
        .await?;
        let place = Membership {
            repository: version.repository_id,
            number: version.number,
        };
        let manifest = self.manifest.as_deref();
        let draft = PublicationDraft::write(&ctx, id, place, manifest, self.checkpoint).await?;
        Ok(Outcome::flip(move |conn| {
            let draft = draft.clone();
            Box::pin(async move {
                let made = draft.flip(conn).await?;
                let created = vec![prn::publication(&made.pulp_type, made.pulp_id)];
                let shown = FilePublication::load_many(conn, vec![made]).await?;
                let result = shown.first().map(serde_json::to_value).transpose();
                Ok(Effects {
                    result: result.map_err(TaskError::internal)?,
                    created,
                })
            })
        }))
    }
}
