//! The REST API, version 3: the whole URL table.
//!
//! # Adding an endpoint
//!
//! 1. A file a noun: `v3/widgets.rs` holds the answer type, the request types, the filters and the
//!    handlers. SQL is in `common::models`, in functions that take `&mut Conn`.
//! 2. A line here. The table is the source of the routes *and* of the OpenAPI document, so what is
//!    declared is what is served. In a path, `{widget_href}` stands for the id; the document shows the
//!    whole href as that one placeholder.
//!
//! ```ignore
//! get("widgets/", "widgets_list", widgets::list)
//!     .tag("Widgets").lists::<WidgetResponse, _>(&widgets::FILTERS),
//! post("widgets/", "widgets_create", widgets::create)
//!     .tag("Widgets").accepts::<Widget>().answers::<WidgetResponse>(201),
//! patch("widgets/{widget_href}/", "widgets_partial_update", widgets::update)
//!     .tag("Widgets").accepts_some_of::<Widget>().answers::<WidgetResponse>(200).dispatches(),
//! ```
//!
//! A list declares its filters once, typed, and reads them with [`Listing`](crate::listing::Listing):
//!
//! ```ignore
//! pub static FILTERS: LazyLock<Filters<widget::table>> = LazyLock::new(|| {
//!     Filters::newest_first(widget::pulp_created, widget::pulp_id)
//!         .in_domain(widget::pulp_domain)
//!         .sortable("name", widget::name)
//!         .identities(widget::pulp_id)                     // pulp_id__in, pulp_href__in, prn__in
//!         .names("name", widget::name)                     // NAME set
//!         .dates("pulp_created", widget::pulp_created)     // DATE set
//!         .labels(widget::pulp_labels)                     // pulp_label_select
//!         .filter("odd", Kind::Boolean, "Odd ones", |v| Ok(Predicate::of(widget::odd.eq(truth(v)?))))
//! });
//!
//! pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
//!     let access = authorize(&app, &actor, Action::View, Object::Widget).await?;
//!     let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
//!     let visible = access.rows(Object::Widget, widget::pulp_id);
//!     listing.narrow(visible);
//!     let mut conn = app.db.get().await?;
//!     let page = Widget::page(&mut conn, &listing.selection).await.map_err(|e| listing.blame(e))?;
//!     let results = page.rows.iter().map(WidgetResponse::new).collect::<Vec<_>>();
//!     listing.answer(page.count, &results)                 // a fixed number of statements a page
//! }
//! ```
//!
//! A body is a type that implements [`FromFields`](crate::body::FromFields), extracted as
//! `Body<Widget>`; one that may carry a file is read with [`Upload`](crate::body::multipart::Upload). Where
//! not everybody may send one, it comes as [`Unread`](crate::body::Unread).
//! A handler that starts a task ends with
//! [`dispatch_and_accept`](crate::dispatching::dispatch_and_accept).

pub mod artifacts;
pub mod assignments;
pub mod audit_log;
pub mod content;
pub mod content_file;
pub mod content_rpm;
pub mod distributions;
pub mod docs;
pub mod exporters;
pub mod exports;
pub mod group_members;
pub mod groups;
pub mod href;
pub mod labels;
pub mod lanes;
pub mod login;
pub mod membership;
pub mod object;
pub mod object_roles;
pub mod orphans;
pub mod pauses;
pub mod publications;
pub mod reclaim;
pub mod references;
pub mod remotes;
pub mod remotes_file;
pub mod repositories;
pub mod repositories_file;
pub mod repositories_file_sync;
pub mod repositories_of;
pub mod repositories_rpm;
pub mod repository_versions;
pub mod roled;
pub mod roles;
pub mod status;
mod table_accounts;
mod table_content;
mod table_exporters;
mod table_operations;
mod table_remotes;
mod table_repositories;
mod table_serving;
pub mod task_groups;
pub mod task_schedules;
pub mod tasks;
pub mod time;
pub mod units_of;
pub mod uploads;
pub mod users;
pub mod workers;

use crate::error::{ApiError, ApiResult};
use crate::route::{Endpoint, delete, get, patch, post, put};
use object_roles::role_calls;
use status::{ReadinessResponse, StatusResponse};
use task_groups::TaskGroupResponse;
use task_schedules::{TaskScheduleRequest, TaskScheduleResponse};
use tasks::{Purge, TaskCancel, TaskDispatch, TaskResponse};
use workers::WorkerResponse;

/// Answers on every process, whatever it serves.
pub const LIVEZ: &str = "livez/";

/// Says on every process whether it can serve.
pub const READYZ: &str = "readyz/";

