//! Looking at orphans.

use super::{
    ORPHANS, account, delete, file, get, hold_orphans, package, path, result, sample, who_may,
};
use millrace_tests::TestApp;
use millrace_tests::app::files_below;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[tokio::test]
async fn get_all_needs_read_and_wraps_each_count_with_its_href() {
    let app = TestApp::start().await;
    let reader = who_may(&app, "reader", "READ").await;
    let deleter = who_may(&app, "deleter", "DELETE").await;
    get(&deleter, ORPHANS).await.expect(401);
    let none = get(&reader, ORPHANS).await.expect(200);
    let entry = |id: &str, count: u32| json!({"count": count, "_href": format!("/pulp/api/v2/content/orphans/{id}/")});
    let mut expected = json!({
        "drpm": entry("drpm", 0), "erratum": entry("erratum", 0), "file": entry("file", 0),
        "rpm": entry("rpm", 0), "srpm": entry("srpm", 0),
    });
    assert_eq!(none, expected, "every type that is known, zero included");
    for n in 0..3 {
        file(&app, &format!("file-{n}")).await;
    }
    expected["file"] = entry("file", 3);
    assert_eq!(get(&reader, ORPHANS).await.expect(200), expected);
    app.finish().await;
}

#[tokio::test]
async fn get_by_type_needs_read_and_adds_href_to_each_element() {
    let app = TestApp::start().await;
    let reader = who_may(&app, "reader", "READ").await;
    let nobody = account(&app, "nobody").await;
    get(&nobody, "content/orphans/file/").await.expect(401);
    let (one, other) = (file(&app, "dir/one").await, file(&app, "other").await);
    let answer = get(&reader, "content/orphans/file/").await;
    assert_eq!(
        answer.headers["content-type"],
        "application/json; charset=utf-8"
    );
    let list = answer.expect(200);
    let ids: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|u| u["_id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [one.as_str(), &other],
        "in the order in which they were made"
    );
    for unit in list.as_array().unwrap() {
        let href = path(&format!(
            "content/orphans/file/{}/",
            unit["_id"].as_str().unwrap()
        ));
        assert_eq!(unit["_href"], href.as_str());
    }
    app.finish().await;
}

#[tokio::test]
async fn a_file_has_its_unit_key_and_the_names_of_old_clients() {
    let app = TestApp::start().await;
    let id = file(&app, "dir/one").await;
    let unit = get(&app, &format!("content/orphans/file/{id}/"))
        .await
        .expect(200);
    let text = "text of dir/one";
    let digest = hex::encode(Sha256::digest(text));
    let stored = unit["_storage_path"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(stored).unwrap(), text);
    let updated = unit["_last_updated"].as_str().unwrap();
    assert!(updated.len() == 20 && updated.ends_with('Z'), "{updated}");
    assert_eq!(
        unit,
        json!({
            "_id": id, "_content_type_id": "file", "_ns": "units_file", "_storage_path": stored,
            "_href": format!("/pulp/api/v2/content/orphans/file/{id}/"), "_last_updated": updated,
            "relative_path": "dir/one", "digest": digest,
            "name": "dir/one", "checksum": digest, "checksumtype": "sha256", "size": text.len(),
        })
    );
    app.finish().await;
}

#[tokio::test]
async fn get_by_type_with_no_orphans_gives_an_empty_array() {
    let app = TestApp::start().await;
    for known in ["file", "rpm", "srpm", "drpm", "erratum"] {
        let answer = get(&app, &format!("{ORPHANS}{known}/")).await;
        answer.expect(200);
        assert_eq!(answer.text, "[]", "{known}");
    }
}

#[tokio::test]
async fn by_type_listing_of_an_unknown_type_is_not_found() {
    let app = TestApp::start().await;
    let body = get(&app, "content/orphans/nope/").await.expect(404);
    let text = "Missing resource(s): content_type_id=nope";
    assert_eq!(
        body,
        json!({
            "_href": "/pulp/api/v2/content/orphans/nope/", "http_request_method": "GET", "http_status": 404,
            "error_message": text, "exception": null, "traceback": null,
            "resources": {"content_type_id": "nope"},
            "error": {"code": "PLP0009", "description": text,
                      "data": {"resources": {"content_type_id": "nope"}}, "sub_errors": []},
        })
    );
}

