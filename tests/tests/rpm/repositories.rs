//! What a repository of packages holds.

use super::{PACKAGES, finished, href, repository, unit};
use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use millrace_tests::packages::Recipe;
use serde_json::{Value, json};

const LIST: &str = "repositories/rpm/rpm/";

async fn present(app: &TestApp, version: &str) -> Value {
    let version = app.get(version).await.expect(200);
    version["content_summary"]["present"].clone()
}

#[tokio::test]
async fn a_repository_of_packages_is_made_read_changed_and_deleted() {
    let app = TestApp::with_workers(1).await;
    let body = json!({"name": "zoo", "description": "d", "retain_repo_versions": 3,
                      "pulp_labels": {"k": "v"}});
    let made = app.post(LIST, &body).await;
    let zoo = made.expect(201);
    let address = href(&zoo);
    assert_eq!(made.headers["location"], address);
    let id = id_of(&address);
    assert_eq!(
        zoo,
        json!({
            "pulp_href": format!("/pulp/api/v3/repositories/rpm/rpm/{id}/"),
            "prn": format!("prn:rpm.rpmrepository:{id}"),
            "pulp_created": zoo["pulp_created"],
            "pulp_last_updated": zoo["pulp_last_updated"],
            "versions_href": format!("{address}versions/"),
            "pulp_labels": {"k": "v"},
            "latest_version_href": format!("{address}versions/0/"),
            "name": "zoo", "description": "d", "retain_repo_versions": 3,
            "retain_checkpoints": null, "remote": null,
        })
    );
    app.repository("files").await;
    for (list, count) in [
        (LIST, 1),
        ("repositories/", 2),
        ("repositories/file/file/", 1),
        ("repositories/rpm/rpm/?name=zoo&pulp_label_select=k", 1),
    ] {
        assert_eq!(app.hrefs(list).await.len(), count, "{list}");
    }
    // A file repository has more fields, and one name is one repository whatever its type.
    for (body, field) in [
        (json!({"name": "zoo"}), "name"),
        (json!({"name": "files"}), "name"),
        (json!({"name": "a", "autopublish": true}), "autopublish"),
        (json!({"name": "a", "manifest": "M"}), "manifest"),
        (
            json!({"name": "a", "remote": "/pulp/api/v3/remotes/file/file/x/"}),
            "remote",
        ),
        (json!({}), "name"),
    ] {
        let refused = app.post(LIST, &body).await.expect(400);
        assert!(refused[field].is_array(), "{field}: {refused}");
    }
    let same = app
        .patch(&address, &json!({"name": "zoo"}))
        .await
        .expect(200);
    assert_eq!(same, zoo);
    let task = app
        .patch(&address, &json!({"description": null}))
        .await
        .task();
    let task = app.completed(&task).await;
    assert_eq!(task["result"]["description"], Value::Null);
    let prn = zoo["prn"].as_str().unwrap();
    let reserved = task["reserved_resources_record"].to_string();
    assert!(reserved.contains(prn), "{reserved}");
    let label = json!({"key": "a", "value": "b"});
    app.post(&format!("{address}set_label/"), &label)
        .await
        .expect(201);
    app.post(&format!("{address}unset_label/"), &json!({"key": "a"}))
        .await
        .expect(201);
    app.get(&address.replace("rpm/rpm", "file/file"))
        .await
        .expect(404);
    app.post(&format!("{address}sync/"), &json!({}))
        .await
        .expect(404);
    let task = app.delete(&address).await.task();
    app.completed(&task).await;
    app.get(&address).await.expect(404);
    app.finish().await;
}

#[tokio::test]
async fn a_package_takes_the_place_of_one_that_is_named_alike() {
    let app = TestApp::with_workers(1).await;
    let zoo = repository(&app, "zoo").await;
    let address = href(&zoo);
    let built = |content| Recipe {
        content,
        ..Recipe::new("gwt", "1")
    };
    let others = [
        Recipe::new("gwt", "2"),
        Recipe {
            epoch: 1,
            ..Recipe::new("gwt", "1")
        },
        Recipe {
            release: "2",
            ..Recipe::new("gwt", "1")
        },
        Recipe {
            arch: "x86_64",
            ..Recipe::new("gwt", "1")
        },
    ];
    let into = [("repository", address.as_str())];
    let first = unit(&app, &built("first").build(), &into).await;
    for (n, other) in others.iter().enumerate() {
        let path = format!("{n}.rpm");
        unit(&app, &other.build(), &[into[0], ("relative_path", &path)]).await;
    }
    let second = unit(&app, &built("second").build(), &into).await;
    assert_ne!(first["pulp_href"], second["pulp_href"]);
    let version = format!("{address}versions/6/");
    assert_eq!(present(&app, &version).await["rpm.package"]["count"], 5);
    let held = app
        .hrefs(&format!("{PACKAGES}?repository_version={version}"))
        .await;
    assert!(held.contains(&href(&second)) && !held.contains(&href(&first)));
    for (filter, unit) in [("added", &second), ("removed", &first)] {
        let list = format!("{PACKAGES}?repository_version_{filter}={version}");
        assert_eq!(app.hrefs(&list).await, [href(unit)], "{filter}");
    }
    // Where that is not wanted, it is refused, and the new package stays out.
    let third = built("third").build();
    let fields = [into[0], ("overwrite", "false")];
    let task = finished(&app, &third, &fields).await;
    assert!(task["error"].to_string().contains("PLP0023"), "{task:#}");
    super::files_are(&app, 6).await;
    app.finish().await;
}

