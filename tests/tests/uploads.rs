//! Large uploads: the API passes bytes on, it does not keep them.

use millrace_tests::TestApp;
use millrace_tests::app::files_below;
use millrace_tests::client::Answer;
use millrace_tests::memory::own_peak;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, RequestBuilder};
use serde_json::json;

const MIB: u64 = 1 << 20;
/// MiB that a process may have in memory at its peak, whatever is uploaded.
const LIMIT: f64 = 100.0;

/// Uploads so many bytes without having them in memory, from this byte on.
async fn stream(app: &TestApp, first: u8, bytes: u64) -> Answer {
    let request = app.request(Method::POST, "artifacts/");
    app.send(carrying(request, first, bytes)).await
}

/// A request that carries so many bytes.
fn carrying(request: RequestBuilder, first: u8, bytes: u64) -> RequestBuilder {
    let chunk = vec![first; usize::try_from(MIB).unwrap()];
    let chunks = (0..bytes / MIB).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
    let body = Body::wrap_stream(futures_util::stream::iter(chunks));
    let form = Form::new().part(
        "file",
        Part::stream_with_length(body, bytes).file_name("file"),
    );
    let request = request.multipart(form);
    request.timeout(std::time::Duration::from_secs(300))
}

#[tokio::test]
async fn a_large_upload_passes_through_the_api_without_staying_in_its_memory() {
    let app = TestApp::start().await;
    let before = own_peak(app.api.as_ref().unwrap().id());
    let (one, two, three) = tokio::join!(
        stream(&app, 1, 1024 * MIB),
        stream(&app, 2, 256 * MIB),
        stream(&app, 3, 256 * MIB)
    );
    for (answer, size) in [(one, 1024), (two, 256), (three, 256)] {
        assert_eq!(answer.expect(201)["size"], size * MIB);
    }
    let after = own_peak(app.api.as_ref().unwrap().id());
    println!("peak: {after:.1} MiB, {before:.1} MiB before");
    assert!(after < LIMIT, "{after:.1} MiB");
    assert_eq!(files_below(&app.media()).len(), 3);
}

#[tokio::test]
async fn large_chunks_pass_through_the_api_and_their_commit_through_a_worker() {
    let app = TestApp::with_workers(1).await;
    let body = json!({"size": 256 * MIB});
    let upload = app.post("uploads/", &body).await.expect(201);
    let upload = upload["pulp_href"].as_str().unwrap();
    let put = |from: u64, to: u64| {
        let range = format!("bytes {from}-{}/*", to - 1);
        let request = app.request(Method::PUT, upload);
        app.send(carrying(
            request.header("Content-Range", range),
            1,
            to - from,
        ))
    };
    let (one, two) = tokio::join!(put(0, 128 * MIB), put(128 * MIB, 256 * MIB));
    one.expect(200);
    two.expect(200);
    let fields = [("upload", upload.to_owned()), ("relative_path", "f".into())];
    let form = fields
        .into_iter()
        .fold(Form::new(), |form, (name, value)| form.text(name, value));
    let request = app.request(Method::POST, "content/file/files/");
    let task = app.send(request.multipart(form)).await.task();
    app.completed(&task).await;
    let peaks = [app.api.as_ref().unwrap().id(), app.workers[0].id()].map(own_peak);
    assert!(peaks.iter().all(|peak| *peak < LIMIT), "{peaks:?}");
    assert_eq!(files_below(&app.media()).len(), 1);
}
