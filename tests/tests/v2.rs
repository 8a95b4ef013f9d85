//! The dialect of version 2: orphaned content, tasks, types, permissions. Tests are named after the lines of the
//! checklist that they stand for (contract 2, 6).

mod auth;
mod bodies;
mod bulk;
mod client;
mod faults;
mod listing;
mod orphans;
mod paths;
mod permissions;
mod removal;
mod tasks;
mod types;

use millrace_tests::TestApp;
use millrace_tests::client::{Answer, Client};
use millrace_tests::eventually;
use millrace_tests::packages::Recipe;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::time::Duration;

const ORPHANS: &str = "content/orphans/";
const DELETE_ORPHANS: &str = "content/actions/delete_orphans/";
const TAG: &str = "pulp:content_unit:orphans";

fn path(rest: &str) -> String {
    format!("/pulp/api/v2/{rest}")
}

async fn get(client: &Client, rest: &str) -> Answer {
    client.get(&path(rest)).await
}

async fn delete(client: &Client, rest: &str) -> Answer {
    client.delete(&path(rest)).await
}

async fn post(client: &Client, rest: &str, body: &Value) -> Answer {
    client.post(&path(rest), body).await
}

async fn post_text(client: &Client, rest: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = client.request(Method::POST, &path(rest)).body(body);
    client.send(request).await
}

/// A client of somebody who is no administrator and may do nothing.
async fn account(app: &TestApp, name: &str) -> Client {
    app.sql
        .run(&format!(
            "INSERT INTO account (username, password, is_superuser) \
             SELECT '{name}', password, false FROM account WHERE username = 'admin'"
        ))
        .await;
    app.client().as_user(name)
}

async fn grant(app: &TestApp, login: &str, resource: &str, operations: &[&str]) {
    let body = json!({"login": login, "resource": resource, "operations": operations});
    let answer = post(app, "permissions/actions/grant_to_user/", &body).await;
    assert_eq!(answer.expect(200), Value::Null);
}

/// A client of somebody who may do one thing below the root.
async fn who_may(app: &TestApp, name: &str, operation: &str) -> Client {
    let client = account(app, name).await;
    grant(app, name, "/v2/", &[operation]).await;
    client
}

/// The task of a 202, whose body is a call report and nothing else.
#[track_caller]
fn spawned(answer: &Answer) -> String {
    let report = answer.expect(202);
    let task = report["spawned_tasks"][0]["task_id"].as_str().unwrap();
    let href = path(&format!("tasks/{task}/"));
    assert_eq!(
        report,
        json!({"result": null, "error": null, "spawned_tasks": [{"_href": href, "task_id": task}]})
    );
    task.to_owned()
}

async fn task(app: &Client, id: &str) -> Value {
    get(app, &format!("tasks/{id}/")).await.expect(200)
}

/// Waits until a task is complete; gives it.
async fn complete(app: &Client, id: &str) -> Value {
    eventually(Duration::from_secs(60), async || {
        let task = task(app, id).await;
        let state = task["state"].as_str().unwrap_or_default();
        if ["finished", "error", "canceled", "skipped"].contains(&state) {
            Ok(task)
        } else {
            Err(format!("{id} is {state}"))
        }
    })
    .await
}

/// Waits until a task has finished; gives its result.
async fn result(app: &Client, answer: &Answer) -> Value {
    let task = complete(app, &spawned(answer)).await;
    assert_eq!(task["state"], "finished", "{task:#}");
    task["result"].clone()
}

/// Makes a file unit; gives its id.
async fn file(app: &TestApp, name: &str) -> String {
    let href = app.unit(name, &format!("text of {name}")).await;
    millrace_tests::client::id_of(&href).to_owned()
}

/// Makes a unit of a package; gives its id. Needs a worker.
async fn package(app: &TestApp, bytes: &[u8]) -> String {
    let part = Part::bytes(bytes.to_vec()).file_name("a.rpm");
    let request = app.request(Method::POST, "content/rpm/packages/");
    let task = app
        .send(request.multipart(Form::new().part("file", part)))
        .await
        .task();
    let task = app.completed(&task).await;
    let made = task["created_resources"]
        .as_array()
        .unwrap()
        .last()
        .unwrap();
    millrace_tests::client::id_of(made.as_str().unwrap()).to_owned()
}

/// The packages of the seed's sample.
fn sample() -> [Recipe; 3] {
    let gwt = Recipe {
        vendor: "",
        description: "Writing web apps today is a tedious and error-prone process.  Developers can\nspend 90% of their time working around browser quirks.",
        ..Recipe::new("gwt", "2.3.0")
    };
    [
        gwt.clone(),
        Recipe {
            name: "gwt-javadoc",
            description: "Javadoc for gwt.",
            ..gwt
        },
        Recipe {
            vendor: "",
            release: "6.fc16",
            license: "GPLv2 and BSD and LGPLv2.1+",
            description: "It's an open-source project under the GPL and is used\nand developed by a number of organizations.",
            ..Recipe::new("autotest", "0.13.0")
        },
    ]
}

async fn tasks_in(app: &TestApp) -> i64 {
    app.sql.number("SELECT count(*) FROM task").await
}

/// Keeps every clean-up waiting until it is canceled; gives the task that does.
async fn hold_orphans(app: &TestApp) -> String {
    let lane = app
        .sql
        .text("SELECT 'pdrn:' || pulp_id || ':orphans' FROM domain WHERE name = 'default'")
        .await;
    let task = app.sleeper(600.0, &[&lane]).await;
    app.in_state(&task, "running").await;
    task
}
