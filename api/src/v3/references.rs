//! References to other objects in bodies: addresses or PRNs (contract 4.1).

mod units;

pub use units::{NamedUnits, units};

use crate::auth::Access;
use crate::error::{ApiError, ApiResult};
use crate::v3::href::{self, Target};
use millrace_common::content::ContentTypes;
use millrace_common::db::Conn;
use millrace_common::ids::{ArtifactId, DomainId, RemoteId, RepositoryId, UploadId, VersionId};
use millrace_common::models::object::Located;
use millrace_common::models::{Content, Remote, Repository, RepositoryVersion};
use millrace_common::prn::{self, Prn};
use serde_json::{Map, Value};
use uuid::Uuid;

const NO_MATCH: &str = "Invalid hyperlink - No URL match.";
/// What is said of an object of another kind.
pub const WRONG_MATCH: &str = "Invalid hyperlink - Incorrect URL match.";
/// What is said of an object that is not there.
pub const NO_OBJECT: &str = "Invalid hyperlink - Object does not exist.";

/// The id in a reference to an object whose model ends like this; `content` stands for units of all types.
///
/// # Errors
/// 400 for the field.
pub fn object_id(field: &str, reference: &str, model: &str) -> ApiResult<Uuid> {
    let prn = match (Prn::parse(reference), href::parse(reference)) {
        (Some(prn), _) | (None, Some(Target::Object(prn))) => prn,
        (None, Some(Target::Version { .. })) => return Err(ApiError::field(field, WRONG_MATCH)),
        (None, None) => return Err(ApiError::field(field, NO_MATCH)),
    };
    let fits = match model {
        "content" => prn::is_content(&prn.model),
        _ => prn.model.ends_with(model),
    };
    if !fits {
        return Err(ApiError::field(field, WRONG_MATCH));
    }
    prn.uuid().ok_or_else(|| ApiError::field(field, NO_MATCH))
}

/// The remote that a reference names. One that may not be seen is as one that is not there, as with all references.
///
/// # Errors
/// 400 for the field.
pub async fn remote(
    conn: &mut Conn,
    access: &Access,
    field: &str,
    reference: &str,
) -> ApiResult<Remote> {
    let id = object_id(field, reference, "remote")?;
    let gone = || ApiError::field(field, NO_OBJECT);
    let found = Remote::find(conn, DomainId::DEFAULT, RemoteId(id)).await?;
    let found = found.ok_or_else(gone)?;
    require_seen(
        conn,
        access,
        field,
        &prn::remote(&found.pulp_type, found.pulp_id),
    )
    .await?;
    Ok(found)
}

/// Refuses an object that may not be seen.
///
/// # Errors
/// 400 for the field.
pub async fn require_seen(
    conn: &mut Conn,
    access: &Access,
    field: &str,
    object: &Prn,
) -> ApiResult<()> {
    let id = object.uuid().unwrap_or_default();
    if access.sees(conn, &object.model, id).await? {
        Ok(())
    } else {
        Err(ApiError::field(field, NO_OBJECT))
    }
}

/// Puts the PRN of the remote that a body names in its place; the body's `remote` must exist. What is no
/// text is left to whoever reads the body.
///
/// # Errors
/// 400 for the field.
pub async fn resolve_remote(
    conn: &mut Conn,
    access: &Access,
    mut data: Map<String, Value>,
) -> ApiResult<Map<String, Value>> {
    if let Some(Value::String(reference)) = data.get_mut("remote")
        && !reference.is_empty()
    {
        let found = remote(conn, access, "remote", reference).await?;
        *reference = prn::remote(&found.pulp_type, found.pulp_id).to_string();
    }
    Ok(data)
}

/// The complete version that a reference names.
///
/// # Errors
/// 400 for the field.
pub async fn version_id(
    conn: &mut Conn,
    access: &Access,
    field: &str,
    reference: &str,
) -> ApiResult<VersionId> {
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
    let found = found.ok_or_else(|| ApiError::field(field, NO_OBJECT))?;
    require_version_seen(conn, access, field, found.repository_id).await?;
    Ok(found.pulp_id)
}

