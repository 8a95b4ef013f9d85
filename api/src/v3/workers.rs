//! `workers/` (contract 4.4).

use super::{href, path_id, time};
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Kind, Listing, Wanted, truth};
use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::prelude::*;
use millrace_common::db::Conn;
use millrace_common::ids::{ProcessId, TaskId};
use millrace_common::models::app_status::{AppStatus, ONLINE};
use millrace_common::models::selection::{Page, Predicate};
use millrace_common::prn::Prn;
use millrace_common::schema::app_status;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// A worker.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct WorkerResponse {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_created: DateTime<Utc>,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_last_updated: DateTime<Utc>,
    pub name: String,
    #[serde(serialize_with = "time::micros")]
    pub last_heartbeat: DateTime<Utc>,
    #[schema(value_type = Object)]
    pub versions: Value,
    pub current_task: Option<String>,
}

/// The filters of `workers/`.
pub static FILTERS: LazyLock<Filters<app_status::table>> = LazyLock::new(|| {
    Filters::newest_first(app_status::pulp_created, app_status::pulp_id)
        .sortable("name", app_status::name)
        .sortable("app_type", app_status::app_type)
        .sortable("versions", app_status::versions)
        .sortable("last_heartbeat", app_status::last_heartbeat)
        .sortable("pulp_last_updated", app_status::pulp_last_updated)
        .identities(app_status::pulp_id)
        .names("name", app_status::name)
        .dates("last_heartbeat", app_status::last_heartbeat)
        .filter("online", Kind::Boolean, "its heart beats", |v| {
            Ok(online(truth(v)?))
        })
        .filter("missing", Kind::Boolean, "its heart does not beat", |v| {
            Ok(online(!truth(v)?))
        })
});

fn online(wanted: bool) -> Predicate<app_status::table> {
    let beats = Predicate::sql(ONLINE);
    if wanted { beats } else { beats.negated() }
}

/// A page of workers.
///
/// # Errors
/// 400 for a filter; 403.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Worker).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let is_worker = Predicate::of(app_status::app_type.eq("worker"));
    listing.selection.predicate = listing.selection.predicate.and(is_worker);
    let mut conn = app.db.get().await?;
    let Page { count, rows } = AppStatus::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results = render(&mut conn, rows).await?;
    listing.answer(count, &results)
}

/// One worker.
///
/// # Errors
/// 403, 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&app, &actor, Action::View, Object::Worker).await?;
    let id = path_id(&path, "AppStatus")?;
    let mut conn = app.db.get().await?;
    let row = AppStatus::worker(&mut conn, id)
        .await?
        .ok_or_else(|| ApiError::no("AppStatus"))?;
    let shown = render(&mut conn, vec![row]).await?;
    Wanted::from_request(&request).answer_one(shown)
}

async fn render(conn: &mut Conn, rows: Vec<AppStatus>) -> QueryResult<Vec<WorkerResponse>> {
    let ids: Vec<ProcessId> = rows.iter().map(|row| row.pulp_id).collect();
    let current: HashMap<ProcessId, TaskId> = AppStatus::current_tasks(conn, &ids)
        .await?
        .into_iter()
        .collect();
    Ok(rows
        .into_iter()
        .map(|row| WorkerResponse {
            pulp_href: href::worker(row.pulp_id),
            prn: Prn::from(row.pulp_id).to_string(),
            pulp_created: row.pulp_created,
            pulp_last_updated: row.pulp_last_updated,
            current_task: current.get(&row.pulp_id).map(|task| href::task(*task)),
            name: row.name,
            last_heartbeat: row.last_heartbeat,
            versions: row.versions,
        })
        .collect())
}
