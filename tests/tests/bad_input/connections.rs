//! Requests that misbehave below HTTP's meaning: slow ones, and ones with huge heads.

use super::{Taking, app, endpoints, tables};
use millrace_tests::TestApp;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) async fn connect(app: &TestApp) -> TcpStream {
    let address = app.origin().strip_prefix("http://").unwrap().to_owned();
    TcpStream::connect(address).await.unwrap()
}

pub(super) async fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    loop {
        match tokio::time::timeout(Duration::from_secs(15), stream.read(&mut part)).await {
            Ok(Ok(count)) if count > 0 => text.extend_from_slice(&part[..count]),
            _ => return String::from_utf8_lossy(&text).into_owned(),
        }
        let read = String::from_utf8_lossy(&text);
        if read.contains("\r\n\r\n") && (read.contains('}') || read.contains("content-length: 0")) {
            return read.into_owned();
        }
    }
}

/// `admin:test-password`.
pub(super) const AUTHORIZATION: &str = "Authorization: Basic YWRtaW46dGVzdC1wYXNzd29yZA==";

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let app = app().await;
    let endpoints = endpoints(&app).await;
    let before = tables(&app.sql).await;
    let texts = futures_util::future::join_all(endpoints.iter().map(|e| trickle(&app, e))).await;
    for (e, text) in endpoints.iter().zip(texts) {
        assert!(
            text.starts_with("HTTP/1.1 408"),
            "{} {}: {text}",
            e.method,
            e.path
        );
    }
    assert_eq!(tables(&app.sql).await, before);
}

/// Sends a body byte by byte, for as long as it is read; gives the answer.
async fn trickle(app: &TestApp, e: &Taking) -> String {
    let path = app.request(e.method.parse().unwrap(), &e.path);
    let path = path.build().unwrap().url().path().to_owned();
    let mut stream = connect(app).await;
    let head = format!(
        "{} {path} HTTP/1.1\r\nHost: x\r\n{AUTHORIZATION}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
        e.method
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut text = vec![0; 4096];
    let count = tokio::time::timeout(Duration::from_secs(10), reading.read(&mut text))
        .await
        .unwrap_or_else(|_| panic!("{} {path} reads on and on", e.method))
        .unwrap();
    trickle.abort();
    String::from_utf8_lossy(&text[..count]).into_owned()
}

#[tokio::test]
async fn a_head_that_trickles_is_given_up() {
    let app = app().await;
    let mut stream = connect(&app).await;
    stream
        .write_all(b"GET /pulp/api/v3/status/ HT")
        .await
        .unwrap();
    let start = Instant::now();
    let text = answer(&mut stream).await;
    assert!(
        text.is_empty() || text.starts_with("HTTP/1.1 408"),
        "{text}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn huge_heads_are_refused() {
    let app = app().await;
    let mut stream = connect(&app).await;
    let head = format!(
        "GET /pulp/api/v3/status/ HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n",
        "x".repeat(300_000)
    );
    let (mut reading, mut writing) = stream.split();
    let write = async {
        let _ = writing.write_all(head.as_bytes()).await;
    };
    let mut text = vec![0; 4096];
    let read =
        async { tokio::time::timeout(Duration::from_secs(15), reading.read(&mut text)).await };
    let ((), count) = tokio::join!(write, read);
    let count = count.unwrap().unwrap();
    let text = String::from_utf8_lossy(&text[..count]).into_owned();
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");

    let mut stream = connect(&app).await;
    let head = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(20_000));
    stream.write_all(head.as_bytes()).await.unwrap();
    let text = answer(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 4"), "{text}");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_no_artifact_and_no_file() {
    let app = app().await;
    let mut stream = connect(&app).await;
    let body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{}",
        "a".repeat(100_000)
    );
    let head = format!(
        "POST /pulp/api/v3/artifacts/ HTTP/1.1\r\nHost: x\r\n{AUTHORIZATION}\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 10000000\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    millrace_tests::eventually(Duration::from_secs(10), async || {
        let begun = app.sql.number("SELECT count(*) FROM intent").await;
        millrace_tests::eventually::holds(begun == 1, || "the upload has not begun".into())
    })
    .await;
    drop(stream);
    let mut app = app;
    app.spawn_worker(&[]);
    millrace_tests::eventually(Duration::from_secs(40), async || {
        let files = millrace_tests::app::files_below(&app.media());
        let rows = app
            .sql
            .number("SELECT (SELECT count(*) FROM intent) + (SELECT count(*) FROM tombstone)")
            .await;
        millrace_tests::eventually::holds(files.is_empty() && rows == 0, || {
            format!("{rows} rows, {files:?}")
        })
    })
    .await;
    assert_eq!(app.sql.number("SELECT count(*) FROM artifact").await, 0);
}
