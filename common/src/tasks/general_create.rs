//! Making an object of any kind from validated data (contract 3.5). Units of the type `file.file` are
//! made here, as they may come with a version; other kinds say themselves how.

use super::add_and_remove::refusal;
use super::file_url;
use super::kinds::file_content::{APP_LABEL, FileContentData, SERIALIZER};
use super::kinds::{self, Creation, Kind, Scope, check_label};
use super::synchronize::Synchronize;
use crate::content::file::{self, PULP_TYPE};
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{ArtifactId, ContentId, DomainId, RepositoryId};
use crate::models::{
    Artifact, Content, Membership, Repository, RepositoryContent, Upload, task_use,
};
use crate::prn::{self, Prn};
use crate::repository::{Draft, NewVersion, unsupported};
use crate::representation::FileContent;
use crate::tasking::{Effects, Outcome, Resources, Task, TaskContext, TaskError};
use crate::uploads::Assembled;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Makes an object; its result is the object as clients see it. A unit with the natural key of another
/// one is that one; it is added to a repository if one is named. Safe to run again after dying anywhere:
/// a unit that was made before is found, and other kinds are one write.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneralCreate {
    /// The component of its kind.
    pub app_label: String,
    /// The validator of its kind.
    pub serializer_name: String,
    /// Its values by field, references as ids.
    pub data: Map<String, Value>,
    /// What the validator is told beside; nothing is used yet.
    #[serde(default)]
    pub context: Map<String, Value>,
}

impl GeneralCreate {
    /// Makes this file unit.
    ///
    /// # Errors
    /// [`Error::Internal`] only if the data cannot be written as JSON.
    pub fn file_content(data: &FileContentData) -> Result<Self, Error> {
        let value = serde_json::to_value(data).map_err(Error::internal)?;
        Ok(Self {
            app_label: APP_LABEL.into(),
            serializer_name: SERIALIZER.into(),
            data: value.as_object().cloned().unwrap_or_default(),
            context: Map::new(),
        })
    }

    /// Makes an object of this kind.
    #[must_use]
    pub fn of(kind: &Kind, data: Map<String, Value>) -> Self {
        Self {
            app_label: kind.app_label.into(),
            serializer_name: kind.serializer_name.into(),
            data,
            context: Map::new(),
        }
    }

    /// The kind that is no file unit, and how one is made.
    fn other(&self) -> Option<(&'static Kind, &'static Creation)> {
        let kind = kinds::find(&self.app_label, &self.serializer_name).ok()?;
        Some((kind, kind.create.as_ref()?))
    }

    fn typed(&self) -> Result<FileContentData, Error> {
        if (self.app_label.as_str(), self.serializer_name.as_str()) != (APP_LABEL, SERIALIZER) {
            let message = format!(
                "there is no `{}` in `{}`",
                self.serializer_name, self.app_label
            );
            return Err(Error::invalid("serializer_name", message));
        }
        let data: FileContentData = serde_json::from_value(Value::Object(self.data.clone()))
            .map_err(|e| Error::invalid("data", e.to_string()))?;
        crate::content::check_relative_path(&data.relative_path)
            .map_err(|message| Error::invalid("relative_path", message))?;
        let sources = [
            data.artifact.is_some(),
            data.upload.is_some(),
            data.file_url.is_some(),
        ];
        if sources.iter().filter(|given| **given).count() != 1 {
            let message = "exactly one of `artifact`, `upload` and `file_url` must be given";
            return Err(Error::invalid("data", message));
        }
        for (key, value) in data.pulp_labels.iter().flatten() {
            check_label(key, value.as_deref())
                .map_err(|message| Error::invalid("pulp_labels", message))?;
        }
        Ok(data)
    }
}

