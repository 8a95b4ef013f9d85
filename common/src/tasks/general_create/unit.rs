//! Making a unit from one file, and adding it to a repository.

use super::super::add_and_remove::refusal;
use super::super::file_url;
use super::super::kinds::unit_data::UnitData;
use super::super::synchronize::Synchronize;
use super::GeneralCreate;
use crate::content::{ContentTypes, NewUnit, StoredFile, UnitKind};
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{ContentId, DomainId, RepositoryId, TemporaryFileId};
use crate::models::{
    Artifact, Content, Membership, Repository, RepositoryContent, Upload, task_use,
};
use crate::prn::{self, Prn};
use crate::repository::{Draft, NewVersion, unsupported};
use crate::tasking::{Effects, Needs, Outcome, Resources, Task, TaskContext, TaskError};
use crate::temporary::{GONE, TakenFile};
use crate::uploads::Assembled;
use serde_json::Value;

/// What a task needs that makes this unit: the repository, whose type is one of those that hold such units,
/// and the upload for itself; the files kept.
pub(in super::super) fn needs(
    types: &ContentTypes,
    kind: &UnitKind,
    data: &UnitData,
    temporary: Option<TemporaryFileId>,
) -> Needs {
    let holders = types.get(kind.pulp_type).map(|one| one.repositories.iter());
    let repositories = data.repository.into_iter().flat_map(|id| {
        let holders = holders.clone().into_iter().flatten();
        holders.map(move |holder| prn::repository(holder, id))
    });
    let names = repositories.chain(data.upload.map(Prn::from));
    let kept = data.artifact.map(|id| id.0);
    Needs {
        resources: names.fold(Resources::default(), Resources::and_exclusive),
        uses: kept.into_iter().chain(temporary.map(|id| id.0)).collect(),
        // A download takes as long as it takes: it does so among the long tasks.
        class: match data.file_url {
            None => GeneralCreate::CLASS,
            Some(_) => Synchronize::CLASS,
        },
    }
}

/// Makes a unit, or finds the one with its natural key; adds it to a repository if one is named. Safe to
/// run again after dying anywhere: a unit that was made before is found.
///
/// # Errors
/// [`TaskError::Failed`] where the file is no such unit, or may not be added; nothing is taken then.
pub(in super::super) async fn make(
    ctx: &TaskContext,
    kind: &UnitKind,
    data: &UnitData,
    temporary: Option<TemporaryFileId>,
) -> Result<Outcome, TaskError> {
    if let Some(repository) = data.repository {
        check_type(ctx, repository, kind.pulp_type).await?;
    }
    let file = File::of(ctx, data, temporary).await?;
    let unit = (kind.read)(ctx, &file.stored(), data.relative_path.as_deref()).await?;
    let making = Making {
        unit,
        file,
        labels: Value::Object(data.pulp_labels.clone()),
        domain: ctx.domain(),
    };
    let (pulp_type, show) = (kind.pulp_type, kind.show);
    let Some(repository) = data.repository else {
        return Ok(Outcome::flip(move |conn| {
            let making = making.clone();
            Box::pin(async move {
                let (unit, _) = making.run(conn).await?;
                let created = vec![prn::content(pulp_type, unit.pulp_id)];
                let result = Some(show(conn, unit).await?);
                Ok(Effects { result, created })
            })
        }));
    };
    let (unit, draft) = making.add_to(ctx, repository, data.overwrite).await?;
    Ok(Outcome::flip(move |conn| {
        let (unit, draft) = (unit.clone(), draft.clone());
        Box::pin(async move {
            // The version, then the unit.
            let mut created = match draft {
                Some(draft) => Draft::flip(&draft, conn).await?.created(),
                None => Vec::new(),
            };
            created.push(prn::content(pulp_type, unit.pulp_id));
            let result = Some(show(conn, unit).await?);
            Ok(Effects { result, created })
        })
    }))
}

/// Fails, before anything is taken, where the repository is gone or holds other units.
async fn check_type(
    ctx: &TaskContext,
    repository: RepositoryId,
    unit: &str,
) -> Result<(), TaskError> {
    let conn = ctx.session().await;
    let row = Repository::find(&conn, ctx.domain(), repository).await?;
    let row = row.ok_or(Error::NotFound { what: "Repository" })?;
    if ctx.content()?.holds(&row.pulp_type, unit) {
        return Ok(());
    }
    Err(unsupported([unit].into_iter()))
}

/// What a unit is made of.
#[derive(Clone)]
enum File {
    Artifact(Artifact),
    /// It becomes an artifact together with the unit: where no unit can be made, it stays an upload.
    Upload(Assembled),
    /// The same, but where no unit can be made, it goes.
    Temporary(TakenFile),
}

