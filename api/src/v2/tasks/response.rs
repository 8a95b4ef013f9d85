//! A task as clients of this dialect see it.

use crate::app::App;
use crate::v2::answer::{document_id, href, link, moment};
use crate::v2::problem::details;
use diesel::QueryResult;
use futures_util::join;
use millrace_common::db::Conn;
use millrace_common::ids::TaskId;
use millrace_common::models::listed_task::ListedTask;
use millrace_common::models::progress_report::ProgressReport;
use millrace_common::models::task::Task;
use millrace_common::tasking::{Task as _, TaskState};
use millrace_common::tasks::orphan_removal::{DeleteOrphans, DeleteOrphansById};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The states of this dialect that tasks here can be in, and ours that each stands for.
pub const STATES: [(&str, &[TaskState]); 6] = {
    use TaskState::{Canceled, Canceling, Completed, Failed, Running, Skipped, Waiting};
    [
        ("waiting", &[Waiting]),
        ("running", &[Running, Canceling]),
        ("finished", &[Completed]),
        ("error", &[Failed]),
        ("canceled", &[Canceled]),
        ("skipped", &[Skipped]),
    ]
};

/// Our states that one of this dialect stands for.
#[must_use]
pub fn states_of(state: &str) -> Option<&'static [TaskState]> {
    let found = STATES.iter().find(|(name, _)| *name == state);
    found.map(|(_, ours)| *ours)
}

/// The state of this dialect.
fn shown_state(state: &str) -> &str {
    let is_it = |(_, ours): &&(&str, &[TaskState])| ours.iter().any(|one| one.as_str() == state);
    STATES.iter().find(is_it).map_or(state, |(name, _)| name)
}

/// The name under which clients know a type of task: a list that a client sent is removed as any other.
#[must_use]
pub fn shown_name(name: &str) -> &str {
    if name == DeleteOrphans::NAME {
        DeleteOrphansById::NAME
    } else {
        name
    }
}

/// The tasks of a page, without their queues, with three statements in all.
///
/// # Errors
/// As the session.
pub async fn render(app: &App, conn: &mut Conn, tasks: Vec<ListedTask>) -> QueryResult<Vec<Value>> {
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.pulp_id).collect();
    // In one round trip.
    let (found, made) = join!(
        Task::children(conn, &ids),
        ProgressReport::of_tasks(conn, &ids)
    );
    let mut children: HashMap<TaskId, Vec<Value>> = HashMap::new();
    for (parent, child) in found? {
        children.entry(parent).or_default().push(link(child));
    }
    let mut reports: HashMap<TaskId, Map<String, Value>> = HashMap::new();
    for report in made? {
        let shown = progress(&report);
        let of_task = reports.entry(report.task_id).or_default();
        of_task.insert(report.code, shown);
    }
    let shown = tasks.into_iter().map(|task| {
        let children = children.remove(&task.pulp_id).unwrap_or_default();
        let reports = reports.remove(&task.pulp_id).unwrap_or_default();
        let tags = app.catalog.tasks.tags(&task.name);
        body(task, tags, children, reports)
    });
    Ok(shown.collect())
}

fn progress(report: &ProgressReport) -> Value {
    json!({
        "message": report.message, "state": report.state,
        "total": report.total, "done": report.done, "suffix": report.suffix,
    })
}

fn body(
    task: ListedTask,
    tags: &[&str],
    children: Vec<Value>,
    reports: Map<String, Value>,
) -> Value {
    let id = task.pulp_id.to_string();
    let document = document_id(&id);
    json!({
        "_href": href(&["tasks", &id]),
        "_id": { "$oid": document },
        "_ns": "task_status",
        "id": document,
        "task_id": id,
        "task_type": shown_name(&task.name),
        "tags": tags,
        "state": shown_state(&task.state),
        "worker_name": task.worker,
        "start_time": task.started_at.map(moment),
        "finish_time": task.finished_at.map(moment),
        "progress_report": reports,
        "result": task.result,
        "spawned_tasks": children,
        "error": task.error.as_ref().map(error),
        "exception": null,
        "traceback": null,
    })
}