impl Task for GeneralCreate {
    const NAME: &'static str = "pulpcore.app.tasks.base.general_create";
    const ARGS: &'static [&'static str] = &["app_label", "serializer_name", "data", "context"];
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        if let Some((kind, _)) = self.other() {
            return (kind.lanes)(Some(&self.data));
        }
        let Ok(data) = self.typed() else {
            return Resources::default();
        };
        let repository = data.repository.map(|id| prn::repository(PULP_TYPE, id));
        let names = repository.into_iter().chain(data.upload.map(Prn::from));
        names.fold(Resources::default(), Resources::and_exclusive)
    }

    /// A download takes as long as it takes: it does so among the long tasks.
    fn class(&self) -> &'static str {
        match self.data.get(file_url::FILE_URL) {
            None | Some(Value::Null) => Self::CLASS,
            Some(_) => Synchronize::CLASS,
        }
    }

    fn uses(&self) -> Vec<Uuid> {
        if self.other().is_some() {
            return Vec::new();
        }
        let artifact = self.typed().ok().and_then(|data| data.artifact);
        artifact.map(|id| id.0).into_iter().collect()
    }

    fn validate(&self) -> Result<(), Error> {
        match self.other() {
            Some((kind, _)) => (kind.check)(&self.data, false)
                .map_err(|errors| Error::invalid("data", errors.to_string())),
            None => self.typed().map(|_| ()),
        }
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        if let Some((_, creation)) = self.other() {
            let (scope, data) = (Scope::of(&ctx), self.data);
            return Ok(Outcome::flip(move |conn| {
                let (scope, data) = (scope.clone(), data.clone());
                Box::pin(async move { (creation.run)(conn, &scope, &data).await })
            }));
        }
        let data = self.typed()?;
        let domain = ctx.domain();
        let Some(repository) = data.repository else {
            let file = File::of(&ctx, &data).await?;
            return Ok(Outcome::flip(move |conn| {
                let (data, file) = (data.clone(), file.clone());
                Box::pin(async move {
                    let artifact = file.artifact(conn, domain).await?;
                    let unit = ensure(conn, domain, &data, &artifact).await?;
                    effects(conn, unit, None).await
                })
            }));
        };
        check_type(&ctx, repository).await?;
        let file = File::of(&ctx, &data).await?;
        let (unit, draft) = add_to_repository(&ctx, repository, &data, &file).await?;
        Ok(Outcome::flip(move |conn| {
            let (unit, draft) = (unit.clone(), draft.clone());
            Box::pin(async move { effects(conn, unit, draft).await })
        }))
    }
}

/// What a unit is made of.
#[derive(Clone)]
enum File {
    Artifact(ArtifactId),
    /// It becomes an artifact together with the unit: where no unit can be made, it stays an upload.
    Upload(Assembled),
}

impl File {
    /// Brings the file together. A run after one that took the upload over finds the artifact among what
    /// its task uses, where clean-ups spare it.
    async fn of(ctx: &TaskContext, data: &FileContentData) -> Result<Self, TaskError> {
        if let Some(url) = &data.file_url {
            let config = data.downloader_config.as_ref();
            let artifact = file_url::download(ctx, url, config).await?;
            return Ok(Self::Artifact(artifact));
        }
        let artifact = match data.upload {
            None => data.artifact,
            Some(upload) => {
                let mut conn = ctx.session().await;
                match Upload::find(&mut conn, ctx.domain(), upload).await? {
                    Some(_) => None,
                    None => task_use::artifact_of(&mut conn, ctx.task()).await?,
                }
            }
        };
        match (artifact, data.upload) {
            (Some(artifact), _) => Ok(Self::Artifact(artifact)),
            (None, Some(upload)) => Ok(Self::Upload(Assembled::make(ctx, upload, None).await?)),
            (None, None) => Err(Error::NotFound { what: "Artifact" }.into()),
        }
    }

    /// Its artifact, kept from being deleted until the transaction ends; an upload is gone then.
    async fn artifact(&self, conn: &mut Conn, domain: DomainId) -> Result<Artifact, TaskError> {
        match self {
            Self::Artifact(id) => {
                let found = Artifact::find_shared(conn, domain, *id).await?;
                Ok(found.ok_or(Error::NotFound { what: "Artifact" })?)
            }
            Self::Upload(file) => file.into_artifact(conn).await,
        }
    }
}

