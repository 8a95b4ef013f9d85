//! `task-schedules/` (contract 4.4), which administrators may change.

mod requests;

pub use requests::TaskScheduleRequest;

use self::requests::{ScheduleFields, SomeOfSchedule, WholeSchedule, interval_text};
use super::{href, path_id, time};
use crate::app::App;
use crate::auth::{self, Action, Actor, Object, authorize};
use crate::body::{Body, Unread};
use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Listing, Wanted};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use millrace_common::db::{self, Conn};
use millrace_common::error::Error;
use millrace_common::ids::{DomainId, TaskScheduleId};
use millrace_common::models::TaskSchedule;
use millrace_common::models::selection::Page;
use millrace_common::models::task_schedule::{NewTaskSchedule, StoredSchedule, TaskScheduleChange};
use millrace_common::prn::Prn;
use millrace_common::schema::task_schedule;
use millrace_common::tasking::schedule::ScheduleArguments;
use millrace_common::tasks::schedules;
use serde::Serialize;
use std::sync::LazyLock;
use utoipa::ToSchema;

const SCHEDULE: Object = Object::TaskSchedule;

/// What dispatches tasks at their times.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct TaskScheduleResponse {
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
    pub task_name: String,
    pub dispatch_interval: Option<String>,
    #[serde(serialize_with = "time::maybe_micros")]
    pub next_dispatch: Option<DateTime<Utc>>,
    pub last_task: Option<String>,
    /// Each task is to be over so many seconds after its dispatch.
    pub deadline_seconds: Option<i32>,
    /// Why it could not be dispatched when it was due.
    pub last_error: Option<String>,
}

impl From<TaskSchedule> for TaskScheduleResponse {
    fn from(row: TaskSchedule) -> Self {
        Self {
            pulp_href: href::task_schedule(row.pulp_id),
            prn: Prn::from(row.pulp_id).to_string(),
            pulp_created: row.pulp_created,
            pulp_last_updated: row.pulp_last_updated,
            name: row.name,
            task_name: row.task_name,
            dispatch_interval: row.dispatch_interval.map(interval_text),
            next_dispatch: row.next_dispatch,
            last_task: row.last_task.map(href::task),
            deadline_seconds: row.deadline_seconds,
            last_error: row.last_error,
        }
    }
}

/// The filters of `task-schedules/`.
pub static FILTERS: LazyLock<Filters<task_schedule::table>> = LazyLock::new(|| {
    Filters::newest_first(task_schedule::pulp_created, task_schedule::pulp_id)
        .in_domain(task_schedule::pulp_domain)
        .sortable("pulp_last_updated", task_schedule::pulp_last_updated)
        .sortable("name", task_schedule::name)
        .sortable("task_name", task_schedule::task_name)
        .sortable("next_dispatch", task_schedule::next_dispatch)
        .sortable("dispatch_interval", task_schedule::dispatch_interval)
        .identities(task_schedule::pulp_id)
        .exact("name", task_schedule::name)
        .contains("name", task_schedule::name)
        .exact("task_name", task_schedule::task_name)
        .contains("task_name", task_schedule::task_name)
});

/// A page of schedules.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, SCHEDULE).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let visible = access.rows(SCHEDULE, task_schedule::pulp_id);
    listing.narrow(visible);
    let mut conn = app.db.get().await?;
    let Page { count, rows } = TaskSchedule::page(&mut conn, &listing.selection)
        .await
        .map_err(|e| listing.blame(e))?;
    let results: Vec<_> = rows.into_iter().map(TaskScheduleResponse::from).collect();
    listing.answer(count, &results)
}

/// One schedule.
///
/// # Errors
/// 404.
pub async fn read(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    request: HttpRequest,
) -> ApiResult {
    let id = schedule_id(&path)?;
    authorize(&app, &actor, Action::View, SCHEDULE.at(id.0)).await?;
    let row = TaskSchedule::find(&mut *app.db.get().await?, DomainId::DEFAULT, id).await?;
    let shown = TaskScheduleResponse::from(row.ok_or_else(none)?);
    Wanted::from_request(&request).answer_one(vec![shown])
}

/// Makes a schedule, at once.
///
/// # Errors
/// 400 that names the field, 403.
pub async fn create(app: Data<App>, actor: Actor, body: Unread<Body<WholeSchedule>>) -> ApiResult {
    authorize(&app, &actor, Action::Create, SCHEDULE).await?;
    let Body(WholeSchedule(fields)) = body.read().await?;
    check_name(None, fields.name.as_deref())?;
    let task_name = fields.task_name.unwrap_or_default();
    let arguments = ScheduleArguments {
        args: fields.task_args.unwrap_or_default(),
        kwargs: fields.task_kwargs.unwrap_or_default(),
    };
    let new = NewTaskSchedule {
        pulp_id: TaskScheduleId::new(),
        pulp_domain: DomainId::DEFAULT,
        name: fields.name.unwrap_or_default(),
        next_dispatch: fields.next_dispatch,
        dispatch_interval: fields.dispatch_interval.flatten(),
        enc_args: sealed(&app, arguments, &task_name)?,
        task_name,
        deadline_seconds: fields.deadline_seconds.flatten(),
    };
    let mut conn = app.db.get().await?;
    let made = db::transaction(&mut conn, async |conn| {
        let row = TaskSchedule::create(conn, &new).await?;
        auth::own(conn, &actor, row.pulp_id.into()).await?;
        Ok::<_, DieselError>(row)
    });
    let shown = TaskScheduleResponse::from(made.await.map_err(taken)?);
    Ok(HttpResponse::Created()
        .insert_header(("Location", shown.pulp_href.clone()))
        .json(shown))
}

