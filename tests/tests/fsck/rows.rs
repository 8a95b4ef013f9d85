//! Rows whose files are missing or wrong.

use super::{assert_clean, fsck, names, place};
use crate::sync::shop::{DIRECTORY, Shop};
use millrace_tests::TestApp;
use serde_json::json;

#[tokio::test]
async fn what_a_remote_has_is_fetched_again_when_somebody_asks() {
    let shop = Shop::open("immediate").await;
    let app = &shop.app;
    let files = [
        ("a", "one"),
        ("b", "three"),
        ("c", "fives"),
        ("d", "seven77"),
    ];
    shop.upstream.publish(DIRECTORY, &files);
    shop.sync(&json!({})).await;
    let body = json!({"name": "shop", "base_path": "shop", "repository": shop.repository});
    let of = json!({"repository": shop.repository});
    let task = app.post("publications/file/file/", &of).await.task();
    app.completed(&task).await;
    let task = app.post("distributions/file/file/", &body).await.task();
    app.completed(&task).await;
    // Missing, and of another size.
    let (missing, wrong) = (place(app, 3).await, place(app, 7).await);
    std::fs::remove_file(&missing).unwrap();
    std::fs::remove_file(&wrong).unwrap();
    std::fs::write(&wrong, "8 bytes!").unwrap();

    let (code, findings, summary) = fsck(app, &[]).await;
    assert_eq!((code, findings.len()), (1, 2), "{findings:#?}");
    assert_eq!(names(&findings, "row_without_file").len(), 1);
    assert_eq!(names(&findings, "wrong_file").len(), 1);
    assert_eq!(summary["repaired"], 0);
    let artifacts = "SELECT count(*) FROM artifact";
    let before = app.sql.number(artifacts).await;

    let (code, _, summary) = fsck(app, &["--repair"]).await;
    assert_eq!((code, &summary["repaired"]), (1, &json!(2)));
    assert_eq!(app.sql.number(artifacts).await, before - 1);
    assert!(!wrong.exists());
    // The missing one may be back tomorrow: its row stays, and nobody has it.
    let (code, findings, summary) = fsck(app, &["--repair"]).await;
    assert_eq!((code, findings.len()), (1, 1), "{findings:#?}");
    assert_eq!(summary["repaired"], 0);

    for (path, text) in files {
        let request = app.anonymous(reqwest::Method::GET, &format!("/pulp/content/shop/{path}"));
        let answer = app.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, text));
    }
    assert_eq!(app.sql.number(artifacts).await, before);
    assert_clean(app).await;
    shop.app.finish().await;
}

#[tokio::test]
async fn what_no_remote_has_is_told_and_stays_and_an_upload_restores_it() {
    let app = TestApp::start().await;
    app.unit("a", "one").await;
    app.upload(vec![1; 3000]).await;
    let whole = place(&app, 3000).await;
    std::fs::remove_file(place(&app, 3).await).unwrap();
    for _ in 0..2 {
        let (code, findings, summary) = fsck(&app, &["--repair"]).await;
        assert_eq!((code, findings.len()), (1, 1), "{findings:#?}");
        assert_eq!(summary["repaired"], 0);
        assert!(findings[0].get("done").is_none());
    }
    app.try_upload(b"one".to_vec()).await;
    assert_clean(&app).await;

    // As long as before: only its digest tells.
    std::fs::remove_file(&whole).unwrap();
    std::fs::write(&whole, vec![2; 3000]).unwrap();
    let (code, ..) = fsck(&app, &[]).await;
    assert_eq!(code, 0);
    let (code, findings, _) = fsck(&app, &["--digests"]).await;
    assert_eq!(code, 1);
    assert_eq!(names(&findings, "wrong_file").len(), 1, "{findings:#?}");
}
