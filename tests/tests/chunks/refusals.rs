//! Pieces that are not taken: nothing changes, and no file stays.

use super::{begin, bytes, commit, files_are, put, send, sha256, spans};
use millrace_tests::TestApp;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

const BAD_RANGES: [(Option<&str>, &str); 12] = [
    (None, "Invalid or missing content range header."),
    (Some(""), "Invalid or missing content range header."),
    (
        Some("bytes 3-2/30"),
        "Invalid or missing content range header.",
    ),
    (
        Some("bytes 0-/30"),
        "Invalid or missing content range header.",
    ),
    (Some("0-9/30"), "Invalid or missing content range header."),
    (
        Some("bytes 0-99999999999999999999/*"),
        "Invalid or missing content range header.",
    ),
    (
        Some("bytes 25-34/*"),
        "End byte is greater than upload size.",
    ),
    (
        Some("bytes 20-28/30"),
        "Chunk size does not match content range.",
    ),
    (Some("bytes 20-29/*"), ""),
    (
        Some("bytes 5-14/30"),
        "Bytes 5-14 overlap the chunk of bytes 10-19.",
    ),
    (
        Some("bytes 19-28/30"),
        "Bytes 19-28 overlap the chunk of bytes 10-19.",
    ),
    (
        Some("bytes 9-18/30"),
        "Bytes 9-18 overlap the chunk of bytes 10-19.",
    ),
];

#[tokio::test]
async fn pieces_that_do_not_fit_change_nothing_and_leave_no_file() {
    let app = TestApp::start().await;
    let file = bytes(30);
    let upload = begin(&app, file.len()).await;
    put(&app, &upload, &file, 10, 20).await.expect(200);
    let before = app.get(&upload).await.expect(200);
    for (range, message) in BAD_RANGES {
        let part = Part::bytes(file[..10].to_vec()).file_name("chunk");
        let mut request = app.request(Method::PUT, &upload);
        if let Some(range) = range {
            request = request.header("Content-Range", range);
        }
        let mut form = Form::new().part("file", part);
        if message.is_empty() {
            form = form.text("sha256", sha256(b"other"));
        }
        let refused = app.send(request.multipart(form)).await.expect(400);
        if message.is_empty() {
            assert_eq!(refused, json!(["Checksum does not match chunk upload."]));
        } else {
            assert_eq!(refused, json!({"non_field_errors": [message]}), "{range:?}");
        }
    }
    // What is longer than its range is refused while it comes.
    for size in [11, 3_000_000] {
        let long = send(&app, &upload, "bytes 0-9/30", &vec![1; size]).await;
        let message = "Chunk size does not match content range.";
        assert_eq!(long.expect(400), json!({"non_field_errors": [message]}));
    }
    // A piece that has the place of another, and reaches into a third.
    let covering = send(&app, &upload, "bytes 0-29/30", &file)
        .await
        .expect(400);
    let message = "Bytes 0-29 overlap the chunk of bytes 10-19.";
    assert_eq!(covering, json!({"non_field_errors": [message]}));
    for (form, field) in [
        (Form::new().text("sha256", sha256(b"")), "file"),
        (Form::new().text("file", "0123456789"), "file"),
        (
            Form::new().part("other", Part::text("0123456789").file_name("f")),
            "other",
        ),
        (
            Form::new()
                .part("file", Part::text("0123456789").file_name("f"))
                .text("md5", "x"),
            "md5",
        ),
    ] {
        let request = app.request(Method::PUT, &upload);
        let request = request
            .header("Content-Range", "bytes 0-9/30")
            .multipart(form);
        let refused = app.send(request).await.expect(400);
        assert!(refused[field].is_array(), "{field}: {refused}");
    }
    assert_eq!(app.get(&upload).await.expect(200), before);
    files_are(&app, 1).await;
    // With its own digest, in capitals, it is taken.
    let form = Form::new()
        .part("file", Part::bytes(file[..10].to_vec()).file_name("f"))
        .text("sha256", sha256(&file[..10]).to_uppercase());
    let request = app.request(Method::PUT, &upload);
    let request = request.header("Content-Range", "bytes 0-9/30");
    app.send(request.multipart(form)).await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn sizes_and_digests_that_make_no_sense_are_refused_by_name() {
    let app = TestApp::start().await;
    let upload = begin(&app, 5).await;
    for (body, message) in [
        (json!({}), "This field is required."),
        (json!({"size": null}), "This field may not be null."),
        (json!({"size": "x"}), "A valid integer is required."),
        (
            json!({"size": -1}),
            "Ensure this value is greater than or equal to 0.",
        ),
    ] {
        let refused = app.post("uploads/", &body).await.expect(400);
        assert_eq!(refused, json!({"size": [message]}));
    }
    for bad in [
        json!({}),
        json!({"sha256": "abc"}),
        json!({"sha256": "g".repeat(64)}),
    ] {
        let refused = app
            .post(&format!("{upload}commit/"), &bad)
            .await
            .expect(400);
        assert!(refused["sha256"].is_array(), "{refused}");
    }
    for path in ["uploads/x/", &format!("uploads/{}/", uuid::Uuid::now_v7())] {
        assert_eq!(app.get(path).await.status, 404, "{path}");
        assert_eq!(app.delete(path).await.status, 404, "{path}");
        assert_eq!(
            send(&app, path, "bytes 0-0/1", b"x").await.status,
            404,
            "{path}"
        );
        let body = json!({"sha256": sha256(b"")});
        let commit = app.post(&format!("{path}commit/"), &body).await;
        assert_eq!(commit.status, 404, "{path}");
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM upload").await, 1);
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn an_upload_that_is_being_committed_is_changed_by_nobody() {
    let mut app = TestApp::start().await;
    let file = bytes(30);
    let upload = begin(&app, file.len()).await;
    put(&app, &upload, &file, 0, 30).await.expect(200);
    let first = commit(&app, &upload, &file).await;
    let second = commit(&app, &upload, &file).await;
    let said = "The upload is being committed by a task.";
    for refused in [
        put(&app, &upload, &file, 0, 10).await,
        app.delete(&upload).await,
    ] {
        assert_eq!(refused.expect(409), json!({"detail": said}));
    }
    assert_eq!(
        spans(&app, &upload).await,
        json!([{"offset": 0, "size": 30}])
    );
    app.spawn_worker(&[]);
    app.completed(&first).await;
    let second = app.finished(&second).await;
    assert_eq!(second["state"], "failed");
    let said = second["error"]["description"].as_str().unwrap();
    assert!(said.contains("no Upload"), "{said}");
    assert_eq!(app.delete(&upload).await.status, 404);
    files_are(&app, 1).await;
    app.finish().await;
}
