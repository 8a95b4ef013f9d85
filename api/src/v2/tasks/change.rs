//! Canceling tasks, and forgetting those that have ended.

use super::list::{no_task, task_id};
use super::response::states_of;
use crate::app::App;
use crate::canceling::cancel_one;
use crate::v2::answer::ok;
use crate::v2::problem::{Answer, Problem};
use crate::v2::segment;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use millrace_common::ids::DomainId;
use millrace_common::tasking::TaskState;
use millrace_common::tasks::purge::purge_in_place;
use serde_json::Value;
use url::form_urlencoded;

/// The states whose tasks may be forgotten.
const PURGED: [&str; 3] = ["finished", "error", "skipped"];

/// Cancels a task. One that has ended stays as it is; what it has spawned goes on.
///
/// # Errors
/// 404.
pub async fn cancel(app: Data<App>, request: HttpRequest) -> Answer {
    let id = segment(&request, "task_id");
    let task = task_id(&id).ok_or_else(|| no_task(&id))?;
    let mut conn = app.db.get().await?;
    match cancel_one(&app, &mut conn, task).await? {
        Some(_) => ok(&Value::Null),
        None => Err(no_task(&id)),
    }
}

/// Forgets the tasks that are in one of these states now. Batch by batch: where the client does not wait for the end, what
/// went until then is gone, and the same call goes on.
///
/// # Errors
/// 403 without a state, 400 for one that no task is purged in: then none is.
pub async fn purge(app: Data<App>, request: HttpRequest) -> Answer {
    let mut states: Vec<TaskState> = Vec::new();
    let mut is_given = false;
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        if name != "state" {
            continue;
        }
        is_given = true;
        match states_of(&value).filter(|_| PURGED.contains(&&*value)) {
            Some(ours) => states.extend(ours),
            None => return Err(Problem::no_such_state(&value)),
        }
    }
    if !is_given {
        return Err(Problem::no_state());
    }
    purge_in_place(&app.db, DomainId::DEFAULT, &states).await?;
    Ok(HttpResponse::NoContent().finish())
}
