//! Files that come in pieces: every byte that was answered for is kept, and none is left behind.

mod faults;
mod refusals;
mod temporary;
mod units;

use millrace_common::storage::Hashers;
use millrace_tests::app::files_below;
use millrace_tests::client::Answer;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::time::Duration;

/// SHA-256 in hex.
fn sha256(bytes: &[u8]) -> String {
    let mut hashers = Hashers::new(&["sha256".to_owned()]).unwrap();
    hashers.update(bytes);
    hashers.finish().sha256().to_owned()
}

/// Bytes that differ from place to place.
fn bytes(count: usize) -> Vec<u8> {
    let squares = (0..count).map(|n| u8::try_from(n.wrapping_mul(n) / 7 % 251).unwrap());
    squares.collect()
}

fn href(object: &Value) -> String {
    object["pulp_href"].as_str().unwrap().to_owned()
}

async fn begin(app: &TestApp, size: usize) -> String {
    href(
        &app.post("uploads/", &json!({"size": size}))
            .await
            .expect(201),
    )
}

/// Sends these bytes as the piece that this header names.
async fn send(app: &TestApp, upload: &str, range: &str, bytes: &[u8]) -> Answer {
    let part = Part::bytes(bytes.to_vec()).file_name("chunk");
    let form = Form::new().part("file", part);
    let request = app.request(Method::PUT, upload);
    app.send(request.header("Content-Range", range).multipart(form))
        .await
}

/// Sends the piece of a file at this place.
async fn put(app: &TestApp, upload: &str, file: &[u8], from: usize, to: usize) -> Answer {
    let range = format!("bytes {from}-{}/{}", to - 1, file.len());
    send(app, upload, &range, &file[from..to]).await
}

/// Asks for the artifact of an upload; gives the task.
async fn commit(app: &TestApp, upload: &str, file: &[u8]) -> String {
    let body = json!({"sha256": sha256(file)});
    app.post(&format!("{upload}commit/"), &body).await.task()
}

async fn spans(app: &TestApp, upload: &str) -> Value {
    app.get(upload).await.expect(200)["chunks"].clone()
}

/// The artifact that a task made, whose file must have these bytes.
async fn artifact_of(app: &TestApp, task: &Value, file: &[u8]) -> Value {
    let made = task["created_resources"].as_array().unwrap();
    assert_eq!(made.len(), 1, "{task:#}");
    let artifact = app.get(made[0].as_str().unwrap()).await.expect(200);
    assert_eq!(artifact["sha256"], sha256(file));
    assert_eq!(artifact["size"], file.len());
    let stored = std::fs::read(app.media().join(artifact["file"].as_str().unwrap())).unwrap();
    assert!(stored == file, "the file has other bytes");
    artifact
}

/// Nothing is on its way, and so many files are there.
async fn files_are(app: &TestApp, count: usize) {
    eventually(Duration::from_secs(30), async || {
        let files = files_below(&app.media()).len();
        let left = app
            .sql
            .texts("SELECT 'tombstone ' || storage_key FROM tombstone UNION ALL SELECT 'intent ' || storage_key FROM intent")
            .await;
        holds(files == count && left.is_empty(), || {
            format!("{files} files, not {count}; {left:?}")
        })
    })
    .await;
}

async fn nothing_of_uploads(app: &TestApp) {
    for table in ["upload", "upload_chunk"] {
        let rows = format!("SELECT count(*) FROM {table}");
        assert_eq!(app.sql.number(&rows).await, 0, "{table}");
    }
}

