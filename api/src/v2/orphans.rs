//! `content/orphans/`: what nothing needs, and its removal (contract 2, 1.3 to 1.5).

use super::answer::{JSON, call_report, href, ok};
use super::auth::Caller;
use super::problem::{Answer, Problem};
use super::{segment, units};
use crate::app::App;
use crate::dispatching;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use futures_util::stream;
use millrace_common::content::Definition;
use millrace_common::db::{self, Conn};
use millrace_common::error::Error;
use millrace_common::ids::DomainId;
use millrace_common::models::listed_orphan::{Orphan, OrphansOf, count_by_type};
use millrace_common::tasking::{NewTask, Task};
use millrace_common::tasks::disposal::protected_since;
use millrace_common::tasks::orphan_removal::{
    DeleteAllOrphans, DeleteOrphansById, DeleteOrphansByType, UnitName,
};
use serde_json::{Map, Value, json};

/// How many orphans each type has, those without any included.
///
/// # Errors
/// As the session.
pub async fn summary(app: Data<App>) -> Answer {
    let mut conn = app.db.get().await?;
    let before = unused_since(&app, &mut conn).await?;
    let counts = count_by_type(&mut conn, DomainId::DEFAULT, before).await?;
    let entry = |definition: &Definition| {
        let count = counts.get(&*definition.row_type()).copied().unwrap_or(0);
        let href = href(&["content", "orphans", &definition.id]);
        (
            definition.id.clone(),
            json!({ "count": count, "_href": href }),
        )
    };
    let all: Map<String, Value> = app.catalog.content.definitions().map(entry).collect();
    ok(&all)
}

/// All orphans of a type.
///
/// # Errors
/// 404 for a type that is not defined.
pub async fn list(app: Data<App>, request: HttpRequest) -> Answer {
    let definition = known_type(&app, &segment(&request, "type_id"))?.clone();
    if *request.method() == Method::HEAD {
        let nothing = stream::empty::<Result<Bytes, Error>>();
        let mut answer = HttpResponse::build(StatusCode::OK);
        return Ok(answer.content_type(JSON).streaming(nothing));
    }
    let of = orphans_of(&app, &mut *app.db.get().await?, &definition).await?;
    units::list(app, definition, of).await
}

/// One orphan.
///
/// # Errors
/// 404 for whatever is none.
pub async fn read(app: Data<App>, request: HttpRequest) -> Answer {
    let (definition, unit) = known_orphan(&app, &request).await?;
    ok(&units::body(&app.storage, definition, unit))
}

/// Deletes all orphans, in a task.
///
/// # Errors
/// As a dispatch.
pub async fn remove_all(app: Data<App>, caller: Caller) -> Answer {
    let task = DeleteAllOrphans {
        orphan_protection_time: protection(&app),
    };
    dispatch(&app, &caller, &task).await
}

/// Deletes the orphans of a type, in a task.
///
/// # Errors
/// As [`list`].
pub async fn remove_type(app: Data<App>, caller: Caller, request: HttpRequest) -> Answer {
    let definition = known_type(&app, &segment(&request, "type_id"))?;
    let task = DeleteOrphansByType {
        content_type_id: definition.id.clone(),
        orphan_protection_time: protection(&app),
    };
    dispatch(&app, &caller, &task).await
}

/// Deletes one orphan, in a task. It may be needed again before that runs; then it stays.
///
/// # Errors
/// As [`read`].
pub async fn remove_one(app: Data<App>, caller: Caller, request: HttpRequest) -> Answer {
    let (definition, unit) = known_orphan(&app, &request).await?;
    let task = DeleteOrphansById {
        content_unit_list: vec![UnitName {
            content_type_id: definition.id.clone(),
            unit_id: unit.pulp_id.to_string(),
        }],
        orphan_protection_time: protection(&app),
    };
    dispatch(&app, &caller, &task).await
}

/// Dispatches a removal and reports it.
///
/// # Errors
/// As a dispatch.
pub async fn dispatch(app: &App, caller: &Caller, task: &impl Task) -> Answer {
    let task = NewTask::new(&app.catalog.tasks, task)?;
    let id = dispatching::record_task(app, &caller.actor, task).await?;
    call_report(id)
}

/// Minutes that an orphan is kept.
#[must_use]
pub fn protection(app: &App) -> u32 {
    app.settings.tasks.v2_orphan_protection_time
}

async fn unused_since(app: &App, conn: &mut Conn) -> Answer<DateTime<Utc>> {
    Ok(protected_since(db::now(conn).await?, protection(app)))
}

async fn orphans_of(app: &App, conn: &mut Conn, definition: &Definition) -> Answer<OrphansOf> {
    Ok(OrphansOf {
        domain: DomainId::DEFAULT,
        pulp_type: definition.row_type().into_owned(),
        before: unused_since(app, conn).await?,
    })
}

fn known_type<'a>(app: &'a App, id: &str) -> Answer<&'a Definition> {
    let found = app.catalog.content.by_id(id);
    found.ok_or_else(|| Problem::missing(&[("content_type_id", id)]))
}

async fn known_orphan<'a>(app: &'a App, request: &HttpRequest) -> Answer<(&'a Definition, Orphan)> {
    let (type_id, unit_id) = (segment(request, "type_id"), segment(request, "unit_id"));
    let missing = || Problem::missing(&[("content_type", &type_id), ("content_unit", &unit_id)]);
    let definition = app.catalog.content.by_id(&type_id).ok_or_else(missing)?;
    // An id is given as it is shown: other spellings of it name nothing.
    let id = unit_id.parse().map_err(|_reason| missing())?;
    let mut conn = app.db.get().await?;
    let of = orphans_of(app, &mut conn, definition).await?;
    match of.find(&mut conn, id).await? {
        Some(unit) if unit.pulp_id.to_string() == unit_id => Ok((definition, unit)),
        _ => Err(missing()),
    }
}
