//! Units: made at once, listed over all types, and found when nothing needs them.

use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

#[tokio::test]
async fn a_unit_that_is_uploaded_is_there_when_the_request_returns() {
    let app = TestApp::start().await;
    let answer = app
        .try_unit("dir/1.iso", "abc", Some(r#"{"k": "v"}"#))
        .await;
    let unit = answer.expect(201);
    let href = unit["pulp_href"].as_str().unwrap();
    assert_eq!(answer.headers["location"], href);
    assert_eq!(app.get(href).await.expect(200), unit);
    let artifact = app
        .get(unit["artifact"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(
        unit,
        json!({
            "pulp_href": href,
            "prn": format!("prn:file.filecontent:{}", id_of(href)),
            "pulp_created": unit["pulp_created"],
            "pulp_last_updated": unit["pulp_last_updated"],
            "pulp_labels": {"k": "v"},
            "vuln_report": null,
            "artifact": artifact["pulp_href"],
            "relative_path": "dir/1.iso",
            "md5": null,
            "sha1": null,
            "sha224": artifact["sha224"],
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "sha384": artifact["sha384"],
            "sha512": artifact["sha512"],
        })
    );
    // From an artifact that is there already, by its PRN.
    let form = Form::new()
        .text("relative_path", "2.iso")
        .text("artifact", artifact["prn"].as_str().unwrap().to_owned());
    let request = app.request(Method::POST, "content/file/files/upload/");
    let other = app.send(request.multipart(form)).await.expect(201);
    assert_ne!(other["pulp_href"], unit["pulp_href"]);
    assert_eq!(other["artifact"], unit["artifact"]);
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_unit_that_exists_is_given_back_as_it_was_and_is_of_interest_again() {
    let app = TestApp::start().await;
    let first = app.try_unit("f", "abc", Some(r#"{"old": "1"}"#)).await;
    let first = first.expect(201);
    app.sql
        .run(
            "UPDATE content SET timestamp_of_interest = now() - interval '2 h';
              UPDATE artifact SET timestamp_of_interest = now() - interval '2 h'",
        )
        .await;
    let again = app.try_unit("f", "abc", Some(r#"{"new": "2"}"#)).await;
    assert_eq!(again.expect(201), first);
    assert_eq!(app.get("content/").await.expect(200)["count"], 1);
    assert_eq!(app.get("artifacts/").await.expect(200)["count"], 1);
    for table in ["content", "artifact"] {
        let lately = format!(
            "SELECT count(*) FROM {table} WHERE timestamp_of_interest > now() - interval '1 min'"
        );
        assert_eq!(app.sql.number(&lately).await, 1, "{table}");
    }
    // A unit made of an artifact that is there: that is of interest again too.
    app.sql
        .run("UPDATE artifact SET timestamp_of_interest = now() - interval '2 h'")
        .await;
    let form = Form::new()
        .text("relative_path", "h")
        .text("artifact", first["artifact"].as_str().unwrap().to_owned());
    let request = app.request(Method::POST, "content/file/files/upload/");
    app.send(request.multipart(form)).await.expect(201);
    let lately =
        "SELECT count(*) FROM artifact WHERE timestamp_of_interest > now() - interval '1 min'";
    assert_eq!(app.sql.number(lately).await, 1);
    // Another path, or another text, is another unit.
    for (path, text) in [("g", "abc"), ("f", "abcd")] {
        let other = app.try_unit(path, text, None).await.expect(201);
        assert_ne!(other["pulp_href"], first["pulp_href"]);
    }
    app.finish().await;
}

#[tokio::test]
async fn an_upload_takes_no_repository_and_exactly_one_source() {
    let app = TestApp::start().await;
    let repository = app.repository("zoo").await;
    let artifact = app.upload(b"x".to_vec()).await;
    let text = |object: &Value| object["pulp_href"].as_str().unwrap().to_owned();
    let path = || Form::new().text("relative_path", "f");
    let file = || Part::text("text").file_name("f");
    for (form, field) in [
        (
            path()
                .part("file", file())
                .text("repository", text(&repository)),
            "repository",
        ),
        (path(), "non_field_errors"),
        (
            path()
                .part("file", file())
                .text("artifact", text(&artifact)),
            "non_field_errors",
        ),
        (path().text("artifact", text(&repository)), "artifact"),
        (Form::new().part("file", file()), "relative_path"),
        (
            Form::new()
                .part("file", file())
                .text("relative_path", "a//b"),
            "relative_path",
        ),
        (
            Form::new()
                .part("file", file())
                .text("relative_path", "../b"),
            "relative_path",
        ),
    ] {
        let request = app.request(Method::POST, "content/file/files/upload/");
        let refused = app.send(request.multipart(form)).await.expect(400);
        assert!(refused[field].is_array(), "{field}: {refused}");
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM content").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn the_list_of_all_units_shows_their_files() {
    let app = TestApp::start().await;
    let a = app
        .try_unit("a/b", "a", Some(r#"{"k": "v"}"#))
        .await
        .expect(201);
    let b = app.try_unit("b", "b", None).await.expect(201);
    let page = app.get("content/").await.expect(200);
    let shown = |unit: &Value, path: &str| {
        json!({
            "pulp_href": unit["pulp_href"],
            "prn": unit["prn"],
            "pulp_created": unit["pulp_created"],
            "pulp_last_updated": unit["pulp_last_updated"],
            "pulp_labels": unit["pulp_labels"],
            "vuln_report": null,
            "artifacts": {path: unit["artifact"]},
        })
    };
    assert_eq!(page["results"], json!([shown(&b, "b"), shown(&a, "a/b")]));
    for (query, count) in [
        ("pulp_type=file.file", 2),
        ("pulp_type__in=file.file", 2),
        ("pulp_label_select=k", 1),
        (
            &*format!("pulp_id__in={}", id_of(a["pulp_href"].as_str().unwrap())),
            1,
        ),
        (
            &*format!("pulp_href__in={}", a["pulp_href"].as_str().unwrap()),
            1,
        ),
        (
            &*format!(
                "prn__in={},{}",
                a["prn"].as_str().unwrap(),
                b["prn"].as_str().unwrap()
            ),
            2,
        ),
    ] {
        let found = app.hrefs(&format!("content/?{query}")).await;
        assert_eq!(found.len(), count, "{query}");
    }
    for list in ["content/", "repositories/"] {
        for filter in ["pulp_type", "pulp_type__in"] {
            for value in ["odd.type", "file", "file.file,odd.type"] {
                let refused = app.get(&format!("{list}?{filter}={value}")).await;
                assert!(
                    refused.expect(400)[filter].is_array(),
                    "{list} {filter} {value}"
                );
            }
        }
    }
    for list in ["content/file/files/", "repositories/file/file/"] {
        let refused = app.get(&format!("{list}?pulp_type=file.file")).await;
        let refused = refused.expect(400);
        assert_eq!(
            refused["errors"][0], "Invalid Filter: 'pulp_type'",
            "{list}"
        );
    }
    app.repository("zoo").await;
    for query in ["pulp_type=file.file", "pulp_type__in=file.file"] {
        let found = app.hrefs(&format!("repositories/?{query}")).await;
        assert_eq!(found.len(), 1, "{query}");
    }
    app.finish().await;
}

#[tokio::test]
async fn units_are_found_by_path_and_digest() {
    let app = TestApp::start().await;
    for (path, text) in [("dir/One", "abc"), ("dir/two", "x"), ("three", "abc")] {
        app.unit(path, text).await;
    }
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (query, paths) in [
        ("relative_path=three".to_owned(), &["three"][..]),
        ("relative_path=Three".to_owned(), &[]),
        ("relative_path__iexact=THREE".to_owned(), &["three"]),
        (
            "relative_path__in=three,dir/One,other".to_owned(),
            &["dir/One", "three"],
        ),
        ("relative_path__contains=r/t".to_owned(), &["dir/two"]),
        (
            "relative_path__icontains=R/".to_owned(),
            &["dir/One", "dir/two"],
        ),
        (
            "relative_path__startswith=dir".to_owned(),
            &["dir/One", "dir/two"],
        ),
        ("relative_path__istartswith=DIR/t".to_owned(), &["dir/two"]),
        ("relative_path__regex=^d.*e$".to_owned(), &["dir/One"]),
        ("relative_path__iregex=^D.*O$".to_owned(), &["dir/two"]),
        (format!("digest={abc}"), &["dir/One", "three"]),
        (format!("sha256={abc}&relative_path=three"), &["three"]),
    ] {
        let list = format!("content/file/files/?ordering=pulp_created&{query}");
        let page = app.get(&list).await.expect(200);
        let found = page["results"].as_array().unwrap().iter();
        let found: Vec<&str> = found
            .map(|unit| unit["relative_path"].as_str().unwrap())
            .collect();
        assert_eq!(found, paths, "{query}");
    }
    app.finish().await;
}

#[tokio::test]
async fn orphans_are_those_that_nothing_needed_for_so_long() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let kept = app.unit("kept", "kept").await;
    let removed = app.unit("removed", "removed").await;
    let old = app.unit("old", "old").await;
    let older = app.unit("older", "older").await;
    let new = app.unit("new", "new").await;
    let lone = app.upload(b"lone".to_vec()).await;
    let lone = lone["pulp_href"].as_str().unwrap().to_owned();
    app.modify(&repository, &[kept.clone(), removed.clone()], &[])
        .await;
    app.modify(&repository, &[], &[removed]).await;
    let age = "UPDATE content SET timestamp_of_interest = now() - interval '90 min' WHERE fields ->> 'relative_path' <> 'new';
               UPDATE content SET timestamp_of_interest = now() - interval '25 h' WHERE fields ->> 'relative_path' = 'older';
               UPDATE artifact SET timestamp_of_interest = now() - interval '90 min'";
    app.sql.run(age).await;
    for (minutes, expected) in [
        ("0", vec![&new, &older, &old]),
        ("60", vec![&older, &old]),
        ("120", vec![&older]),
        ("-1", vec![&older]),
        ("2000", vec![]),
    ] {
        for list in ["content/", "content/file/files/"] {
            let query = format!("{list}?orphaned_for={minutes}");
            let mut found = app.hrefs(&query).await;
            found.sort_unstable();
            let mut expected: Vec<String> = expected.iter().map(|u| (*u).clone()).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{query}");
        }
    }
    assert_eq!(app.hrefs("artifacts/?orphaned_for=60").await, [lone]);
    assert_eq!(app.hrefs("artifacts/?orphaned_for=120").await.len(), 0);
    for list in ["content/", "content/file/files/", "artifacts/"] {
        let refused = app.get(&format!("{list}?orphaned_for=long")).await;
        assert!(refused.expect(400)["orphaned_for"].is_array(), "{list}");
    }
    app.finish().await;
}
