//! Fetching from servers that misbehave.

mod trust;

use millrace_common::config::{List, Remotes};
use millrace_common::db::Db;
use millrace_common::download::{DownloadError, Downloader, Expected};
use millrace_common::ids::DomainId;
use millrace_common::models::Remote;
use millrace_common::secrets::Keyring;
use millrace_common::storage::Storage;
use millrace_tests::upstream::{Reply, Upstream, sha256};
use millrace_tests::{TestDb, test_db};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A base64 key of 32 bytes.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn keyring() -> Keyring {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), KEY).unwrap();
    Keyring::load(&[file.path().to_owned()]).unwrap()
}

fn remote(url: &str) -> Remote {
    Remote::bare(DomainId::new(), "file.file", "r", url)
}

fn allowing(paths: &[&Path]) -> Remotes {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    Remotes {
        allowed_import_paths: List::from(paths),
    }
}

fn downloader(remote: &Remote) -> Downloader {
    Downloader::new(remote, &keyring(), &allowing(&[])).unwrap()
}

async fn read(downloader: &Downloader, url: &str) -> Result<Vec<u8>, DownloadError> {
    let mut body = downloader.open(url).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

async fn refusal(downloader: &Downloader, url: &str) -> String {
    read(downloader, url).await.unwrap_err().to_string()
}

/// A store and a database to fetch into.
struct Target {
    db: Db,
    storage: Storage,
    root: tempfile::TempDir,
    _database: TestDb,
}

impl Target {
    async fn new() -> Self {
        let database = TestDb::create().await;
        let root = tempfile::tempdir().unwrap();
        let mut settings = test_db::settings(&database.url());
        settings.storage.root = root.path().to_owned();
        Self {
            db: Db::new(&settings.database, "test").unwrap(),
            storage: Storage::open(&settings.storage).unwrap(),
            root,
            _database: database,
        }
    }

    async fn fetch(
        &self,
        downloader: &Downloader,
        url: &str,
        expected: &Expected,
    ) -> Result<String, DownloadError> {
        let stored = downloader
            .fetch(url, expected, &self.db, &self.storage)
            .await?;
        Ok(stored.digests().sha256().to_owned())
    }
}

#[tokio::test]
async fn what_fails_in_passing_is_tried_again_and_what_will_not_pass_is_not() {
    let upstream = Upstream::start().await;
    let ok = Reply::Bytes(b"ok".to_vec());
    let wait = vec![("retry-after".to_owned(), "1".to_owned())];
    upstream.script("/500", [Reply::Status(500, vec![]), ok.clone()]);
    upstream.script("/429", [Reply::Status(429, wait), ok.clone()]);
    upstream.script("/nothing", [Reply::Nothing, Reply::Nothing, ok.clone()]);
    upstream.script("/503", [Reply::Status(503, vec![])]);
    upstream.script("/403", [Reply::Status(403, vec![]), ok]);
    let mut remote = remote(&upstream.url("/"));
    remote.max_retries = Some(2);
    let downloader = downloader(&remote);
    assert_eq!(
        read(&downloader, &upstream.url("/500")).await.unwrap(),
        b"ok"
    );
    let start = Instant::now();
    assert_eq!(
        read(&downloader, &upstream.url("/429")).await.unwrap(),
        b"ok"
    );
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        read(&downloader, &upstream.url("/nothing")).await.unwrap(),
        b"ok"
    );
    let text = refusal(&downloader, &upstream.url("/503")).await;
    assert!(
        text.starts_with("503 Service Unavailable, url='http://"),
        "{text}"
    );
    assert_eq!(upstream.count("/503"), 3);
    let text = refusal(&downloader, &upstream.url("/404")).await;
    assert!(
        text.starts_with("404 Not Found, url='") && text.ends_with("/404'"),
        "{text}"
    );
    refusal(&downloader, &upstream.url("/403")).await;
    assert_eq!((upstream.count("/404"), upstream.count("/403")), (1, 1));
}

