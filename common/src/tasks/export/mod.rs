//! Exporting publications and versions to a directory (contract 3.4).
//!
//! Each file is made whole and then gets its name, so a run that dies leaves whole files and a staging
//! directory, and the next run writes everything again into the same places. Whatever a path says, nothing
//! is opened outside of the directory: see `target`.

mod away;
mod ended;
mod fault;
pub mod leftover;
pub mod path;
mod place;
mod run;
mod source;
mod target;
mod write;

use crate::config::Settings;
use crate::db::Db;
use crate::error::Error;
use crate::ids::{DomainId, ExporterId, PublicationId, VersionId};
use crate::models::Membership;
use crate::prn::{self, Prn};
use crate::tasking::{Outcome, Resources, Task, TaskContext, TaskError};
use futures_util::future::BoxFuture;
use place::What;
use serde::{Deserialize, Serialize};

/// Exports a publication. Safe to run again after dying at any instruction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FsPublicationExport {
    /// The exporter.
    pub exporter_pk: ExporterId,
    /// The publication.
    pub publication_pk: PublicationId,
    /// Incremental: artifacts of this version are left out.
    #[serde(default)]
    pub start_repo_version_pk: Option<VersionId>,
}

/// Exports a version of a repository. Safe to run again after dying at any instruction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FsRepoVersionExport {
    /// The exporter.
    pub exporter_pk: ExporterId,
    /// The version.
    pub repo_version_pk: VersionId,
    /// Incremental: artifacts of this version are left out.
    #[serde(default)]
    pub start_repo_version_pk: Option<VersionId>,
}

/// What an export reserves of the repository of what it reads, which the arguments do not name. Without it,
/// an export whose version is deleted meanwhile fails.
#[must_use]
pub fn reading(pulp_type: &str, repository: crate::ids::RepositoryId) -> Resources {
    Resources::shared(prn::repository(pulp_type, repository))
}

/// What the client reads where an incremental export would go backwards.
pub const BACKWARDS: &str = "Must be older than what is exported, or of another repository.";

/// True where an incremental export of the latter may begin at the former: what the latter lacks is not
/// exported, so that in one repository only the way forward has a meaning.
#[must_use]
pub fn starts_before(start: Membership, exported: Membership) -> bool {
    start.repository != exported.repository || start.number < exported.number
}

impl Task for FsPublicationExport {
    const NAME: &'static str = "pulpcore.app.tasks.export.fs_publication_export";
    const ARGS: &'static [&'static str] =
        &["exporter_pk", "publication_pk", "start_repo_version_pk"];
    const CLASS: &'static str = "storage";
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        needs(self.exporter_pk)
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let (exporter, start) = (self.exporter_pk, self.start_repo_version_pk);
        fs_publication_export(&ctx, exporter, self.publication_pk, start).await
    }
}

impl Task for FsRepoVersionExport {
    const NAME: &'static str = "pulpcore.app.tasks.export.fs_repo_version_export";
    const ARGS: &'static [&'static str] =
        &["exporter_pk", "repo_version_pk", "start_repo_version_pk"];
    const CLASS: &'static str = "storage";
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        needs(self.exporter_pk)
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let (exporter, start) = (self.exporter_pk, self.start_repo_version_pk);
        fs_repo_version_export(&ctx, exporter, self.repo_version_pk, start).await
    }
}

/// What every export reserves: files that it reads must not be given up in between.
fn needs(exporter: ExporterId) -> Resources {
    Resources::exclusive(Prn::from(exporter)).and_shared(prn::reclaim_space(DomainId::DEFAULT))
}

/// Exports a publication to the directory of an exporter, as the body of a task that has reserved the
/// exporter for itself; the outcome names the export as created. It may run again after dying at any
/// instruction: a further run of the same task goes on with the export that the first has recorded.
///
/// # Errors
/// A text for the client where the directory is not allowed, not empty or cannot be written, or a file
/// cannot be had or has a path that is not canonical. Files that were written by then stay, and so does the
/// record of the export.
pub async fn fs_publication_export(
    ctx: &TaskContext,
    exporter_pk: ExporterId,
    publication_pk: PublicationId,
    start_repo_version_pk: Option<VersionId>,
) -> Result<Outcome, TaskError> {
    let what = What::Publication(publication_pk);
    run::export(ctx, exporter_pk, what, start_repo_version_pk).await
}

/// Exports a version of a repository; else as [`fs_publication_export`].
///
/// # Errors
/// As [`fs_publication_export`].
pub async fn fs_repo_version_export(
    ctx: &TaskContext,
    exporter_pk: ExporterId,
    repo_version_pk: VersionId,
    start_repo_version_pk: Option<VersionId>,
) -> Result<Outcome, TaskError> {
    let what = What::Version(repo_version_pk);
    run::export(ctx, exporter_pk, what, start_repo_version_pk).await
}

/// Removes what exports left in their targets that ended without a last run: a chore of the slow round.
///
/// # Errors
/// As the session.
pub fn remove_leftovers<'a>(
    db: &'a Db,
    settings: &'a Settings,
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(ended::remove(db, settings))
}
