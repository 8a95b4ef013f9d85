//! Deaths between the steps of exports, of removals of what units have stored, and of repairs by `fsck`.

use super::crash_points::Doomed;
use crate::fsck::{assert_clean, fsck, without_row};
use millrace_common::crash::Point;
use millrace_tests::app::files_below;
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::upstream::Upstream;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const FILES: [(&str, &str); 3] = [("a", "one"), ("d/b", "two"), ("d/c", "three")];

/// An export that was asked for.
pub struct Export {
    task: String,
}

/// Asks for the export of some files.
pub async fn export(doomed: &Doomed) -> Export {
    let app = &doomed.app;
    let repository = app.repository("zoo").await;
    let mut units = Vec::new();
    for (path, text) in FILES {
        units.push(app.unit(path, text).await);
    }
    let modified = app.modify(&repository, &units, &[]).await;
    let version = &modified["created_resources"][0];
    let target = doomed.exports.path().join("out");
    let body = json!({"name": "e", "path": target, "method": "write"});
    let made = app.post("exporters/core/filesystem/", &body).await;
    let exporter = made.expect(201)["pulp_href"].as_str().unwrap().to_owned();
    let body = json!({"repository_version": version});
    let asked = app.post(&format!("{exporter}exports/"), &body).await;
    Export { task: asked.task() }
}

impl Export {
    pub fn tasks(&self) -> Vec<String> {
        vec![self.task.clone()]
    }

    /// All files are there, and nothing else: no directory in which they were made, no row of one.
    pub async fn assert_whole(&self, app: &TestApp, exports: &tempfile::TempDir) {
        let out = exports.path().join("out");
        let read = |path: &Path| {
            let name = path.strip_prefix(&out).unwrap().to_str().unwrap();
            (name.to_owned(), std::fs::read_to_string(path).unwrap())
        };
        let mut found: Vec<_> = files_below(&out).iter().map(|path| read(path)).collect();
        found.sort();
        let wanted: Vec<_> = FILES
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        assert_eq!(found, wanted);
        let names = std::fs::read_dir(&out).unwrap().map(|entry| {
            let name = entry.unwrap().file_name();
            name.to_string_lossy().into_owned()
        });
        let hidden: Vec<String> = names.filter(|name| name.starts_with('.')).collect();
        assert_eq!(hidden, Vec::<String>::new());
        let noted = "SELECT count(*) FROM export_staging";
        assert_eq!(app.sql.number(noted).await, 0, "staging is noted");
        let row = app.row(id_of(&self.task)).await;
        assert_eq!(row.1, 2, "it ran twice: {row:?}");
    }
}

/// Units of a Pulp 2 that nothing needs, with what they have stored; asks for their removal.
pub async fn remove_units(doomed: &Doomed) -> Vec<String> {
    let app = &doomed.app;
    let content = app.pulp_storage().join("content/t");
    std::fs::create_dir_all(&content).unwrap();
    for n in 1..=600 {
        std::fs::write(content.join(n.to_string()), "file").unwrap();
    }
    let root = content.to_str().unwrap();
    app.sql
        .run(&format!(
            "CREATE TABLE planted AS SELECT n, gen_random_uuid() AS id FROM generate_series(1, 600) n; \
             INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, fields, pulp_created, timestamp_of_interest) \
             SELECT id, d.pulp_id, 'pulp2.erratum', sha256(n::text::bytea), jsonb_build_object('errata_id', n::text), \
                    '2020-01-01', '2020-01-01' \
               FROM planted, domain d; \
             INSERT INTO unit_storage (content_id, path) SELECT id, '{root}/' || n FROM planted; \
             DROP TABLE planted"
        ))
        .await;
    let body = json!({"name": "pulp.server.managers.content.orphan.delete_all_orphans"});
    vec![app.dispatch(&body).await]
}

/// What units have stored is there as long as they are, and no longer.
pub async fn assert_units_are_whole(app: &TestApp) {
    // Its time comes by itself, minutes later.
    let due = "UPDATE unit_tombstone SET not_before = now()";
    app.sql.run(due).await;
    eventually(SOON, async || {
        let left = app.sql.number("SELECT count(*) FROM unit_tombstone").await;
        let units = app.sql.number("SELECT count(*) FROM unit_storage").await;
        let files = files_below(&app.pulp_storage()).len();
        holds(left == 0 && usize::try_from(units) == Ok(files), || {
            format!("{units} units, {files} files, {left} to be removed")
        })
    })
    .await;
}

/// A file without a row, and a unit whose file is another one than it should be and that a remote has; gives the latter.
async fn break_files(app: &TestApp, upstream: &Upstream) -> std::path::PathBuf {
    for n in 0..4_u8 {
        app.upload(vec![n; 3000]).await;
    }
    app.unit("a", "one").await;
    let remote = json!({"name": "r", "url": upstream.url("/pool/PULP_MANIFEST")});
    app.post("remotes/file/file/", &remote).await.expect(201);
    app.sql
        .run(&format!(
            "INSERT INTO remote_artifact (pulp_id, content_artifact_id, remote_id, url) \
             SELECT gen_random_uuid(), c.pulp_id, r.pulp_id, '{}' FROM content_artifact c, remote r",
            upstream.url("/pool/a")
        ))
        .await;
    let wrong = crate::fsck::place(app, 3).await;
    std::fs::remove_file(&wrong).unwrap();
    std::fs::write(&wrong, "four").unwrap();
    without_row(app, "");
    wrong
}

async fn a_repair_dies(point: Point, passes: u32) {
    let app = TestApp::builder().plugin().workers(1).start().await;
    let upstream = Upstream::start().await;
    let wrong = break_files(&app, &upstream).await;
    let repair = ["fsck", "--repair", "--min-age", "0"];
    let at = format!("{}:{passes}", point.name());
    let (code, text) = app
        .end_command(&repair, &[("diagnostics.crash_at", &at)])
        .await;
    assert_eq!(code, -1, "{at}: {text}");
    assert!(text.contains("dying at"), "{at}: {text}");

    let (_, findings, _) = fsck(&app, &repair[1..]).await;
    let amiss = |finding: &&Value| finding.get("done").is_none();
    assert_eq!(findings.iter().find(amiss), None, "{at}");
    app.sql.run("UPDATE tombstone SET not_before = now()").await;
    eventually(SOON, async || {
        let left = app.sql.number("SELECT count(*) FROM tombstone").await;
        holds(left == 0, || format!("{at}: {left} tombstones"))
    })
    .await;
    assert!(!wrong.exists(), "{at}");
    let of_unit = "SELECT count(*) FROM content_artifact WHERE artifact_id IS NOT NULL";
    assert_eq!(app.sql.number(of_unit).await, 0, "{at}");
    assert_clean(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_repair_that_dies_between_two_steps_is_followed_by_one_that_carries_on() {
    // Buried and removed are the file without a row, and then the wrong one.
    for (point, passes) in [
        (Point::Buried, 1),
        (Point::Unlinked, 1),
        (Point::FsckDetached, 1),
        (Point::Buried, 2),
        (Point::Unlinked, 2),
    ] {
        let begun = std::time::Instant::now();
        a_repair_dies(point, passes).await;
        let took = begun.elapsed().as_secs_f64();
        println!("fsck --repair, {}:{passes}: {took:.1} s", point.name());
    }
}