#[tokio::test]
async fn a_server_that_is_not_there_or_goes_silent_does_not_hold_us() {
    let upstream = Upstream::start().await;
    upstream.script("/hang", [Reply::Hang]);
    upstream.script("/stall", [Reply::Stall(b"12345".to_vec(), 2)]);
    upstream.script(
        "/slow",
        [Reply::Slow(b"12".to_vec(), Duration::from_secs(60))],
    );
    let mut remote = remote(&upstream.url("/"));
    remote.max_retries = Some(0);
    remote.sock_read_timeout = Some(0.2);
    let patient = downloader(&remote);
    for path in ["/hang", "/stall"] {
        let text = refusal(&patient, &upstream.url(path)).await;
        assert!(text.starts_with("no answer in time, url="), "{text}");
    }
    remote.sock_read_timeout = Some(30.0);
    remote.total_timeout = Some(0.2);
    let text = refusal(&downloader(&remote), &upstream.url("/slow")).await;
    assert!(text.starts_with("no answer in time, url="), "{text}");
    let port = millrace_tests::app::free_port();
    let text = refusal(&patient, &format!("http://u:hush@localhost:{port}/")).await;
    assert!(text.contains("refused") && !text.contains("hush"), "{text}");
}

#[tokio::test]
async fn a_file_comes_whole_and_as_expected_or_not_at_all() {
    let (upstream, target) = (Upstream::start().await, Target::new().await);
    let bytes = b"0123456789".to_vec();
    let expected = Expected::sha256(10, &sha256(&bytes));
    upstream.script(
        "/half",
        [Reply::Half(bytes.clone(), 5), Reply::Bytes(bytes.clone())],
    );
    upstream.script(
        "/short",
        [
            Reply::Unsized(b"01234".to_vec()),
            Reply::Bytes(bytes.clone()),
        ],
    );
    upstream.script("/other", [Reply::Bytes(b"9876543210".to_vec())]);
    upstream.script("/large", [Reply::Unsized(vec![b'x'; 1 << 20])]);
    upstream.script("/longer", [Reply::Bytes(b"0123456789a".to_vec())]);
    let downloader = downloader(&remote(&upstream.url("/")));
    for path in ["/half", "/short"] {
        let digest = target
            .fetch(&downloader, &upstream.url(path), &expected)
            .await;
        assert_eq!(digest.unwrap(), sha256(&bytes), "{path}");
        assert_eq!(upstream.count(path), 2);
    }
    for (path, part) in [
        ("/other", "sha256 is "),
        ("/large", "more bytes than the expected 10"),
        ("/longer", "11 bytes instead of the expected 10"),
    ] {
        let error = target
            .fetch(&downloader, &upstream.url(path), &expected)
            .await;
        let text = error.unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
        assert_eq!(upstream.count(path), 1, "{path}");
    }
    let md5 = Expected {
        size: None,
        digests: [("md5", "781e5e245d69b566979b86e28d23f2c7".to_owned())].into(),
    };
    upstream.serve("/md5", bytes);
    assert!(
        target
            .fetch(&downloader, &upstream.url("/md5"), &md5)
            .await
            .is_ok()
    );
    assert!(
        target
            .fetch(&downloader, &upstream.url("/other"), &md5)
            .await
            .is_err()
    );
    millrace_tests::eventually(Duration::from_secs(20), async || {
        let left = millrace_tests::app::files_below(&target.root.path().join("artifact"));
        left.is_empty().then_some(()).ok_or(format!("{left:?}"))
    })
    .await;
}

