//! Distributions: made, changed, deleted, found; which base paths there may be.

mod found;

use millrace_tests::TestApp;
use millrace_tests::client::{Answer, id_of};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const LIST: &str = "distributions/file/file/";

fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

/// Makes a distribution and waits for it; gives it.
async fn distribute(app: &TestApp, body: &Value) -> Value {
    let task = app.post(LIST, body).await.task();
    let task = app.completed(&task).await;
    let made = &task["created_resources"][0];
    let shown = app.get(made.as_str().unwrap()).await.expect(200);
    assert_eq!(task["result"], shown, "{task:#}");
    shown
}

async fn put(app: &TestApp, one: &Value, body: &Value) -> Answer {
    app.send(app.request(Method::PUT, href(one)).json(body))
        .await
}

async fn publish(app: &TestApp, repository: &Value) -> Value {
    let body = json!({"repository": href(repository)});
    let task = app.post("publications/file/file/", &body).await.task();
    app.completed(&task).await["result"].clone()
}

fn reserved(task: &Value) -> BTreeSet<&str> {
    let record = task["reserved_resources_record"].as_array().unwrap();
    record.iter().map(|name| name.as_str().unwrap()).collect()
}

fn held(task: &Value) -> BTreeSet<String> {
    reserved(task).into_iter().map(str::to_owned).collect()
}

fn domain_of(task: &Value) -> String {
    let mut record = reserved(task).into_iter();
    let domain = record.find_map(|name| name.strip_prefix("shared:prn:core.domain:"));
    domain.unwrap().to_owned()
}

#[tokio::test]
async fn a_distribution_is_made_changed_and_deleted_under_its_locks() {
    let app = TestApp::builder()
        .workers(1)
        .set("api.content_origin", "http://packages.example")
        .start()
        .await;
    let repository = app.repository("zoo").await;
    let body = json!({"name": "d", "base_path": "a/b", "pulp_labels": {"k": "v"},
                      "repository": href(&repository), "repository_version": null, "publication": ""});
    let task = app.post(LIST, &body).await.task();
    let task = app.completed(&task).await;
    assert_eq!(task["name"], "pulpcore.app.tasks.base.general_create");
    let domain = domain_of(&task);
    let base_paths = format!("pdrn:{domain}:distribution.base_path");
    let shared = [
        format!("shared:prn:core.domain:{domain}"),
        format!("shared:pdrn:{domain}:distributions"),
    ];
    let lanes = |more: &[&str]| -> BTreeSet<String> {
        shared
            .iter()
            .cloned()
            .chain(more.iter().map(ToString::to_string))
            .collect()
    };
    assert_eq!(held(&task), lanes(&[&base_paths]));
    let one = task["result"].clone();
    assert_eq!(
        one,
        json!({
            "pulp_href": href(&one),
            "prn": format!("prn:file.filedistribution:{}", id_of(href(&one))),
            "pulp_created": one["pulp_created"],
            "pulp_last_updated": one["pulp_last_updated"],
            "base_path": "a/b",
            "base_url": "http://packages.example/pulp/content/a/b/",
            "content_guard": null,
            "content_guard_prn": null,
            "no_content_change_since": null,
            "hidden": false,
            "pulp_labels": {"k": "v"},
            "name": "d",
            "repository": href(&repository),
            "repository_version": null,
            "publication": null,
            "checkpoint": false,
        })
    );
    assert_eq!(app.get(href(&one)).await.expect(200), one);
    let generic = app.get("distributions/").await.expect(200)["results"][0].clone();
    for (field, value) in generic.as_object().unwrap() {
        assert_eq!(value, &one[field], "{field}");
    }

    assert_changes(&app, &repository, &one, &lanes, &base_paths).await;
    app.finish().await;
}

