//! File distributions: creating, changing, deleting (contract 1.10, 4.13).

mod refusal;

pub use refusal::{Refusal, refusal};

use super::{Creation, Data, FieldErrors, Fields, Kind, Scope, completed, object};
use crate::content::check_relative_path;
use crate::content::file::PULP_TYPE;
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{DistributionId, DomainId};
use crate::models::{Distribution, DistributionChange, Publication, RepositoryVersion};
use crate::prn::{self, Prn};
use crate::representation::FileDistribution;
use crate::tasking::{Effects, Resources, TaskError};
use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde_json::{Value, json};
use uuid::Uuid;

/// The component that file distributions belong to.
pub const APP_LABEL: &str = "file";
/// The name of their validator.
pub const SERIALIZER: &str = "FileDistributionSerializer";

/// Longest name in bytes: it is a key of an index.
const NAME_BYTES: usize = 2000;

const WHAT: &str = "FileDistribution";
const UNIQUE: &str = "This field must be unique.";
/// What is said of a reference that leads to nothing.
const NO_OBJECT: &str = "Invalid hyperlink - Object does not exist.";

pub(super) const KIND: Kind = Kind {
    app_label: APP_LABEL,
    serializer_name: SERIALIZER,
    prn: |id| prn::distribution(PULP_TYPE, DistributionId(id)),
    fields: &[
        "name",
        "base_path",
        "pulp_labels",
        "hidden",
        "content_guard",
        "publication",
        "repository_version",
        "repository",
        "checkpoint",
    ],
    defaults,
    check: |data, partial| read(data, partial).map(|_| ()),
    lanes: |data| lanes(data.is_some_and(|data| data.contains_key("base_path"))),
    create: Some(Creation {
        run: |conn, scope, data| Box::pin(create(conn, scope, data)),
    }),
    update: |conn, scope, id, data| Box::pin(update(conn, scope, id, data)),
    delete: |conn, scope, id| Box::pin(delete(conn, scope.domain, id)),
};

fn defaults() -> Data {
    object(json!({"hidden": false, "checkpoint": false}))
}

/// What a task on distributions reserves beside the distribution itself.
#[must_use]
pub fn lanes(writes_base_path: bool) -> Resources {
    let shared = Resources::shared(prn::distributions(DomainId::DEFAULT));
    if writes_base_path {
        shared.and_exclusive(prn::base_paths(DomainId::DEFAULT))
    } else {
        shared
    }
}

/// Reads a body, whose references are PRNs. A partial one changes only what it names; a whole one must
/// name what has no default, and gives what has one its default (contract 4.1). An empty reference
/// clears it.
///
/// # Errors
/// What is wrong with which field.
pub fn read(data: &Data, partial: bool) -> Result<DistributionChange, FieldErrors> {
    let given = if partial {
        data.clone()
    } else {
        completed(data, defaults())
    };
    let mut fields = Fields::new(given);
    let change = DistributionChange {
        name: fields.text("name"),
        base_path: fields.text("base_path"),
        pulp_labels: fields.labels("pulp_labels"),
        hidden: fields.boolean("hidden"),
        publication_id: reference(&mut fields, "publication", "file.filepublication"),
        repository_version_id: reference(
            &mut fields,
            "repository_version",
            "core.repositoryversion",
        ),
        repository_id: reference(&mut fields, "repository", "file.filerepository"),
        checkpoint: fields.boolean("checkpoint"),
    };
    if change.name.as_ref().is_some_and(|n| n.len() > NAME_BYTES) {
        let message = format!("Ensure this field has no more than {NAME_BYTES} bytes.");
        fields.refuse("name", message);
    }
    if let Some(Err(message)) = change.base_path.as_deref().map(check_relative_path) {
        fields.refuse("base_path", message);
    }
    // No content guard can be made.
    if reference::<Uuid>(&mut fields, "content_guard", "").is_some_and(|id| id.is_some()) {
        fields.refuse("content_guard", NO_OBJECT);
    }
    if !partial {
        for field in ["name", "base_path"] {
            if !data.contains_key(field) {
                fields.require(field);
            }
        }
    }
    fields.finish(change)
}