#[tokio::test]
async fn redirects_are_followed_but_not_in_circles_and_not_for_ever() {
    let upstream = Upstream::start().await;
    upstream.script("/a", [Reply::redirect("b?c=d")]);
    upstream.script("/b?c=d", [Reply::Bytes(b"ok".to_vec())]);
    upstream.script("/x", [Reply::redirect("/y")]);
    upstream.script("/y", [Reply::redirect("/x")]);
    for i in 0..20 {
        upstream.script(&format!("/{i}"), [Reply::redirect(&format!("/{}", i + 1))]);
    }
    upstream.script("/file", [Reply::redirect("file:///etc/passwd")]);
    let downloader = downloader(&remote(&upstream.url("/")));
    assert_eq!(read(&downloader, &upstream.url("/a")).await.unwrap(), b"ok");
    for (path, part) in [
        ("/x", "circle"),
        ("/0", "more than 10 redirects"),
        ("/file", "`file` is no known scheme"),
    ] {
        let text = refusal(&downloader, &upstream.url(path)).await;
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(upstream.count("/x"), 1);
}

#[tokio::test]
async fn no_more_requests_run_at_once_or_a_second_than_the_remote_allows() {
    let upstream = Upstream::start().await;
    upstream.script(
        "/",
        [Reply::Slow(b"ok".to_vec(), Duration::from_millis(20))],
    );
    let mut remote = remote(&upstream.url("/"));
    remote.download_concurrency = Some(3);
    let (wide, url) = (downloader(&remote), upstream.url("/"));
    let all = (0..20).map(|_| read(&wide, &url));
    assert!(
        futures_util::future::join_all(all)
            .await
            .iter()
            .all(Result::is_ok)
    );
    assert_eq!(upstream.most_at_once(), 3);
    remote.download_concurrency = None;
    remote.rate_limit = Some(20);
    let (paced, start) = (downloader(&remote), Instant::now());
    let all = (0..11).map(|_| read(&paced, &url));
    assert!(
        futures_util::future::join_all(all)
            .await
            .iter()
            .all(Result::is_ok)
    );
    assert!(
        start.elapsed() >= Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn local_files_are_read_below_the_allowed_directories_only_whatever_links_say() {
    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("in"), dir.path().join("inner"));
    std::fs::create_dir_all(inside.join("sub")).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(inside.join("a b%20?"), "ok").unwrap();
    std::fs::write(outside.join("secret"), "hush").unwrap();
    std::os::unix::fs::symlink(outside.join("secret"), inside.join("link")).unwrap();
    std::os::unix::fs::symlink(&outside, inside.join("way")).unwrap();
    let remote = remote("file:///");
    let downloader = Downloader::new(&remote, &keyring(), &allowing(&[&inside])).unwrap();
    let url = |path: &str| format!("file://{}/{path}", inside.display());
    assert_eq!(read(&downloader, &url("a b%20?")).await.unwrap(), b"ok");
    for path in [
        "link",
        "way/secret",
        "../inner/secret",
        "sub/../../inner/secret",
    ] {
        let text = refusal(&downloader, &url(path)).await;
        assert!(text.contains("allowed_import_paths"), "{path}: {text}");
    }
    let text = refusal(&downloader, &format!("file://{}/secret", outside.display())).await;
    assert!(text.contains("allowed_import_paths"), "{text}");
    for (path, part) in [("sub", "not a file"), ("missing", "not found")] {
        let text = refusal(&downloader, &url(path)).await;
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn a_file_that_is_kept_on_disk_has_a_limit() {
    let upstream = Upstream::start().await;
    upstream.script(
        "/m",
        [
            Reply::Half(b"12345".to_vec(), 2),
            Reply::Unsized(b"12345".to_vec()),
        ],
    );
    let downloader = downloader(&remote(&upstream.url("/")));
    let spooled = downloader.spool(&upstream.url("/m"), 5).await.unwrap();
    assert_eq!((spooled.size, spooled.sha256), (5, sha256(b"12345")));
    let error = downloader.spool(&upstream.url("/m"), 4).await.unwrap_err();
    assert!(error.to_string().contains("more than 4 bytes"), "{error}");
}
