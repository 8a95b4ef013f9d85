//! File repositories: creating, changing, deleting.

use super::{Data, FieldErrors, Fields, Kind};
use crate::content::check_relative_path;
use crate::content::file::PULP_TYPE;
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{DomainId, RemoteId, RepositoryId};
use crate::models::{MembershipDebris, Remote, Repository, RepositoryChange};
use crate::prn::{self, Prn};
use crate::repository::{BATCH, Recounts, retain};
use crate::representation::FileRepository;
use crate::tasking::{Resources, TaskError};
use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde_json::{Value, json};
use uuid::Uuid;

/// The component that file repositories belong to.
pub const APP_LABEL: &str = "file";
/// The name of their validator.
pub const SERIALIZER: &str = "FileRepositorySerializer";

/// Longest name in bytes: it is a key of an index.
const NAME_BYTES: usize = 2000;

pub(super) const KIND: Kind = Kind {
    app_label: APP_LABEL,
    serializer_name: SERIALIZER,
    prn: |id| prn::repository(PULP_TYPE, RepositoryId(id)),
    check: |data, partial| read(data, partial).map(|_| ()),
    lanes: |_| Resources::default(),
    create: None,
    update: |conn, scope, id, data, partial| {
        Box::pin(update(conn, scope.domain, id, data, partial))
    },
    delete: |conn, scope, id| Box::pin(delete(conn, scope.domain, id)),
};

/// Reads a body. A partial one changes only what it names; a whole one must name what has no default,
/// and gives what has one its default (contract 4.1).
///
/// # Errors
/// What is wrong with which field.
pub fn read(data: &Data, partial: bool) -> Result<RepositoryChange, FieldErrors> {
    let mut fields = Fields::new(data.clone());
    let given = fields_given(data);
    let mut change = RepositoryChange {
        name: fields.text("name"),
        description: fields.nullable_text("description"),
        pulp_labels: fields.labels("pulp_labels"),
        retain_repo_versions: fields.nullable_count("retain_repo_versions"),
        retain_checkpoints: fields.nullable_count("retain_checkpoints"),
        autopublish: fields.boolean("autopublish"),
        manifest: fields.nullable_text("manifest"),
        remote: remote(&mut fields),
    };
    if change.name.as_ref().is_some_and(|n| n.len() > NAME_BYTES) {
        let message = format!("Ensure this field has no more than {NAME_BYTES} bytes.");
        fields.refuse("name", message);
    }
    if let Some(Some(path)) = &change.manifest
        && let Err(message) = check_relative_path(path)
    {
        fields.refuse("manifest", message);
    }
    if !partial {
        if !given("name") {
            fields.require("name");
        }
        if !given("autopublish") {
            change.autopublish = Some(false);
        }
        if !given("manifest") {
            change.manifest = Some(Some("PULP_MANIFEST".into()));
        }
    }
    fields.finish(change)
}

/// A remote, by its PRN, or none.
fn remote(fields: &mut Fields) -> Option<Option<RemoteId>> {
    let value = fields.take("remote")?;
    if value.is_null() || value == "" {
        return Some(None);
    }
    let id = value.as_str().and_then(Prn::parse);
    let id =
        id.filter(|prn| *prn == prn::remote(PULP_TYPE, RemoteId(prn.uuid().unwrap_or_default())));
    match id.and_then(|prn| prn.uuid()) {
        Some(id) => Some(Some(RemoteId(id))),
        None => {
            fields.refuse("remote", NO_REMOTE);
            None
        }
    }
}

const NO_REMOTE: &str = "Invalid hyperlink - Object does not exist.";

fn fields_given(data: &Data) -> impl Fn(&str) -> bool {
    let names: Vec<String> = data.keys().cloned().collect();
    move |name| names.iter().any(|n| n == name)
}

/// A new repository from a whole body; the caller inserts it.
///
/// # Errors
/// What is wrong with which field.
pub fn build(data: &Data, domain: DomainId) -> Result<Repository, FieldErrors> {
    let change = read(data, false)?;
    Ok(Repository {
        pulp_id: RepositoryId::new(),
        // The database's clock gives the moment.
        pulp_created: DateTime::<Utc>::default(),
        pulp_last_updated: DateTime::<Utc>::default(),
        pulp_domain: domain,
        pulp_type: PULP_TYPE.to_owned(),
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

async fn update(
    conn: &mut Conn,
    domain: DomainId,
    id: Uuid,
    data: &Data,
    partial: bool,
) -> Result<Value, TaskError> {
    let change = read(data, partial).map_err(|e| TaskError::failed(e.to_string()))?;
    let id = RepositoryId(id);
    let row = Repository::lock(conn, domain, id).await?;
    let row = row.ok_or(Error::NotFound {
        what: "FileRepository",
    })?;
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
    let shown = FileRepository::load(conn, changed).await?;
    serde_json::to_value(shown).map_err(TaskError::internal)
}

fn name_taken() -> TaskError {
    let errors = FieldErrors::one("name", "This field must be unique.");
    TaskError::failed(errors.to_string())
}

async fn delete(conn: &mut Conn, domain: DomainId, id: Uuid) -> Result<(), TaskError> {
    if Repository::delete(conn, domain, RepositoryId(id)).await? {
        Ok(MembershipDebris::of_repository(conn, RepositoryId(id), BATCH).await?)
    } else {
        Err(Error::NotFound {
            what: "FileRepository",
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(value: Value) -> Data {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_whole_body_needs_a_name_and_resets_what_has_a_default() {
        let errors = read(&data(json!({})), false).unwrap_err();
        assert_eq!(errors.0["name"], ["This field is required."]);
        let change = read(&data(json!({"name": "a"})), false).unwrap();
        assert_eq!(change.autopublish, Some(false));
        assert_eq!(change.description, None);
    }

    #[test]
    fn a_name_fits_its_index() {
        let named = |length| read(&data(json!({"name": "n".repeat(length)})), true);
        assert!(named(NAME_BYTES).is_ok());
        assert!(named(NAME_BYTES + 1).unwrap_err().0["name"][0].contains("2000 bytes"));
    }

    #[test]
    fn a_partial_body_changes_only_what_it_names() {
        let change = read(&data(json!({"manifest": null})), true).unwrap();
        assert_eq!(
            change,
            RepositoryChange {
                manifest: Some(None),
                ..RepositoryChange::default()
            }
        );
        let row = build(&data(json!({"name": "a"})), DomainId::DEFAULT).unwrap();
        assert!(!changes_nothing(&row, &change));
        let same = read(&data(json!({"name": "a"})), false).unwrap();
        assert!(changes_nothing(&row, &same));
    }
}
