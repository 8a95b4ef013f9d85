//! From a checked request to 202: record the task, commit, announce, and wait where it is immediate.

use crate::app::App;
use crate::auth::Actor;
use crate::correlation;
use crate::dispatch_headers::{self, DispatchHeaders};
use crate::error::{ApiError, ApiResult};
use crate::route::AsyncOperationResponse;
use crate::together::{self, Recorded};
use crate::waiting::Waiter;
use actix_web::HttpResponse;
use millrace_common::crash::{self, Point};
use millrace_common::db::{self, Conn, Patience, Work};
use millrace_common::ids::TaskId;
use millrace_common::representation::task_href;
use millrace_common::tasking::{Dispatched, NewTask, dispatch};

/// Dispatches a task for this request and answers 202 with its href.
///
/// An immediate task is waited for: the answer comes when it has ended, at the latest after
/// `api.immediate_wait_ms`; at once when it cannot start now, the broker is away, or too many wait.
///
/// # Errors
/// 400 for a resource that cannot be reserved, 503 without a database.
pub async fn dispatch_and_accept(app: &App, actor: &Actor, task: NewTask) -> ApiResult {
    Ok(accepted(record_task(app, actor, task).await?))
}

/// The answer to a request whose task is recorded.
pub fn accepted(task: TaskId) -> HttpResponse {
    HttpResponse::Accepted().json(AsyncOperationResponse {
        task: task_href(task),
    })
}

/// As [`dispatch_and_accept`] for a task that [`may_dispatch_together`]: with those of other requests that come now. `None`: it is to be
/// dispatched alone, in a transaction that keeps the units that it uses, as somebody holds one of its lanes or units, or a
/// unit is gone. Where that finds the task's row, it was recorded here all the same (`together::is_there`).
///
/// # Errors
/// As [`dispatch_and_accept`].
pub async fn dispatch_together(
    app: &App,
    actor: &Actor,
    task: &NewTask,
) -> ApiResult<Option<HttpResponse>> {
    let task = requested(actor, task.clone());
    Ok(record_together(app, &task).await?.map(accepted))
}

/// As [`dispatch_and_accept`], for any dialect: gives the id of the task, which is readable from now on. A task without
/// a key and a deadline is recorded with those of other requests where nobody is in its way, or in one statement alone,
/// which goes to its end also where the client has gone.
///
/// # Errors
/// As [`dispatch_and_accept`].
pub async fn record_task(app: &App, actor: &Actor, task: NewTask) -> ApiResult<TaskId> {
    if !is_plain() {
        return record(app, actor, async |_| Ok(task.clone())).await;
    }
    let task = requested(actor, task);
    if task.uses().is_empty()
        && together::is_small(&task)
        && let Some(id) = record_together(app, &task).await?
    {
        return Ok(id);
    }
    // Nothing is written with it: its statement is the transaction.
    let permit = app.dispatching.get().await?;
    let mut conn = app.db.get().await?;
    let waiter = waiter(app, &task);
    let (id, keyring) = (task.id, app.keyring.clone());
    // To its end, also where the client goes: a session that is given back must not be busy.
    let dispatched = tokio::spawn(async move {
        db::retrying(&mut conn, async |conn| {
            dispatch(conn, &keyring, &task).await
        })
        .await
    })
    .await
    .map_err(ApiError::internal)?;
    drop(permit);
    let dispatched = match dispatched {
        // With others, and nobody answered.
        Err(error) if together::is_there(&error) => return Ok(id),
        dispatched => dispatched?,
    };
    publish(app, dispatched, waiter).await;
    Ok(id)
}

/// True for a task that may be dispatched by [`dispatch_together`]: it is small, and the request has neither a key nor a
/// deadline.
#[must_use]
pub fn may_dispatch_together(task: &NewTask) -> bool {
    is_plain() && together::is_small(task)
}

/// True where the request has neither a key nor a deadline.
fn is_plain() -> bool {
    dispatch_headers::current().is_none_or(|headers| headers.are_plain())
}

