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
    let stray = format!("artifact/{}/{id}", &id[..2]);
    for name in [stray.as_str(), foreign] {
        let url = s3.object(&format!("below/here/{name}"));
        let put = s3.http.put(url).body("left behind").send().await.unwrap();
        assert!(put.status().is_success());
    }
    // Another installation's, beside ours.
    let beside = s3.object(&format!("below/other/{stray}"));
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
        [stray],
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

#[tokio::test]
async fn what_exports_left_is_found_where_no_row_knows_of_it() {
    let exports = tempfile::tempdir().unwrap();
    let allowed = exports.path().to_str().unwrap();
    let app = TestApp::builder()
        .set("exports.allowed_paths", allowed)
        .start()
        .await;
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
async fn units_of_a_pulp_2_that_lie_nowhere_are_told() {
    let app = TestApp::start().await;
    let content = app.pulp_storage().join("content/rpm");
    let place = |name: &str| content.join(name).to_str().unwrap().to_owned();
    let unit =
        |place: String| format!("INSERT INTO unit_storage VALUES (gen_random_uuid(), '{place}')");
    app.sql.run(&unit(place("here"))).await;
    // Not mounted: nothing can be said.
    let (code, text) = app.end_command(&["fsck"], &[]).await;
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("units.storage_root"), "{text}");
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
