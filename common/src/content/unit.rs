//! Units that are made from one file each: what a type says of them, and how their rows are written.

use super::{ContentType, key_of};
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{ArtifactId, ContentId, DomainId};
use crate::models::{Artifact, Content, ContentArtifact, NewContent};
use crate::storage::StorageKey;
use crate::tasking::{TaskContext, TaskError};
use bytes::Bytes;
use diesel::QueryResult;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde_json::Value;

/// A file in the store, whatever row it has.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Where it lies.
    pub key: StorageKey,
    /// Its bytes.
    pub size: i64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

impl StoredFile {
    /// Its bytes, as a stream.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the store lacks it.
    pub async fn read(
        &self,
        ctx: &TaskContext,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        ctx.storage().read(&self.key, None).await
    }
}

/// A type whose units are made from one file each.
pub trait FromFile: ContentType {
    /// Its full name, as in its definition.
    const PULP_TYPE: &'static str;
    /// The component that it belongs to.
    const APP_LABEL: &'static str;
    /// The name of the validator.
    const SERIALIZER: &'static str;
    /// True: whoever makes a unit must say where its file lies.
    const NEEDS_PATH: bool;
    /// The field of a unit that says where its file lies.
    const PATH_FIELD: &'static str;

    /// What a file is as a unit, to lie under this path where one was given. Reads of the file what it
    /// needs, as a stream; writes nothing.
    ///
    /// # Errors
    /// [`TaskError::Failed`] with what the client may read, where it is no such file.
    fn read(
        ctx: &TaskContext,
        file: &StoredFile,
        path: Option<&str>,
    ) -> impl Future<Output = Result<Self::Unit, TaskError>> + Send;

    /// What clients see of a unit.
    ///
    /// # Errors
    /// As the session.
    fn show(
        conn: &mut Conn,
        unit: Content,
    ) -> impl Future<Output = Result<Value, TaskError>> + Send;
}

type Read = for<'c> fn(
    &'c TaskContext,
    &'c StoredFile,
    Option<&'c str>,
) -> BoxFuture<'c, Result<NewUnit, TaskError>>;
type Show = for<'c> fn(&'c mut Conn, Content) -> BoxFuture<'c, Result<Value, TaskError>>;

/// A type of [`FromFile`], by value: what general tasks know of it.
#[derive(Clone)]
pub struct UnitKind {
    /// See [`FromFile::PULP_TYPE`].
    pub pulp_type: &'static str,
    /// See [`FromFile::APP_LABEL`].
    pub app_label: &'static str,
    /// See [`FromFile::SERIALIZER`].
    pub serializer_name: &'static str,
    /// See [`FromFile::NEEDS_PATH`].
    pub needs_path: bool,
    /// See [`FromFile::PATH_FIELD`].
    pub path_field: &'static str,
    /// See [`FromFile::read`].
    pub read: Read,
    /// See [`FromFile::show`].
    pub show: Show,
}

impl UnitKind {
    /// That of this type.
    #[must_use]
    pub fn of<T: FromFile>() -> Self {
        Self {
            pulp_type: T::PULP_TYPE,
            app_label: T::APP_LABEL,
            serializer_name: T::SERIALIZER,
            needs_path: T::NEEDS_PATH,
            path_field: T::PATH_FIELD,
            read: |ctx, file, path| {
                Box::pin(async move { NewUnit::of::<T>(&T::read(ctx, file, path).await?) })
            },
            show: |conn, unit| Box::pin(T::show(conn, unit)),
        }
    }
}

/// A unit that is to be made, or found by its natural key.
#[derive(Clone, Debug)]
pub struct NewUnit {
    pulp_type: &'static str,
    natural_key: Vec<u8>,
    repo_key: Option<Vec<u8>>,
    fields: Value,
    path_field: &'static str,
}

impl NewUnit {
    /// The rows of this unit.
    ///
    /// # Errors
    /// [`TaskError::Internal`] only if it cannot be written as JSON.
    pub fn of<T: FromFile>(unit: &T::Unit) -> Result<Self, TaskError> {
        Ok(Self {
            pulp_type: T::PULP_TYPE,
            natural_key: key_of(&T::natural_key(unit)).unwrap_or_default(),
            repo_key: key_of(&T::repo_key(unit)),
            fields: serde_json::to_value(unit).map_err(TaskError::internal)?,
            path_field: T::PATH_FIELD,
        })
    }

    /// Makes the unit of this file, or finds it; the artifact is of interest from now on. A unit that
    /// existed keeps its labels and its path. True: it was made.
    ///
    /// # Errors
    /// As the session; a foreign key violation when the artifact has just been deleted.
    pub async fn ensure(
        &self,
        conn: &mut Conn,
        domain: DomainId,
        artifact: ArtifactId,
        labels: &Value,
    ) -> QueryResult<(Content, bool)> {
        let new = NewContent {
            pulp_id: ContentId::new(),
            pulp_domain: domain,
            pulp_type: self.pulp_type,
            natural_key: self.natural_key.clone(),
            repo_key: self.repo_key.clone(),
            fields: self.fields.clone(),
            pulp_labels: labels.clone(),
        };
        let (unit, made) = new.insert_or_find(conn).await?;
        let path = unit.fields.get(self.path_field).and_then(Value::as_str);
        let path = path.unwrap_or_default();
        ContentArtifact::attach(conn, unit.pulp_id, artifact, path).await?;
        Artifact::touch(conn, artifact).await?;
        Ok((unit, made))
    }
}