fn requested(actor: &Actor, task: NewTask) -> NewTask {
    task.cid(correlation::current()).created_by(Some(actor.id))
}

async fn record_together(app: &App, task: &NewTask) -> ApiResult<Option<TaskId>> {
    let waiter = waiter(app, task);
    match app.together.record(task.clone()).await? {
        Some(Recorded::Now(dispatched)) => publish(app, *dispatched, waiter).await,
        Some(Recorded::Unheard) => {}
        None => return Ok(None),
    }
    Ok(Some(task.id))
}

/// As [`dispatch_and_accept`], with a task that is made in the same transaction, after whatever else is to be
/// written with it: where that fails nothing is dispatched. It may be made again, and is not made at all where the
/// request was there before.
///
/// # Errors
/// What `make` fails with; the answer of the same request that was faster, as an error too: what was prepared for
/// this one is not used.
pub async fn dispatch_made<'a, F>(app: &App, actor: &Actor, make: F) -> ApiResult
where
    for<'r> F: AsyncFn(&'r mut Conn) -> ApiResult<NewTask>
        + Work<&'r mut Conn, ApiResult<NewTask>, Fut: Send>
        + Send
        + Sync
        + 'a,
{
    Ok(accepted(record(app, actor, make).await?))
}

async fn record<'a, F>(app: &App, actor: &Actor, make: F) -> ApiResult<TaskId>
where
    for<'r> F: AsyncFn(&'r mut Conn) -> ApiResult<NewTask>
        + Work<&'r mut Conn, ApiResult<NewTask>, Fut: Send>
        + Send
        + Sync
        + 'a,
{
    let permit = app.dispatching.get().await?;
    let mut conn = app.db.get().await?;
    let headers = dispatch_headers::current();
    let (task, waiter, dispatched) =
        db::brief_transaction(&mut conn, Patience::OfSession, async |conn| {
            let headers = headers.as_deref();
            let id = noted(conn, headers).await?;
            let mut task = requested(actor, make(conn).await?);
            task.id = id.unwrap_or(task.id);
            let task = in_time(conn, headers, task).await?;
            let waiter = waiter(app, &task);
            let dispatched = dispatch(conn, &app.keyring, &task).await?;
            crash::point(Point::DispatchWritten);
            Ok::<_, ApiError>((task, waiter, dispatched))
        })
        .await?;
    drop((conn, permit));
    publish(app, dispatched, waiter).await;
    Ok(task.id)
}

fn waiter(app: &App, task: &NewTask) -> Option<Waiter> {
    task.is_immediate()
        .then(|| app.waiters.begin(task.id))
        .flatten()
}

/// After the commit.
async fn publish(app: &App, dispatched: Dispatched, waiter: Option<Waiter>) {
    crash::point(Point::DispatchCommitted);
    let starts_now = dispatched.announcement.is_some()
        && app.publisher.is_connected()
        && !app.publisher.is_blocked();
    dispatched.publish(&app.publisher);
    if let Some(waiter) = waiter.filter(|_| starts_now) {
        waiter.wait(app.settings.api.immediate_wait_ms.get()).await;
    }
}

/// Notes a request that has a key; the id that its task must have.
async fn noted(conn: &mut Conn, headers: Option<&DispatchHeaders>) -> ApiResult<Option<TaskId>> {
    match headers {
        Some(headers) => headers.note(conn).await,
        None => Ok(None),
    }
}

/// Gives a task the deadline of the request, unless it has one.
async fn in_time(
    conn: &mut Conn,
    headers: Option<&DispatchHeaders>,
    task: NewTask,
) -> ApiResult<NewTask> {
    match headers {
        Some(headers) if !task.has_deadline() => {
            let deadline = headers.deadline(conn).await?;
            Ok(task.deadline(deadline))
        }
        _ => Ok(task),
    }
}

/// Makes a task immediate, unless the settings prefer to defer.
#[must_use]
pub fn immediate(app: &App, task: NewTask, deferred: bool) -> NewTask {
    if deferred && app.settings.tasks.prefer_defer {
        task
    } else {
        task.immediate(deferred)
    }
}