/// The id in a PRN of this model; null and an empty text stand for none. Any model where it is empty.
fn reference<T: From<Uuid>>(fields: &mut Fields, field: &str, model: &str) -> Option<Option<T>> {
    let value = fields.take(field)?;
    let text = match &value {
        Value::Null => return Some(None),
        Value::String(text) => text.trim(),
        _ => {
            fields.refuse(field, "Invalid hyperlink - No URL match.");
            return None;
        }
    };
    if text.is_empty() {
        return Some(None);
    }
    let Some(prn) = Prn::parse(text) else {
        if model.is_empty() {
            return Some(Some(Uuid::nil().into()));
        }
        fields.refuse(field, "Invalid hyperlink - No URL match.");
        return None;
    };
    match prn.uuid() {
        Some(id) if model.is_empty() || prn.model == model => Some(Some(id.into())),
        _ => {
            fields.refuse(field, "Invalid hyperlink - Incorrect URL match.");
            None
        }
    }
}

/// A distribution as it would be: the row with a change, or a new one.
#[must_use]
pub fn merged(
    row: Option<&Distribution>,
    change: &DistributionChange,
    domain: DomainId,
) -> Distribution {
    let change = change.clone();
    let blank = Distribution {
        pulp_id: DistributionId::new(),
        // The database's clock gives the moment.
        pulp_created: DateTime::<Utc>::default(),
        pulp_last_updated: DateTime::<Utc>::default(),
        pulp_domain: domain,
        pulp_type: PULP_TYPE.to_owned(),
        name: String::new(),
        base_path: String::new(),
        pulp_labels: json!({}),
        hidden: false,
        publication_id: None,
        repository_version_id: None,
        repository_id: None,
        checkpoint: false,
    };
    let old = row.cloned().unwrap_or(blank);
    Distribution {
        name: change.name.unwrap_or(old.name),
        base_path: change.base_path.unwrap_or(old.base_path),
        pulp_labels: change.pulp_labels.unwrap_or(old.pulp_labels),
        hidden: change.hidden.unwrap_or(old.hidden),
        publication_id: change.publication_id.unwrap_or(old.publication_id),
        repository_version_id: change
            .repository_version_id
            .unwrap_or(old.repository_version_id),
        repository_id: change.repository_id.unwrap_or(old.repository_id),
        checkpoint: change.checkpoint.unwrap_or(old.checkpoint),
        ..old
    }
}

/// True where a change leaves a distribution as it is.
#[must_use]
pub fn changes_nothing(row: &Distribution, wanted: &Distribution) -> bool {
    row.name == wanted.name
        && row.base_path == wanted.base_path
        && row.pulp_labels == wanted.pulp_labels
        && row.hidden == wanted.hidden
        && row.publication_id == wanted.publication_id
        && row.repository_version_id == wanted.repository_version_id
        && row.repository_id == wanted.repository_id
        && row.checkpoint == wanted.checkpoint
}

/// Checks under the lock on the domain's base paths, so that nobody else writes one before the commit.
async fn accept(
    conn: &mut Conn,
    row: Option<&Distribution>,
    wanted: &Distribution,
) -> Result<(), TaskError> {
    if row.is_none_or(|row| row.base_path != wanted.base_path) {
        Distribution::lock_base_paths(conn, wanted.pulp_domain).await?;
    }
    // So that no version goes at this moment because nothing serves it.
    let mut served = wanted.repository_version_id;
    if let Some(id) = wanted.publication_id {
        let publication = Publication::find(conn, wanted.pulp_domain, id).await?;
        served = publication.map(|row| row.repository_version_id).or(served);
    }
    if let Some(id) = served {
        RepositoryVersion::keep(conn, id).await?;
    }
    match refusal(conn, row, wanted).await? {
        Some(refusal) => Err(TaskError::failed(refusal.to_string())),
        None => Ok(()),
    }
}

