//! Uploads and creates at the same moment as a clean-up, and clean-ups that are killed.

use super::{assert_bytes, cleanup, files_are, href, unit};
use millrace_tests::TestApp;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn the_same_bytes_uploaded_during_a_clean_up_are_never_lost() {
    const ROUNDS: usize = 25;
    let app = TestApp::with_workers(1).await;
    let over = std::cell::Cell::new(false);
    let cleaning = async {
        for _ in 0..ROUNDS {
            cleanup(&app, json!({"orphan_protection_time": 0})).await;
        }
        over.set(true);
    };
    let ((), made) = tokio::join!(cleaning, upload_until(&app, &over));
    assert!(made > 3, "only {made} uploads met a clean-up");
    app.quiet(Duration::from_secs(20)).await;
    assert_bytes(&app).await;
    // Files of uploads that came second are given a minute before they go: it is over now.
    app.sql.run("UPDATE tombstone SET not_before = now()").await;
    let rows = app.sql.number("SELECT count(*) FROM artifact").await;
    files_are(&app, usize::try_from(rows).unwrap()).await;
    app.finish().await;
}

/// Uploads the same few bytes again and again; gives how often they were new.
async fn upload_until(app: &TestApp, over: &std::cell::Cell<bool>) -> usize {
    let mut made = 0;
    while !over.get() {
        for text in ["same", "other"] {
            let answer = app.try_upload(text.as_bytes().to_vec()).await;
            // Known already, or new: in both cases its bytes are there as long as its row is.
            assert!(
                [201, 400].contains(&answer.status.as_u16()),
                "{}",
                answer.text
            );
            made += usize::from(answer.status == 201);
            if answer.status == 201 {
                let form = reqwest::multipart::Form::new()
                    .text("artifact", href(&answer.json()).to_owned())
                    .text("relative_path", text);
                let request = app
                    .request(reqwest::Method::POST, "content/file/files/")
                    .multipart(form);
                let unit = app.send(request).await;
                // The clean-up may have been first: then the artifact is unknown, or the task says so.
                assert!([202, 400].contains(&unit.status.as_u16()), "{}", unit.text);
            }
            let rows = "SELECT a.storage_key FROM artifact a JOIN content_artifact c ON c.artifact_id = a.pulp_id";
            for key in app.sql.texts(rows).await {
                let file = app.media().join(&key);
                let row = format!("SELECT count(*) FROM artifact WHERE storage_key = '{key}'");
                assert!(
                    file.exists() || app.sql.number(&row).await == 0,
                    "{key} has a row and no file"
                );
            }
        }
    }
    made
}

#[tokio::test]
async fn a_clean_up_killed_at_random_moments_loses_no_byte_and_leaks_no_file() {
    let mut app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let mut kept = Vec::new();
    for n in 0..60 {
        let (_, unit) = unit(&app, &format!("unit {n}"), &format!("u{n}")).await;
        if n % 3 == 0 {
            kept.push(unit);
        }
    }
    app.modify(&repository, &kept, &[]).await;
    for round in 0..4 {
        let task = app
            .post("orphans/cleanup/", &json!({"orphan_protection_time": 0}))
            .await
            .task();
        tokio::time::sleep(Duration::from_millis(round * 37)).await;
        app.workers.pop().unwrap().kill();
        app.spawn_worker(&[]);
        app.completed(&task).await;
        assert_bytes(&app).await;
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM content").await, 20);
    assert_bytes(&app).await;
    files_are(&app, 20).await;
    app.finish().await;
}

#[tokio::test]
async fn a_file_that_comes_with_its_unit_is_never_taken_before_the_unit_is_made() {
    const CLEANED: usize = 15;
    const CREATED: usize = 4;
    let app = TestApp::with_workers(1).await;
    // Each goes on until the other has had its rounds, too.
    let (cleaned, created) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let cleaning = async {
        while cleaned.get() < CLEANED || created.get() < CREATED {
            cleanup(&app, json!({"orphan_protection_time": 0})).await;
            cleaned.set(cleaned.get() + 1);
        }
    };
    let creating = async {
        let mut tasks = Vec::new();
        while created.get() < CREATED || cleaned.get() < CLEANED {
            for path in ["content/file/files/", "content/file/files/upload/"] {
                let file = reqwest::multipart::Part::bytes(b"same".to_vec()).file_name("file");
                let form = reqwest::multipart::Form::new()
                    .part("file", file)
                    .text("relative_path", "same");
                let request = app.request(reqwest::Method::POST, path);
                let answer = app.send(request.multipart(form)).await;
                if path.ends_with("upload/") {
                    answer.expect(201);
                } else {
                    tasks.push(answer.task());
                }
            }
            created.set(created.get() + 1);
        }
        tasks
    };
    let ((), tasks) = tokio::join!(cleaning, creating);
    for task in &tasks {
        app.completed(task).await;
    }
    assert_bytes(&app).await;
    app.finish().await;
}
