//! Repositories of any type: creating, changing, deleting. A type says by [`RepositoryType`] what is its own.

use super::{Data, FieldErrors, Fields, Kind, completed};
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{DomainId, RemoteId, RepositoryId};
use crate::models::{MembershipDebris, Remote, Repository, RepositoryChange, RepositoryVersion};
use crate::prn::{self, Prn};
use crate::repository::{Recounts, retain};
use crate::tasking::{Resources, TaskError};
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use uuid::Uuid;

/// What repositories of a type differ in; it is implemented by what clients see of them.
pub trait RepositoryType: Serialize + Sized + Send + 'static {
    /// The type (`file.file`).
    const PULP_TYPE: &'static str;
    /// What clients know one by (`FileRepository`).
    const WHAT: &'static str;
    /// The component that they belong to.
    const APP_LABEL: &'static str;
    /// The name of their validator.
    const SERIALIZER: &'static str;

    /// What clients see of this repository, whose newest version has this number.
    fn new(row: Repository, latest: Option<i32>) -> Self;

    /// All fields that can be written: [`FIELDS`], and those that other types lack.
    const FIELDS: &'static [&'static str] = &FIELDS;

    /// What fields are that a new repository is not given.
    fn defaults() -> Data {
        Data::new()
    }

    /// Reads fields that other types lack.
    fn own_fields(_fields: &mut Fields, _change: &mut RepositoryChange) {}
}

/// The fields that repositories of all types have.
pub const FIELDS: [&str; 6] = [
    "name",
    "description",
    "pulp_labels",
    "retain_repo_versions",
    "retain_checkpoints",
    "remote",
];

/// Memberships that go in one write with their repository; the others follow in batches.
const AT_ONCE: i64 = 100;

/// Longest name in bytes: it is a key of an index.
const NAME_BYTES: usize = 2000;

/// The kind of repositories of this type.
pub(super) const fn kind<T: RepositoryType>() -> Kind {
    Kind {
        app_label: T::APP_LABEL,
        serializer_name: T::SERIALIZER,
        prn: |id| prn::repository(T::PULP_TYPE, RepositoryId(id)),
        fields: T::FIELDS,
        defaults: T::defaults,
        check: |data, partial| read::<T>(data, partial).map(|_| ()),
        lanes: |_| Resources::default(),
        create: None,
        update: |conn, scope, id, data| Box::pin(update::<T>(conn, scope.domain, id, data)),
        delete: |conn, scope, id| Box::pin(delete::<T>(conn, scope.domain, id)),
    }
}

/// Reads a body. A partial one changes only what it names; a whole one must name what has no default,
/// and gives what has one its default (contract 4.1).
///
/// # Errors
/// What is wrong with which field.
pub fn read<T: RepositoryType>(
    data: &Data,
    partial: bool,
) -> Result<RepositoryChange, FieldErrors> {
    let data = if partial {
        data.clone()
    } else {
        completed(data, T::defaults())
    };
    let mut fields = Fields::new(data);
    let is_named = fields.has("name");
    let mut change = RepositoryChange {
        name: fields.text("name"),
        description: fields.nullable_text("description"),
        pulp_labels: fields.labels("pulp_labels"),
        retain_repo_versions: fields.nullable_count("retain_repo_versions"),
        retain_checkpoints: fields.nullable_count("retain_checkpoints"),
        remote: remote(&mut fields, T::PULP_TYPE),
        ..RepositoryChange::default()
    };
    if change.name.as_ref().is_some_and(|n| n.len() > NAME_BYTES) {
        let message = format!("Ensure this field has no more than {NAME_BYTES} bytes.");
        fields.refuse("name", message);
    }
    if !partial && !is_named {
        fields.require("name");
    }
    T::own_fields(&mut fields, &mut change);
    fields.finish(change)
}

/// A remote, by its PRN, or none.
fn remote(fields: &mut Fields, pulp_type: &str) -> Option<Option<RemoteId>> {
    let value = fields.take("remote")?;
    if value.is_null() || value == "" {
        return Some(None);
    }
    let id = value.as_str().and_then(Prn::parse);
    let id =
        id.filter(|prn| *prn == prn::remote(pulp_type, RemoteId(prn.uuid().unwrap_or_default())));
    match id.and_then(|prn| prn.uuid()) {
        Some(id) => Some(Some(RemoteId(id))),
        None => {
            fields.refuse("remote", NO_REMOTE);
            None
        }
    }
}

const NO_REMOTE: &str = "Invalid hyperlink - Object does not exist.";

/// A new repository from a whole body; the caller inserts it.
///
/// # Errors
/// What is wrong with which field.
pub fn build<T: RepositoryType>(data: &Data, domain: DomainId) -> Result<Repository, FieldErrors> {
    let change = read::<T>(data, false)?;
    Ok(Repository {
        pulp_id: RepositoryId::new(),
        // The database's clock gives the moment.
        pulp_created: DateTime::<Utc>::default(),
        pulp_last_updated: DateTime::<Utc>::default(),
        pulp_domain: domain,
        pulp_type: T::PULP_TYPE.to_owned(),
        name: change.name.unwrap_or_default(),
        description: change.description.flatten(),
        pulp_labels: change.pulp_labels.unwrap_or_else(|| json!({})),
        next_version: 0,
        retain_repo_versions: change.retain_repo_versions.flatten(),
        retain_checkpoints: change.retain_checkpoints.flatten(),
        user_hidden: false,
        autopublish: change.autopublish.unwrap_or_default(),
        manifest: change.manifest.flatten(),
        last_sync_details: json!({}),
        remote: change.remote.flatten(),
    })
}