#[tokio::test]
async fn get_single_needs_read_and_its_href_is_the_request_path() {
    let app = TestApp::start().await;
    let reader = who_may(&app, "reader", "READ").await;
    let nobody = account(&app, "nobody").await;
    let id = file(&app, "one").await;
    let one = format!("content/orphans/file/{id}/");
    get(&nobody, &one).await.expect(401);
    let unit = get(&reader, &one).await.expect(200);
    assert_eq!(unit["_href"], path(&one).as_str());
    let list = get(&reader, "content/orphans/file/").await.expect(200);
    assert_eq!(list, json!([unit]), "the same object as in the list");
    app.finish().await;
}

#[tokio::test]
async fn get_single_finds_only_orphans_of_that_type_and_all_else_looks_the_same() {
    let app = TestApp::with_workers(1).await;
    let (orphan, used) = (file(&app, "orphan").await, file(&app, "used").await);
    let repository = app.repository("zoo").await;
    let href = format!("/pulp/api/v3/content/file/files/{used}/");
    app.modify(&repository, std::slice::from_ref(&href), &[])
        .await;
    let unknown = uuid::Uuid::now_v7().to_string();
    for (type_id, unit_id) in [
        ("file", unknown.as_str()),
        ("file", "no-uuid"),
        ("file", &orphan.to_uppercase()),
        ("file", &orphan.replace('-', "")),
        ("file", &used),
        ("rpm", &orphan),
        ("nope", &orphan),
    ] {
        let rest = format!("{ORPHANS}{type_id}/{unit_id}/");
        for answer in [get(&app, &rest).await, delete(&app, &rest).await] {
            let body = answer.expect(404);
            let named = json!({"content_type": type_id, "content_unit": unit_id});
            assert_eq!(body["resources"], named, "{rest}");
            let text =
                format!("Missing resource(s): content_type={type_id}, content_unit={unit_id}");
            assert_eq!(body["error"]["description"], text.as_str());
            assert_eq!(body["error"]["code"], "PLP0009");
        }
    }
    // In an older version only: it is needed still.
    app.modify(&repository, &[], std::slice::from_ref(&href))
        .await;
    get(&app, &format!("{ORPHANS}file/{used}/"))
        .await
        .expect(404);
    get(&app, &format!("{ORPHANS}file/{orphan}/"))
        .await
        .expect(200);
    app.finish().await;
}

#[tokio::test]
async fn what_is_listed_is_what_the_deletion_takes() {
    let app = TestApp::builder()
        .workers(1)
        .set("tasks.v2_orphan_protection_time", 60)
        .start()
        .await;
    let (old, new) = (file(&app, "old").await, file(&app, "new").await);
    let used = file(&app, "used").await;
    app.sql
        .run("UPDATE content SET timestamp_of_interest = now() - interval '2 hours' WHERE fields ->> 'relative_path' <> 'new'")
        .await;
    // What a waiting task is going to use is none.
    let zoo = app.repository("zoo").await;
    let holder = app
        .sleeper(600.0, &[zoo["pulp_href"].as_str().unwrap()])
        .await;
    app.in_state(&holder, "running").await;
    let body = json!({"add_content_units": [format!("/pulp/api/v3/content/file/files/{used}/")]});
    let modify = format!("{}modify/", zoo["pulp_href"].as_str().unwrap());
    let adding = app.post(&modify, &body).await.task();
    app.sql
        .run("UPDATE content SET timestamp_of_interest = now() - interval '2 hours' WHERE fields ->> 'relative_path' = 'used'")
        .await;

    let listed = get(&app, "content/orphans/file/").await.expect(200);
    let ids: Vec<&Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| &unit["_id"])
        .collect();
    assert_eq!(ids, [&json!(old)]);
    assert_eq!(get(&app, ORPHANS).await.expect(200)["file"]["count"], 1);
    for kept in [&new, &used] {
        get(&app, &format!("{ORPHANS}file/{kept}/"))
            .await
            .expect(404);
    }
    let removal = delete(&app, "content/orphans/file/").await;
    assert_eq!(result(&app, &removal).await, json!({"file": 1}));
    for kept in [&new, &used] {
        app.get(&format!("content/file/files/{kept}/"))
            .await
            .expect(200);
    }
    assert_eq!(
        app.get(&format!("content/file/files/{old}/")).await.status,
        404
    );
    app.cancel(&holder).await.expect(200);
    app.completed(&adding).await;
    app.finish().await;
}

