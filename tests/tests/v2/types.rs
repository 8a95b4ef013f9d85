//! `plugins/types/` and `status/`.

use super::{account, get, path};
use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn types_list_adds_href_per_type_and_a_single_one_is_found() {
    let app = TestApp::start().await;
    let list = get(&app, "plugins/types/").await.expect(200);
    let list = list.as_array().unwrap();
    let ids: Vec<&str> = list.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["drpm", "erratum", "file", "rpm", "srpm"]);
    for one in list {
        let href = path(&format!("plugins/types/{}/", one["id"].as_str().unwrap()));
        assert_eq!(one["_href"], href.as_str());
        assert_eq!(&app.get(&href).await.expect(200), one);
    }
    let drpm = &list[0];
    assert_eq!(drpm["_id"]["$oid"].as_str().unwrap().len(), 24);
    assert_eq!(
        drpm,
        &json!({
            "_href": "/pulp/api/v2/plugins/types/drpm/", "_id": drpm["_id"], "_ns": "content_types",
            "id": "drpm", "display_name": "DRPM",
            "description": "Differences between two versions of a binary package",
            "unit_key": ["epoch", "version", "release", "filename", "checksumtype", "checksum"],
            "search_indexes": ["epoch", "version", "release", "checksum", "filename"],
            "referenced_types": ["rpm", "erratum"],
        })
    );
}

#[tokio::test]
async fn a_single_type_that_is_missing_is_404_with_type() {
    let app = TestApp::start().await;
    let missing = get(&app, "plugins/types/nope/").await.expect(404);
    assert_eq!(missing["resources"], json!({"type": "nope"}));
    assert_eq!(missing["error_message"], "Missing resource(s): type=nope");
}

#[tokio::test]
async fn types_need_read() {
    let app = TestApp::start().await;
    let nobody = account(&app, "nobody").await;
    get(&nobody, "plugins/types/").await.expect(401);
    get(&nobody, "plugins/types/rpm/").await.expect(401);
    get(&nobody, "plugins/types/nope/").await.expect(401);
}

#[tokio::test]
async fn status_is_open_and_says_what_is_up() {
    let app = TestApp::with_workers(1).await;
    let answer = app.send(app.anonymous(Method::GET, &path("status/"))).await;
    let status = answer.expect(200);
    let worker = &status["known_workers"][0];
    let beat = worker["last_heartbeat"].as_str().unwrap();
    assert!(beat.len() == 20 && beat.ends_with('Z'), "{beat}");
    assert_eq!(
        status,
        json!({
            "api_version": "2", "versions": {"platform_version": status["versions"]["platform_version"]},
            "known_workers": [{"_id": "worker-1", "_ns": "workers", "name": "worker-1", "last_heartbeat": beat}],
            "messaging_connection": {"connected": true}, "database_connection": {"connected": true},
        })
    );
    assert!(status["versions"]["platform_version"].is_string());
}

#[tokio::test]
async fn status_without_a_broker_says_so() {
    let app = TestApp::builder().without_broker().start().await;
    let status = get(&app, "status/").await.expect(200);
    assert_eq!(status["messaging_connection"], json!({"connected": false}));
    assert_eq!(status["known_workers"], json!([]));
}