/// Each change and the deletion of a distribution reserves what it touches.
async fn assert_changes(
    app: &TestApp,
    repository: &Value,
    one: &Value,
    lanes: &impl Fn(&[&str]) -> BTreeSet<String>,
    base_paths: &str,
) {
    let one = one.clone();
    let itself = one["prn"].as_str().unwrap();
    let task = app
        .patch(href(&one), &json!({"name": "e", "hidden": true}))
        .await
        .task();
    let task = app.completed(&task).await;
    assert_eq!(held(&task), lanes(&[itself]));
    assert_eq!(task["result"], app.get(href(&one)).await.expect(200));
    // What is not named is left alone, or gets its default.
    let body = json!({"name": "e", "base_path": "a/c"});
    let task = put(app, &one, &body).await.task();
    let task = app.completed(&task).await;
    assert_eq!(held(&task), lanes(&[itself, base_paths]));
    let after = &task["result"];
    assert_eq!(
        (&after["hidden"], &after["base_path"]),
        (&json!(false), &json!("a/c"))
    );
    assert_eq!(
        (&after["repository"], &after["pulp_labels"]),
        (&one["repository"], &one["pulp_labels"])
    );
    // Nothing to do is done at once.
    assert_eq!(&put(app, &one, &body).await.expect(200), after);
    let same = json!({"repository": repository["prn"], "publication": null});
    assert_eq!(&app.patch(href(&one), &same).await.expect(200), after);

    let task = app.delete(href(&one)).await.task();
    let task = app.completed(&task).await;
    assert_eq!(held(&task), lanes(&[itself]));
    assert_eq!(app.get(href(&one)).await.status, 404);
}

#[tokio::test]
async fn what_is_served_is_one_of_three_and_may_be_cleared() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let version = format!("{}versions/0/", href(&repository));
    let published = publish(&app, &repository).await;
    let all = [
        ("publication", href(&published)),
        ("repository_version", version.as_str()),
        ("repository", href(&repository)),
    ];
    for (a, b, text) in [
        (0, 1, "'publication' and 'repository_version'"),
        (0, 2, "'repository' and 'publication'"),
        (1, 2, "'repository' and 'repository_version'"),
    ] {
        let body = json!({"name": "d", "base_path": "d", all[a].0: all[a].1, all[b].0: all[b].1});
        let message = format!("Only one of the attributes {text} may be used simultaneously.");
        let answer = app.post(LIST, &body).await;
        assert_eq!(answer.expect(400), json!({"non_field_errors": [message]}));
    }
    let one = distribute(
        &app,
        &json!({"name": "d", "base_path": "d", "publication": all[0].1}),
    )
    .await;
    assert_eq!(one["publication"], all[0].1);
    assert_eq!(one["no_content_change_since"], one["pulp_last_updated"]);
    let shown = app.get(href(&published)).await.expect(200);
    assert_eq!(shown["distributions"], json!([href(&one)]));
    let answer = app
        .patch(href(&one), &json!({"repository_version": version}))
        .await;
    assert!(
        answer.expect(400)["non_field_errors"][0]
            .as_str()
            .unwrap()
            .starts_with("Only one")
    );
    let body = json!({"repository_version": version, "publication": ""});
    let task = app.patch(href(&one), &body).await.task();
    let shown = app.completed(&task).await["result"].clone();
    assert_eq!(
        (&shown["repository_version"], &shown["publication"]),
        (&json!(version), &Value::Null)
    );
    assert_eq!(shown["no_content_change_since"], Value::Null);

    // What goes is served no more.
    let body = json!({"repository_version": null, "publication": all[0].1});
    let task = app.patch(href(&one), &body).await.task();
    app.completed(&task).await;
    assert_eq!(app.delete(href(&published)).await.status, 204);
    assert_eq!(
        app.get(href(&one)).await.expect(200)["publication"],
        Value::Null
    );
    let body = json!({"checkpoint": true});
    let message = "The 'checkpoint' attribute may only be used with the 'repository' attribute.";
    let answer = app.patch(href(&one), &body).await;
    assert_eq!(answer.expect(400), json!({"non_field_errors": [message]}));
    let body = json!({"checkpoint": true, "repository": href(&repository)});
    let task = app.patch(href(&one), &body).await.task();
    app.completed(&task).await;
    let task = app.delete(href(&repository)).await.task();
    app.completed(&task).await;
    assert_eq!(
        app.get(href(&one)).await.expect(200)["repository"],
        Value::Null
    );
    app.finish().await;
}