/// Replaces the values of a schedule, at once; `next_dispatch` stays where it is left out.
///
/// # Errors
/// 400 that names the field, 403, 404.
pub async fn update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<WholeSchedule>>,
) -> ApiResult {
    authorize(&app, &actor, Action::Change, SCHEDULE).await?;
    let Body(WholeSchedule(fields)) = body.read().await?;
    change(&app, &path, fields).await
}

/// Changes some values of a schedule, at once.
///
/// # Errors
/// 400 that names the field, 403, 404.
pub async fn partial_update(
    app: Data<App>,
    actor: Actor,
    path: Path<String>,
    body: Unread<Body<SomeOfSchedule>>,
) -> ApiResult {
    authorize(&app, &actor, Action::Change, SCHEDULE).await?;
    let Body(SomeOfSchedule(fields)) = body.read().await?;
    change(&app, &path, fields).await
}

/// Deletes a schedule, at once; its tasks stay.
///
/// # Errors
/// 403, 404.
pub async fn remove(app: Data<App>, actor: Actor, path: Path<String>) -> ApiResult {
    authorize(&app, &actor, Action::Delete, SCHEDULE).await?;
    let id = schedule_id(&path)?;
    if TaskSchedule::delete(&mut *app.db.get().await?, DomainId::DEFAULT, id).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(none())
    }
}

async fn change(app: &App, path: &str, fields: ScheduleFields) -> ApiResult {
    let id = schedule_id(path)?;
    let mut conn = app.db.get().await?;
    let row = db::transaction(&mut conn, async |conn| {
        let stored = TaskSchedule::lock(conn, DomainId::DEFAULT, id)
            .await?
            .ok_or_else(none)?;
        check_name(Some(&stored), fields.name.as_deref())?;
        let enc_args = merged(app, stored, &fields)?;
        change_row(conn, id, &fields, enc_args).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(TaskScheduleResponse::from(row)))
}

/// The names of the schedules that the settings ask for are theirs, and those schedules keep them.
fn check_name(stored: Option<&StoredSchedule>, name: Option<&str>) -> ApiResult<()> {
    let Some(name) = name.filter(|name| stored.is_none_or(|stored| stored.name != *name)) else {
        return Ok(());
    };
    if schedules::is_managed(name) {
        let message = "This name is that of a schedule which the settings keep.";
        return Err(ApiError::field("name", message));
    }
    if stored.is_some_and(|stored| stored.managed) {
        let message = "A schedule which the settings keep has its name from them.";
        return Err(ApiError::field("name", message));
    }
    Ok(())
}

async fn change_row(
    conn: &mut Conn,
    id: TaskScheduleId,
    fields: &ScheduleFields,
    enc_args: Option<String>,
) -> ApiResult<TaskSchedule> {
    let change = TaskScheduleChange {
        name: fields.name.clone(),
        next_dispatch: fields.next_dispatch,
        dispatch_interval: fields.dispatch_interval,
        task_name: fields.task_name.clone(),
        enc_args,
        deadline_seconds: fields.deadline_seconds,
    };
    TaskSchedule::change(conn, id, &change).await.map_err(taken)
}

/// The encrypted arguments after a change; `None` where neither they nor the type change.
fn merged(app: &App, stored: StoredSchedule, fields: &ScheduleFields) -> ApiResult<Option<String>> {
    let enc_args = stored.enc_args;
    let task_name = fields.task_name.clone().unwrap_or(stored.task_name);
    let arguments = match (&fields.task_args, &fields.task_kwargs) {
        (None, None) if fields.task_name.is_none() => return Ok(None),
        (Some(args), Some(kwargs)) => ScheduleArguments {
            args: args.clone(),
            kwargs: kwargs.clone(),
        },
        (args, kwargs) => {
            let stored =
                ScheduleArguments::decrypt(&app.keyring, &enc_args).map_err(|_reason| {
                    let message =
                        "The stored arguments cannot be read: give task_args and task_kwargs.";
                    ApiError::field("task_kwargs", message)
                })?;
            ScheduleArguments {
                args: args.clone().unwrap_or(stored.args),
                kwargs: kwargs.clone().unwrap_or(stored.kwargs),
            }
        }
    };
    sealed(app, arguments, &task_name).map(Some)
}

/// Arguments that fit the type, encrypted; what is wrong is told by the names that schedules have for it.
fn sealed(app: &App, arguments: ScheduleArguments, task_name: &str) -> ApiResult<String> {
    let fitting = arguments.clone().task(&app.catalog.tasks, task_name);
    fitting.map_err(|error| match error {
        Error::Invalid { field, message } => match field.as_str() {
            "name" => ApiError::field("task_name", message),
            "args" => ApiError::field("task_args", message),
            "kwargs" => ApiError::field("task_kwargs", message),
            argument => ApiError::field("task_kwargs", format!("{argument}: {message}")),
        },
        error => error.into(),
    })?;
    Ok(arguments.encrypt(&app.keyring)?)
}

fn schedule_id(path: &str) -> ApiResult<TaskScheduleId> {
    path_id(path, "TaskSchedule")
}

fn none() -> ApiError {
    ApiError::no("TaskSchedule")
}

fn taken(error: DieselError) -> ApiError {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
            ApiError::field("name", "This field must be unique.")
        }
        error => error.into(),
    }
}