impl File {
    /// Brings the file together. A run after one that took an upload or a temporary file over finds the
    /// artifact among what its task uses, where clean-ups spare it.
    async fn of(
        ctx: &TaskContext,
        data: &UnitData,
        temporary: Option<TemporaryFileId>,
    ) -> Result<Self, TaskError> {
        if let Some(id) = temporary {
            return match TakenFile::read(ctx, id).await? {
                Some(file) => Ok(Self::Temporary(file)),
                None => Self::taken_over(ctx, GONE).await,
            };
        }
        if let Some(url) = &data.file_url {
            let config = data.downloader_config.as_ref();
            let artifact = file_url::download(ctx, url, config).await?;
            return Self::artifact(ctx, artifact).await;
        }
        if let Some(upload) = data.upload {
            let found = {
                let mut conn = ctx.session().await;
                Upload::find(&mut conn, ctx.domain(), upload).await?
            };
            return match found {
                Some(_) => Ok(Self::Upload(Assembled::make(ctx, upload, None).await?)),
                None => Self::taken_over(ctx, "Upload").await,
            };
        }
        let artifact = data.artifact.ok_or(Error::NotFound { what: "Artifact" })?;
        Self::artifact(ctx, artifact).await
    }

    async fn artifact(ctx: &TaskContext, id: crate::ids::ArtifactId) -> Result<Self, TaskError> {
        let mut conn = ctx.session().await;
        let found = Artifact::find(&mut conn, ctx.domain(), id).await?;
        let row = found.ok_or(Error::NotFound { what: "Artifact" })?;
        Ok(Self::Artifact(row))
    }

    async fn taken_over(ctx: &TaskContext, what: &'static str) -> Result<Self, TaskError> {
        let earlier = task_use::artifact_of(&mut *ctx.session().await, ctx.task()).await?;
        Self::artifact(ctx, earlier.ok_or(Error::NotFound { what })?).await
    }

    fn stored(&self) -> StoredFile {
        match self {
            Self::Artifact(row) => StoredFile {
                key: row.storage_key.clone(),
                size: row.size,
                sha256: row.sha256.clone(),
            },
            Self::Upload(file) => file.file(),
            Self::Temporary(file) => file.file(),
        }
    }

    /// Its artifact, kept from being deleted until the transaction ends; another row of it is gone then.
    async fn record(&self, conn: &mut Conn, domain: DomainId) -> Result<Artifact, TaskError> {
        match self {
            Self::Artifact(row) => {
                let found = Artifact::find_shared(conn, domain, row.pulp_id).await?;
                Ok(found.ok_or(Error::NotFound { what: "Artifact" })?)
            }
            Self::Upload(file) => file.into_artifact(conn).await,
            Self::Temporary(file) => file.record(conn).await,
        }
    }
}

/// A unit with all that it is made of.
#[derive(Clone)]
struct Making {
    unit: NewUnit,
    file: File,
    labels: Value,
    domain: DomainId,
}

impl Making {
    async fn run(&self, conn: &mut Conn) -> Result<(Content, Artifact), TaskError> {
        let artifact = self.file.record(conn, self.domain).await?;
        let id = artifact.pulp_id;
        let (unit, _) = self
            .unit
            .ensure(conn, self.domain, id, &self.labels)
            .await?;
        Ok((unit, artifact))
    }

    async fn add_to(
        &self,
        ctx: &TaskContext,
        repository: RepositoryId,
        overwrite: bool,
    ) -> Result<(Content, Option<Draft>), TaskError> {
        let types = ctx.content()?;
        let version = NewVersion::open(ctx, repository, None).await?;
        let (place, domain) = (version.membership(), version.domain);
        let newest = version.newest();
        // In one transaction, so that the unit is in use from its first moment on, and the file has
        // another row as long as no unit is.
        let unit = ctx
            .fenced(async |conn| {
                let (unit, artifact) = self.run(conn).await?;
                let id = [unit.pulp_id];
                if !overwrite {
                    refuse_overwrite(conn, newest, &id).await?;
                }
                RepositoryContent::add(conn, place, domain, &id).await?;
                if !matches!(self.file, File::Artifact(_)) {
                    task_use::add(conn, ctx.task(), &[artifact.pulp_id.0]).await?;
                    types.validate_version(conn, &version, &id).await?;
                }
                Ok(unit)
            })
            .await?;
        let draft = version.finish(ctx, &[unit.pulp_id]).await?;
        Ok((unit, draft))
    }
}

async fn refuse_overwrite(
    conn: &mut Conn,
    newest: Membership,
    unit: &[ContentId],
) -> Result<(), TaskError> {
    let found = RepositoryContent::overwrites(conn, newest, unit, &[]).await?;
    refusal(&found).map_or(Ok(()), Err)
}
