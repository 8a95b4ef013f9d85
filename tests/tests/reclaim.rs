//! Reclaiming space: whose files go, whose stay, and that what went comes back.

mod held;

use crate::sync::shop::{DIRECTORY, Shop};
use millrace_tests::app::files_below;
use millrace_tests::client::{Answer, id_of};
use millrace_tests::{TestApp, eventually, eventually::holds};
use serde_json::{Value, json};
use std::time::Duration;

const RECLAIM: &str = "repositories/reclaim_space/";

async fn reclaim(app: &TestApp, body: &Value) -> Value {
    let task = app.post(RECLAIM, body).await.task();
    app.completed(&task).await
}

fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

/// Paths of units whose files are here, in order.
async fn here(app: &TestApp) -> Vec<String> {
    app.sql
        .texts(
            "SELECT c.fields ->> 'relative_path' FROM content c JOIN content_artifact ca ON ca.content_id = c.pulp_id \
              WHERE c.pulp_type = 'file.file' AND ca.artifact_id IS NOT NULL ORDER BY 1",
        )
        .await
}

/// Every artifact has its whole file, and no other file is there.
async fn assert_bytes(app: &TestApp) {
    let rows = app.sql.texts("SELECT storage_key FROM artifact").await;
    for key in &rows {
        assert!(app.media().join(key).is_file(), "{key}");
    }
    eventually(Duration::from_secs(15), async || {
        let files = files_below(&app.media()).len();
        holds(files == rows.len(), || {
            format!("{files} files of {}", rows.len())
        })
    })
    .await;
}

async fn serve(shop: &Shop) {
    let body = json!({"repository": shop.repository});
    let task = shop.app.post("publications/file/file/", &body).await.task();
    shop.app.completed(&task).await;
    let body = json!({"name": "d", "base_path": "d", "repository": shop.repository});
    let task = shop
        .app
        .post("distributions/file/file/", &body)
        .await
        .task();
    shop.app.completed(&task).await;
}

async fn download(app: &TestApp, path: &str) -> Answer {
    app.client().get(&format!("/pulp/content/d/{path}")).await
}

#[tokio::test]
async fn files_go_and_come_back_with_the_next_download() {
    let shop = Shop::open("immediate").await;
    let app = &shop.app;
    // Too large to be remembered by the content server, which knows where it was.
    let large = "x".repeat(40_000);
    shop.upstream
        .publish(DIRECTORY, &[("a", "one"), ("b", &large)]);
    shop.sync(&json!({})).await;
    serve(&shop).await;
    assert_eq!(download(app, "b").await.text, large);
    let body = json!({"repo_hrefs": [shop.repository]});

    let dry = reclaim(
        app,
        &json!({"repo_hrefs": [shop.repository], "dry_run": true}),
    )
    .await;
    assert_eq!(here(app).await, ["a", "b"]);
    let of_files = json!({"units": 2, "artifacts": 2, "bytes": 40003});
    assert_eq!(
        dry["result"],
        json!({"dry_run": true, "units": 2, "artifacts": 2, "bytes": 40003, "by_type": {"file.file": of_files}, "skipped": 0, "failed": 0})
    );

    let task = reclaim(app, &body).await;
    assert_eq!(
        task["result"],
        json!({"dry_run": false, "units": 2, "artifacts": 2, "bytes": 40003, "skipped": 0, "failed": 0,
               "by_type": {"file.file": {"units": 2}}})
    );
    let reports = task["progress_reports"].as_array().unwrap();
    let figures: Vec<Value> = reports
        .iter()
        .map(|r| json!([r["code"], r["message"], r["state"], r["total"], r["done"]]))
        .collect();
    assert_eq!(
        json!(figures),
        json!([
            [
                "reclaim-space.artifact",
                "Reclaim disk space",
                "completed",
                2,
                2
            ],
            [
                "reclaim-space.bytes",
                "Free bytes",
                "completed",
                40003,
                40003
            ],
            [
                "reclaim-space.failed",
                "Files that cannot be removed now",
                "completed",
                0,
                0
            ],
        ])
    );
    let record = task["reserved_resources_record"].to_string();
    let id = millrace_tests::client::id_of(&shop.repository);
    let shared = format!("shared:prn:file.filerepository:{id}");
    assert!(record.contains(&shared), "{record}");
    assert_eq!(here(app).await, Vec::<String>::new());
    // The manifest is the one that stays.
    assert_eq!(files_below(&app.media()).len(), 1);
    assert_eq!(shop.paths().await, ["a", "b"], "the units stay");

    let manifest = download(app, "PULP_MANIFEST").await;
    assert_eq!(manifest.status, 200);
    shop.upstream.forget();
    for _ in 0..2 {
        let file = download(app, "b").await;
        assert_eq!((file.status.as_u16(), file.text == large), (200, true));
    }
    assert_eq!(shop.upstream.seen().len(), 1, "fetched once, and stored");
    assert_eq!(here(app).await, ["b"]);
    // A sync with the policy `immediate` brings the others back.
    shop.sync(&json!({})).await;
    assert_eq!(here(app).await, ["a", "b"]);
    assert_bytes(app).await;
    shop.app.finish().await;
}

