//! Other stores than the directory of artifacts.

use super::{assert_clean, fsck, names};
use crate::s3::S3;
use millrace_common::storage::StorageKey;
use millrace_tests::TestApp;
use uuid::Uuid;

#[tokio::test]
async fn an_object_store_is_looked_at_as_a_directory_is() {
    let s3 = S3::start().await;
    let app = s3.app().start().await;
    for size in [10, 20, 30] {
        app.upload(vec![1; size]).await;
    }
    assert_clean(&app).await;
    let (id, foreign) = (Uuid::new_v4().to_string(), "artifact/ab/notes.txt");
    let name = format!("artifact/{}/{id}", &id[..2]);
    for name in [name.as_str(), foreign] {
        let url = s3.object(&format!("below/here/{name}"));
        let put = s3.http.put(url).body("left behind").send().await.unwrap();
        assert!(put.status().is_success());
    }
    // Another installation's, beside ours.
    let beside = s3.object(&format!("below/other/{name}"));
    s3.http.put(beside).body("theirs").send().await.unwrap();
    let key = app
        .sql
        .text("SELECT storage_key FROM artifact WHERE size = 20")
        .await;
    s3.storage()
        .delete(&StorageKey::parse(&key).unwrap())
        .await
        .unwrap();

    let (code, findings, summary) = fsck(&app, &["--min-age", "0", "--repair", "--digests"]).await;
    assert_eq!(code, 1);
    assert_eq!(
        names(&findings, "file_without_row"),
        [name],
        "{findings:#?}"
    );
    assert_eq!(names(&findings, "foreign_file"), [foreign]);
    assert_eq!(names(&findings, "row_without_file"), [key]);
    assert_eq!(
        (&summary["files"], &summary["rows"]),
        (&4.into(), &3.into())
    );
    let left = s3.keys().await;
    assert_eq!(left.len(), 4, "{left:?}");
}

/// A system that exports below this directory.
async fn with_exports() -> (tempfile::TempDir, TestApp) {
    let exports = tempfile::tempdir().unwrap();
    let app = TestApp::builder()
        .set("exports.allowed_paths", exports.path().to_str().unwrap())
        .start()
        .await;
    (exports, app)
}

#[tokio::test]
async fn what_exports_left_is_found_where_no_row_knows_of_it() {
    let (exports, app) = with_exports().await;
    let (noted, left) = (Uuid::new_v4(), Uuid::new_v4());
    let staging = |id: Uuid| exports.path().join(format!("a/b/.millrace-{id}#"));
    for id in [noted, left] {
        std::fs::create_dir_all(staging(id).join("1-x")).unwrap();
        std::fs::write(staging(id).join("1-x/0"), "half").unwrap();
    }
    std::fs::write(exports.path().join("a/b/file"), "exported").unwrap();
    app.sql
        .run(&format!(
            "INSERT INTO export_staging (export_id, task_id, path) VALUES ('{noted}', gen_random_uuid(), '/x')"
        ))
        .await;
    let path = staging(left).to_str().unwrap().to_owned();
    assert_eq!(fsck(&app, &["--repair"]).await.0, 0);
    let (code, findings, _) = fsck(&app, &["--min-age", "0", "--repair"]).await;
    assert_eq!((code, findings.len()), (1, 1), "{findings:#?}");
    assert_eq!(names(&findings, "export_leftover"), [path]);
    assert!(!staging(left).exists() && staging(noted).exists());
    assert!(exports.path().join("a/b/file").exists());
    assert_clean(&app).await;
}

#[tokio::test]
async fn a_run_of_an_export_that_begins_during_the_look_keeps_what_it_stages() {
    let (exports, app) = with_exports().await;
    app.upload(vec![1; 3000]).await;
    let id = Uuid::new_v4();
    let staging = exports.path().join(format!(".millrace-{id}#"));
    std::fs::create_dir_all(staging.join("2-x")).unwrap();
    // The row is there from the second look on.
    app.sql
        .run(&format!(
            "ALTER TABLE export_staging RENAME TO others; CREATE SEQUENCE look; \
             CREATE VIEW export_staging AS SELECT * FROM others UNION ALL \
             SELECT '{id}'::uuid, gen_random_uuid(), ''::bytea WHERE nextval('look') > 1"
        ))
        .await;
    let (code, findings, _) = fsck(&app, &["--repair", "--min-age", "0"]).await;
    assert_eq!((code, findings.len()), (0, 0), "{findings:#?}");
    assert_eq!(app.sql.number("SELECT last_value FROM look").await, 2);
    assert!(staging.join("2-x").exists());
}

#[tokio::test]
async fn with_another_database_nothing_of_exports_is_removed_without_force() {
    let (exports, app) = with_exports().await;
    let staging = exports
        .path()
        .join(format!("a/.millrace-{}#", Uuid::new_v4()));
    std::fs::create_dir_all(&staging).unwrap();
    let (code, findings, _) = fsck(&app, &["--min-age", "0"]).await;
    assert_eq!((code, findings.len()), (1, 1), "{findings:#?}");
    let repair = ["fsck", "--min-age", "0", "--repair"];
    let (code, text) = app.end_command(&repair, &[]).await;
    assert_eq!(code, 2, "{text}");
    let said = "1 of 1 staging directories of exports";
    assert!(text.contains(said), "{text}");
    assert!(text.contains("not all was looked at"), "{text}");
    assert!(staging.exists());
    let (code, _, summary) = fsck(&app, &["--min-age", "0", "--repair", "--force"]).await;
    assert_eq!((code, &summary["repaired"]), (1, &1.into()));
    assert!(!staging.exists());
    // A row and its file belong together: it is the right database, and that all is left over is no wonder.
    app.upload(vec![1; 3000]).await;
    std::fs::create_dir_all(&staging).unwrap();
    let (code, _, summary) = fsck(&app, &["--min-age", "0", "--repair"]).await;
    assert_eq!((code, &summary["repaired"]), (1, &1.into()));
    assert!(!staging.exists());
    assert_clean(&app).await;
}

#[tokio::test]
async fn units_of_a_pulp_2_that_lie_nowhere_are_told() {
    let (exports, app) = with_exports().await;
    let content = app.pulp_storage().join("content/rpm");
    let place = |name: &str| content.join(name).to_str().unwrap().to_owned();
    let unit =
        |place: String| format!("INSERT INTO unit_storage VALUES (gen_random_uuid(), '{place}')");
    app.sql.run(&unit(place("here"))).await;
    // Not mounted: nothing can be said.
    let staging = exports
        .path()
        .join(format!(".millrace-{}#", Uuid::new_v4()));
    std::fs::create_dir(&staging).unwrap();
    let (code, text) = app.end_command(&["fsck", "--min-age", "0"], &[]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("units.storage_root"), "{text}");
    // That is no reason not to look elsewhere.
    assert!(text.contains("export leftover"), "{text}");
    std::fs::remove_dir(&staging).unwrap();
    std::fs::create_dir_all(&content).unwrap();
    std::fs::write(content.join("here"), "").unwrap();
    assert_clean(&app).await;
    app.sql.run(&unit(place("away"))).await;
    let (code, findings, summary) = fsck(&app, &["--repair"]).await;
    assert_eq!(code, 1);
    assert_eq!(names(&findings, "unit_without_file"), [place("away")]);
    assert_eq!(
        (&summary["units"], &summary["repaired"]),
        (&2.into(), &0.into())
    );
}
