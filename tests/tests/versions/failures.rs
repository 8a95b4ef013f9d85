//! What a modify that fails leaves behind: nothing.

use super::Zoo;
use super::sets::{href, newest, numbers, set};
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// A zoo where what a failed run left is looked for once a second.
async fn open() -> Zoo {
    let app = TestApp::builder().workers(1).set("worker.sweep_seconds", 1);
    Zoo::furnish(app.start().await).await
}

/// The repository is as it was opened, in what clients see and in what is stored.
async fn assert_untouched(zoo: &Zoo, task: &Value) {
    assert_eq!(task["state"], "failed", "{task:#}");
    assert_eq!(task["created_resources"], json!([]));
    assert_eq!(task["created_resource_prns"], json!([]));
    assert_eq!(numbers(&zoo.app, &zoo.repository).await, [0, 1]);
    let version = newest(&zoo.app, &zoo.repository).await;
    assert_eq!(version.held(&zoo.app).await, set(&[&zoo.a, &zoo.b]));
    eventually(Duration::from_secs(20), async || {
        let left = zoo
            .app
            .sql
            .texts(
                "SELECT 'version ' || number FROM repository_version WHERE NOT complete UNION ALL \
                 SELECT 'added ' || content_id FROM repository_content WHERE version_added > 1 UNION ALL \
                 SELECT 'removed ' || content_id FROM repository_content WHERE version_removed > 1",
            )
            .await;
        holds(left.is_empty(), || format!("{left:#?}"))
    })
    .await;
}

fn description(task: &Value) -> &str {
    task["error"]["description"].as_str().unwrap_or_default()
}

/// Afterwards the repository works as if nothing had been, and the number is not lost.
async fn assert_next_is_made(zoo: &Zoo) {
    let (a, c) = (&zoo.a, &zoo.c);
    let body = json!({"add_content_units": [c], "remove_content_units": [zoo.b]});
    zoo.made(body, 2, &[a, c], (1, 1)).await;
}

