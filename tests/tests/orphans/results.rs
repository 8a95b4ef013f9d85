//! What a clean-up says went, or would go.

use super::{assert_bytes, cleanup, files_are, href, unit};
use millrace_tests::TestApp;
use serde_json::{Value, json};

async fn summary(app: &TestApp) -> Value {
    app.get("orphans/").await.expect(200)
}

#[tokio::test]
async fn a_dry_run_and_the_summary_say_what_would_go_and_change_nothing() {
    let app = TestApp::builder()
        .workers(1)
        .set("tasks.orphan_protection_time", 0)
        .start()
        .await;
    let zoo = app.repository("zoo").await;
    let (shared, kept) = unit(&app, "kept", "kept").await;
    app.modify(&zoo, &[kept], &[]).await;
    let first = app.file(&shared, "another").await;
    let (_, second) = unit(&app, "12345", "second").await;
    app.upload(b"lone".to_vec()).await;
    app.sql
        .run(
            "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, fields) \
              SELECT gen_random_uuid(), pulp_id, 'rpm.erratum', 'x', '{}' FROM domain",
        )
        .await;
    let of_files = json!({"units": 2, "artifacts": 1, "bytes": 5});
    let bare = json!({"units": 1, "artifacts": 0, "bytes": 0});
    let by_type = json!({"file.file": of_files, "rpm.erratum": bare});
    assert_eq!(
        summary(&app).await,
        json!({"orphan_protection_time": 0, "units": 3, "artifacts": 2, "bytes": 9, "by_type": by_type})
    );
    let task = cleanup(&app, json!({"dry_run": true})).await;
    assert_eq!(
        task["result"],
        json!({"dry_run": true, "units": 3, "artifacts": 2, "bytes": 9, "by_type": by_type, "skipped": 0, "failed": 0})
    );
    let task = cleanup(&app, json!({"dry_run": true, "content_hrefs": [first]})).await;
    assert_eq!(
        task["result"],
        json!({"dry_run": true, "units": 1, "artifacts": 1, "bytes": 4, "skipped": 0, "failed": 0,
               "by_type": {"file.file": {"units": 1, "artifacts": 0, "bytes": 0}}})
    );
    let long = json!({"dry_run": true, "orphan_protection_time": 60});
    assert_eq!(cleanup(&app, long).await["result"]["units"], 0);
    for href in [&first, &second] {
        app.get(href).await.expect(200);
    }

    let task = cleanup(&app, json!({"dry_run": false})).await;
    assert_eq!(
        task["result"],
        json!({"dry_run": false, "units": 3, "artifacts": 2, "bytes": 9, "skipped": 0, "failed": 0,
               "by_type": {"file.file": {"units": 2}, "rpm.erratum": {"units": 1}}})
    );
    assert_eq!(summary(&app).await["artifacts"], 0);
    files_are(&app, 1).await;
    assert_bytes(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn what_somebody_uses_is_skipped_and_counted_and_a_file_that_stays_too() {
    let app = TestApp::with_workers(1).await;
    let (artifact, _) = unit(&app, "stubborn", "stubborn").await;
    let (_, held) = unit(&app, "held", "held").await;
    // A directory is no file that could be removed.
    let key = artifact["file"].as_str().unwrap();
    let file = app.media().join(key);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    // Somebody is about to use the other unit.
    let holder = app.db.sql().await;
    let id = millrace_tests::client::id_of(&held);
    holder
        .run(&format!(
            "BEGIN; SELECT FROM content WHERE pulp_id = '{id}' FOR KEY SHARE"
        ))
        .await;
    let task = cleanup(&app, json!({"orphan_protection_time": 0})).await;
    let result = &task["result"];
    assert_eq!(
        (&result["units"], &result["skipped"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&result["artifacts"], &result["failed"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(result["bytes"], 0, "its room is taken still");
    holder.run("ROLLBACK").await;
    app.get(&held).await.expect(200);
    assert_eq!(app.get(href(&artifact)).await.status, 404);

    std::fs::remove_dir(&file).unwrap();
    let task = cleanup(&app, json!({"orphan_protection_time": 0})).await;
    assert_eq!(task["result"]["failed"], 0);
    files_are(&app, 0).await;
    app.finish().await;
}

#[tokio::test]
async fn uploads_and_temporary_files_that_nobody_wants_go() {
    let app = TestApp::with_workers(1).await;
    let upload = app.post("uploads/", &json!({"size": 4})).await.expect(201);
    let part = reqwest::multipart::Part::text("abcd").file_name("file");
    let chunk = app
        .request(reqwest::Method::PUT, href(&upload))
        .header("Content-Range", "bytes 0-3/4")
        .multipart(reqwest::multipart::Form::new().part("file", part));
    app.send(chunk).await.expect(200);
    let wanted = app.post("uploads/", &json!({"size": 4})).await.expect(201);
    let prn = wanted["prn"].as_str().unwrap();
    app.sql
        .run(
            "INSERT INTO temporary_file (pulp_id, pulp_domain, storage_key, size, sha256) \
              SELECT gen_random_uuid(), pulp_id, 'artifact/00/tmp', 3, repeat('0', 64) FROM domain",
        )
        .await;
    std::fs::create_dir_all(app.media().join("artifact/00")).unwrap();
    std::fs::write(app.media().join("artifact/00/tmp"), "tmp").unwrap();
    // A task that waits for one of them; it reserves it.
    let holder = app.sleeper(60.0, &[prn]).await;
    app.in_state(&holder, "running").await;

    let call = |name: &str, minutes: u32| json!({"name": format!("pulpcore.app.tasks.orphan.{name}"), "args": [minutes]});
    for name in ["upload_cleanup", "tmpfile_cleanup"] {
        let task = app.dispatch(&call(name, 60)).await;
        assert_eq!(app.completed(&task).await["result"]["bytes"], 0, "{name}");
        // Nobody has said how long they are protected.
        let unsaid = json!({"name": format!("pulpcore.app.tasks.orphan.{name}")});
        let task = app.dispatch(&unsaid).await;
        let error = app.finished(&task).await["error"]["description"].clone();
        assert_eq!(error, "protection_time: This field is required.");
    }
    files_are(&app, 2).await;
    for (name, code, bytes, total, what, kept) in [
        ("upload_cleanup", "clean-up.uploads", 4, 2, "uploads", 1),
        (
            "tmpfile_cleanup",
            "clean-up.tmpfiles",
            3,
            1,
            "temporary_files",
            0,
        ),
    ] {
        let task = app.dispatch(&call(name, 0)).await;
        let task = app.completed(&task).await;
        assert_eq!(super::done(&task, code), (total, 1), "{name}");
        let result = &task["result"];
        assert_eq!(
            (&result["bytes"], &result[what], &result["skipped"]),
            (&json!(bytes), &json!(1), &json!(kept)),
            "{name}"
        );
    }
    files_are(&app, 0).await;
    assert_eq!(app.get(href(&upload)).await.status, 404);
    app.get(href(&wanted)).await.expect(200);
    app.cancel(&holder).await.expect(200);
    app.finish().await;
}
