//! Changes of few units: written with the end of their task, unseen until then.

use super::Zoo;
use super::sets::{href, numbers};
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// Notes of each version whether it was complete when its row was made.
const NOTE: &str = "CREATE TABLE noted (number integer, complete boolean);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO noted VALUES (NEW.number, NEW.complete); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT ON repository_version FOR EACH ROW EXECUTE FUNCTION note()";

/// References to so many new units, in no repository.
async fn units(app: &TestApp, name: &str, count: u32) -> Vec<String> {
    let ids = app
        .sql
        .texts(&format!(
            "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields)
             SELECT gen_random_uuid(), d.pulp_id, 'file.file', sha256(convert_to('{name}' || n, 'UTF8')),
                    sha256(convert_to('{name}/' || n, 'UTF8')), jsonb_build_object('relative_path', '{name}/' || n)
               FROM generate_series(1, {count}) n, domain d RETURNING pulp_id::text"
        ))
        .await;
    ids.iter()
        .map(|id| format!("prn:file.filecontent:{id}"))
        .collect()
}

/// A zoo in which memberships cannot be written until [`release`], and a modify that waits for that.
async fn stalled() -> (Zoo, String) {
    let zoo = Zoo::furnish(TestApp::with_workers(1).await).await;
    let lock = "BEGIN; LOCK TABLE repository_content IN SHARE MODE";
    zoo.app.sql.run(lock).await;
    let body = json!({"add_content_units": [zoo.c], "remove_content_units": [zoo.a]});
    let path = format!("{}modify/", href(&zoo.repository));
    let task = zoo.app.post(&path, &body).await.task();
    eventually(Duration::from_secs(20), async || {
        let waiting = zoo.app.sql.waiting_for("repository_content").await;
        holds(waiting.len() == 1, || format!("{waiting:?} wait"))
    })
    .await;
    (zoo, task)
}

async fn release(zoo: &Zoo) {
    zoo.app.sql.run("COMMIT").await;
}

async fn assert_nothing_written(zoo: &Zoo, task: &Value) {
    assert_eq!(task["created_resources"], json!([]));
    assert_eq!(numbers(&zoo.app, &zoo.repository).await, [0, 1]);
    let left = "SELECT (SELECT count(*) FROM repository_content WHERE version_added > 1 OR version_removed IS NOT NULL) \
                     + (SELECT count(*) FROM repository_version WHERE number > 1)";
    assert_eq!(zoo.app.sql.number(left).await, 0);
}

#[tokio::test]
async fn only_few_units_of_a_plain_repository_come_with_the_end_of_their_task() {
    let zoo = Zoo::open().await;
    let app = &zoo.app;
    app.sql.run(NOTE).await;
    let (hundred, more) = (units(app, "few", 100).await, units(app, "many", 101).await);
    let (most, rest) = hundred.split_at(60);
    zoo.modify(json!({"add_content_units": hundred})).await;
    let both = json!({"add_content_units": [zoo.c], "remove_content_units": most});
    zoo.modify(both).await;
    assert_eq!(rest.len(), 40);
    zoo.modify(json!({"add_content_units": more})).await;
    zoo.modify(json!({"add_content_units": [zoo.c], "remove_content_units": ["*"]}))
        .await;
    zoo.modify(json!({"add_content_units": [zoo.c], "base_version": zoo.version(1)}))
        .await;
    for change in [
        json!({"retain_repo_versions": 50}),
        json!({"retain_repo_versions": null, "autopublish": true}),
    ] {
        let task = app.patch(href(&zoo.repository), &change).await.task();
        app.completed(&task).await;
        let body = json!({"remove_content_units": [zoo.c]});
        zoo.modify(body).await;
        zoo.modify(json!({"add_content_units": [zoo.c]})).await;
    }
    let noted = "SELECT number || ' ' || complete FROM noted ORDER BY number";
    let whole = ["2 true", "3 true"];
    let in_the_making = (4..=10).map(|n| format!("{n} false"));
    let expected: Vec<String> = whole
        .iter()
        .map(ToString::to_string)
        .chain(in_the_making)
        .collect();
    assert_eq!(app.sql.texts(noted).await, expected);
    zoo.app.finish().await;
}

#[tokio::test]
async fn who_waits_for_rows_of_a_change_holds_up_no_dispatch_onto_its_repository() {
    let (zoo, first) = stalled().await;
    let body = json!({"remove_content_units": [zoo.b]});
    let path = format!("{}modify/", href(&zoo.repository));
    // A lane that is locked would hold this up for as long as the table is.
    let second = zoo.app.post(&path, &body).await.task();
    assert_eq!(zoo.app.task(&first).await["state"], "running");
    release(&zoo).await;
    zoo.app.completed(&first).await;
    zoo.app.completed(&second).await;
    assert_eq!(numbers(&zoo.app, &zoo.repository).await, [0, 1, 2, 3]);
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_cancel_that_comes_before_the_end_is_written_voids_the_change() {
    let (zoo, task) = stalled().await;
    zoo.app.cancel(&task).await.expect(200);
    release(&zoo).await;
    let task = zoo.app.finished(&task).await;
    assert_eq!(task["state"], "canceled", "{task:#}");
    assert_nothing_written(&zoo, &task).await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_cancel_is_heard_while_rows_are_waited_for() {
    let (zoo, task) = stalled().await;
    zoo.app.cancel(&task).await.expect(200);
    let task = zoo.app.finished(&task).await;
    assert_eq!(task["state"], "canceled", "{task:#}");
    release(&zoo).await;
    assert_nothing_written(&zoo, &task).await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_run_that_lost_its_claim_writes_nothing_of_the_change() {
    let (zoo, task) = stalled().await;
    let id = id_of(&task);
    let taken = format!("UPDATE task SET claim_id = gen_random_uuid() WHERE pulp_id = '{id}'");
    let other = millrace_tests::Sql::connect(&zoo.app.db.url()).await;
    other.run(&taken).await;
    release(&zoo).await;
    eventually(Duration::from_secs(20), async || {
        let log = zoo.app.workers[0].log();
        let lost = log.contains("was lost: nothing of this run was written");
        holds(lost, || "the run has not ended".to_owned())
    })
    .await;
    let task = zoo.app.task(&task).await;
    assert_nothing_written(&zoo, &task).await;
}

#[tokio::test]
async fn a_session_that_is_lost_within_the_change_leaves_one_version() {
    let (zoo, task) = stalled().await;
    let other = millrace_tests::Sql::connect(&zoo.app.db.url()).await;
    let waiting = other.waiting_for("repository_content").await;
    assert_eq!(waiting.len(), 1);
    other
        .run(&format!("SELECT pg_terminate_backend({})", waiting[0]))
        .await;
    release(&zoo).await;
    let task = zoo.app.completed(&task).await;
    assert_eq!(task["created_resources"], json!([zoo.version(2)]));
    assert_eq!(numbers(&zoo.app, &zoo.repository).await, [0, 1, 2]);
    zoo.app.finish().await;
}