/// What is lost to somebody who was a moment quicker is refused as if it had been seen.
fn lost_race(error: DieselError) -> TaskError {
    let errors = match &error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
            let is_path = info.constraint_name() == Some("distribution_base_path");
            FieldErrors::one(if is_path { "base_path" } else { "name" }, UNIQUE)
        }
        DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, info) => {
            let constraint = info.constraint_name().unwrap_or_default();
            let field = ["repository_version", "publication", "repository"]
                .into_iter()
                .find(|field| constraint.contains(field));
            FieldErrors::one(field.unwrap_or("non_field_errors"), NO_OBJECT)
        }
        _ => return error.into(),
    };
    TaskError::failed(errors.to_string())
}

async fn create(conn: &mut Conn, scope: &Scope, data: &Data) -> Result<Effects, TaskError> {
    let change = read(data, false).map_err(|e| TaskError::failed(e.to_string()))?;
    let wanted = merged(None, &change, scope.domain);
    accept(conn, None, &wanted).await?;
    let row = wanted.insert(conn).await.map_err(lost_race)?;
    let created = vec![prn::distribution(&row.pulp_type, row.pulp_id)];
    Ok(Effects {
        result: Some(show(conn, scope, row).await?),
        created,
    })
}

async fn update(conn: &mut Conn, scope: &Scope, id: Uuid, data: &Data) -> Result<Value, TaskError> {
    let change = read(data, true).map_err(|e| TaskError::failed(e.to_string()))?;
    let id = DistributionId(id);
    let row = Distribution::find(conn, scope.domain, id).await?;
    let row = row.ok_or(Error::NotFound { what: WHAT })?;
    let wanted = merged(Some(&row), &change, scope.domain);
    accept(conn, Some(&row), &wanted).await?;
    let row = Distribution::change(conn, id, &change)
        .await
        .map_err(lost_race)?;
    show(conn, scope, row).await
}

async fn show(conn: &mut Conn, scope: &Scope, row: Distribution) -> Result<Value, TaskError> {
    let shown = FileDistribution::load_many(conn, &scope.settings, vec![row]).await?;
    serde_json::to_value(shown.first()).map_err(TaskError::internal)
}

async fn delete(conn: &mut Conn, domain: DomainId, id: Uuid) -> Result<(), TaskError> {
    if Distribution::delete(conn, domain, DistributionId(id)).await? {
        Ok(())
    } else {
        Err(Error::NotFound { what: WHAT }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RepositoryId;

    fn data(value: Value) -> Data {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_whole_body_needs_name_and_path_and_resets_what_has_a_default() {
        let errors = read(&data(json!({})), false).unwrap_err();
        assert_eq!(errors.0["name"], ["This field is required."]);
        assert_eq!(errors.0["base_path"], ["This field is required."]);
        let change = read(&data(json!({"name": "a", "base_path": "a/b"})), false).unwrap();
        assert_eq!(
            (change.hidden, change.checkpoint),
            (Some(false), Some(false))
        );
        assert_eq!(change.repository_id, None);
    }

    #[test]
    fn an_empty_reference_clears_and_a_wrong_one_is_refused() {
        let id = Uuid::now_v7();
        let body = json!({"publication": "", "repository_version": null,
                          "repository": format!("prn:file.filerepository:{id}")});
        let change = read(&data(body), true).unwrap();
        assert_eq!(change.publication_id, Some(None));
        assert_eq!(change.repository_version_id, Some(None));
        assert_eq!(change.repository_id, Some(Some(RepositoryId(id))));
        let body = json!({"publication": format!("prn:file.filerepository:{id}"),
                          "repository": 3, "content_guard": "x", "base_path": "/a"});
        let errors = read(&data(body), true).unwrap_err();
        for field in ["publication", "repository", "content_guard", "base_path"] {
            assert!(errors.0.contains_key(field), "{errors}");
        }
    }
}
