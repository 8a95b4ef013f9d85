//! `pauses/`: what is not to start for now. For administrators.

use super::{href, path_id, time};
use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::body::{Body, Fields, FromFields, RawText, Text, Unread};
use crate::correlation;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use millrace_common::models::audit_entry::By;
use millrace_common::models::selection::Page;
use millrace_common::models::{NewPause, Pause, PauseKind};
use millrace_common::prn::Prn;
use millrace_common::schema::pause;
use millrace_common::tasking::pause::{pause, resource_name, resume};
use serde::Serialize;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// Longest reason, in characters.
const REASON: usize = 1000;

const KINDS: &[&str] = &[PauseKind::Resource.as_str(), PauseKind::Task.as_str()];

/// A pause of a lane or of a task type.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PauseResponse {
    /// Its address.
    #[schema(read_only)]
    pub pulp_href: String,
    /// Its name for programs.
    #[schema(read_only)]
    pub prn: String,
    /// `resource`: tasks that reserve it in either way; `task`: tasks of this type.
    pub kind: String,
    /// The resource as it is reserved, or the task type.
    pub name: String,
    /// Why, for people.
    pub reason: String,
    /// Who asked for it, as he was called then; null: a command of the machine.
    pub paused_by: Option<String>,
    /// Since when.
    #[serde(serialize_with = "time::micros")]
    pub since: DateTime<Utc>,
}

impl From<Pause> for PauseResponse {
    fn from(row: Pause) -> Self {
        Self {
            pulp_href: href::pause(row.pulp_id),
            prn: Prn::from(row.pulp_id).to_string(),
            kind: row.kind,
            name: row.name,
            reason: row.reason,
            paused_by: row.paused_by,
            since: row.since,
        }
    }
}

/// A pause to be made: of a resource or of a task type.
#[derive(Clone, Debug, ToSchema)]
#[schema(as = Pause)]
pub struct PauseRequest {
    /// A name, an href or a PRN, as tasks reserve it.
    #[schema(required = false)]
    pub resource: Option<String>,
    /// The dotted name of a registered type.
    #[schema(required = false)]
    pub task_name: Option<String>,
    /// Why, for people.
    #[schema(required = false)]
    pub reason: String,
}

impl FromFields for PauseRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let resource = fields.optional::<RawText>("resource");
        let task_name = fields.optional::<Text>("task_name");
        let reason = fields.optional::<RawText>("reason");
        let (resource, task_name) = (resource?, task_name?);
        let reason = reason?.map(|text| text.0).unwrap_or_default();
        if reason.chars().count() > REASON {
            let message = format!("Ensure this field has no more than {REASON} characters.");
            return fields.refuse("reason", message);
        }
        match (&resource, &task_name) {
            (None, None) => fields.refuse("resource", "Give a resource or a task_name."),
            (Some(_), Some(_)) => {
                fields.refuse("task_name", "Give a resource or a task_name, not both.")
            }
            _ => Some(Self {
                resource: resource.map(|text| text.0),
                task_name: task_name.map(|text| text.0),
                reason,
            }),
        }
    }
}

/// The filters of `pauses/`.
pub static FILTERS: LazyLock<Filters<pause::table>> = LazyLock::new(|| {
    Filters::newest_first(pause::since, pause::pulp_id)
        .sortable("since", pause::since)
        .sortable("kind", pause::kind)
        .sortable("name", pause::name)
        .sortable("reason", pause::reason)
        .sortable("paused_by", pause::paused_by)
        .identities(pause::pulp_id)
        .choice("kind", pause::kind, KINDS)
        .exact("name", pause::name)
        .contains("name", pause::name)
});

/// A page of pauses.
///
/// # Errors
/// 400 for a filter; 403.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Pause).await?;
    let listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let mut conn = app.db.get().await?;
    let Page { count, rows } = Pause::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results: Vec<_> = rows.into_iter().map(PauseResponse::from).collect();
    listing.answer(count, &results)
}

/// One pause.
///
/// # Errors
/// 403, 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    authorize(&app, &actor, Action::View, Object::Pause).await?;
    let row = Pause::find(&mut *app.db.get().await?, path_id(&path, "Pause")?).await?;
    let row = row.ok_or_else(|| ApiError::no("Pause"))?;
    Wanted::from_request(&request).answer_one(vec![PauseResponse::from(row)])
}

/// Pauses a resource or a task type, at once: tasks that run go on.
///
/// # Errors
/// 400 that names the field, also where it is paused already; 403.
pub async fn create(app: Data<App>, actor: Actor, body: Unread<Body<PauseRequest>>) -> ApiResult {
    authorize(&app, &actor, Action::Create, Object::Pause).await?;
    let Body(request) = body.read().await?;
    let (mut conn, cid) = (app.db.get().await?, correlation::current());
    let (kind, name) = match (request.resource, request.task_name) {
        (Some(resource), _) => (
            PauseKind::Resource,
            resource_name(&mut conn, &resource).await?,
        ),
        (None, name) => (PauseKind::Task, known(&app, name.unwrap_or_default())?),
    };
    let reason = request.reason;
    let new = NewPause { kind, name, reason };
    let made = PauseResponse::from(pause(&mut conn, by(&actor, &cid), &new).await?);
    Ok(HttpResponse::Created()
        .insert_header(("Location", made.pulp_href.clone()))
        .json(made))
}

/// Ends a pause: what waits for nothing else starts.
///
/// # Errors
/// 403, 404.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    authorize(&app, &actor, Action::Delete, Object::Pause).await?;
    let id = path_id(&path, "Pause")?;
    let (mut conn, cid) = (app.db.get().await?, correlation::current());
    let announce = |announcements| app.publisher.announce(announcements);
    match resume(&mut conn, by(&actor, &cid), id, announce).await? {
        Some(_) => Ok(HttpResponse::NoContent().finish()),
        None => Err(ApiError::no("Pause")),
    }
}

fn known(app: &App, name: String) -> ApiResult<String> {
    if app.catalog.tasks.get(&name).is_some() {
        return Ok(name);
    }
    let message = format!("`{name}` is not a registered task");
    Err(ApiError::field("task_name", message))
}

fn by<'a>(actor: &Actor, cid: &'a str) -> By<'a> {
    By {
        account: Some(actor.id),
        logging_cid: cid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn refusal(body: Value) -> String {
        let Value::Object(object) = body else {
            unreachable!()
        };
        let read = Fields::from_json(object).finish::<PauseRequest>();
        read.map(|Body(_)| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_pause_is_of_one_thing() {
        for (body, field) in [
            (json!({}), "resource"),
            (json!({"resource": "a", "task_name": "b"}), "task_name"),
            (json!({"resource": null}), "resource"),
            (json!({"resource": 3}), "resource"),
            (json!({"task_name": ""}), "task_name"),
            (
                json!({"resource": "a", "reason": "x".repeat(1001)}),
                "reason",
            ),
            (json!({"resource": "a", "name": "b"}), "name"),
        ] {
            let error = refusal(body);
            assert!(
                error.contains(&format!("\"{field}\":")),
                "{field} in {error}"
            );
        }
    }
}