/// Every call that there is.
#[must_use]
pub fn table() -> Vec<Endpoint> {
    [
        system(),
        tasks(),
        schedules(),
        roles(),
        table_operations::table(),
        table_accounts::table(),
        table_content::table(),
        table_repositories::table(),
        table_remotes::table(),
        table_serving::table(),
        table_exporters::table(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn system() -> Vec<Endpoint> {
    vec![
        get("status/", "status_read", status::read)
            .tag("Status")
            .about("Versions, processes, connections and storage")
            .public()
            .answers::<StatusResponse>(200),
        get(LIVEZ, "livez_read", status::live)
            .tag("Livez")
            .about("Answers while the process lives")
            .public()
            .answers_nothing(200),
        get(READYZ, "readyz_read", status::ready)
            .tag("Readyz")
            .about("Says whether requests can be served now")
            .public()
            .answers::<ReadinessResponse>(200)
            .answers::<ReadinessResponse>(503),
        get("docs/api.json", "docs_api_json_read", docs::json)
            .public()
            .hidden(),
        get("docs/", "docs_read", docs::page).public().hidden(),
    ]
}

fn tasks() -> Vec<Endpoint> {
    vec![
        get("tasks/", "tasks_list", tasks::list)
            .tag("Tasks")
            .about("Tasks, the newest first")
            .lists::<TaskResponse, _>(&tasks::FILTERS),
        post("tasks/", "tasks_create", tasks::create)
            .tag("Tasks")
            .about("Dispatch any registered task; for administrators")
            .accepts::<TaskDispatch>()
            .dispatches(),
        post("tasks/purge/", "tasks_purge", tasks::purge)
            .tag("Tasks")
            .about("Forget tasks that have ended")
            .accepts::<Purge>()
            .dispatches(),
        get("tasks/{task_href}/", "tasks_read", tasks::read)
            .tag("Tasks")
            .about("One task")
            .minimal()
            .answers::<TaskResponse>(200),
        patch("tasks/{task_href}/", "tasks_cancel", tasks::cancel)
            .tag("Tasks")
            .about("Cancel a task")
            .accepts_some_of::<TaskCancel>()
            .answers::<TaskResponse>(200)
            .answers::<TaskResponse>(409),
        delete("tasks/{task_href}/", "tasks_delete", tasks::remove)
            .tag("Tasks")
            .about("Forget a task that has ended")
            .answers_nothing(204)
            .answers_nothing(409),
        get("task-groups/", "task_groups_list", task_groups::list)
            .tag("Task Groups")
            .about("Groups of tasks, the newest first")
            .lists::<TaskGroupResponse, _>(&task_groups::FILTERS),
        get(
            "task-groups/{task_group_href}/",
            "task_groups_read",
            task_groups::read,
        )
        .tag("Task Groups")
        .about("One group of tasks")
        .answers::<TaskGroupResponse>(200),
        patch(
            "task-groups/{task_group_href}/",
            "task_groups_cancel",
            task_groups::cancel,
        )
        .tag("Task Groups")
        .about("Cancel the members of a group")
        .accepts_some_of::<TaskCancel>()
        .answers::<TaskGroupResponse>(200)
        .answers::<TaskGroupResponse>(409),
        get("workers/", "workers_list", workers::list)
            .tag("Workers")
            .about("Workers, the newest first; for administrators")
            .lists::<WorkerResponse, _>(&workers::FILTERS),
        get("workers/{worker_href}/", "workers_read", workers::read)
            .tag("Workers")
            .about("One worker; for administrators")
            .answers::<WorkerResponse>(200),
    ]
}

/// Roles on objects that are not of several types.
fn roles() -> Vec<Endpoint> {
    [
        role_calls!(roled::Tasks, "tasks/{task_href}/", "tasks", "Tasks"),
        role_calls!(
            roled::TaskSchedules,
            "task-schedules/{task_schedule_href}/",
            "task_schedules",
            "Task Schedules"
        ),
        role_calls!(
            roled::Uploads,
            "uploads/{upload_href}/",
            "uploads",
            "Uploads"
        ),
        role_calls!(roled::Groups, "groups/{group_href}/", "groups", "Groups"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn schedules() -> Vec<Endpoint> {
    const ONE: &str = "task-schedules/{task_schedule_href}/";
    vec![
        get(
            "task-schedules/",
            "task_schedules_list",
            task_schedules::list,
        )
        .tag("Task Schedules")
        .about("Schedules, the newest first")
        .lists::<TaskScheduleResponse, _>(&task_schedules::FILTERS),
        post(
            "task-schedules/",
            "task_schedules_create",
            task_schedules::create,
        )
        .tag("Task Schedules")
        .about("Make a schedule; for administrators")
        .accepts::<TaskScheduleRequest>()
        .answers::<TaskScheduleResponse>(201),
        get(ONE, "task_schedules_read", task_schedules::read)
            .tag("Task Schedules")
            .about("One schedule")
            .answers::<TaskScheduleResponse>(200),
        put(ONE, "task_schedules_update", task_schedules::update)
            .tag("Task Schedules")
            .about("Replace a schedule; for administrators")
            .accepts::<TaskScheduleRequest>()
            .answers::<TaskScheduleResponse>(200),
        patch(
            ONE,
            "task_schedules_partial_update",
            task_schedules::partial_update,
        )
        .tag("Task Schedules")
        .about("Change a schedule; for administrators")
        .accepts_some_of::<TaskScheduleRequest>()
        .answers::<TaskScheduleResponse>(200),
        delete(ONE, "task_schedules_delete", task_schedules::remove)
            .tag("Task Schedules")
            .about("Delete a schedule; for administrators")
            .answers_nothing(204),
    ]
}

/// The id in a path. What is no id leads to no object.
///
/// # Errors
/// 404.
pub fn path_id<T: std::str::FromStr>(segment: &str, what: &str) -> ApiResult<T> {
    segment.parse().map_err(|_reason| ApiError::no(what))
}