#[tokio::test]
async fn no_base_path_lies_above_or_below_another_one() {
    let app = TestApp::with_workers(1).await;
    for (name, path) in [("one", "a/b"), ("two", "a/b-c"), ("three", "a/b0")] {
        distribute(&app, &json!({"name": name, "base_path": path})).await;
    }
    let unique = json!(["This field must be unique."]);
    let overlap =
        |name| json!({"base_path": format!("Overlaps with existing distribution '{name}'")});
    for (path, expected) in [
        ("a/b", unique.clone()),
        ("a/b/c", overlap("one")),
        ("a/b-c/d/e", overlap("two")),
        ("a", overlap("one")),
    ] {
        let answer = app
            .post(LIST, &json!({"name": "new", "base_path": path}))
            .await;
        let refused = answer.expect(400)["base_path"].clone();
        if path == "a" {
            let text = refused["base_path"].as_str().unwrap();
            assert!(
                text.starts_with("Overlaps with existing distribution '"),
                "{text}"
            );
        } else {
            assert_eq!(refused, expected, "{path}");
        }
    }
    assert_refused(&app).await;
    assert_eq!(app.hrefs(LIST).await.len(), 3);
    app.finish().await;
}

/// What is wrong with other fields, beside a distribution `one` at `a/b`.
async fn assert_refused(app: &TestApp) {
    let unique = json!(["This field must be unique."]);
    let both = app
        .post(LIST, &json!({"name": "one", "base_path": "a/b"}))
        .await;
    assert_eq!(
        both.expect(400),
        json!({"name": unique, "base_path": unique})
    );
    for (path, text) in [
        ("/a", "Relative path is not in canonical form. /a"),
        ("a/", "Relative path is not in canonical form. a/"),
        ("a/../b", "Relative path is not in canonical form. a/../b"),
        ("", "This field may not be blank."),
    ] {
        let answer = app
            .post(LIST, &json!({"name": "new", "base_path": path}))
            .await;
        assert_eq!(answer.expect(400), json!({"base_path": [text]}));
    }
    let required = json!(["This field is required."]);
    let answer = app.post(LIST, &json!({})).await;
    assert_eq!(
        answer.expect(400),
        json!({"name": required, "base_path": required})
    );
    for (field, value) in [
        (
            "publication",
            "/pulp/api/v3/publications/file/file/0199e6a0-0000-7000-8000-000000000001/",
        ),
        (
            "repository",
            "prn:file.filerepository:0199e6a0-0000-7000-8000-000000000001",
        ),
        (
            "repository_version",
            "prn:core.repositoryversion:0199e6a0-0000-7000-8000-000000000001",
        ),
        (
            "content_guard",
            "/pulp/api/v3/contentguards/core/rbac/0199e6a0-0000-7000-8000-000000000001/",
        ),
        ("repository", "nonsense"),
        (
            "publication",
            "prn:file.filerepository:0199e6a0-0000-7000-8000-000000000001",
        ),
    ] {
        let answer = app
            .post(
                LIST,
                &json!({"name": "new", "base_path": "new", field: value}),
            )
            .await;
        let text = answer.expect(400)[field][0].as_str().unwrap().to_owned();
        assert!(text.starts_with("Invalid hyperlink - "), "{text}");
    }
}

#[tokio::test]
async fn of_two_distributions_that_overlap_and_are_made_at_once_one_is_made() {
    let app = TestApp::with_workers(1).await;
    let domain = app.sql.text("SELECT pulp_id::text FROM domain").await;
    let held = app
        .sleeper(60.0, &[&format!("pdrn:{domain}:distribution.base_path")])
        .await;
    let mut tasks = Vec::new();
    for (name, path) in [("one", "x/y"), ("two", "x"), ("three", "x/y"), ("one", "z")] {
        let body = json!({"name": name, "base_path": path});
        tasks.push(app.post(LIST, &body).await.task());
    }
    app.cancel(&held).await;
    app.completed(&tasks[0]).await;
    for (task, field, text) in [
        (&tasks[1], "base_path", "Overlaps with another distribution"),
        (&tasks[2], "base_path", "This field must be unique."),
        (&tasks[3], "name", "This field must be unique."),
    ] {
        let task = app.finished(task).await;
        assert_eq!(task["state"], "failed");
        let error = task["error"]["description"].as_str().unwrap();
        let error: Value = serde_json::from_str(error).unwrap();
        assert_eq!(error, json!({ field: [text] }));
        assert_eq!(task["created_resources"], json!([]));
    }
    assert_eq!(app.hrefs(LIST).await.len(), 1);
    app.finish().await;
}