/// Refuses what belongs to a repository that may not be seen.
async fn require_version_seen(
    conn: &mut Conn,
    access: &Access,
    field: &str,
    repository: RepositoryId,
) -> ApiResult<()> {
    if sees_version(conn, access, repository).await? {
        Ok(())
    } else {
        Err(ApiError::field(field, NO_OBJECT))
    }
}

/// True where versions of this repository may be seen.
///
/// # Errors
/// As the session.
pub async fn sees_version(
    conn: &mut Conn,
    access: &Access,
    repository: RepositoryId,
) -> ApiResult<bool> {
    if access.is_unlimited() {
        return Ok(true);
    }
    match Repository::find(conn, DomainId::DEFAULT, repository).await? {
        Some(found) => {
            let prn = prn::repository(&found.pulp_type, found.pulp_id);
            access.sees(conn, &prn.model, found.pulp_id.0).await
        }
        None => Ok(false),
    }
}

/// True where an object that was found may be seen.
///
/// # Errors
/// As the session.
pub async fn is_seen(
    conn: &mut Conn,
    access: &Access,
    types: &ContentTypes,
    found: &Located,
) -> ApiResult<bool> {
    if access.is_unlimited() {
        return Ok(true);
    }
    let id = found.pulp_id;
    let prn = match (found.kind.as_str(), &found.pulp_type) {
        ("version", _) => {
            let repository = RepositoryId(found.owner.unwrap_or_default());
            return sees_version(conn, access, repository).await;
        }
        ("content", _) => {
            let visible = access.units(types);
            return Ok(!Content::among(conn, &[id.into()], visible)
                .await?
                .is_empty());
        }
        ("artifact", _) => return access.made(conn, &ArtifactId(id).into()).await,
        ("repository", Some(kind)) => prn::repository(kind, id.into()),
        ("remote", Some(kind)) => prn::remote(kind, id.into()),
        ("publication", Some(kind)) => prn::publication(kind, id.into()),
        ("distribution", Some(kind)) => prn::distribution(kind, id.into()),
        ("upload", _) => UploadId(id).into(),
        // The rest is for administrators, or found by the tasks that made it.
        _ => return Ok(false),
    };
    access.sees(conn, &prn.model, id).await
}

/// Turns the addresses in these fields of a body into PRNs, which are of objects that may be seen, where there are such
/// objects at all. What is no text, or empty, stays as it is.
///
/// # Errors
/// 400 for the field.
pub async fn into_prns(
    conn: &mut Conn,
    access: &Access,
    data: &mut Map<String, Value>,
    fields: &[&str],
) -> ApiResult<()> {
    for field in fields {
        let Some(Value::String(text)) = data.get_mut(*field) else {
            continue;
        };
        let reference = text.trim();
        if reference.is_empty() {
            continue;
        }
        let prn = match (Prn::parse(reference), href::parse(reference)) {
            (Some(prn), _) | (None, Some(Target::Object(prn))) => prn,
            (None, Some(Target::Version { .. })) => {
                version_id(conn, access, field, reference).await?.into()
            }
            (None, None) => return Err(ApiError::field(field, NO_MATCH)),
        };
        require_usable(conn, access, field, &prn).await?;
        *text = prn.to_string();
    }
    Ok(())
}

/// Refuses an object that may not be named in a body: one that may not be seen, an artifact of somebody else, an upload
/// that may not be changed.
async fn require_usable(conn: &mut Conn, access: &Access, field: &str, prn: &Prn) -> ApiResult<()> {
    if access.is_unlimited() {
        return Ok(());
    }
    let id = prn.uuid().unwrap_or_default();
    let may = match prn.model.as_str() {
        "core.repositoryversion" => {
            let version = RepositoryVersion::find(conn, VersionId(id)).await?;
            let version = version.ok_or_else(|| ApiError::field(field, NO_OBJECT))?;
            return require_version_seen(conn, access, field, version.repository_id).await;
        }
        "core.artifact" => access.made(conn, prn).await?,
        "core.upload" => access.holds(conn, "change", &prn.model, id).await?,
        model => access.sees(conn, model, id).await?,
    };
    if may {
        Ok(())
    } else {
        Err(ApiError::field(field, NO_OBJECT))
    }
}