/// Fails, before anything is taken, where the repository is gone or holds other units.
async fn check_type(ctx: &TaskContext, repository: RepositoryId) -> Result<(), TaskError> {
    let mut conn = ctx.session().await;
    let row = Repository::find(&mut conn, ctx.domain(), repository).await?;
    let row = row.ok_or(Error::NotFound { what: "Repository" })?;
    if row.pulp_type == PULP_TYPE {
        return Ok(());
    }
    Err(unsupported([PULP_TYPE].into_iter()))
}

/// Completes the version, if there is one, and says what was made: the version, then the unit.
async fn effects(
    conn: &mut Conn,
    unit: Content,
    draft: Option<Draft>,
) -> Result<Effects, TaskError> {
    let mut created = match draft {
        Some(draft) => draft.flip(conn).await?.created(),
        None => Vec::new(),
    };
    created.push(prn::content(PULP_TYPE, unit.pulp_id));
    let shown = FileContent::load_many(conn, vec![unit]).await?;
    let result = shown.first().map(serde_json::to_value).transpose();
    Ok(Effects {
        result: result.map_err(TaskError::internal)?,
        created,
    })
}

async fn ensure(
    conn: &mut Conn,
    domain: DomainId,
    data: &FileContentData,
    artifact: &Artifact,
) -> Result<Content, TaskError> {
    let labels = data.pulp_labels.clone().unwrap_or_default();
    let path = &data.relative_path;
    let (unit, _) = file::ensure(conn, domain, path, artifact, &json!(labels)).await?;
    Ok(unit)
}

async fn add_to_repository(
    ctx: &TaskContext,
    repository: RepositoryId,
    data: &FileContentData,
    file: &File,
) -> Result<(Content, Option<Draft>), TaskError> {
    let types = ctx.content()?;
    let version = NewVersion::open(ctx, repository, None).await?;
    let (place, domain) = (version.membership(), version.domain);
    let newest = version.newest();
    // In one transaction, so that the unit is in use from its first moment on, and an upload is there as
    // long as no unit is.
    let unit = ctx
        .fenced(async |conn| {
            let artifact = file.artifact(conn, domain).await?;
            let unit = ensure(conn, domain, data, &artifact).await?;
            let id = [unit.pulp_id];
            if !data.overwrite {
                refuse_overwrite(conn, newest, &id).await?;
            }
            RepositoryContent::add(conn, place, domain, &id).await?;
            if let File::Upload(_) = file {
                task_use::add(conn, ctx.task(), &[artifact.pulp_id.0]).await?;
                types.validate_version(conn, &version, &id).await?;
            }
            Ok(unit)
        })
        .await?;
    let draft = version.finish(ctx, &[unit.pulp_id]).await?;
    Ok((unit, draft))
}

async fn refuse_overwrite(
    conn: &mut Conn,
    newest: Membership,
    unit: &[ContentId],
) -> Result<(), TaskError> {
    let found = RepositoryContent::overwrites(conn, newest, unit, &[]).await?;
    refusal(&found).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_a_wrong_shape_are_refused_at_dispatch() {
        let task = |labels: Value| {
            let data = json!({
                "relative_path": "a", "artifact": Uuid::nil(), "pulp_labels": labels,
            });
            GeneralCreate {
                app_label: APP_LABEL.into(),
                serializer_name: SERIALIZER.into(),
                data: data.as_object().cloned().unwrap(),
                context: Map::new(),
            }
        };
        for good in [Value::Null, json!({}), json!({"k": "v", "l": null})] {
            assert!(task(good).validate().is_ok());
        }
        for bad in [json!([]), json!("x"), json!({"k": 1}), json!({"k(": "v"})] {
            assert!(task(bad.clone()).validate().is_err(), "{bad}");
        }
    }
}
