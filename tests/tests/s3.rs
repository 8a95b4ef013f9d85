//! Files in an object store: what holds on a local disk holds there.

use crate::exports::shop as exports;
use crate::serving::shop::{Shop, header};
use futures_util::TryStreamExt;
use millrace_common::config::Settings;
use millrace_common::db::Db;
use millrace_common::ids::{DomainId, ProcessId};
use millrace_common::storage::{
    Presigned, Saved, Storage, StorageKey, Upload, intents, tombstones,
};
use millrace_tests::app::{Builder, free_port};
use millrace_tests::eventually::holds;
use millrace_tests::process::Process;
use millrace_tests::{Sql, TestApp, TestDb, eventually, stack};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use std::time::Duration;

const MIB: usize = 1 << 20;
const BUCKET: &str = "packages";

/// A server that speaks S3, with one bucket; it ends with the test.
pub struct S3 {
    pub endpoint: String,
    pub http: reqwest::Client,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl S3 {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, program) = (free_port(), stack::venv().join("bin/moto_server"));
        let arguments = ["-H", "127.0.0.1", "-p", &port.to_string()];
        let process = Process::start("moto", &program, &arguments, &[], dir.path());
        let s3 = Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            _process: process,
            _dir: dir,
        };
        eventually(Duration::from_secs(60), async || {
            let bucket = format!("{}/{BUCKET}", s3.endpoint);
            let made = s3.http.put(bucket).send().await;
            made.map(drop).map_err(|e| e.to_string())
        })
        .await;
        s3
    }

    fn settings(&self) -> [(&'static str, String); 8] {
        [
            ("storage.backend", "s3".into()),
            ("storage.bucket", BUCKET.into()),
            ("storage.endpoint", self.endpoint.clone()),
            ("storage.allow_http", "true".into()),
            ("storage.access_key", "key".into()),
            ("storage.secret_key", "secret".into()),
            ("storage.prefix", "below/here".into()),
            ("storage.root", "/nonexistent".into()),
        ]
    }

    pub fn app(&self) -> Builder {
        let settings = self.settings().into_iter();
        settings.fold(TestApp::builder(), |app, (key, value)| app.set(key, value))
    }

    /// The bucket as the programs reach it.
    pub fn storage(&self) -> Storage {
        let variable = |key: &str| format!("MILLRACE__{}", key.to_uppercase().replace('.', "__"));
        let variables = self.settings().map(|(key, value)| (variable(key), value));
        let settings = Settings::from_variables(None, variables).unwrap();
        Storage::open(&settings.storage).unwrap()
    }

    /// Where an object of this name is.
    pub fn object(&self, name: &str) -> String {
        format!("{}/{BUCKET}/{name}", self.endpoint)
    }

    /// What this query of the bucket names inside of these tags.
    async fn names(&self, query: &str, tag: &str) -> Vec<String> {
        let url = format!("{}/{BUCKET}?{query}", self.endpoint);
        let text = self
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let begin = format!("<{tag}>");
        let pieces = text.split(&begin).skip(1);
        let names = pieces.map(|piece| piece.split('<').next().unwrap().to_owned());
        names.collect()
    }

    pub async fn keys(&self) -> Vec<String> {
        self.names("list-type=2", "Key").await
    }

    /// Uploads in parts that are neither completed nor aborted.
    async fn unfinished(&self) -> Vec<String> {
        self.names("uploads", "UploadId").await
    }

    async fn objects_are(&self, sql: &Sql, count: usize) {
        eventually(Duration::from_secs(30), async || {
            let (keys, parts) = (self.keys().await, self.unfinished().await);
            let left = "SELECT (SELECT count(*) FROM intent) + (SELECT count(*) FROM tombstone)";
            let left = sql.number(left).await;
            holds(keys.len() == count && parts.is_empty() && left == 0, || {
                format!("not {count}: {keys:?}; in parts: {parts:?}; {left} on their way")
            })
        })
        .await;
    }
}

/// The store and a database, without a Millrace.
struct Place {
    s3: S3,
    db: Db,
    sql: Sql,
    storage: Storage,
    _test: TestDb,
}

impl Place {
    async fn make() -> Self {
        let (s3, test) = (S3::start().await, TestDb::create().await);
        let settings = millrace_tests::test_db::settings(&test.url());
        Self {
            db: Db::new(&settings.database, "test").unwrap(),
            storage: s3.storage(),
            sql: test.sql().await,
            s3,
            _test: test,
        }
    }

    /// Begins an upload and sends so many bytes.
    async fn begin(&self, storage: &Storage, count: usize) -> Upload {
        let mut upload = Upload::begin(&self.db, storage).await.unwrap();
        for piece in vec![7; count].chunks(300_000) {
            upload.write(piece.to_vec().into()).await.unwrap();
        }
        upload
    }
}

