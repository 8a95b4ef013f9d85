//! Beside running programs, and killed.

use super::{assert_clean, fsck, without_row};
use millrace_common::config::Settings;
use millrace_common::db::Db;
use millrace_common::ids::{DomainId, ProcessId};
use millrace_common::storage::{Storage, Upload};
use millrace_tests::app::files_below;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use std::time::Duration;

const REPAIR: [&str; 3] = ["--repair", "--min-age", "0"];

#[tokio::test]
async fn what_is_being_written_is_never_taken_for_left_behind() {
    let app = TestApp::start().await;
    let media = app.media();
    let variables = [
        ("MILLRACE__DATABASE__URL", app.db.url()),
        (
            "MILLRACE__STORAGE__ROOT",
            media.to_str().unwrap().to_owned(),
        ),
    ];
    let settings = Settings::from_variables(None, variables).unwrap();
    let db = Db::new(&settings.database, "test").unwrap();
    let storage = Storage::open(&settings.storage).unwrap();
    let storage = storage.owned_by(ProcessId::new());
    let mut begun = Upload::begin(&db, &storage).await.unwrap();
    begun.write(vec![1; 3 << 20].into()).await.unwrap();
    let whole = Upload::begin(&db, &storage).await.unwrap();
    let whole = whole.finish().await.unwrap();
    assert_eq!(files_below(&app.media()).len(), 2);

    let (code, findings, summary) = fsck(&app, &REPAIR).await;
    assert_eq!((code, findings.len()), (0, 0), "{findings:#?}");
    assert_eq!(summary["files"], 2);
    begun.write(vec![2; 10].into()).await.unwrap();
    let stored = begun.finish().await.unwrap();
    stored.save(DomainId::DEFAULT).await.unwrap();
    whole.save(DomainId::DEFAULT).await.unwrap();
    assert_clean(&app).await;
}

#[tokio::test]
async fn uploads_and_clean_ups_go_on_beside_repairs() {
    let app = TestApp::with_workers(1).await;
    let client = app.client();
    let uploading = tokio::spawn(async move {
        for number in 0..150_u32 {
            client.upload(number.to_le_bytes().repeat(400)).await;
        }
    });
    let mut looks = 0;
    while !uploading.is_finished() || looks < 3 {
        let (code, findings, _) = fsck(&app, &REPAIR).await;
        assert_eq!((code, findings.len()), (0, 0), "{findings:#?}");
        let body = serde_json::json!({"orphan_protection_time": 0});
        let task = app.post("orphans/cleanup/", &body).await.task();
        app.completed(&task).await;
        looks += 1;
    }
    uploading.await.unwrap();
    assert_clean(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn what_a_killed_repair_has_begun_is_brought_to_its_end() {
    let mut app = TestApp::start().await;
    app.upload(vec![1; 3000]).await;
    for _ in 0..3000 {
        without_row(&app, "");
    }
    let all = files_below(&app.media()).len();
    let arguments = [&["fsck", "--force"][..], &REPAIR].concat();
    // At whatever step: as soon as something has happened.
    let mut repair = app.start_command("repair", &arguments);
    eventually(Duration::from_secs(60), async || {
        let left = files_below(&app.media()).len();
        let buried = app.sql.number("SELECT count(*) FROM tombstone").await;
        holds(left < all || buried > 0, || format!("{left} files"))
    })
    .await;
    repair.kill();
    assert!(files_below(&app.media()).len() > 1, "it was over too soon");

    app.sql.run("UPDATE tombstone SET not_before = now()").await;
    app.spawn_worker(&[]);
    eventually(Duration::from_secs(60), async || {
        let left = app.sql.number("SELECT count(*) FROM tombstone").await;
        holds(left == 0, || format!("{left} tombstones"))
    })
    .await;
    let (code, ..) = fsck(&app, &[&REPAIR[..], &["--force"]].concat()).await;
    assert_eq!(code, 1);
    assert_clean(&app).await;
    assert_eq!(files_below(&app.media()).len(), 1);
    app.finish().await;
}
