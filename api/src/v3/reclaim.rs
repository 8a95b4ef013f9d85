//! `repositories/reclaim_space/`: giving up files that can be fetched again (contract 4.6).

use crate::app::App;
use crate::auth::{Access, Action, Actor, Object, authorize};
use crate::body::{Body, Fields, FromFields, Text, Unread};
use crate::dispatching::dispatch_made;
use crate::error::{ApiError, ApiResult};
use crate::v3::references::{object_id, version_id};
use actix_web::web::Data;
use millrace_common::db::Conn;
use millrace_common::ids::{DomainId, RepositoryId, VersionId};
use millrace_common::models::{Repository, RepositoryVersion};
use millrace_common::prn;
use millrace_common::tasking::{NewTask, Resources};
use millrace_common::tasks::ReclaimSpace;
use millrace_common::tasks::reclaim_space::MOST_KEPT;
use std::collections::HashMap;
use utoipa::ToSchema;

/// Stands for all repositories.
const ALL: &str = "*";

/// Whose files are given up.
#[derive(Debug, ToSchema)]
#[schema(as = ReclaimSpace)]
pub struct ReclaimRequest {
    /// Repositories, or `*` for all.
    pub repo_hrefs: Vec<String>,
    /// Versions that keep theirs.
    #[schema(required = false)]
    pub repo_versions_keeplist: Vec<String>,
    /// True: the task's result says what would go, and nothing does.
    #[schema(required = false)]
    pub dry_run: bool,
}

impl FromFields for ReclaimRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let hrefs = fields.required::<Vec<Text>>("repo_hrefs");
        let keep = fields.optional::<Vec<Text>>("repo_versions_keeplist");
        let dry_run = fields.optional::<bool>("dry_run");
        let texts = |list: Vec<Text>| list.into_iter().map(|text| text.0).collect::<Vec<_>>();
        let hrefs = texts(hrefs?);
        let keep = keep?.map(texts).unwrap_or_default();
        if keep.len() > MOST_KEPT {
            let message = format!("Ensure this field has no more than {MOST_KEPT} elements.");
            return fields.refuse("repo_versions_keeplist", message);
        }
        if hrefs.is_empty() {
            return fields.refuse("repo_hrefs", "Must not be [].");
        }
        if hrefs.len() > 1 && hrefs.iter().any(|href| href == ALL) {
            let message = "Can not specify other HREFs when using '*'";
            return fields.refuse("repo_hrefs", message);
        }
        Some(Self {
            repo_hrefs: hrefs,
            repo_versions_keeplist: keep,
            dry_run: dry_run?.unwrap_or_default(),
        })
    }
}

/// Gives files up, in a task that shares the repositories.
///
/// # Errors
/// 400 for what is wrong with which field.
pub async fn reclaim(
    app: Data<App>,
    actor: Actor,
    body: Unread<Body<ReclaimRequest>>,
) -> ApiResult {
    let access = authorize(&app, &actor, Action::Delete, Object::Reclaim).await?;
    let Body(request) = body.read().await?;
    let kept = {
        let mut conn = app.db.get().await?;
        kept(&mut conn, &access, &request.repo_versions_keeplist).await?
    };
    dispatch_made(&app, &actor, async |conn| {
        let chosen = repositories(conn, &request.repo_hrefs).await?;
        let task = ReclaimSpace {
            repo_pks: chosen.iter().map(|(id, _)| *id).collect(),
            keeplist_rv_pks: Some(kept.iter().map(|(id, _)| *id).collect()),
            force: false,
            dry_run: request.dry_run,
        };
        let kept_in: Vec<RepositoryId> = kept.iter().map(|(_, repository)| *repository).collect();
        let kept_in = Repository::types(conn, &kept_in).await?;
        let shared = chosen
            .iter()
            .chain(&kept_in)
            .map(|(id, pulp_type)| prn::repository(pulp_type, *id))
            .fold(Resources::default(), Resources::and_shared);
        Ok(NewTask::new(&app.catalog.tasks, &task)?.and_resources(shared))
    })
    .await
}

/// The repositories that are named, with their types.
async fn repositories(conn: &mut Conn, hrefs: &[String]) -> ApiResult<Vec<(RepositoryId, String)>> {
    if hrefs == [ALL] {
        return Ok(Repository::all(conn, DomainId::DEFAULT).await?);
    }
    let not_valid = |href: &str| ApiError::field("repo_hrefs", format!("URI not valid: {href}"));
    let ids = hrefs
        .iter()
        .map(|href| {
            let id = object_id("repo_hrefs", href, "repository");
            id.map(RepositoryId).map_err(|_reason| not_valid(href))
        })
        .collect::<ApiResult<Vec<_>>>()?;
    let found = Repository::types(conn, &ids).await?;
    let known: HashMap<RepositoryId, String> = found.iter().cloned().collect();
    if let Some((href, _)) = hrefs
        .iter()
        .zip(&ids)
        .find(|(_, id)| !known.contains_key(id))
    {
        let message = format!("URI {href} not found for repository.");
        return Err(ApiError::field("repo_hrefs", message));
    }
    Ok(found)
}

/// The versions that keep their files, with their repositories.
async fn kept(
    conn: &mut Conn,
    access: &Access,
    hrefs: &[String],
) -> ApiResult<Vec<(VersionId, RepositoryId)>> {
    let field = "repo_versions_keeplist";
    let mut kept = Vec::new();
    for href in hrefs {
        let id = version_id(conn, access, field, href).await?;
        let found = RepositoryVersion::find(conn, id).await?;
        let version = found.ok_or_else(|| {
            ApiError::field(
                field,
                format!("URI {href} not found for repositoryversion."),
            )
        })?;
        kept.push((id, version.repository_id));
    }
    Ok(kept)
}