#[tokio::test]
async fn files_of_any_size_come_back_from_an_object_store() {
    let place = Place::make().await;
    place.storage.check().await.unwrap();
    assert!(place.storage.usage().await.unwrap().is_none());
    for (count, size) in [0, 1, 8 * MIB, 17 * MIB + 3].into_iter().enumerate() {
        let upload = place.begin(&place.storage, size).await;
        let stored = upload.finish().await.unwrap();
        let Saved::New(artifact) = stored.save(DomainId::DEFAULT).await.unwrap() else {
            panic!("{size} bytes were there already");
        };
        let key = artifact.storage_key;
        assert_eq!(place.storage.size(&key).await.unwrap(), Some(size as u64));
        let read = place.storage.read(&key, None).await.unwrap();
        let read: Vec<_> = read.try_collect().await.unwrap();
        assert!(read.concat() == vec![7; size], "{size}");
        place.s3.objects_are(&place.sql, count + 1).await;
        let names = place.s3.keys().await;
        assert!(names.contains(&format!("below/here/{key}")), "{names:?}");
        if size > 4 {
            let part = place.storage.read(&key, Some(1..4)).await.unwrap();
            let part: Vec<_> = part.try_collect().await.unwrap();
            assert_eq!(part.concat(), [7, 7, 7]);
        }
    }
    let missing = StorageKey::new();
    assert_eq!(place.storage.size(&missing).await.unwrap(), None);
    place.storage.delete(&missing).await.unwrap();
}

#[tokio::test]
async fn an_address_gives_the_file_to_whoever_has_it() {
    let place = Place::make().await;
    let stored = place.begin(&place.storage, 5).await.finish().await.unwrap();
    let artifact = stored
        .save(DomainId::DEFAULT)
        .await
        .unwrap()
        .into_artifact();
    let answer = Presigned {
        content_type: Some("text/x-test"),
        content_disposition: Some("attachment; filename=\"a b\""),
        ..Presigned::default()
    };
    let minute = Duration::from_secs(60);
    let url = place
        .storage
        .presigned(&artifact.storage_key, minute, &answer);
    let url = url.await.unwrap().unwrap();
    let given = place.s3.http.get(url.clone()).send().await.unwrap();
    assert_eq!(given.status(), 200);
    assert_eq!(given.headers()["content-type"], "text/x-test");
    assert_eq!(
        given.headers()["content-disposition"],
        "attachment; filename=\"a b\""
    );
    assert_eq!(given.bytes().await.unwrap(), vec![7; 5]);
    assert!(url.query().unwrap().contains("X-Amz-Expires=60"), "{url}");
    assert!(!url.as_str().contains("secret"), "{url}");
}

#[tokio::test]
async fn parts_of_an_upload_that_is_given_up_are_removed() {
    let place = Place::make().await;
    let upload = place.begin(&place.storage, 17 * MIB).await;
    assert_eq!(place.s3.unfinished().await.len(), 1);
    drop(upload);
    place.s3.objects_are(&place.sql, 0).await;

    // One of a process that is gone: the janitor of another does it.
    let storage = place.storage.clone().owned_by(ProcessId::new());
    std::mem::forget(place.begin(&storage, 9 * MIB).await);
    std::mem::forget(place.begin(&storage, 5).await);
    assert_eq!(place.s3.unfinished().await.len(), 1);
    let mut conn = place.db.get().await.unwrap();
    assert_eq!(intents::bury_abandoned(&mut conn, 10).await.unwrap(), 2);
    drop(conn);
    let gone = tombstones::unlink_due(&place.db, &place.storage, 10).await;
    assert_eq!(gone.unwrap(), 2);
    place.s3.objects_are(&place.sql, 0).await;
}