#[tokio::test]
async fn packages_are_added_and_removed_and_versions_come_and_go() {
    let app = TestApp::with_workers(1).await;
    let zoo = repository(&app, "zoo").await;
    let address = href(&zoo);
    let one = href(&unit(&app, &Recipe::new("one", "1").build(), &[]).await);
    let two = href(&unit(&app, &Recipe::new("two", "1").build(), &[]).await);
    let task = app.modify(&zoo, &[one.clone(), two.clone()], &[]).await;
    let prn = zoo["prn"].as_str().unwrap();
    let reserved = task["reserved_resources_record"].as_array().unwrap();
    assert!(reserved.contains(&json!(prn)), "{reserved:?}");
    assert_eq!(
        reserved.len(),
        2,
        "the repository and the domain: {reserved:?}"
    );
    app.modify(&zoo, std::slice::from_ref(&one), &["*".to_owned()])
        .await;
    let version = format!("{address}versions/2/");
    let shown = app.get(&version).await.expect(200);
    assert_eq!(shown["repository"], address);
    let held = present(&app, &version).await;
    let list = held["rpm.package"]["href"].as_str().unwrap();
    assert!(list.starts_with("/pulp/api/v3/content/rpm/packages/?repository_version="));
    assert_eq!(app.hrefs(list).await, [one]);
    // From an older version on.
    let body = json!({"base_version": format!("{address}versions/1/")});
    let task = app.post(&format!("{address}modify/"), &body).await.task();
    app.completed(&task).await;
    let third = app.get(&format!("{address}versions/3/")).await.expect(200);
    assert_eq!(third["base_version"], format!("{address}versions/1/"));
    let repair = format!("{address}versions/3/repair/");
    let task = app
        .post(&repair, &json!({"verify_checksums": true}))
        .await
        .task();
    app.completed(&task).await;
    let task = app.delete(&version).await.task();
    app.completed(&task).await;
    let versions = app.hrefs(&format!("{address}versions/")).await;
    assert_eq!(versions.len(), 3, "{versions:?}");
    app.finish().await;
}

#[tokio::test]
async fn a_repository_refuses_units_of_another_type() {
    let app = TestApp::with_workers(1).await;
    let (zoo, files) = (repository(&app, "zoo").await, app.repository("files").await);
    let package = href(&unit(&app, &Recipe::new("gwt", "1").build(), &[]).await);
    let file = app.unit("f", "text").await;
    for (repository, unit, odd) in [
        (&zoo, &file, "file.file"),
        (&files, &package, "rpm.package"),
    ] {
        let body = json!({"add_content_units": [unit]});
        let modify = format!("{}modify/", href(repository));
        let task = app.post(&modify, &body).await.task();
        let task = app.finished(&task).await;
        let message = format!("Saw unsupported content types {{'{odd}'}}");
        assert_eq!(task["error"]["description"], message);
    }
    // By name, with a repository of the wrong type.
    let artifact = app.upload(Recipe::new("other", "1").build()).await;
    let data = json!({"artifact": artifact["prn"], "repository": files["prn"]});
    let body = json!({"name": "pulpcore.app.tasks.base.general_create",
                      "args": ["rpm", "PackageSerializer", data]});
    let task = app.dispatch(&body).await;
    let task = app.finished(&task).await;
    let message = "Saw unsupported content types {'rpm.package'}";
    assert_eq!(task["error"]["description"], message);
    // No publication of packages, and no distribution: the names of their repositories are not taken.
    for (list, field) in [
        ("publications/file/file/", "repository"),
        ("distributions/file/file/", "repository"),
    ] {
        let body = json!({"name": "d", "base_path": "d", field: href(&zoo)});
        let body = if list.starts_with('p') {
            json!({field: href(&zoo)})
        } else {
            body
        };
        let refused = app.post(list, &body).await.expect(400);
        assert!(refused[field].is_array(), "{list}: {refused}");
    }
    let versions = "SELECT count(*) FROM repository_version";
    assert_eq!(app.sql.number(versions).await, 2);
    app.finish().await;
}

/// Who dispatches by name need not know the type of the repository.
#[tokio::test]
async fn a_change_that_is_dispatched_by_name_holds_the_repository_whatever_its_type() {
    let app = TestApp::with_workers(1).await;
    let zoo = repository(&app, "zoo").await;
    let package = href(&unit(&app, &Recipe::new("gwt", "1").build(), &[]).await);
    let body = json!({"name": "pulpcore.app.tasks.repository.add_and_remove",
                      "args": [id_of(&href(&zoo)), [id_of(&package)], []]});
    let task = app.dispatch(&body).await;
    let task = app.completed(&task).await;
    let reserved = task["reserved_resources_record"].as_array().unwrap();
    assert!(reserved.contains(&zoo["prn"]), "{reserved:?}");
    let version = format!("{}versions/1/", href(&zoo));
    assert_eq!(present(&app, &version).await["rpm.package"]["count"], 1);
    app.finish().await;
}