/// True where a change leaves a repository as it is.
#[must_use]
pub fn changes_nothing(row: &Repository, change: &RepositoryChange) -> bool {
    fn same<T: PartialEq>(new: Option<&T>, old: &T) -> bool {
        new.is_none_or(|new| new == old)
    }
    same(change.name.as_ref(), &row.name)
        && same(change.description.as_ref(), &row.description)
        && same(change.pulp_labels.as_ref(), &row.pulp_labels)
        && same(
            change.retain_repo_versions.as_ref(),
            &row.retain_repo_versions,
        )
        && same(change.retain_checkpoints.as_ref(), &row.retain_checkpoints)
        && same(change.autopublish.as_ref(), &row.autopublish)
        && same(change.manifest.as_ref(), &row.manifest)
        && same(change.remote.as_ref(), &row.remote)
}

/// What clients see of these repositories, in their order.
///
/// # Errors
/// As the session.
pub async fn load_many<T: RepositoryType>(
    conn: &mut Conn,
    rows: Vec<Repository>,
) -> QueryResult<Vec<T>> {
    let ids: Vec<_> = rows.iter().map(|row| row.pulp_id).collect();
    let latest = RepositoryVersion::latest_numbers(conn, &ids).await?;
    let latest: HashMap<_, _> = latest.into_iter().collect();
    let shown = |row: Repository| {
        let number = latest.get(&row.pulp_id).copied();
        T::new(row, number)
    };
    Ok(rows.into_iter().map(shown).collect())
}

/// The same for one.
///
/// # Errors
/// As the session.
pub async fn load<T: RepositoryType>(conn: &mut Conn, row: Repository) -> QueryResult<T> {
    let latest = RepositoryVersion::latest(conn, row.pulp_id).await?;
    Ok(T::new(row, latest.map(|v| v.number)))
}

async fn update<T: RepositoryType>(
    conn: &mut Conn,
    domain: DomainId,
    id: Uuid,
    data: &Data,
) -> Result<Value, TaskError> {
    let change = read::<T>(data, true).map_err(|e| TaskError::failed(e.to_string()))?;
    let id = RepositoryId(id);
    let row = Repository::lock(conn, domain, id).await?;
    let row = row.filter(|row| row.pulp_type == T::PULP_TYPE);
    let row = row.ok_or(Error::NotFound { what: T::WHAT })?;
    if let Some(name) = &change.name
        && Repository::name_taken(conn, domain, name, Some(id)).await?
    {
        return Err(name_taken());
    }
    if let Some(Some(remote)) = change.remote
        && Remote::find(conn, domain, remote).await?.is_none()
    {
        let errors = FieldErrors::one("remote", NO_REMOTE);
        return Err(TaskError::failed(errors.to_string()));
    }
    let changed = Repository::change(conn, id, &change).await;
    let changed = changed.map_err(|error| match error {
        // Somebody took the name meanwhile; nothing else that changes is unique.
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => name_taken(),
        other => other.into(),
    })?;
    if changed.retain_repo_versions != row.retain_repo_versions
        && let Some(keep) = changed.retain_repo_versions
    {
        retain(conn, id, keep, &Recounts::default()).await?;
    }
    let shown: T = load(conn, changed).await?;
    serde_json::to_value(shown).map_err(TaskError::internal)
}

fn name_taken() -> TaskError {
    let errors = FieldErrors::one("name", "This field must be unique.");
    TaskError::failed(errors.to_string())
}

async fn delete<T: RepositoryType>(
    conn: &mut Conn,
    domain: DomainId,
    id: Uuid,
) -> Result<(), TaskError> {
    if Repository::delete(conn, domain, RepositoryId(id)).await? {
        Ok(MembershipDebris::of_repository(conn, RepositoryId(id), AT_ONCE).await?)
    } else {
        Err(Error::NotFound { what: T::WHAT }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::representation::FileRepository;

    fn data(value: Value) -> Data {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_whole_body_needs_a_name_and_resets_what_has_a_default() {
        let errors = read::<FileRepository>(&data(json!({})), false).unwrap_err();
        assert_eq!(errors.0["name"], ["This field is required."]);
        let change = read::<FileRepository>(&data(json!({"name": "a"})), false).unwrap();
        assert_eq!(change.autopublish, Some(false));
        assert_eq!(change.description, None);
    }

    #[test]
    fn a_name_fits_its_index() {
        let named =
            |length| read::<FileRepository>(&data(json!({"name": "n".repeat(length)})), true);
        assert!(named(NAME_BYTES).is_ok());
        assert!(named(NAME_BYTES + 1).unwrap_err().0["name"][0].contains("2000 bytes"));
    }

    #[test]
    fn a_partial_body_changes_only_what_it_names() {
        let change = read::<FileRepository>(&data(json!({"manifest": null})), true).unwrap();
        assert_eq!(
            change,
            RepositoryChange {
                manifest: Some(None),
                ..RepositoryChange::default()
            }
        );
        let row = build::<FileRepository>(&data(json!({"name": "a"})), DomainId::DEFAULT).unwrap();
        assert!(!changes_nothing(&row, &change));
        let same = read::<FileRepository>(&data(json!({"name": "a"})), false).unwrap();
        assert!(changes_nothing(&row, &same));
    }
}