#[tokio::test]
async fn pieces_in_any_order_become_one_artifact_and_the_upload_is_gone() {
    let app = TestApp::with_workers(1).await;
    let file = bytes(3_500_000);
    let created = app.post("uploads/", &json!({"size": file.len()})).await;
    let upload = created.expect(201);
    assert_eq!(created.headers["location"], href(&upload));
    let id = millrace_tests::client::id_of(upload["pulp_href"].as_str().unwrap()).to_owned();
    assert_eq!(upload["prn"], format!("prn:core.upload:{id}"));
    assert_eq!(upload["size"], file.len());
    assert_eq!(upload.as_object().unwrap().len(), 5, "{upload}");
    let upload = href(&upload);
    assert_eq!(spans(&app, &upload).await, json!([]));

    let last = put(&app, &upload, &file, 2_000_000, 3_500_000).await;
    assert_eq!(href(&last.expect(200)), upload);
    // The same place again, with other bytes and another length: it is replaced.
    let other = vec![0; 900_000];
    let replaced = send(&app, &upload, "bytes 0-899999/*", &other).await;
    replaced.expect(200);
    put(&app, &upload, &file, 0, 1_000_000).await.expect(200);
    put(&app, &upload, &file, 1_000_000, 2_000_000)
        .await
        .expect(200);
    assert_eq!(
        spans(&app, &upload).await,
        json!([
            {"offset": 0, "size": 1_000_000},
            {"offset": 1_000_000, "size": 1_000_000},
            {"offset": 2_000_000, "size": 1_500_000},
        ])
    );
    files_are(&app, 3).await;

    let task = app.completed(&commit(&app, &upload, &file).await).await;
    assert_eq!(task["name"], "pulpcore.app.tasks.upload.commit");
    let report = &task["progress_reports"][0];
    assert_eq!(
        (&report["code"], &report["total"], &report["done"]),
        (
            &"upload.commit".into(),
            &file.len().into(),
            &file.len().into()
        )
    );
    artifact_of(&app, &task, &file).await;
    assert_eq!(app.get(&upload).await.status, 404);
    files_are(&app, 1).await;
    nothing_of_uploads(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_single_piece_becomes_the_artifact_without_being_copied() {
    let app = TestApp::with_workers(1).await;
    let file = bytes(2_100_000);
    let upload = begin(&app, file.len()).await;
    put(&app, &upload, &file, 0, file.len()).await.expect(200);
    let key = app.sql.text("SELECT storage_key FROM upload_chunk").await;
    let task = app.completed(&commit(&app, &upload, &file).await).await;
    let artifact = artifact_of(&app, &task, &file).await;
    assert_eq!(artifact["file"], key);
    for digest in ["sha224", "sha384", "sha512"] {
        assert!(artifact[digest].is_string(), "{artifact}");
    }
    files_are(&app, 1).await;

    // The same bytes once more, and an empty file.
    let again = begin(&app, file.len()).await;
    put(&app, &again, &file, 0, file.len()).await.expect(200);
    let task = app.completed(&commit(&app, &again, &file).await).await;
    assert_eq!(artifact_of(&app, &task, &file).await["file"], key);
    let empty = begin(&app, 0).await;
    let task = app.completed(&commit(&app, &empty, b"").await).await;
    artifact_of(&app, &task, b"").await;
    files_are(&app, 2).await;
    nothing_of_uploads(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn missing_bytes_and_another_digest_fail_the_task_and_keep_the_upload() {
    let app = TestApp::with_workers(1).await;
    let file = bytes(100);
    let upload = begin(&app, file.len()).await;
    put(&app, &upload, &file, 10, 20).await.expect(200);
    put(&app, &upload, &file, 40, 90).await.expect(200);
    let task = app.finished(&commit(&app, &upload, &file).await).await;
    assert_eq!(task["state"], "failed");
    assert_eq!(
        task["error"]["description"],
        "The upload is not complete: bytes 0-9, 20-39, 90-99 are missing."
    );
    for (from, to) in [(0, 10), (20, 40), (90, 100)] {
        put(&app, &upload, &file, from, to).await.expect(200);
    }
    let task = app.finished(&commit(&app, &upload, b"other").await).await;
    assert_eq!(task["state"], "failed");
    let said = task["error"]["description"].as_str().unwrap();
    assert!(
        said.starts_with("The sha256 checksum did not match"),
        "{said}"
    );
    assert_eq!(app.get("artifacts/").await.expect(200)["count"], 0);
    assert_eq!(spans(&app, &upload).await.as_array().unwrap().len(), 5);
    files_are(&app, 5).await;
    let task = app.completed(&commit(&app, &upload, &file).await).await;
    artifact_of(&app, &task, &file).await;
    files_are(&app, 1).await;
    app.finish().await;
}

#[tokio::test]
async fn a_deleted_upload_takes_all_its_pieces_along() {
    let app = TestApp::start().await;
    let file = bytes(50);
    let (gone, kept) = (begin(&app, file.len()).await, begin(&app, file.len()).await);
    for upload in [&gone, &kept] {
        put(&app, upload, &file, 0, 20).await.expect(200);
        put(&app, upload, &file, 20, 50).await.expect(200);
    }
    // More of them than are deleted at a time.
    let id = millrace_tests::client::id_of(&gone).to_owned();
    app.sql
        .run(&format!(
            "INSERT INTO upload_chunk SELECT '{id}', 100 + n, 1, 'artifact/no/' || n FROM generate_series(1, 2100) n"
        ))
        .await;
    assert_eq!(app.delete(&gone).await.status, 204);
    assert_eq!(app.delete(&gone).await.status, 404);
    assert_eq!(app.get(&gone).await.status, 404);
    assert_eq!(put(&app, &gone, &file, 0, 20).await.status, 404);
    files_are(&app, 2).await;
    assert_eq!(spans(&app, &kept).await.as_array().unwrap().len(), 2);
    assert_eq!(app.patch(&kept, &json!({"size": 5})).await.status, 405);
    app.finish().await;
}

#[tokio::test]
async fn uploads_are_listed_by_size_and_in_order() {
    let app = TestApp::start().await;
    let mut uploads = Vec::new();
    for size in [1, 20, 300] {
        uploads.push(begin(&app, size).await);
    }
    for (filter, expected) in [
        ("", vec![2, 1, 0]),
        ("size=20", vec![1]),
        ("size__gt=1", vec![2, 1]),
        ("size__gte=20&size__lt=300", vec![1]),
        ("size__lte=20", vec![1, 0]),
        ("size__range=1,20", vec![1, 0]),
        ("ordering=size", vec![0, 1, 2]),
        ("q=size=1 OR size=300", vec![2, 0]),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|n: usize| uploads[n].clone())
            .collect();
        assert_eq!(
            app.hrefs(&format!("uploads/?{filter}")).await,
            expected,
            "{filter}"
        );
    }
    let prn = app.get(&uploads[1]).await.expect(200)["prn"].clone();
    let list = format!("uploads/?prn__in={}", prn.as_str().unwrap());
    assert_eq!(app.hrefs(&list).await, [uploads[1].clone()]);
    let page = app.get("uploads/?limit=1&offset=1").await.expect(200);
    assert_eq!(page["count"], 3);
    assert!(page["results"][0].get("chunks").is_none(), "{page}");
    let refused = app.get("uploads/?size=x").await.expect(400);
    assert!(refused["size"].is_array(), "{refused}");
    app.finish().await;
}

#[tokio::test]
async fn the_document_asks_for_the_range_and_for_no_json() {
    let app = TestApp::start().await;
    let document = app.get("docs/api.json").await.expect(200);
    let update = &document["paths"]["{upload_href}"]["put"];
    let range = update["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["name"] == "Content-Range")
        .unwrap();
    assert_eq!(
        (&range["in"], &range["required"]),
        (&"header".into(), &true.into())
    );
    let mut media: Vec<_> = update["requestBody"]["content"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    media.sort();
    assert_eq!(
        media,
        ["application/x-www-form-urlencoded", "multipart/form-data"]
    );
    let detail = &document["components"]["schemas"]["UploadDetailResponse"]["properties"];
    assert!(detail["prn"]["readOnly"].as_bool().unwrap() && detail["chunks"].is_object());
    app.finish().await;
}
