//! Repositories: made, changed, deleted and found.

use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

async fn put(app: &TestApp, repository: &Value, body: &Value) -> millrace_tests::client::Answer {
    let request = app.request(Method::PUT, href(repository)).json(body);
    app.send(request).await
}

/// A repository none of whose values is the default.
async fn unusual(app: &TestApp) -> Value {
    let body = json!({"name": "zoo", "description": "animals", "pulp_labels": {"k": "v"},
        "retain_repo_versions": 5, "autopublish": true, "manifest": "LIST"});
    app.post("repositories/file/file/", &body).await.expect(201)
}

#[tokio::test]
async fn a_repository_is_there_with_its_first_version_when_the_request_returns() {
    let app = TestApp::start().await;
    let answer = app
        .post("repositories/file/file/", &json!({"name": "zoo"}))
        .await;
    let made = answer.expect(201);
    let href = href(&made);
    assert_eq!(answer.headers["location"], href);
    assert_eq!(
        made,
        json!({
            "pulp_href": href,
            "prn": format!("prn:file.filerepository:{}", id_of(href)),
            "pulp_created": made["pulp_created"],
            "pulp_last_updated": made["pulp_last_updated"],
            "versions_href": format!("{href}versions/"),
            "pulp_labels": {},
            "latest_version_href": format!("{href}versions/0/"),
            "name": "zoo",
            "description": null,
            "retain_repo_versions": null,
            "retain_checkpoints": null,
            "remote": null,
            "autopublish": false,
            "manifest": "PULP_MANIFEST",
            "last_sync_details": {},
        })
    );
    assert_eq!(app.get(href).await.expect(200), made);
    let taken = app
        .post("repositories/file/file/", &json!({"name": "zoo"}))
        .await;
    assert_eq!(
        taken.expect(400),
        json!({"name": ["This field must be unique."]})
    );
    let generic = app.get("repositories/").await.expect(200)["results"][0].clone();
    for (field, value) in generic.as_object().unwrap() {
        assert_eq!(value, &made[field], "{field}");
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_put_resets_what_declares_a_default_and_leaves_the_rest_alone() {
    let app = TestApp::with_workers(1).await;
    let before = unusual(&app).await;
    let task = put(&app, &before, &json!({"name": "farm"})).await.task();
    app.completed(&task).await;
    let after = app.get(href(&before)).await.expect(200);
    let mut expected = before.clone();
    expected["name"] = json!("farm");
    expected["autopublish"] = json!(false);
    expected["manifest"] = json!("PULP_MANIFEST");
    assert!(after["pulp_last_updated"].as_str() > before["pulp_last_updated"].as_str());
    expected["pulp_last_updated"] = after["pulp_last_updated"].clone();
    assert_eq!(after, expected);
    app.finish().await;
}

#[tokio::test]
async fn a_patch_changes_only_what_it_names() {
    let app = TestApp::with_workers(1).await;
    let before = unusual(&app).await;
    let body = json!({"description": null, "pulp_labels": {"other": null}});
    let task = app.patch(href(&before), &body).await.task();
    app.completed(&task).await;
    let after = app.get(href(&before)).await.expect(200);
    let mut expected = before.clone();
    expected["description"] = Value::Null;
    expected["pulp_labels"] = json!({"other": null});
    expected["pulp_last_updated"] = after["pulp_last_updated"].clone();
    assert_eq!(after, expected);
    app.finish().await;
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_answered_at_once_and_makes_no_task() {
    let app = TestApp::start().await;
    let repository = unusual(&app).await;
    let whole = json!({"name": "zoo", "description": "animals", "pulp_labels": {"k": "v"},
        "retain_repo_versions": 5, "autopublish": true, "manifest": "LIST"});
    for answer in [
        put(&app, &repository, &whole).await,
        put(
            &app,
            &repository,
            &json!({"name": "zoo", "autopublish": true, "manifest": "LIST"}),
        )
        .await,
        app.patch(href(&repository), &json!({})).await,
        app.patch(href(&repository), &json!({"description": "animals"}))
            .await,
        app.patch(href(&repository), &whole).await,
    ] {
        assert_eq!(answer.expect(200), repository);
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_change_is_final_when_the_request_returns_and_its_result_is_the_repository() {
    let app = TestApp::with_workers(1).await;
    // The first announcements may meet queues that are not declared yet.
    let repository = app.repository("zoo").await;
    let warm = app
        .patch(href(&repository), &json!({"description": "0"}))
        .await;
    app.completed(&warm.task()).await;
    for (n, answer) in [
        app.patch(href(&repository), &json!({"description": "1"}))
            .await,
        put(
            &app,
            &repository,
            &json!({"name": "zoo", "description": "2"}),
        )
        .await,
    ]
    .iter()
    .enumerate()
    {
        let task = app.task(&answer.task()).await;
        assert_eq!(task["state"], "completed", "{task:#}");
        let record = task["reserved_resources_record"].as_array().unwrap();
        assert!(record.contains(&repository["prn"]), "{record:?}");
        assert_eq!(task["created_resources"], json!([]));
        assert_eq!(task["result"]["pulp_href"], repository["pulp_href"]);
        assert_eq!(task["result"]["description"], (n + 1).to_string());
    }
    app.finish().await;
}

#[tokio::test]
async fn a_change_behind_another_task_is_accepted_at_once_and_done_in_its_turn() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let holder = app.sleeper(60.0, &[href(&repository)]).await;
    app.in_state(&holder, "running").await;
    let start = Instant::now();
    let body = json!({"description": "later"});
    let waiting = app.patch(href(&repository), &body).await.task();
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "it was not waited for"
    );
    assert_eq!(app.task(&waiting).await["state"], "waiting");
    assert_eq!(app.get(href(&repository)).await.expect(200), repository);
    app.cancel(&holder).await.expect(200);
    app.completed(&waiting).await;
    let after = app.get(href(&repository)).await.expect(200);
    assert_eq!(after["description"], "later");
    app.finish().await;
}

#[tokio::test]
async fn a_change_that_became_impossible_while_it_waited_fails_and_changes_nothing() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let holder = app.sleeper(60.0, &[href(&repository)]).await;
    app.in_state(&holder, "running").await;
    let body = json!({"name": "farm", "description": "x"});
    let renamed = app.patch(href(&repository), &body).await.task();
    app.repository("farm").await;
    let deleted = app.delete(href(&repository)).await.task();
    let body = json!({"description": "late"});
    let late = app.patch(href(&repository), &body).await.task();
    app.cancel(&holder).await.expect(200);
    let renamed = app.finished(&renamed).await;
    assert_eq!(renamed["state"], "failed");
    let text = renamed["error"]["description"].as_str().unwrap();
    assert!(text.contains("This field must be unique."), "{text}");
    app.completed(&deleted).await;
    assert_eq!(app.finished(&late).await["state"], "failed");
    assert_eq!(app.get(href(&repository)).await.status, 404);
    let names = "SELECT name FROM repository";
    assert_eq!(app.sql.texts(names).await, ["farm"]);
    app.finish().await;
}

#[tokio::test]
async fn bad_changes_are_refused_by_field_before_there_is_a_task() {
    let app = TestApp::start().await;
    let repository = unusual(&app).await;
    app.repository("taken").await;
    for (field, value, message) in [
        ("name", json!("taken"), "This field must be unique."),
        ("name", Value::Null, "This field may not be null."),
        ("name", json!(""), "This field may not be blank."),
        (
            "retain_repo_versions",
            json!(0),
            "Ensure this value is greater than or equal to 1.",
        ),
        (
            "retain_repo_versions",
            json!("x"),
            "A valid integer is required.",
        ),
        ("autopublish", json!("perhaps"), "Must be a valid boolean."),
        ("autopublish", Value::Null, "This field may not be null."),
        ("description", json!({}), "Not a valid string."),
        (
            "pulp_labels",
            json!({"a/b": "v"}),
            "Key 'a/b' contains invalid characters. Only alphanumerics, underscores, spaces, hyphens, and dots are allowed.",
        ),
        (
            "pulp_labels",
            json!({"k": "(v"}),
            "Key 'k' contains value with parenthesis.",
        ),
        ("unknown", json!(1), "Unexpected field"),
        ("remote", json!("/pulp/api/v3/remotes/file/file/0/"), ""),
    ] {
        let mut body = json!({"name": "zoo"});
        body[field] = value;
        for answer in [
            app.patch(href(&repository), &body).await,
            put(&app, &repository, &body).await,
        ] {
            let refused = answer.expect(400);
            let text = refused[field][0]
                .as_str()
                .unwrap_or_else(|| panic!("{refused}"));
            assert!(text.contains(message), "{body}: {refused}");
        }
    }
    let lacking = put(&app, &repository, &json!({"description": "x"})).await;
    assert_eq!(
        lacking.expect(400),
        json!({"name": ["This field is required."]})
    );
    assert_eq!(app.get(href(&repository)).await.expect(200), repository);
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_deleted_repository_goes_with_its_versions_and_leaves_its_units() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let unit = app.unit("f", "f").await;
    let made = app
        .modify(&repository, std::slice::from_ref(&unit), &[])
        .await;
    let task = app.delete(href(&repository)).await.task();
    let task = app.completed(&task).await;
    assert_eq!(task["result"], Value::Null);
    for gone in [
        href(&repository),
        &format!("{}versions/1/", href(&repository)),
    ] {
        assert_eq!(app.get(gone).await.status, 404, "{gone}");
    }
    assert_eq!(
        app.get("repository_versions/").await.expect(200)["count"],
        0
    );
    app.get(&unit).await.expect(200);
    let made = app.task(href(&made)).await;
    assert_eq!(made["created_resources"], json!(["<unavailable>"]));
    assert_eq!(app.delete(href(&repository)).await.status, 404);
    app.finish().await;
}

#[tokio::test]
async fn repositories_are_found_by_name_and_numbers_and_units() {
    let app = TestApp::with_workers(1).await;
    let mut all = Vec::new();
    for (name, keep) in [
        ("Zoo", json!(2)),
        ("zoo two", Value::Null),
        ("farm", json!(7)),
    ] {
        let body = json!({"name": name, "retain_repo_versions": keep});
        all.push(app.post("repositories/file/file/", &body).await.expect(201));
    }
    let (kept, left, lone) = (
        app.unit("kept", "kept").await,
        app.unit("left", "left").await,
        app.unit("lone", "lone").await,
    );
    app.modify(&all[0], &[kept.clone(), left.clone()], &[])
        .await;
    app.modify(&all[0], &[], std::slice::from_ref(&left)).await;
    app.modify(&all[2], std::slice::from_ref(&left), &[]).await;
    let prn = format!("prn:file.filecontent:{}", id_of(&left));
    let (first, second) = (href(&all[0]), href(&all[1]));
    for (query, names) in [
        ("name=Zoo".to_owned(), &["Zoo"][..]),
        ("name__iexact=zoo".to_owned(), &["Zoo"]),
        ("name__in=farm,Zoo,other".to_owned(), &["Zoo", "farm"]),
        ("name__contains=oo".to_owned(), &["Zoo", "zoo two"]),
        ("name__contains=o_t".to_owned(), &[]),
        ("name__icontains=ZOO".to_owned(), &["Zoo", "zoo two"]),
        ("name__startswith=zoo".to_owned(), &["zoo two"]),
        ("name__istartswith=zoo".to_owned(), &["Zoo", "zoo two"]),
        ("name__regex=^[Zf]".to_owned(), &["Zoo", "farm"]),
        ("name__iregex=^z.*o$".to_owned(), &["Zoo", "zoo two"]),
        ("retain_repo_versions=2".to_owned(), &["Zoo"]),
        ("retain_repo_versions__ne=2".to_owned(), &["farm"]),
        ("retain_repo_versions__gt=2".to_owned(), &["farm"]),
        ("retain_repo_versions__lte=2".to_owned(), &["Zoo"]),
        (
            "retain_repo_versions__range=1,7".to_owned(),
            &["Zoo", "farm"],
        ),
        ("retain_repo_versions__isnull=true".to_owned(), &["zoo two"]),
        ("retain_checkpoints__isnull=false".to_owned(), &[]),
        ("remote=null".to_owned(), &["Zoo", "zoo two", "farm"]),
        ("remote=".to_owned(), &["Zoo", "zoo two", "farm"]),
        (format!("with_content={kept}"), &["Zoo"]),
        (format!("with_content={left}"), &["Zoo", "farm"]),
        (format!("with_content={lone}"), &[]),
        (format!("latest_with_content={kept}"), &["Zoo"]),
        (format!("latest_with_content={left}"), &["farm"]),
        (format!("latest_with_content={prn}"), &["farm"]),
        (format!("latest_with_content={lone}"), &[]),
        (
            format!("pulp_href__in={first},{second}"),
            &["Zoo", "zoo two"],
        ),
        (
            format!("pulp_id__in={},{}", id_of(first), id_of(second)),
            &["Zoo", "zoo two"],
        ),
        (
            format!("prn__in={}", all[2]["prn"].as_str().unwrap()),
            &["farm"],
        ),
    ] {
        for list in ["repositories/file/file/", "repositories/"] {
            let list = format!("{list}?ordering=pulp_created&{query}");
            let page = app.get(&list).await.expect(200);
            let found = page["results"].as_array().unwrap().iter();
            let found: Vec<&str> = found.map(|one| one["name"].as_str().unwrap()).collect();
            assert_eq!(found, names, "{list}");
        }
    }
    app.finish().await;
}
