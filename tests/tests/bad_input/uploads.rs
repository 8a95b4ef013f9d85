//! Uploads that cannot be taken: other than they should be, too large, too deep, too slow.

use super::connections::{AUTHORIZATION, answer, connect};
use super::{UPLOADS, app, tables};
use millrace_tests::app::files_below;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

type Parts = &'static [(&'static str, &'static str)];

/// Where to, the parts of the form, and the field that the answer names.
const BAD_UPLOADS: [(&str, Parts, &str); 16] = [
    ("artifacts/", &[("nothing", "x")], "nothing"),
    (
        "artifacts/",
        &[("file", "abc"), ("sha256", "xyz")],
        "non_field_errors",
    ),
    (
        "artifacts/",
        &[("file", "abc"), ("sha256", ZEROS)],
        "non_field_errors",
    ),
    (
        "artifacts/",
        &[("file", "abc"), ("size", "4")],
        "non_field_errors",
    ),
    (
        "artifacts/",
        &[("file", "abc"), ("size", "123456789012345678901234567890")],
        "size",
    ),
    (
        "artifacts/",
        &[("file", "abc"), ("unknown", "4")],
        "unknown",
    ),
    ("content/file/files/", &[("file", "abc")], "relative_path"),
    (
        "content/file/files/",
        &[("relative_path", "a")],
        "non_field_errors",
    ),
    (
        "content/file/files/",
        &[("file", "abc"), ("relative_path", "/absolute")],
        "relative_path",
    ),
    (
        "content/file/files/",
        &[("file", "abc"), ("relative_path", "a\u{0}b")],
        "relative_path",
    ),
    (
        "content/file/files/",
        &[
            ("artifact", "/pulp/api/v3/artifacts/0/"),
            ("relative_path", "a"),
        ],
        "artifact",
    ),
    (
        "content/file/files/",
        &[
            ("file", "abc"),
            ("relative_path", "a"),
            ("pulp_labels", "["),
        ],
        "pulp_labels",
    ),
    (
        "content/file/files/",
        &[("file", "abc"), ("relative_path", "a"), ("repository", "x")],
        "repository",
    ),
    (
        "content/file/files/upload/",
        &[("relative_path", "a")],
        "non_field_errors",
    ),
    (
        "content/file/files/upload/",
        &[("file", "abc"), ("relative_path", "a"), ("repository", "x")],
        "repository",
    ),
    (
        "content/file/files/upload/",
        &[("file", "abc"), ("relative_path", "a"), ("file", "abc")],
        "file",
    ),
];

