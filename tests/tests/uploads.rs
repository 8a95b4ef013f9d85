//! Large uploads: the API passes bytes on, it does not keep them.

use millrace_tests::TestApp;
use millrace_tests::app::files_below;
use millrace_tests::client::Answer;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};

const MIB: u64 = 1 << 20;
/// What the API may have in memory at its peak, whatever is uploaded.
const LIMIT: u64 = 100 * MIB;

/// Uploads so many bytes without having them in memory, from this byte on.
async fn stream(app: &TestApp, first: u8, bytes: u64) -> Answer {
    let chunk = vec![first; usize::try_from(MIB).unwrap()];
    let chunks = (0..bytes / MIB).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
    let body = Body::wrap_stream(futures_util::stream::iter(chunks));
    let form = Form::new().part(
        "file",
        Part::stream_with_length(body, bytes).file_name("file"),
    );
    let request = app.request(Method::POST, "artifacts/").multipart(form);
    app.send(request.timeout(std::time::Duration::from_secs(300)))
        .await
}

/// The most memory that a process has ever had, in bytes.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024
}

#[tokio::test]
async fn a_large_upload_passes_through_the_api_without_staying_in_its_memory() {
    let app = TestApp::start().await;
    let before = peak(app.api.as_ref().unwrap().id());
    let (one, two, three) = tokio::join!(
        stream(&app, 1, 1024 * MIB),
        stream(&app, 2, 256 * MIB),
        stream(&app, 3, 256 * MIB)
    );
    for (answer, size) in [(one, 1024), (two, 256), (three, 256)] {
        assert_eq!(answer.expect(201)["size"], size * MIB);
    }
    let after = peak(app.api.as_ref().unwrap().id());
    println!("peak: {} MiB, {} MiB before", after / MIB, before / MIB);
    assert!(after < LIMIT, "{} MiB", after / MIB);
    assert_eq!(files_below(&app.media()).len(), 3);
}
