//! A store that has no room left: a clear answer, nothing half done, and all well once there is room.

use millrace_tests::app::files_below;
use millrace_tests::eventually::holds;
use millrace_tests::upstream::Upstream;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MIB: usize = 1 << 20;
/// Room of the store.
const ROOM: usize = 8 * MIB;
const PATIENCE: Duration = Duration::from_secs(60);

/// A small file system; goes with its test.
pub struct SmallDisk {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl SmallDisk {
    /// `None`, and a word of it, where this user may not mount one.
    pub fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={ROOM}"), "tmpfs"])
            .arg(&path)
            .output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self { _dir: dir, path });
        }
        println!("NOT RUN: only root may mount a small file system");
        None
    }

    pub fn root(&self) -> &Path {
        &self.path
    }

    /// Twice the room.
    fn grow(&self) {
        self.remount(&format!("size={}", 2 * ROOM));
    }

    /// From now on this may be done with it (`ro`, `rw`).
    pub fn remount(&self, how: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(&self.path)
            .status();
        assert!(done.unwrap().success(), "remount,{how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: processes of the test may still have it open.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

async fn app_on(disk: &SmallDisk, workers: usize) -> TestApp {
    TestApp::builder()
        .set("storage.root", disk.root().display())
        .workers(workers)
        .start()
        .await
}

/// Nothing is left of what did not fit: no row, no file, no word of either.
async fn nothing_is_left(app: &TestApp, disk: &SmallDisk, artifacts: i64) {
    eventually(PATIENCE, async || {
        let rows = app.sql.number("SELECT count(*) FROM artifact").await;
        let open = "SELECT (SELECT count(*) FROM intent) + (SELECT count(*) FROM tombstone)";
        let open = app.sql.number(open).await;
        let files = i64::try_from(files_below(disk.root()).len()).unwrap();
        if (rows, open, files) == (artifacts, 0, artifacts) {
            return Ok(());
        }
        Err(format!("{rows} artifacts, {files} files, {open} open"))
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_does_not_fit_is_refused_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let app = app_on(&disk, 0).await;
    app.upload(vec![1; MIB]).await;
    let answer = app.try_upload(vec![2; ROOM]).await;
    assert_eq!(
        answer.expect(507)["detail"],
        "There is no room left in the artifact store."
    );
    nothing_is_left(&app, &disk, 1).await;
    // There is room for what fits, and the API has lost nothing by it.
    app.upload(vec![3; MIB]).await;
    app.finish().await;
}

/// A repository that synchronises from there.
async fn repository_of(app: &TestApp, upstream: &Upstream) -> Value {
    let url = upstream.url("/pool/PULP_MANIFEST");
    let body = json!({"name": "r", "url": url, "policy": "immediate", "max_retries": 0});
    let remote = app.post("remotes/file/file/", &body).await.expect(201);
    let body = json!({"name": "a", "remote": remote["pulp_href"]});
    app.post("repositories/file/file/", &body).await.expect(201)
}

#[tokio::test]
async fn a_store_that_became_read_only_refuses_uploads_and_lets_tasks_wait_until_it_is_not() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let app = app_on(&disk, 1).await;
    app.upload(vec![1; MIB]).await;
    let upstream = Upstream::start().await;
    upstream.publish("/pool", &[("a", "small"), ("b", "other")]);
    let repository = repository_of(&app, &upstream).await;
    disk.remount("ro");
    app.try_upload(vec![2; MIB]).await.expect(503);
    let sync = format!("{}sync/", repository["pulp_href"].as_str().unwrap());
    let task = app.post(&sync, &json!({})).await.task();
    eventually(PATIENCE, async || {
        let row = app.row(millrace_tests::client::id_of(&task)).await;
        holds(row.1 > 0, || format!("{row:?}"))
    })
    .await;
    disk.remount("rw");
    app.completed(&task).await;
    app.upload(vec![2; MIB]).await;
    // A janitor that found the store read-only tries again a minute later.
    let due = "UPDATE tombstone SET not_before = now()";
    app.sql.run(due).await;
    nothing_is_left(&app, &disk, 4).await;
    app.finish().await;
}

#[tokio::test]
async fn a_synchronisation_that_does_not_fit_fails_by_name_and_completes_once_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let app = app_on(&disk, 1).await;
    app.upload(vec![1; ROOM - MIB]).await;
    let upstream = Upstream::start().await;
    let text = "x".repeat(2 * MIB);
    upstream.publish("/pool", &[("a", "small"), ("b", &text)]);
    let repository = repository_of(&app, &upstream).await;
    let sync = format!("{}sync/", repository["pulp_href"].as_str().unwrap());
    let task = app.post(&sync, &json!({})).await.task();
    let task = app.finished_within(&task, PATIENCE).await;
    assert_eq!(task["state"], "failed", "{task:#}");
    let error = task["error"]["description"].as_str().unwrap();
    assert_eq!(error, "There is no room left in the artifact store.");
    let href = repository["pulp_href"].as_str().unwrap();
    let latest = &app.get(href).await.expect(200)["latest_version_href"];
    assert!(
        latest.as_str().unwrap().ends_with("/versions/0/"),
        "{latest}"
    );

    disk.grow();
    let task = app.post(&sync, &json!({})).await.task();
    app.completed(&task).await;
    nothing_is_left(&app, &disk, 3).await;
    app.finish().await;
}