#[tokio::test]
async fn artifacts_uploads_and_clean_ups_work_on_an_object_store() {
    let s3 = S3::start().await;
    let app = s3.app().workers(1).start().await;
    let status = app.get("status/").await.expect(200);
    assert!(status["storage"].is_null(), "{status}");
    app.upload(vec![1; 9 * MIB]).await;
    app.try_upload(vec![1; 9 * MIB]).await.expect(400);
    s3.objects_are(&app.sql, 1).await;

    let file = vec![2; 3 * MIB];
    let upload = app.post("uploads/", &json!({"size": file.len()})).await;
    let upload = upload.expect(201)["pulp_href"].as_str().unwrap().to_owned();
    for (from, to) in [(0, MIB), (MIB, 3 * MIB)] {
        let part = Part::bytes(file[from..to].to_vec()).file_name("chunk");
        let request = app
            .request(Method::PUT, &upload)
            .header("Content-Range", format!("bytes {from}-{}/*", to - 1))
            .multipart(Form::new().part("file", part));
        app.send(request).await.expect(200);
    }
    s3.objects_are(&app.sql, 3).await;
    let form = Form::new()
        .text("relative_path", "f")
        .text("upload", upload);
    let request = app.request(Method::POST, "content/file/files/");
    let task = app.send(request.multipart(form)).await.task();
    let unit = app.completed(&task).await["result"].clone();
    let artifact = app
        .get(unit["artifact"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(artifact["size"], file.len());
    s3.objects_are(&app.sql, 2).await;

    let body = json!({"orphan_protection_time": 0});
    let task = app.post("orphans/cleanup/", &body).await.task();
    app.completed(&task).await;
    s3.objects_are(&app.sql, 0).await;
    app.finish().await;
}

#[tokio::test]
async fn clients_of_content_are_sent_to_the_object_store() {
    let s3 = S3::start().await;
    let shop = Shop::of(s3.app().start().await);
    let repository = shop.repository("shop").await;
    let files = [("f.txt", "in the store"), ("d/index.html", "an index")];
    shop.publish(&repository, &files).await;
    shop.distribute("s3", "repository_id", &repository).await;
    for method in [Method::GET, Method::HEAD] {
        let answer = shop.ask(method.clone(), "s3/f.txt", &[]).await;
        assert_eq!(answer.status, 302);
        assert_eq!(header(&answer, "cache-control"), "no-store");
        assert_eq!(header(&answer, "x-pulp-artifact-size"), "12");
        let there = || s3.http.request(method.clone(), header(&answer, "location"));
        let whole = there().send().await.unwrap();
        assert!(whole.status().is_success(), "{whole:?}");
        let part = there().header("range", "bytes=0-1").send().await.unwrap();
        assert!(part.status().is_success(), "{part:?}");
        if method == Method::GET {
            assert_eq!(whole.headers()["content-type"], "text/plain");
            assert_eq!(whole.text().await.unwrap(), "in the store");
            assert_eq!(part.text().await.unwrap(), "in");
        }
    }
    // Its links would lead to the store.
    let index = shop.content("s3/d/").await;
    assert_eq!(
        (index.status.as_u16(), index.text.as_str()),
        (200, "an index")
    );
    let beyond = [("range", "bytes=50-")];
    let answer = shop.ask(Method::GET, "s3/f.txt", &beyond).await;
    assert_eq!(answer.status, 416);
    // What is gone is not promised.
    shop.sql
        .run("UPDATE content_artifact SET artifact_id = NULL")
        .await;
    assert_eq!(shop.content("s3/f.txt").await.status, 404);
}

#[tokio::test]
async fn content_is_passed_on_from_the_object_store_where_that_is_wanted() {
    let s3 = S3::start().await;
    let app = s3.app().set("content.redirect_to_object_storage", "false");
    let shop = Shop::of(app.start().await);
    let long = "0123456789".repeat(5000);
    let repository = shop.repository("shop").await;
    shop.publish(&repository, &[("small", "small"), ("long", &long)])
        .await;
    shop.distribute("s3", "repository_id", &repository).await;
    for (path, text) in [("s3/small", "small"), ("s3/long", &long)] {
        let answer = shop.content(path).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, text));
    }
    let range = [("range", "bytes=40000-40004")];
    let answer = shop.ask(Method::GET, "s3/long", &range).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (206, "01234")
    );
}

#[tokio::test]
async fn versions_are_exported_from_the_object_store_by_write_only() {
    let s3 = S3::start().await;
    let shop = exports::Shop::with(s3.app().workers(1)).await;
    let long = "0123456789".repeat(5000);
    let files = [("a", "one"), ("b/c", &long), ("b/d", "")];
    let version = shop.add(&files).await;
    let publication = shop.publish(&version).await;
    let body = json!({"publication": publication});
    let mut written = shop.exported("write", "write", &body).await;
    assert!(written.remove("PULP_MANIFEST").is_some());
    assert_eq!(written, exports::texts(&files));
    let names = std::fs::read_dir(shop.at("write")).unwrap().count();
    assert_eq!(names, 3);
    for method in ["hardlink", "symlink"] {
        let exporter = shop.exporter(method, method).await;
        let error = shop.fails(&exporter, &body).await;
        assert_eq!(error, "Only write is supported for non-filesystem storage.");
    }
    let path = "UPDATE content_artifact SET relative_path = '../a' WHERE relative_path = 'a'";
    shop.app.sql.run(path).await;
    let exporter = shop.exporter("evil", "write").await;
    let error = shop.fails(&exporter, &body).await;
    assert_eq!(error, "Relative path is not in canonical form. ../a");
    shop.app.finish().await;
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named_at_the_start() {
    let s3 = S3::start().await;
    let test = TestDb::create().await;
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let settings = s3.settings().into_iter().chain([
        ("secrets.key_files", key.to_str().unwrap().to_owned()),
        ("storage.bucket", "another".to_owned()),
        ("database.url", test.url()),
        ("admin.password", "test-password".to_owned()),
    ]);
    let variable = |key: &str| format!("MILLRACE__{}", key.to_uppercase().replace('.', "__"));
    let settings: Vec<_> = settings
        .map(|(key, value)| (variable(key), value))
        .collect();
    for (program, argument) in [("millrace-api", "serve"), ("millrace-worker", "run")] {
        let path = stack::program(program);
        let mut process = Process::start(program, &path, &[argument], &settings, dir.path());
        let end = process.end(Duration::from_secs(30)).await;
        assert!(!end.success());
        let log = process.log();
        assert!(
            log.contains("storage.bucket: there is no such bucket"),
            "{log}"
        );
    }
}