#[tokio::test]
async fn only_units_of_these_repositories_alone_lose_their_files() {
    let shop = Shop::open("immediate").await;
    let app = &shop.app;
    let all = [
        ("a", "a"),
        ("former", "former"),
        ("kept", "kept"),
        ("same", "a"),
        ("shared", "shared"),
    ];
    shop.upstream.publish(DIRECTORY, &all);
    shop.sync(&json!({})).await;
    let units = app
        .hrefs(&format!(
            "content/file/files/?repository_version={}&ordering=relative_path",
            shop.repository
        ))
        .await;
    let other = app.repository("other").await;
    app.modify(&other, &[units[1].clone(), units[4].clone()], &[])
        .await;
    app.modify(&other, &[], &units[1..2]).await;
    // Version 2 holds `kept` alone.
    let first = json!({"pulp_href": shop.repository});
    app.modify(
        &first,
        &[],
        &[
            units[0].clone(),
            units[1].clone(),
            units[3].clone(),
            units[4].clone(),
        ],
    )
    .await;
    let version = format!("{}versions/2/", shop.repository);

    let body = json!({"repo_hrefs": [shop.repository], "repo_versions_keeplist": [version]});
    let dry = reclaim(app, &json!({"repo_hrefs": [shop.repository], "repo_versions_keeplist": [version], "dry_run": true})).await;
    assert_eq!(
        (&dry["result"]["units"], &dry["result"]["artifacts"]),
        (&json!(2), &json!(1))
    );
    let task = reclaim(app, &body).await;
    assert_eq!(
        task["result"]["units"], 2,
        "also what only an older version has"
    );
    assert_eq!(task["result"]["artifacts"], 1, "one for two units");
    assert_eq!(here(app).await, ["former", "kept", "shared"]);
    assert_bytes(app).await;

    // The other one loses nothing that the first needs.
    reclaim(app, &json!({"repo_hrefs": [href(&other)]})).await;
    assert_eq!(here(app).await, ["former", "kept", "shared"]);
    // Both together, and all of them but one version.
    let body = json!({"repo_hrefs": ["*"], "repo_versions_keeplist": [version]});
    let task = reclaim(app, &body).await;
    assert_eq!(task["result"]["units"], 2);
    assert_eq!(here(app).await, ["kept"]);
    let record = task["reserved_resources_record"].to_string();
    assert_eq!(record.matches("shared:prn:file.filerepository:").count(), 2);
    assert_bytes(app).await;
    shop.app.finish().await;
}

