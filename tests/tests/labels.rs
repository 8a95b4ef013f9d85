//! Labels: setting and unsetting one, and selecting by them.

use millrace_tests::TestApp;
use serde_json::{Value, json};

/// A repository and a unit: what has labels.
async fn labelled(app: &TestApp) -> [String; 2] {
    let repository = app.repository("zoo").await;
    let unit = app.unit("unit", "unit").await;
    [repository["pulp_href"].as_str().unwrap().to_owned(), unit]
}

async fn labels(app: &TestApp, href: &str) -> Value {
    app.get(href).await.expect(200)["pulp_labels"].clone()
}

#[tokio::test]
async fn a_label_is_set_replaced_and_taken_away_at_once() {
    let app = TestApp::start().await;
    for href in labelled(&app).await {
        let set = format!("{href}set_label/");
        let unset = format!("{href}unset_label/");
        let before = app.get(&href).await.expect(200)["pulp_last_updated"].clone();
        for label in [
            json!({"key": "animal", "value": "ape"}),
            json!({"key": "animal", "value": "bear, brown"}),
            json!({"key": "a b.c-d_9", "value": ""}),
            json!({"key": "empty", "value": null}),
        ] {
            let answer = app.post(&set, &label).await.expect(201);
            assert_eq!(answer, label, "{href}");
        }
        assert_eq!(
            labels(&app, &href).await,
            json!({"animal": "bear, brown", "a b.c-d_9": "", "empty": null})
        );
        assert_eq!(
            app.get(&href).await.expect(200)["pulp_last_updated"],
            before,
            "label calls do not move it"
        );
        for (key, value) in [
            ("animal", json!("bear, brown")),
            ("empty", Value::Null),
            ("a b.c-d_9", json!("")),
        ] {
            let answer = app.post(&unset, &json!({"key": key})).await.expect(201);
            assert_eq!(answer, json!({"key": key, "value": value}), "{href}");
            let again = app.post(&unset, &json!({"key": key})).await.expect(400);
            let message = format!("Label '{key}' is not set on the object.");
            assert_eq!(again, json!({"key": [message]}), "{href}");
        }
        assert_eq!(labels(&app, &href).await, json!({}));
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn labels_that_are_none_are_refused_and_the_others_kept() {
    let app = TestApp::start().await;
    for href in labelled(&app).await {
        let set = format!("{href}set_label/");
        app.post(&set, &json!({"key": "kept", "value": "kept"}))
            .await
            .expect(201);
        for (bad, field) in [
            (json!({"value": "v"}), "key"),
            (json!({"key": "", "value": "v"}), "key"),
            (json!({"key": null, "value": "v"}), "key"),
            (json!({"key": "k"}), "value"),
            (json!({"key": "k", "value": {}}), "value"),
            (json!({"key": "k", "value": "v", "more": 1}), "more"),
        ] {
            let answer = app.post(&set, &bad).await.expect(400);
            assert!(answer[field].is_array(), "{bad}: {answer}");
        }
        for (key, value, message) in [
            ("a,b", "v", "contains invalid characters"),
            ("a/b", "v", "contains invalid characters"),
            ("k", "(v", "contains value with parenthesis"),
            ("k", "v)", "contains value with parenthesis"),
        ] {
            let bad = json!({"key": key, "value": value});
            let answer = app.post(&set, &bad).await.expect(400);
            assert!(answer.to_string().contains(message), "{bad}: {answer}");
        }
        let unset = app.post(&format!("{href}unset_label/"), &json!({})).await;
        assert_eq!(unset.expect(400)["key"][0], "This field is required.");
        assert_eq!(labels(&app, &href).await, json!({"kept": "kept"}));
    }
    for nowhere in [
        "repositories/file/file/00000000-0000-0000-0000-000000000000/",
        "content/file/files/00000000-0000-0000-0000-000000000000/",
    ] {
        for (action, body) in [
            ("set_label/", json!({"key": "k", "value": "v"})),
            ("unset_label/", json!({"key": "k"})),
        ] {
            let answer = app.post(&format!("{nowhere}{action}"), &body).await;
            assert_eq!(answer.status, 404, "{nowhere}{action}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn labels_set_at_the_same_time_are_all_kept() {
    let app = TestApp::start().await;
    for href in labelled(&app).await {
        let mut setting = tokio::task::JoinSet::new();
        for n in 0..20 {
            let (client, path) = (app.client(), format!("{href}set_label/"));
            setting.spawn(async move {
                let label = json!({"key": format!("k{n}"), "value": n.to_string()});
                client.post(&path, &label).await.expect(201);
            });
        }
        while let Some(done) = setting.join_next().await {
            done.unwrap();
        }
        let labels = labels(&app, &href).await;
        assert_eq!(labels.as_object().unwrap().len(), 20, "{labels}");

        // Of those who take the same label away, one has it.
        let mut unsetting = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (client, path) = (app.client(), format!("{href}unset_label/"));
            unsetting.spawn(async move {
                let answer = client.post(&path, &json!({"key": "k3"})).await;
                answer.status.as_u16()
            });
        }
        let mut statuses = unsetting.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 400, 400, 400, 400]);
    }
    app.finish().await;
}

#[tokio::test]
async fn objects_are_selected_by_their_labels() {
    let app = TestApp::start().await;
    let labels = [
        ("one", json!({"kind": "Ape", "colour": "red, green"})),
        ("two", json!({"kind": "bear", "note": null})),
        ("three", json!({"kind": "ape 50%"})),
        ("none", json!({})),
    ];
    for (name, labels) in &labels {
        let body = json!({"name": name, "pulp_labels": labels});
        app.post("repositories/file/file/", &body).await.expect(201);
        let text = labels.to_string();
        let unit = app.try_unit(name, name, Some(&text)).await.expect(201);
        assert_eq!(&unit["pulp_labels"], labels);
    }
    for (select, names) in [
        ("kind", &["one", "two", "three"][..]),
        ("!kind", &["none"]),
        ("note", &["two"]),
        ("kind=bear", &["two"]),
        ("kind=ape", &[]),
        ("kind=", &[]),
        ("kind!=bear", &["one", "three"]),
        ("note!=x", &["two"]),
        ("kind~APE", &["one", "three"]),
        ("kind~%", &["three"]),
        ("kind~_", &[]),
        ("kind,!note", &["one", "three"]),
        ("kind~ape,colour", &["one"]),
        ("kind,!kind", &[]),
        (r"colour=red\, green", &["one"]),
        ("colour=red", &[]),
        ("missing", &[]),
    ] {
        for (list, field) in [
            ("repositories/file/file/", "name"),
            ("repositories/", "name"),
            ("content/file/files/", "relative_path"),
        ] {
            let url = reqwest::Url::parse_with_params("http://x/", [("pulp_label_select", select)]);
            let url = url.unwrap();
            let query = format!("{list}?ordering=pulp_created&{}", url.query().unwrap());
            let page = app.get(&query).await.expect(200);
            let found = page["results"].as_array().unwrap().iter();
            let found: Vec<&str> = found.map(|one| one[field].as_str().unwrap()).collect();
            assert_eq!(found, names, "{list} {select}");
        }
    }
    for (bad, message) in [
        ("!kind=v", "Cannot use an operator with '!kind'."),
        ("=v", "Invalid search term: '=v'."),
        ("kind%3Fv", "Invalid search term: 'kind?v'."),
        ("a,%20,b", "Invalid search term: ' '."),
    ] {
        let list = format!("repositories/file/file/?pulp_label_select={bad}");
        let answer = app.get(&list).await.expect(400);
        assert_eq!(answer, json!({"pulp_label_select": [message]}), "{bad}");
    }
    app.finish().await;
}