#[tokio::test]
async fn uploads_that_lack_or_misname_their_parts_leave_no_file() {
    let app = app().await;
    let before = tables(&app.sql).await;
    let form = |parts: &[(&'static str, &str)]| {
        parts
            .iter()
            .fold(reqwest::multipart::Form::new(), |form, (name, value)| {
                let part = reqwest::multipart::Part::text((*value).to_owned());
                form.part(
                    *name,
                    if *name == "file" {
                        part.file_name("f")
                    } else {
                        part
                    },
                )
            })
    };
    for (path, parts, field) in BAD_UPLOADS {
        let answer = app
            .send(app.request(Method::POST, path).multipart(form(parts)))
            .await;
        assert_eq!(answer.status, 400, "{path} {parts:?}: {}", answer.text);
        let named = answer.json()[field].is_array();
        assert!(named, "{path} {parts:?} not {field}: {}", answer.text);
    }
    for path in UPLOADS {
        for (media, body) in [
            // It breaks off, has no boundary, and is not what its boundary says.
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nabc",
            ),
            ("multipart/form-data", "abc"),
            ("multipart/form-data; boundary=x", "--y\r\n\r\n--y--\r\n"),
        ] {
            let request = app
                .request(Method::POST, path)
                .header("content-type", media);
            let answer = app.send(request.body(body)).await;
            assert_eq!(answer.status, 400, "{path} {media}: {}", answer.text);
            let detail = answer.json()["detail"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            assert!(
                detail.starts_with("Multipart form parse error - "),
                "{detail}"
            );
        }
    }
    nothing_is_left(&app, &before).await;
}

/// An upload that is given up clears away behind its answer.
async fn nothing_is_left(app: &TestApp, before: &str) {
    eventually(Duration::from_secs(10), async || {
        let now = tables(&app.sql).await;
        holds(now == *before, || now.clone())
    })
    .await;
    eventually(Duration::from_secs(10), async || {
        let files = files_below(&app.media());
        holds(files.is_empty(), || format!("{files:?}"))
    })
    .await;
}

#[tokio::test]
async fn uploads_of_another_kind_too_large_or_too_deep_are_refused_and_leave_no_file() {
    let app = app().await;
    let before = tables(&app.sql).await;
    let file = || Form::new().part("file", Part::text("abc").file_name("f"));
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    for path in UPLOADS {
        let post = || app.request(Method::POST, path);
        let other = post().header("content-type", "text/plain").body("abc");
        let other = app.send(other).await.expect(415);
        assert_eq!(
            other["detail"], "Unsupported media type \"text/plain\" in request.",
            "{path}"
        );
        // Texts are bounded together; in front of the file, and behind it.
        for (first, second) in [(150_000, 150_000), (300_000, 1), (1, 300_000)] {
            for form in [
                Form::new()
                    .text("relative_path", "x".repeat(first))
                    .text("sha256", "x".repeat(second))
                    .part("file", Part::text("abc").file_name("f")),
                file()
                    .text("relative_path", "x".repeat(first))
                    .text("sha256", "x".repeat(second)),
            ] {
                let large = app.send(post().multipart(form)).await;
                assert_eq!(large.status, 413, "{path}: {}", large.text);
            }
        }
        let form = "x=".to_owned() + &"x".repeat(300_000);
        let media = "application/x-www-form-urlencoded";
        let large = post().header("content-type", media).body(form);
        assert_eq!(app.send(large).await.status, 413, "{path}");

        let many = (0..1001).fold(Form::new(), |form, n| form.text(format!("f{n}"), ""));
        let many = app.send(post().multipart(many)).await;
        assert_eq!(many.status, 400, "{path}: {}", many.text);
        let form = file()
            .text("relative_path", "a")
            .text("pulp_labels", deep.clone());
        let refused = app.send(post().multipart(form)).await.expect(400);
        assert!(refused["pulp_labels"].is_array(), "{path}: {refused}");
    }
    nothing_is_left(&app, &before).await;
}

#[tokio::test]
async fn an_upload_that_pauses_too_long_is_given_up_and_leaves_no_file() {
    let app = TestApp::builder()
        .set("api.upload_idle_timeout_ms", 700)
        .start()
        .await;
    let before = tables(&app.sql).await;
    let within = |name: &str, rest: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{rest}\r\n\r\nabc")
    };
    let parts = [
        within("file", "; filename=\"f\""),
        within("relative_path", ""),
        "--x\r\nContent-Disp".to_owned(),
        String::new(),
    ];
    let pausing = UPLOADS.iter().flat_map(|path| {
        parts
            .iter()
            .map(async |part| (*path, part, pause_behind(&app, path, part).await))
    });
    for (path, part, text) in futures_util::future::join_all(pausing).await {
        assert!(text.starts_with("HTTP/1.1 408"), "{path} {part}: {text}");
    }
    nothing_is_left(&app, &before).await;
}

/// Sends the beginning of an upload and waits; gives the answer.
async fn pause_behind(app: &TestApp, path: &str, beginning: &str) -> String {
    let mut stream = connect(app).await;
    let head = format!(
        "POST /pulp/api/v3/{path} HTTP/1.1\r\nHost: x\r\n{AUTHORIZATION}\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n{beginning}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    answer(&mut stream).await
}
