//! What all lists have in common: pages, order, fields, expressions.

use millrace_tests::TestApp;
use serde_json::{Value, json};

/// Something in every list.
async fn furnished() -> TestApp {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let unit = app.unit("f", "f").await;
    app.modify(&repository, &[unit], &[]).await;
    app.sql
        .run("INSERT INTO task_group (pulp_id, pulp_domain, description) SELECT gen_random_uuid(), pulp_id, 'x' FROM domain")
        .await;
    app
}

const LISTS: [&str; 9] = [
    "tasks/",
    "task-groups/",
    "workers/",
    "artifacts/",
    "content/",
    "content/file/files/",
    "repositories/",
    "repositories/file/file/",
    "repository_versions/",
];

fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn only_the_fields_that_are_asked_for_are_shown() {
    let app = furnished().await;
    for list in LISTS {
        let page = app.get(list).await.expect(200);
        let object = page["results"][0]["pulp_href"].as_str().unwrap();
        for path in [list, object] {
            let shown = async |query: &str| {
                let answer = app.get(&format!("{path}?{query}")).await.expect(200);
                if path == list {
                    answer["results"][0].clone()
                } else {
                    answer
                }
            };
            let all = shown("").await;
            for query in [
                "fields=prn,pulp_href",
                "fields=prn&fields=pulp_href",
                "fields=prn,no_such_field&fields=pulp_href",
                "fields=prn,pulp_href,pulp_created&exclude_fields=pulp_created",
            ] {
                let one = shown(query).await;
                assert_eq!(fields(&one), ["prn", "pulp_href"], "{path}?{query}");
            }
            let mut rest = fields(&all);
            rest.retain(|name| !["prn", "pulp_created"].contains(name));
            for query in [
                "exclude_fields=prn,pulp_created",
                "exclude_fields=prn&exclude_fields=pulp_created",
                "exclude_fields=prn,pulp_created,no_such_field",
            ] {
                assert_eq!(fields(&shown(query).await), rest, "{path}?{query}");
            }
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn the_short_form_of_tasks_has_the_fields_of_the_contract() {
    let app = furnished().await;
    let minimal = [
        "finished_at",
        "name",
        "prn",
        "pulp_api_version",
        "pulp_created",
        "pulp_href",
        "pulp_last_updated",
        "started_at",
        "state",
        "unblocked_at",
        "worker",
    ];
    let page = app.get("tasks/?minimal=true").await.expect(200);
    assert_eq!(fields(&page["results"][0]), minimal);
    let whole = app.get("tasks/?minimal=false").await.expect(200);
    assert!(fields(&whole["results"][0]).len() > minimal.len());
    for field in minimal {
        assert_eq!(page["results"][0][field], whole["results"][0][field]);
    }
    // Elsewhere it says nothing.
    for list in LISTS
        .iter()
        .filter(|list| **list != "tasks/" && **list != "workers/")
    {
        let page = app.get(&format!("{list}?minimal=true")).await.expect(200);
        let whole = app.get(list).await.expect(200);
        assert_eq!(page["results"], whole["results"], "{list}");
    }
    app.finish().await;
}

#[tokio::test]
async fn pages_lead_to_each_other_by_whole_addresses_and_keep_the_question() {
    let app = TestApp::start().await;
    for n in 0..5 {
        app.repository(&format!("r{n}")).await;
    }
    app.repository("other").await;
    let mut next = "repositories/file/file/?limit=2&name__startswith=r&fields=name".to_owned();
    let (mut seen, mut pages) = (Vec::new(), Vec::new());
    loop {
        let page = app.get(&next).await.expect(200);
        assert_eq!(page["count"], 5);
        seen.extend(page["results"].as_array().unwrap().clone());
        let to = page["next"].as_str().map(str::to_owned);
        pages.push(page);
        let Some(to) = to else { break };
        let root = format!("{}/pulp/api/v3/repositories/file/file/?", app.origin());
        assert!(to.starts_with(&root), "{to}");
        next = to.strip_prefix(app.origin()).unwrap().to_owned();
    }
    let newest_first = ["r4", "r3", "r2", "r1", "r0"].map(|name| json!({"name": name}));
    assert_eq!(seen, newest_first);
    assert_eq!(pages.len(), 3);
    assert_eq!(pages[0]["previous"], Value::Null);
    for n in [2, 1] {
        let back = pages[n]["previous"].as_str().unwrap();
        let back = back.strip_prefix(app.origin()).unwrap();
        let page = app.get(back).await.expect(200);
        assert_eq!(page["results"], pages[n - 1]["results"]);
        assert_eq!(page["next"], pages[n - 1]["next"]);
    }
    let beyond = app
        .get("repositories/file/file/?offset=6&limit=2")
        .await
        .expect(200);
    assert_eq!(
        (&beyond["results"], &beyond["count"]),
        (&json!([]), &json!(6))
    );
    assert_eq!(beyond["next"], Value::Null);
    assert!(beyond["previous"].is_string());
    // Through a proxy the addresses are those that the client knows.
    let request = app
        .request(reqwest::Method::GET, "repositories/file/file/?limit=1")
        .header("host", "pulp.example:8443");
    let page = app.send(request).await.expect(200);
    let next = page["next"].as_str().unwrap();
    assert!(
        next.starts_with("http://pulp.example:8443/pulp/api/v3/"),
        "{next}"
    );
}

#[tokio::test]
async fn the_newest_comes_first_unless_another_order_is_asked_for() {
    let app = TestApp::start().await;
    for (name, keep) in [
        ("b", json!(2)),
        ("c", json!(1)),
        ("a", json!(2)),
        ("d", json!(1)),
    ] {
        let body = json!({"name": name, "retain_repo_versions": keep});
        app.post("repositories/file/file/", &body).await.expect(201);
    }
    for (query, names) in [
        ("", "dacb"),
        ("ordering=", "dacb"),
        ("ordering=name", "abcd"),
        ("ordering=-name", "dcba"),
        ("ordering=pulp_created", "bcad"),
        ("ordering=-pulp_created", "dacb"),
        ("ordering=retain_repo_versions,name", "cdab"),
        ("ordering=-retain_repo_versions,-name", "badc"),
        ("ordering=retain_repo_versions&ordering=-name", "dcba"),
        ("ordering=retain_repo_versions", "dcab"),
        ("ordering=pk", "bcad"),
        ("ordering=-pk", "dacb"),
    ] {
        for list in ["repositories/file/file/", "repositories/"] {
            let page = app.get(&format!("{list}?{query}")).await.expect(200);
            let found = page["results"].as_array().unwrap().iter();
            let found: String = found.map(|one| one["name"].as_str().unwrap()).collect();
            assert_eq!(found, names, "{list}?{query}");
        }
    }
}

#[tokio::test]
async fn expressions_join_the_filters_of_a_list() {
    let app = TestApp::start().await;
    for (name, keep) in [
        ("a", json!(1)),
        ("b", json!(2)),
        ("c d", json!(3)),
        ("e", Value::Null),
    ] {
        let body = json!({"name": name, "retain_repo_versions": keep});
        app.post("repositories/file/file/", &body).await.expect(201);
    }
    let ask = async |q: &str| {
        let query = [("q", q), ("ordering", "pulp_created")];
        let url = reqwest::Url::parse_with_params("http://x/", query).unwrap();
        app.get(&format!("repositories/file/file/?{}", url.query().unwrap()))
            .await
    };
    for (q, names) in [
        ("name=a", &["a"][..]),
        ("name=\"c d\"", &["c d"]),
        ("name='c d'", &["c d"]),
        ("name__in=a,b", &["a", "b"]),
        ("NOT name=a", &["b", "c d", "e"]),
        ("NOT retain_repo_versions=1", &["b", "c d", "e"]),
        ("NOT NOT name=a", &["a"]),
        ("name=a OR name=b", &["a", "b"]),
        ("name=a AND name=b", &[]),
        ("name=a AND retain_repo_versions=1", &["a"]),
        ("name=a OR name=b AND retain_repo_versions=1", &["a"]),
        ("(name=a OR name=b) AND retain_repo_versions=2", &["b"]),
        (
            "NOT (name=a OR name=b) AND retain_repo_versions__gt=0",
            &["c d"],
        ),
        ("NOT name=a AND NOT name=b AND NOT name=e", &["c d"]),
        ("name=a OR name=b OR name=e OR name=x", &["a", "b", "e"]),
    ] {
        let page = ask(q).await.expect(200);
        let found = page["results"].as_array().unwrap().iter();
        let found: Vec<&str> = found.map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{q}");
    }
    let five = ["name=a"; 5].join(" OR ");
    for (q, message) in [
        ("name", "Syntax error in expression."),
        ("name=a AND", "Syntax error in expression."),
        ("(name=a", "Syntax error in expression."),
        ("name=a name=b", "Syntax error in expression."),
        ("odd=1", "Filter 'odd' does not exist."),
        ("q=1", "Filter 'q' does not exist."),
        ("ordering=name", "Filter 'ordering' does not exist."),
        (&*five, "Filter expression exceeds allowed complexity."),
        (
            "NOT NOT NOT NOT NOT NOT NOT NOT name=a",
            "Filter expression exceeds allowed complexity.",
        ),
    ] {
        assert_eq!(ask(q).await.expect(400), json!({"q": [message]}), "{q}");
    }
    // Beside other parameters it is one more condition.
    let both = app
        .get("repositories/?q=NOT%20name=a&name__in=a,b")
        .await
        .expect(200);
    assert_eq!(both["count"], 1);
    // Every filterable list takes it.
    let nobody = "prn:core.task:00000000-0000-0000-0000-000000000000";
    for list in LISTS.iter().filter(|list| **list != "task-groups/") {
        let filter = if *list == "repository_versions/" {
            "number=7"
        } else {
            "prn__in"
        };
        let q = if filter == "number=7" {
            filter.to_owned()
        } else {
            format!("{filter}=\"{nobody}\"")
        };
        let none = app.get(&format!("{list}?q={q}")).await.expect(200);
        assert_eq!(none["count"], 0, "{list}");
    }
}

#[tokio::test]
async fn every_plain_column_of_a_model_sorts() {
    let app = TestApp::start().await;
    let common = "pk,pulp_created,pulp_last_updated";
    let mut refused = Vec::new();
    for (list, columns) in [
        (
            "repositories/",
            "pulp_type,name,description,next_version,retain_repo_versions,retain_checkpoints,user_hidden",
        ),
        (
            "repositories/file/file/",
            "pulp_type,name,description,next_version,retain_repo_versions,user_hidden,autopublish,manifest",
        ),
        (
            "content/file/files/",
            "pulp_type,timestamp_of_interest,relative_path,digest",
        ),
        (
            "artifacts/",
            "size,md5,sha1,sha224,sha256,sha384,sha512,timestamp_of_interest",
        ),
        (
            "tasks/",
            "state,name,logging_cid,unblocked_at,started_at,finished_at,immediate,deferred",
        ),
        ("workers/", "name,last_heartbeat"),
        ("repository_versions/", "number,complete"),
    ] {
        for column in common.split(',').chain(columns.split(',')) {
            let answer = app.get(&format!("{list}?ordering={column}")).await;
            if answer.status != 200 {
                refused.push(format!("{list} {column}"));
            }
        }
    }
    assert_eq!(refused, Vec::<String>::new());
}