#[tokio::test]
async fn what_was_uploaded_keeps_its_file_unless_it_is_forced() {
    let app = TestApp::with_workers(1).await;
    let zoo = app.repository("zoo").await;
    let artifact = app.upload(b"only copy".to_vec()).await;
    let unit = app.file(&artifact, "only").await;
    app.modify(&zoo, &[unit], &[]).await;
    let task = reclaim(&app, &json!({"repo_hrefs": ["*"]})).await;
    assert_eq!(task["result"]["artifacts"], 0);
    assert_eq!(here(&app).await, ["only"]);

    let id = href(&zoo).trim_end_matches('/').rsplit('/').next().unwrap();
    let mut call = json!({"name": "pulpcore.app.tasks.reclaim_space.reclaim_space",
                          "args": [[id]], "kwargs": {"force": true}});
    let task = app.dispatch(&call).await;
    let error = app.finished(&task).await["error"]["description"].clone();
    assert!(
        error.as_str().unwrap().contains(id),
        "{error}: it shares the repository or does nothing"
    );
    assert_eq!(here(&app).await, ["only"]);
    call["shared_resources"] = json!([href(&zoo)]);
    let task = app.dispatch(&call).await;
    assert_eq!(app.completed(&task).await["result"]["artifacts"], 1);
    assert_eq!(here(&app).await, Vec::<String>::new());
    assert_bytes(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn what_a_waiting_task_is_going_to_use_is_spared() {
    let shop = Shop::open("immediate").await;
    let app = &shop.app;
    shop.upstream
        .publish(DIRECTORY, &[("a", "one"), ("b", "two")]);
    shop.sync(&json!({})).await;
    let other = app.repository("other").await;
    let units = app
        .hrefs("content/file/files/?ordering=relative_path")
        .await;
    let prn = other["prn"].as_str().unwrap();
    let holder = app.sleeper(60.0, &[prn]).await;
    app.in_state(&holder, "running").await;
    let body = json!({"add_content_units": [units[0]]});
    let adding = app
        .post(&format!("{}modify/", href(&other)), &body)
        .await
        .task();
    let task = reclaim(app, &json!({"repo_hrefs": [shop.repository]})).await;
    assert_eq!(task["result"]["artifacts"], 1);
    assert_eq!(here(app).await, ["a"]);
    app.cancel(&holder).await.expect(200);
    app.completed(&adding).await;
    assert_bytes(app).await;

    // Somebody who holds a unit at that moment keeps its file, and is counted.
    let task = app.delete(href(&other)).await.task();
    app.completed(&task).await;
    let held = app.db.sql().await;
    let id = millrace_tests::client::id_of(&units[0]);
    held.run(&format!(
        "BEGIN; SELECT FROM content WHERE pulp_id = '{id}' FOR KEY SHARE"
    ))
    .await;
    let task = reclaim(app, &json!({"repo_hrefs": [shop.repository]})).await;
    let result = &task["result"];
    assert_eq!(
        (&result["artifacts"], &result["skipped"]),
        (&json!(0), &json!(1))
    );
    held.run("ROLLBACK").await;
    // A file that cannot be removed counts no bytes.
    let key = app.sql.text("SELECT storage_key FROM artifact").await;
    let file = app.media().join(key);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let task = reclaim(app, &json!({"repo_hrefs": [shop.repository]})).await;
    let result = &task["result"];
    assert_eq!(
        (&result["artifacts"], &result["failed"], &result["bytes"]),
        (&json!(1), &json!(1), &json!(0))
    );
    std::fs::remove_dir(&file).unwrap();
    shop.app.finish().await;
}

#[tokio::test]
async fn a_type_that_is_protected_keeps_its_files() {
    let app = TestApp::with_workers(1).await;
    let zoo = app.repository("zoo").await;
    let artifact = app.upload(b"published".to_vec()).await;
    let unit = app.file(&artifact, "index").await;
    app.modify(&zoo, std::slice::from_ref(&unit), &[]).await;
    // No built-in type with units of its own is protected but what publications hold.
    app.sql
        .run("UPDATE content SET pulp_type = 'core.publishedmetadata'")
        .await;
    let id = millrace_tests::client::id_of(href(&zoo));
    let call = json!({"name": "pulpcore.app.tasks.reclaim_space.reclaim_space", "args": [[id]],
                      "kwargs": {"force": true}, "shared_resources": [href(&zoo)]});
    let task = app.dispatch(&call).await;
    assert_eq!(app.completed(&task).await["result"]["units"], 0);
    assert_eq!(
        app.sql
            .number("SELECT count(*) FROM content_artifact WHERE artifact_id IS NOT NULL")
            .await,
        1
    );
    app.finish().await;
}

#[tokio::test]
async fn bad_requests_name_what_is_wrong() {
    let app = TestApp::start().await;
    let zoo = app.repository("zoo").await;
    let gone = href(&zoo).replace(['0', '1'], "2");
    let repositories = |value: Value| json!({"repo_hrefs": value});
    for (body, field, message) in [
        (
            json!({}),
            "repo_hrefs",
            "This field is required.".to_owned(),
        ),
        (
            repositories(json!([])),
            "repo_hrefs",
            "Must not be [].".into(),
        ),
        (
            repositories(json!(["*", href(&zoo)])),
            "repo_hrefs",
            "Can not specify other HREFs when using '*'".into(),
        ),
        (
            repositories(json!(["x"])),
            "repo_hrefs",
            "URI not valid: x".into(),
        ),
        (
            repositories(json!([gone])),
            "repo_hrefs",
            format!("URI {gone} not found for repository."),
        ),
        (
            json!({"repo_hrefs": ["*"], "dry_run": 3}),
            "dry_run",
            "Must be a valid boolean.".into(),
        ),
        (
            json!({"repo_hrefs": ["*"], "repo_versions_keeplist": ["x"]}),
            "repo_versions_keeplist",
            "Invalid hyperlink - No URL match.".into(),
        ),
    ] {
        let answer = app.post(RECLAIM, &body).await.expect(400);
        assert_eq!(answer[field][0], json!(message), "{body}");
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    let somebody = app.somebody().await;
    somebody
        .post(RECLAIM, &repositories(json!(["*"])))
        .await
        .expect(403);
    app.finish().await;
}

#[tokio::test]
async fn artifacts_that_units_of_several_pages_have_go() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("big").await;
    app.sql.run(crate::orphans::many::SHARED).await;
    app.sql
        .run(
            "INSERT INTO repository_content (repository_id, content_id, version_added)
             SELECT r.pulp_id, c.pulp_id, 0 FROM repository r, content c;
             -- Each commit takes a while, so that the next page is looked at meanwhile.
             CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF current_setting('test.late', true) IS DISTINCT FROM 'yes' THEN
                     PERFORM set_config('test.late', 'yes', true), pg_sleep(0.3);
                 END IF;
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON content_artifact DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION late()",
        )
        .await;
    let id = id_of(href(&repository));
    let body = json!({"name": "pulpcore.app.tasks.reclaim_space.reclaim_space", "args": [[id]],
                      "kwargs": {"force": true}, "shared_resources": [href(&repository)]});
    let task = app.dispatch(&body).await;
    let task = app.completed(&task).await;
    let result = &task["result"];
    assert_eq!(
        (&result["units"], &result["artifacts"], &result["skipped"]),
        (&json!(8000), &json!(4000), &json!(0)),
        "{task:#}"
    );
    assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 0);
    app.finish().await;
}