#[tokio::test]
async fn exact_json_bodies_of_the_seeds_samples_end_to_end() {
    let app = TestApp::with_workers(1).await;
    let mut expected = Vec::new();
    for recipe in sample() {
        let bytes = recipe.build();
        let id = package(&app, &bytes).await;
        let filename = format!(
            "{}-{}-{}.{}.rpm",
            recipe.name, recipe.version, recipe.release, recipe.arch
        );
        let unit = get(&app, &format!("content/orphans/rpm/{id}/"))
            .await
            .expect(200);
        let stored = unit["_storage_path"].as_str().unwrap();
        assert_eq!(std::fs::read(stored).unwrap(), bytes);
        assert!(std::path::Path::new(stored).is_absolute());
        expected.push(json!({
            "_content_type_id": "rpm",
            "_href": format!("/pulp/api/v2/content/orphans/rpm/{id}/"),
            "_id": id,
            "_ns": "units_rpm",
            "_storage_path": stored,
            "_last_updated": unit["_last_updated"],
            "arch": "noarch",
            "buildhost": "localhost",
            "checksum": hex::encode(Sha256::digest(&bytes)),
            "checksumtype": "sha256",
            "description": recipe.description,
            "epoch": "0",
            "filename": filename,
            "license": recipe.license,
            "name": recipe.name,
            "relativepath": filename,
            "release": recipe.release,
            "vendor": "",
            "version": recipe.version,
        }));
        assert_eq!(Some(&unit), expected.last());
    }
    let list = get(&app, "content/orphans/rpm/").await.expect(200);
    assert_eq!(list, Value::Array(expected));
    let all = get(&app, ORPHANS).await.expect(200);
    let rpm = json!({"count": 3, "_href": "/pulp/api/v2/content/orphans/rpm/"});
    assert_eq!(all["rpm"], rpm);
    assert_eq!(all["drpm"]["count"], 0);

    let removal = delete(&app, ORPHANS).await;
    assert_eq!(result(&app, &removal).await, json!({"rpm": 3}));
    assert_eq!(files_below(&app.media().join("artifact")).len(), 0);
    app.finish().await;
}

#[tokio::test]
async fn associated_unit_is_not_an_orphan_and_after_disassociation_it_is() {
    let app = TestApp::with_workers(1).await;
    let id = file(&app, "one").await;
    let count = async || get(&app, ORPHANS).await.expect(200)["file"]["count"].clone();
    assert_eq!(count().await, 1);
    let repository = app.repository("zoo").await;
    let unit = format!("/pulp/api/v3/content/file/files/{id}/");
    app.modify(&repository, std::slice::from_ref(&unit), &[])
        .await;
    assert_eq!(count().await, 0);
    let task = app
        .delete(repository["pulp_href"].as_str().unwrap())
        .await
        .task();
    app.completed(&task).await;
    // What a deletion left behind is taken apart when a clean-up looks.
    let removal = delete(&app, ORPHANS).await;
    assert_eq!(result(&app, &removal).await, json!({"file": 1}));
    assert_eq!(count().await, 0);
    app.finish().await;
}

#[tokio::test]
async fn looking_waits_for_no_removal() {
    let app = TestApp::with_workers(1).await;
    file(&app, "one").await;
    let holder = hold_orphans(&app).await;
    assert_eq!(get(&app, ORPHANS).await.expect(200)["file"]["count"], 1);
    let list = get(&app, "content/orphans/file/").await.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 1);
    app.cancel(&holder).await.expect(200);
    app.finish().await;
}
