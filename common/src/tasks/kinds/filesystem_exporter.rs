//! Exporters to file systems: creating, changing, deleting (contract 1.11, 4.14).

use super::{Data, FieldErrors, Fields, Kind, Scope, completed, object};
use crate::config;
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{DomainId, ExporterId};
use crate::models::{Exporter, ExporterChange};
use crate::prn::Prn;
use crate::representation::FilesystemExporter;
use crate::tasking::{Resources, TaskError};
use crate::tasks::export::path;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde_json::{Value, json};
use uuid::Uuid;

/// The component that these exporters belong to.
pub const APP_LABEL: &str = "core";
/// The name of their validator.
pub const SERIALIZER: &str = "FilesystemExporterSerializer";
/// Their type.
pub const PULP_TYPE: &str = "core.filesystem";

/// Longest name in bytes: it is a key of an index.
const NAME_BYTES: usize = 2000;
/// Longest path in bytes: more than the system takes.
const PATH_BYTES: usize = 4095;

const METHODS: [&str; 3] = ["write", "hardlink", "symlink"];

pub(super) const KIND: Kind = Kind {
    app_label: APP_LABEL,
    serializer_name: SERIALIZER,
    prn: |id| Prn::from(ExporterId(id)),
    fields: &["name", "path", "method"],
    defaults,
    check: |data, partial| read(data, partial).map(|_| ()),
    lanes: |_| Resources::default(),
    create: None,
    update: |conn, scope, id, data| Box::pin(update(conn, scope, id, data)),
    delete: |conn, scope, id| Box::pin(delete(conn, scope.domain, id)),
};

fn defaults() -> Data {
    object(json!({"method": "write"}))
}

/// Reads a body. A partial one changes only what it names; a whole one must name what has no default,
/// and gives what has one its default (contract 4.1). The path is not looked at: see [`check_path`].
///
/// # Errors
/// What is wrong with which field.
pub fn read(data: &Data, partial: bool) -> Result<ExporterChange, FieldErrors> {
    let given = if partial {
        data.clone()
    } else {
        completed(data, defaults())
    };
    let mut fields = Fields::new(given);
    let change = ExporterChange {
        name: fields.text("name"),
        path: fields.text("path"),
        method: fields.choice("method", &METHODS),
    };
    let lengths = [
        ("name", &change.name, NAME_BYTES),
        ("path", &change.path, PATH_BYTES),
    ];
    for (field, text, most) in lengths {
        if text.as_ref().is_some_and(|text| text.len() > most) {
            let message = format!("Ensure this field has no more than {most} bytes.");
            fields.refuse(field, message);
        }
    }
    if !partial {
        for field in ["name", "path"] {
            if !data.contains_key(field) {
                fields.require(field);
            }
        }
    }
    fields.finish(change)
}

/// Checks that the settings allow the path that a change names, as the file system of this process is now.
///
/// # Errors
/// For the field.
pub async fn check_path(
    change: &ExporterChange,
    settings: &config::Exports,
) -> Result<(), FieldErrors> {
    match &change.path {
        Some(path) => match path::find(path, settings).await {
            Ok(_) => Ok(()),
            Err(refusal) => Err(FieldErrors::one("path", refusal.about(path))),
        },
        None => Ok(()),
    }
}

/// A new exporter from a whole body; the caller inserts it.
#[must_use]
pub fn build(change: ExporterChange, domain: DomainId) -> Exporter {
    Exporter {
        pulp_id: ExporterId::new(),
        // The database's clock gives the moment.
        pulp_created: chrono::DateTime::default(),
        pulp_last_updated: chrono::DateTime::default(),
        pulp_domain: domain,
        pulp_type: PULP_TYPE.to_owned(),
        name: change.name.unwrap_or_default(),
        path: change.path.unwrap_or_default(),
        method: change.method.unwrap_or_default(),
    }
}

/// True where a change leaves an exporter as it is.
#[must_use]
pub fn changes_nothing(row: &Exporter, change: &ExporterChange) -> bool {
    let same = |new: &Option<String>, old: &String| new.as_ref().is_none_or(|new| new == old);
    same(&change.name, &row.name)
        && same(&change.path, &row.path)
        && same(&change.method, &row.method)
}

async fn update(conn: &mut Conn, scope: &Scope, id: Uuid, data: &Data) -> Result<Value, TaskError> {
    let failed = |errors: FieldErrors| TaskError::failed(errors.to_string());
    let change = read(data, true).map_err(failed)?;
    check_path(&change, &scope.settings.exports)
        .await
        .map_err(failed)?;
    let id = ExporterId(id);
    let row = Exporter::lock(conn, scope.domain, id).await?;
    row.ok_or(NO_EXPORTER)?;
    let taken = || failed(FieldErrors::one("name", "This field must be unique."));
    if let Some(name) = &change.name
        && Exporter::name_taken(conn, scope.domain, name, Some(id)).await?
    {
        return Err(taken());
    }
    let changed = Exporter::change(conn, id, &change).await;
    let changed = changed.map_err(|error| match error {
        // Somebody took the name meanwhile; nothing else that changes is unique.
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => taken(),
        other => other.into(),
    })?;
    serde_json::to_value(FilesystemExporter::from(changed)).map_err(TaskError::internal)
}

const NO_EXPORTER: Error = Error::NotFound {
    what: "FilesystemExporter",
};

async fn delete(conn: &mut Conn, domain: DomainId, id: Uuid) -> Result<(), TaskError> {
    if Exporter::delete(conn, domain, ExporterId(id)).await? {
        Ok(())
    } else {
        Err(NO_EXPORTER.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn data(value: Value) -> Data {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_whole_body_needs_name_and_path_and_writes_unless_it_says_otherwise() {
        let errors = read(&data(json!({})), false).unwrap_err();
        assert_eq!(errors.0["name"], ["This field is required."]);
        assert_eq!(errors.0["path"], ["This field is required."]);
        let change = read(&data(json!({"name": "a", "path": "/b"})), false).unwrap();
        assert_eq!(change.method.as_deref(), Some("write"));
        let bad = json!({"method": "move", "path": "x".repeat(PATH_BYTES + 1)});
        let errors = read(&data(bad), true).unwrap_err();
        assert_eq!(errors.0["method"], ["\"move\" is not a valid choice."]);
        assert!(errors.0["path"][0].contains("4095 bytes"));
    }

    #[test]
    fn a_partial_body_changes_only_what_it_names() {
        let change = read(&data(json!({"method": "symlink"})), true).unwrap();
        let whole = read(&data(json!({"name": "a", "path": "/b"})), false).unwrap();
        let row = build(whole.clone(), DomainId::DEFAULT);
        assert!(!changes_nothing(&row, &change));
        assert!(changes_nothing(&row, &whole));
    }
}
