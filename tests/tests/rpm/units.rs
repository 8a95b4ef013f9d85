//! What a package becomes.

use super::{PACKAGES, files_are, finished, href, repository, unit, unit_of};
use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use millrace_tests::packages::Recipe;
use millrace_tests::upstream::{Reply, Upstream, sha256};
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};

/// What a unit of the type has in Pulp 2, beside what begins with `_`.
const FIELDS: [&str; 13] = [
    "arch",
    "buildhost",
    "checksum",
    "checksumtype",
    "description",
    "epoch",
    "filename",
    "license",
    "name",
    "relativepath",
    "release",
    "vendor",
    "version",
];

#[tokio::test]
async fn a_package_is_read_field_by_field_and_its_file_becomes_the_artifact() {
    let app = TestApp::with_workers(1).await;
    let bytes = Recipe::new("gwt", "2.3.0").build();
    let task = finished(&app, &bytes, &[("pulp_labels", r#"{"k": "v"}"#)]).await;
    let unit = unit_of(&app, &task).await;
    assert_eq!(
        task["name"],
        "pulpcore.app.tasks.base.general_create_from_temp_file"
    );
    assert_eq!(task["result"], unit);
    let id = id_of(unit["pulp_href"].as_str().unwrap());
    let artifact = app
        .get(unit["artifact"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(
        unit,
        json!({
            "pulp_href": format!("/pulp/api/v3/content/rpm/packages/{id}/"),
            "prn": format!("prn:rpm.package:{id}"),
            "pulp_created": unit["pulp_created"],
            "pulp_last_updated": unit["pulp_last_updated"],
            "pulp_labels": {"k": "v"},
            "vuln_report": null,
            "artifact": artifact["pulp_href"],
            "name": "gwt", "epoch": "0", "version": "2.3.0", "release": "1.fc16", "arch": "noarch",
            "pkgId": sha256(&bytes), "checksum_type": "sha256",
            "description": "At length,\nin two lines.",
            "location_href": "gwt-2.3.0-1.fc16.noarch.rpm",
            "rpm_buildhost": "localhost", "rpm_license": "ASL 2.0", "rpm_vendor": "The vendor",
            "md5": null, "sha1": null,
            "sha224": artifact["sha224"], "sha256": sha256(&bytes),
            "sha384": artifact["sha384"], "sha512": artifact["sha512"],
        })
    );
    let stored = app.sql.text("SELECT fields::text FROM content").await;
    let stored: Value = serde_json::from_str(&stored).unwrap();
    let names: Vec<&String> = stored.as_object().unwrap().keys().collect();
    assert_eq!(names, FIELDS);
    assert_eq!(stored["filename"], "gwt-2.3.0-1.fc16.noarch.rpm");
    assert_eq!(stored["relativepath"], stored["filename"]);
    let file = app.media().join(artifact["file"].as_str().unwrap());
    assert!(std::fs::read(file).unwrap() == bytes);
    files_are(&app, 1).await;
    app.finish().await;
}

#[tokio::test]
async fn a_package_that_is_there_is_that_one_with_its_path_and_its_labels() {
    let app = TestApp::with_workers(1).await;
    let bytes = Recipe::new("gwt", "1").build();
    let path = ("relative_path", "Packages/g/gwt.rpm");
    let first = unit(&app, &bytes, &[path, ("pulp_labels", r#"{"old": ""}"#)]).await;
    assert_eq!(first["location_href"], "Packages/g/gwt.rpm");
    let again = unit(&app, &bytes, &[("pulp_labels", r#"{"new": ""}"#)]).await;
    assert_eq!(again, first);
    let links = "SELECT string_agg(relative_path, ' ') FROM content_artifact";
    assert_eq!(app.sql.text(links).await, "Packages/g/gwt.rpm");
    let name = app
        .sql
        .text("SELECT fields ->> 'filename' FROM content")
        .await;
    assert_eq!(name, "gwt.rpm");
    files_are(&app, 1).await;
    app.finish().await;
}

#[tokio::test]
async fn a_package_comes_from_an_artifact_an_upload_or_an_address_as_well() {
    let app = TestApp::with_workers(1).await;
    let [one, two, three] = ["1", "2", "3"].map(|version| Recipe::new("gwt", version).build());
    let artifact = href(&app.upload(one.clone()).await);
    let upload = json!({"size": two.len()});
    let upload = href(&app.post("uploads/", &upload).await.expect(201));
    let (from, to) = (two.len() / 2, two.len());
    for (from, to) in [(0, from), (from, to)] {
        let part = reqwest::multipart::Part::bytes(two[from..to].to_vec()).file_name("p");
        let range = format!("bytes {from}-{}/*", to - 1);
        let request = app
            .request(Method::PUT, &upload)
            .header("Content-Range", range);
        let form = Form::new().part("file", part);
        app.send(request.multipart(form)).await.expect(200);
    }
    let upstream = Upstream::start().await;
    upstream.script("/three.rpm", [Reply::Bytes(three.clone())]);
    let address = upstream.url("/three.rpm");
    for (field, value, bytes) in [
        ("artifact", artifact, &one),
        ("upload", upload, &two),
        ("file_url", address, &three),
    ] {
        let form = Form::new().text(field, value);
        let request = app.request(Method::POST, PACKAGES);
        let task = app.send(request.multipart(form)).await.task();
        let task = app.finished(&task).await;
        assert_eq!(task["name"], "pulpcore.app.tasks.base.general_create");
        let unit = unit_of(&app, &task).await;
        assert_eq!(unit["pkgId"], sha256(bytes), "{field}");
    }
    files_are(&app, 3).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM upload").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn packages_are_found_by_what_they_are() {
    let app = TestApp::with_workers(1).await;
    let old = Recipe::new("gwt", "1.0");
    let new = Recipe {
        epoch: 2,
        arch: "x86_64",
        ..Recipe::new("gwt", "2.0")
    };
    let other = Recipe {
        release: "7",
        ..Recipe::new("autotest", "1.0")
    };
    for recipe in [&old, &new, &other] {
        unit(&app, &recipe.build(), &[]).await;
    }
    let digest = sha256(&new.build());
    for (query, found) in [
        ("", vec!["autotest 1.0", "gwt 2.0", "gwt 1.0"]),
        ("name=gwt", vec!["gwt 2.0", "gwt 1.0"]),
        ("name__in=gwt,other", vec!["gwt 2.0", "gwt 1.0"]),
        ("name__ne=gwt", vec!["autotest 1.0"]),
        ("name__icontains=TEST", vec!["autotest 1.0"]),
        ("name__startswith=g", vec!["gwt 2.0", "gwt 1.0"]),
        ("epoch=2", vec!["gwt 2.0"]),
        ("version=1.0&name=gwt", vec!["gwt 1.0"]),
        ("version__in=1.0,3.0", vec!["autotest 1.0", "gwt 1.0"]),
        ("release__ne=7", vec!["gwt 2.0", "gwt 1.0"]),
        ("arch=x86_64", vec!["gwt 2.0"]),
        ("arch__in=noarch", vec!["autotest 1.0", "gwt 1.0"]),
        ("checksum_type=sha256&epoch=2", vec!["gwt 2.0"]),
        (&format!("sha256={digest}"), vec!["gwt 2.0"]),
        (&format!("pkgId__in={digest}"), vec!["gwt 2.0"]),
        (
            "ordering=name,-version",
            vec!["autotest 1.0", "gwt 2.0", "gwt 1.0"],
        ),
        ("orphaned_for=0", vec!["autotest 1.0", "gwt 2.0", "gwt 1.0"]),
        ("orphaned_for=60", vec![]),
        ("q=name=gwt AND epoch=0", vec!["gwt 1.0"]),
    ] {
        let page = app.get(&format!("{PACKAGES}?{query}")).await.expect(200);
        let results = page["results"].as_array().unwrap().iter();
        let text = |unit: &Value, field: &str| unit[field].as_str().unwrap().to_owned();
        let names = results.map(|u| format!("{} {}", text(u, "name"), text(u, "version")));
        assert_eq!(names.collect::<Vec<_>>(), found, "{query}");
    }
    app.finish().await;
}

#[tokio::test]
async fn the_list_of_all_units_tells_packages_from_files() {
    let app = TestApp::with_workers(1).await;
    let file = app.unit("f", "file").await;
    let package = href(&unit(&app, &Recipe::new("gwt", "1").build(), &[]).await);
    for (query, found) in [
        ("", vec![&package, &file]),
        ("pulp_type=rpm.package", vec![&package]),
        ("pulp_type=file.file", vec![&file]),
        ("pulp_type__in=file.file,rpm.package", vec![&package, &file]),
    ] {
        let all = app.hrefs(&format!("content/?{query}")).await;
        assert_eq!(all.iter().collect::<Vec<_>>(), found, "{query}");
    }
    let refused = app.get("content/?pulp_type=rpm.rpm").await.expect(400);
    assert!(refused["pulp_type"].is_array(), "{refused}");
    let page = app.get("content/?pulp_type=rpm.package").await.expect(200);
    let artifacts = page["results"][0]["artifacts"].as_object().unwrap();
    assert!(
        artifacts["gwt-1-1.fc16.noarch.rpm"].is_string(),
        "{artifacts:?}"
    );
    // Each has its own address only.
    for wrong in [
        package.replace("rpm/packages", "file/files"),
        file.replace("file/files", "rpm/packages"),
    ] {
        app.get(&wrong).await.expect(404);
    }
    let zoo = repository(&app, "zoo").await;
    let all = app.hrefs("repositories/?pulp_type=rpm.rpm").await;
    assert_eq!(all, [href(&zoo)]);
    app.get("repositories/?pulp_type=rpm.package")
        .await
        .expect(400);
    app.finish().await;
}

#[tokio::test]
async fn a_label_of_a_package_is_set_and_taken_away() {
    let app = TestApp::with_workers(1).await;
    let package = href(&unit(&app, &Recipe::new("gwt", "1").build(), &[]).await);
    let label = json!({"key": "k", "value": "v"});
    let set = app.post(&format!("{package}set_label/"), &label).await;
    assert_eq!(set.expect(201), label);
    let found = app
        .hrefs(&format!("{PACKAGES}?pulp_label_select=k=v"))
        .await;
    assert_eq!(found, std::slice::from_ref(&package));
    let unset = format!("{package}unset_label/");
    let gone = app.post(&unset, &json!({"key": "k"})).await;
    assert_eq!(gone.expect(201), label);
    app.post(&unset, &json!({"key": "k"})).await.expect(400);
    app.finish().await;
}
