//! References to other objects in bodies: addresses or PRNs (contract 4.1).

use crate::error::{ApiError, ApiResult};
use crate::v3::href::{self, Target};
use millrace_common::db::Conn;
use millrace_common::ids::{ContentId, DomainId, RepositoryId, VersionId};
use millrace_common::models::{Content, RepositoryVersion};
use millrace_common::prn::Prn;
use std::collections::HashMap;
use uuid::Uuid;

/// Units of one look at the database.
const BATCH: usize = 5000;

const NO_MATCH: &str = "Invalid hyperlink - No URL match.";
const WRONG_MATCH: &str = "Invalid hyperlink - Incorrect URL match.";
/// What is said of an object that is not there.
pub const NO_OBJECT: &str = "Invalid hyperlink - Object does not exist.";

/// The id in a reference to an object whose model ends like this.
///
/// # Errors
/// 400 for the field.
pub fn object_id(field: &str, reference: &str, model: &str) -> ApiResult<Uuid> {
    let prn = match (Prn::parse(reference), href::parse(reference)) {
        (Some(prn), _) | (None, Some(Target::Object(prn))) => prn,
        (None, Some(Target::Version { .. })) => return Err(ApiError::field(field, WRONG_MATCH)),
        (None, None) => return Err(ApiError::field(field, NO_MATCH)),
    };
    if !prn.model.ends_with(model) {
        return Err(ApiError::field(field, WRONG_MATCH));
    }
    prn.uuid().ok_or_else(|| ApiError::field(field, NO_MATCH))
}

/// The complete version that a reference names.
///
/// # Errors
/// 400 for the field.
pub async fn version_id(conn: &mut Conn, field: &str, reference: &str) -> ApiResult<VersionId> {
    let found = match (Prn::parse(reference), href::parse(reference)) {
        (Some(prn), _) if prn.model == "core.repositoryversion" => {
            let id = prn.uuid().ok_or_else(|| ApiError::field(field, NO_MATCH))?;
            RepositoryVersion::find(conn, VersionId(id)).await?
        }
        (_, Some(Target::Version { repository, number })) => {
            let id = repository
                .uuid()
                .ok_or_else(|| ApiError::field(field, NO_MATCH))?;
            RepositoryVersion::numbered(conn, RepositoryId(id), number).await?
        }
        (None, None) => return Err(ApiError::field(field, NO_MATCH)),
        _ => return Err(ApiError::field(field, WRONG_MATCH)),
    };
    found
        .map(|version| version.pulp_id)
        .ok_or_else(|| ApiError::field(field, NO_OBJECT))
}

/// The ids of units, all of which exist in the default domain.
///
/// # Errors
/// 400 for the field that names what is no reference or leads to nothing.
pub async fn units(
    conn: &mut Conn,
    field: &str,
    references: &[String],
) -> ApiResult<Vec<ContentId>> {
    let ids = references
        .iter()
        .map(|reference| unit_id(field, reference))
        .collect::<ApiResult<Vec<_>>>()?;
    let mut known = HashMap::new();
    for batch in ids.chunks(BATCH) {
        known.extend(Content::known(conn, batch).await?);
    }
    let named = |wrong: &dyn Fn(&ContentId) -> bool| {
        let list: Vec<String> = references
            .iter()
            .zip(&ids)
            .filter(|(_, id)| wrong(id))
            .take(100)
            .map(|(reference, _)| format!("'{reference}'"))
            .collect();
        list
    };
    let missing = named(&|id| !known.contains_key(id));
    if !missing.is_empty() {
        let list = missing.join(", ");
        let message = format!("Could not find the following content units: [{list}]");
        return Err(ApiError::field(field, message));
    }
    let foreign = named(&|id| known.get(id) != Some(&DomainId::DEFAULT));
    if !foreign.is_empty() {
        let list = foreign.join(", ");
        let message =
            format!("Content units are not a part of the current domain default: [{list}]");
        return Err(ApiError::field(field, message));
    }
    Ok(ids)
}

fn unit_id(field: &str, reference: &str) -> ApiResult<ContentId> {
    let invalid = || ApiError::field(field, format!("URI not valid: {reference}"));
    let prn = match (Prn::parse(reference), href::parse(reference)) {
        (Some(prn), _) | (None, Some(Target::Object(prn))) => prn,
        _ => return Err(invalid()),
    };
    if !prn.model.ends_with("content") {
        return Err(invalid());
    }
    prn.uuid().map(ContentId).ok_or_else(invalid)
}