/// Adds what only a single task is shown with: the queue of its worker.
pub fn add_queue(task: &mut Value) {
    let queue = match task.get("worker_name").and_then(Value::as_str) {
        Some(worker) => format!("{worker}.dq"),
        None => String::new(),
    };
    if let Value::Object(task) = task {
        task.insert("queue".to_owned(), json!(queue));
    }
}

/// What a task ended with, as this dialect has errors.
fn error(stored: &Value) -> Value {
    let text = |key| stored.get(key).and_then(Value::as_str);
    // Only who noticed that a worker is gone says it so.
    if let Some(reason) = text("reason") {
        let code = if reason.starts_with("Worker has gone missing") {
            "PLP0049"
        } else {
            "PLP0000"
        };
        return details(code, reason, json!({}));
    }
    let description = text("description").unwrap_or_default();
    let code = text("error_code").unwrap_or("PLP0000");
    let bare = description.strip_prefix(&format!("[{code}] "));
    details(code, bare.unwrap_or(description), json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn task(state: &str) -> ListedTask {
        ListedTask {
            pulp_id: "0199e6a0-0000-7000-8000-000000000001".parse().unwrap(),
            pulp_created: DateTime::UNIX_EPOCH,
            state: state.into(),
            name: DeleteOrphans::NAME.into(),
            started_at: None,
            finished_at: None,
            error: None,
            result: None,
            worker: None,
        }
    }

    #[test]
    fn spawned_tasks_missing_empty_and_null_all_give_an_empty_array() {
        let shown = body(task("waiting"), &[], Vec::new(), Map::new());
        assert_eq!(shown["spawned_tasks"], json!([]));
        assert_eq!(shown["progress_report"], json!({}));
        for null in [
            "result",
            "error",
            "exception",
            "traceback",
            "worker_name",
            "start_time",
        ] {
            assert!(shown.as_object().unwrap().contains_key(null) && shown[null].is_null());
        }
    }

    #[test]
    fn states_are_those_of_this_dialect() {
        for (ours, shown) in [
            ("waiting", "waiting"),
            ("running", "running"),
            ("canceling", "running"),
            ("completed", "finished"),
            ("failed", "error"),
            ("canceled", "canceled"),
            ("skipped", "skipped"),
        ] {
            assert_eq!(
                body(task(ours), &[], Vec::new(), Map::new())["state"],
                shown
            );
        }
        assert_eq!(states_of("completed"), None);
    }

    #[test]
    fn a_removal_of_a_list_has_the_name_of_the_one_by_id() {
        let shown = body(task("waiting"), &[], Vec::new(), Map::new());
        let name = "pulp.server.managers.content.orphan.delete_orphans_by_id";
        assert_eq!(shown["task_type"], name);
    }

    #[test]
    fn the_queue_is_that_of_the_worker_or_empty() {
        let mut without = json!({ "worker_name": null });
        add_queue(&mut without);
        assert_eq!(without["queue"], "");
        let mut with = json!({ "worker_name": "one@host" });
        add_queue(&mut with);
        assert_eq!(with["queue"], "one@host.dq");
    }

    #[test]
    fn to_dict_of_nested_foreign_and_coded_errors_of_tasks() {
        let coded =
            json!({"description": "[PLP0011] x", "error_code": "PLP0011", "traceback": null});
        assert_eq!(error(&coded), details("PLP0011", "x", json!({})));
        let foreign = json!({"description": "odd", "traceback": null});
        assert_eq!(error(&foreign), details("PLP0000", "odd", json!({})));
        let lost = json!({"reason": "Worker has gone missing."});
        assert_eq!(error(&lost)["code"], "PLP0049");
    }
}
