//! `repositories/file/file/<id>/sync/`: filling a file repository from a remote (contract 4.7).

use crate::app::App;
use crate::auth::{Access, Action, Actor};
use crate::body::{Body, Fields, FromFields, Text, Unread};
use crate::dispatching::dispatch_and_accept;
use crate::error::{ApiError, ApiResult};
use crate::v3::{references, repositories_of};
use actix_web::web::{Data, Path};
use millrace_common::db::Conn;
use millrace_common::ids::{DomainId, RemoteId};
use millrace_common::models::{Remote, Repository};
use millrace_common::prn;
use millrace_common::representation::FileRepository;
use millrace_common::tasking::NewTask;
use millrace_common::tasks::Synchronize;
use millrace_common::tasks::synchronize::MIRROR_AUTOPUBLISHED;
use utoipa::ToSchema;

/// From where, and how.
#[derive(Debug, ToSchema)]
#[schema(as = RepositorySyncURL)]
pub struct Sync {
    /// The remote, instead of that of the repository.
    pub remote: Option<String>,
    /// True: what the remote does not have goes.
    #[schema(required = false)]
    pub mirror: bool,
    /// True: nothing is done where nothing has changed.
    #[schema(required = false)]
    pub optimize: bool,
}

impl FromFields for Sync {
    fn read(fields: &mut Fields) -> Option<Self> {
        let remote = fields.nullable::<Text>("remote");
        let mirror = fields.optional::<bool>("mirror");
        let optimize = fields.optional::<bool>("optimize");
        Some(Self {
            remote: remote?.flatten().map(|text| text.0),
            mirror: mirror?.unwrap_or(false),
            optimize: optimize?.unwrap_or(true),
        })
    }
}

/// Makes a version with what a remote has, in a task.
///
/// # Errors
/// 400 for a remote that is missing or does not fit, and for a mirror that publishes by itself; 403, 404.
pub async fn sync(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<Sync>>,
) -> ApiResult {
    let found = repositories_of::find::<FileRepository>(&app, &actor, Action::Sync, &path).await;
    let ((repository, access), Body(request)) = body.read_for(found).await?;
    let mut conn = app.db.get().await?;
    let remote = remote(&mut conn, &access, &repository, request.remote.as_deref()).await?;
    drop(conn);
    if request.mirror && repository.autopublish {
        return Err(ApiError::messages([MIRROR_AUTOPUBLISHED.to_owned()]));
    }
    let task = Synchronize {
        remote_pk: remote,
        repository_pk: repository.pulp_id,
        mirror: request.mirror,
        optimize: request.optimize,
        url: None,
    };
    let task = NewTask::new(&app.catalog.tasks, &task)?;
    dispatch_and_accept(&app, &actor, task).await
}

/// The remote that is named, or else that of the repository.
async fn remote(
    conn: &mut Conn,
    access: &Access,
    repository: &Repository,
    named: Option<&str>,
) -> ApiResult<RemoteId> {
    const REQUIRED: &str = "This field is required since a remote is not set on the repository.";
    let found = match (named, repository.remote) {
        (Some(named), _) => Some(references::remote(conn, access, "remote", named).await?),
        (None, Some(id)) => Remote::find(conn, DomainId::DEFAULT, id).await?,
        (None, None) => None,
    };
    let found = found.ok_or_else(|| ApiError::field("remote", REQUIRED))?;
    let itself = prn::remote(&found.pulp_type, found.pulp_id);
    // What the repository has by itself was not named: there is no field to blame.
    if named.is_none() && !access.sees(conn, &itself.model, found.pulp_id.0).await? {
        return Err(ApiError::forbidden());
    }
    if found.pulp_type != repository.pulp_type {
        let repository = prn::repository(&repository.pulp_type, repository.pulp_id);
        let message =
            format!("Type for Remote '{itself}' does not match Repository '{repository}'.");
        return Err(ApiError::field("remote", message));
    }
    Ok(found.pulp_id)
}