#[tokio::test]
async fn two_added_units_of_one_path_fail_together() {
    let zoo = open().await;
    let one = zoo.app.unit("same", "one").await;
    let other = zoo.app.unit("same", "other").await;
    let body = json!({"add_content_units": [one, zoo.c, other], "remove_content_units": [zoo.a]});
    let task = zoo.modify(body).await;
    assert_eq!(task["error"]["error_code"], "PLP0022", "{task:#}");
    let text = description(&task);
    assert!(
        text.starts_with("[PLP0022] Found 1 duplicate contents in repository version"),
        "{text}"
    );
    let cid = task["logging_cid"].as_str().unwrap();
    assert!(text.contains(cid), "{text}");
    assert_untouched(&zoo, &task).await;
    assert_next_is_made(&zoo).await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_path_is_a_file_or_a_directory_but_not_both() {
    let zoo = open().await;
    // `b` is there; `b-x` and `b0` lie around `b/` in the order of texts.
    let below = zoo.app.unit("b/x/y", "below").await;
    let beside = zoo.app.unit("b-x", "beside").await;
    let behind = zoo.app.unit("b0", "behind").await;
    let task = zoo.modify(json!({"add_content_units": [below]})).await;
    let text = description(&task);
    assert!(
        text.starts_with("Repository version errors : Path errors found."),
        "{text}"
    );
    assert_untouched(&zoo, &task).await;

    let (file, deep) = (
        zoo.app.unit("x/y", "file").await,
        zoo.app.unit("x/y/z", "deep").await,
    );
    for add in [[&file, &deep], [&deep, &file]] {
        let task = zoo.modify(json!({"add_content_units": add})).await;
        let text = description(&task);
        assert!(text.contains("Path errors found."), "{text}");
        assert_untouched(&zoo, &task).await;
    }
    let (a, b) = (&zoo.a, &zoo.b);
    let body = json!({"add_content_units": [deep, beside, behind]});
    zoo.made(body, 2, &[a, b, &deep, &beside, &behind], (3, 0))
        .await;
    // Now the file comes where its directory is already.
    let task = zoo.modify(json!({"add_content_units": [file]})).await;
    assert_eq!(task["state"], "failed", "{task:#}");
    assert!(description(&task).contains("Path errors found."));
    // In place of the directory it may.
    let body = json!({"add_content_units": [file, below], "remove_content_units": [deep, b]});
    zoo.made(body, 3, &[a, &below, &beside, &behind, &file], (2, 2))
        .await;
    // Names that only begin alike are no directories of each other.
    let mut alike = Vec::new();
    for path in ["q", "q-1", "q0", "q.d/q"] {
        alike.push(zoo.app.unit(path, path).await);
    }
    let task = zoo.modify(json!({"add_content_units": alike})).await;
    assert_eq!(task["state"], "completed", "{task:#}");
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_unit_of_another_domain_is_refused_by_the_request_and_by_the_task() {
    let zoo = open().await;
    zoo.app
        .sql
        .run(&format!(
            "INSERT INTO domain (pulp_id, name) VALUES ('{0}', 'other');
             UPDATE content SET pulp_domain = '{0}' WHERE pulp_id = '{1}'",
            uuid::Uuid::now_v7(),
            id_of(&zoo.c),
        ))
        .await;
    let modify = format!("{}modify/", href(&zoo.repository));
    let refused = zoo
        .app
        .post(&modify, &json!({"add_content_units": [zoo.c]}))
        .await
        .expect(400);
    let text = refused["add_content_units"][0].as_str().unwrap();
    assert!(
        text.starts_with("Content units are not a part of the current domain default"),
        "{text}"
    );
    let body = json!({"name": "pulpcore.app.tasks.repository.add_and_remove",
        "kwargs": {"repository_pk": id_of(href(&zoo.repository)),
                   "add_content_units": [id_of(&zoo.c)], "remove_content_units": []}});
    let task = zoo.app.dispatch(&body).await;
    let task = zoo.app.finished(&task).await;
    assert_eq!(
        task["error"]["description"],
        "Content units are not a part of the repository's domain"
    );
    assert_untouched(&zoo, &task).await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_unit_of_another_type_is_refused_and_the_version_taken_back_at_once() {
    let zoo = Zoo::furnish(TestApp::with_workers(1).await).await;
    let id = id_of(&zoo.c);
    zoo.app
        .sql
        .run(&format!(
            "UPDATE content SET pulp_type = 'file.other' WHERE pulp_id = '{id}'"
        ))
        .await;
    let body = json!({"name": "pulpcore.app.tasks.repository.add_and_remove",
        "kwargs": {"repository_pk": id_of(href(&zoo.repository)),
                   "add_content_units": [id], "remove_content_units": ["*"]}});
    let task = zoo.app.dispatch(&body).await;
    let task = zoo.app.finished(&task).await;
    let unfinished = "SELECT (SELECT count(*) FROM repository_version WHERE NOT complete) \
         + (SELECT count(*) FROM repository_content WHERE version_removed IS NOT NULL)";
    assert_eq!(zoo.app.sql.number(unfinished).await, 0);
    assert_eq!(
        task["error"]["description"],
        "Saw unsupported content types {'file.other'}"
    );
    assert_untouched(&zoo, &task).await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_failure_at_the_last_step_leaves_nothing_that_anybody_sees() {
    let zoo = open().await;
    zoo.app
        .sql
        .run(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE 'the disk is full' USING ERRCODE = 'disk_full'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON repository_version_count EXECUTE FUNCTION refuse()",
        )
        .await;
    let body = json!({"add_content_units": [zoo.c], "remove_content_units": [zoo.a]});
    let task = zoo.modify(body).await;
    assert_untouched(&zoo, &task).await;
    for list in [
        format!("content/file/files/?repository_version={}", zoo.version(2)),
        format!("repository_versions/?content={}", zoo.c),
        format!("repositories/file/file/?with_content={}", zoo.c),
    ] {
        assert_eq!(zoo.app.get(&list).await.expect(200)["count"], 0, "{list}");
    }
    assert_eq!(zoo.app.get(&zoo.version(2)).await.status, 404);
    zoo.app
        .sql
        .run("DROP TRIGGER refuse ON repository_version_count")
        .await;
    assert_next_is_made(&zoo).await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_version_in_the_making_is_seen_by_nobody() {
    let zoo = open().await;
    // The last step waits for this lock; what it settles is written by then.
    zoo.app
        .sql
        .run("BEGIN; LOCK TABLE repository_version_count IN SHARE MODE")
        .await;
    let base = zoo.version(1);
    let body = json!({"add_content_units": [zoo.c], "remove_content_units": [zoo.a], "base_version": base});
    let path = format!("{}modify/", href(&zoo.repository));
    let task = zoo.app.post(&path, &body).await.task();
    eventually(Duration::from_secs(20), async || {
        let written = zoo
            .app
            .sql
            .number("SELECT count(*) FROM repository_content WHERE version_added = 2 OR version_removed = 2")
            .await;
        holds(written == 2, || format!("{written} of 2 changes are written"))
    })
    .await;
    assert_eq!(zoo.app.task(&task).await["created_resources"], json!([]));
    assert_eq!(numbers(&zoo.app, &zoo.repository).await, [0, 1]);
    assert_eq!(zoo.app.get(&zoo.version(2)).await.status, 404);
    let (a, c) = (&zoo.a, &zoo.c);
    for (list, count) in [
        (
            format!(
                "content/file/files/?repository_version={}",
                href(&zoo.repository)
            ),
            2,
        ),
        (
            format!("content/file/files/?repository_version={}", zoo.version(2)),
            0,
        ),
        (
            format!("repositories/file/file/?latest_with_content={a}"),
            1,
        ),
        (
            format!("repositories/file/file/?latest_with_content={c}"),
            0,
        ),
        (format!("repositories/file/file/?with_content={a}"), 1),
        (format!("repository_versions/?content={c}"), 0),
    ] {
        assert_eq!(
            zoo.app.get(&list).await.expect(200)["count"],
            count,
            "{list}"
        );
    }
    zoo.app.sql.run("COMMIT").await;
    let task = zoo.app.completed(&task).await;
    assert_eq!(task["created_resources"], json!([zoo.version(2)]));
    let list = format!("repositories/file/file/?latest_with_content={a}");
    assert_eq!(zoo.app.get(&list).await.expect(200)["count"], 0);
    zoo.app.finish().await;
}
